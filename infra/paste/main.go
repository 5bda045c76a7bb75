// Command paste shows, after a deployment, the lines to paste next.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/strongroom/strongroom/pkg/endpoint"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run reads the file that the CDK wrote the outputs of a deployment to.
func run(args []string, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("paste needs the file that cdk deploy --outputs-file wrote")
	}
	text, err := os.ReadFile(args[0]) //nolint:gosec // the operator's own
	if err != nil {
		return err
	}
	var stacks map[string]outputs
	if err := json.Unmarshal(text, &stacks); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	for _, o := range stacks {
		at, err := endpoint.Parse(o.Endpoint)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, lines, o.Endpoint, signingName(at), o.Alarms); err != nil {
			return err
		}
		if _, err := io.WriteString(out, o.peer()); err != nil {
			return err
		}
	}
	return nil
}

// outputs are those of the stack that are shown.
type outputs struct{ Endpoint, Alarms, Table, Key, ReplicateRole string }

// peer is what other Regions' deployments say of this one, where it replicates.
func (o outputs) peer() string {
	arn := strings.Split(o.Key, ":") // arn:partition:kms:region:…
	if o.ReplicateRole == "" || len(arn) < 4 {
		return ""
	}
	entry, _ := json.Marshal(map[string]any{arn[3]: map[string]string{ // texts always can
		"table": o.Table, "keyArn": o.Key, "roleArn": o.ReplicateRole,
	}})
	return "For the replicaRegions of the other Regions' deployments:\n\n    " + string(entry) + "\n\n"
}

const lines = `
Strongroom answers at %[1]s

For every client, by an agent on this machine that signs for it:

    make agent
    bin/strongroom-agent --endpoint %[1]s

    export AWS_ENDPOINT_URL_SECRETS_MANAGER=http://127.0.0.1:2773
    aws secretsmanager list-secrets

For the AWS CLI v1 and boto3 alone, without an agent:

    make install-models%[2]s
    export AWS_ENDPOINT_URL_SECRETS_MANAGER=%[1]s

To be told when something is wrong:

    aws sns subscribe --topic-arn %[3]s --protocol email --notification-endpoint you@example.com

`

// signingName is an argument for what does not read it from the URL.
func signingName(at endpoint.Endpoint) string {
	if at.Service == endpoint.FunctionURL {
		return " SIGNING_NAME=" + endpoint.FunctionURL
	}
	return ""
}
