package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-secretsmanager-caching-go/v2/secretcache"

	"github.com/strongroom/strongroom/pkg/client"
	"github.com/strongroom/strongroom/pkg/endpoint"
)

// goClient is the SDK's client with the endpoint alone changed.
func goClient(url, key, secret string) *secretsmanager.Client {
	return secretsmanager.New(secretsmanager.Options{
		BaseEndpoint: &url, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""),
	})
}

// The clients of Go, unmodified, before a server that takes signatures for execute-api
// alone; without the agent it refuses them.
func TestGoClients(t *testing.T) {
	t.Parallel()
	server := startLocal(t)
	_, agent := startAgent(t, server, keys())
	ctx := t.Context()
	name := aws.String("db")
	if _, err := goClient(server, firstKey, firstSecret).ListSecrets(ctx, nil); err == nil || !strings.Contains(err.Error(), "Credential should be scoped to correct service: 'execute-api'.") {
		t.Fatalf("without the agent: got %v", err)
	}
	c := goClient(agent, firstKey, firstSecret)
	created, err := c.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: name, SecretString: aws.String("EXAMPLE-VALUE")})
	if err != nil {
		t.Fatal(err)
	}
	cache, err := secretcache.New(func(s *secretcache.Cache) { s.Client = c })
	if err != nil {
		t.Fatal(err)
	}
	if got, err := cache.GetSecretStringWithContext(ctx, *name); err != nil || got != "EXAMPLE-VALUE" {
		t.Errorf("the caching client: got %q, %v", got, err)
	}
	if status, body := get(agent+"/secretsmanager/get?secretId=db", "EXAMPLE-TOKEN"); status != http.StatusOK || !strings.Contains(body, `"SecretString":"EXAMPLE-VALUE"`) || !strings.Contains(body, *created.VersionId) {
		t.Errorf("a program for AWS's agent: got %d %s", status, body)
	}
	if _, err := c.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: name, RecoveryWindowInDays: aws.Int64(7)}); err != nil {
		t.Error(err)
	}
	if _, err := c.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: name}); err == nil || !strings.Contains(err.Error(), "InvalidRequestException") {
		t.Errorf("deleted: got %v", err)
	}
	if _, err := goClient(agent, strangeKey, firstSecret).ListSecrets(ctx, nil); err == nil || !strings.Contains(err.Error(), "UnrecognizedClientException") {
		t.Errorf("a stranger: got %v", err)
	}
}

// Before either front door: the agent, and pkg/client without it.
func TestFrontDoors(t *testing.T) {
	t.Parallel()
	for _, service := range []string{endpoint.Gateway, endpoint.FunctionURL} {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			server := startLocalFor(t, service)
			_, agent := startAgent(t, server, keys(), "--signing-name", service)
			config := aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider(firstKey, firstSecret, "")}
			direct, err := client.FromConfig(config, server, client.SignedFor(service))
			if err != nil {
				t.Fatal(err)
			}
			for name, c := range map[string]*secretsmanager.Client{"agent": goClient(agent, firstKey, firstSecret), "pkg/client": direct} {
				if _, err := c.ListSecrets(t.Context(), nil); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// The agent's credentials are those of a container, which end and are replaced; then the
// place that they come from is gone.
func TestCredentialsOfAContainer(t *testing.T) {
	t.Parallel()
	var now atomic.Pointer[http.HandlerFunc]
	give := func(key, secret string, ends time.Duration) {
		h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{"AccessKeyId": key, "SecretAccessKey": secret, "Token": "", "Expiration": time.Now().Add(ends).UTC().Format(time.RFC3339)})
		})
		now.Store(&h)
	}
	give(firstKey, firstSecret, 4*time.Minute) // within the time before the end in which others are looked for
	container := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*now.Load())(w, r) }))
	defer container.Close()
	_, agent := startAgent(t, startLocal(t), []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI=" + container.URL + "/", "AWS_REGION=us-east-1"})
	list := func(what, key, secret string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if _, err := goClient(agent, key, secret).ListSecrets(ctx, nil); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	list("the first", firstKey, firstSecret)
	give(secondKey, secondSecret, 4*time.Minute)
	list("a client has the second before the agent", secondKey, secondSecret)
	list("a client has the first still", firstKey, firstSecret)
	gone := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "gone", http.StatusServiceUnavailable) })
	now.Store(&gone)
	list("no others are to be had", secondKey, secondSecret)
}

// Without the metadata service an EC2 instance has no credentials: the client is told so
// that it tries again.
func TestMetadataIsGone(t *testing.T) {
	t.Parallel()
	p, agent := startAgent(t, startLocal(t), []string{"AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1", "AWS_REGION=us-east-1"}, "--any-caller")
	c := goClient(agent, firstKey, firstSecret)
	_, err := c.ListSecrets(t.Context(), nil, func(o *secretsmanager.Options) { o.RetryMaxAttempts = 1 })
	if err == nil || !strings.Contains(err.Error(), "StatusCode: 503") || !strings.Contains(err.Error(), "The agent has no AWS credentials to sign with.") {
		t.Errorf("got %v", err)
	}
	p.find(t, "there are no AWS credentials yet")
}

// Over TLS, by HTTP/1.1 as everywhere: certificates are those of AWS_CA_BUNDLE, as with
// every AWS client.
func TestCertificates(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 {
			t.Errorf("got %s", r.Proto)
		}
		_, _ = fmt.Fprint(w, `{"Name":"db"}`)
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	_, trusting := startAgent(t, server.URL, append(keys(), "AWS_CA_BUNDLE="+bundle))
	if _, err := goClient(trusting, firstKey, firstSecret).ListSecrets(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if status, body := get(trusting+"/v1/db", "EXAMPLE-TOKEN"); status != http.StatusOK {
		t.Errorf("got %d %s", status, body)
	}
	p, wary := startAgent(t, server.URL, keys())
	_, err := goClient(wary, firstKey, firstSecret).ListSecrets(t.Context(), nil, func(o *secretsmanager.Options) { o.RetryMaxAttempts = 1 })
	if err == nil || !strings.Contains(err.Error(), "StatusCode: 502") {
		t.Errorf("got %v", err)
	}
	p.find(t, "failed to verify certificate")
}

// Many at once share few connections.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	var connections atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "{}") }))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	_, agent := startAgent(t, server.URL, keys())
	c := goClient(agent, firstKey, firstSecret)
	failed := make(chan error)
	const clients, calls = 16, 20
	for range clients {
		go func() {
			var err error
			for range calls {
				if _, err = c.ListSecrets(t.Context(), nil); err != nil {
					break
				}
			}
			failed <- err
		}()
	}
	for range clients {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	if got := connections.Load(); got > 2*clients {
		t.Errorf("%d calls took %d connections", clients*calls, got)
	}
}
