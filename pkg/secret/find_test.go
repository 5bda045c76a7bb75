package secret

import (
	"errors"
	"testing"
)

func TestVersion(t *testing.T) {
	t.Parallel()
	noLabel := func(label string) error {
		return Error{"ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: " + label}
	}
	noID := func(id string) error {
		return Error{"ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: " + id}
	}
	other := Error{"InvalidRequestException", "You provided a VersionStage that is not associated to the provided VersionId."}
	marked := Error{"InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion."}

	s := having(Stages{Current: "v1", Previous: "v0", Pending: "N"})
	empty := having(nil)
	for _, tt := range []struct {
		name      string
		s         Secret
		id, stage string
		want      Wanted
		err       error
	}{
		{"nothing asked", s, "", "", Wanted{ID: "v1", Missing: noLabel("AWSCURRENT")}, nil},
		{"nothing asked, no current", empty, "", "", Wanted{}, noLabel("AWSCURRENT")},
		{"a label", s, "", Previous, Wanted{ID: "v0", Missing: noLabel("AWSPREVIOUS")}, nil},
		{"a label on no version", s, "", "mine", Wanted{}, noLabel("mine")},
		{"the label of a rotation without a value", s, "", Pending, Wanted{ID: "N", Missing: noLabel("AWSPENDING")}, nil},
		{"an ID", s, "v0", "", Wanted{ID: "v0", Missing: noID("v0")}, nil},
		{"an ID without labels", s, "old", "", Wanted{ID: "old", Missing: noID("old")}, nil},
		{"an ID where there is no version", empty, "old", "", Wanted{ID: "old", Missing: noID("old")}, nil},
		{"an ID and its label", s, "v1", Current, Wanted{ID: "v1", Missing: noID("v1")}, nil},
		{"an ID and another's label", s, "v1", Previous, Wanted{"v1", noID("v1"), other}, nil},
		{"an ID and a label on no version", s, "v1", "mine", Wanted{"v1", noID("v1"), other}, nil},
		{"an ID without labels, and a label", s, "old", Current, Wanted{"old", noID("old"), other}, nil},
		{"an ID and a label where there is no version", empty, "v1", Current, Wanted{"v1", noID("v1"), other}, nil},
		{"a rotation without a value, by both", s, "N", Pending, Wanted{ID: "N", Missing: noID("N")}, nil},
		{"deleted", deleted(s), "", "", Wanted{}, marked},
		{"deleted, by ID", deleted(s), "v1", "", Wanted{}, marked},
		{"deleted, before a wrong label", deleted(s), "v1", Previous, Wanted{}, marked},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := tt.s.Version(tt.id, tt.stage)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got  %+v, %v\nwant %+v, %v", got, err, tt.want, tt.err)
			}
		})
	}
}
