package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/endpoint"
	"github.com/strongroom/strongroom/pkg/settings/documented"
)

const gateway = "https://a1b2c3.execute-api.eu-central-1.amazonaws.com/v1"

func read(env map[string]string, args ...string) (settings, error) {
	return readSettings(args, func(name string) string { return env[name] }, nil)
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	got, err := read(map[string]string{"STRONGROOM_ENDPOINT": gateway})
	if err != nil {
		t.Fatal(err)
	}
	got.endpoint.URL, got.url = nil, ""
	want := settings{
		endpoint: endpoint.Endpoint{Service: "execute-api", Region: "eu-central-1"},
		addr:     "127.0.0.1:2773", timeout: 30 * time.Second, ttl: 300 * time.Second, cacheSize: 1000, maxConnections: 800,
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Each flag has a variable; flags come first. In Lambda, the variables of AWS's extension
// count as well.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	got, err := read(map[string]string{
		"STRONGROOM_ENDPOINT": gateway, "STRONGROOM_ADDR": "[::1]:1", "STRONGROOM_TTL": "1m", "STRONGROOM_ANY_CALLER": "true", "STRONGROOM_CACHE_SIZE": "5",
		"SECRETS_MANAGER_TTL": "30",
	}, "--cache-size", "6")
	if err != nil || got.addr != "[::1]:1" || got.ttl != time.Minute || !got.anyCaller || got.cacheSize != 6 {
		t.Errorf("got %+v, %v", got, err)
	}
	lambda := map[string]string{
		"STRONGROOM_ENDPOINT": gateway, "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
		"PARAMETERS_SECRETS_EXTENSION_HTTP_PORT": "2774", "SECRETS_MANAGER_TTL": "30", "PARAMETERS_SECRETS_EXTENSION_CACHE_SIZE": "7",
	}
	if got, err = read(lambda); err != nil || got.addr != "127.0.0.1:2774" || got.ttl != 30*time.Second || got.cacheSize != 7 {
		t.Errorf("in Lambda: got %+v, %v", got, err)
	}
	lambda["PARAMETERS_SECRETS_EXTENSION_CACHE_ENABLED"] = "FALSE"
	if got, err = read(lambda); err != nil || got.ttl != 0 {
		t.Errorf("in Lambda, without a cache: got %+v, %v", got, err)
	}
	lambda["STRONGROOM_TTL"] = "10s"
	if got, err = read(lambda); err != nil || got.ttl != 10*time.Second {
		t.Errorf("in Lambda, with our own variable: got %+v, %v", got, err)
	}
}

// What is wrong is said in a sentence that says what to do.
func TestRefused(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                           "STRONGROOM_ENDPOINT is not set; it is the URL of Strongroom, the output Endpoint of the stack",
		"--endpoint strongroom":      `--endpoint: "strongroom" is not a URL such as https://`,
		"--endpoint http://10.0.0.1": "--endpoint http://10.0.0.1 is not https, so values would travel in plain",
		"--endpoint https://u:EXAMPLE@strongroom.example":    "--endpoint: the URL of an endpoint has a host and a path, and no user",
		"--endpoint http://127.0.0.1:2773":                   "--endpoint http://127.0.0.1:2773 is the address of the agent itself",
		"--endpoint http://localhost:4567 --addr [::1]:4567": "is the address of the agent itself",
		"--check --addr=":          "the agent would answer nobody",
		"E --region Frankfurt":     `--region "Frankfurt" is not a Region such as eu-central-1`,
		"E --signing-name s3":      `--signing-name "s3" is neither execute-api nor lambda`,
		"E --addr 0.0.0.0:2773":    "--addr 0.0.0.0:2773 is not on loopback; the agent answers this machine only",
		"E --addr :2773":           "--addr :2773 is not on loopback",
		"E --addr strongroom:2773": "is not on loopback",
		"E --addr 127.0.0.1":       "--addr 127.0.0.1 is not an address and a port, such as 127.0.0.1:2773",
		"E --addr 127.0.0.1:http":  "the port is not a number from 0 to 65535",
		"E --addr=":                "--addr is empty and there is no --socket: the agent would answer nobody",
		"E --timeout 1ms":          "--timeout must be from 1s to 5m0s",
		"E --ttl 2h":               "--ttl must be from 0 to 1h0m0s",
		"E --ttl -1s":              "--ttl must be from 0 to 1h0m0s",
		"E --cache-size 0":         "--cache-size must be from 1 to 1000",
		"E --max-connections 1001": "--max-connections must be from 1 to 1000",
		"E serve":                  `"serve" is no flag; -h lists them`,
		"E --tls":                  "flag provided but not defined: -tls; -h lists the flags",
	} {
		if _, err := read(nil, strings.Fields(strings.Replace(args, "E ", "--endpoint "+gateway+" ", 1))...); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "EXAMPLE") {
			t.Errorf("%s: got %v, want %s", args, err, want)
		}
	}
	if _, err := read(map[string]string{"STRONGROOM_ENDPOINT": gateway, "STRONGROOM_TTL": "soon"}); err == nil || !strings.HasPrefix(err.Error(), `STRONGROOM_TTL: "soon": `) {
		t.Errorf("a variable: got %v", err)
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	empty := filepath.Join(t.TempDir(), "empty")
	for path, text := range map[string]string{file: " EXAMPLE-TOKEN\n", empty: "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		env   map[string]string
		token string
		wrong string
	}{
		{map[string]string{}, "", ""},
		{map[string]string{"AWS_TOKEN": "a", "AWS_SESSION_TOKEN": "b"}, "a", ""},
		{map[string]string{"AWS_SESSION_TOKEN": "b", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "c"}, "b", ""},
		{map[string]string{"AWS_CONTAINER_AUTHORIZATION_TOKEN": "c"}, "c", ""},
		{map[string]string{"AWS_TOKEN": "file://" + file}, "EXAMPLE-TOKEN", ""},
		{map[string]string{"AWS_TOKEN": "file://" + empty}, "", "is empty"},
		{map[string]string{"AWS_TOKEN": "file:///no/such/file"}, "", "AWS_TOKEN: read the token: "},
	} {
		test.env["STRONGROOM_ENDPOINT"] = gateway
		got, err := read(test.env)
		if got.token != test.token || (err != nil) != (test.wrong != "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("%v: got %q, %v, want %q, %q", test.env, got.token, err, test.token, test.wrong)
		}
	}
}

// What requests are signed for: by a flag, by the endpoint, by the machine.
func TestSignedFor(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ args, machine, want string }{
		{"--endpoint " + gateway, "us-east-1", "execute-api eu-central-1"},
		{"--endpoint https://abc.lambda-url.eu-west-1.on.aws", "us-east-1", "lambda eu-west-1"},
		{"--endpoint https://strongroom.example", "us-east-1", "execute-api us-east-1"},
		{"--endpoint https://strongroom.example --signing-name lambda --region eu-west-2", "us-east-1", "lambda eu-west-2"},
		{"--endpoint https://strongroom.example", "", "the Region is not known"},
	} {
		set, err := read(nil, strings.Fields(test.args)...)
		if err != nil {
			t.Fatal(err)
		}
		at, err := signedFor(set, test.machine)
		got := at.Service + " " + at.Region
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: got %s, want %s", test.args, got, test.want)
		}
	}
}

// What is to be copied names settings that there are.
func TestSnippets(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	newFlags(&settings{}).VisitAll(func(f *flag.Flag) { known[variable(f.Name)] = true })
	files, err := filepath.Glob("../../docs/agent/*")
	if err != nil || len(files) < 4 {
		t.Fatalf("got %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`STRONGROOM_[A-Z_]+`).FindAllString(string(text), -1)
		for _, name := range names {
			if !known[name] {
				t.Errorf("%s: %s is no setting", file, name)
			}
		}
		if filepath.Ext(file) == ".json" {
			wantTask(t, file, text)
		}
	}
}

// wantTask checks what Fargate refuses a task without.
func wantTask(t *testing.T, file string, text []byte) {
	t.Helper()
	var task map[string]any
	if err := json.Unmarshal(text, &task); err != nil {
		t.Errorf("%s: %v", file, err)
	}
	for _, name := range []string{"family", "networkMode", "cpu", "memory", "executionRoleArn", "containerDefinitions"} { // the role fetches the images
		if task[name] == nil {
			t.Errorf("%s has no %s", file, name)
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if _, err := readSettings([]string{"-h"}, func(string) string { return "" }, &out); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v", err)
	}
	newFlags(&settings{}).VisitAll(func(f *flag.Flag) {
		if !strings.Contains(out.String(), "-"+f.Name) {
			t.Errorf("%s is not in the help", f.Name)
		}
	})
	for _, want := range []string{"AWS_ENDPOINT_URL_SECRETS_MANAGER=http://127.0.0.1:2773", "STRONGROOM_ENDPOINT", "AWS_TOKEN"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is not in the help: %s", want, &out)
		}
	}
}

func TestFlagsInDocs(t *testing.T) {
	t.Parallel()
	var known []string
	newFlags(&settings{}).VisitAll(func(f *flag.Flag) { known = append(known, "--"+f.Name) })
	documented.Same(t, "../../docs/clients.md", "## The agent", known)
}
