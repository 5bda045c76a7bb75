package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// inputs are those of all operations. Members that are refused together are left out
// of one or the other.
var inputs = map[string]struct {
	in  any
	but []string
}{
	"BatchGetSecretValue":            {batchGetSecretValueInput{}, []string{"Filters", "MaxResults", "NextToken"}},
	"BatchGetSecretValue by filters": {batchGetSecretValueInput{}, []string{"SecretIdList"}},
	"CancelRotateSecret":             {cancelRotateSecretInput{}, nil},
	"CreateSecret":                   {createSecretInput{}, nil},
	"DeleteResourcePolicy":           {deleteResourcePolicyInput{}, nil},
	"DeleteSecret":                   {deleteSecretInput{}, nil},
	"DescribeSecret":                 {describeSecretInput{}, nil},
	"GetRandomPassword":              {getRandomPasswordInput{}, nil},
	"GetResourcePolicy":              {getResourcePolicyInput{}, nil},
	"GetSecretValue":                 {getSecretValueInput{}, nil},
	"ListSecretVersionIds":           {listSecretVersionIDsInput{}, nil},
	"ListSecrets":                    {listSecretsInput{}, nil},
	"PutResourcePolicy":              {putResourcePolicyInput{}, nil},
	"PutSecretValue":                 {putSecretValueInput{}, nil},
	"RemoveRegionsFromReplication":   {removeRegionsFromReplicationInput{}, nil},
	"ReplicateSecretToRegions":       {replicateSecretToRegionsInput{}, nil},
	"RestoreSecret":                  {restoreSecretInput{}, nil},
	"RotateSecret":                   {rotateSecretInput{}, nil},
	"StopReplicationToReplica":       {stopReplicationToReplicaInput{}, nil},
	"TagResource":                    {tagResourceInput{}, nil},
	"UntagResource":                  {untagResourceInput{}, nil},
	"UpdateSecret":                   {updateSecretInput{}, nil},
	"UpdateSecretVersionStage":       {updateSecretVersionStageInput{}, nil},
	"ValidateResourcePolicy":         {validateResourcePolicyInput{}, nil},
}

// The largest request of each operation that is taken, in the characters that become
// the longest in a record, leaves a record with all of it, values apart, whatever else
// a caller sends.
func TestLargestRequestIsRecordedWhole(t *testing.T) {
	tested := map[string]bool{}
	for name, c := range inputs {
		operation, _, _ := strings.Cut(name, " ")
		tested[operation] = true
		t.Run(name, func(t *testing.T) {
			s := newShape(reflect.TypeOf(c.in))
			want := largest(t, reflect.TypeOf(c.in), c.but)
			body, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			in := reflect.New(reflect.TypeOf(c.in))
			if found, err := s.decode(body, in.Interface()); err != nil || len(found) > 0 {
				t.Fatalf("it is not taken: %.500v %v", found, err)
			}
			long := strings.Repeat("\xff", 100_000)
			r := audit.Call(operation, "id", time.Unix(0, 0))
			r.UserIdentity = audit.IdentityOf("arn:aws:sts::123456789012:assumed-role/"+strings.Repeat("r", 64)+"/"+strings.Repeat("s", 64), "123456789012", "AROAEXAMPLE:"+strings.Repeat("s", 64), "ASIAEXAMPLE")
			r.UserAgent = long
			r.AdditionalEventData = additional(long, "", strings.Repeat("v", 64))
			r.Resources = audit.Secrets("arn:aws:secretsmanager:us-east-1:123456789012:secret:" + strings.Repeat("n", 512) + "-a1B2c3")
			r.RequestParameters = s.parameters(in.Elem())
			var line bytes.Buffer
			if err := audit.Lines(&line).Keep(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			var got struct{ RequestParameters map[string]any }
			if err := json.Unmarshal(line.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			for _, m := range s.members {
				if m.sensitive {
					delete(want, m.name)
				}
			}
			text, _ := json.Marshal(renamed(want))
			if kept, _ := json.Marshal(got.RequestParameters); line.Len() > audit.MaxLine || string(kept) != string(text) {
				t.Errorf("a line of %d bytes has parameters of %d bytes, want %d: %.300s", line.Len(), len(kept), len(text), kept)
			}
		})
	}
	if got, want := slices.Sorted(maps.Keys(tested)), slices.Sorted(maps.Keys(operations)); !slices.Equal(got, want) {
		t.Errorf("tested are %v, of %v", got, want)
	}
}

// worst is a character that takes six bytes in JSON.
const worst = "\x01"

// largest are members of a structure that are as large as they may be.
func largest(t *testing.T, in reflect.Type, but []string) map[string]any {
	all := map[string]any{}
	for _, m := range newShape(in).members {
		if !slices.Contains(but, m.name) {
			all[m.name] = m.largest(t, in.Field(m.index).Type)
		}
	}
	return all
}

func (m member) largest(t *testing.T, in reflect.Type) any {
	if in.Kind() == reflect.Pointer {
		in = in.Elem()
	}
	switch {
	case m.sensitive && in.Kind() == reflect.Slice:
		return []byte("x")
	case m.sensitive:
		return strings.Repeat("x", max(1, m.len.min))
	case in.Kind() == reflect.Struct:
		return largest(t, in, nil)
	case in.Kind() == reflect.Slice:
		n := m.most
		if n == 0 && m.len != nil {
			n = m.len.max
		}
		if n == 0 || n > 100 {
			t.Fatalf("the list %s has no bound", m.name)
		}
		list := make([]any, n)
		for i := range list {
			if m.element != nil {
				list[i] = largest(t, in.Elem(), nil)
			} else {
				list[i] = m.longest(t, m.each.max)
			}
		}
		return list
	case in.Kind() == reflect.Bool:
		return true
	case in.Kind() == reflect.Int && m.rng == nil:
		return 1 << 50
	case in.Kind() == reflect.Int:
		return m.rng.max
	case m.enum != nil:
		return slices.MaxFunc(m.enum, func(a, b string) int { return len(a) - len(b) })
	case m.len == nil:
		t.Fatalf("the text %s has no bound", m.name)
	}
	if m.name == "Duration" {
		return "24h"
	}
	return m.longest(t, m.len.max)
}

func (m member) longest(t *testing.T, n int) string {
	if m.pattern == patterns["region"] {
		return strings.Repeat("r", n-2) + "-1"
	}
	return strings.Repeat(m.character(t), n)
}

// character is one that takes the most space of those that the member may have.
func (m member) character(t *testing.T) string {
	switch {
	case m.pattern != nil && !m.pattern.MatchString(worst):
		return "a"
	case m.name == "KmsKeyId": // so that no secret has it
		if err := (secret.ARNs{Partition: "aws", Region: "us-east-1"}).CheckKey(worst); err == nil {
			t.Error("a KMS key may be named by anything")
		}
		return "k"
	}
	return worst
}

// A list that is too long is refused without a look at its elements, by an error that
// is short, and its record is.
func TestLongListIsNotRead(t *testing.T) {
	element := strings.Repeat(`"k",`, 60_000) + `"k"`
	object := strings.Repeat(`{"Key":"k"},`, 40_000) + `{"Key":"k"}`
	tags := secret.ErrManyTags
	for name, c := range map[string]struct {
		operation, body string
		want            string
	}{
		"tag keys": {"UntagResource", `{"SecretId":"s","TagKeys":[` + element + `]}`, tags.Message},
		"tags":     {"TagResource", `{"SecretId":"s","Tags":[` + object + `]}`, tags.Message},
		"new tags": {"CreateSecret", `{"Name":"s","Tags":[` + object + `]}`, tags.Message},
		"filters":  {"ListSecrets", `{"Filters":[` + object + `]}`, errManyFilters.Message},
		"ids":      {"BatchGetSecretValue", `{"SecretIdList":[` + element + `]}`, "1 validation error detected: Value at 'secretIdList' failed to satisfy constraint: Member must have length less than or equal to 20"},
		"labels":   {"PutSecretValue", `{"SecretId":"s","VersionStages":[` + element + `]}`, "1 validation error detected: Value at 'versionStages' failed to satisfy constraint: Member must have length less than or equal to 20"},
		"values":   {"ListSecrets", `{"Filters":[{"Key":"name","Values":[` + element + `]}]}`, "1 validation error detected: Value at 'filters.1.member.values' failed to satisfy constraint: Member must have length less than or equal to 10"},
		"Regions":  {"CreateSecret", `{"Name":"s","AddReplicaRegions":[` + object + `]}`, "1 validation error detected: Value at 'addReplicaRegions' failed to satisfy constraint: Member must have length less than or equal to 50"},
		"metadata": {"RotateSecret", `{"SecretId":"s","ExternalSecretRotationMetadata":[` + object + `]}`, "1 validation error detected: Value at 'externalSecretRotationMetadata' failed to satisfy constraint: Member must have length less than or equal to 10"},
	} {
		t.Run(name, func(t *testing.T) {
			if len(c.body) > MaxBody {
				t.Fatalf("a body of %d bytes is not read anyway", len(c.body))
			}
			var line bytes.Buffer
			server := &Server{Store: store.New(nil, "", secret.ARNs{}), Sealer: &envelope.Sealer{}, Policies: policy.AllowAll(), Log: slog.New(slog.DiscardHandler), Trail: audit.Lines(&line)}
			ask := func() *httptest.ResponseRecorder {
				call := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(c.body))
				call.Header.Set("Content-Type", jsonType)
				call.Header.Set("X-Amz-Target", "secretsmanager."+c.operation)
				answer := httptest.NewRecorder()
				server.Answer(answer, call, "id", policy.Caller{})
				return answer
			}
			answer := ask()
			var refused struct{ Message string }
			if err := json.Unmarshal(answer.Body.Bytes(), &refused); err != nil || refused.Message != c.want {
				t.Errorf("got %d %.300s, want %q", answer.Code, answer.Body, c.want)
			}
			if line.Len() > 2_000 || !strings.Contains(line.String(), fmt.Sprintf("%q", c.want)) {
				t.Errorf("got a record of %d bytes: %.500s", line.Len(), &line)
			}
			if got := testing.AllocsPerRun(3, func() { ask() }); got > 500 {
				t.Errorf("got %v allocations, want few", got)
			}
		})
	}
}
