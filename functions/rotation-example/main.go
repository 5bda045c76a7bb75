// Command rotation-example is a rotation function to copy: it gives the user of a
// made-up database a new password. A database of your own goes into database.go; the
// rest can stay.
//
// In Lambda it is a function as any other. Elsewhere it answers as Lambda does on a
// port of this machine, so that a rotation runs on a laptop.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	err := run(os.Args[1:], os.Getenv, os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "rotation-example:", err)
		os.Exit(1)
	}
}

func run(args []string, getenv func(string) string, out io.Writer) error {
	if getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		return runInLambda(getenv, out)
	}
	addr, err := readFlags(args, out)
	if err != nil {
		return err
	}
	f, err := build(context.Background(), getenv, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	return serve(addr, lambda.NewHandler(f.handle), out)
}

func runInLambda(getenv func(string) string, out io.Writer) error {
	f, err := build(context.Background(), getenv, slog.New(slog.NewJSONHandler(out, nil)))
	if err != nil {
		return err
	}
	lambda.Start(f.handle)
	return nil
}

func readFlags(args []string, out io.Writer) (addr string, err error) {
	flags := flag.NewFlagSet("rotation-example", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error is said once, by main
	flags.StringVar(&addr, "addr", "127.0.0.1:9001", "loopback `address` and port to answer on")
	err = flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		usage(flags, out)
		return "", err
	case err != nil:
		return "", fmt.Errorf("%w; -h lists the flags", err)
	case flags.NArg() > 0:
		return "", fmt.Errorf("%q is no flag; -h lists them", flags.Arg(0))
	}
	return addr, checkAddr(addr)
}

func usage(flags *flag.FlagSet, out io.Writer) {
	_, _ = fmt.Fprint(out, `A rotation function for Strongroom, that is invoked on a loopback port as if in Lambda.

Flags:
`)
	flags.SetOutput(out)
	flags.PrintDefaults()
	_, _ = fmt.Fprint(out, `
Environment:
  SECRETS_MANAGER_ENDPOINT   URL of Strongroom, such as http://127.0.0.1:4566
  DATABASE_FILE              the made-up database: a JSON file of users and their passwords, such as {"app":"EXAMPLE-1"}
  AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
                             as for every AWS client; Strongroom on this machine takes any
`)
}

func build(ctx context.Context, getenv func(string) string, log *slog.Logger) (*function, error) {
	secrets, err := newClient(ctx, getenv("SECRETS_MANAGER_ENDPOINT"))
	if err != nil {
		return nil, err
	}
	db, err := openDatabase(getenv("DATABASE_FILE"))
	if err != nil {
		return nil, err
	}
	return &function{secrets: secrets, database: db, log: log}, nil
}
