package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	measuredPuts   = 200
	measuredPages  = 50
	pageSize       = 100
	measuredStarts = 3
)

// A scale gathers what size costs, in a table.
type scale struct {
	*host
	rows table
}

// A part is measured in a data folder of its own, which is removed afterwards.
type part func(ctx context.Context, data string) error

func (h *host) measureScale(ctx context.Context, out io.Writer) error {
	s := &scale{host: h, rows: table{{"figure", "with", "value"}}}
	for _, do := range []part{s.emptyStart, s.versions, s.secrets, s.fullStart} {
		data := filepath.Join(h.dir, "data")
		if err := errors.Join(do(ctx, data), os.RemoveAll(data)); err != nil {
			return err
		}
	}
	h.show.clear()
	_, err := fmt.Fprint(out, h.format(s.rows))
	return err
}

func (s *scale) add(figure, with, value string) {
	s.rows = append(s.rows, []string{figure, with, value})
}

// serve runs a server over a data folder, for as long as do takes.
func (s *scale) serve(ctx context.Context, data string, do func(*target, *process) error) error {
	p, err := s.startServer(ctx, data, "")
	if err != nil {
		return err
	}
	if err := do(newTarget("server", p.url), p); err != nil {
		return errors.Join(p.explain(err), p.stop())
	}
	return p.stop()
}

func (s *scale) emptyStart(ctx context.Context, data string) error {
	var took []time.Duration
	for n := range measuredStarts {
		s.show.count("starting with an empty folder", n+1, measuredStarts)
		if err := os.RemoveAll(data); err != nil {
			return err
		}
		if err := s.serve(ctx, data, func(_ *target, p *process) error { took = append(took, p.took); return nil }); err != nil {
			return err
		}
	}
	s.add("start to address line", "an empty folder", milliseconds(percentile(took, 50)))
	return nil
}

// sizes are those up to the largest.
func (s *scale) sizes(small, middle int) []int {
	var sizes []int
	for _, n := range []int{small, middle, s.largest} {
		if n <= s.largest && (len(sizes) == 0 || n > sizes[len(sizes)-1]) {
			sizes = append(sizes, n)
		}
	}
	return sizes
}

// versions measures puts to one secret as it grows, and what a version takes.
func (s *scale) versions(ctx context.Context, data string) error {
	const name = "bench-grows"
	have := 0
	err := s.serve(ctx, data, func(server *target, _ *process) error {
		if err := create(ctx, server, name, value); err != nil {
			return err
		}
		have = 1
		for _, size := range s.sizes(10, 1000) {
			more, err := s.fill(ctx, "making versions of one secret", have, size, func(ctx context.Context, _ int) error {
				return put(ctx, server, name, value)
			})
			have += more
			if err != nil {
				return err
			}
			with := thousands(have) + " versions"
			took, err := repeat(ctx, measuredPuts, func() error { return put(ctx, server, name, value) })
			if err != nil {
				return err
			}
			s.add("PutSecretValue, p50", with, milliseconds(percentile(took, 50)))
			have += measuredPuts
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.addFolder(data, have)
}

// addFolder adds the bytes per version. The server has stopped, so all is written.
func (s *scale) addFolder(data string, versions int) error {
	all, audit, err := folderSize(data)
	with := fmt.Sprintf("%s versions of %s B", thousands(versions), thousands(valueSize))
	s.add("data folder, per version", with, thousands(int(all-audit)/versions)+" B")
	s.add("audit file, per version", with, thousands(int(audit)/versions)+" B")
	return err
}

// secrets measures pages of ListSecrets, and memory.
func (s *scale) secrets(ctx context.Context, data string) error {
	return s.serve(ctx, data, func(server *target, p *process) error {
		have := 0
		for _, size := range s.sizes(100, 10_000) {
			first := have
			more, err := s.fill(ctx, "making secrets", have, size, func(ctx context.Context, i int) error {
				return create(ctx, server, nameOf("listed", first+i), value)
			})
			have += more
			if err != nil {
				return err
			}
			took, err := repeat(ctx, measuredPages, func() error { return list(ctx, server, min(have, pageSize)) })
			if err != nil {
				return err
			}
			s.add(fmt.Sprintf("ListSecrets, a page of %d, p50", pageSize), thousands(have)+" secrets", milliseconds(percentile(took, 50)))
		}
		memory := "not measured"
		if kB := p.resident(); kB > 0 {
			memory = fmt.Sprintf("%d MB", kB/1000)
		}
		s.add("resident memory", thousands(have)+" secrets", memory)
		return nil
	})
}

func list(ctx context.Context, server *target, want int) error {
	text, err := server.post(ctx, "/", "ListSecrets", fmt.Appendf(nil, `{"MaxResults":%d}`, pageSize))
	if got := strings.Count(string(text), `"ARN":`); err == nil && got != want {
		return fmt.Errorf("a page of ListSecrets has %d secrets, and should have %d", got, want)
	}
	return err
}

// fullStart measures the start with a large folder.
func (s *scale) fullStart(ctx context.Context, data string) error {
	if err := s.serve(ctx, data, func(server *target, _ *process) error { return s.fillFolder(ctx, server) }); err != nil {
		return err
	}
	all, _, err := folderSize(data)
	if err != nil {
		return err
	}
	var took []time.Duration
	for n := range measuredStarts {
		s.show.count("starting with a large folder", n+1, measuredStarts)
		if err := s.serve(ctx, data, func(_ *target, p *process) error { took = append(took, p.took); return nil }); err != nil {
			return err
		}
	}
	s.add("start to address line", fmt.Sprintf("a folder of %s MB", thousands(int(all/1_000_000))), milliseconds(percentile(took, 50)))
	return nil
}

// fillFolder puts large values to many secrets.
func (s *scale) fillFolder(ctx context.Context, server *target) error {
	const secrets = 100
	if _, err := s.fill(ctx, "making secrets", 0, secrets, func(ctx context.Context, i int) error {
		return create(ctx, server, nameOf("large", i), value)
	}); err != nil {
		return err
	}
	_, err := s.fill(ctx, fmt.Sprintf("making large versions, %d MB", s.megabytes), 0, s.megabytes*1_000_000/bigValueSize, func(ctx context.Context, i int) error {
		return put(ctx, server, nameOf("large", i%secrets), bigValue)
	})
	return err
}

// fill makes what is missing and returns how many it made: fewer after the limit.
func (s *scale) fill(ctx context.Context, what string, have, want int, do func(ctx context.Context, i int) error) (int, error) {
	step := func(done int) { s.show.count(what, have+done, max(want, have)) }
	return fill(ctx, max(want-have, 0), s.fillLimit, step, do)
}

// repeat does something one after the other and returns how long each took.
func repeat(ctx context.Context, n int, do func() error) ([]time.Duration, error) {
	var took []time.Duration
	for range n {
		began := time.Now()
		if err := errors.Join(ctx.Err(), do()); err != nil {
			return took, err
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// folderSize is the bytes in a folder, and those of them in audit files.
func folderSize(path string) (all, audit int64, err error) {
	err = filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		all += info.Size()
		if strings.HasPrefix(entry.Name(), "audit") {
			audit += info.Size()
		}
		return nil
	})
	return all, audit, err
}
