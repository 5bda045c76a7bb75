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
		name         string
		s            Secret
		id, stage    string
		want         string
		missing, err error
	}{
		{"nothing asked", s, "", "", "v1", noLabel("AWSCURRENT"), nil},
		{"nothing asked, no current", empty, "", "", "", nil, noLabel("AWSCURRENT")},
		{"a label", s, "", Previous, "v0", noLabel("AWSPREVIOUS"), nil},
		{"a label on no version", s, "", "mine", "", nil, noLabel("mine")},
		{"the label of a rotation without a value", s, "", Pending, "N", noLabel("AWSPENDING"), nil},
		{"an ID", s, "v0", "", "v0", noID("v0"), nil},
		{"an ID without labels", s, "old", "", "old", noID("old"), nil},
		{"an ID where there is no version", empty, "old", "", "old", noID("old"), nil},
		{"an ID and its label", s, "v1", Current, "v1", noID("v1"), nil},
		{"an ID and another's label", s, "v1", Previous, "", nil, other},
		{"an ID and a label on no version", s, "v1", "mine", "", nil, other},
		{"an ID and a label where there is no version", empty, "v1", Current, "", nil, other},
		{"a rotation without a value, by both", s, "N", Pending, "N", noID("N"), nil},
		{"deleted", deleted(s), "", "", "", nil, marked},
		{"deleted, by ID", deleted(s), "v1", "", "", nil, marked},
		{"deleted, before a wrong label", deleted(s), "v1", Previous, "", nil, marked},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, missing, err := tt.s.Version(tt.id, tt.stage)
			if got != tt.want || !errors.Is(missing, tt.missing) || !errors.Is(err, tt.err) {
				t.Errorf("got  %q, %v, %v\nwant %q, %v, %v", got, missing, err, tt.want, tt.missing, tt.err)
			}
		})
	}
}
