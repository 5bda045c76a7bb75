package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/strongroom/strongroom/pkg/api"
	"github.com/strongroom/strongroom/pkg/terminal"
	"github.com/strongroom/strongroom/pkg/verify"
)

// verifyOnce verifies the tables of all Regions, says what is wrong and how far it is on a terminal, and
// ends.
func verifyOnce(ctx context.Context, set settings, out io.Writer, log *slog.Logger) error {
	if err := checkDataFolder("--verify", set.engines); err != nil {
		return err
	}
	regions, err := startRegions(ctx, set, log)
	if err != nil {
		return err
	}
	err = regions.each(ctx, func(d *deployment, prefix string) error {
		return showVerified(ctx, newVerifier(d.server, set.repair), out, prefix, isTerminal(out))
	})
	return errors.Join(err, regions.close())
}

func newVerifier(server *api.Server, repair bool) *verify.Verifier {
	return &verify.Verifier{Store: server.Store, Retention: server.Retention, Repair: repair}
}

// showVerified runs the verifier and writes a line for each finding, and one for all, each
// behind a prefix. It fails when something is wrong still.
func showVerified(ctx context.Context, v *verify.Verifier, out io.Writer, prefix string, isTerminal bool) error {
	b := &bar{out: out}
	repairable := 0
	v.Report = func(f verify.Finding) {
		mark := ""
		switch {
		case f.Repaired:
			mark = " (repaired)"
		case f.Repairable:
			mark = " (repairable)"
			repairable++
		}
		b.clear()
		_, _ = fmt.Fprintln(out, prefix+terminal.Printable(f.Secret+": "+f.What)+mark)
	}
	if isTerminal {
		v.Progress = b.show
	}
	sum, err := v.Run(ctx, "")
	b.clear()
	_, _ = fmt.Fprintf(out, "%ssecrets examined: %d; findings: %d, repaired: %d\n", prefix, sum.Secrets, sum.Findings, sum.Repaired)
	switch {
	case ctx.Err() != nil:
		return errors.New("interrupted; not all was verified")
	case err != nil:
		return err
	case repairable > 0 && !v.Repair:
		return fmt.Errorf("%w; --repair repairs those that are repairable", sum.Err())
	}
	return sum.Err()
}

// A bar is a line on a terminal that says how far a run is.
//
//	[=========>          ] 450 of 1000 secrets, findings: 2
type bar struct {
	out   io.Writer
	last  string // the line that is there
	shown time.Time
}

const (
	barWidth = 20
	barEvery = 100 * time.Millisecond
)

func (b *bar) show(p verify.Progress) {
	if p.Secrets < p.Of && time.Since(b.shown) < barEvery {
		return
	}
	done := barWidth
	if p.Of > 0 {
		done = barWidth * p.Secrets / p.Of
	}
	head := ""
	if done < barWidth {
		head = ">"
	}
	filled := strings.Repeat("=", done) + head
	text := fmt.Sprintf("[%-*s] %d of %d secrets, findings: %d", barWidth, filled, p.Secrets, p.Of, p.Findings)
	_, _ = fmt.Fprint(b.out, "\r"+text+strings.Repeat(" ", max(0, len(b.last)-len(text))))
	b.last, b.shown = text, time.Now()
}

// clear takes the line away.
func (b *bar) clear() {
	if b.last != "" {
		_, _ = fmt.Fprint(b.out, "\r"+strings.Repeat(" ", len(b.last))+"\r")
		b.last, b.shown = "", time.Time{}
	}
}
