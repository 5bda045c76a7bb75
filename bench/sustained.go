package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	defaultLoad = 2 * time.Minute
	// intervals are what a load is divided into.
	intervals = 12
	// putEvery makes one of ten calls a put.
	putEvery = 10
)

// An interval is a part of a load.
type interval struct {
	sample     // at its end
	gets, puts []time.Duration
}

// A sustained load is many clients that get and put values of many secrets.
type sustained struct {
	*host
	began time.Time

	mu    sync.Mutex
	parts []interval
}

func (h *host) measureLoad(ctx context.Context, out io.Writer) error {
	if h.length == 0 {
		h.length = defaultLoad
	}
	p, err := h.startServer(ctx, filepath.Join(h.dir, "data"), "")
	if err != nil {
		return err
	}
	s := &sustained{host: h, parts: make([]interval, intervals)}
	if err := s.run(ctx, p, out); err != nil {
		return errors.Join(p.explain(err), p.stop())
	}
	return p.stop()
}

func (s *sustained) run(ctx context.Context, p *process, out io.Writer) error {
	server := newTarget("server", p.url)
	step := func(done int) { s.show.count("making secrets", done, s.largest) }
	began := time.Now()
	have, err := fill(ctx, s.largest, s.fillLimit, step, func(ctx context.Context, i int) error {
		return create(ctx, server, nameOf("loaded", i), value)
	})
	if err != nil {
		return err
	}
	if have == 0 {
		return errors.New("no secret was made in time; give more with -fill")
	}
	made := time.Since(began)
	if err := s.work(ctx, server, have, p); err != nil {
		return err
	}
	s.show.clear()
	if err := s.report(out, have, made); err != nil {
		return err
	}
	if s.svg == "" {
		return nil
	}
	return os.WriteFile(s.svg, []byte(picture(s.parts, s.every())), 0o644) //nolint:gosec // a picture for everybody
}

// every is the length of an interval.
func (s *sustained) every() time.Duration { return s.length / intervals }

// work has the clients work on random secrets for the time of the load.
func (s *sustained) work(ctx context.Context, server *target, secrets int, p *process) error {
	s.began = time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for client := range loadClients {
		group.Go(func() error {
			random := rand.New(rand.NewPCG(s.seed, uint64(client))) //nolint:gosec // repeatable on purpose
			for time.Since(s.began) < s.length {
				if err := s.one(ctx, server, nameOf("loaded", random.IntN(secrets)), random.IntN(putEvery) == 0); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error { return s.watch(ctx, p) })
	return group.Wait()
}

// one makes one call. It counts in the interval in which it ends.
func (s *sustained) one(ctx context.Context, server *target, id string, isPut bool) error {
	began := time.Now()
	var err error
	if isPut {
		err = put(ctx, server, id, value)
	} else {
		_, err = server.post(ctx, "/", "GetSecretValue", getInput(id))
	}
	if err != nil {
		return err
	}
	now := time.Now()
	n := int(now.Sub(s.began) / s.every())
	if n >= intervals {
		return nil // it ended after the load
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	part := &s.parts[n]
	if isPut {
		part.puts = append(part.puts, now.Sub(began))
	} else {
		part.gets = append(part.gets, now.Sub(began))
	}
	return nil
}

// watch samples the server at the end of each interval.
func (s *sustained) watch(ctx context.Context, p *process) error {
	for n := range s.parts {
		at := s.every() * time.Duration(n+1)
		s.show.line(fmt.Sprintf("loading the server: %s of %s", at-s.every(), s.length))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(s.began.Add(at))):
		}
		held := p.sample()
		held.at = at
		s.mu.Lock()
		s.parts[n].sample = held
		s.mu.Unlock()
	}
	return nil
}

func (s *sustained) report(out io.Writer, secrets int, made time.Duration) error {
	rows := table{{"until", "gets/s", "p50", "p90", "p99", "puts/s", "p50", "p90", "p99", "own memory", "resident"}}
	var gets, puts []time.Duration
	var samples []sample
	for _, part := range s.parts {
		rows = append(rows, s.row(part.at.String(), s.every(), part))
		gets, puts, samples = append(gets, part.gets...), append(puts, part.puts...), append(samples, part.sample)
	}
	all := interval{sample{own: most(samples, ownMemory), resident: most(samples, residentMemory)}, gets, puts}
	rows = append(rows, s.row("all", s.length, all))
	_, err := fmt.Fprintf(out, "%s\n%d clients on %s secrets, which were made in %s (%s a second).\n",
		s.format(rows), loadClients, thousands(secrets), made.Round(time.Second), perSecond(float64(secrets)/made.Seconds()))
	return err
}

func (s *sustained) row(name string, length time.Duration, part interval) []string {
	rate := func(l []time.Duration) string { return perSecond(float64(len(l)) / length.Seconds()) }
	ms := func(l []time.Duration, percent int) string { return milliseconds(percentile(l, percent)) }
	return []string{
		name,
		rate(part.gets), ms(part.gets, 50), ms(part.gets, 90), ms(part.gets, 99),
		rate(part.puts), ms(part.puts, 50), ms(part.puts, 90), ms(part.puts, 99),
		megabytes(part.own), megabytes(part.resident),
	}
}
