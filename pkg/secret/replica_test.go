package secret

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

const (
	west  = "eu-west-1"
	north = "eu-north-1"
)

// primary is a secret of eu-central-1 at revision 7 that is replicated to eu-west-1.
func primary() Secret {
	s := New("s", testARNs.Of("s", "a1b2c3"), "", now)
	s.Stages, s.Revision, s.Versions = Stages{Current: "v2", Previous: "v1"}, 7, 2
	s.Replicas = []Replica{{Region: west, Copy: 3}}
	return s
}

func arnIn(region, suffix string) string {
	arns := testARNs
	arns.Region = region
	return arns.Of("s", suffix)
}

func copyOf(s Secret) Secret { return s.As(s.Replicas[0], arnIn(west, "a1b2c3")) }

func TestReplicate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		add  []Replica
		want []Replica
		err  error
	}{
		{"another", []Replica{{Region: north, KMSKey: "k"}}, []Replica{{Region: north, KMSKey: "k", Copy: 8}, {Region: west, Copy: 3}}, nil},
		{"again, as another copy", []Replica{{Region: west, Overwrite: true}}, []Replica{{Region: west, Copy: 8, Overwrite: true}}, nil},
		{"own Region", []Replica{{Region: "eu-central-1"}}, nil, ErrReplicaRegion},
		{"twice", []Replica{{Region: north}, {Region: north}}, nil, Errorf(InvalidParameter, "Replica regions must be unique: eu-north-1 is given more than once.")},
		{"too many", manyReplicas(MaxReplicas), nil, errManyReplicas},
	} {
		before := primary()
		change, err := before.Replicate(test.add, now)
		if !errors.Is(err, test.err) || err == nil && !reflect.DeepEqual(change.Secret.Replicas, test.want) {
			t.Errorf("%s: got %v, %v, want %v, %v", test.name, change.Secret.Replicas, err, test.want, test.err)
		}
		if !reflect.DeepEqual(before, primary()) {
			t.Errorf("%s: what was given is changed", test.name)
		}
	}
	deleted := primary()
	deleted.Deletion = now
	if _, err := deleted.Replicate([]Replica{{Region: north}}, now); !errors.Is(err, MarkedForDeletion) {
		t.Errorf("got %v, want that it is deleted", err)
	}
}

func manyReplicas(n int) []Replica {
	all := make([]Replica, n)
	for i := range all {
		all[i].Region = "r" + string(rune('a'+i/26)) + string(rune('a'+i%26)) + "-1"
	}
	return all
}

func TestRemoveReplicas(t *testing.T) {
	t.Parallel()
	before := primary()
	change, err := before.RemoveReplicas([]string{west, north}, now)
	if err != nil || len(change.Secret.Replicas) != 0 || change.Secret.PrimaryRegion() != "" {
		t.Errorf("got %v, %v, want none", change.Secret.Replicas, err)
	}
	if change, err := before.RemoveReplicas([]string{north}, now); err != nil || !change.IsUnchanged() {
		t.Errorf("of a Region that is not listed: got %v, %v, want no change", change, err)
	}
	if !reflect.DeepEqual(before, primary()) {
		t.Error("what was given is changed")
	}
}

func TestPromote(t *testing.T) {
	t.Parallel()
	s := primary()
	s.Rotation = Rotation{Enabled: true, Lambda: "f", Next: Window{now, now.Add(time.Hour)}, State: Waiting{Due: now}}
	replica := copyOf(s)
	if !replica.RotationDue().IsZero() {
		t.Error("a rotation of a replica is due")
	}
	change, err := replica.Promote(now)
	got := change.Secret
	if err != nil || got.IsReplica() || got.Changeable() != nil || got.Family() != "a1b2c3.3" || got.Rotation.Enabled || got.Rotation.Lambda != "f" || !got.RotationDue().IsZero() {
		t.Errorf("got %+v, %v, want a secret of its own that is not rotated", got, err)
	}
	if _, err := got.Promote(now); !errors.Is(err, errNotReplica) {
		t.Errorf("again: got %v, want %v", err, errNotReplica)
	}
}

// A replica takes a state as a whole, and none that is not newer than its own. It takes
// the place of nothing that is not a copy of its primary, unless it may.
func TestReceive(t *testing.T) {
	t.Parallel()
	other := New("s", arnIn(west, "zzzzzz"), "", now)
	other.Revision, other.Versions = 90, 1
	with := func(s Secret, change func(*Secret)) Secret {
		change(&s)
		return s
	}
	delivered := copyOf(primary())
	for _, test := range []struct {
		name      string
		there     Secret
		overwrite bool
		want      Outcome
		err       error
	}{
		{"older", with(delivered, func(s *Secret) { s.Revision = 6 }), false, Written, nil},
		{"the same", delivered, false, Unchanged, nil},
		{"newer", with(delivered, func(s *Secret) { s.Revision = 8 }), true, Written, ErrAhead},
		{"another of the same revision", with(delivered, func(s *Secret) { s.Description = "d" }), true, Written, ErrAhead},
		{"an earlier copy", with(delivered, func(s *Secret) { s.Copy = 2 }), false, Replaced, nil},
		{"a later copy", with(delivered, func(s *Secret) { s.Copy, s.Revision = 4, 4 }), true, Written, ErrAhead},
		{"promoted", with(delivered, func(s *Secret) { s.Primary, s.Revision = "", 6 }), false, Written, ErrPromoted},
		{"promoted, and may be overwritten", with(delivered, func(s *Secret) { s.Primary = "" }), true, Written, ErrPromoted},
		{"promoted after a later copy, which a restored primary does not know", with(delivered, func(s *Secret) { s.Primary, s.Copy = "", 4 }), true, Replaced, nil},
		{"promoted before, to be overwritten", with(delivered, func(s *Secret) { s.Primary, s.Copy = "", 2 }), true, Replaced, nil},
		{"another", other, false, Written, ErrNameTaken},
		{"another, to be overwritten", other, true, Replaced, nil},
		{"the primary's former primary", with(delivered, func(s *Secret) { s.Primary, s.Copy = "", 0 }), false, Written, ErrNameTaken},
		{"a replica of another Region's", with(delivered, func(s *Secret) { s.Primary = north }), true, Written, ErrForeign},
		{"a replica of another secret", with(other, func(s *Secret) { s.Primary = "eu-central-1" }), true, Written, ErrForeign},
		{"a primary", with(other, func(s *Secret) { s.Replicas = []Replica{{Region: north}} }), true, Written, ErrPrimary},
	} {
		change, err := test.there.Receive(delivered, test.overwrite, now)
		if !errors.Is(err, test.err) || change.Outcome != test.want {
			t.Errorf("%s: got %v, %v, want %v, %v", test.name, change.Outcome, err, test.want, test.err)
		}
		if err == nil && change.Outcome != Unchanged && (change.Revision != 7 || change.Secret.Family() != "a1b2c3.3") {
			t.Errorf("%s: got revision %d of %s, want 7 of a1b2c3.3", test.name, change.Revision, change.Secret.Family())
		}
	}
}

// What the Region of a replica counts and notes itself is not the primary's.
func TestReceiveKeeps(t *testing.T) {
	t.Parallel()
	delivered := copyOf(primary())
	there := delivered
	there.Revision, there.Versions, there.Prunings, there.Keyed, there.Accessed, there.AccessedVersion = 5, 40, 3, 5, now, "v1"
	change, err := there.Receive(delivered, false, now)
	got := change.Secret
	if err != nil || got.Versions != 40 || got.Prunings != 3 || got.Keyed != 5 || !got.Accessed.Equal(now) || got.AccessedVersion != "v1" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestLacks(t *testing.T) {
	t.Parallel()
	delivered := copyOf(primary())
	delivered.Stages = Stages{Current: "v3", Previous: "v2", Pending: "v4", "mine": "v1"}
	there := copyOf(primary())
	there.Stages = Stages{Current: "v2", Previous: "v1", Pending: "v4"}
	if got, want := there.Lacks(delivered, false), []string{"v3", "v4"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	there.Stages["mine"] = "v4"
	if got, want := there.Lacks(delivered, false), []string{"v3"}; !reflect.DeepEqual(got, want) {
		t.Errorf("with AWSPENDING beside another label: got %v, want %v", got, want)
	}
	delete(there.Stages, "mine")
	if got, want := there.Lacks(delivered, true), []string{"v1", "v2", "v3", "v4"}; !reflect.DeepEqual(got, want) {
		t.Errorf("with IDs that may be used again: got %v, want %v", got, want)
	}
	there.Copy = 1
	if got, want := there.Lacks(delivered, false), []string{"v1", "v2", "v3", "v4"}; !reflect.DeepEqual(got, want) {
		t.Errorf("of another copy: got %v, want %v", got, want)
	}
}

func TestDisown(t *testing.T) {
	t.Parallel()
	replica := copyOf(primary())
	if got := replica.Disown("eu-central-1", "a1b2c3", 3, now); got.Outcome != Removed {
		t.Errorf("got %v of the replica, want that it is removed", got.Outcome)
	}
	promoted := replica
	promoted.Primary = ""
	for name, change := range map[string]Change{
		"another suffix":    replica.Disown("eu-central-1", "zzzzzz", 3, now),
		"another primary":   replica.Disown(north, "a1b2c3", 3, now),
		"a later copy":      replica.Disown("eu-central-1", "a1b2c3", 2, now),
		"promoted":          promoted.Disown("eu-central-1", "a1b2c3", 3, now),
		"a later one there": primary().Disown(west, "a1b2c3", 2, now),
		"not listed":        primary().Disown(north, "a1b2c3", 3, now),
	} {
		if !change.IsUnchanged() {
			t.Errorf("%s: got %v, want no change", name, change.Outcome)
		}
	}
	if got := primary().Disown(west, "a1b2c3", 3, now); got.Outcome != Written || len(got.Secret.Replicas) != 0 {
		t.Errorf("got %v of the primary, want that it forgets the replica", got)
	}
}

// A change of what a replica does not show is none to it.
func TestShowsAs(t *testing.T) {
	t.Parallel()
	s := primary()
	for name, change := range map[string]func(*Secret){
		"stages":      func(s *Secret) { s.Stages = Stages{Current: "v3"} },
		"description": func(s *Secret) { s.Description = "d" },
		"type":        func(s *Secret) { s.Type = "t" },
		"tags":        func(s *Secret) { s.Tags = []Tag{{"k", "v"}} },
		"policy":      func(s *Secret) { s.PolicyHash = "h" },
		"rotation":    func(s *Secret) { s.Rotation.Last = now },
		"changed":     func(s *Secret) { s.Changed = now.Add(1) },
	} {
		other := s
		if change(&other); s.ShowsAs(other) {
			t.Errorf("%s: got that replicas show the same, want another", name)
		}
	}
	same := s
	same.Revision, same.Versions, same.KMSKey, same.Keyed, same.Accessed, same.Replicas = 9, 9, "k", 9, now, nil
	same.Rotation.State = Waiting{Due: now}
	if !s.ShowsAs(same) {
		t.Error("got that replicas show another, want the same")
	}
}

func TestUnreplicated(t *testing.T) {
	t.Parallel()
	change, _ := primary().Replicate([]Replica{{Region: north}}, now)
	want := Error{InvalidParameter, "You can't delete secret as-asked that still has replica regions [eu-north-1, eu-west-1]."}
	if err := change.Secret.Unreplicated("as-asked"); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	if err := copyOf(primary()).Unreplicated("s"); err != nil {
		t.Errorf("got %v of a secret without replicas, want none", err)
	}
}

// The filter finds a primary and its replica by the beginning of the primary's Region, and
// no secret without replication.
func TestPrimaryRegionFilter(t *testing.T) {
	t.Parallel()
	alone := primary()
	alone.Replicas = nil
	for value, want := range map[string][3]bool{
		"eu-central-1":  {true, true, false},
		"eu-":           {true, true, false},
		"EU-":           {false, false, false},
		"eu-west-1":     {false, false, false},
		"!eu-central-1": {false, false, true},
	} {
		m := NewMatcher([]Filter{{ByPrimaryRegion, []string{value}}})
		if got := [3]bool{m.Takes(primary()), m.Takes(copyOf(primary())), m.Takes(alone)}; got != want {
			t.Errorf("%s takes the primary, the replica and another: got %v, want %v", value, got, want)
		}
	}
}
