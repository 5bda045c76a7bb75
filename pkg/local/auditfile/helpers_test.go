package auditfile

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/audit"
)

var noon = time.Date(2026, 3, 4, 13, 0, 0, 123456789, time.FixedZone("", 3600))

const secretARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/db-a1B2c3"

func aCall() audit.Record {
	r := audit.Call("PutSecretValue", "11111111-2222-3333-4444-555555555555", noon)
	r.UserIdentity = audit.IdentityOf("arn:aws:sts::123456789012:assumed-role/app/i-0abc", "123456789012", "AROAEXAMPLE:i-0abc", "ASIAEXAMPLE")
	r.AWSRegion, r.RecipientAccountID = "eu-central-1", "123456789012"
	r.SourceIPAddress = "192.0.2.7"
	r.RequestParameters = map[string]any{"secretId": "prod/db"}
	r.Resources = audit.Secrets(secretARN)
	return r
}

func aRefusal() audit.Record {
	r := audit.Call("GetSecretValue", "21111111-2222-3333-4444-555555555555", noon)
	r.UserIdentity = audit.IdentityOf("arn:aws:iam::123456789012:user/team/ann", "123456789012", "AIDAEXAMPLE", "AKIAEXAMPLE")
	r.AWSRegion, r.RecipientAccountID = "eu-central-1", "123456789012"
	r.SourceIPAddress = "198.51.100.1"
	r.ErrorCode, r.ErrorMessage = "AccessDeniedException", "User is not authorized"
	r.RequestParameters = map[string]any{"secretId": "prod/db"}
	return r
}

func anEvent() audit.Record {
	return audit.Event(audit.RotationFailed, "31111111-2222-3333-4444-555555555555", noon, secretARN,
		"Error when executing lambda arn:aws:lambda:eu-central-1:123456789012:function:rotate during setSecret step")
}

func lineOf(t *testing.T, r audit.Record) string {
	t.Helper()
	var line bytes.Buffer
	keep(t, audit.Lines(&line), r)
	return line.String()
}

func keep(t *testing.T, trail audit.Trail, records ...audit.Record) {
	t.Helper()
	if err := trail.Keep(t.Context(), records...); err != nil {
		t.Fatal(err)
	}
}

// keepMany keeps from several goroutines at once, and says how many records.
func keepMany(t *testing.T, trail audit.Trail) int {
	t.Helper()
	const goroutines, each = 8, 25
	var group sync.WaitGroup
	for range goroutines {
		group.Go(func() {
			for range each {
				if err := trail.Keep(context.Background(), aCall(), aRefusal()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	return goroutines * each * 2
}
