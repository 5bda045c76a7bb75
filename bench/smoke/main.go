// Command smoke tries a Strongroom end to end with the AWS SDK: what no test without
// AWS can show, and the first thing to run after a deployment.
//
//	smoke https://a1b2c3.execute-api.eu-central-1.amazonaws.com/v1
//
// Credentials and Region are found as for every AWS client. It makes one secret with a
// random name, and removes it at the end, also when it is interrupted or a step fails.
// Each step prints one line: what was tried, what came of it, how long it took. The exit
// status is 1 when a step failed.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/strongroom/strongroom/pkg/endpoint"
	"github.com/strongroom/strongroom/pkg/terminal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process
	err := command(ctx, os.Args[1:], os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "smoke:", terminal.PrintableLines(err.Error()))
		os.Exit(1)
	}
}

// Settings say where the Strongroom is, and what else is known of it.
type settings struct {
	url         string
	signingName string
	checked     bool   // nothing that is signed for another service may be taken
	function    string // ARN of a rotation function, "" for none
	audit       string // file of the local server's records, "" for none
	logGroup    string // of functions/api, "" when it is not looked into
	gets        int    // how many are timed
}

var signingNames = []string{endpoint.Gateway, endpoint.FunctionURL}

func readSettings(args []string, out io.Writer) (settings, error) {
	var set settings
	flags := flag.NewFlagSet("smoke", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error is said once, by main
	flags.StringVar(&set.signingName, "signing-name", "", "`service` to sign for, on a domain of your own: execute-api or lambda; without it what the host name says, or execute-api")
	flags.StringVar(&set.function, "rotation-function", "", "`ARN` of a rotation function for a secret of {\"username\", \"password\"}; without it nothing is rotated")
	flags.StringVar(&set.logGroup, "log-group", "", "`name` of the log group of functions/api, to look for a record in it with the AWS CLI")
	flags.StringVar(&set.audit, "audit", "", "`file` of the local server's audit records, to look for a record in it")
	flags.IntVar(&set.gets, "gets", 200, "how many `calls` of GetSecretValue are timed")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprint(out, "smoke [flags] URL tries the Strongroom at the URL end to end.\n\nFlags:\n")
		flags.SetOutput(out)
		flags.PrintDefaults()
		return set, err
	} else if err != nil {
		return set, fmt.Errorf("%w; -h lists the flags", err)
	}
	if flags.NArg() != 1 || flags.Arg(0) == "" {
		return set, errors.New("name one URL, behind the flags: make smoke ENDPOINT=https://…, the stack's output Endpoint")
	}
	set.url = flags.Arg(0)
	at, err := endpoint.Parse(set.url)
	switch {
	case err != nil:
		return set, err
	case set.signingName != "" && !slices.Contains(signingNames, set.signingName):
		return set, fmt.Errorf("-signing-name %q is none of %s", set.signingName, strings.Join(signingNames, ", "))
	case set.gets < 1 || set.gets > 10_000:
		return set, errors.New("-gets must be from 1 to 10000")
	case set.audit != "" && set.logGroup != "":
		return set, errors.New("-audit is for a local server and -log-group for a deployment; leave one of them out")
	}
	set.checked = set.signingName != "" || at.Service != ""
	set.signingName = cmp.Or(set.signingName, at.Service, endpoint.Gateway)
	return set, nil
}

func command(ctx context.Context, args []string, out io.Writer) error {
	set, err := readSettings(args, out)
	if err != nil {
		return err
	}
	t, err := newTrial(ctx, set)
	if err != nil {
		return err
	}
	return t.run(ctx, steps, out)
}
