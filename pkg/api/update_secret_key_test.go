package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

// A storedVersion is what the table has of a version.
type storedVersion struct {
	ID         string `json:"id"`
	KeyARN     string `json:"key_arn"`
	DefaultKey bool   `json:"default_key"`
	DataKey    []byte `json:"data_key"`
	Sealed     []byte `json:"sealed"`
}

// storedVersions are a secret's versions in the table, by short name.
func storedVersions(t testing.TB, room *localtest.Room, name string) map[string]storedVersion {
	t.Helper()
	versions := map[string]storedVersion{}
	for key, text := range dump(t, room) {
		if !strings.HasPrefix(key, "SECRET#"+name+" VERSION#") {
			continue
		}
		var v storedVersion
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		versions[short(v.ID)] = v
	}
	return versions
}

func keyInput(name, key string) *secretsmanager.UpdateSecretInput {
	return &secretsmanager.UpdateSecretInput{SecretId: aws.String(name), KmsKeyId: aws.String(key)}
}

func disable(t testing.TB, key string) {
	t.Helper()
	must(localtest.Shared().KMS().DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: aws.String(key)}))(t)
}

// about makes a fault for the calls alone that have a text in them.
func about(text string, fault localtest.Fault) localtest.Fault {
	return func(call *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		body, err := io.ReadAll(call.Body)
		if err != nil {
			return nil, err
		}
		call.Body = io.NopCloser(bytes.NewReader(body))
		if bytes.Contains(body, []byte(text)) {
			return fault(call, do)
		}
		return do()
	}
}

// withKey makes a secret under a key of its own: v1 deprecated, v2 previous, v3
// current, v4 with a label of its own.
func withKey(t testing.TB, room *localtest.Room, name string) (key string) {
	t.Helper()
	key = newKey(t)
	createUnder(t, room, name, key)
	put(t, room, name, "v2", "two")
	put(t, room, name, "v3", "three")
	put(t, room, name, "v4", "four", "mine")
	return key
}

var labelled = map[string]string{"v2": "two", "v3": "three", "v4": "four"}

// checkValues reads versions by ID.
func checkValues(t testing.TB, room *localtest.Room, name string, want map[string]string) {
	t.Helper()
	for version, value := range want {
		if got := aws.ToString(getVersion(t, room, name, version).SecretString); got != value {
			t.Errorf("got value %q of %s, want %q", got, version, value)
		}
	}
}

// A new key re-wraps the data keys of the labelled versions, and nothing else.
func TestUpdateSecretKey(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	// A process that has the versions in memory, but no data key in plain.
	other := room.Another(t)
	other.Server.Sealer.Keep = 0
	from, to := withKey(t, room, "s"), newKey(t)
	checkValues(t, other, "s", labelled)
	before := storedVersions(t, room, "s")

	if out := update(t, room, keyInput("s", to)); out.VersionId != nil {
		t.Errorf("got version %s, want none", *out.VersionId)
	}
	after := storedVersions(t, room, "s")
	if got, want := slices.Sorted(maps.Keys(after)), []string{"v1", "v2", "v3", "v4"}; !slices.Equal(got, want) {
		t.Fatalf("got versions %q, want %q", got, want)
	}
	for version, was := range before {
		now := after[version]
		if string(now.Sealed) != string(was.Sealed) {
			t.Errorf("the sealed value of %s was written", version)
		}
		if _, ok := labelled[version]; !ok {
			if now.KeyARN != from || string(now.DataKey) != string(was.DataKey) {
				t.Errorf("deprecated %s is under %s, want it left under %s", version, now.KeyARN, from)
			}
		} else if now.KeyARN != to || string(now.DataKey) == string(was.DataKey) || now.DefaultKey {
			t.Errorf("%s is under %s (default: %t), want it under %s", version, now.KeyARN, now.DefaultKey, to)
		}
	}
	if got := *describe(t, room, "s").KmsKeyId; got != to {
		t.Errorf("got KmsKeyId %s, want %s", got, to)
	}
	for _, v := range list(t, room, "s") {
		want := to
		if short(*v.VersionId) == "v1" {
			want = from
		}
		if !slices.Equal(v.KmsKeyIds, []string{want}) {
			t.Errorf("got KmsKeyIds %q of %s, want %s", v.KmsKeyIds, *v.VersionId, want)
		}
	}
	checkStages(t, room, "s", map[string]string{"v1": "", "v2": "AWSPREVIOUS", "v3": "AWSCURRENT", "v4": "mine"})

	checkValues(t, room.Another(t), "s", map[string]string{"v1": "one"})
	disable(t, from)
	for _, room := range []*localtest.Room{room, other, room.Another(t)} {
		checkValues(t, room, "s", labelled)
	}
	_, err := room.Another(t).SDK.GetSecretValue(t.Context(), getInput("s", "v1", ""))
	checkRefused(t, err, decryptionFailure)
	put(t, room, "s", "v5", "five")
	disable(t, to)
	_, err = room.Another(t).SDK.GetSecretValue(t.Context(), getInput("s", "", ""))
	checkRefused(t, err, decryptionFailure)
}

// A version that got its label back when the secret had another key is under
// that key after a third and the second again, also for a process that has read
// it under its old one.
func TestUpdateSecretKeyThereAndBack(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	other := room.Another(t)
	other.Server.Sealer.Keep = 0
	first, second, third := withKey(t, room, "s"), newKey(t), newKey(t)
	update(t, room, keyInput("s", second))
	must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "back", "", "v1")))(t)
	checkValues(t, other, "s", map[string]string{"v1": "one"})
	update(t, room, keyInput("s", third))
	update(t, room, keyInput("s", second))
	disable(t, first)
	disable(t, third)
	for _, room := range []*localtest.Room{room, other, room.Another(t)} {
		checkValues(t, room, "s", map[string]string{"v1": "one", "v2": "two", "v3": "three", "v4": "four"})
	}
}

func TestUpdateSecretKeyAndValue(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	from, to := withKey(t, room, "s"), newKey(t)
	in := updateInput("s", "v5", "five")
	in.KmsKeyId = aws.String(to)
	room.Wire.Took()
	update(t, room, in)
	// v3 becomes the previous version; v2 is left without a label.
	if got, _, _ := room.Wire.Took(); got != "BatchGetItem ReEncrypt ReEncrypt GenerateDataKey TransactWriteItems" {
		t.Errorf("got calls %s, want two versions re-wrapped and one sealed", got)
	}
	for version, want := range map[string]string{"v1": from, "v2": from, "v3": to, "v4": to, "v5": to} {
		if got := storedVersions(t, room, "s")[version].KeyARN; got != want {
			t.Errorf("got %s under %s, want %s", version, got, want)
		}
	}
	after := dump(t, room)
	for _, room := range []*localtest.Room{room, room.Another(t)} {
		if out := update(t, room, in); *out.VersionId != token("v5") {
			t.Errorf("again: got version %s, want v5", *out.VersionId)
		}
		checkSame(t, after, dump(t, room))
	}
	disable(t, from)
	checkValues(t, room.Another(t), "s", map[string]string{"v3": "three", "v4": "four", "v5": "five"})
}

// The token of an older version with another value is refused, and its key is
// what it was.
func TestUpdateSecretKeyAndTokenInUse(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	withKey(t, room, "s")
	in := updateInput("s", "v2", "other")
	in.KmsKeyId = aws.String(newKey(t))
	arn := *describe(t, room, "s").ARN
	for _, room := range []*localtest.Room{room, room.Another(t)} {
		refuses(t, room, tokenInUse(token("v2"), arn), func() (*secretsmanager.UpdateSecretOutput, error) {
			return room.SDK.UpdateSecret(t.Context(), in)
		})
	}
}

// The deployment's own key has AWS's name, or an empty one.
func TestUpdateSecretKeyDefault(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for _, key := range []string{"alias/aws/secretsmanager", "arn:aws:kms:us-east-1:000000000000:alias/aws/secretsmanager", ""} {
		name := "under" + strings.NewReplacer("/", "-", ":", "-").Replace(key)
		from := withKey(t, room, name)
		update(t, room, keyInput(name, key))
		if got := aws.ToString(describe(t, room, name).KmsKeyId); got != key {
			t.Errorf("got KmsKeyId %q, want %q", got, key)
		}
		for version := range labelled {
			if got := storedVersions(t, room, name)[version]; !got.DefaultKey || got.KeyARN == from {
				t.Errorf("%q: got %s under %s (default: %t), want the default key", key, version, got.KeyARN, got.DefaultKey)
			}
		}
		for _, v := range list(t, room, name) {
			if got := v.KmsKeyIds[0]; short(*v.VersionId) != "v1" && got != "DefaultEncryptionKey" {
				t.Errorf("%q: got KmsKeyIds %s of %s, want DefaultEncryptionKey", key, got, *v.VersionId)
			}
		}
		disable(t, from)
		checkValues(t, room.Another(t), name, labelled)

		// Under its key already: nothing to re-wrap.
		room.Wire.Took()
		update(t, room, keyInput(name, key))
		if got, _, _ := room.Wire.Took(); got != "TransactWriteItems" {
			t.Errorf("%q again: got calls %s, want TransactWriteItems", key, got)
		}
	}
}

// Without a value there is nothing to wrap, and KMS is not asked.
func TestUpdateSecretKeyWithoutVersions(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	createEmpty(t, room, "s")
	beginRotation(t, room, "p")
	to := newKey(t)
	update(t, room, keyInput("s", to))
	put(t, room, "s", "p", "one", "AWSPENDING")
	if got := storedVersions(t, room, "s")["p"].KeyARN; got != to {
		t.Errorf("got the first version under %s, want %s", got, to)
	}
}

// A new key that cannot be used changes nothing.
func TestUpdateSecretKeyRefused(t *testing.T) {
	t.Parallel()
	disabled := newKey(t)
	disable(t, disabled)
	const unknown = "arn:aws:kms:us-east-1:000000000000:key/7b9d1f0e-2c58-4b9e-8f2f-0d3f3b6c9a11"
	for _, test := range []struct {
		name  string
		key   string
		fault localtest.Fault
		want  refusal
	}{
		{"disabled", disabled, nil, encryptionFailure},
		{"unknown", unknown, nil, encryptionFailure},
		{"unknown alias", "alias/none", nil, encryptionFailure},
		{"no key at all", "ä", nil, refusal{"InvalidParameterException", "The operation failed because of an invalid KMS key: Invalid keyId"}},
		{"denied for one version", "", about(token("v3"), localtest.Refuse(400, "AccessDeniedException")), noAccessToKMS},
		{"does not open one version", "", about(token("v2"), localtest.Refuse(400, "InvalidCiphertextException")), decryptionFailure},
		{"throttled at one version", "", about(token("v3"), localtest.Refuse(400, "ThrottlingException")), rateExceeded},
		{"unreachable for one version", "", about(token("v3"), localtest.Cut), serverFault},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			withKey(t, room, "s")
			key := test.key
			if key == "" {
				key = newKey(t)
			}
			withValue := updateInput("s", "v5", "five")
			withValue.KmsKeyId = aws.String(key)
			for _, room := range []*localtest.Room{room, room.Another(t)} {
				if test.fault != nil {
					room.Wire.Break("ReEncrypt", many(test.fault)...)
				}
				for _, in := range []*secretsmanager.UpdateSecretInput{keyInput("s", key), withValue} {
					want := test.want
					if in == withValue && strings.HasSuffix(test.name, "open one version") {
						continue // v2 loses its label with the new value
					}
					refuses(t, room, want, func() (*secretsmanager.UpdateSecretOutput, error) {
						return room.SDK.UpdateSecret(t.Context(), in, once)
					})
				}
			}
		})
	}
}

// A secret under a key that cannot be used any more is moved to one that can. The
// versions under the old key keep it, and can be read again when it can be used again.
func TestUpdateSecretKeyFromDisabled(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	from, to := withKey(t, room, "s"), newKey(t)
	disable(t, from)
	in := updateInput("s", "v5", "five")
	in.KmsKeyId = aws.String(to)
	update(t, room, in)
	if got := *get(t, room.Another(t), "s").SecretString; got != "five" {
		t.Errorf("got %q, want five", got)
	}
	put(t, room, "s", "v6", "six")
	if got := storedVersions(t, room, "s")["v6"].KeyARN; got != to {
		t.Errorf("the next version lies under %s, want %s", got, to)
	}
	_, err := room.SDK.GetSecretValue(t.Context(), getInput("s", "v3", ""), once)
	checkRefused(t, err, decryptionFailure)
	must(localtest.Shared().KMS().EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: aws.String(from)}))(t)
	must(room.SDK.GetSecretValue(t.Context(), getInput("s", "v3", "")))(t)

	// Without a new value, the key of the values to come is changed all the same.
	other := localtest.New(t)
	from = withKey(t, other, "s")
	disable(t, from)
	update(t, other, keyInput("s", to))
	put(t, other, "s", "v5", "five")
	if got := storedVersions(t, other, "s"); got["v5"].KeyARN != to || got["v3"].KeyARN != from {
		t.Errorf("got v5 under %s and v3 under %s, want %s and %s", got["v5"].KeyARN, got["v3"].KeyARN, to, from)
	}
}

func TestUpdateSecretKeyCalls(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	withKey(t, room, "s")
	rewrap := "BatchGetItem ReEncrypt ReEncrypt ReEncrypt TransactWriteItems"
	for _, test := range []struct {
		name, want string
		room       *localtest.Room
	}{
		{"warm", rewrap, room},
		{"cold", "GetItem " + rewrap, room.Another(t)},
	} {
		test.room.Wire.Took()
		update(t, test.room, keyInput("s", newKey(t)))
		if got, _, _ := test.room.Wire.Took(); got != test.want {
			t.Errorf("%s: got calls %s, want %s", test.name, got, test.want)
		}
	}
}

// A change that comes first is taken into account; what is re-wrapped already is
// not re-wrapped again.
func TestUpdateSecretKeyAgainstRivals(t *testing.T) {
	t.Parallel()
	const first = "BatchGetItem ReEncrypt ReEncrypt ReEncrypt TransactWriteItems "
	for _, test := range []struct {
		name  string
		rival func(t *testing.T, room *localtest.Room)
		calls string
		want  map[string]string // the values under the new key
	}{
		{
			"a description", func(t *testing.T, room *localtest.Room) {
				in := updateInput("s", "", "")
				in.Description = aws.String("d")
				update(t, room, in)
			},
			first + "BatchGetItem TransactWriteItems",
			labelled,
		},
		{
			"a value", func(t *testing.T, room *localtest.Room) { put(t, room, "s", "v5", "five") },
			first + "BatchGetItem ReEncrypt TransactWriteItems",
			map[string]string{"v3": "three", "v4": "four", "v5": "five"},
		},
		{
			"a label comes back to a deprecated version", func(t *testing.T, room *localtest.Room) {
				must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "back", "", "v1")))(t)
			},
			first + "BatchGetItem ReEncrypt TransactWriteItems",
			map[string]string{"v1": "one", "v2": "two", "v3": "three", "v4": "four"},
		},
		{
			"another key", func(t *testing.T, room *localtest.Room) { update(t, room, keyInput("s", newKey(t))) },
			first + "BatchGetItem ReEncrypt ReEncrypt ReEncrypt TransactWriteItems",
			labelled,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			other := room.Another(t)
			from, to := withKey(t, room, "s"), newKey(t)
			room.Wire.Took()
			room.Wire.Break("TransactWriteItems", func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
				test.rival(t, other)
				return do()
			})
			update(t, room, keyInput("s", to))
			if got, _, _ := room.Wire.Took(); got != test.calls {
				t.Errorf("got calls %s, want %s", got, test.calls)
			}
			for version := range test.want {
				if got := storedVersions(t, room, "s")[version].KeyARN; got != to {
					t.Errorf("got %s under %s, want %s", version, got, to)
				}
			}
			if got := *describe(t, room, "s").KmsKeyId; got != to {
				t.Errorf("got KmsKeyId %s, want %s", got, to)
			}
			disable(t, from)
			checkValues(t, room.Another(t), "s", test.want)
		})
	}
}

// With an answer lost, the change is there once, and as a whole.
func TestUpdateSecretKeyAnswerLost(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	from, to := withKey(t, room, "s"), newKey(t)
	room.Wire.Break("TransactWriteItems", localtest.LoseAnswer)
	update(t, room, keyInput("s", to))
	disable(t, from)
	for _, room := range []*localtest.Room{room, room.Another(t)} {
		checkValues(t, room, "s", labelled)
	}
}

// A data key that was wrapped anew for a secret is of no use to the one that was
// made under its name and token before the change was committed.
func TestUpdateSecretKeyOfSecretMadeAgain(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	other := room.Another(t)
	create(t, room, "s", "v1", "one")
	key := must(localtest.Shared().KMS().CreateKey(t.Context(), &kms.CreateKeyInput{}))(t)
	room.Wire.Break("TransactWriteItems", func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		must(other.SDK.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("s"), ForceDeleteWithoutRecovery: aws.Bool(true)}))(t)
		create(t, other, "s", "v1", "two")
		return do()
	})
	must(room.SDK.UpdateSecret(t.Context(), &secretsmanager.UpdateSecretInput{SecretId: aws.String("s"), KmsKeyId: key.KeyMetadata.Arn}))(t)
	out, err := room.Another(t).SDK.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("s")})
	if err != nil || aws.ToString(out.SecretString) != "two" {
		t.Errorf("got %v, %v, want the value of the secret made again", out, err)
	}
}
