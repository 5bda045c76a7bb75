package secret

import (
	"fmt"
	"testing"
)

func TestPast(t *testing.T) {
	t.Parallel()
	var s Secret
	for i := range 100 {
		s.Commit = fmt.Sprint("commit ", i)
		before := s.Past
		s.Past = s.Past.And(s.Commit)
		if len(before) > 0 && &before[0] == &s.Past[0] {
			t.Fatal("the past of an earlier state was changed in place")
		}
		for j := range 100 {
			if got, want := s.Committed(fmt.Sprint("commit ", j)), j <= i && j > i-16; got != want {
				t.Fatalf("after commit %d: commit %d is known %t, want %t", i, j, got, want)
			}
		}
	}
	if len(s.Past) != 128 {
		t.Errorf("got %d bytes, want 128", len(s.Past))
	}
	if s.Committed("") || (Secret{}).Committed("") {
		t.Error("a commit without a name is known")
	}
	if !(Secret{Commit: "of an earlier format"}).Committed("of an earlier format") {
		t.Error("the last commit is not known without a past")
	}
}
