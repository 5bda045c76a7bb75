package secret

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"
)

// aged are versions v1, v2 and so on, of these ages.
func aged(ages ...time.Duration) []Version {
	var versions []Version
	for i, age := range ages {
		versions = append(versions, Version{ID: fmt.Sprint("v", i+1), Created: now.Add(-age)})
	}
	return versions
}

func TestPrunable(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	keep := func(n int, age time.Duration) Retention { return Retention{n, age} }
	five := aged(5*day, 4*day, 3*day, 2*day, day)
	for _, tt := range []struct {
		name     string
		stages   Stages
		versions int // that the secret counts
		tags     []Tag
		oldest   []Version
		or       Retention
		remove   []string
		next     time.Time
		excess   bool
	}{
		{"none", nil, 0, nil, nil, keep(0, 0), nil, time.Time{}, false},
		{"one, with a label", Stages{Current: "v1"}, 1, nil, aged(day), keep(0, 0), nil, time.Time{}, false},
		{"one without", nil, 1, nil, aged(day), keep(0, 0), []string{"v1"}, time.Time{}, false},
		{"one without, that is kept", nil, 1, nil, aged(day), keep(1, 0), nil, time.Time{}, false},
		{"as many as are kept", Stages{Current: "v5"}, 5, nil, five, keep(4, 0), nil, time.Time{}, false},
		{"one more", Stages{Current: "v5"}, 5, nil, five, keep(3, 0), []string{"v1"}, time.Time{}, false},
		{"the newest stay", Stages{Current: "v5"}, 5, nil, five, keep(1, 0), []string{"v1", "v2", "v3"}, time.Time{}, false},
		{"labels stay, however old", Stages{Current: "v1", Previous: "v3", "mine": "v3"}, 5, nil, five, keep(1, 0), []string{"v2", "v4"}, time.Time{}, false},
		{"all but labels", Stages{Current: "v5", Previous: "v4"}, 5, nil, five, keep(0, 0), []string{"v1", "v2", "v3"}, time.Time{}, false},
		{"exactly of age", Stages{Current: "v5"}, 5, nil, five, keep(0, 2*day), []string{"v1", "v2", "v3", "v4"}, time.Time{}, false},
		{"too young by a moment", Stages{Current: "v5"}, 5, nil, five, keep(0, 2*day+1), []string{"v1", "v2", "v3"}, now.Add(1), false},
		{"all too young", Stages{Current: "v5"}, 5, nil, five, keep(0, 6*day), nil, now.Add(day), false},
		{"a label is young, and none before it", Stages{Current: "v1"}, 2, nil, aged(0, 0), keep(0, day), nil, now.Add(day), false},
		{"young, and not too many", Stages{Current: "v5"}, 5, nil, five, keep(4, 6*day), nil, time.Time{}, false},
		{"of an age that is not over", nil, 3, nil, aged(day, day, day), keep(1, day), []string{"v1", "v2"}, time.Time{}, false},
		{"more than were given", Stages{Current: "v9"}, 9, nil, five, keep(1, 0), []string{"v1", "v2", "v3", "v4", "v5"}, time.Time{}, true},
		{"just as many as were given", Stages{Current: "v9"}, 9, nil, five, keep(3, 0), []string{"v1", "v2", "v3", "v4", "v5"}, time.Time{}, false},
		{"more, and those given have labels", Stages{Current: "v1", Previous: "v2"}, 9, nil, five[:2], keep(1, 0), nil, time.Time{}, true},
		{"more, and none were given", nil, 9, nil, nil, keep(1, 0), nil, time.Time{}, true},
		{"a placeholder is no version", Stages{Current: "v5", Pending: "N"}, 5, nil, five, keep(3, 0), nil, time.Time{}, false},
		{"beside a placeholder", Stages{Current: "v5", Pending: "N"}, 5, nil, five, keep(2, 0), []string{"v1"}, time.Time{}, false},
		{"more by a tag", Stages{Current: "v5"}, 5, []Tag{{MaxVersionsTag, "4"}}, five, keep(0, 0), nil, time.Time{}, false},
		{"fewer by a tag", Stages{Current: "v5"}, 5, []Tag{{MaxVersionsTag, "0"}}, five, keep(2, 0), []string{"v1", "v2"}, time.Time{}, false},
		{"longer by a tag", Stages{Current: "v5"}, 5, []Tag{{MinAgeTag, "96h"}}, five, keep(1, 0), []string{"v1", "v2"}, now.Add(day), false},
		{"shorter by a tag", Stages{Current: "v5"}, 5, []Tag{{MinAgeTag, "0s"}}, five, keep(1, 9*day), nil, now.Add(4 * day), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := having(tt.stages)
			s.Versions, s.Tags = tt.versions, tt.tags
			versions, next, excess := s.Prunable(tt.oldest, tt.or, now)
			var remove []string
			for _, v := range versions {
				remove = append(remove, v.ID)
			}
			if !slices.Equal(remove, tt.remove) || !next.Equal(tt.next) || excess != tt.excess {
				t.Errorf("got %q, %v, %t, want %q, %v, %t", remove, next, excess, tt.remove, tt.next, tt.excess)
			}
			many := s.unlabelled() > s.Retention(tt.or).MaxVersions
			if got := s.Overfull(tt.or); got != many {
				t.Errorf("got overfull %t, want %t", got, many)
			}
			if len(tt.remove) > 0 && !many {
				t.Errorf("got %q removed of a secret that is not overfull", remove)
			}
		})
	}
}

func TestRetention(t *testing.T) {
	t.Parallel()
	or := Retention{7, time.Hour}
	for _, tt := range []struct {
		name string
		tags []Tag
		want Retention
	}{
		{"no tags", nil, or},
		{"other tags", []Tag{{"strongroom:maxversions", "1"}, {"Strongroom:min-age", "1s"}}, or},
		{"versions", []Tag{{MaxVersionsTag, "1000"}}, Retention{1000, time.Hour}},
		{"as many", []Tag{{MaxVersionsTag, "7"}}, or},
		{"fewer versions", []Tag{{MaxVersionsTag, "6"}}, or},
		{"no versions", []Tag{{MaxVersionsTag, "0"}}, or},
		{"age", []Tag{{MinAgeTag, "1h30m"}}, Retention{7, 90 * time.Minute}},
		{"a shorter age", []Tag{{MinAgeTag, "59m"}}, or},
		{"no age", []Tag{{MinAgeTag, "0"}}, or},
		{"both", []Tag{{MinAgeTag, "36h"}, {"team", "db"}, {MaxVersionsTag, "9"}}, Retention{9, 36 * time.Hour}},
		{"one more, one less", []Tag{{MinAgeTag, "36h"}, {MaxVersionsTag, "2"}}, Retention{7, 36 * time.Hour}},
		// Tags that were set before they meant anything must not empty a secret.
		{"nonsense that was stored", []Tag{{MaxVersionsTag, "few"}, {MinAgeTag, ""}}, or},
		{"nonsense beside sense", []Tag{{MaxVersionsTag, "-1"}, {MinAgeTag, "2h"}}, Retention{7, 2 * time.Hour}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := having(nil)
			s.Tags = tt.tags
			if got := s.Retention(or); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// A quota never refuses what is kept for good: a put to a secret that is full of that
// is one too many, and has others pruned.
func TestQuota(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		quota, kept int
		tag         string
		want        int
	}{
		{"none", 0, 100, "", 0},
		{"none, and a tag", 0, 100, "1000", 0},
		{"no tag", 120, 100, "", 120},
		{"a tag for fewer", 120, 100, "5", 120},
		{"a tag for more, and below", 120, 100, "119", 120},
		{"a tag for as many", 120, 100, "120", 121},
		{"a tag for more", 120, 100, "1000", 1001},
		{"a deployment that keeps more", 50, 100, "", 101},
	} {
		s := having(nil)
		if tt.tag != "" {
			s.Tags = []Tag{{MaxVersionsTag, tt.tag}}
		}
		if got := s.Quota(tt.quota, Retention{MaxVersions: tt.kept}); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
		// What the quota refuses is more than is kept, so it is pruned.
		if s.Versions = tt.want; tt.want > 0 && !s.Overfull(Retention{MaxVersions: tt.kept}) {
			t.Errorf("%s: %d versions are refused, and never pruned", tt.name, tt.want)
		}
	}
}

func TestRetentionTags(t *testing.T) {
	t.Parallel()
	number := Error{InvalidParameter, "The value of tag strongroom:max-versions must be a number of versions from 0 to 1000000."}
	duration := Error{InvalidParameter, "The value of tag strongroom:min-age must be a duration such as 7d, 36h or 90m, from 0s to 87600h."}
	for _, tt := range []struct {
		key, value string
		err        error
	}{
		{MaxVersionsTag, "0", nil},
		{MaxVersionsTag, "1000000", nil},
		{MaxVersionsTag, "1000001", number},
		{MaxVersionsTag, "-1", number},
		{MaxVersionsTag, "", number},
		{MaxVersionsTag, " 1", number},
		{MaxVersionsTag, "1.5", number},
		{MaxVersionsTag, "many", number},
		{MaxVersionsTag, "99999999999999999999", number},
		{MinAgeTag, "0s", nil},
		{MinAgeTag, "90m", nil},
		{MinAgeTag, "87600h", nil},
		{MinAgeTag, "87600h1ns", duration},
		{MinAgeTag, "-1s", duration},
		{MinAgeTag, "", duration},
		{MinAgeTag, "36", duration},
		{MinAgeTag, "2d", nil},
		{MinAgeTag, "3650d", nil},
		{MinAgeTag, "3651d", duration},
		{MinAgeTag, "2 days", duration},
		{MinAgeTag, "9999999h", duration},
		{"strongroom:other", "what you like", nil},
	} {
		t.Run(tt.key+"="+tt.value, func(t *testing.T) {
			t.Parallel()
			s := having(Stages{Current: "v1"})
			s.Tags = []Tag{{"team", "db"}}
			// Among others, and nothing of them is set.
			change, err := s.TagResource([]Tag{{"stage", "prod"}, {tt.key, tt.value}}, now)
			if !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
			if tt.err != nil && !reflect.DeepEqual(change, Change{}) {
				t.Errorf("got %+v beside the refusal, want no change", change)
			}
		})
	}
}

// What is noted for the schedules is wrong when a secret comes to keep other
// versions than it did.
func TestOtherRetentionIsLookedAtAnew(t *testing.T) {
	t.Parallel()
	s := having(Stages{Current: "v1"})
	s.Tags = []Tag{{MaxVersionsTag, "0"}, {"team", "db"}}
	tag := func(tags ...Tag) func() (Change, error) {
		return func() (Change, error) { return s.TagResource(tags, now) }
	}
	untag := func(keys ...string) func() (Change, error) {
		return func() (Change, error) { return s.UntagResource(keys, now) }
	}
	for name, tt := range map[string]struct {
		change func() (Change, error)
		want   bool
	}{
		"no tag":               {tag(), false},
		"another tag":          {tag(Tag{"team", "web"}), false},
		"the same number":      {tag(Tag{MaxVersionsTag, "0"}), false},
		"another number":       {tag(Tag{MaxVersionsTag, "1"}), true},
		"an age":               {tag(Tag{MinAgeTag, "0s"}), true},
		"the number taken off": {untag(MaxVersionsTag), true},
		"another taken off":    {untag("team"), false},
		"one it has not":       {untag(MinAgeTag), false},
	} {
		change, err := tt.change()
		if err != nil || (change.Pruning == Anew) != tt.want {
			t.Errorf("%s: got anew %t, %v, want %t", name, (change.Pruning == Anew), err, tt.want)
		}
	}
}

// A removal under way goes by what was to be kept when it looked: it must find that
// this was said anew, be it in the same millisecond.
func TestRetentionSaidAnewCounts(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	s := Secret{Name: "s", Tags: []Tag{{"team", "blue"}}}
	steps := []struct {
		name   string
		change func(Secret) (Change, error)
		want   int64
	}{
		{"another tag", func(s Secret) (Change, error) { return s.TagResource([]Tag{{"team", "red"}}, now) }, 0},
		{"kept for longer", func(s Secret) (Change, error) { return s.TagResource([]Tag{{MinAgeTag, "48h"}}, now) }, 1},
		{"the same again", func(s Secret) (Change, error) { return s.TagResource([]Tag{{MinAgeTag, "48h"}}, now) }, 1},
		{"another tag off", func(s Secret) (Change, error) { return s.UntagResource([]string{"team"}, now) }, 1},
		{"as all others", func(s Secret) (Change, error) { return s.UntagResource([]string{MinAgeTag}, now) }, 2},
	}
	for _, step := range steps {
		change, err := step.change(s)
		if err != nil || change.Secret.Moves != step.want || (change.Pruning == Anew) != (step.want != s.Moves) {
			t.Errorf("%s: got %d moves, anew %t, %v, want %d", step.name, change.Secret.Moves, (change.Pruning == Anew), err, step.want)
		}
		s = change.Secret
	}
}
