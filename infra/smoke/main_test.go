package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/client"
)

const (
	accessKey = "AKIAEXAMPLE000000001"
	secretKey = "of-32-to-128-characters-made-at-random"
	function  = "arn:aws:lambda:us-east-1:000000000000:function:smoke"
)

var cfg = aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, "")}

// serve starts the local server as API Gateway stands before the real one: it takes what
// is signed for execute-api, and nothing else.
func serve(t *testing.T, lambda string, flags ...string) (url, auditFile string) {
	t.Helper()
	folder := t.TempDir()
	binary, users := filepath.Join(folder, "local"), filepath.Join(folder, "users.json")
	if out, err := exec.Command("go", "build", "-o", binary, "../../functions/local").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text := `[{"user": "ann", "accessKeyId": "` + accessKey + `", "secretAccessKey": "` + secretKey + `"}]`
	if err := os.WriteFile(users, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	urlFile := filepath.Join(folder, "url")
	auditFile = filepath.Join(folder, "data", "audit.jsonl")
	cmd := exec.Command(binary, append([]string{
		"--data", filepath.Join(folder, "data"), "--addr", "127.0.0.1:0", "--url-file", urlFile, "--verify-credentials", users,
	}, flags...)...)
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL_LAMBDA="+lambda)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for range 200 {
		if text, err := os.ReadFile(urlFile); err == nil {
			return strings.TrimSpace(string(text)), auditFile
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the server does not start")
	return "", ""
}

// rotator is a Lambda with a function that gives a secret the value "rotated".
func rotator(t *testing.T, endpoint *string) string {
	t.Helper()
	step := func(r *http.Request) error {
		var event struct{ Step, SecretId, ClientRequestToken, RotationToken string } //nolint:revive // the event's names
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
			return err
		}
		secrets, err := client.FromConfig(cfg, *endpoint, client.SignedFor("execute-api"))
		if err != nil {
			return err
		}
		switch event.Step {
		case "createSecret":
			_, err = secrets.PutSecretValue(r.Context(), &secretsmanager.PutSecretValueInput{
				SecretId: &event.SecretId, SecretString: aws.String("rotated"), ClientRequestToken: &event.ClientRequestToken,
				RotationToken: &event.RotationToken, VersionStages: []string{"AWSPENDING"},
			})
		case "finishSecret":
			var now *secretsmanager.GetSecretValueOutput
			if now, err = secrets.GetSecretValue(r.Context(), &secretsmanager.GetSecretValueInput{SecretId: &event.SecretId}); err == nil {
				_, err = secrets.UpdateSecretVersionStage(r.Context(), &secretsmanager.UpdateSecretVersionStageInput{
					SecretId: &event.SecretId, VersionStage: aws.String("AWSCURRENT"),
					MoveToVersionId: &event.ClientRequestToken, RemoveFromVersionId: now.VersionId,
				})
			}
		}
		return err
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Invocation-Type") == "DryRun" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if err := step(r); err != nil {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			t.Error(err)
		}
		_, _ = w.Write([]byte("null"))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestSmoke proves the local server, with every step there is.
func TestSmoke(t *testing.T) {
	t.Parallel()
	o := options{rotationFunction: function}
	o.endpoint, o.auditFile = serve(t, rotator(t, &o.endpoint), "--signing-name", "execute-api")
	var out strings.Builder
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := prove(ctx, cfg, o, &out); err != nil {
		t.Fatalf("%v:\n%s", err, &out)
	}
	if got := strings.Count(out.String(), "ok  "); got != 12 || strings.Contains(out.String(), "skipped") {
		t.Errorf("%d steps were taken, want 12:\n%s", got, &out)
	}
	if strings.Contains(out.String(), "vvvv") || strings.Contains(out.String(), "rotated") {
		t.Errorf("a value was printed:\n%s", &out)
	}
}

// TestSmokeFails and leaves no secret behind, and skips what it is not told of.
func TestSmokeFails(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	policies := filepath.Join(folder, "policies.json")
	text := `[{"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Principal": "*", "Action": "secretsmanager:*", "Resource": "*"},
		{"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:ListSecrets", "Resource": "*"}]}]`
	if err := os.WriteFile(policies, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	url, audit := serve(t, "", "--policies", policies)
	var out strings.Builder
	err := prove(t.Context(), cfg, options{endpoint: url}, &out)
	if err == nil || !strings.HasPrefix(err.Error(), "list: ") || !strings.Contains(out.String(), "skipped  rotate") {
		t.Errorf("got %v:\n%s", err, &out)
	}
	records, err := os.ReadFile(audit)
	if err != nil || !strings.Contains(string(records), `"eventName":"DeleteSecret"`) {
		t.Errorf("the secret is not removed: %v", err)
	}
}

func TestNoEndpoint(t *testing.T) {
	t.Parallel()
	if err := run(t.Context(), nil, &strings.Builder{}); err == nil || !strings.Contains(err.Error(), "--endpoint") {
		t.Errorf("got %v", err)
	}
}
