//go:build clients

package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// rotationFunction makes its client as AWS's templates for rotation functions do.
const rotationFunction = `
import boto3, os
service_client = boto3.client('secretsmanager', endpoint_url=os.environ['SECRETS_MANAGER_ENDPOINT'])
service_client.get_random_password(ExcludeCharacters='/@"\'\\')
`

// TestBotoSigns has boto3 call with the layer's file and without it. TestSigningFile needs
// no boto3.
func TestBotoSigns(t *testing.T) {
	t.Parallel()
	if out, err := exec.Command("python3", "-c", "import boto3").CombinedOutput(); err != nil {
		t.Fatalf("boto3 is not there, to try the file with: %v %s", err, out)
	}
	folder, err := filepath.Abs(signingFolder)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{folder: "/eu-central-1/execute-api/aws4_request", "": "/eu-central-1/secretsmanager/aws4_request"} {
		signed := make(chan string, 1)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			signed <- r.Header.Get("Authorization")
			_, _ = w.Write([]byte(`{"RandomPassword":"x"}`))
		}))
		defer server.Close()
		cmd := exec.Command("python3", "-c", rotationFunction)
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "AWS_DATA_PATH=" + path,
			"SECRETS_MANAGER_ENDPOINT=" + server.URL + "/v1", "AWS_REGION=eu-central-1", "AWS_DEFAULT_REGION=eu-central-1",
			"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=example",
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if got := <-signed; !strings.Contains(got, want) {
			t.Errorf("with AWS_DATA_PATH=%q boto3 signed %q, want %s in it", path, got, want)
		}
	}
}
