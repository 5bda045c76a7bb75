package secret

import (
	"errors"
	"reflect"
	"testing"
)

func TestPutPolicy(t *testing.T) {
	t.Parallel()
	marked := Error{"InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion."}
	// SHA-256 of "abc" and of "abc\n", as FIPS 180-4 and sha256sum have them.
	const hash, other = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "edeaaff3f1774ad2888673770c6d64097e391bc362d7d6fb34982ddf0efd18cb"
	for _, tt := range []struct{ name, before, text, want string }{
		{"the first", "", "abc", hash},
		{"another", other, "abc", hash},
		{"the same again", hash, "abc", hash},
		{"white space counts", hash, "abc\n", other},
	} {
		s := having(Stages{Current: "v1"})
		s.PolicyHash = tt.before
		before, next := clone(s), clone(s)
		next.PolicyHash, next.Changed = tt.want, now
		if got, err := s.PutPolicy(tt.text, now); err != nil || !reflect.DeepEqual(got, Change{Secret: next, Policy: tt.text}) {
			t.Errorf("%s: got %+v, %v, want %+v", tt.name, got, err, next)
		}
		if !reflect.DeepEqual(s, before) {
			t.Errorf("%s: the secret was changed: got %+v, want %+v", tt.name, s, before)
		}
		if got, err := deleted(s).PutPolicy(tt.text, now); !errors.Is(err, marked) || !reflect.DeepEqual(got, Change{}) {
			t.Errorf("%s, deleted: got %+v, %v, want %v", tt.name, got, err, marked)
		}
	}
}

func TestDeletePolicy(t *testing.T) {
	t.Parallel()
	marked := Error{"InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion."}
	s := having(Stages{Current: "v1"})
	if got, err := s.DeletePolicy(now); err != nil || !reflect.DeepEqual(got, Change{Secret: s, Outcome: Unchanged}) {
		t.Errorf("without one: got %+v, %v, want nothing to do", got, err)
	}
	s.PolicyHash = "hash"
	next := clone(s)
	next.PolicyHash, next.Changed = "", now
	if got, err := s.DeletePolicy(now); err != nil || !reflect.DeepEqual(got, Change{Secret: next}) {
		t.Errorf("got %+v, %v, want %+v", got, err, next)
	}
	if s.PolicyHash != "hash" {
		t.Errorf("the secret was changed: got policy hash %q, want hash", s.PolicyHash)
	}
	for _, hash := range []string{"", "hash"} {
		s.PolicyHash = hash
		if got, err := deleted(s).DeletePolicy(now); !errors.Is(err, marked) || !reflect.DeepEqual(got, Change{}) {
			t.Errorf("deleted, policy hash %q: got %+v, %v, want %v", hash, got, err, marked)
		}
	}
}
