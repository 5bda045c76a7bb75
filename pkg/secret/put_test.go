package secret

import (
	"maps"
	"reflect"
	"slices"
	"testing"
)

// v1 is current before; N is the version that is put.
func TestPutMovesLabels(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		before Stages
		labels []string
		want   Stages
	}{
		{"no labels: current moves, previous follows", Stages{Current: "v1"}, nil, Stages{Current: "N", Previous: "v1"}},
		{"no labels: the old previous is deprecated", Stages{Current: "v1", Previous: "v0"}, nil, Stages{Current: "N", Previous: "v1"}},
		{"no labels: the old previous keeps its others", Stages{Current: "v1", Previous: "v0", "mine": "v0"}, nil, Stages{Current: "N", Previous: "v1", "mine": "v0"}},
		{"empty labels are none", Stages{Current: "v1"}, []string{}, Stages{Current: "N", Previous: "v1"}},
		{"current by name", Stages{Current: "v1", Previous: "v0"}, []string{Current}, Stages{Current: "N", Previous: "v1"}},
		{"pending leaves current alone", Stages{Current: "v1", Previous: "v0"}, []string{Pending}, Stages{Current: "v1", Previous: "v0", Pending: "N"}},
		{"pending leaves an older pending", Stages{Current: "v1", Pending: "v2"}, []string{Pending}, Stages{Current: "v1", Pending: "N"}},
		{"custom, on no version", Stages{Current: "v1"}, []string{"mine"}, Stages{Current: "v1", "mine": "N"}},
		{"custom leaves a version that keeps its others", Stages{Current: "v1", "mine": "v1", "yours": "v1"}, []string{"mine"}, Stages{Current: "v1", "mine": "N", "yours": "v1"}},
		{"two custom, from two versions", Stages{Current: "v1", "mine": "v1", "yours": "v0"}, []string{"mine", "yours"}, Stages{Current: "v1", "mine": "N", "yours": "N"}},
		{"custom does not end a rotation", Stages{Current: "v1", Pending: "v2"}, []string{"mine"}, Stages{Current: "v1", Pending: "v2", "mine": "N"}},
		{"custom and current", Stages{Current: "v1", "mine": "v1"}, []string{"mine", Current}, Stages{Current: "N", Previous: "v1", "mine": "N"}},
		{"a user's label may begin with AWS", Stages{Current: "v1"}, []string{"AWSSOMETHING"}, Stages{Current: "v1", "AWSSOMETHING": "N"}},
		{"previous by name", Stages{Current: "v1", Previous: "v0"}, []string{Previous}, Stages{Current: "v1", Previous: "N"}},
		{"no labels: pending comes off the old current", Stages{Current: "v1", Pending: "v1"}, nil, Stages{Current: "N", Previous: "v1"}},
		{"no labels: pending comes off another", Stages{Current: "v1", Pending: "v2"}, nil, Stages{Current: "N", Previous: "v1"}},
		{"no labels: the old current keeps its others", Stages{Current: "v1", "mine": "v1"}, nil, Stages{Current: "N", Previous: "v1", "mine": "v1"}},

		{"current and previous: the name wins", Stages{Current: "v1", Previous: "v0"}, []string{Current, Previous}, Stages{Current: "N", Previous: "N"}},
		{"previous and current: order does not matter", Stages{Current: "v1", Previous: "v0"}, []string{Previous, Current}, Stages{Current: "N", Previous: "N"}},
		{"current and pending: asked for, so it stays", Stages{Current: "v1", Pending: "v2"}, []string{Current, Pending}, Stages{Current: "N", Previous: "v1", Pending: "N"}},
		{"a label twice", Stages{Current: "v1"}, []string{"mine", "mine", Current, Current}, Stages{Current: "N", Previous: "v1", "mine": "N"}},
		{"the placeholder of a rotation gets its value", Stages{Current: "v1", Pending: "N"}, []string{Pending}, Stages{Current: "v1", Pending: "N"}},
		{"the placeholder becomes current", Stages{Current: "v1", Pending: "N"}, nil, Stages{Current: "N", Previous: "v1"}},
		{"a repeat for the current version abandons nothing", Stages{Current: "N", Pending: "v2"}, []string{"mine"}, Stages{Current: "N", Pending: "v2", "mine": "N"}},

		{"first version", nil, nil, Stages{Current: "N"}},
		{"first version, custom", nil, []string{"mine"}, Stages{Current: "N", "mine": "N"}},
		{"first version, pending", nil, []string{Pending}, Stages{Current: "N", Pending: "N"}},
		{"first version, previous", nil, []string{Previous}, Stages{Current: "N", Previous: "N"}},
		{"first version, put by the rotation", Stages{Pending: "N"}, []string{Pending}, Stages{Current: "N", Pending: "N"}},
		{"first version, after a rotation that failed", Stages{Pending: "v0"}, nil, Stages{Current: "N"}},
		{"first version, custom, after a rotation that failed", Stages{Pending: "v0"}, []string{"mine"}, Stages{Current: "N", "mine": "N"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, labels := having(tt.before), slices.Clone(tt.labels)
			before := clone(s)
			change, err := s.Put("N", labels, now)
			if err != nil {
				t.Fatal(err)
			}
			if got := change.Secret.Stages; !maps.Equal(got, tt.want) {
				t.Errorf("got  %v\nwant %v", got, tt.want)
			}
			if !reflect.DeepEqual(s, before) || !slices.Equal(labels, tt.labels) {
				t.Errorf("the inputs were changed: got %+v, %v", s, labels)
			}
		})
	}
}

func TestPut(t *testing.T) {
	t.Parallel()
	s := having(Stages{Current: "v1"})
	s.Versions = 5
	got, err := s.Put("N", nil, now)
	if err != nil {
		t.Fatal(err)
	}
	next := clone(s)
	next.Stages = Stages{Current: "N", Previous: "v1"}
	next.Versions = 6
	next.Changed = now
	want := Change{Secret: next, Version: &Version{ID: "N", Created: now}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestPutLimits(t *testing.T) {
	t.Parallel()
	limit := Error{"LimitExceededException", "The request failed because it would exceed one of the Secrets Manager quotas."}
	marked := Error{"InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion."}
	for _, tt := range []struct {
		name   string
		before Secret
		labels []string
		want   Stages
		err    error
	}{
		{"the 20th label", having(full(19)), []string{"new"}, and(full(19), "new", "N"), nil},
		{"the 21st label", having(full(20)), []string{"new"}, nil, limit},
		{"the 21st beside one that moves", having(full(20)), []string{"mine0", "new"}, nil, limit},
		{"20 for the first version, and AWSCURRENT", having(nil), slices.Collect(maps.Keys(without(full(21), Current))), nil, limit},
		{"one of 20 moves", having(full(20)), []string{"mine0"}, and(full(20), "mine0", "N"), nil},
		{"current and previous move at 20", having(full(20)), nil, and(and(full(20), Current, "N"), Previous, "v1"), nil},
		{"previous would be the 21st", having(and(without(full(20), Previous), "new", "v0")), nil, nil, limit},
		{"previous takes the room of pending", having(and(without(full(20), Previous), Pending, "v2")), nil, and(and(without(full(20), Previous), Current, "N"), Previous, "v1"), nil},
		{"more than 20 already, none added", having(full(22)), []string{"mine0"}, and(full(22), "mine0", "N"), nil},
		{"more than 20 already, one added", having(full(22)), []string{"new"}, nil, limit},
		{"deleted", deleted(having(full(3))), nil, nil, marked},
		{"deleted, before the limit", deleted(having(full(20))), []string{"new"}, nil, marked},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := clone(tt.before)
			change, err := tt.before.Put("N", tt.labels, now)
			if !reflect.DeepEqual(tt.before, before) {
				t.Errorf("the secret was changed: got %+v, want %+v", tt.before, before)
			}
			if wantRefusal(t, change, err, tt.err) {
				return
			}
			if got := change.Secret.Stages; !maps.Equal(got, tt.want) {
				t.Errorf("got  %v\nwant %v", got, tt.want)
			}
		})
	}
}
