package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

// updateInput is an update to a value; an empty version is none.
func updateInput(name, version, value string) *secretsmanager.UpdateSecretInput {
	in := &secretsmanager.UpdateSecretInput{SecretId: aws.String(name)}
	if version != "" {
		in.ClientRequestToken, in.SecretString = aws.String(token(version)), aws.String(value)
	}
	return in
}

func update(t testing.TB, room *localtest.Room, in *secretsmanager.UpdateSecretInput) *secretsmanager.UpdateSecretOutput {
	t.Helper()
	return must(room.SDK.UpdateSecret(t.Context(), in))(t)
}

// VersionId is in the answer only if there was a value in the request.
func TestUpdateSecretAnswer(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	arn := *create(t, room, "s", "v1", "one").ARN
	plain := `{"ARN":"` + arn + `","Name":"s"}`
	versioned := `{"ARN":"` + arn + `","Name":"s","VersionId":"` + token("v2") + `"}`
	for _, test := range []struct{ name, body, want string }{
		{"a value", `{"SecretId":"s","ClientRequestToken":"` + token("v2") + `","SecretString":"two"}`, versioned},
		{"the same again", `{"SecretId":"s","ClientRequestToken":"` + token("v2") + `","SecretString":"two"}`, versioned},
		{"a description", `{"SecretId":"s","Description":"d"}`, plain},
		{"a token beside no value", `{"SecretId":"s","ClientRequestToken":"` + token("v3") + `","Description":"d"}`, plain},
		{"nothing", `{"SecretId":"s"}`, plain},
		{"nulls", `{"SecretId":"s","Description":null,"KmsKeyId":null,"SecretString":null}`, plain},
		{"by ARN", `{"SecretId":"` + arn + `","Description":"e"}`, plain},
		{"by ARN without suffix", `{"SecretId":"` + arn[:len(arn)-7] + `","Description":"f"}`, plain},
	} {
		if answer, body := room.Post(t, "UpdateSecret", test.body); answer.StatusCode != http.StatusOK || body != test.want {
			t.Errorf("%s: got %d %s, want %s", test.name, answer.StatusCode, body, test.want)
		}
	}
	checkStages(t, room, "s", map[string]string{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT"})
}

func TestUpdateSecretValue(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	in := createInput("s", "v1", "one")
	in.Description = aws.String("kept")
	must(room.SDK.CreateSecret(t.Context(), in))(t)

	update(t, room, updateInput("s", "v2", "two"))
	checkStages(t, room, "s", map[string]string{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT"})
	update(t, room, updateInput("s", "v3", "three"))
	checkStages(t, room, "s", map[string]string{"v1": "", "v2": "AWSPREVIOUS", "v3": "AWSCURRENT"})
	if got := *get(t, room, "s").SecretString; got != "three" {
		t.Errorf("got value %q, want three", got)
	}
	binary := &secretsmanager.UpdateSecretInput{SecretId: aws.String("s"), ClientRequestToken: aws.String(token("v4")), SecretBinary: []byte{0, 255}}
	update(t, room, binary)
	if got := get(t, room, "s"); string(got.SecretBinary) != "\x00\xff" || got.SecretString != nil {
		t.Errorf("got binary %q and string %v, want the two bytes alone", got.SecretBinary, got.SecretString)
	}
	if got := aws.ToString(describe(t, room, "s").Description); got != "kept" {
		t.Errorf("got description %q, want kept", got)
	}
}

// An SDK makes up a token, and the version has it as its ID.
func TestUpdateSecretTokenOfSDK(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	out := update(t, room, &secretsmanager.UpdateSecretInput{SecretId: aws.String("s"), SecretString: aws.String("two")})
	if got := get(t, room, "s"); *got.VersionId != aws.ToString(out.VersionId) || len(*got.VersionId) != 36 {
		t.Errorf("got version %s, want %s, a UUID", *got.VersionId, aws.ToString(out.VersionId))
	}
}

func TestUpdateSecretMovesLabels(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for _, test := range []struct {
		name   string
		before func(name string)
		want   map[string]string
	}{
		{"the first value", func(name string) { createEmpty(t, room, name) }, map[string]string{"N": "AWSCURRENT"}},
		{
			"the old current keeps its own", func(name string) {
				createEmpty(t, room, name)
				put(t, room, name, "v1", "one", "AWSCURRENT", "mine")
			},
			map[string]string{"v1": "AWSPREVIOUS mine", "N": "AWSCURRENT"},
		},
		{
			"pending comes off the old current", func(name string) {
				createEmpty(t, room, name)
				put(t, room, name, "v1", "one", "AWSPENDING")
			},
			map[string]string{"v1": "AWSPREVIOUS", "N": "AWSCURRENT"},
		},
		{
			"pending comes off another", func(name string) {
				create(t, room, name, "v1", "one")
				put(t, room, name, "v2", "two", "AWSPENDING", "mine")
			},
			map[string]string{"v1": "AWSPREVIOUS", "v2": "mine", "N": "AWSCURRENT"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := strings.ReplaceAll(test.name, " ", "-")
			test.before(name)
			update(t, room, updateInput(name, "N", "new"))
			checkStages(t, room, name, test.want)
		})
	}
}

func TestUpdateSecretDescription(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	for _, test := range []struct {
		set  *string
		want *string
	}{
		{aws.String("first"), aws.String("first")},
		{nil, aws.String("first")},
		{aws.String(strings.Repeat("ü", 2048)), aws.String(strings.Repeat("ü", 2048))},
		{aws.String(""), nil}, // cleared
		{aws.String("again"), aws.String("again")},
	} {
		in := updateInput("s", "", "")
		in.Description = test.set
		if out := update(t, room, in); out.VersionId != nil {
			t.Errorf("got version %s, want none", *out.VersionId)
		}
		if got := describe(t, room, "s").Description; aws.ToString(got) != aws.ToString(test.want) || (got == nil) != (test.want == nil) {
			t.Errorf("after %q: got description %q, want %q", aws.ToString(test.set), aws.ToString(got), aws.ToString(test.want))
		}
	}
	checkStages(t, room, "s", map[string]string{"v1": "AWSCURRENT"})

	in := updateInput("s", "v2", "two")
	in.Description, in.Type = aws.String("both"), aws.String("Partner")
	update(t, room, in)
	if got := describe(t, room, "s"); *got.Description != "both" || *got.Type != "Partner" {
		t.Errorf("got description %q and type %q, want both and Partner", *got.Description, *got.Type)
	}
}

// An update to nothing writes nothing, not even a date.
func TestUpdateSecretNothing(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	before := dump(t, room)
	for _, room := range []*localtest.Room{room, room.Another(t)} {
		update(t, room, updateInput("s", "", ""))
		checkSame(t, before, dump(t, room))
	}
}

func TestUpdateSecretDates(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	now := withClock(room, time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	create(t, room, "s", "v1", "one")
	created := now.now
	describing := updateInput("s", "", "")
	describing.Description = aws.String("d")
	for i, in := range []*secretsmanager.UpdateSecretInput{
		updateInput("s", "v2", "two"),
		updateInput("s", "v3", "two"), // equal data under a new token is a new version
		describing,
	} {
		now.now = now.now.Add(time.Hour)
		update(t, room, in)
		got := describe(t, room, "s")
		if !got.LastChangedDate.Equal(now.now) || !got.CreatedDate.Equal(created) {
			t.Errorf("update %d: got changed %s, created %s, want %s, %s", i, got.LastChangedDate, got.CreatedDate, now.now, created)
		}
	}
	checkStages(t, room, "s", map[string]string{"v1": "", "v2": "AWSPREVIOUS", "v3": "AWSCURRENT"})
}

func TestUpdateSecretAgain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		before func(t *testing.T, room *localtest.Room) // after v1 and v2, with the string two
		binary bool
		value  string
		refuse bool
	}{
		{name: "same string", value: "two"},
		{name: "other string", value: "other", refuse: true},
		{name: "binary where string was", value: "two", binary: true, refuse: true},
		{
			name: "the version is previous now", value: "two",
			before: func(t *testing.T, room *localtest.Room) { put(t, room, "s", "v3", "three") },
		},
		{
			name: "the version is deprecated", value: "two",
			before: func(t *testing.T, room *localtest.Room) {
				put(t, room, "s", "v3", "three")
				put(t, room, "s", "v4", "four")
			},
		},
		{
			name: "the version is deprecated, other string", value: "other", refuse: true,
			before: func(t *testing.T, room *localtest.Room) {
				put(t, room, "s", "v3", "three")
				put(t, room, "s", "v4", "four")
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			arn := *create(t, room, "s", "v1", "one").ARN
			put(t, room, "s", "v2", "two")
			if test.before != nil {
				test.before(t, room)
			}
			before := dump(t, room)
			for _, room := range []*localtest.Room{room, room.Another(t)} {
				in := updateInput("s", "v2", test.value)
				if test.binary {
					in.SecretString, in.SecretBinary = nil, []byte(test.value)
				}
				out, err := room.SDK.UpdateSecret(t.Context(), in)
				switch {
				case test.refuse:
					checkRefused(t, err, tokenInUse(token("v2"), arn))
				case err != nil:
					t.Error(err)
				case *out.VersionId != token("v2") || *out.ARN != arn:
					t.Errorf("got version %s of %s, want %s of %s", *out.VersionId, *out.ARN, token("v2"), arn)
				}
				checkSame(t, before, dump(t, room)) // no label moves, no date
			}
		})
	}
}

// The token of a rotation under way gets its value, and becomes current.
func TestUpdateSecretIntoPlaceholder(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	beginRotation(t, room, "p")
	update(t, room, updateInput("s", "p", "two"))
	checkStages(t, room, "s", map[string]string{"v1": "AWSPREVIOUS", "p": "AWSCURRENT"})
}

func TestUpdateSecretAgainInParallel(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	rooms := []*localtest.Room{room, room.Another(t)}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			out, err := rooms[i%2].SDK.UpdateSecret(t.Context(), updateInput("s", "v2", "two"))
			if err != nil || *out.VersionId != token("v2") {
				t.Errorf("got %+v, %v, want version v2", out, err)
			}
		})
	}
	wg.Wait()
	checkStages(t, room, "s", map[string]string{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT"})
}

func TestUpdateSecretRefuses(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	create(t, room, "deleted", "v1", "one")
	schedule(t, room, "deleted")
	long := strings.Repeat("x", 65537)
	set := func(change func(*secretsmanager.UpdateSecretInput)) *secretsmanager.UpdateSecretInput {
		in := updateInput("s", "", "")
		change(in)
		return in
	}
	describing := func(name string) *secretsmanager.UpdateSecretInput {
		in := updateInput(name, "", "")
		in.Description = aws.String("d")
		return in
	}
	for _, test := range []struct {
		name string
		in   *secretsmanager.UpdateSecretInput
		want refusal
	}{
		{"both values", set(func(in *secretsmanager.UpdateSecretInput) {
			in.SecretString, in.SecretBinary = aws.String("a"), []byte("b")
		}), bothValues},
		{"unknown", updateInput("unknown", "v2", "two"), notFound},
		{"unknown, description", describing("unknown"), notFound},
		{"unknown, nothing", updateInput("unknown", "", ""), notFound},
		{"bad name", describing("a b"), invalidName},
		{"scheduled for deletion", updateInput("deleted", "v2", "two"), marked},
		{"scheduled for deletion, its own version again", updateInput("deleted", "v1", "one"), marked},
		{"scheduled for deletion, description", describing("deleted"), marked},
		{"scheduled for deletion, nothing", updateInput("deleted", "", ""), marked},
		{"no SecretId", &secretsmanager.UpdateSecretInput{SecretId: aws.String("")}, violation("Value '' at 'secretId' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"SecretId of 2,049 characters", &secretsmanager.UpdateSecretInput{SecretId: aws.String(long[:2049])}, violation("Value '" + long[:2049] + "' at 'secretId' failed to satisfy constraint: Member must have length less than or equal to 2048")},
		{"empty string", set(func(in *secretsmanager.UpdateSecretInput) { in.SecretString = aws.String("") }), violation("Value at 'secretString' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"empty binary", set(func(in *secretsmanager.UpdateSecretInput) { in.SecretBinary = []byte{} }), violation("Value at 'secretBinary' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"string of 65,537 bytes", set(func(in *secretsmanager.UpdateSecretInput) { in.SecretString = aws.String(long) }), violation("Value at 'secretString' failed to satisfy constraint: Member must have length less than or equal to 65536")},
		{"binary of 65,537 bytes", set(func(in *secretsmanager.UpdateSecretInput) { in.SecretBinary = []byte(long) }), violation("Value at 'secretBinary' failed to satisfy constraint: Member must have length less than or equal to 65536")},
		{"token of 31 characters", set(func(in *secretsmanager.UpdateSecretInput) { in.ClientRequestToken = aws.String(long[:31]) }), violation("Value '" + long[:31] + "' at 'clientRequestToken' failed to satisfy constraint: Member must have length greater than or equal to 32")},
		{"token of 65 characters", set(func(in *secretsmanager.UpdateSecretInput) { in.ClientRequestToken = aws.String(long[:65]) }), violation("Value '" + long[:65] + "' at 'clientRequestToken' failed to satisfy constraint: Member must have length less than or equal to 64")},
		{"description of 2,049 characters", set(func(in *secretsmanager.UpdateSecretInput) { in.Description = aws.String(long[:2049]) }), violation("Value '" + long[:2049] + "' at 'description' failed to satisfy constraint: Member must have length less than or equal to 2048")},
		{"KmsKeyId of 2,049 characters", set(func(in *secretsmanager.UpdateSecretInput) { in.KmsKeyId = aws.String(long[:2049]) }), violation("Value '" + long[:2049] + "' at 'kmsKeyId' failed to satisfy constraint: Member must have length less than or equal to 2048")},
		{"type of 257 characters", set(func(in *secretsmanager.UpdateSecretInput) { in.Type = aws.String(long[:257]) }), violation("Value '" + long[:257] + "' at 'type' failed to satisfy constraint: Member must have length less than or equal to 256")},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, room := range []*localtest.Room{room, room.Another(t)} {
				refuses(t, room, test.want, func() (*secretsmanager.UpdateSecretOutput, error) {
					return room.SDK.UpdateSecret(t.Context(), test.in)
				})
			}
		})
	}
	for _, test := range []struct {
		name, body string
		want       refusal
	}{
		{"no token with a string", `{"SecretId":"s","SecretString":"two"}`, noToken},
		{"no token with a binary", `{"SecretId":"s","SecretBinary":"dHdv"}`, noToken},
		{"no token with both", `{"SecretId":"s","SecretString":"two","SecretBinary":"dHdv"}`, noToken},
		{"no token, before existence", `{"SecretId":"unknown","SecretString":"two"}`, noToken},
		{"no SecretId at all", `{"Description":"d"}`, violation("Value null at 'secretId' failed to satisfy constraint: Member must not be null")},
	} {
		t.Run(test.name, func(t *testing.T) { refusesPost(t, room, "UpdateSecret", test.body, test.want) })
	}
}

// The 21st label of a secret: AWSPREVIOUS, when the other 20 are AWSCURRENT and
// custom ones.
func TestUpdateSecretTwentyLabels(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	put(t, room, "s", "v2", "two", labelsUpTo(19)...)
	refuses(t, room, limit, func() (*secretsmanager.UpdateSecretOutput, error) {
		return room.SDK.UpdateSecret(t.Context(), updateInput("s", "v3", "three"), once)
	})
}

// A remembered secret that was changed elsewhere is neither refused nor accepted
// by what is remembered of it.
func TestUpdateSecretRemembered(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	other := room.Another(t)
	create(t, room, "s", "v1", "one")
	describing := updateInput("s", "", "")
	describing.Description = aws.String("d")
	schedule(t, other, "s")
	refuses(t, room, marked, func() (*secretsmanager.UpdateSecretOutput, error) {
		return room.SDK.UpdateSecret(t.Context(), describing)
	})
	must(other.SDK.RestoreSecret(t.Context(), restoreInput("s")))(t)
	update(t, room, describing)
	forceDelete(t, other, "s")
	refuses(t, room, notFound, func() (*secretsmanager.UpdateSecretOutput, error) {
		return room.SDK.UpdateSecret(t.Context(), describing)
	})
}

func TestUpdateSecretCalls(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	describing := updateInput("s", "", "")
	describing.Description = aws.String("d")
	for _, test := range []struct {
		name string
		room *localtest.Room
		in   *secretsmanager.UpdateSecretInput
		want string
	}{
		{"a value, warm", room, updateInput("s", "v2", "two"), "GenerateDataKey TransactWriteItems"},
		{"a value, cold", room.Another(t), updateInput("s", "v3", "three"), "GetItem GenerateDataKey TransactWriteItems"},
		{"a description, cold", room.Another(t), describing, "GetItem TransactWriteItems"},
		{"nothing, cold", room.Another(t), updateInput("s", "", ""), "GetItem"},
	} {
		test.room.Wire.Took()
		update(t, test.room, test.in)
		if got, _, _ := test.room.Wire.Took(); got != test.want {
			t.Errorf("%s: got calls %s, want %s", test.name, got, test.want)
		}
	}
}

// Whether the answer to the commit is lost or the commit itself, the update is
// there once.
func TestUpdateSecretFaults(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]localtest.Fault{
		"answer lost": localtest.LoseAnswer,
		"cut":         localtest.Cut,
		"conflict":    localtest.Cancel("TransactionConflict", "None"),
		"throttled":   localtest.Cancel("ThrottlingError", "None"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			create(t, room, "s", "v1", "one")
			room.Wire.Break("TransactWriteItems", fault)
			in := updateInput("s", "v2", "two")
			in.Description = aws.String("d")
			if out := update(t, room, in); *out.VersionId != token("v2") {
				t.Errorf("got version %s, want v2", *out.VersionId)
			}
			checkStages(t, room, "s", map[string]string{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT"})
			if got := fmt.Sprint(*get(t, room, "s").SecretString, *describe(t, room, "s").Description); got != "twod" {
				t.Errorf("got value and description %q, want twod", got)
			}
		})
	}
}
