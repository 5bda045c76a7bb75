package api

import (
	"io"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/local/auditfile"
	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// What the record of a call costs: made, and kept by a trail of lines as in Lambda or in
// a file as on a laptop.
func BenchmarkRecord(b *testing.B) {
	const arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db-a1B2c3"
	put := putSecretValueInput{SecretId: "prod/db", ClientRequestToken: strings.Repeat("0", 36), SecretString: strings.Repeat("x", 1024)}
	denied := policy.Decision{Statement: "policies.json: document 1, statement 1"}
	allowed := denied
	allowed.Allowed = true
	trails := map[string]func(*testing.B) audit.Trail{
		"lines": func(*testing.B) audit.Trail { return audit.Lines(io.Discard) },
		"file": func(b *testing.B) audit.Trail {
			f, err := auditfile.Open(filepath.Join(b.TempDir(), "audit.jsonl"))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = f.Close() })
			return f
		},
	}
	for _, bench := range []struct {
		name, operation string
		in              any
		out             any
		err             error
		decision        policy.Decision
	}{
		{"get", "GetSecretValue", getSecretValueInput{SecretId: "prod/db"}, getSecretValueOutput{}, nil, allowed},
		{"put", "PutSecretValue", put, putSecretValueOutput{ARN: arn, Name: "prod/db", VersionId: put.ClientRequestToken, VersionStages: []string{secret.Current}}, nil, allowed},
		{"denied", "PutSecretValue", put, nil, secret.Errorf(secret.AccessDenied, "User is not authorized to perform: secretsmanager:PutSecretValue"), denied},
	} {
		for _, trail := range []string{"lines", "file"} {
			b.Run(bench.name+"/"+trail, func(b *testing.B) {
				server := &Server{Store: store.New(nil, "", secret.ARNs{}), Sealer: &envelope.Sealer{}, Trail: trails[trail](b)}
				shape := newShape(reflect.TypeOf(bench.in))
				in := reflect.New(reflect.TypeOf(bench.in))
				in.Elem().Set(reflect.ValueOf(bench.in))
				b.ReportAllocs()
				for b.Loop() {
					c := server.newCall("99999999-2222-3333-4444-555555555555", policy.Caller{
						ARN: "arn:aws:sts::123456789012:assumed-role/app/i-0abc", Account: "123456789012", UserID: "AROAEXAMPLE:i-0abc",
						AccessKey: "ASIAEXAMPLE", SourceIP: "192.0.2.7", UserAgent: "aws-sdk-go-v2/1.30 lang/go#1.26",
					})
					c.operation, c.at, c.decision, c.decided, c.arn, c.units, c.kmsCalls = bench.operation, time.Unix(0, 0), bench.decision, true, arn, 1, 1
					c.parameters = shape.parameters(in.Elem())
					if err := c.keep(b.Context(), bench.out, bench.err); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
