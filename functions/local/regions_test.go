package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/local/localtest"
)

// in is a client that signs for a Region.
func in(url, region string) *secretsmanager.Client { return signed(url, region, "local", "local") }

func signed(url, region, key, secret string) *secretsmanager.Client {
	return secretsmanager.New(secretsmanager.Options{
		Region: region, BaseEndpoint: &url, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""),
	})
}

func createIn(t *testing.T, url, region, name, value string) (arn string) {
	t.Helper()
	out, err := in(url, region).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value})
	if err != nil {
		t.Fatalf("%s: %v", region, err)
	}
	return aws.ToString(out.ARN)
}

func wantValueIn(t *testing.T, url, region, id, want string) {
	t.Helper()
	out, err := in(url, region).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &id})
	if err != nil || aws.ToString(out.SecretString) != want {
		t.Errorf("%s in %s: got %v, %v, want %s", id, region, out, err, want)
	}
}

func wantRefusedIn(t *testing.T, what string, err error, code, message string) {
	t.Helper()
	refused, ok := errors.AsType[smithy.APIError](err)
	if !ok || refused.ErrorCode() != code || refused.ErrorMessage() != message {
		t.Errorf("%s: got %v\nwant %s: %s", what, err, code, message)
	}
}

const notFound = "Secrets Manager can't find the specified secret."

// Each Region has secrets of its own, also under one name, and keeps them over a restart,
// whatever --region is then and however the server ended.
func TestRegionsAreApart(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	r := start(t, "--data", data)
	arns := map[string]string{}
	for _, region := range []string{"us-east-1", "eu-west-1", "eu-central-1"} {
		arns[region] = createIn(t, r.url, region, "s", "value of "+region)
		if !strings.HasPrefix(arns[region], "arn:aws:secretsmanager:"+region+":000000000000:secret:s-") {
			t.Errorf("%s: got %s", region, arns[region])
		}
	}
	if n := strings.Count(r.errors.String(), `"a Region is used for the first time; it has secrets of its own"`); n != 2 {
		t.Errorf("%d new Regions are in the log, want 2: %s", n, r.errors)
	}
	createIn(t, r.url, "eu-west-1", "only-there", "v")
	check := func(url string) {
		t.Helper()
		for region, arn := range arns {
			wantValueIn(t, url, region, "s", "value of "+region)
			wantValueIn(t, url, region, arn, "value of "+region)
		}
		for _, id := range []string{"only-there", arns["eu-west-1"]} {
			_, err := in(url, "us-east-1").GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &id})
			wantRefusedIn(t, id+" elsewhere", err, "ResourceNotFoundException", notFound)
		}
	}
	check(r.url)
	if _, value := valueOfUnsigned(t, r.url, "s"); !strings.Contains(value, "value of us-east-1") {
		t.Errorf("not signed: got %s", value)
	}
	kill(t, r)
	r = start(t, "--data", data, "--region", "eu-west-1")
	check(r.url)
	if _, value := valueOfUnsigned(t, r.url, "s"); !strings.Contains(value, "value of eu-west-1") {
		t.Errorf("not signed: got %s", value)
	}
	r.interrupt(t)
	r = start(t, "--data", data)
	check(r.url)
}

func valueOfUnsigned(t *testing.T, url, name string) (status int, body string) {
	t.Helper()
	status, body, err := post(url, "GetSecretValue", map[string]any{"SecretId": name})
	if err != nil {
		t.Fatal(err)
	}
	return status, body
}

// What is not a Region has no secrets, and a checked signature counts in its Region.
func TestRegionOfASignature(t *testing.T) {
	t.Parallel()
	users := filepath.Join(t.TempDir(), "users.json")
	keyFile(t, users, "ann", annKey, annSecret)
	checking := start(t, "--memory", "--verify-credentials", users)
	open := start(t, "--memory")
	for _, r := range []running{checking, open} {
		for _, region := range []string{"us-east", "us-east-1a", "US-EAST-1", "local"} {
			_, err := signed(r.url, region, annKey, annSecret).ListSecrets(t.Context(), nil)
			wantRefusedIn(t, region, err, "InvalidSignatureException", "Credential should be scoped to a valid Region, such as 'us-east-1'.")
		}
		out, err := signed(r.url, "ap-south-1", annKey, annSecret).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("s")})
		if err != nil || !strings.HasPrefix(aws.ToString(out.ARN), "arn:aws:secretsmanager:ap-south-1:") {
			t.Errorf("got %v, %v", out, err)
		}
	}
	// Who does not prove it makes no Region.
	for i := range local.MaxRegions {
		_, err := signed(checking.url, fmt.Sprint("xx-east-", i), annKey, bobSecret).ListSecrets(t.Context(), nil)
		if err == nil {
			t.Fatal("a wrong signature is taken")
		}
	}
	if _, err := signed(checking.url, "eu-west-1", annKey, annSecret).ListSecrets(t.Context(), nil); err != nil {
		t.Error(err)
	}
	// Without a scope it is as without a signature.
	for credential, want := range map[string]string{
		"local": "us-east-1", "local/x": "us-east-1", "local/1/eu-west-1/s/aws4_request/more": "us-east-1",
		"local/1/eu-west-1/s/x": "eu-west-1", "/1/eu-west-1/s/x": "eu-west-1",
		"local/1//s/x": "us-east-1", "local/1/../s/x": "InvalidSignatureException", "local/1/" + strings.Repeat("a", 127) + "-1/s/x": "InvalidSignatureException",
	} {
		answer, body := ask(t, http.MethodPost, open.url, func(r *http.Request) {
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+credential)
			r.Header.Set("Content-Type", "application/x-amz-json-1.1")
			r.Header.Set("X-Amz-Target", "secretsmanager.CreateSecret")
			r.Body = io.NopCloser(strings.NewReader(`{"Name":"` + uuid.NewString() + `"}`))
		})
		if !strings.Contains(body, want) {
			t.Errorf("%.80s: got %d %s, want %s", credential, answer.StatusCode, body, want)
		}
	}
}

// There are so many Regions and no more, and nothing of one too many is left.
func TestTooManyRegions(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	r := start(t, "--data", data)
	for i := range local.MaxRegions - 1 {
		createIn(t, r.url, fmt.Sprint("eu-west-", i), "s", "v")
	}
	for range 2 {
		_, err := in(r.url, "ap-south-1").ListSecrets(t.Context(), nil)
		wantRefusedIn(t, "one too many", err, "LimitExceededException", "The local server keeps the secrets of 50 Regions, and has that many: ap-south-1 would be one more.")
	}
	wantValueIn(t, r.url, "eu-west-7", "s", "v")
	if files, err := filepath.Glob(filepath.Join(data, "keys*")); err != nil || len(files) != local.MaxRegions {
		t.Errorf("%d key files, %v", len(files), err)
	}
	r.interrupt(t)
	r = start(t, "--data", data)
	wantValueIn(t, r.url, "eu-west-48", "s", "v")
}

// The first calls of a Region may come at once, with those of others.
func TestFirstCallsAtOnce(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	r := start(t, "--data", data, "--rate", "0")
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			name := fmt.Sprint("s-", i)
			_, err := in(r.url, fmt.Sprint("eu-west-", i%4)).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &name})
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	all.Wait()
	kill(t, r)
	r = start(t, "--data", data, "--rate", "0")
	for i := range 40 {
		wantValueIn(t, r.url, fmt.Sprint("eu-west-", i%4), fmt.Sprint("s-", i), fmt.Sprint("s-", i))
	}
}

// A server that is killed while it makes a Region makes the rest the next time.
func TestKilledAtFirstUseOfARegion(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	for i := range 20 {
		region := fmt.Sprint("eu-west-", i)
		r := start(t, "--data", data)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = in(r.url, region).ListSecrets(t.Context(), nil) // it may be cut off
		}()
		time.Sleep(time.Duration(i) * 500 * time.Microsecond)
		kill(t, r)
		<-done
		r = start(t, "--data", data)
		createIn(t, r.url, region, "s", "v")
		kill(t, r)
	}
	r := start(t, "--data", data)
	for i := range 20 {
		wantValueIn(t, r.url, fmt.Sprint("eu-west-", i), "s", "v")
	}
}

// A server whose keys of one Region are lost does not start, and says which; the others can
// be taken out.
func TestLostKeysOfOneRegion(t *testing.T) {
	t.Parallel()
	data, file := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "items.jsonl")
	r := start(t, "--data", data)
	create(t, r.url, "s", "v")
	createIn(t, r.url, "eu-west-1", "s", "v")
	r.interrupt(t)
	if err := os.Remove(filepath.Join(data, "keys-eu-west-1.json")); err != nil {
		t.Fatal(err)
	}
	const want = "keys-eu-west-1.json is missing, and the secrets of eu-west-1 in "
	for _, args := range [][]string{{"--addr", "127.0.0.1:0"}, {"--prune"}, {"--verify"}, {"--export", file, "--region", "eu-west-1"}} {
		if said := refused(t, append(args, "--data", data)...); !strings.Contains(said, want) {
			t.Errorf("%v: got %s, want %s", args, said, want)
		}
	}
	if said := once(t, program, "--data", data, "--export", file); !strings.HasPrefix(said, "items exported: ") {
		t.Errorf("got %s", said)
	}
}

// What is done once is done in all Regions, and says so where there are several.
func TestOnceInAllRegions(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	r := start(t, "--data", data)
	create(t, r.url, "s", "v")
	createIn(t, r.url, "eu-west-1", "a", "v")
	createIn(t, r.url, "eu-west-1", "b", "v")
	r.interrupt(t)
	want := "eu-west-1: secrets looked at: 0, purged: 0; versions removed: 0\nus-east-1: secrets looked at: 0, purged: 0; versions removed: 0\n"
	if said := once(t, program, "--data", data, "--prune"); said != want {
		t.Errorf("got %s", said)
	}
	want = "eu-west-1: secrets examined: 2; findings: 0, repaired: 0\nus-east-1: secrets examined: 1; findings: 0, repaired: 0\n"
	if said := once(t, program, "--data", data, "--verify"); said != want {
		t.Errorf("got %s", said)
	}
}

// Whatever Region it is, the server prunes and rotates there by itself, also after a start
// without a call for it.
func TestRegionsAreLookedAfter(t *testing.T) {
	t.Parallel()
	orders := make(chan string, 100)
	functions := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var order struct{ SecretID, Step string }
		if err := json.NewDecoder(r.Body).Decode(&order); err != nil || order.Step == "" {
			w.WriteHeader(http.StatusNoContent) // it was asked whether there is a function
			return
		}
		orders <- order.SecretID
		w.WriteHeader(http.StatusInternalServerError)
	}))
	t.Cleanup(functions.Close)
	env := []string{"AWS_ENDPOINT_URL_LAMBDA=" + functions.URL}
	args := []string{"--data", filepath.Join(t.TempDir(), "data"), "--max-versions", "0", "--min-age", "0s"}
	r := startWith(t, env, args...)
	arn := createIn(t, r.url, "eu-west-1", "s", "value")
	for i := range 9 {
		if _, err := in(r.url, "eu-west-1").PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &arn, SecretString: aws.String(fmt.Sprint(i))}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := in(r.url, "eu-west-1").RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
		SecretId: &arn, RotationLambdaARN: aws.String("arn:aws:lambda:eu-west-1:000000000000:function:f"), RotationRules: &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(1)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := <-orders; got != arn {
		t.Errorf("rotated %s, want %s", got, arn)
	}
	r.interrupt(t)
	r = startWith(t, env, args...)
	const logged = `"msg":"pruned","awsRegion":"eu-west-1","versions":`
	within(t, "nothing is pruned: "+r.errors.String(), func() bool { return strings.Contains(r.errors.String(), logged) })
}

// --seed is for the Region of --region.
func TestSeedOfARegion(t *testing.T) {
	t.Parallel()
	data, seed := filepath.Join(t.TempDir(), "data"), seedFile(t, "A=x")
	r := start(t, "--data", data)
	r.interrupt(t)
	r = start(t, "--data", data, "--region", "eu-west-1", "--seed", seed)
	wantValueIn(t, r.url, "eu-west-1", "A", "x")
	_, err := in(r.url, "us-east-1").GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("A")})
	wantRefusedIn(t, "elsewhere", err, "ResourceNotFoundException", notFound)
}

// An export is of one Region, says which are not in it, and can be imported beside others.
func TestTransferOfRegions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data, to := filepath.Join(dir, "data"), filepath.Join(dir, "restored")
	file := func(region string) string { return filepath.Join(dir, region+".jsonl") }
	r := start(t, "--data", data)
	names := []string{"eu-west-1", "us-east-1"}
	for _, region := range names {
		createIn(t, r.url, region, "s", "value of "+region)
	}
	r.interrupt(t)
	if said := refused(t, "--data", data, "--export", file("none"), "--region", "ap-south-1"); !strings.Contains(said, "there are no secrets of ap-south-1 in "+data+"; name one of its Regions with --region: eu-west-1, us-east-1") {
		t.Errorf("got %s", said)
	}
	for _, said := range []string{
		once(t, program, "--data", data, "--export", file("us-east-1")),
		once(t, program, "--data", data, "--export", file("eu-west-1"), "--region", "eu-west-1"),
	} {
		if !strings.Contains(said, "; other Regions are exported by themselves, with --region: ") {
			t.Errorf("got %s", said)
		}
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, keys := range []string{"keys.json", "keys-eu-west-1.json"} {
		text, err := os.ReadFile(filepath.Join(data, keys))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(to, keys), string(text))
	}
	for _, region := range []string{"us-east-1", "eu-west-1"} {
		if said := once(t, program, "--data", to, "--import", file(region), "--region", region); strings.Contains(said, "cannot be opened") {
			t.Errorf("got %s", said)
		}
	}
	if said := once(t, program, "--data", to, "--import", file("us-east-1"), "--region", "ap-south-1"); !strings.Contains(said, "for ap-south-1; import into another folder with --region us-east-1\n") {
		t.Errorf("under another Region: got %s", said)
	}
	once(t, program, "--data", to, "--verify")
	r = start(t, "--data", to)
	for _, region := range names {
		wantValueIn(t, r.url, region, "s", "value of "+region)
	}
}

// Engines of the user's own have a table for each Region, and one KMS for all.
func TestRegionsInEnginesOfYourOwn(t *testing.T) {
	t.Parallel()
	engines := localtest.NewEngines()
	env, args := engines.Serve(t), []string{"--data", filepath.Join(t.TempDir(), "data"), "--audit", filepath.Join(t.TempDir(), "audit.jsonl")}
	r := startWith(t, env, args...)
	createIn(t, r.url, "us-east-1", "s", "v")
	createIn(t, r.url, "eu-west-1", "s", "w")
	kill(t, r)
	r = startWith(t, env, args...)
	wantValueIn(t, r.url, "us-east-1", "s", "v")
	wantValueIn(t, r.url, "eu-west-1", "s", "w")
	if tables, err := engines.DynamoDB().ListTables(t.Context(), nil); err != nil || strings.Join(tables.TableNames, " ") != "strongroom strongroom-eu-west-1" {
		t.Errorf("got %v, %v", tables, err)
	}
}
