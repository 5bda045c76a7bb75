package store_test

import (
	"errors"
	"testing"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
)

const primaryRegion = "eu-west-1"

// replica is secret s as a primary of eu-west-1 delivers it to the Region of the tests.
func replica(suffix string, copied, revision int64, stages secret.Stages) secret.Secret {
	sec := fresh("s", suffix)
	sec.Token, sec.Primary, sec.Copy, sec.Revision, sec.Stages = "", primaryRegion, copied, revision, stages
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
