package secret

import (
	"maps"
	"reflect"
	"slices"
	"testing"
)

func TestAttach(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		before    Stages
		label, to string
		want      Stages
	}{
		{"current moves, previous follows", Stages{Current: "v1"}, Current, "v2", Stages{Current: "v2", Previous: "v1"}},
		{"current to where it is", Stages{Current: "v1", Previous: "v0"}, Current, "v1", Stages{Current: "v1", Previous: "v0"}},
		{"current for the first time", nil, Current, "v1", Stages{Current: "v1"}},
		{"current back: they swap", Stages{Current: "v2", Previous: "v1"}, Current, "v1", Stages{Current: "v1", Previous: "v2"}},
		{"another moves alone", Stages{Current: "v1", "mine": "v1"}, "mine", "v2", Stages{Current: "v1", "mine": "v2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := maps.Clone(tt.before)
			if got := tt.before.Attach(tt.label, tt.to); !maps.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if !maps.Equal(tt.before, before) {
				t.Errorf("the input was changed: got %v, want %v", tt.before, before)
			}
		})
	}
}

func TestDetach(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		before Stages
		label  string
		want   Stages
	}{
		{"one of two", Stages{Current: "v1", "mine": "v0"}, "mine", Stages{Current: "v1"}},
		{"one that is not there", Stages{Current: "v1"}, "mine", Stages{Current: "v1"}},
		{"from none", nil, "mine", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := maps.Clone(tt.before)
			if got := tt.before.Detach(tt.label); !maps.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if !maps.Equal(tt.before, before) {
				t.Errorf("the input was changed: got %v, want %v", tt.before, before)
			}
		})
	}
}

func TestStagesAsSets(t *testing.T) {
	t.Parallel()
	s := Stages{"b": "v2", Current: "v2", "a": "v2", Previous: "v1"}
	for _, tt := range []struct {
		name      string
		got, want []string
	}{
		{"labels of a version, sorted", s.Of("v2"), []string{Current, "a", "b"}},
		{"labels of one with a single label", s.Of("v1"), []string{Previous}},
		{"labels of a deprecated version", s.Of("v0"), nil},
		{"versions, each once, sorted", s.Versions(), []string{"v1", "v2"}},
		{"versions of none", Stages(nil).Versions(), nil},
	} {
		if !slices.Equal(tt.got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

func TestMoveStage(t *testing.T) {
	t.Parallel()
	unnamed := func(label, holder string) error {
		return Error{"InvalidParameterException", "The parameter RemoveFromVersionId can't be empty. Staging label " + label + " is currently attached to version " + holder + ", so you must explicitly reference that version in RemoveFromVersionId."}
	}
	elsewhere := func(label string) error {
		return Error{"InvalidParameterException", "When you move staging label " + label + ", if you specify RemoveFromVersionId, it must be set to the version that currently has the staging label " + label + "."}
	}
	var (
		removed = Error{"InvalidParameterException", "You can only move staging label AWSCURRENT to a different secret version. It can\u2019t be completely removed."}
		neither = Error{"InvalidParameterException", "You must specify either RemoveFromVersionId or MoveToVersionId."}
		limit   = Error{"LimitExceededException", "The request failed because it would exceed one of the Secrets Manager quotas."}
		marked  = Error{"InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion."}
	)
	s := having(Stages{Current: "v1", Previous: "v0", Pending: "N", "mine": "v0"})
	for _, tt := range []struct {
		name            string
		before          Secret
		label, from, to string
		want            Stages
		err             error
	}{
		{"current moves, previous follows, pending stays", s, Current, "v1", "N", Stages{Current: "N", Previous: "v1", Pending: "N", "mine": "v0"}, nil},
		{"current for the first time leaves no previous", having(Stages{Pending: "N"}), Current, "", "N", Stages{Current: "N", Pending: "N"}, nil},
		{"current leaves its version's other labels", having(Stages{Current: "v1", "mine": "v1"}), Current, "v1", "N", Stages{Current: "N", Previous: "v1", "mine": "v1"}, nil},
		{"back to previous: they swap", s, Current, "v1", "v0", Stages{Current: "v0", Previous: "v1", Pending: "N", "mine": "v0"}, nil},
		{"current without from", s, Current, "", "N", nil, unnamed("AWSCURRENT", "v1")},
		{"current from another", s, Current, "v0", "N", nil, elsewhere("AWSCURRENT")},
		{"current from another to where it is", s, Current, "v0", "v1", nil, elsewhere("AWSCURRENT")},
		{"current removed", s, Current, "v1", "", nil, removed},
		{"current removed from another", s, Current, "v0", "", nil, elsewhere("AWSCURRENT")},
		{"current removed where it is not", having(nil), Current, "v1", "", nil, elsewhere("AWSCURRENT")},

		{"custom, on no version", s, "new", "", "v1", Stages{Current: "v1", Previous: "v0", Pending: "N", "mine": "v0", "new": "v1"}, nil},
		{"custom, on no version, with from", s, "new", "v0", "v1", nil, elsewhere("new")},
		{"custom, without from", s, "mine", "", "v1", nil, unnamed("mine", "v0")},
		{"custom, from another", s, "mine", "v1", "N", nil, elsewhere("mine")},
		{"custom, moved", s, "mine", "v0", "v1", Stages{Current: "v1", Previous: "v0", Pending: "N", "mine": "v1"}, nil},
		{"custom, taken off", s, "mine", "v0", "", Stages{Current: "v1", Previous: "v0", Pending: "N"}, nil},
		{"custom, taken off another", s, "mine", "v1", "", nil, elsewhere("mine")},
		{"custom, taken off where it is not", s, "new", "v1", "", nil, elsewhere("new")},
		{"pending, taken off", s, Pending, "N", "", Stages{Current: "v1", Previous: "v0", "mine": "v0"}, nil},
		{"previous, moved by name", s, Previous, "v0", "N", Stages{Current: "v1", Previous: "N", Pending: "N", "mine": "v0"}, nil},
		{"previous, taken off", s, Previous, "v0", "", Stages{Current: "v1", Pending: "N", "mine": "v0"}, nil},

		{"neither from nor to", s, "mine", "", "", nil, neither},
		{"neither from nor to, current", s, Current, "", "", nil, neither},

		{"the 20th label", having(full(19)), "new", "", "v0", and(full(19), "new", "v0"), nil},
		{"the 21st label", having(full(20)), "new", "", "v0", nil, limit},
		{"one of 20 moves", having(full(20)), "mine0", "v1", "v0", and(full(20), "mine0", "v0"), nil},
		{"one of 20 goes", having(full(20)), "mine0", "v1", "", without(full(20), "mine0"), nil},
		{"current and previous move at 20", having(full(20)), Current, "v1", "v2", and(and(full(20), Current, "v2"), Previous, "v1"), nil},
		{"previous would be the 21st", having(and(without(full(20), Previous), "new", "v0")), Current, "v1", "v2", nil, limit},
		{"more than 20 already, one goes", having(full(22)), "mine0", "v1", "", without(full(22), "mine0"), nil},

		{"deleted", deleted(s), Current, "v1", "N", nil, marked},
		{"deleted, before all else", deleted(s), Current, "", "", nil, marked},
		{"deleted, already as asked", deleted(s), Current, "v1", "v1", nil, marked},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := clone(tt.before)
			got, err := tt.before.MoveStage(tt.label, tt.from, tt.to, now)
			if !reflect.DeepEqual(tt.before, before) {
				t.Errorf("the secret was changed: got %+v, want %+v", tt.before, before)
			}
			if wantRefusal(t, got, err, tt.err) {
				return
			}
			next := clone(tt.before)
			next.Stages, next.Changed = tt.want, now
			want := Change{Secret: next}
			if tt.to != "" {
				want = want.With(Require, tt.to)
				want.Secret.Moves++
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestMoveStageToWhereItIs(t *testing.T) {
	t.Parallel()
	s := having(Stages{Current: "v1", "mine": "v0"})
	for _, tt := range []struct{ name, label, from, to string }{
		{"current", Current, "", "v1"},
		{"current, with from", Current, "v1", "v1"},
		{"custom", "mine", "", "v0"},
		{"custom, with from", "mine", "v0", "v0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := s.MoveStage(tt.label, tt.from, tt.to, now)
			if err != nil {
				t.Fatal(err)
			}
			if want := (Change{Secret: s, Outcome: Unchanged}); !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}
