// Command local runs Strongroom on this machine: the same api.Server as in the
// cloud, one for each Region, in front of a DynamoDB engine and a KMS of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/strongroom/strongroom/pkg/local/auditfile"
	"github.com/strongroom/strongroom/pkg/terminal"
)

func main() {
	err := run(os.Args[1:], os.Getenv, os.Stdout, newLog(os.Stderr, os.Getenv))
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "strongroom:", terminal.PrintableLines(err.Error()))
		os.Exit(1)
	}
}

const (
	// rememberedPolicies is how many bytes of policies on secrets are remembered: those
	// that a list asks of some thousands. They live within memoryLimit.
	rememberedPolicies = 8 << 20
	// keepDataKeys is the default of the deployed function.
	keepDataKeys = time.Minute
	// memoryLimit leaves room for the program itself in the 128 MB of SECURITY.md.
	memoryLimit = 48 << 20
)

// run does what the arguments ask for: it serves until it is interrupted, or shows or
// does one thing.
func run(args []string, getenv func(string) string, out io.Writer, log *slog.Logger) error {
	set, err := readSettings(args, getenv, out, log)
	if err != nil {
		return err
	}
	switch {
	case set.version:
		_, err := fmt.Fprintln(out, version())
		return err
	case set.show.Last > 0:
		return auditfile.Show(out, set.audit, set.show)
	}
	limitMemory(set)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process
	if !set.reloads() {
		stopOnHangup(stop)
	}
	switch {
	case set.pruneOnce:
		return pruneOnce(ctx, set, out, log)
	case set.verifyOnce:
		return verifyOnce(ctx, set, out, log)
	case set.export != "":
		return exportOnce(ctx, set, out, log)
	case set.load != "":
		return importOnce(ctx, set, out)
	}
	if err := serve(ctx, stop, set, out, log); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

// limitMemory lets garbage grow to four times of what lives, which is little: each call
// leaves tens of kilobytes behind. Under attack it is collected earlier, unless GOMEMLIMIT
// says otherwise. With --memory all data lives, and its size is up to the user.
func limitMemory(set settings) {
	debug.SetGCPercent(400)
	if set.data != "" && debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(memoryLimit)
	}
}
