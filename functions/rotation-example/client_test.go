package main

import (
	"os"
	"strings"
	"testing"
)

func credentialsOf(t *testing.T, region string) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_REGION": region, "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_DEFAULT_REGION": "", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
}

func TestClientIsRefused(t *testing.T) {
	credentialsOf(t, "")
	for endpoint, want := range map[string]string{
		"":                      "SECRETS_MANAGER_ENDPOINT is not set",
		"127.0.0.1:4566":        `SECRETS_MANAGER_ENDPOINT: "127.0.0.1:4566" is not a URL`,
		"ftp://127.0.0.1":       "is not a URL",
		"http://127.0.0.1:4566": "AWS_REGION is not set",
	} {
		if _, err := newClient(t.Context(), endpoint); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q in it", endpoint, err, want)
		}
	}
	t.Setenv("AWS_REGION", "us-east-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	if _, err := newClient(t.Context(), "http://127.0.0.1:4566"); err == nil || !strings.Contains(err.Error(), "there are no AWS credentials") {
		t.Errorf("got %v, want that there are no credentials", err)
	}
}
