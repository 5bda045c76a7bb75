package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
)

type object = map[string]any

// A template is a CloudFormation template with its functions written as text:
// "${Table.Arn}" for what GetAtt gives, "${Table}" for Ref, and Join joined.
type template struct {
	Resources map[string]resource
	Outputs   map[string]struct{ Value, Description string }

	raw       any                 // as it was written
	manifest  object              // what the CDK's command is told about the stack
	functions map[string]resource // by the folder of their code
	layers    map[string][]string // by the output that names it: its files, as they are in /opt
}

type resource struct {
	ID                                        string
	Type, DeletionPolicy, UpdateReplacePolicy string
	DependsOn                                 []string
	Properties                                object
}

// plain are settings that are nobody's defaults, to see that they arrive.
var plain = object{
	"stackName":              "Vault",
	"account":                "",
	"region":                 "",
	"tags":                   object{},
	"permissionsBoundaryArn": "",
	"terminationProtection":  true,
	"policies":               "policies.json",
	"allowEveryone":          false,
	"breakGlassRoleArn":      "",
	"tracing":                false,

	"endpointType":        "regional",
	"vpcEndpointIds":      []any{},
	"endpointAccess":      "strict",
	"callerAccounts":      []any{},
	"callerOrganizations": []any{},
	"callerIpRanges":      []any{},
	"domainName":          "",
	"certificateArn":      "",
	"truststoreUri":       "",
	"webAcl":              "none",

	"tableName":           "",
	"keyArn":              "",
	"backupRetentionDays": 0,
	"backupVaultLock":     "none",
	"replicaRegions":      object{},
	"slowMilliseconds":    1500,
	"concurrencyAlarm":    70,
	"dashboard":           true,

	"logRetentionDays":   30,
	"frontDoor":          "rest",
	"throttleRate":       7,
	"throttleBurst":      11,
	"dataKeySeconds":     5,
	"kmsKeyArns":         []any{},
	"maxVersions":        200,
	"minAge":             "36h",
	"versionQuota":       300,
	"pruneEveryMinutes":  20,
	"schedules":          true,
	"alarmTopicArn":      "",
	"apiGatewayLogsRole": true,

	"minRotationInterval":      "90m",
	"rotationStepSeconds":      45,
	"rotationsAtOnce":          12,
	"rotationFunctionArns":     []any{},
	"auditRetentionDays":       1096,
	"auditRequired":            false,
	"auditSubscriptionArn":     "",
	"auditSubscriptionRoleArn": "",

	// As in cdk.json: what CloudFormation would refuse, a circle for one,
	// already ends the synthesis.
	"@aws-cdk/core:validateAgainstDefaultRules": true,
}

// stack is the template with plain settings. To synthesize takes many seconds,
// so it is done once for all tests.
func stack(t *testing.T) template {
	t.Helper()
	made, err := synthesizeOnce()
	if err != nil {
		t.Fatal(err)
	}
	return made
}

var synthesizeOnce = sync.OnceValues(func() (template, error) { return synthesize(nil) })

// whole is the template with what plain settings leave out: the second Region, and what
// replicates to it.
func whole(t *testing.T) template {
	t.Helper()
	stack(t)
	made, err := synthesizeWhole()
	if err != nil {
		t.Fatal(err)
	}
	return made
}

var synthesizeWhole = sync.OnceValues(func() (template, error) {
	synthesizing.Lock()
	defer synthesizing.Unlock()
	return synthesize(object{"replicaRegions": twoRegions, "kmsKeyArns": []string{ownFurther}})
})

const (
	ownFurther  = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd"
	irelandKey  = "arn:aws:kms:eu-west-1:111122223333:key/5678efab"
	irelandMore = "arn:aws:kms:eu-west-1:111122223333:key/90ab12cd"
	irelandRole = "arn:aws:iam::111122223333:role/Vault-ReplicateRole1234ABCD-a1b2c3"
	parisKey    = "arn:aws:kms:eu-west-3:111122223333:key/3456cdef"
)

// twoRegions are deployments that replicas are made in. One may make some here, too.
var twoRegions = object{
	"eu-west-1": object{"table": "ireland", "keyArn": irelandKey, "kmsKeyArns": []any{irelandMore}, "roleArn": irelandRole},
	"eu-west-3": object{"table": "paris", "keyArn": parisKey},
}

var synthesizing sync.Mutex

// synthesizeWith is the template with some settings of its own.
func synthesizeWith(t *testing.T, set object) template {
	t.Helper()
	stack(t)
	synthesizing.Lock() // two at once would trip over each other in the one Node process
	defer synthesizing.Unlock()
	made, err := synthesize(set)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func synthesize(set object) (made template, err error) {
	context := maps.Clone(plain)
	maps.Copy(context, set)
	folder, err := os.MkdirTemp("", "strongroom-infra")
	if err != nil {
		return made, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if err := writeAssets(folder); err != nil {
		return made, err
	}
	out := filepath.Join(folder, "out")
	app := awscdk.NewApp(&awscdk.AppProps{Context: &context, Outdir: &out})
	lookup, names := contextOf(app)
	chosen, err := readSettings(lookup, names, place{})
	if err != nil {
		return made, err
	}
	newStack(app, chosen, sources{bin: folder, signing: "signing"})
	app.Synth(nil)
	if made, err = readTemplate(filepath.Join(out, chosen.stackName+".template.json")); err != nil {
		return made, err
	}
	return made, errors.Join(made.readAssets(out), made.readManifest(out, chosen.stackName))
}

// writeAssets stands for make build: each file holds the name of its folder.
func writeAssets(folder string) (err error) {
	for name, files := range assets {
		asset := filepath.Join(folder, name)
		err = errors.Join(err, os.MkdirAll(asset, 0o700))
		for _, file := range files {
			if _, isFolder := assets[filepath.Join(name, file)]; !isFolder {
				err = errors.Join(err, os.WriteFile(filepath.Join(asset, file), []byte(name), 0o600))
			}
		}
	}
	return err
}

func readTemplate(file string) (made template, err error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return made, err
	}
	var all any
	if err := errors.Join(json.Unmarshal(raw, &all), json.Unmarshal(raw, &made.raw)); err != nil {
		return made, err
	}
	if raw, err = json.Marshal(written(all)); err != nil {
		return made, err
	}
	if err := json.Unmarshal(raw, &made); err != nil {
		return made, err
	}
	for id, r := range made.Resources {
		r.ID = id
		made.Resources[id] = r
	}
	return made, nil
}

func (m *template) readManifest(out, stackName string) error {
	text, err := os.ReadFile(filepath.Join(out, "manifest.json"))
	if err != nil {
		return err
	}
	var manifest struct {
		Artifacts map[string]struct{ Properties object }
	}
	err = json.Unmarshal(text, &manifest)
	m.manifest = manifest.Artifacts[stackName].Properties
	return err
}

// readAssets finds out which function is made of which code, that of functions/api
// is "api" here, and what is in the layers.
func (m *template) readAssets(out string) error {
	m.functions = map[string]resource{}
	for _, f := range m.all("AWS::Lambda::Function") {
		code, err := os.ReadFile(filepath.Join(out, assetOf(f.Properties["Code"]), binary))
		if err != nil {
			return err
		}
		m.functions[string(code)] = f
	}
	m.layers = map[string][]string{}
	for name, output := range m.Outputs {
		l, ok := m.Resources[strings.Trim(output.Value, "${}")]
		if !ok || l.Type != "AWS::Lambda::LayerVersion" {
			continue
		}
		files := os.DirFS(filepath.Join(out, assetOf(l.Properties["Content"])))
		err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				m.layers[name] = append(m.layers[name], path)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// assetOf is the folder of an asset.
func assetOf(code any) string {
	hash, _, _ := strings.Cut(code.(object)["S3Key"].(string), ".")
	return "asset." + hash
}

// written is a part of a template with CloudFormation's functions as text.
func written(part any) any {
	switch part := part.(type) {
	case []any:
		for i := range part {
			part[i] = written(part[i])
		}
	case object:
		if ref, ok := part["Ref"].(string); ok {
			return "${" + ref + "}"
		}
		if get, ok := part["Fn::GetAtt"].([]any); ok {
			return fmt.Sprintf("${%v.%v}", get...)
		}
		if join, ok := part["Fn::Join"].([]any); ok {
			return strings.Join(texts(written(join[1])), join[0].(string))
		}
		if split, ok := part["Fn::Split"].([]any); ok {
			return fmt.Sprintf("%v by %v", written(split[1]), split[0])
		}
		if picked, ok := part["Fn::Select"].([]any); ok {
			return fmt.Sprintf("part %v of %v", picked[0], written(picked[1]))
		}
		for name := range part {
			part[name] = written(part[name])
		}
	}
	return part
}

func (m template) all(kind string) []resource {
	var all []resource
	for _, id := range slices.Sorted(maps.Keys(m.Resources)) {
		if r := m.Resources[id]; r.Type == kind {
			all = append(all, r)
		}
	}
	return all
}

func (m template) one(t *testing.T, kind string) resource {
	t.Helper()
	all := m.all(kind)
	if len(all) != 1 {
		t.Fatalf("%s: %d in the template, want 1", kind, len(all))
	}
	return all[0]
}

func (m template) arn(t *testing.T, kind string) string {
	t.Helper()
	return "${" + m.one(t, kind).ID + ".Arn}"
}

func (m template) ref(t *testing.T, kind string) string {
	t.Helper()
	return "${" + m.one(t, kind).ID + "}"
}

func (m template) function(t *testing.T, name string) resource {
	t.Helper()
	function, ok := m.functions[name]
	if !ok {
		t.Fatalf("no function is made of functions/%s", name)
	}
	return function
}

// of is the resource that another one's property names.
func (m template) of(t *testing.T, property any) resource {
	t.Helper()
	text, _ := property.(string)
	id, _, _ := strings.Cut(strings.Trim(text, "${}"), ".")
	r, ok := m.Resources[id]
	if !ok {
		t.Fatalf("%v is no resource of the stack", property)
	}
	return r
}

// with is the resource of a kind that has a property.
func (m template) with(t *testing.T, kind, property string, value any) resource {
	t.Helper()
	for _, r := range m.all(kind) {
		if reflect.DeepEqual(r.Properties[property], value) {
			return r
		}
	}
	t.Fatalf("no %s with %s %v", kind, property, value)
	return resource{}
}

// role is the role that a service may take.
func (m template) role(t *testing.T, service string) resource {
	t.Helper()
	for _, r := range m.all("AWS::IAM::Role") {
		if first := r.statements()[0]; reflect.DeepEqual(first["Principal"], object{"Service": service}) {
			return r
		}
	}
	t.Fatalf("no role for %s", service)
	return resource{}
}

func (m template) logsOf(t *testing.T, function resource) resource {
	t.Helper()
	config, ok := function.Properties["LoggingConfig"].(object)
	if !ok {
		t.Fatalf("%s has no log group", function.ID)
	}
	logs := m.of(t, config["LogGroup"])
	same(t, "log group of "+function.ID, logs.Type, "AWS::Logs::LogGroup")
	return logs
}

// rights are what a role may do.
func (m template) rights(t *testing.T, role resource) []object {
	t.Helper()
	var all []object
	for _, policy := range m.all("AWS::IAM::Policy") {
		if slices.Contains(texts(policy.Properties["Roles"]), "${"+role.ID+"}") && !strings.HasPrefix(policy.ID, "RotateKeepsOff") {
			all = append(all, policy.statements()...)
		}
	}
	if all == nil {
		t.Fatalf("%s may do nothing", role.ID)
	}
	return all
}

// live is what callers of a function use: its alias, on a version that stays.
func (m template) live(t *testing.T, name string) string {
	t.Helper()
	return "${" + m.with(t, "AWS::Lambda::Alias", "FunctionName", "${"+m.function(t, name).ID+"}").ID + "}"
}

// statements are those of all policies of a resource, wherever they stand; of a
// role, those that say who may take it come first.
func (r resource) statements() []object {
	var all []object
	for _, name := range slices.Sorted(maps.Keys(r.Properties)) {
		all = append(all, statementsIn(r.Properties[name])...)
	}
	return all
}

func statementsIn(part any) []object {
	var all []object
	switch part := part.(type) {
	case []any:
		for _, inner := range part {
			all = append(all, statementsIn(inner)...)
		}
	case object:
		if list, ok := part["Statement"].([]any); ok {
			for _, s := range list {
				all = append(all, s.(object))
			}
			return all
		}
		for _, inner := range part {
			all = append(all, statementsIn(inner)...)
		}
	}
	return all
}

// texts are the strings of a list, or the one string that stands for a list.
func texts(part any) []string {
	if one, ok := part.(string); ok {
		return []string{one}
	}
	var all []string
	list, _ := part.([]any)
	for _, one := range list {
		all = append(all, one.(string))
	}
	return all
}

func sorted(all []string) []string {
	return slices.Sorted(slices.Values(all))
}

// byName is a list of attribute definitions in order of name: the order says
// nothing to DynamoDB.
func byName(definitions any) []string {
	var all []json.RawMessage
	raw, _ := json.Marshal(definitions)
	_ = json.Unmarshal(raw, &all)
	var lines []string
	for _, one := range all {
		lines = append(lines, string(one))
	}
	return sorted(lines)
}

// same compares what two values are in JSON, so that a struct may stand for
// what the template has, and an int for its numbers.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	g, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	w, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var gotJSON, wantJSON any
	_, _ = json.Unmarshal(g, &gotJSON), json.Unmarshal(w, &wantJSON)
	if !reflect.DeepEqual(gotJSON, wantJSON) {
		t.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}
