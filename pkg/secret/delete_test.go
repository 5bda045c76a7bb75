package secret

import (
	"reflect"
	"testing"
	"time"
	_ "time/tzdata" // a zone with summer time, wherever the test runs
)

func TestDelete(t *testing.T) {
	t.Parallel()
	window := Error{"InvalidParameterException", "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive)."}
	already := Error{"InvalidRequestException", "You can't perform this operation on the secret because it was already scheduled for deletion."}
	s := having(Stages{Current: "v1"})
	for _, tt := range []struct {
		name   string
		before Secret
		days   int
		err    error
	}{
		{"a day too few", s, 6, window},
		{"shortest", s, 7, nil},
		{"default", s, DefaultRecoveryDays, nil},
		{"longest", s, 30, nil},
		{"a day too many", s, 31, window},
		{"none", s, 0, window},
		{"negative", s, -7, window},
		{"already scheduled", deleted(s), 7, already},
		{"already scheduled, and a bad window", deleted(s), 6, window},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := clone(tt.before)
			got, err := tt.before.Delete(tt.days, now)
			if !reflect.DeepEqual(tt.before, before) {
				t.Errorf("the secret was changed: got %+v, want %+v", tt.before, before)
			}
			if wantRefusal(t, got, err, tt.err) {
				return
			}
			next := clone(tt.before)
			next.Changed = now
			next.Deleted = now
			next.Deletion = now.Add(time.Duration(tt.days) * 24 * time.Hour)
			if want := (Change{Secret: next}); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// A secret that an earlier build scheduled for deletion has no time of the call.
func TestDeletedAt(t *testing.T) {
	t.Parallel()
	change, err := having(nil).Delete(7, now)
	if err != nil {
		t.Fatal(err)
	}
	scheduled := change.Secret
	older := clone(scheduled)
	older.Deleted = time.Time{}
	// An earlier build takes the deletion back and leaves the time.
	restored := clone(scheduled)
	restored.Deletion = time.Time{}
	for name, tt := range map[string]struct {
		s    Secret
		want time.Time
	}{
		"not scheduled":                  {having(nil), time.Time{}},
		"scheduled":                      {scheduled, now},
		"scheduled by an earlier build":  {older, now},
		"taken back":                     {scheduled.Restore(now).Secret, time.Time{}},
		"taken back by an earlier build": {restored, time.Time{}},
	} {
		if got := tt.s.DeletedAt(); !got.Equal(tt.want) {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}

func TestRecoveryWindowIsTheSameInEveryZone(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin") // where March has an hour less
	if err != nil {
		t.Fatal(err)
	}
	change, err := having(nil).Delete(30, now.In(berlin))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := change.Secret.Deletion, now.Add(30*24*time.Hour); !got.Equal(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]Secret{
		"active":            having(Stages{Current: "v1"}),
		"already scheduled": deleted(having(Stages{Current: "v1"})),
	} {
		next := clone(s)
		next.Changed = now
		if got, want := s.Remove(now), (Change{Secret: next, Outcome: Removed}); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	s := having(Stages{Current: "v1", "mine": "v0"})
	s.Tags = []Tag{{"team", "db"}}
	back := clone(s)
	back.Changed = now
	for _, tt := range []struct {
		name   string
		before Secret
		want   Change
	}{
		{"scheduled: all is back", deleted(s), Change{Secret: back}},
		{"not scheduled: stays as it is", s, Change{Secret: s, Outcome: Unchanged}},
	} {
		if got := tt.before.Restore(now); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
	}
}
