package api_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

func createInput(name, version, value string) *secretsmanager.CreateSecretInput {
	return &secretsmanager.CreateSecretInput{Name: aws.String(name), ClientRequestToken: aws.String(token(version)), SecretString: aws.String(value)}
}

func nameTaken(name string) refusal {
	return refusal{"ResourceExistsException", "The operation failed because the secret " + name + " already exists."}
}

func TestCreateSecretAnswer(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	name := "a/B_+=.@-9"
	arn := regexp.MustCompile(`^arn:aws:secretsmanager:us-east-1:000000000000:secret:` + regexp.QuoteMeta(name) + `-[A-Za-z0-9]{6}$`)
	_, body := room.Post(t, "CreateSecret", `{"Name":"`+name+`","SecretString":"one","ClientRequestToken":"`+token("v1")+`"}`)
	checkMembers(t, body, "ARN", "Name", "VersionId")
	_, body = room.Post(t, "CreateSecret", `{"Name":"empty"}`)
	checkMembers(t, body, "ARN", "Name")
	out := create(t, room, name, "v1", "one")
	if !arn.MatchString(*out.ARN) || *out.Name != name || *out.VersionId != token("v1") {
		t.Errorf("got ARN %s, Name %s, VersionId %s", *out.ARN, *out.Name, *out.VersionId)
	}
	got := get(t, room, name)
	if *got.ARN != *out.ARN || *got.SecretString != "one" || got.SecretBinary != nil || *got.VersionId != token("v1") {
		t.Errorf("got ARN %s, value %q, VersionId %s", *got.ARN, *got.SecretString, *got.VersionId)
	}
	checkStages(t, room, name, map[string]string{"v1": "AWSCURRENT"})
}

func TestCreateSecretWithoutValue(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	out := createEmpty(t, room, "s")
	if out.VersionId != nil {
		t.Errorf("got VersionId %s, want none", *out.VersionId)
	}
	if got := describe(t, room, "s").VersionIdsToStages; got != nil {
		t.Errorf("got VersionIdsToStages %v, want none", got)
	}
	if got := list(t, room, "s"); len(got) != 0 {
		t.Errorf("got %d versions, want none", len(got))
	}
	refuses(t, room, noStage("AWSCURRENT"), func() (*secretsmanager.GetSecretValueOutput, error) {
		return room.SDK.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("s")})
	})
	// Without a value, a request without a token is taken.
	if answer, body := room.Post(t, "CreateSecret", `{"Name":"no-token"}`); answer.StatusCode != http.StatusOK {
		t.Errorf("got %s without a token and a value, want 200", body)
	}
}

func TestCreateSecretBinary(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	in := createInput("s", "v1", "")
	in.SecretString, in.SecretBinary = nil, []byte{0, 0xff}
	must(room.SDK.CreateSecret(t.Context(), in))(t)
	if got := get(t, room, "s"); !slices.Equal(got.SecretBinary, in.SecretBinary) || got.SecretString != nil {
		t.Errorf("got binary %x and string %v, want the bytes that were given", got.SecretBinary, got.SecretString)
	}
}

func TestCreateSecretSettings(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	key := newKey(t)
	in := createInput("s", "v1", "one")
	in.Description = aws.String(strings.Repeat("ä", 2048))
	in.KmsKeyId = aws.String(key)
	in.Type = aws.String("SalesforceClientSecret")
	in.Tags = []types.Tag{tag("a", ""), tag("A", "1"), tag(strings.Repeat("k", 128), strings.Repeat("v", 256))}
	must(room.SDK.CreateSecret(t.Context(), in))(t)
	got := describe(t, room, "s")
	if *got.Description != *in.Description || *got.KmsKeyId != key || *got.Type != *in.Type {
		t.Errorf("got description of %d bytes, key %s, type %s", len(*got.Description), *got.KmsKeyId, *got.Type)
	}
	checkTags(t, got.Tags, in.Tags)
	if ids := list(t, room, "s")[0].KmsKeyIds; !slices.Equal(ids, []string{key}) {
		t.Errorf("got KmsKeyIds %q, want %s", ids, key)
	}
}

func tag(key, value string) types.Tag {
	return types.Tag{Key: aws.String(key), Value: aws.String(value)}
}

func checkTags(t testing.TB, got, want []types.Tag) {
	t.Helper()
	text := func(tags []types.Tag) string {
		var list []string
		for _, tag := range tags {
			list = append(list, fmt.Sprintf("%q=%q", *tag.Key, *tag.Value))
		}
		return join(list)
	}
	if text(got) != text(want) {
		t.Errorf("got tags %s, want %s", text(got), text(want))
	}
}

func TestCreateSecretDefaults(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	in := createInput("s", "v1", "one")
	in.Description = aws.String("")
	in.KmsKeyId = aws.String("")
	must(room.SDK.CreateSecret(t.Context(), in))(t)
	got := describe(t, room, "s")
	if got.Description != nil || got.KmsKeyId != nil || got.Tags != nil {
		t.Errorf("got Description %v, KmsKeyId %v, Tags %v; want none", got.Description, got.KmsKeyId, got.Tags)
	}
	if ids := list(t, room, "s")[0].KmsKeyIds; !slices.Equal(ids, []string{"DefaultEncryptionKey"}) {
		t.Errorf("got KmsKeyIds %q, want DefaultEncryptionKey", ids)
	}
}

func TestCreateSecretRefuses(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	var tooMany []types.Tag
	for i := range 51 {
		tooMany = append(tooMany, tag(fmt.Sprint("key", i), "value"))
	}
	type in = *secretsmanager.CreateSecretInput
	long := strings.Repeat("x", 2049)
	for _, test := range []struct {
		name   string
		change func(in in)
		want   refusal
	}{
		{"empty name", func(in in) { in.Name = aws.String("") }, violation("Value '' at 'name' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"name of 513 characters", func(in in) { in.Name = aws.String(long[:513]) }, violation("Value '" + long[:513] + "' at 'name' failed to satisfy constraint: Member must have length less than or equal to 512")},
		{"name with a space", func(in in) { in.Name = aws.String("a b") }, invalidName},
		{"name with an exclamation mark", func(in in) { in.Name = aws.String("rds!a") }, invalidName},
		{"name with another letter", func(in in) { in.Name = aws.String("ä") }, invalidName},
		{"name that ends in a new line", func(in in) { in.Name = aws.String("a\n") }, invalidName},
		{"name that is an ARN", func(in in) { in.Name = aws.String(localtest.ARNs.Of("a", "abcdef")) }, invalidName},
		{"bad name without a token", func(in in) { in.Name = aws.String("a b"); in.ClientRequestToken = aws.String("") }, violation("Value '' at 'clientRequestToken' failed to satisfy constraint: Member must have length greater than or equal to 32")},
		{"both values", func(in in) { in.SecretBinary = []byte("x") }, bothValues},
		{"empty string", func(in in) { in.SecretString = aws.String("") }, violation("Value at 'secretString' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"empty binary", func(in in) { in.SecretString, in.SecretBinary = nil, []byte{} }, violation("Value at 'secretBinary' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"65,537 characters", func(in in) { in.SecretString = aws.String(strings.Repeat("x", 65537)) }, violation("Value at 'secretString' failed to satisfy constraint: Member must have length less than or equal to 65536")},
		{"65,537 bytes", func(in in) { in.SecretString, in.SecretBinary = nil, make([]byte, 65537) }, violation("Value at 'secretBinary' failed to satisfy constraint: Member must have length less than or equal to 65536")},
		{"token of 31 characters", func(in in) { in.ClientRequestToken = aws.String(long[:31]) }, violation("Value '" + long[:31] + "' at 'clientRequestToken' failed to satisfy constraint: Member must have length greater than or equal to 32")},
		{"token of 65 characters", func(in in) { in.ClientRequestToken = aws.String(long[:65]) }, violation("Value '" + long[:65] + "' at 'clientRequestToken' failed to satisfy constraint: Member must have length less than or equal to 64")},
		{"description of 2,049 characters", func(in in) { in.Description = aws.String(long) }, violation("Value '" + long + "' at 'description' failed to satisfy constraint: Member must have length less than or equal to 2048")},
		{"key of 2,049 characters", func(in in) { in.KmsKeyId = aws.String(long) }, violation("Value '" + long + "' at 'kmsKeyId' failed to satisfy constraint: Member must have length less than or equal to 2048")},
		{"type of 257 characters", func(in in) { in.Type = aws.String(long[:257]) }, violation("Value '" + long[:257] + "' at 'type' failed to satisfy constraint: Member must have length less than or equal to 256")},
		{"tag without a key", func(in in) { in.Tags = []types.Tag{tag("a", ""), tag("", "")} }, violation("Value '' at 'tags.2.member.key' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"tag key of 129 characters", func(in in) { in.Tags = []types.Tag{tag(long[:129], "")} }, violation("Value '" + long[:129] + "' at 'tags.1.member.key' failed to satisfy constraint: Member must have length less than or equal to 128")},
		{"tag value of 257 characters", func(in in) { in.Tags = []types.Tag{tag("a", long[:257])} }, violation("Value '" + long[:257] + "' at 'tags.1.member.value' failed to satisfy constraint: Member must have length less than or equal to 256")},
		{"tag key twice", func(in in) { in.Tags = []types.Tag{tag("a", "1"), tag("a", "1")} }, refusal{"InvalidParameterException", "Tag keys must be unique: a is given more than once."}},
		{"tag key of AWS", func(in in) { in.Tags = []types.Tag{tag("aws:a", "1")} }, refusal{"InvalidParameterException", "Tag keys that begin with aws: are reserved for AWS."}},
		{"51 tags", func(in in) { in.Tags = tooMany }, refusal{"InvalidParameterException", "A secret can have no more than 50 tags."}},
		{"replica in its own Region", func(in in) { in.AddReplicaRegions = replicas("us-east-1") }, refusal{"InvalidParameterException", "Invalid replica region."}},
		{"replica in no Region", func(in in) { in.AddReplicaRegions = []types.ReplicaRegionType{{}} }, refusal{"InvalidParameterException", "Invalid replica region."}},
		{"replica twice", func(in in) { in.AddReplicaRegions = replicas("us-west-2", "us-west-2") }, refusal{"InvalidParameterException", "Replica regions must be unique: us-west-2 is given more than once."}},
		{"replica in a bad Region", func(in in) { in.AddReplicaRegions = replicas("Ireland") }, violation(`Value 'Ireland' at 'addReplicaRegions.1.member.region' failed to satisfy constraint: Member must satisfy regular expression pattern: ^([a-z]+-)+\d+$`)},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := createInput("s", "v1", "one")
			test.change(in)
			refuses(t, room, test.want, func() (*secretsmanager.CreateSecretOutput, error) {
				return room.SDK.CreateSecret(t.Context(), in)
			})
		})
	}
	refusesPost(t, room, "CreateSecret", `{"Name":"s","SecretString":"one"}`, noToken)
	refusesPost(t, room, "CreateSecret", `{"Name":"s","SecretBinary":"eA=="}`, noToken)
	refusesPost(t, room, "CreateSecret", `{"Name":"a b","SecretString":"one"}`, invalidName)
	refusesPost(t, room, "CreateSecret", `{"Name":"s","Tags":[{"Value":"v"}]}`, violation("Value null at 'tags.1.member.key' failed to satisfy constraint: Member must not be null"))
	refusesPost(t, room, "CreateSecret", `{"Name":"s","AddReplicaRegions":[]}`, violation("Value at 'addReplicaRegions' failed to satisfy constraint: Member must have length greater than or equal to 1"))

	longest := strings.Repeat("n", 512)
	if out := create(t, room, longest, "v1", "one"); *out.Name != longest {
		t.Errorf("got name %s, want one of 512 characters", *out.Name)
	}
	fifty := createInput("tagged", "v1", "one")
	fifty.Tags = tooMany[:50]
	must(room.SDK.CreateSecret(t.Context(), fifty))(t)
	checkTags(t, describe(t, room, "tagged").Tags, fifty.Tags)
}

// A name that is taken: the same request is answered as the first time.
func TestCreateSecretAgain(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	empty := func(name, version string) *secretsmanager.CreateSecretInput {
		in := createInput(name, version, "")
		in.SecretString = nil
		return in
	}
	binary := func(name, version, value string) *secretsmanager.CreateSecretInput {
		in := empty(name, version)
		in.SecretBinary = []byte(value)
		return in
	}
	for i, test := range []struct {
		name    string
		first   *secretsmanager.CreateSecretInput
		again   *secretsmanager.CreateSecretInput
		refused func(name, arn string) refusal
	}{
		{"same token, same value", createInput("", "T", "x"), createInput("", "T", "x"), nil},
		{"same token, same binary", binary("", "T", "x"), binary("", "T", "x"), nil},
		{"same token, no value both times", empty("", "T"), empty("", "T"), nil},
		{"same token, other value", createInput("", "T", "x"), createInput("", "T", "y"), func(_, arn string) refusal { return tokenInUse(token("T"), arn) }},
		{"same token, binary where string was", createInput("", "T", "x"), binary("", "T", "x"), func(_, arn string) refusal { return tokenInUse(token("T"), arn) }},
		{"same token, no value where one was", createInput("", "T", "x"), empty("", "T"), func(_, arn string) refusal { return tokenInUse(token("T"), arn) }},
		{"same token, a value where none was", empty("", "T"), createInput("", "T", "x"), func(name, _ string) refusal { return nameTaken(name) }},
		{"other token, same value", createInput("", "T", "x"), createInput("", "U", "x"), func(name, _ string) refusal { return nameTaken(name) }},
		{"other token, no value both times", empty("", "T"), empty("", "U"), func(name, _ string) refusal { return nameTaken(name) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := fmt.Sprint("s", i)
			test.first.Name, test.again.Name = aws.String(name), aws.String(name)
			first := must(room.SDK.CreateSecret(t.Context(), test.first))(t)
			for _, room := range []*localtest.Room{room, room.Another(t)} {
				call := func() (*secretsmanager.CreateSecretOutput, error) {
					return room.SDK.CreateSecret(t.Context(), test.again)
				}
				if test.refused != nil {
					refuses(t, room, test.refused(name, *first.ARN), call)
					continue
				}
				before := dump(t, room)
				again := must(call())(t)
				if *again.ARN != *first.ARN || *again.Name != name || aws.ToString(again.VersionId) != aws.ToString(first.VersionId) {
					t.Errorf("got ARN %s, Name %s, VersionId %v; want %s, %s, %v", *again.ARN, *again.Name, again.VersionId, *first.ARN, name, first.VersionId)
				}
				checkSame(t, before, dump(t, room))
			}
		})
	}
	createEmpty(t, room, "taken")
	refusesPost(t, room, "CreateSecret", `{"Name":"taken"}`, nameTaken("taken"))
	// The first request, when more has come since.
	put(t, room, "s0", "v2", "two")
	put(t, room, "s0", "v3", "three")
	if again := create(t, room, "s0", "T", "x"); *again.VersionId != token("T") {
		t.Errorf("got VersionId %s, want %s", *again.VersionId, token("T"))
	}
	checkStages(t, room, "s0", map[string]string{"T": "", "v2": "AWSPREVIOUS", "v3": "AWSCURRENT"})
}

func TestCreateSecretScheduledForDeletion(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "T", "x")
	schedule(t, room, "s")
	want := refusal{"InvalidRequestException", "You can't create this secret because a secret with this name is already scheduled for deletion."}
	for _, in := range []*secretsmanager.CreateSecretInput{createInput("s", "U", "x"), createInput("s", "T", "x"), createInput("s", "T", "y"), {Name: aws.String("s")}} {
		refuses(t, room, want, func() (*secretsmanager.CreateSecretOutput, error) {
			return room.SDK.CreateSecret(t.Context(), in)
		})
	}
}

// A name is free at once after a forced deletion, under another ARN, and nothing
// of the old secret is seen.
func TestCreateSecretAfterForcedDeletion(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	first := create(t, room, "s", "T", "x")
	put(t, room, "s", "v2", "two")
	forceDelete(t, room, "s")
	second := create(t, room, "s", "T", "y")
	if *second.ARN == *first.ARN {
		t.Errorf("got ARN %s again, want another suffix", *second.ARN)
	}
	checkStages(t, room, "s", map[string]string{"T": "AWSCURRENT"})
	for _, room := range []*localtest.Room{room, room.Another(t)} {
		if got := *get(t, room, "s").SecretString; got != "y" {
			t.Errorf("got value %q, want y", got)
		}
		refuses(t, room, noVersion("v2"), func() (*secretsmanager.GetSecretValueOutput, error) {
			return room.SDK.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("s"), VersionId: aws.String(token("v2"))})
		})
		refuses(t, room, notFound, func() (*secretsmanager.GetSecretValueOutput, error) {
			return room.SDK.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: first.ARN})
		})
	}
}

func TestCreateSecretInParallel(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	rooms := []*localtest.Room{room, room.Another(t)}
	arns, errs := make([]string, 16), make([]error, 16)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			// The same request in pairs, each pair another one than the next.
			out, err := rooms[i%2].SDK.CreateSecret(t.Context(), createInput("s", fmt.Sprint("T", i/2), "x"), once)
			if errs[i] = err; err == nil {
				arns[i] = *out.ARN
			}
		})
	}
	wg.Wait()
	got := describe(t, room, "s")
	won := short(*get(t, room, "s").VersionId)
	for i, err := range errs {
		if fmt.Sprint("T", i/2) != won {
			checkRefused(t, err, nameTaken("s"))
		} else if err != nil || arns[i] != *got.ARN {
			t.Errorf("got ARN %s and error %v, want %s", arns[i], err, *got.ARN)
		}
	}
	checkStages(t, room, "s", map[string]string{won: "AWSCURRENT"})
}

func TestCreateSecretDates(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	now := withClock(room, time.Date(2026, 11, 21, 12, 0, 0, 7_000_000, time.UTC))
	in := createInput("s", "v1", "one")
	in.Tags = []types.Tag{tag("a", "b")}
	must(room.SDK.CreateSecret(t.Context(), in))(t)
	got := describe(t, room, "s")
	if !got.CreatedDate.Equal(now.now) || !got.LastChangedDate.Equal(now.now) {
		t.Errorf("got created %s and changed %s, want %s", got.CreatedDate, got.LastChangedDate, now.now)
	}
	if got := *get(t, room, "s").CreatedDate; !got.Equal(now.now) {
		t.Errorf("got version created %s, want %s", got, now.now)
	}
	_, body := room.Post(t, "DescribeSecret", `{"SecretId":"s"}`)
	if want := `"CreatedDate":1795262400.007,`; !strings.Contains(body, want) {
		t.Errorf("got %s, want %s in it", body, want)
	}
}

// A made suffix is six letters and digits, and no two are the same for long.
func TestCreateSecretSuffix(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	suffix := regexp.MustCompile(`-[A-Za-z0-9]{6}$`)
	seen := map[string]bool{}
	for i := range 64 {
		arn := *createEmpty(t, room, fmt.Sprint("s", i)).ARN
		end := arn[len(arn)-6:]
		if seen[end] || !suffix.MatchString(arn) {
			t.Errorf("got suffix %s of %s", end, arn)
		}
		seen[end] = true
	}
	room.Server.NewSuffix = func() string { return "aBc123" }
	if got, want := *createEmpty(t, room, "s").ARN, localtest.ARNs.Of("s", "aBc123"); got != want {
		t.Errorf("got ARN %s, want %s", got, want)
	}
}

// A creation that finds the name taken by a secret that goes meanwhile is tried again:
// AWS never answers it that there is no such secret.
func TestCreateWhileTheOtherGoes(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	putPolicy(t, room, "s", everyone)
	other := room.Another(t)
	other.Wire.Break("GetItem", func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		forceDelete(t, room, "s")
		return do()
	})
	must(other.SDK.CreateSecret(t.Context(), createInput("s", "v2", "two")))(t)
}

func replicas(regions ...string) []types.ReplicaRegionType {
	var all []types.ReplicaRegionType
	for _, r := range regions {
		all = append(all, types.ReplicaRegionType{Region: aws.String(r)})
	}
	return all
}
