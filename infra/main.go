// Package main describes what Strongroom needs in an AWS account: one stack
// with a table, a key, a function and the API in front of it.
//
// The stack keeps three promises, and its test holds it to them. What is stored
// outlives the stack: the table, its key and the audit records stay when it goes. Nobody
// is given more than the calls they make: every policy is written out here. And
// no body of a request or an answer, each of them a secret, reaches a log.
package main

import (
	"fmt"
	"os"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

// apiAsset is the folder that becomes the function's code, as the Makefile
// builds it.
const apiAsset = "bin/api"

func main() {
	if err := synth(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func synth() error {
	defer jsii.Close()
	if err := checkAsset(apiAsset); err != nil {
		return err
	}
	app := awscdk.NewApp(nil)
	set, err := readSettings(contextOf(app))
	if err != nil {
		return err
	}
	newStack(app, set, apiAsset)
	app.Synth(nil)
	return nil
}

// checkAsset says what is wrong with a folder that should hold the function's
// binary and nothing else: whatever else lies there would be deployed too.
func checkAsset(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("the function is not built: %w", err)
	}
	if len(entries) != 1 || entries[0].Name() != "bootstrap" {
		return fmt.Errorf("%s must hold bootstrap and nothing else", folder)
	}
	return nil
}

func contextOf(app awscdk.App) func(string) any {
	return func(name string) any { return app.Node().TryGetContext(jsii.String(name)) }
}
