// Package main describes what Strongroom needs in an AWS account: one stack
// with a table, a key, a function with the API in front of it, and two functions
// that schedules run.
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
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"github.com/strongroom/strongroom/pkg/policy"
)

// The files of a function's folder. The policies are those of functions/api.
const (
	binary   = "bootstrap"
	policies = "policies.json"
)

// assets are the functions, as their folders are called, and what is deployed of
// each; and the layers of the agent.
var assets = map[string][]string{
	apiName:    {binary, policies},
	pruneName:  {binary},
	rotateName: {binary},

	filepath.Join(agentFolder, "arm64"):                {"extensions"},
	filepath.Join(agentFolder, "arm64", "extensions"):  {agentBinary},
	filepath.Join(agentFolder, "x86_64"):               {"extensions"},
	filepath.Join(agentFolder, "x86_64", "extensions"): {agentBinary},
}

// sources are where code comes from: the folder that the Makefile builds the
// functions into, with a folder for each, and that of the signing layer.
type sources struct{ bin, signing string }

func main() {
	if err := synth(sources{bin: "bin", signing: filepath.Join("infra", "signing")}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func synth(from sources) error {
	defer jsii.Close()
	if err := checkSources(from); err != nil {
		return err
	}
	app := awscdk.NewApp(nil)
	set, err := readSettings(contextOf(app))
	if err != nil {
		return err
	}
	newStack(app, set, from)
	app.Synth(nil)
	return nil
}

func checkSources(from sources) error {
	for name, files := range assets {
		if err := checkAsset(filepath.Join(from.bin, name), files); err != nil {
			return err
		}
	}
	return checkPolicies(filepath.Join(from.bin, apiName, policies))
}

// checkAsset says what is wrong with a folder that should hold these files, in the
// order of their names, and nothing else: whatever else lies there would be
// deployed too.
func checkAsset(folder string, files []string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("the function is not built: %w", err)
	}
	var found []string
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	if !slices.Equal(found, files) {
		return fmt.Errorf("%s must hold %s and nothing else; make build brings what is missing", folder, strings.Join(files, " and "))
	}
	return nil
}

// checkPolicies reads the principal policies as functions/api will, which does not
// start with wrong ones.
func checkPolicies(file string) error {
	text, err := os.ReadFile(file) //nolint:gosec // the operator's own
	if err != nil {
		return err
	}
	_, err = policy.ParseSet(file, text)
	return err
}

func contextOf(app awscdk.App) func(string) any {
	return func(name string) any { return app.Node().TryGetContext(jsii.String(name)) }
}
