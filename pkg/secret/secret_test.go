package secret

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"
)

var (
	born = time.Date(2026, time.March, 1, 9, 30, 0, 0, time.UTC)
	now  = time.Date(2026, time.March, 4, 12, 0, 0, 0, time.UTC)
)

const testARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:db/main-Ab3dE6"

// having is a secret whose labels are on these versions.
func having(stages Stages) Secret {
	s := New("db/main", testARN, "v0", born)
	s.Stages = stages
	s.Versions = len(stages.Versions())
	s.Revision = 7
	return s
}

func deleted(s Secret) Secret {
	s.Deletion = now.AddDate(0, 0, 3)
	return s
}

// full is n labels: AWSCURRENT, AWSPREVIOUS and others on the current version.
func full(n int) Stages {
	stages := Stages{Current: "v1", Previous: "v0"}
	for i := range n - len(stages) {
		stages[fmt.Sprintf("mine%d", i)] = "v1"
	}
	return stages
}

// and is stages with one more label.
func and(stages Stages, label, version string) Stages {
	stages = maps.Clone(stages)
	stages[label] = version
	return stages
}

func without(stages Stages, label string) Stages {
	stages = maps.Clone(stages)
	delete(stages, label)
	return stages
}

func clone(s Secret) Secret {
	s.Stages = maps.Clone(s.Stages)
	s.Tags = slices.Clone(s.Tags)
	return s
}

// wantRefusal says whether a refusal was wanted, and checks that it has these
// very words and comes without a change.
func wantRefusal(t *testing.T, change Change, got, want error) bool {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got error %v, want %v", got, want)
	}
	if want != nil && !reflect.DeepEqual(change, Change{}) {
		t.Errorf("got change %+v beside the refusal, want none", change)
	}
	return want != nil
}

func TestNew(t *testing.T) {
	t.Parallel()
	got := New("db/main", testARN, "v0", born)
	want := Secret{Name: "db/main", ARN: testARN, Token: "v0", Created: born, Changed: born}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestActive(t *testing.T) {
	t.Parallel()
	s := having(Stages{Current: "v1"})
	if err := s.Active(); err != nil {
		t.Errorf("got %v, want no refusal", err)
	}
	want := Error{"InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion."}
	if err := deleted(s).Active(); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}
