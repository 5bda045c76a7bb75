package api_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
)

func TestListSecretVersionIdsMembers(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	withClock(room, time.Date(2026, 11, 21, 12, 0, 0, 500_000_000, time.UTC))
	create(t, room, "s", "v1", "one")
	put(t, room, "s", "v2", "two")
	put(t, room, "s", "v3", "three")
	get(t, room, "s")
	_, body := room.Post(t, "ListSecretVersionIds", `{"SecretId":"s","IncludeDeprecated":true}`)
	checkMembers(t, body, "ARN", "Name", "Versions")
	var answer struct {
		ARN, Name string
		Versions  []json.RawMessage
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.ARN != *describe(t, room, "s").ARN || answer.Name != "s" {
		t.Errorf("got ARN %s, Name %s", answer.ARN, answer.Name)
	}
	want := map[string]string{
		"v1": `{"VersionId":"` + token("v1") + `","CreatedDate":1795262400.5,"KmsKeyIds":["DefaultEncryptionKey"]}`,
		"v2": `{"VersionId":"` + token("v2") + `","VersionStages":["AWSPREVIOUS"],"CreatedDate":1795262400.5,"KmsKeyIds":["DefaultEncryptionKey"]}`,
		"v3": `{"VersionId":"` + token("v3") + `","VersionStages":["AWSCURRENT"],"CreatedDate":1795262400.5,"LastAccessedDate":1795219200,"KmsKeyIds":["DefaultEncryptionKey"]}`,
	}
	got := map[string]string{}
	for _, raw := range answer.Versions {
		var v struct{ VersionId string }
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatal(err)
		}
		got[short(v.VersionId)] = string(raw)
	}
	if !maps.Equal(got, want) {
		t.Errorf("got versions %v, want %v", got, want)
	}
}

func TestListSecretVersionIdsDeprecated(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	createEmpty(t, room, "empty")
	create(t, room, "s", "v1", "one")
	put(t, room, "s", "v2", "two")
	put(t, room, "s", "v3", "three")
	put(t, room, "s", "v4", "four", "mine", "other")
	beginRotation(t, room, "p") // has no value, so it is no version yet
	for _, test := range []struct {
		name       string
		deprecated *bool
		want       []string
	}{
		{"s", nil, []string{"v2", "v3", "v4"}},
		{"s", aws.Bool(false), []string{"v2", "v3", "v4"}},
		{"s", aws.Bool(true), []string{"v1", "v2", "v3", "v4"}},
		{"empty", nil, nil},
		{"empty", aws.Bool(true), nil},
	} {
		out := must(room.SDK.ListSecretVersionIds(t.Context(), &secretsmanager.ListSecretVersionIdsInput{
			SecretId: aws.String(test.name), IncludeDeprecated: test.deprecated,
		}))(t)
		if got := versionsOn(out); !slices.Equal(slices.Sorted(slices.Values(got)), test.want) || out.NextToken != nil || out.Versions == nil {
			t.Errorf("got versions %q of %s, want %q", got, test.name, test.want)
		}
	}
}

func versionsOn(page *secretsmanager.ListSecretVersionIdsOutput) []string {
	var ids []string
	for _, v := range page.Versions {
		ids = append(ids, short(*v.VersionId))
	}
	return ids
}

// A list in pages of any size is the same list: nothing twice, nothing left out,
// and no page larger than asked.
func TestListSecretVersionIdsPages(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	createEmpty(t, room, "s")
	const versions, labelled = 12, 7
	var all []string
	for i := range versions {
		id := fmt.Sprintf("v%02d", versions-i)
		label := "AWSCURRENT"
		if i >= versions-labelled+2 { // two have AWSCURRENT and AWSPREVIOUS
			label = "label-" + id
		}
		put(t, room, "s", id, "x", label)
		all = append(all, id)
	}
	slices.Sort(all)
	for _, deprecated := range []bool{true, false} {
		want := all
		if !deprecated {
			want = all[:labelled]
		}
		for size := 1; size <= len(all)+1; size++ {
			in := &secretsmanager.ListSecretVersionIdsInput{
				SecretId: aws.String("s"), IncludeDeprecated: aws.Bool(deprecated), MaxResults: aws.Int32(int32(size)),
			}
			var got []string
			for len(got) <= len(all) {
				page := must(room.SDK.ListSecretVersionIds(t.Context(), in))(t)
				if n := len(page.Versions); n == 0 || n > size {
					t.Errorf("got a page of %d, want 1 to %d", n, size)
				}
				got = append(got, versionsOn(page)...)
				if in.NextToken = page.NextToken; in.NextToken == nil {
					break
				}
			}
			if !slices.Equal(slices.Sorted(slices.Values(got)), want) {
				t.Errorf("got %q in pages of %d, want %q", got, size, want)
			}
		}
	}
	for _, size := range []int32{1, 100} {
		must(room.SDK.ListSecretVersionIds(t.Context(), &secretsmanager.ListSecretVersionIdsInput{SecretId: aws.String("s"), MaxResults: aws.Int32(size)}))(t)
	}
}

func TestListSecretVersionIdsNextToken(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for _, name := range []string{"s", "other"} {
		create(t, room, name, "v1", "one")
		for _, id := range []string{"v2", "v3", "v4"} {
			put(t, room, name, id, id)
		}
	}
	first := func(name string, deprecated bool) string {
		return *must(room.SDK.ListSecretVersionIds(t.Context(), &secretsmanager.ListSecretVersionIdsInput{
			SecretId: aws.String(name), IncludeDeprecated: aws.Bool(deprecated), MaxResults: aws.Int32(1),
		}))(t).NextToken
	}
	good := first("s", true)
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	changed := func(at int) string {
		b := slices.Clone(raw)
		b[at] ^= 1
		return base64.RawURLEncoding.EncodeToString(b)
	}
	for name, token := range map[string]string{
		"first byte changed":       changed(0),
		"last byte changed":        changed(len(raw) - 1),
		"cut":                      good[:len(good)-2],
		"cut to a part of the sum": good[:8],
		"sum alone":                base64.RawURLEncoding.EncodeToString(raw[:12]),
		"longer":                   good + "AA",
		"with padding":             good + "=",
		"no base64":                "#",
		"of another secret":        first("other", true),
		"of the labelled versions": first("s", false),
	} {
		t.Run(name, func(t *testing.T) {
			refuses(t, room, refusal{"InvalidNextTokenException", "The NextToken value is invalid."}, func() (*secretsmanager.ListSecretVersionIdsOutput, error) {
				return room.SDK.ListSecretVersionIds(t.Context(), &secretsmanager.ListSecretVersionIdsInput{
					SecretId: aws.String("s"), IncludeDeprecated: aws.Bool(true), NextToken: aws.String(token),
				})
			})
		})
	}
	// A token is good for another process, another page size and another way to
	// name the secret; but not for the next secret of that name.
	in := &secretsmanager.ListSecretVersionIdsInput{
		SecretId: describe(t, room, "s").ARN, IncludeDeprecated: aws.Bool(true), NextToken: aws.String(good), MaxResults: aws.Int32(2),
	}
	page := must(room.Another(t).SDK.ListSecretVersionIds(t.Context(), in))(t)
	if got := versionsOn(page); !slices.Equal(got, []string{"v2", "v3"}) {
		t.Errorf("got versions %q, want v2 and v3", got)
	}
	forceDelete(t, room, "s")
	create(t, room, "s", "v1", "one")
	in.SecretId = aws.String("s")
	refuses(t, room, refusal{"InvalidNextTokenException", "The NextToken value is invalid."}, func() (*secretsmanager.ListSecretVersionIdsOutput, error) {
		return room.SDK.ListSecretVersionIds(t.Context(), in)
	})
}

func TestListSecretVersionIdsRefuses(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	long := strings.Repeat("x", 4097)
	for _, test := range []struct {
		name string
		in   *secretsmanager.ListSecretVersionIdsInput
		want refusal
	}{
		{"unknown", &secretsmanager.ListSecretVersionIdsInput{SecretId: aws.String("unknown")}, notFound},
		{"bad name", &secretsmanager.ListSecretVersionIdsInput{SecretId: aws.String("a b")}, invalidName},
		{"0 results", &secretsmanager.ListSecretVersionIdsInput{SecretId: aws.String("s"), MaxResults: aws.Int32(0)}, violation("Value '0' at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 1")},
		{"101 results", &secretsmanager.ListSecretVersionIdsInput{SecretId: aws.String("s"), MaxResults: aws.Int32(101)}, violation("Value '101' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 100")},
		{"token of 4,097 characters", &secretsmanager.ListSecretVersionIdsInput{SecretId: aws.String("s"), NextToken: aws.String(long)}, violation("Value '" + long + "' at 'nextToken' failed to satisfy constraint: Member must have length less than or equal to 4096")},
		{"empty token", &secretsmanager.ListSecretVersionIdsInput{SecretId: aws.String("s"), NextToken: aws.String("")}, violation("Value '' at 'nextToken' failed to satisfy constraint: Member must have length greater than or equal to 1")},
	} {
		t.Run(test.name, func(t *testing.T) {
			refuses(t, room, test.want, func() (*secretsmanager.ListSecretVersionIdsOutput, error) {
				return room.SDK.ListSecretVersionIds(t.Context(), test.in)
			})
		})
	}
}

// A version that is removed while versions are listed does not take its label along: the
// label moved on before.
func TestListVersionsWhileOneGoes(t *testing.T) {
	t.Parallel()
	for _, all := range []bool{false, true} {
		room := localtest.New(t)
		create(t, room, "s", "v1", "one")
		put(t, room, "s", "v2", "two")
		reader := room.Another(t)
		call := "BatchGetItem"
		if all {
			call = "Query"
		}
		reader.Wire.Break(call, func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
			put(t, room, "s", "v3", "three")
			put(t, room, "s", "v4", "four")
			sec := must(room.Store.Get(t.Context(), secret.ID{Name: "s"}))(t)
			remove := func(sec secret.Secret) (secret.Change, error) {
				return secret.Change{Secret: sec}.With(secret.Discard, token("v1")), nil
			}
			must(room.Store.Update(t.Context(), secret.ID{Name: "s", Suffix: sec.Suffix()}, remove))(t)
			return do()
		})
		out := must(reader.SDK.ListSecretVersionIds(t.Context(), &secretsmanager.ListSecretVersionIdsInput{SecretId: aws.String("s"), IncludeDeprecated: &all}))(t)
		labels := map[string]string{}
		for _, v := range out.Versions {
			for _, label := range v.VersionStages {
				labels[label] = *v.VersionId
			}
		}
		if labels["AWSCURRENT"] != token("v4") || labels["AWSPREVIOUS"] != token("v3") {
			t.Errorf("all %t: got labels %v, want those of v3 and v4", all, labels)
		}
	}
}
