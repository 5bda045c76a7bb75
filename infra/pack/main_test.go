package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const template = `{"Description": "x", "Rules": {"CheckBootstrapVersion": {}}, "Parameters": {"BootstrapVersion": {}}, "Resources": {
	"ApiF70053CD": {"Type": "AWS::Lambda::Function", "Metadata": {"aws:cdk:path": "x"}, "Properties": {
		"Code": {"S3Bucket": {"Fn::Sub": "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"}, "S3Key": "1a2b.zip"}, "Timeout": 29}},
	"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "x"}}}}`

// stack is a synthesized stack whose files are of some time.
func stack(t *testing.T, at time.Time) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range map[string]string{
		"Strongroom.template.json": template, "asset.1a2b/bootstrap": "program", "asset.1a2b/policies.json": "[]", "sbom/api.cdx.json": "{}",
	} {
		file := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// packed is a package as it is on the disk.
func packed(t *testing.T, from string) map[string]string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "package")
	if err := run([]string{"-from", from, "-to", to, "-sbom", filepath.Join(from, "sbom")}); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, pattern := range []string{"*", "sbom/*"} {
		found, err := filepath.Glob(filepath.Join(to, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range found {
			if text, err := os.ReadFile(file); err == nil {
				files[strings.TrimPrefix(file, to+"/")] = string(text)
			}
		}
	}
	return files
}

func TestPackage(t *testing.T) {
	t.Parallel()
	files := packed(t, stack(t, time.Now()))
	again := packed(t, stack(t, time.Now().AddDate(-1, 0, 0)))
	if !maps.Equal(files, again) {
		t.Error("the same stack has another package")
	}
	names := slices.Sorted(maps.Keys(files))
	if len(names) != 4 || names[0] != "SHA256SUMS" || !strings.HasPrefix(names[1], "api-") || names[2] != "sbom/api.cdx.json" || names[3] != "strongroom.template.json" {
		t.Fatalf("got %v", names)
	}
	if got := strings.Count(files["SHA256SUMS"], "\n"); got != 3 || !strings.Contains(files["SHA256SUMS"], "  "+names[1]+"\n") {
		t.Errorf("got the sums %s", files["SHA256SUMS"])
	}
	var made struct {
		Parameters map[string]any
		Rules      any
		Resources  map[string]struct{ Metadata, Properties map[string]any }
	}
	if err := json.Unmarshal([]byte(files["strongroom.template.json"]), &made); err != nil {
		t.Fatal(err)
	}
	if made.Rules != nil || made.Parameters["BootstrapVersion"] != nil || made.Parameters["CodeBucket"] == nil || made.Parameters["CodePrefix"] == nil {
		t.Errorf("got parameters %v and rules %v", made.Parameters, made.Rules)
	}
	function := made.Resources["ApiF70053CD"]
	code, err := json.Marshal(function.Properties["Code"])
	if want := `{"S3Bucket":{"Ref":"CodeBucket"},"S3Key":{"Fn::Sub":"${CodePrefix}` + names[1] + `"}}`; err != nil || string(code) != want || function.Metadata != nil {
		t.Errorf("got %s with %v, want %s", code, function.Metadata, want)
	}
	if got := made.Resources["Queue"].Properties["QueueName"]; got != "x" {
		t.Errorf("the queue is called %v", got)
	}
	zipped, err := zip.NewReader(strings.NewReader(files[names[1]]), int64(len(files[names[1]])))
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]os.FileMode{}
	for _, file := range zipped.File {
		modes[file.Name] = file.Mode()
	}
	if want := map[string]os.FileMode{"bootstrap": 0o755, "policies.json": 0o644}; !maps.Equal(modes, want) {
		t.Errorf("got %v, want %v", modes, want)
	}
	if bytes.Contains([]byte(files["strongroom.template.json"]), []byte("cdk-hnb659fds")) {
		t.Error("the template needs the CDK's bucket")
	}
}

func TestNothingToPack(t *testing.T) {
	t.Parallel()
	if err := run([]string{"-from", t.TempDir(), "-to", filepath.Join(t.TempDir(), "package")}); err == nil || !strings.Contains(err.Error(), "make synth") {
		t.Errorf("got %v", err)
	}
}
