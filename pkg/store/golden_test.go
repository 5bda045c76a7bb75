package store_test

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

var updateGolden = flag.Bool("update", false, "write the golden items anew")

// golden says which item is in which file of testdata. What is stored once is
// read for ever: attributes may be added, and one that is absent reads as zero;
// any other change of a file here goes together with the schema number.
var golden = map[string]string{
	"head_plain.json":        "SECRET#plain HEAD",
	"head_full.json":         "SECRET#app/full HEAD",
	"version.json":           "SECRET#app/full VERSION#f6Gh7I#v1",
	"version_binary.json":    "SECRET#app/full VERSION#f6Gh7I#v2",
	"policy.json":            "SECRET#app/full POLICY#f6Gh7I#8f907b489532ad56fb7c52f3acc89b27680ed51296bf03984ce78d2b7b96076a",
	"directory_name.json":    "DIRECTORY#NAME app/full",
	"directory_created.json": "DIRECTORY#CREATED 2026-03-04T12:00:00.123Z#app/full",
	"leftover.json":          "SECRET#gone LEFTOVER#j8Kl9M",
	"head_rotating.json":     "SECRET#app/rotating HEAD",
	"rotation.json":          "SECRET#app/rotating ROTATION#n2Op4Q",
	"token_key.json":         "DEPLOYMENT TOKENKEY",

	"head_replicated.json":     "SECRET#app/replicated HEAD",
	"replica_failed.json":      "SECRET#app/replicated REPLICA#q5Rs6T#eu-west-1",
	"replica_in_sync.json":     "SECRET#app/replicated REPLICA#q5Rs6T#ap-south-1",
	"head_replica.json":        "SECRET#app/replica HEAD",
	"version_of_replica.json":  "SECRET#app/replica VERSION#u7Vw8X.3#v1",
	"leftover_of_replica.json": "SECRET#gone LEFTOVER#y9Za0B.",
}

var (
	fullID     = secret.ID{Name: "app/full", Suffix: "f6Gh7I"}
	rotatingID = secret.ID{Name: "app/rotating", Suffix: "n2Op4Q"}

	replicatedID, replicaID = secret.ID{Name: "app/replicated", Suffix: "q5Rs6T"}, secret.ID{Name: "app/replica", Suffix: "u7Vw8X"}
)

// everything is a rotation with nothing left out.
var everything = secret.Rotation{
	Enabled: true,
	Lambda:  "arn:aws:lambda:us-east-1:000000000000:function:rotate",
	Rules:   secret.RotationRules{AutomaticallyAfterDays: 30, ScheduleExpression: "rate(30 days)", Duration: "3h"},
	Anchor:  noon.Add(time.Minute),
	Last:    noon.Add(2 * time.Minute),
	Next:    secret.Window{Opens: noon.AddDate(0, 0, 30), Closes: noon.AddDate(0, 0, 31)},
	State: secret.Leased{
		Run:    secret.Run{Version: "v2", From: "v1", Test: true, Attempts: 3, Failure: "why"},
		Runner: "runner", Proof: secret.ProofOf("token"), Until: noon.Add(3 * time.Minute),
	},
	Asked:     "asked",
	Abandoned: "v0",
	InFlight:  secret.Call{Runner: "busy", Until: noon.Add(4 * time.Minute)},
}

const policyText = `{"Version":"2012-10-17","Statement":[]}`

// fill makes the secrets of the golden items.
func fill(t *testing.T, room *localtest.Room) {
	t.Helper()
	ctx := t.Context()
	if _, err := room.Store.TokenKey(ctx); err != nil {
		t.Fatal(err)
	}
	plain := fresh("plain", "a1B2c3")
	plain.Token = ""
	if _, err := room.Store.Create(ctx, secret.Change{Secret: plain}); err != nil {
		t.Fatal(err)
	}

	full := fresh(fullID.Name, fullID.Suffix)
	full.Description, full.Type, full.KMSKey = "der Schlüssel", "SomePartner", "alias/mine"
	full.Tags = []secret.Tag{{Key: "team", Value: "blue"}, {Key: "empty"}}
	if _, err := room.Store.Create(ctx, making(t, full)); err != nil {
		t.Fatal(err)
	}
	later := noon.Add(time.Hour)
	for _, decide := range []decide{
		func(sec secret.Secret) (secret.Change, error) {
			change, err := sec.Put("v2", []string{secret.Current, "étiquette"}, later)
			change.Version.Sealed = secret.Sealed{Kind: secret.Binary, KeyARN: "arn:key", DefaultKey: true, DataKey: []byte{0, 1}, Data: []byte{2, 255}}
			return change, err
		},
		func(sec secret.Secret) (secret.Change, error) { return sec.PutPolicy(policyText, later) },
		func(sec secret.Secret) (secret.Change, error) { return sec.Delete(30, later) },
	} {
		if _, err := room.Store.Update(ctx, fullID, decide); err != nil {
			t.Fatal(err)
		}
	}
	sec, err := room.Store.Get(ctx, fullID)
	if err != nil {
		t.Fatal(err)
	}
	version, _, err := room.Store.Version(ctx, sec, "v2")
	if err != nil {
		t.Fatal(err)
	}
	if err := room.Store.Touch(ctx, sec, version, later); err != nil {
		t.Fatal(err)
	}

	if _, err := room.Store.Create(ctx, making(t, fresh(rotatingID.Name, rotatingID.Suffix))); err != nil {
		t.Fatal(err)
	}
	abandoned := secret.Rotation{State: secret.Waiting{Run: secret.Run{Version: "v0"}, Due: noon}}
	for _, rotation := range []secret.Rotation{abandoned, everything} {
		_, err = room.Store.Update(ctx, rotatingID, func(sec secret.Secret) (secret.Change, error) {
			sec.Stages, sec.Rotation = sec.Stages.Attach(secret.Pending, rotation.Run().Version), rotation
			return secret.Change{Secret: sec}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}

	if _, err := room.Store.Create(ctx, making(t, fresh("gone", "j8Kl9M"))); err != nil {
		t.Fatal(err)
	}
	if _, err := room.Store.Update(ctx, secret.ID{Name: "gone"}, func(sec secret.Secret) (secret.Change, error) { return sec.Remove(later), nil }); err != nil {
		t.Fatal(err)
	}
}

// replicas are those of the golden secret that has some.
var replicas = []secret.Replica{{Region: "ap-south-1", Copy: 2}, {Region: "eu-west-1", KMSKey: "alias/theirs", Copy: 2, Overwrite: true}}

// goldenReplica is the golden secret that is a replica.
func goldenReplica() secret.Secret {
	sec := fresh(replicaID.Name, replicaID.Suffix)
	sec.Token, sec.Primary, sec.Copy, sec.Revision, sec.Stages = "", "eu-west-1", 3, 5, secret.Stages{secret.Current: "v1"}
	return sec
}

// fillReplicas makes the golden items of replication.
func fillReplicas(t *testing.T, room *localtest.Room) {
	t.Helper()
	ctx, later := t.Context(), noon.Add(time.Hour)
	if _, err := room.Store.Create(ctx, making(t, fresh(replicatedID.Name, replicatedID.Suffix))); err != nil {
		t.Fatal(err)
	}
	if _, err := room.Store.Update(ctx, replicatedID, func(sec secret.Secret) (secret.Change, error) { return sec.Replicate(replicas, later) }); err != nil {
		t.Fatal(err)
	}
	settle := func(region string, how func(store.Replication) (bool, error)) {
		t.Helper()
		r, err := room.Store.Replication(ctx, store.Task{ID: replicatedID, Region: region})
		if err != nil {
			t.Fatal(err)
		}
		if settled, err := how(r); err != nil || !settled {
			t.Fatal(settled, err)
		}
	}
	settle("ap-south-1", func(r store.Replication) (bool, error) { return room.Store.Settled(ctx, r, 2) })
	settle("eu-west-1", func(r store.Replication) (bool, error) {
		return room.Store.Failed(ctx, r, "why", later, later.Add(time.Minute))
	})
	if _, err := room.Store.Create(ctx, carrying(secret.First(goldenReplica(), later), 4, "v1")); err != nil {
		t.Fatal(err)
	}
	if err := room.Store.Fence(ctx, secret.ID{Name: "gone", Suffix: "y9Za0B"}, 4, later); err != nil {
		t.Fatal(err)
	}
}

// What is stored of replication is read as it was written.
func TestReadGoldenReplicas(t *testing.T) {
	t.Parallel()
	room, later := localtest.New(t), noon.Add(time.Hour)
	for file := range golden {
		text, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		place(t, room, stored(t, text))
	}
	primary, err := room.Store.Get(t.Context(), replicatedID)
	if err != nil || !reflect.DeepEqual(primary.Replicas, replicas) || primary.IsReplica() || primary.Family() != "q5Rs6T" {
		t.Errorf("got %+v, %v, want replicas %+v", primary, err, replicas)
	}
	statuses, err := room.Store.Replicas(t.Context(), primary)
	if want := []store.ReplicaStatus{{Region: "ap-south-1", InSync: true}, {Region: "eu-west-1", Failure: "why"}}; err != nil || !reflect.DeepEqual(statuses, want) {
		t.Errorf("got %+v, %v, want %+v", statuses, err, want)
	}
	r, err := room.Store.Replication(t.Context(), store.Task{ID: replicatedID, Region: "eu-west-1"})
	if err != nil || r.Attempts != 1 || r.Copy() != 2 || !r.IsFirst() || !r.Since.Equal(later) || !r.Due.Equal(later.Add(time.Minute)) || !r.IsDue(r.Due) {
		t.Errorf("got %+v, %v", r, err)
	}
	want := goldenReplica()
	want.Versions, want.Keyed, want.Commit, want.Past = 1, 5, uuid.Nil.String(), make([]byte, 8)
	sec, err := room.Store.Get(t.Context(), replicaID)
	if err != nil || !reflect.DeepEqual(sec, want) {
		t.Errorf("secret = %+v, %v\nwant     %+v", sec, err, want)
	}
	version := secret.Version{ID: "v1", Revision: 4, Created: noon, Sealed: sealed("v1")}
	if got, found, err := room.Store.Version(t.Context(), sec, "v1"); err != nil || !found || !reflect.DeepEqual(got, version) {
		t.Errorf("version = %+v, %t, %v\nwant      %+v", got, found, err, version)
	}
}

// What older versions of this program must not touch has a number that they refuse, and
// nothing else has: a deployment without replicas can go back.
func TestSchemas(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	fill(t, room)
	fillReplicas(t, room)
	for _, decide := range []decide{replicating, func(sec secret.Secret) (secret.Change, error) {
		return sec.RemoveReplicas([]string{replicaRegion}, noon)
	}} {
		if _, err := room.Store.Update(t.Context(), secret.ID{Name: "plain"}, decide); err != nil {
			t.Fatal(err)
		}
	}
	promoted := fresh("promoted", "c1De2F")
	promoted.Copy = 3
	if _, err := room.Store.Create(t.Context(), secret.Change{Secret: promoted}); err != nil {
		t.Fatal(err)
	}
	newer := []string{
		"SECRET#app/replica HEAD", "SECRET#app/replicated HEAD", "SECRET#app/replicated REPLICA#q5Rs6T#ap-south-1",
		"SECRET#app/replicated REPLICA#q5Rs6T#eu-west-1", "SECRET#plain REPLICA#a1B2c3#eu-west-1", "SECRET#promoted HEAD",
	}
	var got []string
	all := items(t, room)
	for _, key := range sortedKeys(all) {
		if all[key]["schema"].(*types.AttributeValueMemberN).Value != "2" {
			got = append(got, key)
		}
	}
	if !slices.Equal(got, newer) {
		t.Errorf("newer are %q, want %q", got, newer)
	}
}

func TestGoldenItems(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	fill(t, room)
	fillReplicas(t, room)
	all := items(t, room)
	for file, key := range golden {
		it := all[key]
		if it == nil {
			t.Errorf("%s: there is no item %s", file, key)
			continue
		}
		if _, has := it["commit"]; has { // made up anew each time
			if _, err := uuid.Parse(text(it["commit"])); err != nil {
				t.Errorf("%s: commit: %v", file, err)
			}
			it = maps.Clone(it)
			it["commit"] = &types.AttributeValueMemberS{Value: uuid.Nil.String()}
			if past, ok := it["past"].(*types.AttributeValueMemberB); ok {
				it["past"] = &types.AttributeValueMemberB{Value: make([]byte, len(past.Value))}
			}
		}
		if made, ok := it["key"].(*types.AttributeValueMemberB); ok { // at random
			it = maps.Clone(it)
			it["key"] = &types.AttributeValueMemberB{Value: make([]byte, len(made.Value))}
		}
		got, path := canonical(t, it), filepath.Join("testdata", file)
		if *updateGolden {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: stored is\n%s\nwant\n%s", file, got, want)
		}
	}
}

// What an earlier build stored, this one reads.
func TestReadGoldenItems(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for file := range golden {
		text, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		place(t, room, stored(t, text))
	}
	later := noon.Add(time.Hour)
	midnight := time.Date(2026, time.March, 4, 0, 0, 0, 0, time.UTC)
	full := secret.Secret{
		Name: "app/full", ARN: localtest.ARNs.Of("app/full", "f6Gh7I"), Token: "token-of-f6Gh7I",
		Description: "der Schlüssel", Type: "SomePartner", KMSKey: "alias/mine", Keyed: 1,
		Stages:   secret.Stages{secret.Current: "v2", secret.Previous: "v1", "étiquette": "v2"},
		Versions: 2, Revision: 4,
		PolicyHash: "8f907b489532ad56fb7c52f3acc89b27680ed51296bf03984ce78d2b7b96076a",
		Tags:       []secret.Tag{{Key: "team", Value: "blue"}, {Key: "empty"}},
		Created:    noon, Changed: later, Accessed: midnight, AccessedVersion: "v2", Deletion: later.AddDate(0, 0, 30), Deleted: later,
	}
	for _, want := range []secret.Secret{
		{
			Name: "plain", ARN: localtest.ARNs.Of("plain", "a1B2c3"), Stages: secret.Stages{}, Revision: 1,
			Created: noon, Changed: noon,
		},
		full,
		{
			Name: "app/rotating", ARN: localtest.ARNs.Of("app/rotating", "n2Op4Q"), Token: "token-of-n2Op4Q",
			Stages: secret.Stages{secret.Current: "v1", secret.Pending: "v2"}, Versions: 1, Revision: 3,
			Created: noon, Changed: noon, Rotation: everything,
		},
	} {
		got, err := room.Store.Get(t.Context(), secret.ID{Name: want.Name})
		if err != nil {
			t.Fatal(err)
		}
		want.Commit, want.Past = uuid.Nil.String(), make([]byte, 8*want.Revision)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("secret = %+v\nwant     %+v", got, want)
		}
	}
	for id, want := range map[string]secret.Version{
		"v1": {ID: "v1", Revision: 1, Created: noon, Sealed: sealed("v1")},
		"v2": {
			ID: "v2", Revision: 2, Created: later, Accessed: midnight,
			Sealed: secret.Sealed{Kind: secret.Binary, KeyARN: "arn:key", DefaultKey: true, DataKey: []byte{0, 1}, Data: []byte{2, 255}},
		},
	} {
		got, found, err := room.Store.Version(t.Context(), full, id)
		if err != nil || !found {
			t.Fatalf("version %s: found %t, %v", id, found, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("version = %+v\nwant      %+v", got, want)
		}
	}
	if got, err := room.Store.Policy(t.Context(), full); err != nil || got != policyText {
		t.Errorf("policy = %q, %v, want %q", got, err, policyText)
	}
}

// A head of a build that knew nothing of rotations and replicas, counted no removals and did
// not keep the time of a deletion, reads as one that has none, and its next revision has all.
func TestReadOlderHead(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("testdata", "head_full.json"))
	if err != nil {
		t.Fatal(err)
	}
	older := stored(t, text)
	added := []string{"rotation", "prunings", "deleted", "replicas", "primary", "copy"}
	for _, name := range added {
		if older[name] == nil {
			t.Errorf("the golden head has no %s", name)
		}
		delete(older, name)
	}
	delete(older, "deletion") // so that it may be changed
	room := localtest.New(t)
	place(t, room, older)
	sec, err := room.Store.Get(t.Context(), fullID)
	if err != nil {
		t.Fatal(err)
	}
	if sec.Rotation != (secret.Rotation{}) || sec.Prunings != 0 || !sec.Deletion.IsZero() {
		t.Errorf("rotation = %+v, prunings = %d, deletion = %s, want none", sec.Rotation, sec.Prunings, sec.Deletion)
	}
	if _, err := room.Store.Update(t.Context(), fullID, putting("v3")); err != nil {
		t.Fatal(err)
	}
	now := items(t, room)["SECRET#app/full HEAD"]
	for _, name := range added {
		if now[name] == nil {
			t.Errorf("the next revision has no %s", name)
		}
	}
}

// A head that was scheduled for deletion before the time of the call was stored tells
// of it all the same.
func TestReadOlderScheduledHead(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("testdata", "head_full.json"))
	if err != nil {
		t.Fatal(err)
	}
	older := stored(t, text)
	delete(older, "deleted")
	room := localtest.New(t)
	place(t, room, older)
	sec, err := room.Store.Get(t.Context(), fullID)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := sec.DeletedAt(), noon.Add(time.Hour); !got.Equal(want) || !sec.Deleted.IsZero() {
		t.Errorf("got %s, stored %s; want %s, none", got, sec.Deleted, want)
	}
}

// Everything that the golden head of a rotation is made of is set.
func TestEverythingIsSet(t *testing.T) {
	t.Parallel()
	var unset func(reflect.Value, string)
	unset = func(v reflect.Value, name string) {
		if v.IsZero() {
			t.Errorf("%s is not set", name)
		}
		if v.Kind() == reflect.Interface {
			v = v.Elem()
		}
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if f := v.Field(i); f.Kind() == reflect.Interface || f.Kind() == reflect.Struct && f.Type() != reflect.TypeFor[time.Time]() {
				unset(f, field.Name)
			} else if f.IsZero() {
				t.Errorf("%s.%s is not set", name, field.Name)
			}
		}
	}
	unset(reflect.ValueOf(everything), "Rotation")
}

// Every state of a rotation is read as it was written, and one that was written before
// it was stored what it began from.
func TestRotationStates(t *testing.T) {
	t.Parallel()
	run := secret.Run{Version: "v2", From: "v1", Attempts: 2, Failure: "why"}
	for _, state := range []secret.State{
		nil,
		secret.Waiting{Run: secret.Run{Version: "v2"}, Due: noon},
		secret.Waiting{Run: run, Due: noon},
		secret.Leased{Run: run, Runner: "me", Proof: "proof", Until: noon},
		secret.GivenUp{Version: "v2", From: "v1", Failure: "why"},
		secret.Cancelled{Version: "v2"},
	} {
		room := localtest.New(t)
		create(t, room, "aaaaaa")
		update(t, room, func(sec secret.Secret) (secret.Change, error) {
			_, cancelled := state.(secret.Cancelled)
			sec.Rotation = secret.Rotation{Enabled: !cancelled, Lambda: "f", State: state}
			return secret.Change{Secret: sec}, nil
		})
		if got := get(t, room.Another(t)).Rotation.State; got != state {
			t.Errorf("got %+v, want %+v", got, state)
		}
	}
	text, err := os.ReadFile(filepath.Join("testdata", "head_rotating.json"))
	if err != nil {
		t.Fatal(err)
	}
	older := stored(t, text)
	rotation := older["rotation"].(*types.AttributeValueMemberM).Value
	for _, name := range []string{"from", "runner", "proof", "due", "test"} {
		if rotation[name] == nil {
			t.Errorf("the golden head has no %s", name)
		}
		delete(rotation, name)
	}
	room := localtest.New(t)
	place(t, room, older)
	sec, err := room.Store.Get(t.Context(), rotatingID)
	if want := (secret.GivenUp{Version: "v2", Failure: "why"}); err != nil || sec.Rotation.State != want {
		t.Errorf("got %+v, %v, want %+v", sec.Rotation.State, err, want)
	}
}

// A stored secret that was tagged and untagged is told from one never tagged.
func TestNoTagsAndNeverTagged(t *testing.T) {
	t.Parallel()
	for name, tags := range map[string][]secret.Tag{"never": nil, "no more": {}} {
		room := localtest.New(t)
		sec := fresh("s", "abcdef")
		sec.Tags = tags
		if _, err := room.Store.Create(t.Context(), secret.Change{Secret: sec}); err != nil {
			t.Fatal(err)
		}
		if got := get(t, room).Tags; len(got) != 0 || (got == nil) != (tags == nil) {
			t.Errorf("%s: tags = %#v, want %#v", name, got, tags)
		}
		update(t, room, putting("v1"))
		if got := get(t, room.Another(t)).Tags; len(got) != 0 || (got == nil) != (tags == nil) {
			t.Errorf("%s, after a put: tags = %#v, want %#v", name, got, tags)
		}
	}
}
