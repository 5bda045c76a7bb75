package secret

import (
	"reflect"
	"testing"
)

func TestUpdate(t *testing.T) {
	t.Parallel()
	marked := Error{"InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion."}
	limit := Error{"LimitExceededException", "The request failed because it would exceed one of the Secrets Manager quotas."}
	s := having(Stages{Current: "v1", Previous: "v0", Pending: "v1"})
	s.Description, s.Type, s.KMSKey = "old", "Old", "alias/old"
	// to is what becomes of s, changed now.
	to := func(change func(*Secret)) Secret {
		next := clone(s)
		next.Changed = now
		change(&next)
		return next
	}
	withN := func(next *Secret) {
		next.Stages = Stages{Current: "N", Previous: "v1"}
		next.Versions++
	}
	made := &Version{ID: "N", Created: now}
	for _, tt := range []struct {
		name    string
		before  Secret
		update  Update
		version string
		want    Change
		err     error
	}{
		{"nothing", s, Update{}, "", Change{Secret: s, Outcome: Unchanged}, nil},
		{"description", s, Update{Description: new("new")}, "", Change{Secret: to(func(n *Secret) { n.Description = "new" })}, nil},
		{"description cleared", s, Update{Description: new("")}, "", Change{Secret: to(func(n *Secret) { n.Description = "" })}, nil},
		{"description as it is", s, Update{Description: new("old")}, "", Change{Secret: to(func(*Secret) {})}, nil},
		{"type", s, Update{Type: new("New")}, "", Change{Secret: to(func(n *Secret) { n.Type = "New" })}, nil},
		{"key", s, Update{KMSKey: new("alias/new")}, "", Change{Secret: to(func(n *Secret) { n.KMSKey = "alias/new" })}, nil},
		{"default key", s, Update{KMSKey: new("")}, "", Change{Secret: to(func(n *Secret) { n.KMSKey = "" })}, nil},
		{"version", s, Update{}, "N", Change{Secret: to(withN), Version: made}, nil},
		{"version and all", s, Update{new("new"), new("New"), new("alias/new")}, "N", Change{Secret: to(func(n *Secret) {
			withN(n)
			n.Description, n.Type, n.KMSKey = "new", "New", "alias/new"
		}), Version: made}, nil},
		{"21 labels", having(without(full(21), Previous)), Update{Description: new("new")}, "N", Change{}, limit},
		{"deleted", deleted(s), Update{Description: new("new")}, "", Change{}, marked},
		{"deleted, nothing", deleted(s), Update{}, "", Change{}, marked},
		{"deleted, version", deleted(s), Update{}, "N", Change{}, marked},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := clone(tt.before)
			got, err := tt.before.Update(tt.update, tt.version, now)
			if !reflect.DeepEqual(tt.before, before) {
				t.Errorf("the secret was changed: got %+v, want %+v", tt.before, before)
			}
			if !wantRefusal(t, got, err, tt.err) && !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}
