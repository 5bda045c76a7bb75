package secret

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
)

func tags(n int) []Tag {
	var out []Tag
	for i := range n {
		out = append(out, Tag{fmt.Sprintf("key%d", i), "value"})
	}
	return out
}

func TestTag(t *testing.T) {
	t.Parallel()
	twice := func(key string) error {
		return Error{"InvalidParameterException", "Tag keys must be unique: " + key + " is given more than once."}
	}
	reserved := Error{"InvalidParameterException", "Tag keys that begin with aws: are reserved for AWS."}
	many := Error{"InvalidParameterException", "A secret can have no more than 50 tags."}
	one := []Tag{{"team", "db"}}
	for _, tt := range []struct {
		name        string
		before, add []Tag
		want        []Tag
		err         error
	}{
		{"the first", nil, one, one, nil},
		{"after the last was taken off", []Tag{}, one, one, nil},
		{"one more", one, []Tag{{"stage", "prod"}}, []Tag{{"team", "db"}, {"stage", "prod"}}, nil},
		{"a key it has gets the new value", []Tag{{"team", "db"}, {"stage", "prod"}}, []Tag{{"team", "web"}}, []Tag{{"team", "web"}, {"stage", "prod"}}, nil},
		{"keys are case-sensitive", one, []Tag{{"Team", "web"}}, []Tag{{"team", "db"}, {"Team", "web"}}, nil},
		{"an empty value", nil, []Tag{{"team", ""}}, []Tag{{"team", ""}}, nil},
		{"aws without a colon", nil, []Tag{{"awsome", "yes"}}, []Tag{{"awsome", "yes"}}, nil},
		{"a value that begins with aws:", nil, []Tag{{"key", "aws:"}}, []Tag{{"key", "aws:"}}, nil},
		{"the 50th", tags(49), one, append(tags(49), one...), nil},
		{"the 51st", tags(50), one, nil, many},
		{"51 at once", nil, tags(51), nil, many},
		{"at 50, a key it has", tags(50), []Tag{{"key49", "new"}}, append(tags(49), Tag{"key49", "new"}), nil},
		{"one key twice", nil, []Tag{{"team", "db"}, {"team", "web"}}, nil, twice("team")},
		{"one key twice, the same value", one, []Tag{{"k", "v"}, {"k", "v"}}, nil, twice("k")},
		{"reserved", nil, []Tag{{"aws:cloudformation:stack-name", "s"}}, nil, reserved},
		{"reserved, in capitals", nil, []Tag{{"AWS:x", ""}}, nil, reserved},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := having(Stages{Current: "v1"})
			s.Tags = tt.before
			before := clone(s)
			got, err := s.Tag(tt.add, now)
			if !reflect.DeepEqual(s, before) {
				t.Errorf("the secret was changed: got %+v, want %+v", s, before)
			}
			want := clone(s)
			if tt.err == nil {
				want.Tags, want.Changed = tt.want, now
			}
			if !reflect.DeepEqual(got, want) || !errors.Is(err, tt.err) {
				t.Errorf("got  %+v, %v\nwant %+v, %v", got, err, want, tt.err)
			}
		})
	}
}

func TestTagWithNone(t *testing.T) {
	t.Parallel()
	for name, before := range map[string][]Tag{"never tagged": nil, "last one taken off": {}, "tagged": tags(2)} {
		s := having(nil)
		s.Tags = before
		if got, err := s.Tag(nil, now); err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, s)
		}
	}
}

func TestTagResource(t *testing.T) {
	t.Parallel()
	marked := Error{"InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion."}
	reserved := Error{"InvalidParameterException", "Tag keys that begin with aws: are reserved for AWS."}
	s := having(Stages{Current: "v1"})
	s.Tags = []Tag{{"team", "db"}}
	more := clone(s)
	more.Tags, more.Changed = []Tag{{"team", "db"}, {"stage", "prod"}}, now
	for _, tt := range []struct {
		name   string
		before Secret
		add    []Tag
		want   Change
		err    error
	}{
		{"one more", s, []Tag{{"stage", "prod"}}, Change{Secret: more}, nil},
		{"none", s, nil, Change{Secret: s, Outcome: Unchanged}, nil},
		{"reserved", s, []Tag{{"aws:x", ""}}, Change{}, reserved},
		{"deleted", deleted(s), []Tag{{"stage", "prod"}}, Change{}, marked},
		{"deleted, none", deleted(s), nil, Change{}, marked},
		{"deleted, before the rest", deleted(s), []Tag{{"aws:x", ""}}, Change{}, marked},
	} {
		if got, err := tt.before.TagResource(tt.add, now); !errors.Is(err, tt.err) || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %+v, %v, want %+v, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
}

func TestUntagResource(t *testing.T) {
	t.Parallel()
	marked := Error{"InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion."}
	for _, tt := range []struct {
		name   string
		before []Tag
		keys   []string
		want   []Tag
	}{
		{"one of two", []Tag{{"team", "db"}, {"stage", "prod"}}, []string{"team"}, []Tag{{"stage", "prod"}}},
		{"one that is there and one that is not", []Tag{{"team", "db"}, {"stage", "prod"}}, []string{"x", "stage"}, []Tag{{"team", "db"}}},
		{"the last: empty, not never tagged", []Tag{{"team", "db"}}, []string{"team"}, []Tag{}},
	} {
		s := having(Stages{Current: "v1"})
		s.Tags = tt.before
		before, want := clone(s), clone(s)
		want.Tags, want.Changed = tt.want, now
		if got, err := s.UntagResource(tt.keys, now); err != nil || !reflect.DeepEqual(got, Change{Secret: want}) {
			t.Errorf("%s: got %+v, %v, want %+v", tt.name, got, err, want)
		}
		if !reflect.DeepEqual(s, before) {
			t.Errorf("%s: the secret was changed: got %+v, want %+v", tt.name, s, before)
		}
		if got, err := deleted(s).UntagResource(tt.keys, now); !errors.Is(err, marked) || !reflect.DeepEqual(got, Change{}) {
			t.Errorf("%s, deleted: got %+v, %v, want %v", tt.name, got, err, marked)
		}
	}
	for name, before := range map[string][]Tag{"never tagged": nil, "last one taken off": {}, "another key": {{"Team", "db"}}} {
		s := having(nil)
		s.Tags = before
		if got, err := s.UntagResource([]string{"team"}, now); err != nil || !reflect.DeepEqual(got, Change{Secret: s, Outcome: Unchanged}) {
			t.Errorf("%s: got %+v, %v, want nothing to do", name, got, err)
		}
	}
}

// Two changes decided on one secret must not meet in a shared array.
func TestTagSharesNothing(t *testing.T) {
	t.Parallel()
	s := having(nil)
	s.Tags = append(make([]Tag, 0, 8), Tag{"team", "db"})
	a, err := s.Tag([]Tag{{"a", "1"}}, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Tag([]Tag{{"b", "2"}}, now); err != nil {
		t.Fatal(err)
	}
	if want := []Tag{{"team", "db"}, {"a", "1"}}; !reflect.DeepEqual(a.Tags, want) {
		t.Errorf("got %v, want %v", a.Tags, want)
	}
}
