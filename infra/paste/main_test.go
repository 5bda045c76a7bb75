package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	t.Parallel()
	for url, words := range map[string][]string{
		"https://a1b2c3.execute-api.eu-central-1.amazonaws.com/v1": {"--endpoint https://a1b2c3.execute-api.eu-central-1.amazonaws.com/v1\n", "make install-models\n"},
		"https://a1b2c3.lambda-url.eu-central-1.on.aws/":           {"make install-models SIGNING_NAME=lambda\n"},
		"https://secrets.example.com":                              {"make install-models\n"},
	} {
		file := filepath.Join(t.TempDir(), "outputs.json")
		text := `{"Strongroom": {"Endpoint": "` + url + `", "Alarms": "arn:aws:sns:eu-central-1:111122223333:alarms", "Other": "x"}}`
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := run([]string{file}, &out); err != nil {
			t.Fatal(err)
		}
		for _, word := range append(words, "export AWS_ENDPOINT_URL_SECRETS_MANAGER="+url+"\n", "--topic-arn arn:aws:sns:") {
			if !strings.Contains(out.String(), word) {
				t.Errorf("%s: %q is not in %s", url, word, out.String())
			}
		}
	}
}

// What replicates also shows what the other Regions have to say of it.
func TestPeer(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "outputs.json")
	const own = `"Endpoint": "https://secrets.example.com", "Table": "here", "Key": "arn:aws:kms:eu-central-1:111122223333:key/1a"`
	const want = `{"eu-central-1":{"keyArn":"arn:aws:kms:eu-central-1:111122223333:key/1a","roleArn":"arn:aws:iam::111122223333:role/r","table":"here"}}`
	for outputs, there := range map[string]bool{own: false, own + `, "ReplicateRole": "arn:aws:iam::111122223333:role/r"`: true} {
		if err := os.WriteFile(file, []byte(`{"Strongroom": {`+outputs+`}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := run([]string{file}, &out); err != nil || strings.Contains(out.String(), want) != there {
			t.Errorf("got %s, %v, want %s in it: %t", out.String(), err, want, there)
		}
	}
}

func TestWrongFile(t *testing.T) {
	t.Parallel()
	if err := run(nil, &strings.Builder{}); err == nil {
		t.Error("no file was taken")
	}
	if err := run([]string{filepath.Join(t.TempDir(), "none.json")}, &strings.Builder{}); err == nil {
		t.Error("a file that is not there was taken")
	}
}
