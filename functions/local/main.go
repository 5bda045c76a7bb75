// Command local runs Strongroom on this machine: the same api.Server as in the
// cloud, in front of a DynamoDB engine and a KMS of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/strongroom/strongroom/pkg/api"
	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/schedule"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

func main() {
	err := run(os.Args[1:], os.Getenv, os.Stdout, newLog(os.Stderr))
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "strongroom:", err)
		os.Exit(1)
	}
}

const (
	table = "strongroom"
	// defaultData is the folder of the data, beside which is the audit file.
	defaultData = ".local/data"
	// defaultRate is how many calls a second a caller may make, and maxRate the most.
	defaultRate, maxRate = 1000, 1_000_000
	// rememberedPolicies is how many policies on secrets are remembered.
	rememberedPolicies = 256
	// keepDataKeys is the default of the deployed function.
	keepDataKeys = time.Minute
	// pruneEvery and rotateEvery are how often is looked what is due.
	pruneEvery  = time.Minute
	rotateEvery = 10 * time.Second
)

type settings struct {
	addr        string
	data        string
	audit       string // file of the audit records, empty for none
	retention   secret.Retention
	minRotation time.Duration
	rate        float64 // calls of one caller a second, 0 for any number
	policies    string  // file of principal policies, empty to allow everything
	credentials string  // file of credentials, empty to check none
	pruneOnce   bool
	showAudit   int // how many records to show, and end
	engines     local.Options
}

// run serves until it is interrupted. It listens before it starts anything, so
// that a taken port costs nothing.
func run(args []string, getenv func(string) string, out io.Writer, log *slog.Logger) error {
	set, err := readSettings(args, getenv, out, log)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch {
	case set.showAudit > 0:
		return audit.Show(out, set.audit, set.showAudit)
	case set.pruneOnce:
		return pruneOnce(ctx, set, out, log)
	}
	who, err := readWho(set)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", set.addr)
	if err != nil {
		return cannotListen(set.addr, err)
	}
	defer func() { _ = listener.Close() }() // closed by the server before
	engines, err := local.Start(ctx, set.engines)
	if err != nil {
		return err
	}
	server, err := newServer(ctx, engines, set, log)
	if err != nil {
		return errors.Join(err, engines.Close())
	}
	trail, err := openTrail(set.audit)
	if err != nil {
		return errors.Join(err, engines.Close())
	}
	server.Trail, server.Policies = trail, who.policies
	rotator := newRotator(ctx, engines, server)
	server.Rotator = rotator
	greet(out, listener.Addr(), set.data)
	pruning, rotating := pruneNowAndThen(ctx, server), rotateNowAndThen(ctx, rotator)
	err = serve(ctx, stop, listener, who.gate(server, set.rate))
	stop()
	<-pruning
	<-rotating
	rotator.Wait()
	return errors.Join(err, engines.Close(), trail.Close())
}

func newServer(ctx context.Context, engines *local.Engines, set settings, log *slog.Logger) (*api.Server, error) {
	if err := store.CreateTable(ctx, engines.DynamoDB, table); err != nil {
		return nil, err
	}
	arns := secret.ARNs{Partition: "aws", Region: local.Region, Account: local.Account}
	return &api.Server{
		Store:  store.New(engines.DynamoDB, table, arns),
		Sealer: &envelope.Sealer{KMS: engines.KMS, DefaultKey: engines.DefaultKey, Keep: keepDataKeys},
		ARNs:   arns,
		Log:    log,

		Retention:           set.retention,
		MinRotationInterval: set.minRotation,

		Policies:      policy.AllowAll(),
		Resources:     policy.NewCache(rememberedPolicies),
		AuditRequired: true,
	}, nil
}

// serve answers until the first interrupt, and then lets the requests under way
// end. A second interrupt ends the process.
func serve(ctx context.Context, stop func(), listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: local.LoopbackOnly(handler), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	stop()
	patience, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return server.Shutdown(patience)
}

func readSettings(args []string, getenv func(string) string, out io.Writer, log *slog.Logger) (settings, error) {
	var set settings
	var memory bool
	flags := flag.NewFlagSet("local", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error is said once, by main
	flags.StringVar(&set.addr, "addr", "127.0.0.1:4566", "loopback `address` and port to answer on")
	flags.StringVar(&set.data, "data", defaultData, "`folder` of the table and the keys; only one process at a time may use it")
	flags.IntVar(&set.retention.MaxVersions, "max-versions", secret.DefaultRetention.MaxVersions, "how many `versions` without a label a secret keeps")
	flags.DurationVar(&set.retention.MinAge, "min-age", secret.DefaultRetention.MinAge, "`duration` for which a version stays, however many there are")
	flags.DurationVar(&set.minRotation, "min-rotation-interval", schedule.Least, "shortest `duration` between two rotations that a schedule may ask for; AWS's is 4h")
	flags.StringVar(&set.audit, "audit", "", "`file` of the audit records; without it .local/audit.jsonl, or audit.jsonl in the --data folder, or none with --memory")
	flags.IntVar(&set.showAudit, "show-audit", 0, "show the last `records` of the audit and end")
	flags.StringVar(&set.policies, "policies", "", "`file` of principal policies; without it everybody may do everything")
	flags.StringVar(&set.credentials, "verify-credentials", "", "`file` of the access keys whose signatures are checked; without it none is")
	flags.Float64Var(&set.rate, "rate", defaultRate, "how many `calls` a second each caller may make, and twice as many at once; 0 for any number")
	flags.BoolVar(&set.pruneOnce, "prune", false, "remove once what need not be kept any more, and end")
	flags.BoolVar(&memory, "memory", false, "keep everything in memory, and nothing when it stops")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		usage(flags, out)
		return set, err
	} else if err != nil {
		return set, fmt.Errorf("%w; -h lists the flags", err)
	}
	if flags.NArg() > 0 {
		return set, fmt.Errorf("%q is no flag; -h lists them", flags.Arg(0))
	}
	if memory {
		set.data = ""
	}
	if set.rate < 0 || set.rate > maxRate || math.IsNaN(set.rate) {
		return set, fmt.Errorf("--rate must be from 0 to %d", maxRate)
	}
	if set.retention.MaxVersions < 0 || set.retention.MinAge < 0 {
		return set, errors.New("--max-versions and --min-age must not be negative")
	}
	if set.minRotation < schedule.Shortest || set.minRotation > schedule.Least {
		return set, fmt.Errorf("--min-rotation-interval must be from %s to %s", schedule.Shortest, schedule.Least)
	}
	set.engines = local.Options{
		Data:     set.data,
		DynamoDB: getenv("AWS_ENDPOINT_URL_DYNAMODB"),
		KMS:      getenv("AWS_ENDPOINT_URL_KMS"),
		Lambda:   getenv("AWS_ENDPOINT_URL_LAMBDA"),
		Log:      log,
	}
	if set.audit == "" {
		set.audit = auditFile(set.engines)
	}
	if set.showAudit < 0 || set.showAudit > 0 && set.audit == "" {
		return set, errors.New("--show-audit needs a number of records, and a file of them: there is none with --memory")
	}
	return set, checkAddr(set.addr)
}

func usage(flags *flag.FlagSet, out io.Writer) {
	_, _ = fmt.Fprint(out, `Strongroom on this machine: AWS Secrets Manager's protocol on a loopback port.

Flags:
`)
	flags.SetOutput(out)
	flags.PrintDefaults()
	_, _ = fmt.Fprint(out, `
Environment:
  AWS_ENDPOINT_URL_DYNAMODB   URL of a DynamoDB of your own; none is started then
  AWS_ENDPOINT_URL_KMS        URL of a KMS of your own; none is started then
  AWS_ENDPOINT_URL_LAMBDA     URL where rotation functions are invoked, as Lambda's are; without it nothing is rotated
`)
}

// checkAddr refuses an address that other machines can reach: no credentials are
// checked here.
func checkAddr(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("--addr %s is not an address and a port, such as 127.0.0.1:4566", addr)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("--addr %s is not on loopback; whoever reaches this server reads every secret, so it answers this machine only", addr)
	}
	return nil
}

func cannotListen(addr string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is taken by another program; stop it, or choose another address with --addr", addr)
	}
	return fmt.Errorf("cannot answer on %s: %w", addr, err)
}

func greet(out io.Writer, addr net.Addr, data string) {
	where := "in " + data
	if data == "" {
		where = "in memory"
	}
	_, _ = fmt.Fprintf(out, `Strongroom answers on http://%[1]s, with its data %[2]s. Ctrl-C stops it.

In another terminal:

  export AWS_ENDPOINT_URL_SECRETS_MANAGER=http://%[1]s
  export AWS_REGION=%[3]s AWS_DEFAULT_REGION=%[3]s AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local
  aws secretsmanager create-secret --name MyTestDatabaseSecret --secret-string file://first.json

`, addr, where, local.Region)
}
