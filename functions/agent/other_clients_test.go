//go:build clients

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The clients of other languages, unmodified: all that they are told beside their
// credentials is the endpoint. Each writes what it read, or the code of an error.
var otherClients = map[string]struct {
	needs, check string // what must be there, and the arguments by which it is found out
	create       []string
	read         []string
}{
	"AWS CLI": {
		"The AWS CLI", "aws --version",
		[]string{"aws", "secretsmanager", "create-secret", "--name", "NAME", "--secret-string", "file://VALUE", "--query", "Name", "--output", "text"},
		[]string{"aws", "secretsmanager", "get-secret-value", "--secret-id", "NAME", "--query", "SecretString", "--output", "text"},
	},
	"boto3": {
		"Python 3 with boto3", "python3 -c __import__('boto3')",
		[]string{"python3", "-c", `
import boto3, sys
boto3.client("secretsmanager").create_secret(Name="NAME", SecretString=open("VALUE").read())
print("NAME")`},
		[]string{"python3", "-c", `
import boto3, botocore
try:
    print(boto3.client("secretsmanager").get_secret_value(SecretId="NAME")["SecretString"])
except botocore.exceptions.ClientError as e:
    print(e.response["Error"]["Code"], e.response["ResponseMetadata"]["RequestId"] != "")`},
	},
	"JavaScript": {
		"Node.js with @aws-sdk/client-secrets-manager", "node -e require('@aws-sdk/client-secrets-manager')",
		[]string{"node", "-e", `
const { SecretsManagerClient, CreateSecretCommand } = require("@aws-sdk/client-secrets-manager");
new SecretsManagerClient({}).send(new CreateSecretCommand({ Name: "NAME", SecretString: require("fs").readFileSync("VALUE", "utf8") })).then((out) => console.log(out.Name));`},
		[]string{"node", "-e", `
const { SecretsManagerClient, GetSecretValueCommand } = require("@aws-sdk/client-secrets-manager");
new SecretsManagerClient({}).send(new GetSecretValueCommand({ SecretId: "NAME" }))
  .then((out) => console.log(out.SecretString), (e) => console.log(e.name, e.$metadata.requestId !== ""));`},
	},
}

// As docs/clients.md has it for JavaScript without the agent.
func TestJavaScriptWithTheSigningName(t *testing.T) {
	t.Parallel()
	c := exec.Command("node", "-e", `
const { SecretsManagerClient, ListSecretsCommand } = require("@aws-sdk/client-secrets-manager");
const endpoint = process.argv[1];
const client = new SecretsManagerClient({ endpoint, signingName: "execute-api" });
client.send(new ListSecretsCommand({})).then((out) => console.log(out.SecretList), (e) => console.log(e.name));`, startLocal(t))
	c.Env = append(keys(), "AWS_MAX_ATTEMPTS=1", "PATH="+os.Getenv("PATH"), "HOME="+t.TempDir(), "NODE_PATH="+os.Getenv("NODE_PATH"), "NODE_NO_WARNINGS=1")
	if out, err := c.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "[]" {
		t.Errorf("got %s, %v", out, err)
	}
}

// Without the agent the AWS CLI and boto3 need a file, which is installed and taken back.
func TestOtherClientsWithTheModel(t *testing.T) {
	t.Parallel()
	server, home := startLocal(t), t.TempDir()
	run := func(args ...string) string {
		c := exec.Command(args[0], args[1:]...)
		c.Env = append(keys(), "AWS_ENDPOINT_URL_SECRETS_MANAGER="+server, "AWS_MAX_ATTEMPTS=1",
			"PATH="+os.Getenv("PATH"), "HOME="+home, "PYENV_ROOT="+os.Getenv("PYENV_ROOT"))
		out, _ := c.CombinedOutput() // an error is in what it says
		return string(out)
	}
	for _, step := range []struct{ target, want string }{
		{"install-models", "SecretList"},
		{"uninstall-models", "InvalidSignatureException"},
	} {
		if out, err := exec.Command("make", "-s", "-C", "../..", step.target, "HOME="+home).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v %s", step.target, err, out)
		}
		for _, args := range [][]string{
			{"aws", "secretsmanager", "list-secrets"},
			{"python3", "-c", `import boto3; print(boto3.client("secretsmanager").list_secrets())`},
		} {
			if got := run(args...); !strings.Contains(got, step.want) {
				t.Errorf("%s, %s: got %s, want %s", step.target, args[0], got, step.want)
			}
		}
	}
}

func TestOtherClients(t *testing.T) {
	t.Parallel()
	server := startLocal(t)
	_, agent := startAgent(t, server, keys())
	for name, client := range otherClients {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if out, err := exec.Command(strings.Fields(client.check)[0], strings.Fields(client.check)[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%s must be there to be tried: %v %s", client.needs, err, out)
			}
			value := filepath.Join(t.TempDir(), "value")
			if err := os.WriteFile(value, []byte("EXAMPLE-VALUE ä"), 0o600); err != nil {
				t.Fatal(err)
			}
			run := func(url, secretName, key string, args []string) string {
				args = strings.Split(strings.NewReplacer("NAME", secretName, "VALUE", value).Replace(strings.Join(args, "\x00")), "\x00")
				c := exec.Command(args[0], args[1:]...)
				c.Env = append(keys(), "AWS_ACCESS_KEY_ID="+key, "AWS_ENDPOINT_URL_SECRETS_MANAGER="+url, "AWS_MAX_ATTEMPTS=1",
					"PATH="+os.Getenv("PATH"), "HOME="+t.TempDir(), "NODE_PATH="+os.Getenv("NODE_PATH"), "PYENV_ROOT="+os.Getenv("PYENV_ROOT"), "NODE_NO_WARNINGS=1", "PYTHONIOENCODING=utf-8", "LC_ALL=C.UTF-8")
				out, _ := c.CombinedOutput() // an error is in what it says
				return strings.TrimSpace(string(out))
			}
			secretName := "of/" + strings.ReplaceAll(name, " ", "-")
			if got := run(agent, secretName, firstKey, client.create); got != secretName {
				t.Errorf("create: got %s", got)
			}
			if got := run(agent, secretName, firstKey, client.read); got != "EXAMPLE-VALUE ä" {
				t.Errorf("read: got %s", got)
			}
			_, down := startAgent(t, "http://127.0.0.1:1", keys())
			for what, test := range map[string]struct{ url, name, key, want string }{
				"no such secret":     {agent, "none", firstKey, "ResourceNotFoundException"},
				"other credentials":  {agent, secretName, strangeKey, "UnrecognizedClientException"},
				"without the agent":  {server, secretName, firstKey, "InvalidSignatureException"},
				"Strongroom is down": {down, secretName, firstKey, "InternalServiceError"},
			} {
				if got := run(test.url, test.name, test.key, client.read); !strings.Contains(got, test.want) {
					t.Errorf("%s: got %s, want %s", what, got, test.want)
				}
			}
		})
	}
}
