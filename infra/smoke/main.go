// Command smoke proves a deployment: it does with a secret of its own what clients do, and
// says of each step how long it took. It leaves nothing behind.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/aws/aws-sdk-go-v2/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "smoke:", err)
		os.Exit(1)
	}
}

// options are what a deployment has that not every one has.
type options struct {
	endpoint         string
	rotationFunction string // that is allowed to rotate, and takes any secret
	logGroup         string // of functions/api, which the AWS CLI may read
	auditFile        string // of a local server
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	flags := flag.NewFlagSet("smoke", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.endpoint, "endpoint", "", "`URL` of the deployment, its output Endpoint")
	flags.StringVar(&o.rotationFunction, "rotation-function", "", "`ARN` of a rotation function to rotate the secret with")
	flags.StringVar(&o.logGroup, "log-group", "", "`name` of the log group of functions/api, to look for the record in with the AWS CLI")
	flags.StringVar(&o.auditFile, "audit-file", "", "audit `file` of a local server, to look for the record in")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.endpoint == "" {
		return fmt.Errorf("--endpoint is not set; it is the output Endpoint of the stack: make smoke ENDPOINT=https://")
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	return prove(ctx, cfg, o, out)
}
