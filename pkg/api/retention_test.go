package api_test

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/prune"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

func tagged(key, value string) []types.Tag { return []types.Tag{{Key: &key, Value: &value}} }

func TestRetentionTags(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	createEmpty(t, room, "s")
	number := refusal{"InvalidParameterException", "The value of tag strongroom:max-versions must be a number of versions from 0 to 1000000."}
	duration := refusal{"InvalidParameterException", "The value of tag strongroom:min-age must be a duration such as 7d, 36h or 90m, from 0s to 87600h."}
	for _, c := range []struct {
		key, value string
		want       refusal
	}{
		{"strongroom:max-versions", "many", number},
		{"strongroom:max-versions", "", number},
		{"strongroom:max-versions", "-1", number},
		{"strongroom:max-versions", "1000001", number},
		{"strongroom:min-age", "a day", duration},
		{"strongroom:min-age", "86400", duration},
		{"strongroom:min-age", "-24h", duration},
		{"strongroom:min-age", "87601h", duration},
	} {
		tags := append(tagged("team", "db"), tagged(c.key, c.value)...)
		refuses(t, room, c.want, func() (*secretsmanager.TagResourceOutput, error) {
			return room.SDK.TagResource(t.Context(), &secretsmanager.TagResourceInput{SecretId: aws.String("s"), Tags: tags})
		})
		refuses(t, room, c.want, func() (*secretsmanager.CreateSecretOutput, error) {
			return room.SDK.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("new"), Tags: tags})
		})
	}
	tags := append(tagged("strongroom:max-versions", "3"), tagged("strongroom:min-age", "90m")...)
	must(room.SDK.TagResource(t.Context(), &secretsmanager.TagResourceInput{SecretId: aws.String("s"), Tags: tags}))(t)
	must(room.SDK.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("new"), Tags: tags}))(t)
	for _, name := range []string{"s", "new"} {
		sec := must(room.Store.Get(t.Context(), secret.ID{Name: name}))(t)
		if got, want := sec.Retention(secret.Retention{}), (secret.Retention{MaxVersions: 3, MinAge: 90 * time.Minute}); got != want {
			t.Errorf("%s keeps %v, want %v", name, got, want)
		}
	}
}

func dueOf(t testing.TB, room *localtest.Room) time.Time {
	t.Helper()
	return must(room.Store.Look(t.Context(), "s"))(t).Due
}

// What leaves a secret with more versions than it keeps, has the schedules look at
// it; what does not, does not.
func TestOverfullIsNoted(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	room.Server.Retention = secret.Retention{MaxVersions: 2, MinAge: time.Hour}
	clock := withClock(room, epoch)
	create(t, room, "s", "v1", "value")
	tag := func(key, value string) func() {
		return func() {
			must(room.SDK.TagResource(t.Context(), &secretsmanager.TagResourceInput{SecretId: aws.String("s"), Tags: tagged(key, value)}))(t)
		}
	}
	untag := func(key string) func() {
		return func() {
			must(room.SDK.UntagResource(t.Context(), &secretsmanager.UntagResourceInput{SecretId: aws.String("s"), TagKeys: []string{key}}))(t)
		}
	}
	putting := func(version string, labels ...string) func() {
		return func() { put(t, room, "s", version, "value of "+version, labels...) }
	}
	moving := func(label, from, to string) func() {
		return func() {
			must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", label, from, to)))(t)
		}
	}
	for i, step := range []struct {
		name string
		do   func()
		due  int // the hour; -1 for none
	}{
		{"one without a label", putting("v3", "mine"), -1},
		{"more", putting("v4", "mine"), -1},
		{"two", putting("v5", "mine"), -1},
		{"a label comes off, and that makes three", moving("mine", "v5", ""), 3},
		{"a fourth changes nothing", putting("v6"), 3},
		{"kept longer: to be looked at anew", tag("strongroom:min-age", "8760h"), 5},
		{"another tag", tag("team", "db"), 5},
		{"no longer", untag("strongroom:min-age"), 7},
		{"more are kept", tag("strongroom:max-versions", "1000"), 8},
	} {
		clock.now = epoch.Add(time.Duration(i) * time.Hour)
		step.do()
		want := time.Time{}
		if step.due >= 0 {
			want = epoch.Add(time.Duration(step.due) * time.Hour)
		}
		if got := dueOf(t, room); !got.Equal(want) {
			t.Errorf("%s: due %v, want %v", step.name, got, want)
		}
	}
}

// With a quota, AWS's refusal is back. It is exact, also when others put at the same time.
func TestVersionQuota(t *testing.T) {
	t.Parallel()
	const writers, quota = 16, 30
	limit := refusal{"LimitExceededException", "The request failed because it would exceed one of the Secrets Manager quotas."}
	room := localtest.New(t)
	rooms := []*localtest.Room{room, room.Another(t), room.Another(t)}
	for _, r := range rooms {
		r.Server.VersionQuota, r.Server.Retention.MaxVersions = quota, 5
	}
	create(t, room, "s", "v0", "value")
	var mu sync.Mutex
	made := []string{"v0"}
	var wg sync.WaitGroup
	for w := range writers {
		r := rooms[w%len(rooms)]
		wg.Go(func() {
			for n := range quota {
				id := fmt.Sprintf("w%d-%d", w, n)
				if _, err := r.SDK.PutSecretValue(t.Context(), putInput("s", id, id), once); err != nil {
					checkRefused(t, err, limit)
					return
				}
				mu.Lock()
				made = append(made, id)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	// As many without a label as the quota says, and the two with one.
	if want := quota + 2; len(made) != want || len(list(t, room, "s")) != want {
		t.Errorf("%d puts were accepted, and there are %d versions, want %d", len(made), len(list(t, room, "s")), want)
	}
	cold := room.Another(t)
	cold.Server.VersionQuota, cold.Server.Retention.MaxVersions = quota, 5
	for _, r := range append(rooms, cold) {
		refuses(t, r, limit, func() (*secretsmanager.PutSecretValueOutput, error) {
			return r.SDK.PutSecretValue(t.Context(), putInput("s", "new", "value"))
		})
		refuses(t, r, limit, func() (*secretsmanager.UpdateSecretOutput, error) {
			return r.SDK.UpdateSecret(t.Context(), &secretsmanager.UpdateSecretInput{
				SecretId: aws.String("s"), ClientRequestToken: aws.String(token("new")), SecretString: aws.String("value"),
			})
		})
		// What was accepted is answered again as it was, and nothing is written.
		before := dump(t, r)
		for _, id := range made[1:4] {
			out := put(t, r, "s", id, id)
			if *out.VersionId != token(id) {
				t.Errorf("got version %s, want %s", *out.VersionId, token(id))
			}
		}
		checkSame(t, before, dump(t, r))
		refuses(t, r, tokenInUse(token(made[1]), describeARN(t, r)), func() (*secretsmanager.PutSecretValueOutput, error) {
			return r.SDK.PutSecretValue(t.Context(), putInput("s", made[1], "another"))
		})
	}
	// What puts nothing has no quota.
	must(room.SDK.UpdateSecret(t.Context(), &secretsmanager.UpdateSecretInput{SecretId: aws.String("s"), Description: aws.String("full")}))(t)
	// When one goes there is room for one.
	look := must(room.Store.Look(t.Context(), "s"))(t)
	oldest, _, err := room.Store.Oldest(t.Context(), look.Secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	must(room.Store.Prune(t.Context(), look, oldest[:1], store.Then{}))(t)
	put(t, rooms[1], "s", "new", "value")
	refuses(t, room, limit, func() (*secretsmanager.PutSecretValueOutput, error) {
		return room.SDK.PutSecretValue(t.Context(), putInput("s", "newer", "value"))
	})
}

// A secret whose tag keeps more versions than the quota is not refused its puts for ever:
// it is refused when it has one more than it keeps, and that one is pruned.
func TestVersionQuotaBelowTag(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	room.Server.VersionQuota, room.Server.Retention = 3, secret.Retention{MaxVersions: 2}
	create(t, room, "s", "v0", "value")
	must(room.SDK.TagResource(t.Context(), &secretsmanager.TagResourceInput{SecretId: aws.String("s"), Tags: tagged("strongroom:max-versions", "5")}))(t)
	for i := range 7 { // two with a label, five that are kept and one more
		put(t, room, "s", fmt.Sprint("v", i+1), "value")
	}
	refuses(t, room, refusal{"LimitExceededException", "The request failed because it would exceed one of the Secrets Manager quotas."}, func() (*secretsmanager.PutSecretValueOutput, error) {
		return room.SDK.PutSecretValue(t.Context(), putInput("s", "new", "value"))
	})
	p := &prune.Pruner{Store: room.Another(t).Store, Retention: room.Server.Retention, Log: slog.New(slog.DiscardHandler)}
	if sum := must(p.Run(t.Context()))(t); sum.Versions != 1 {
		t.Errorf("%d versions were pruned, want 1", sum.Versions)
	}
	put(t, room, "s", "new", "value")
}

// Who may only tag a secret cannot have its versions removed (a review found it).
func TestTagsRemoveNothing(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	put(t, room, "s", "v2", "two")
	put(t, room, "s", "v3", "three")
	tags := append(tagged("strongroom:max-versions", "0"), tagged("strongroom:min-age", "0s")...)
	must(room.SDK.TagResource(t.Context(), &secretsmanager.TagResourceInput{SecretId: aws.String("s"), Tags: tags}))(t)
	p := &prune.Pruner{Store: room.Another(t).Store, Retention: secret.DefaultRetention, Log: slog.New(slog.DiscardHandler)}
	if sum := must(p.Run(t.Context()))(t); sum.Versions != 0 {
		t.Errorf("%d versions were pruned, want none", sum.Versions)
	}
	must(room.SDK.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("s"), VersionId: aws.String(token("v1"))}))(t)
}

func describeARN(t testing.TB, room *localtest.Room) string {
	t.Helper()
	return *describe(t, room, "s").ARN
}

// Without a quota, there is no end.
func TestNoVersionQuota(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	createEmpty(t, room, "s")
	for i := range 150 {
		put(t, room, "s", fmt.Sprint("v", i), "value")
	}
	if got := len(must(room.Store.Get(t.Context(), secret.ID{Name: "s"}))(t).Stages); got != 2 {
		t.Errorf("got %d labels, want AWSCURRENT and AWSPREVIOUS", got)
	}
}

// A token that was pruned may be used for another value. No process gives the
// first one for it, whatever it remembers of version and data key.
func TestPrunedTokenAgain(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	room.Server.Retention = secret.Retention{}
	other := room.Another(t)
	create(t, room, "s", "v1", "first")
	for _, r := range []*localtest.Room{room, other} {
		if got := *get(t, r, "s").SecretString; got != "first" {
			t.Errorf("got %q, want first", got)
		}
	}
	put(t, room, "s", "v2", "second")
	put(t, room, "s", "v3", "third")
	look := must(room.Store.Look(t.Context(), "s"))(t)
	oldest, _, err := room.Store.Oldest(t.Context(), look.Secret, nil)
	if err != nil || oldest[0].ID != token("v1") {
		t.Fatalf("got %v, %v, want v1 to be the oldest", oldest, err)
	}
	must(room.Store.Prune(t.Context(), look, oldest[:1], store.Then{}))(t)
	_, err = other.SDK.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("s"), VersionId: aws.String(token("v1"))})
	checkRefused(t, err, refusal{"ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: " + token("v1")})
	put(t, room, "s", "v1", "another")
	for name, r := range map[string]*localtest.Room{"writer": room, "reader": other, "cold": room.Another(t)} {
		if got := *get(t, r, "s").SecretString; got != "another" {
			t.Errorf("the %s got %q, want another", name, got)
		}
	}
}
