package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// signingFile is where botocore looks for it under a folder of AWS_DATA_PATH.
const signingFile = "secretsmanager/2017-10-17/service-2.sdk-extras.json"

func TestSigningLayer(t *testing.T) {
	t.Parallel()
	layer := stack(t).of(t, stack(t).Outputs["SigningLayer"].Value)
	same(t, "runtimes", layer.Properties["CompatibleRuntimes"],
		[]string{"python3.9", "python3.10", "python3.11", "python3.12", "python3.13", "python3.14"})
	same(t, "architectures", layer.Properties["CompatibleArchitectures"], []string{"x86_64", "arm64"})
	same(t, "files", stack(t).layers["SigningLayer"], []string{strings.TrimPrefix(signingPath, "/opt/") + "/" + signingFile})
	for _, text := range []string{layer.Properties["Description"].(string), stack(t).Outputs["SigningLayer"].Description} {
		if !strings.Contains(text, "AWS_DATA_PATH="+signingPath) {
			t.Errorf("%q does not say what AWS_DATA_PATH must be", text)
		}
	}
}

func TestSigningFile(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(signingFolder, signingFile))
	if err != nil {
		t.Fatal(err)
	}
	var file any
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	same(t, "file", file, object{"version": 1.0, "merge": object{"metadata": object{"signingName": "execute-api"}}})
}

// signingFolder is what the layer has at [signingPath].
var signingFolder = filepath.Join("signing", strings.TrimPrefix(signingPath, "/opt/"))

// rotationFunction makes its client as AWS's templates for rotation functions do.
const rotationFunction = `
import boto3, os
service_client = boto3.client('secretsmanager', endpoint_url=os.environ['SECRETS_MANAGER_ENDPOINT'])
service_client.get_random_password(ExcludeCharacters='/@"\'\\')
`

// TestBotoSigns has boto3 call with the layer's file and without it. Where there is
// no boto3, TestSigningFile is what is left.
func TestBotoSigns(t *testing.T) {
	t.Parallel()
	if out, err := exec.Command("python3", "-c", "import boto3").CombinedOutput(); err != nil {
		t.Skipf("no boto3 here, to try the file with: %v %s", err, out)
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
