package client

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The file for the AWS CLI and boto3 is put where they look, taken back, and never takes
// the place of another.
func TestInstallModels(t *testing.T) {
	t.Parallel()
	home := filepath.Join(t.TempDir(), "my home")
	path := filepath.Join(home, ".aws/models/secretsmanager/2017-10-17/service-2.sdk-extras.json")
	run := func(ok bool, want string, args ...string) {
		t.Helper()
		out, err := exec.Command("make", append([]string{"-s", "-C", "../..", "HOME=" + home}, args...)...).CombinedOutput()
		if (err == nil) != ok || !strings.Contains(string(out), want) {
			t.Errorf("%v: got %v, %s, want %q", args, err, out, want)
		}
	}
	holds := func(want string) {
		t.Helper()
		text, _ := os.ReadFile(path) // none is empty
		if want == "" && len(text) > 0 || !strings.Contains(string(text), want) {
			t.Errorf("got %s, want %q in it", text, want)
		}
	}
	run(false, "nothing was done", "uninstall-models")
	run(true, "sign all calls of Secrets Manager for execute-api", "install-models")
	holds(`"signingName": "execute-api"`)
	run(true, "for lambda", "install-models", "SIGNING_NAME=lambda") // over our own
	holds(`"signingName": "lambda"`)
	run(false, "must be execute-api or lambda", "install-models", "SIGNING_NAME=s3")
	run(true, "Removed", "uninstall-models")
	holds("")
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 0 {
		t.Errorf("it left %v, %v", entries, err)
	}
	theirs := filepath.Join(home, "theirs.json") // which is not there yet
	if err := os.Symlink(theirs, path); err != nil {
		t.Fatal(err)
	}
	run(false, "is a symbolic link", "install-models")
	if _, err := os.Lstat(theirs); err == nil {
		t.Error("it wrote where a symbolic link points")
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("there are %v, %v", entries, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(`{"version": 1.0, "mine": true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	run(false, "is there and not from here", "install-models")
	holds(`"mine"`)
	run(false, "nothing was done", "uninstall-models")
	holds(`"mine"`)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	run(true, "Wrote", "install-models")
	if err := os.WriteFile(path, []byte(`{"version": 1.0, "mine": true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	run(false, "was changed since", "uninstall-models")
	run(false, "is there and not from here", "install-models")
	holds(`"mine"`)
}
