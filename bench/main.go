// Command bench measures the whole server over HTTP, as `make run` starts it.
//
// Every figure stands beside a floor: a bare HTTP server that syncs a file for a
// write and answers a read from memory. Server and floor are measured in turns, so
// that the ratio of their rates holds on a machine that other work shares.
//
//	bench              rates and latencies of puts, gets and rotations
//	bench -scale       what many versions, many secrets and much data cost
//	bench -abuse N     N bad requests, and whether the server bears them
//	bench -load        many secrets and clients for minutes, and memory over time
//	bench floor FILE   the floor alone; bench starts it by itself
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	err := command(os.Args[1:], os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func command(args []string, out io.Writer) error {
	if len(args) == 2 && args[0] == floorCommand {
		return runFloor(args[1])
	}
	set, err := readSettings(args)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err = measureAll(ctx, set, out)
	if ctx.Err() != nil {
		return errors.New("interrupted; the servers are stopped and their data is removed")
	}
	return err
}

type settings struct {
	server    string
	dir       string
	turns     int
	round     time.Duration // length of one
	only      string
	markdown  bool
	scale     bool
	largest   int
	megabytes int
	fillLimit time.Duration

	requests int    // -abuse
	seed     uint64 // of them
	load     bool
	svg      string        // file of the picture of -load
	length   time.Duration // longest time of -abuse, and the time of -load; 0 for the default
}

func readSettings(args []string) (settings, error) {
	var set settings
	var seconds float64
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&set.server, "server", "bin/local", "`program` to measure")
	flags.StringVar(&set.dir, "dir", ".local", "`folder` in which a temporary folder holds all data")
	flags.IntVar(&set.turns, "rounds", 5, "`number` of rounds of server and floor in turns")
	flags.Float64Var(&seconds, "seconds", 1, "length of a round in `seconds`")
	flags.StringVar(&set.only, "only", "", "measure only workloads with this `text` in their name")
	flags.BoolVar(&set.markdown, "markdown", false, "print tables as Markdown")
	flags.BoolVar(&set.scale, "scale", false, "measure what size costs, and no rates")
	flags.IntVar(&set.largest, "largest", 100_000, "-scale, -load: largest `number` of versions and secrets")
	flags.IntVar(&set.megabytes, "megabytes", 1000, "-scale: size of the folder for the start, in `MB`")
	flags.DurationVar(&set.fillLimit, "fill", 5*time.Minute, "-scale, -load: longest `time` to write the data of one figure")
	flags.IntVar(&set.requests, "abuse", 0, "send so many bad `requests`, and no rates")
	flags.Uint64Var(&set.seed, "seed", uint64(time.Now().UnixNano()), "-abuse: `number` that the requests follow from")
	flags.BoolVar(&set.load, "load", false, "load the server for a while, and no rates")
	flags.StringVar(&set.svg, "svg", "", "-load: `file` for a picture of memory and rates")
	flags.DurationVar(&set.length, "for", 0, "-load: `time` for which it lasts, without it 2m; -abuse: longest time, without it any")
	if err := flags.Parse(args); err != nil {
		return set, err
	}
	set.round = time.Duration(seconds * float64(time.Second))
	switch {
	case flags.NArg() > 0:
		return set, fmt.Errorf("%q is not a flag; -h lists them", flags.Arg(0))
	case set.turns < 1 || set.turns > 100:
		return set, errors.New("-rounds must be from 1 to 100")
	case set.round < 100*time.Millisecond || set.round > time.Minute:
		return set, errors.New("-seconds must be from 0.1 to 60")
	case set.largest < 1 || set.largest > 1_000_000:
		return set, errors.New("-largest must be from 1 to 1000000")
	case set.megabytes < 1 || set.megabytes > 10_000:
		return set, errors.New("-megabytes must be from 1 to 10000")
	case set.requests < 0 || set.requests > 10_000_000:
		return set, errors.New("-abuse must be from 1 to 10000000")
	case set.length < 0 || set.length > 24*time.Hour:
		return set, errors.New("-for must be from 1s to 24h")
	case set.scale && set.load || set.requests > 0 && (set.scale || set.load):
		return set, errors.New("only one of -scale, -abuse and -load can be done at a time")
	}
	return set, nil
}

// measureAll measures in a temporary folder, and removes it.
func measureAll(ctx context.Context, set settings, out io.Writer) (err error) {
	if err := os.MkdirAll(set.dir, 0o700); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(set.dir, "bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	dir, err = filepath.Abs(dir)
	if err != nil {
		return err
	}
	h := &host{settings: set, dir: dir, show: newProgress(os.Stderr)}
	defer h.show.clear()
	switch {
	case set.scale:
		return h.measureScale(ctx, out)
	case set.requests > 0:
		return h.measureAbuse(ctx, out)
	case set.load:
		return h.measureLoad(ctx, out)
	}
	return h.measureRates(ctx, out)
}

// format writes a table as it was asked for.
func (h *host) format(t table) string {
	if h.markdown {
		return t.markdown()
	}
	return t.text()
}

// A host starts servers in a folder of their own.
type host struct {
	settings
	dir  string
	show *progress
}

// startServer starts the server over a data folder. Rotations invoke lambda.
func (h *host) startServer(ctx context.Context, data, lambda string, more ...string) (*process, error) {
	cmd := exec.Command(h.server, append([]string{"--addr", "127.0.0.1:0", "--data", data, "--rate", "0"}, more...)...) //nolint:gosec // the program is the user's choice
	cmd.Env = serverEnvironment(os.Environ(), lambda)
	return start(ctx, "server", filepath.Join(h.dir, "server.log"), cmd)
}

// serverEnvironment leaves out the user's own AWS endpoints and credentials.
func serverEnvironment(all []string, lambda string) []string {
	var env []string
	for _, variable := range all {
		if !strings.HasPrefix(variable, "AWS_") {
			env = append(env, variable)
		}
	}
	env = append(env, "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local")
	if lambda != "" {
		env = append(env, "AWS_ENDPOINT_URL_LAMBDA="+lambda)
	}
	return env
}

func (h *host) startFloor(ctx context.Context) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, floorCommand, filepath.Join(h.dir, "floor")) //nolint:gosec // this program
	return start(ctx, "floor", filepath.Join(h.dir, "floor.log"), cmd)
}

func (h *host) measureRates(ctx context.Context, out io.Writer) (err error) {
	function, err := serveFunction(ctx)
	if err != nil {
		return err
	}
	server, err := h.startServer(ctx, filepath.Join(h.dir, "data"), function.url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	floor, err := h.startFloor(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, floor.stop()) }()
	b := &bench{function: function, server: newTarget("server", server.url), floor: newTarget("floor", floor.url)}
	function.server = b.server
	results, err := h.rates(ctx, b)
	if err != nil {
		return server.explain(err)
	}
	h.show.clear()
	return report(out, results, h.markdown)
}

func (h *host) rates(ctx context.Context, b *bench) ([]result, error) {
	if err := b.setUp(ctx, h.show); err != nil {
		return nil, err
	}
	var results []result
	for _, w := range b.workloads() {
		if !strings.Contains(w.name, h.only) {
			continue
		}
		pairs, err := h.rounds(ctx, w)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
		results = append(results, resultsOf(w, pairs)...)
	}
	return results, nil
}

// numbersOfClients are what every workload is measured with.
var numbersOfClients = []int{1, maxClients}

// A pair is a round of the server and the round of the floor beside it.
type pair struct{ server, floor round }

// rounds measures server and floor in turns, with few and with many clients.
func (h *host) rounds(ctx context.Context, w workload) (map[int][]pair, error) {
	pairs := map[int][]pair{}
	for n := range h.turns {
		for _, clients := range numbersOfClients {
			h.show.line(fmt.Sprintf("%s: round %d of %d, clients: %d", w.name, n+1, h.turns, clients))
			p, err := h.pair(ctx, w, clients, n%2 == 0)
			if err != nil {
				return nil, err
			}
			pairs[clients] = append(pairs[clients], p)
		}
	}
	return pairs, nil
}

// pair measures both sides. They take turns in going first.
func (h *host) pair(ctx context.Context, w workload, clients int, floorFirst bool) (p pair, err error) {
	if floorFirst {
		if p.floor, err = measure(ctx, clients, h.round, w.floor); err != nil {
			return p, err
		}
	}
	if p.server, err = h.serverRound(ctx, w, clients); err != nil || floorFirst {
		return p, err
	}
	p.floor, err = measure(ctx, clients, h.round, w.floor)
	return p, err
}

func (h *host) serverRound(ctx context.Context, w workload, clients int) (r round, err error) {
	if w.before != nil {
		if err := w.before(ctx); err != nil {
			return r, err
		}
	}
	if r, err = measure(ctx, clients, h.round, w.server); err != nil || w.after == nil {
		return r, err
	}
	return r, w.after(ctx)
}

// verifier checks the data of a server that has ended.
func (h *host) verifier(ctx context.Context, data string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, h.server, "--verify", "--data", data) //nolint:gosec // the program is the user's choice
	cmd.Env = serverEnvironment(os.Environ(), "")
	return cmd
}
