package main

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/verify"
)

// takeAway takes an item out of the table, as a restore may.
func takeAway(t *testing.T, db *local.Engines, pk, sk string) {
	t.Helper()
	_, err := db.DynamoDB.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{{
		Delete: &types.Delete{TableName: aws.String("strongroom"), Key: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: pk}, "sk": &types.AttributeValueMemberS{Value: sk},
		}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
}

// By hand, what is stored is verified once and repaired when that is asked for, and the
// exit code says whether something is wrong.
func TestVerifyByHand(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	r := start(t, "--data", data)
	makeVersions(t, r.url, 3)
	if got := refused(t, "--data", data, "--verify"); !strings.Contains(got, "is using "+data) {
		t.Errorf("got %q, want that the data is in use", got)
	}
	r.interrupt(t)
	const whole = "secrets examined: 1; findings: 0, repaired: 0\n"
	run := func(want string, fails bool, args ...string) {
		t.Helper()
		out, err := exec.Command(program, append(args, "--data", data, "--verify")...).CombinedOutput()
		if string(out) != want || (err != nil) != fails {
			t.Errorf("%v: got %q, %v, want %q, failure %t", args, out, err, want, fails)
		}
	}
	run(whole, false)
	engines, err := local.Start(t.Context(), local.Options{Data: data, Region: local.Region, Account: local.Account})
	if err != nil {
		t.Fatal(err)
	}
	takeAway(t, engines, "DIRECTORY#NAME", "s")
	if err := engines.Close(); err != nil {
		t.Fatal(err)
	}
	const what = "s: the directory by name does not list it"
	run(what+" (repairable)\nsecrets examined: 1; findings: 1, repaired: 0\n"+
		"strongroom: findings that are not repaired: 1; --repair repairs those that are repairable\n", true)
	run(what+" (repaired)\nsecrets examined: 1; findings: 1, repaired: 1\n", false, "--repair")
	run(whole, false)
}

// On a terminal a bar says how far it is, and makes way for what is found.
func TestVerifyOnTerminal(t *testing.T) {
	t.Parallel()
	server := memory(t) // has versions of a removed secret
	var out bytes.Buffer
	if err := showVerified(t.Context(), newVerifier(server, false), &out, "", true); err != nil {
		t.Error(err)
	}
	const done = "[====================] 1 of 1 secrets, findings: 0"
	if want := "\r" + done + "\r" + strings.Repeat(" ", len(done)) + "\rsecrets examined: 1; findings: 0, repaired: 0\n"; out.String() != want {
		t.Errorf("got %q, want %q", &out, want)
	}
	out.Reset()
	b := &bar{out: &out}
	b.show(verify.Progress{Secrets: 50, Of: 100, Findings: 10})
	b.show(verify.Progress{Secrets: 51, Of: 100}) // too soon
	b.shown = time.Time{}
	b.show(verify.Progress{Secrets: 99, Of: 100})
	if want := "\r[==========>         ] 50 of 100 secrets, findings: 10\r[===================>] 99 of 100 secrets, findings: 0 "; out.String() != want {
		t.Errorf("got %q, want %q", &out, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := showVerified(ctx, newVerifier(server, false), &out, "", false); err == nil || err.Error() != "interrupted; not all was verified" {
		t.Errorf("got %v, want that it was interrupted", err)
	}
}
