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
	"maps"
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
	apiName:       {binary, policies},
	pruneName:     {binary},
	rotateName:    {binary},
	replicateName: {binary},

	filepath.Join(agentFolder, "arm64"):                {"extensions"},
	filepath.Join(agentFolder, "arm64", "extensions"):  {agentBinary},
	filepath.Join(agentFolder, "x86_64"):               {"extensions"},
	filepath.Join(agentFolder, "x86_64", "extensions"): {agentBinary},
}

// sources are where code comes from: the folder that the Makefile builds the
// functions into, with a folder for each, and that of the signing layer.
type sources struct{ bin, signing string }

func main() {
	quiet()
	if err := synth(sources{bin: "bin", signing: filepath.Join("infra", "signing")}); err != nil {
		fmt.Fprintf(os.Stderr, "\nstrongroom: %v\n\n", err)
		os.Exit(1)
	}
}

// quiet has the CDK's runtime say nothing of the age of Node.js, at a length that hides
// what is said here.
func quiet() {
	for _, about := range []string{"END_OF_LIFE", "DEPRECATED", "UNTESTED"} {
		_ = os.Setenv("JSII_SILENCE_WARNING_"+about+"_NODE_VERSION", "18,20,22,24,26")
	}
}

func synth(from sources) error {
	defer jsii.Close()
	app := awscdk.NewApp(nil)
	lookup, names := contextOf(app)
	// The CDK's command tells what the credentials say.
	set, err := readSettings(lookup, names, place{os.Getenv("CDK_DEFAULT_ACCOUNT"), os.Getenv("CDK_DEFAULT_REGION")})
	if err != nil {
		return err
	}
	if err := deployPolicies(set, from); err != nil {
		return err
	}
	if err := checkSources(from); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, summary(set))
	newStack(app, set, from)
	app.Synth(nil)
	return nil
}

// summary says what an operator should not find out afterwards.
func summary(set settings) string {
	lines := []string{"strongroom: principal policies of " + set.policies}
	if set.allowEveryone {
		lines = append(lines, "strongroom: allowEveryone is set, so these may let every caller of the API do everything")
	}
	if set.frontDoor == frontREST && !set.apiGatewayLogsRole {
		lines = append(lines, "strongroom: API Gateway writes its logs with the role of this account and Region. If it has none yet, "+
			`"aws apigateway get-account" shows no cloudwatchRoleArn: deploy with -c apiGatewayLogsRole=true then`)
	}
	if set.keyArn != "" {
		lines = append(lines, "strongroom: the policy of keyArn stays as it is: see to it that its statement ValuesStaySealed names the output ApiRole")
	}
	return strings.Join(append(lines, replicationSummary(set)...), "\n")
}

// replicationSummary says what replication still needs after this deployment.
func replicationSummary(set settings) []string {
	var lines []string
	for _, region := range set.peerRegions() {
		if set.replicaRegions[region].RoleArn == "" {
			lines = append(lines, "strongroom: replicaRegions has no roleArn for "+region+
				": until it is the output ReplicateRole of that deployment, nothing of "+region+" is replicated to here")
		}
	}
	if set.replicates() && set.keyArn != "" {
		lines = append(lines, "strongroom: the policy of keyArn must also let the output ReplicateRole decrypt, and each roleArn of replicaRegions make data keys")
	}
	if set.replicates() && set.tableName != "" {
		lines = append(lines, "strongroom: the stream of tableName is not used: replicas follow within a minute or two")
	}
	return lines
}

// deployPolicies puts the file of principal policies beside the program of functions/api.
// It is checked as the function will, which does not start with wrong ones.
func deployPolicies(set settings, from sources) error {
	text, err := os.ReadFile(set.policies)
	if err != nil {
		return fmt.Errorf("setting policies: %w", err)
	}
	if err := checkPolicies(set, text); err != nil {
		return err
	}
	file := filepath.Join(from.bin, apiName, policies)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // of what is built
		return err
	}
	return os.WriteFile(file, text, 0o644) //nolint:gosec // Lambda's user reads it
}

// checkPolicies refuses policies that leave everything to the front door, unless that is
// asked for.
func checkPolicies(set settings, text []byte) error {
	all, err := policy.ParseSet(set.policies, text)
	if err != nil {
		return fmt.Errorf("setting policies: %w", err)
	}
	if broad := all.Broad(); len(broad) > 0 && !set.allowEveryone {
		return fmt.Errorf("setting policies: %s allows every caller whom the front door lets in. "+
			"Name a file that says who may do what (-c policies=mine.json), or accept it with -c allowEveryone=true", broad[0])
	}
	return nil
}

func checkSources(from sources) error {
	for _, name := range slices.Sorted(maps.Keys(assets)) {
		if err := checkAsset(filepath.Join(from.bin, name), assets[name]); err != nil {
			return err
		}
	}
	return nil
}

// checkAsset says what is wrong with a folder that should hold these files, in the
// order of their names, and nothing else: whatever else lies there would be
// deployed too.
func checkAsset(folder string, files []string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("%s is not built, which make build does: %w", folder, err)
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

// contextOf is the context of an app, and the names in it.
func contextOf(app awscdk.App) (lookup func(string) any, names []string) {
	if all, ok := app.Node().GetAllContext(nil).(map[string]any); ok {
		names = slices.Sorted(maps.Keys(all))
	}
	return func(name string) any { return app.Node().TryGetContext(jsii.String(name)) }, names
}
