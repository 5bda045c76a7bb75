package store_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// replica is secret s as a primary of eu-west-1 delivers it to the Region of the tests.
func replica(suffix string, copied, revision int64, stages secret.Stages) secret.Secret {
	sec := fresh("s", suffix)
	sec.Token, sec.Primary, sec.Copy, sec.Revision, sec.Stages = "", replicaRegion, copied, revision, stages
	return sec
}

// carrying has a change bring versions along, each put by this revision.
func carrying(change secret.Change, revision int64, ids ...string) secret.Change {
	for _, id := range ids {
		v := secret.Version{ID: id, Created: noon, Sealed: sealed(id), Revision: revision}
		change.Effects = append(change.Effects, secret.Effect{Kind: secret.Copy, Version: v})
		change.Secret.Versions++
	}
	return change
}

// receiving decides on a delivery that may overwrite what is there.
func receiving(delivered secret.Secret, ids ...string) decide {
	return func(sec secret.Secret) (secret.Change, error) {
		change, err := sec.Receive(delivered, true, noon)
		if err != nil || change.IsUnchanged() {
			return change, err
		}
		return carrying(change, delivered.Revision, ids...), nil
	}
}

func promoting(sec secret.Secret) (secret.Change, error) { return sec.Promote(noon) }

// puttingAsCaller is what a caller's put decides: a replica is refused.
func puttingAsCaller(id string) decide {
	return func(sec secret.Secret) (secret.Change, error) {
		if err := sec.Changeable(); err != nil {
			return secret.Change{}, err
		}
		return putting(id)(sec)
	}
}

// deliver makes the first copy of a replica.
func deliver(t testing.TB, room *localtest.Room, delivered secret.Secret, ids ...string) secret.Secret {
	t.Helper()
	sec, err := room.Store.Create(t.Context(), carrying(secret.First(delivered, noon), delivered.Revision, ids...))
	if err != nil {
		t.Fatal(err)
	}
	return sec
}

// A process that remembers a secret does not take another copy for it, though that has the
// same ARN and, as revisions of a replica are those of its primary, the same revision.
func TestAnotherCopyIsNotTheSame(t *testing.T) {
	t.Parallel()
	runner := localtest.New(t)
	deliver(t, runner, replica("aaaaaa", 2, 3, secret.Stages{secret.Current: "v1"}), "v1")
	caller := runner.Another(t)
	update(t, caller, promoting)
	if sec := update(t, caller, putting("v2")); sec.Revision != 5 {
		t.Fatalf("revision = %d, want 5", sec.Revision)
	}
	update(t, runner, receiving(replica("aaaaaa", 5, 5, secret.Stages{secret.Current: "w1"}), "w1"))
	_, err := caller.Store.Update(t.Context(), byName, puttingAsCaller("v3"))
	if !errors.Is(err, secret.ErrReplica) {
		t.Errorf("got %v, want %v", err, secret.ErrReplica)
	}
	sec := get(t, runner.Another(t))
	if wantStages(t, sec, "[AWSCURRENT:w1]"); !sec.IsReplica() || sec.Copy != 5 {
		t.Errorf("got %+v, want the copy that was delivered last", sec)
	}
}

// What a process remembers of a copy gives way to the next, though that has a smaller
// revision: its next change takes one call.
func TestAnotherCopyIsRemembered(t *testing.T) {
	t.Parallel()
	runner := localtest.New(t)
	deliver(t, runner, replica("aaaaaa", 2, 3, secret.Stages{secret.Current: "v1"}), "v1")
	caller := runner.Another(t)
	update(t, caller, promoting)
	for _, id := range []string{"v2", "v3", "v4"} {
		update(t, caller, putting(id))
	}
	update(t, runner, receiving(replica("aaaaaa", 5, 5, secret.Stages{secret.Current: "w1"}), "w1"))
	get(t, caller)
	took(caller)
	if sec := update(t, caller, promoting); sec.Revision != 6 || sec.Copy != 5 {
		t.Errorf("got revision %d of copy %d, want 6 of 5", sec.Revision, sec.Copy)
	}
	wantCalls(t, caller, commitCall)
}

const replicaRegion = "eu-west-1"

// replicating decides on a replica in eu-west-1.
func replicating(sec secret.Secret) (secret.Change, error) {
	return sec.Replicate([]secret.Replica{{Region: replicaRegion}}, noon)
}

// noted is what the note of the replica of s-aaaaaa asks for.
func noted(t testing.TB, room *localtest.Room) store.Replication {
	t.Helper()
	r, err := room.Store.Replication(t.Context(), store.Task{ID: secret.ID{Name: "s", Suffix: "aaaaaa"}, Region: replicaRegion})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantStatus(t testing.TB, room *localtest.Room, want store.ReplicaStatus) {
	t.Helper()
	want.Region = replicaRegion
	got, err := room.Store.Replicas(t.Context(), get(t, room))
	if err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// Of two runners that deliver the same, the one that fails does not take back that the other
// has not: what nobody tries again would say so for ever.
func TestLateFailure(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	update(t, room, replicating)
	one, other := noted(t, room), noted(t, room)
	if settled, err := room.Store.Settled(t.Context(), one, 2); err != nil || !settled {
		t.Fatalf("got %t, %v, want it settled", settled, err)
	}
	if settled, err := room.Store.Failed(t.Context(), other, "why", noon, noon.Add(time.Minute)); err != nil || settled {
		t.Errorf("got %t, %v, want another look", settled, err)
	}
	wantStatus(t, room, store.ReplicaStatus{InSync: true})
}

// A change that is being committed is in the way of how an attempt ended: there is more to do.
func TestSettledDuringACommit(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	update(t, room, replicating)
	r := noted(t, room)
	for name, settle := range map[string]func() (bool, error){
		"settled": func() (bool, error) { return room.Store.Settled(t.Context(), r, 2) },
		"failed":  func() (bool, error) { return room.Store.Failed(t.Context(), r, "why", noon, noon) },
	} {
		room.Wire.Break("UpdateItem", localtest.Refuse(400, "TransactionConflictException"))
		if settled, err := settle(); err != nil || settled {
			t.Errorf("%s: got %t, %v, want another look", name, settled, err)
		}
	}
}

// A delivery that takes the place of another secret meets a conflict, and is tried again: the
// secret that has the name until then is the one it was decided on.
func TestReplacementMeetsAConflict(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]localtest.Fault{
		"not made": localtest.Cancel("TransactionConflict"),
		"made": func(call *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
			if answer, err := do(); err != nil || answer.Body.Close() != nil {
				return answer, err
			}
			return localtest.Cancel("TransactionConflict")(call, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			create(t, room, "bbbbbb")
			room.Wire.Break(commitCall, fault)
			sec := update(t, room, receiving(replica("aaaaaa", 2, 3, secret.Stages{secret.Current: "w1"}), "w1"))
			if got := get(t, room.Another(t)); !got.IsReplica() || got.ARN != sec.ARN || got.Revision != 3 {
				t.Errorf("got %+v, want the replica", got)
			}
		})
	}
}

// A version that a process remembers of a copy is not taken for that of another copy, though
// all that tells versions under one ID apart has the same numbers there.
func TestVersionOfAnotherCopy(t *testing.T) {
	t.Parallel()
	runner := localtest.New(t)
	deliver(t, runner, replica("aaaaaa", 2, 3, secret.Stages{secret.Current: "v1"}), "v1")
	caller := runner.Another(t)
	update(t, caller, promoting)
	keyed := update(t, caller, func(sec secret.Secret) (secret.Change, error) {
		sec.KMSKey = "alias/another"
		return secret.Change{Secret: sec}, nil
	})
	version := func() string {
		t.Helper()
		v, found, err := caller.Store.Version(t.Context(), get(t, caller), "v1")
		if err != nil || !found {
			t.Fatal(found, err)
		}
		return string(v.Sealed.Data)
	}
	version()
	update(t, runner, func(sec secret.Secret) (secret.Change, error) {
		change, err := receiving(replica("aaaaaa", keyed.Revision, keyed.Revision, secret.Stages{secret.Current: "v1"}), "v1")(sec)
		change.Effects[0].Version.Sealed.Data = []byte("sealed anew")
		return change, err
	})
	if got := version(); got != "sealed anew" {
		t.Errorf("got %q, want what was sealed anew", got)
	}
}

// A copy that was removed before it came is not made, and not said to be, also when an
// attempt met a conflict first.
func TestRemovedCopyIsNotMade(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]localtest.Fault{
		"at once":          nil,
		"after a conflict": {localtest.Cancel("TransactionConflict")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			if err := room.Store.Fence(t.Context(), secret.ID{Name: "s", Suffix: "aaaaaa"}, 2, noon); err != nil {
				t.Fatal(err)
			}
			room.Wire.Break(commitCall, faults...)
			change := carrying(secret.First(replica("aaaaaa", 2, 3, secret.Stages{secret.Current: "v1"}), noon), 3, "v1")
			if _, err := room.Store.Create(t.Context(), change); !errors.Is(err, store.ErrRemovedCopy) {
				t.Errorf("got %v, want %v", err, store.ErrRemovedCopy)
			}
		})
	}
}

// What keeps a copy out keeps out those before it, which a runner may still be delivering, and
// lets the next one in.
func TestEarlierCopiesAreFencedOff(t *testing.T) {
	t.Parallel()
	id := secret.ID{Name: "s", Suffix: "aaaaaa"}
	copied := func(n int64) secret.Change {
		return carrying(secret.First(replica("aaaaaa", n, 9, secret.Stages{secret.Current: "v1"}), noon), 9, "v1")
	}
	for name, fence := range map[string]func(*testing.T, *localtest.Room){
		"not there": func(t *testing.T, room *localtest.Room) {
			t.Helper()
			for _, n := range []int64{4, 2} { // a runner that is late takes nothing back
				if err := room.Store.Fence(t.Context(), id, n, noon); err != nil {
					t.Fatal(err)
				}
			}
		},
		"removed": func(t *testing.T, room *localtest.Room) {
			t.Helper()
			if _, err := room.Store.Create(t.Context(), copied(4)); err != nil {
				t.Fatal(err)
			}
			update(t, room, removing)
		},
		"beside one that was promoted, and is removed": func(t *testing.T, room *localtest.Room) {
			t.Helper()
			if _, err := room.Store.Create(t.Context(), copied(2)); err != nil {
				t.Fatal(err)
			}
			update(t, room, func(sec secret.Secret) (secret.Change, error) { return sec.Promote(noon) })
			if err := room.Store.Fence(t.Context(), id, 4, noon); err != nil {
				t.Fatal(err)
			}
			update(t, room, removing)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			fence(t, room)
			if _, err := room.Store.Create(t.Context(), copied(3)); !errors.Is(err, store.ErrRemovedCopy) {
				t.Errorf("got %v, want %v", err, store.ErrRemovedCopy)
			}
			if _, err := room.Store.Create(t.Context(), copied(5)); err != nil {
				t.Error(err)
			}
			for n, want := range map[int64]error{4: nil, 5: store.ErrMoved, 6: store.ErrMoved} {
				if err := room.Store.Fence(t.Context(), id, n, noon); !errors.Is(err, want) {
					t.Errorf("fence of copy %d beside copy 5: got %v, want %v", n, err, want)
				}
			}
		})
	}
}

// What is removed though it cannot be read has its replicas removed, too.
func TestRemoveDamagedWithReplicas(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	update(t, room, replicating)
	if settled, err := room.Store.Settled(t.Context(), noted(t, room), 2); err != nil || !settled {
		t.Fatal(settled, err)
	}
	spoil(t, room, "SECRET#s HEAD", "changed", &types.AttributeValueMemberS{Value: "yesterday"})
	if _, err := room.Another(t).Store.RemoveDamaged(t.Context(), byName, noon); err != nil {
		t.Fatal(err)
	}
	if r := noted(t, room); !r.IsDue(noon) || r.Copy() != 2 || r.Secret.ARN != "" {
		t.Errorf("got %+v, want copy 2 of a secret that is gone, due", r)
	}
}

// A fence that was written anew is not removed for the one before.
func TestUnfence(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for copied, at := range []time.Time{noon, noon.Add(5 * time.Minute)} {
		if err := room.Store.Fence(t.Context(), secret.ID{Name: "s", Suffix: "aaaaaa"}, int64(copied+1), at); err != nil {
			t.Fatal(err)
		}
	}
	note := secret.ID{Name: "s", Suffix: "aaaaaa."}
	if !store.IsFence(note) {
		t.Errorf("%v is no fence", note)
	}
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{{12 * time.Minute, true}, {16 * time.Minute, false}} {
		if err := room.Store.Unfence(t.Context(), note, noon.Add(c.after)); err != nil {
			t.Error(err)
		}
		if got := strings.Contains(dump(t, room), "LEFTOVER#aaaaaa."); got != c.want {
			t.Errorf("after %s: the fence is there: %t, want %t", c.after, got, c.want)
		}
	}
}
