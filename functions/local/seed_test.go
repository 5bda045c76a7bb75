package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/local/auditfile"
	"github.com/strongroom/strongroom/pkg/local/localtest"
)

func seedFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "seed")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Secrets are created once, changed where the value differs, and else left alone. It is
// all recorded, and no value is said.
func TestSeed(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	policies := seedFile(t, `[{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":["secretsmanager:GetSecretValue","secretsmanager:DescribeSecret","secretsmanager:CreateSecret"],"Resource":"*"}]}]`)
	for i, test := range []struct{ seed, said string }{
		{`[{"Name":"db","SecretString":"QXZ-1","Description":"of the app","Tags":[{"Key":"team","Value":"blue"}]},{"Name":"cert","SecretBinary":"AAH/"}]`, `"created":2,"changed":0,"unchanged":0`},
		{`[{"Name":"db","SecretString":"QXZ-1"},{"Name":"cert","SecretBinary":"AAH/"}]`, `"created":0,"changed":0,"unchanged":2`},
		{`{"db":{"password": "QXZ-2"},"new":"QXZ-3"}`, `"created":1,"changed":1,"unchanged":0`},
		{"db='{\"password\":\"QXZ-2\"}'\nnew=QXZ-4\ncert=QXZ-5", `"created":0,"changed":2,"unchanged":1`},
	} {
		r := start(t, "--data", data, "--seed", seedFile(t, test.seed), "--policies", policies)
		if i == 0 {
			out, err := localtest.Client(r.url).DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("db")})
			if err != nil || aws.ToString(out.Description) != "of the app" || len(out.Tags) != 1 {
				t.Errorf("got %+v, %v, want description and tag", out, err)
			}
			value, err := localtest.Client(r.url).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("cert")})
			if err != nil || string(value.SecretBinary) != "\x00\x01\xff" {
				t.Errorf("got %v, %v", value, err)
			}
		}
		if i == 3 {
			for name, want := range map[string]string{"db": `{"password":"QXZ-2"}`, "new": "QXZ-4", "cert": "QXZ-5"} {
				if got := get(t, r.url, name); got != want {
					t.Errorf("%s: got %s, want %s", name, got, want)
				}
			}
		}
		r.interrupt(t)
		if got := r.errors.String(); !strings.Contains(got, `"msg":"seeded",`+test.said) || strings.Contains(got, "QXZ") {
			t.Errorf("seed %d: it logged %s, want %s", i, got, test.said)
		}
	}
	var records []byte
	for _, file := range auditfile.Paths(filepath.Join(data, "audit.jsonl")) {
		text, err := os.ReadFile(file)
		if err != nil || strings.Contains(string(text), "QXZ") {
			t.Errorf("got %s, %v", text, err)
		}
		records = append(records, text...)
	}
	for what, want := range map[string]int{`"eventName":"CreateSecret"`: 3, `"eventName":"PutSecretValue"`: 3, `user/strongroom-seed"`: 15} {
		if got := strings.Count(string(records), what); got != want {
			t.Errorf("got %d records with %s, want %d", got, what, want)
		}
	}
}

// A secret without a value gets one.
func TestSeedOfEmptySecret(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	r := start(t, "--data", data)
	if _, err := localtest.Client(r.url).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("empty")}); err != nil {
		t.Fatal(err)
	}
	r.interrupt(t)
	r = start(t, "--data", data, "--seed", seedFile(t, "empty=full"))
	if got := get(t, r.url, "empty"); got != "full" {
		t.Errorf("got %q, want full", got)
	}
	r.interrupt(t)
	if !strings.Contains(r.errors.String(), `"created":0,"changed":1,"unchanged":0`) {
		t.Errorf("it logged %s", r.errors)
	}
}

func TestSeedIsRefused(t *testing.T) {
	t.Parallel()
	const envError = ": line 2: the value of B has a quote, backslash, $ or ` in it; put it in single quotes"
	if got := refused(t, "--memory", "--addr", "127.0.0.1:0", "--seed", seedFile(t, "A=x\nB=$QXZ")); !strings.Contains(got, envError) {
		t.Errorf("got %s, want %s", got, envError)
	}
	for text, want := range map[string]string{
		`{"a b":"x"}`: `secret "a b": ValidationException: Invalid name.`,
		`{"a":""}`:    `secret "a": ValidationException: `,
	} {
		secrets, err := parseSeed([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := seed(t.Context(), memory(t), "f", secrets, io.Discard); err == nil || !strings.HasPrefix(err.Error(), "--seed: "+want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
	if got := refused(t, "--memory", "--addr", "127.0.0.1:0", "--seed", filepath.Join(t.TempDir(), "none")); !strings.Contains(got, "no such file") {
		t.Errorf("got %s", got)
	}
}

// An interrupt lets the secret under way be completed and says how many there are. No
// failure is logged or recorded, and the next start goes on.
func TestSeedIsInterrupted(t *testing.T) {
	t.Parallel()
	server, log := memory(t), new(bytes.Buffer)
	server.Log = slog.New(slog.NewJSONHandler(log, nil))
	ctx, cancel := context.WithCancel(t.Context())
	trail := &cancellingTrail{cancel: cancel, after: 7} // in GetSecretValue of the fourth
	server.Trail = trail
	secrets := make([]seedSecret, 10)
	for i := range secrets {
		secrets[i] = seedSecret{Name: fmt.Sprint("seed-", i), SecretString: aws.String("v")}
	}
	err := seed(ctx, server, "f", secrets, io.Discard)
	if want := "--seed: stopped after 4 of 10 secrets; start again to go on"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"msg":"seeding","secrets":10`) {
		t.Errorf("it logged %s, want how many there are, and no more", got)
	}
	if trail.failed > 0 {
		t.Errorf("%d calls are recorded as failures of the server", trail.failed)
	}
	if err := seed(t.Context(), server, "f", secrets, io.Discard); err != nil {
		t.Error(err)
	}
	if got := log.String(); !strings.Contains(got, `"msg":"seeded","created":6,"changed":0,"unchanged":4`) {
		t.Errorf("it logged %s, want 6 more", got)
	}
}

// A cancellingTrail ends a context during a call, and refuses records of ended ones.
type cancellingTrail struct {
	cancel        func()
	after, failed int
}

func (c *cancellingTrail) Keep(ctx context.Context, records ...audit.Record) error {
	for _, r := range records {
		if c.after--; c.after == 0 {
			c.cancel()
		}
		if r.ErrorCode == "InternalFailure" || r.ErrorCode == "InternalServiceError" {
			c.failed++
		}
	}
	return ctx.Err()
}

func TestSeedProgress(t *testing.T) {
	t.Parallel()
	for terminal, want := range map[bool]string{true: "\rsecrets seeded: 1 of 2\rsecrets seeded: 2 of 2\n", false: ""} {
		var out bytes.Buffer
		tell, end := seedProgress(&out, terminal, 2)
		tell(1)
		tell(2)
		end()
		end()
		if got := out.String(); got != want {
			t.Errorf("terminal %t: got %q, want %q", terminal, got, want)
		}
	}
}

func TestSeedFileIsEmpty(t *testing.T) {
	t.Parallel()
	path := seedFile(t, "# nothing yet\n")
	r := start(t, "--memory", "--seed", path)
	r.interrupt(t)
	if want := `"level":"WARN","msg":"the seed file holds no secrets","file":"` + path + `"`; !strings.Contains(r.errors.String(), want) {
		t.Errorf("it logged %s, want %s", r.errors, want)
	}
}
