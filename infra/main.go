// Package main describes what Strongroom needs in an AWS account: one stack
// with a table, a key, a function with the API in front of it, and a function
// that a schedule runs.
//
// The stack keeps three promises, and its test holds it to them. What is stored
// outlives the stack: the table, its key and the logs stay when it goes. Nobody
// is given more than the calls they make: every policy is written out here. And
// no body of a request or an answer, each of them a secret, reaches a log.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

// bin is the folder that the Makefile builds the functions into: a folder for
// each, which becomes its code.
const bin = "bin"

func main() {
	if err := synth(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func synth() error {
	defer jsii.Close()
	for _, name := range []string{apiName, pruneName} {
		if err := checkAsset(filepath.Join(bin, name)); err != nil {
			return err
		}
	}
	app := awscdk.NewApp(nil)
	set, err := readSettings(contextOf(app))
	if err != nil {
		return err
	}
	newStack(app, set, bin)
	app.Synth(nil)
	return nil
}

// checkAsset says what is wrong with a folder that should hold a function's
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
