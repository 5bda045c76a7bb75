package api_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

func TestPutSecretValueAnswer(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	arn := *create(t, room, "s", "v1", "one").ARN
	out := put(t, room, "s", "v2", "two", "AWSCURRENT", "mine")
	if *out.ARN != arn || *out.Name != "s" || *out.VersionId != token("v2") || join(out.VersionStages) != "AWSCURRENT mine" {
		t.Errorf("got ARN %s, Name %s, VersionId %s, VersionStages %q", *out.ARN, *out.Name, *out.VersionId, out.VersionStages)
	}
	answer, body := room.Post(t, "PutSecretValue", `{"SecretId":"s","SecretString":"three","ClientRequestToken":"`+token("v3")+`"}`)
	if answer.StatusCode != http.StatusOK {
		t.Errorf("got status %d, want 200", answer.StatusCode)
	}
	checkHeaders(t, answer)
	checkMembers(t, body, "ARN", "Name", "VersionId", "VersionStages")
}

func TestPutSecretValueTakesValues(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	createEmpty(t, room, "s")
	everyByte := make([]byte, 256)
	for i := range everyByte {
		everyByte[i] = byte(i)
	}
	for i, test := range []struct {
		name string
		text string
		blob []byte
	}{
		{name: "string", text: "one"},
		{name: "binary", blob: []byte("one")},
		{name: "one character", text: "x"},
		{name: "one byte", blob: []byte{0}},
		{name: "65,536 characters", text: strings.Repeat("x", 65536)},
		{name: "65,536 bytes", blob: bytes.Repeat([]byte{0xff}, 65536)},
		{name: "65,535 bytes in three-byte characters", text: strings.Repeat("€", 21845)},
		{name: "65,536 control characters", text: strings.Repeat("\x00", 65536)},
		{name: "every byte", blob: everyByte},
		{name: "JSON", text: `{"user":"ü","password":"\"\\</script>&"}`},
		{name: "outside the basic plane, line separators, replacement character", text: "😀\u2028\u2029\ufffd\u007f"},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := putInput("s", fmt.Sprint("v", i), "")
			if in.SecretString, in.SecretBinary = nil, test.blob; test.blob == nil {
				in.SecretString = aws.String(test.text)
			}
			out := must(room.SDK.PutSecretValue(t.Context(), in))(t)
			for from, room := range map[string]*localtest.Room{"the same process": room, "another process": room.Another(t)} {
				got := get(t, room, "s")
				if *got.VersionId != *out.VersionId {
					t.Errorf("got version %s from %s, want %s", *got.VersionId, from, *out.VersionId)
				}
				if isText := test.blob == nil; isText != (got.SecretString != nil) || isText != (got.SecretBinary == nil) {
					t.Errorf("got string %t and binary %t from %s, want only what was put", got.SecretString != nil, got.SecretBinary != nil, from)
				}
				if aws.ToString(got.SecretString) != test.text || !bytes.Equal(got.SecretBinary, test.blob) {
					t.Errorf("got another value from %s than was put", from)
				}
			}
		})
	}
}

func TestPutSecretValueRefusesValues(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	for _, test := range []struct {
		name   string
		change func(*secretsmanager.PutSecretValueInput)
		want   refusal
	}{
		{"both", func(in *secretsmanager.PutSecretValueInput) { in.SecretBinary = []byte("two") }, bothValues},
		{"neither", func(in *secretsmanager.PutSecretValueInput) { in.SecretString = nil }, refusal{"InvalidRequestException", "You must provide either SecretString or SecretBinary."}},
		{"empty string", func(in *secretsmanager.PutSecretValueInput) { in.SecretString = aws.String("") }, violation("Value at 'secretString' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"empty binary", func(in *secretsmanager.PutSecretValueInput) { in.SecretString, in.SecretBinary = nil, []byte{} }, violation("Value at 'secretBinary' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"65,537 characters", func(in *secretsmanager.PutSecretValueInput) {
			in.SecretString = aws.String(strings.Repeat("x", 65537))
		}, violation("Value at 'secretString' failed to satisfy constraint: Member must have length less than or equal to 65536")},
		{"65,538 bytes in 21,846 characters", func(in *secretsmanager.PutSecretValueInput) {
			in.SecretString = aws.String(strings.Repeat("€", 21846))
		}, violation("Value at 'secretString' failed to satisfy constraint: Member must have length less than or equal to 65536")},
		{"65,537 bytes", func(in *secretsmanager.PutSecretValueInput) {
			in.SecretString, in.SecretBinary = nil, make([]byte, 65537)
		}, violation("Value at 'secretBinary' failed to satisfy constraint: Member must have length less than or equal to 65536")},
		{"token of 31 characters", func(in *secretsmanager.PutSecretValueInput) {
			in.ClientRequestToken = aws.String(strings.Repeat("t", 31))
		}, violation("Value '" + strings.Repeat("t", 31) + "' at 'clientRequestToken' failed to satisfy constraint: Member must have length greater than or equal to 32")},
		{"token of 65 characters", func(in *secretsmanager.PutSecretValueInput) {
			in.ClientRequestToken = aws.String(strings.Repeat("t", 65))
		}, violation("Value '" + strings.Repeat("t", 65) + "' at 'clientRequestToken' failed to satisfy constraint: Member must have length less than or equal to 64")},
		{"empty token", func(in *secretsmanager.PutSecretValueInput) { in.ClientRequestToken = aws.String("") }, violation("Value '' at 'clientRequestToken' failed to satisfy constraint: Member must have length greater than or equal to 32")},
		{"rotation token of 35 characters", func(in *secretsmanager.PutSecretValueInput) {
			in.RotationToken = aws.String(strings.Repeat("r", 35))
		}, violation("Value at 'rotationToken' failed to satisfy constraint: Member must have length greater than or equal to 36")},
		{"rotation token of 257 characters", func(in *secretsmanager.PutSecretValueInput) {
			in.RotationToken = aws.String(strings.Repeat("r", 257))
		}, violation("Value at 'rotationToken' failed to satisfy constraint: Member must have length less than or equal to 256")},
		{"rotation token of other characters", func(in *secretsmanager.PutSecretValueInput) {
			in.RotationToken = aws.String(strings.Repeat("_", 36))
		}, violation(`Value at 'rotationToken' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9\-]+$`)},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := putInput("s", "v2", "two")
			test.change(in)
			refuses(t, room, test.want, func() (*secretsmanager.PutSecretValueOutput, error) {
				return room.SDK.PutSecretValue(t.Context(), in)
			})
		})
	}
}

func TestPutSecretValueNeedsToken(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	create(t, room, "deleted", "v1", "one")
	schedule(t, room, "deleted")
	for _, body := range []string{
		`{"SecretId":"s","SecretString":"two"}`,
		`{"SecretId":"s","SecretBinary":"dHdv"}`,
		`{"SecretId":"s","SecretString":"two","ClientRequestToken":null}`,
		`{"SecretId":"s"}`,
		// Before existence and state (recorded).
		`{"SecretId":"unknown","SecretString":"two"}`,
		`{"SecretId":"deleted","SecretString":"two"}`,
	} {
		refusesPost(t, room, "PutSecretValue", body, noToken)
	}
}

func TestPutSecretValueTakesTokens(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	createEmpty(t, room, "s")
	for _, token := range []string{
		"7b9d1f0e-2c58-4b9e-8f2f-0d3f3b6c9a11",
		"terraform-20261121225301000000000001",                             // Terraform
		"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", // cdk-sops: a hash
		strings.Repeat("é", 32),                                            // 32 characters in 64 bytes
		strings.Repeat("😀", 64),
		`#/"\ ` + "\x00\n" + strings.Repeat("'", 30),
	} {
		in := putInput("s", "", token)
		in.ClientRequestToken = aws.String(token)
		out := must(room.SDK.PutSecretValue(t.Context(), in))(t)
		got := must(room.SDK.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("s"), VersionId: aws.String(token)}))(t)
		if *out.VersionId != token || *got.VersionId != token || *got.SecretString != token {
			t.Errorf("got version %q put and %q read, want %q", *out.VersionId, *got.VersionId, token)
		}
	}
}

// A token that is already a version: the same data does nothing, other data is
// refused.
func TestPutSecretValueAgain(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	text := func(value string, labels ...string) *secretsmanager.PutSecretValueInput {
		return putInput("", "T", value, labels...)
	}
	blob := func(value string, labels ...string) *secretsmanager.PutSecretValueInput {
		in := putInput("", "T", "", labels...)
		in.SecretString, in.SecretBinary = nil, []byte(value)
		return in
	}
	for _, test := range []struct {
		name   string
		first  *secretsmanager.PutSecretValueInput
		since  func(t *testing.T, name string)
		again  *secretsmanager.PutSecretValueInput
		taken  bool
		labels string // of T, as the second answer says
	}{
		{name: "same string", first: text("x"), again: text("x"), taken: true, labels: "AWSCURRENT"},
		{name: "same binary", first: blob("x"), again: blob("x"), taken: true, labels: "AWSCURRENT"},
		{name: "other string", first: text("x"), again: text("y")},
		{name: "longer string", first: text("x"), again: text("xx")},
		{name: "other binary", first: blob("x"), again: blob("y")},
		{name: "string where binary was", first: blob("x"), again: text("x")},
		{name: "binary where string was", first: text("x"), again: blob("x")},
		{name: "same data, other labels", first: text("x", "mine"), again: text("x", "AWSCURRENT", "other"), taken: true, labels: "mine"},
		{name: "same data, no labels now", first: text("x", "AWSPENDING"), again: text("x"), taken: true, labels: "AWSPENDING"},
		{name: "other data, other labels", first: text("x", "mine"), again: text("y", "AWSCURRENT")},
		{
			name: "now AWSPREVIOUS", first: text("x"), again: text("x"), taken: true, labels: "AWSPREVIOUS",
			since: func(t *testing.T, name string) { put(t, room, name, "v2", "two") },
		},
		{
			name: "now deprecated", first: text("x"), again: text("x", "AWSCURRENT"), taken: true,
			since: func(t *testing.T, name string) {
				put(t, room, name, "v2", "two")
				put(t, room, name, "v3", "three")
			},
		},
		{
			name: "now deprecated, other data", first: text("x"), again: text("y"),
			since: func(t *testing.T, name string) {
				put(t, room, name, "v2", "two")
				put(t, room, name, "v3", "three")
			},
		},
	} {
		for where, again := range map[string]*localtest.Room{"in the same process": room, "in another process": room.Another(t)} {
			t.Run(test.name+" "+where, func(t *testing.T) {
				name := strings.NewReplacer(" ", "-", ",", "").Replace(test.name + where)
				arn := *create(t, room, name, "v1", "one").ARN
				first, second := *test.first, *test.again
				first.SecretId, second.SecretId = aws.String(name), aws.String(name)
				must(room.SDK.PutSecretValue(t.Context(), &first))(t)
				if test.since != nil {
					test.since(t, name)
				}
				if !test.taken {
					refuses(t, again, tokenInUse(token("T"), arn), func() (*secretsmanager.PutSecretValueOutput, error) {
						return again.SDK.PutSecretValue(t.Context(), &second)
					})
					return
				}
				before := dump(t, room)
				out := must(again.SDK.PutSecretValue(t.Context(), &second))(t)
				if *out.ARN != arn || *out.Name != name || *out.VersionId != token("T") || join(out.VersionStages) != test.labels {
					t.Errorf("got ARN %s, Name %s, VersionId %s, VersionStages %q; want %s, %s, %s, %q",
						*out.ARN, *out.Name, *out.VersionId, out.VersionStages, arn, name, token("T"), test.labels)
				}
				checkSame(t, before, dump(t, room))
			})
		}
	}
}

func TestPutSecretValueNewTokenEqualData(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	now := withClock(room, time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	create(t, room, "s", "v1", "one")
	now.now = now.now.Add(1500 * time.Millisecond)
	put(t, room, "s", "v2", "one")
	checkStages(t, room, "s", map[string]string{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT"})
	if got := *describe(t, room, "s").LastChangedDate; !got.Equal(now.now) {
		t.Errorf("got LastChangedDate %s, want %s", got, now.now)
	}
}

// The version of a rotation that has begun has a label and no value: the put
// with its token brings the value.
func TestPutSecretValueIntoPlaceholder(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	beginRotation(t, room, "v2")
	for range 2 { // a rotation function may try again
		out := put(t, room, "s", "v2", "two", "AWSPENDING")
		if join(out.VersionStages) != "AWSPENDING" {
			t.Errorf("got labels %q, want AWSPENDING", out.VersionStages)
		}
	}
	checkStages(t, room, "s", map[string]string{"v1": "AWSCURRENT", "v2": "AWSPENDING"})
	if got := getVersion(t, room, "s", "v2"); *got.SecretString != "two" {
		t.Errorf("got value %q, want two", *got.SecretString)
	}
}

func TestPutSecretValueTokenOfAnotherSecret(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "a", "T", "one")
	createEmpty(t, room, "b")
	put(t, room, "b", "T", "other")
	for name, want := range map[string]string{"a": "one", "b": "other"} {
		if got := getVersion(t, room, name, "T"); *got.SecretString != want {
			t.Errorf("got value %q of %s, want %q", *got.SecretString, name, want)
		}
	}
}

// Calls with one token at the same moment, in two processes: all that bring the
// data that came first are answered alike, all others are refused, and there is
// one version.
func TestPutSecretValueAgainInParallel(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	rooms := []*localtest.Room{room, room.Another(t)}
	for _, values := range [][]string{{"x"}, {"x", "y"}} {
		name := "secret-" + strings.Join(values, "")
		arn := *create(t, room, name, "v1", "one").ARN
		var wg sync.WaitGroup
		errs := make([]error, 16)
		for i := range errs {
			wg.Go(func() {
				_, errs[i] = rooms[i%2].SDK.PutSecretValue(t.Context(), putInput(name, "T", values[i/2%len(values)]), once)
			})
		}
		wg.Wait()
		won := *get(t, room, name).SecretString
		for i, err := range errs {
			if value := values[i/2%len(values)]; value != won {
				checkRefused(t, err, tokenInUse(token("T"), arn))
			} else if err != nil {
				t.Errorf("got error %v for the value that was put", err)
			}
		}
		checkStages(t, room, name, map[string]string{"v1": "AWSPREVIOUS", "T": "AWSCURRENT"})
	}
}

// What a put does to the labels. N is the new version; the others are put
// before, in order, v1 being AWSCURRENT unless said.
func TestPutSecretValueMovesLabels(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	type version struct {
		id     string
		labels []string
	}
	v := func(id string, labels ...string) version { return version{id, labels} }
	for i, test := range []struct {
		name   string
		before []version
		labels []string
		want   map[string]string
	}{
		{"absent", []version{v("v1")}, nil, map[string]string{"v1": "AWSPREVIOUS", "N": "AWSCURRENT"}},
		{"absent, AWSPREVIOUS becomes deprecated", []version{v("v0"), v("v1")}, nil, map[string]string{"v0": "", "v1": "AWSPREVIOUS", "N": "AWSCURRENT"}},
		{"absent, AWSPREVIOUS keeps another label", []version{v("v0", "AWSCURRENT", "mine"), v("v1")}, nil, map[string]string{"v0": "mine", "v1": "AWSPREVIOUS", "N": "AWSCURRENT"}},
		{"AWSCURRENT", []version{v("v0"), v("v1")}, []string{"AWSCURRENT"}, map[string]string{"v0": "", "v1": "AWSPREVIOUS", "N": "AWSCURRENT"}},
		{"AWSCURRENT twice", []version{v("v1")}, []string{"AWSCURRENT", "AWSCURRENT"}, map[string]string{"v1": "AWSPREVIOUS", "N": "AWSCURRENT"}},
		{"AWSPENDING", []version{v("v1")}, []string{"AWSPENDING"}, map[string]string{"v1": "AWSCURRENT", "N": "AWSPENDING"}},
		{"AWSPENDING, an older one loses it", []version{v("v1"), v("p", "AWSPENDING")}, []string{"AWSPENDING"}, map[string]string{"v1": "AWSCURRENT", "p": "", "N": "AWSPENDING"}},
		{"custom", []version{v("v1")}, []string{"mine"}, map[string]string{"v1": "AWSCURRENT", "N": "mine"}},
		{"custom, from a version with others", []version{v("v1"), v("c", "mine", "other")}, []string{"mine"}, map[string]string{"v1": "AWSCURRENT", "c": "other", "N": "mine"}},
		{"custom, from its only label", []version{v("v1"), v("c", "mine")}, []string{"mine"}, map[string]string{"v1": "AWSCURRENT", "c": "", "N": "mine"}},
		{"custom, from the current version", []version{v("v1", "AWSCURRENT", "mine")}, []string{"mine", "new"}, map[string]string{"v1": "AWSCURRENT", "N": "mine new"}},
		{"custom and AWSCURRENT", []version{v("v1")}, []string{"mine", "AWSCURRENT"}, map[string]string{"v1": "AWSPREVIOUS", "N": "AWSCURRENT mine"}},
		{"AWSSOMETHING", []version{v("v1")}, []string{"AWSSOMETHING"}, map[string]string{"v1": "AWSCURRENT", "N": "AWSSOMETHING"}},
		{"AWSPREVIOUS", []version{v("v0"), v("v1")}, []string{"AWSPREVIOUS"}, map[string]string{"v0": "", "v1": "AWSCURRENT", "N": "AWSPREVIOUS"}},
		{"absent, v1 has AWSPENDING", []version{v("v1", "AWSCURRENT", "AWSPENDING")}, nil, map[string]string{"v1": "AWSPREVIOUS", "N": "AWSCURRENT"}},
		{"absent, another version has AWSPENDING", []version{v("v1"), v("p", "AWSPENDING")}, nil, map[string]string{"v1": "AWSPREVIOUS", "p": "", "N": "AWSCURRENT"}},
		{"custom, AWSPENDING stays", []version{v("v1"), v("p", "AWSPENDING")}, []string{"mine"}, map[string]string{"v1": "AWSCURRENT", "p": "AWSPENDING", "N": "mine"}},
		{"AWSCURRENT and AWSPENDING", []version{v("v1"), v("p", "AWSPENDING")}, []string{"AWSCURRENT", "AWSPENDING"}, map[string]string{"v1": "AWSPREVIOUS", "p": "", "N": "AWSCURRENT AWSPENDING"}},
		{"absent, v1 has another label", []version{v("v1", "AWSCURRENT", "mine")}, nil, map[string]string{"v1": "AWSPREVIOUS mine", "N": "AWSCURRENT"}},
		{"first, absent", nil, nil, map[string]string{"N": "AWSCURRENT"}},
		{"first, custom", nil, []string{"mine"}, map[string]string{"N": "AWSCURRENT mine"}},
		{"first, AWSPENDING", nil, []string{"AWSPENDING"}, map[string]string{"N": "AWSCURRENT AWSPENDING"}},
		{"first, AWSPREVIOUS", nil, []string{"AWSPREVIOUS"}, map[string]string{"N": "AWSCURRENT AWSPREVIOUS"}},
		{"labels of all characters", []version{v("v1")}, []string{"ä 😀", "\x00", `"#:`}, map[string]string{"v1": "AWSCURRENT", "N": join([]string{"ä 😀", "\x00", `"#:`})}},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := fmt.Sprint("s", i)
			createEmpty(t, room, name)
			for _, b := range test.before {
				put(t, room, name, b.id, b.id, b.labels...)
			}
			out := put(t, room, name, "N", "new", test.labels...)
			if got := join(out.VersionStages); got != test.want["N"] {
				t.Errorf("got labels %q on the new version, want %q", got, test.want["N"])
			}
			checkStages(t, room, name, test.want)
		})
	}
}

func TestPutSecretValueLabelLimits(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	many := labelsUpTo(21)
	long := strings.Repeat("x", 257)
	each := "' at 'versionStages' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 256, Member must have length greater than or equal to 1]"
	for _, test := range []struct {
		name   string
		labels []string
		want   refusal
	}{
		{"21", many, violation("Value '[" + strings.Join(many, ", ") + "]' at 'versionStages' failed to satisfy constraint: Member must have length less than or equal to 20")},
		{"empty list", []string{}, violation("Value '[]' at 'versionStages' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"empty label", []string{"a", ""}, violation("Value '[a, ]" + each)},
		{"257 characters", []string{long}, violation("Value '[" + long + "]" + each)},
		{"21 with AWSCURRENT", many[:20], limit},
	} {
		t.Run(test.name, func(t *testing.T) {
			refuses(t, room, test.want, func() (*secretsmanager.PutSecretValueOutput, error) {
				return room.SDK.PutSecretValue(t.Context(), putInput("s", "v2", "two", test.labels...), once)
			})
		})
	}
	longest := strings.Repeat("😀", 256)
	if got := put(t, room, "s", "v2", "two", longest).VersionStages; !slices.Equal(got, []string{longest}) {
		t.Errorf("got labels %q, want one of 256 characters", got)
	}
}

func labelsUpTo(n int) []string {
	var labels []string
	for i := range n {
		labels = append(labels, fmt.Sprintf("label-%02d", i+1))
	}
	return labels
}

// Twenty labels are all there may be on the versions of a secret together.
func TestPutSecretValueTwentyLabels(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	labels := labelsUpTo(20)
	put(t, room, "s", "v2", "two", labels[:10]...)
	put(t, room, "s", "v3", "three", labels[10:19]...) // with AWSCURRENT on v1: 20
	for where, room := range map[string]*localtest.Room{"the same process": room, "another process": room.Another(t)} {
		t.Run(where, func(t *testing.T) {
			refuses(t, room, limit, func() (*secretsmanager.PutSecretValueOutput, error) {
				return room.SDK.PutSecretValue(t.Context(), putInput("s", "v4", "four", labels[19]), once)
			})
			// AWSPREVIOUS would be the 21st.
			refuses(t, room, limit, func() (*secretsmanager.PutSecretValueOutput, error) {
				return room.SDK.PutSecretValue(t.Context(), putInput("s", "v4", "four"), once)
			})
		})
	}
	put(t, room, "s", "v4", "four", labels[:19]...) // labels that move are no more labels
	checkStages(t, room, "s", map[string]string{"v1": "AWSCURRENT", "v2": "", "v3": "", "v4": join(labels[:19])})
}

// A put that happened is answered alike when it is made again, also when the
// labels have reached their limit since.
func TestPutSecretValueAgainAtTheLimit(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	arn := *create(t, room, "s", "v1", "one").ARN
	put(t, room, "s", "T", "x", "mine")
	must(room.SDK.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: aws.String("s"), VersionStage: aws.String("mine"), RemoveFromVersionId: aws.String(token("T")),
	}))(t)
	put(t, room, "s", "v2", "two", labelsUpTo(19)...)
	for where, room := range map[string]*localtest.Room{"the same process": room, "another process": room.Another(t)} {
		t.Run(where, func(t *testing.T) {
			before := dump(t, room)
			out := must(room.SDK.PutSecretValue(t.Context(), putInput("s", "T", "x", "mine"), once))(t)
			if *out.ARN != arn || *out.VersionId != token("T") || len(out.VersionStages) != 0 {
				t.Errorf("got ARN %s, VersionId %s, VersionStages %q", *out.ARN, *out.VersionId, out.VersionStages)
			}
			checkSame(t, before, dump(t, room))
			refuses(t, room, tokenInUse(token("T"), arn), func() (*secretsmanager.PutSecretValueOutput, error) {
				return room.SDK.PutSecretValue(t.Context(), putInput("s", "T", "y", "mine"), once)
			})
			refuses(t, room, limit, func() (*secretsmanager.PutSecretValueOutput, error) {
				return room.SDK.PutSecretValue(t.Context(), putInput("s", "new", "x", "mine"), once)
			})
		})
	}
}

func TestPutSecretValueState(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "deleted", "v1", "one")
	schedule(t, room, "deleted")
	for _, test := range []struct {
		name string
		in   *secretsmanager.PutSecretValueInput
		want refusal
	}{
		{"unknown", putInput("unknown", "v1", "one"), notFound},
		{"bad name", putInput("bad name", "v1", "one"), invalidName},
		{"scheduled for deletion", putInput("deleted", "v2", "two"), marked},
		{"scheduled for deletion, again", putInput("deleted", "v1", "one"), marked},
		{"no name", putInput("", "v1", "one"), violation("Value '' at 'secretId' failed to satisfy constraint: Member must have length greater than or equal to 1")},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, room := range []*localtest.Room{room, room.Another(t)} {
				refuses(t, room, test.want, func() (*secretsmanager.PutSecretValueOutput, error) {
					return room.SDK.PutSecretValue(t.Context(), test.in)
				})
			}
		})
	}
}

// One process deletes; the other one, which remembers the secret as it was,
// must not put any more; nor refuse when the secret is back.
func TestPutSecretValueRememberedState(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	other := room.Another(t)
	create(t, room, "s", "v1", "one")
	put(t, other, "s", "v2", "two")
	schedule(t, room, "s")
	refuses(t, other, marked, func() (*secretsmanager.PutSecretValueOutput, error) {
		return other.SDK.PutSecretValue(t.Context(), putInput("s", "v3", "three"))
	})
	must(room.SDK.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: aws.String("s")}))(t)
	put(t, other, "s", "v3", "three")
	forceDelete(t, room, "s")
	refuses(t, other, notFound, func() (*secretsmanager.PutSecretValueOutput, error) {
		return other.SDK.PutSecretValue(t.Context(), putInput("s", "v4", "four"))
	})
	create(t, room, "s", "v4", "four")
	put(t, other, "s", "v5", "five")
	checkStages(t, room, "s", map[string]string{"v4": "AWSPREVIOUS", "v5": "AWSCURRENT"})
}

func TestPutSecretValueDates(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	began := time.Date(2026, 11, 21, 23, 59, 59, 123_000_000, time.UTC)
	now := withClock(room, began)
	create(t, room, "s", "v1", "one")
	now.now = began.Add(time.Hour + 877*time.Microsecond)
	put(t, room, "s", "v2", "two")
	got := describe(t, room, "s")
	if want := began.Add(time.Hour); !got.CreatedDate.Equal(began) || !got.LastChangedDate.Equal(want) {
		t.Errorf("got created %s and changed %s, want %s and %s", got.CreatedDate, got.LastChangedDate, began, want)
	}
	if got, want := *get(t, room, "s").CreatedDate, began.Add(time.Hour); !got.Equal(want) {
		t.Errorf("got version created %s, want %s", got, want)
	}
}

// A RotationToken is refused where no rotation was ever asked for.
func TestPutSecretValueRefusesRotationToken(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	in := putInput("s", "v2", "two")
	in.RotationToken = aws.String("0f8fad5b-d9cb-469f-a165-70867728950e")
	refuses(t, room, notItsToken, func() (*secretsmanager.PutSecretValueOutput, error) {
		return room.SDK.PutSecretValue(t.Context(), in)
	})
	checkStages(t, room, "s", map[string]string{"v1": "AWSCURRENT"})
}

// A secret that is removed and made again between two tries of a put gets a value that
// is sealed for it, and not for the one before.
func TestPutSecretValueMadeAgain(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	other := room.Another(t)
	get(t, other, "s")
	other.Wire.Break("TransactWriteItems", func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		forceDelete(t, room, "s")
		create(t, room, "s", "v1", "one again")
		return do()
	})
	put(t, other, "s", "v2", "two")
	if got := *get(t, room.Another(t), "s").SecretString; got != "two" {
		t.Errorf("got %q, want two", got)
	}
}
