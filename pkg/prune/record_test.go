package prune_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/prune"
	"github.com/strongroom/strongroom/pkg/secret"
)

// A memory keeps records in memory, unless it fails.
type memory struct {
	mu      sync.Mutex
	records []audit.Record
	keeps   int
	err     error
}

func (m *memory) Keep(_ context.Context, records ...audit.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keeps++
	if m.err == nil {
		m.records = append(m.records, records...)
	}
	return m.err
}

// told are the versions that the records are about, by secret, in order.
func (m *memory) told(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, r := range m.records {
		if r.EventName != "EndSecretVersionDelete" || r.EventType != "AwsServiceEvent" || r.ErrorMessage != "" {
			t.Errorf("got record %+v, want EndSecretVersionDelete of the service", r)
		}
		arn := r.AdditionalEventData["SecretId"].(string)
		found[arn] = append(found[arn], short(r.AdditionalEventData["SecretVersionId"].(string)))
	}
	for _, versions := range found {
		slices.Sort(versions)
	}
	return found
}

// Each version that goes is in the audit trail, once: those that are too many, those of
// a secret whose recovery window is over, and those of one that was deleted at once.
func TestRecords(t *testing.T) {
	t.Parallel()
	room, c := open(t, secret.Retention{MaxVersions: 2})
	for _, name := range []string{"s", "over", "gone"} {
		create(t, room, name)
		putMany(t, room, c, name, 30, time.Second)
	}
	arns := map[string]string{}
	for _, name := range []string{"s", "over", "gone"} {
		arns[name] = must(room.Store.Get(t.Context(), secret.ID{Name: name}))(t).ARN
	}
	remove(t, room, "over", 7)
	remove(t, room, "gone", 0)
	c.add(8 * day)
	trail := &memory{}
	p, _ := pruner(t, room)
	p.Trail = trail
	if _, err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := append(names(1, 30), "v0")
	slices.Sort(all)
	kept := names(27, 30)
	want := map[string][]string{
		arns["s"]:    slices.DeleteFunc(slices.Clone(all), func(v string) bool { return slices.Contains(kept, v) }),
		arns["over"]: all,
		arns["gone"]: all,
	}
	if got := trail.told(t); !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("recorded %v, want %v", got, want)
	}
	if trail.keeps > 5 {
		t.Errorf("%d requests to the trail, want one for each slice", trail.keeps)
	}
	wantVersions(t, room, "s", kept...)
}

// A version that was to go and stays, as it got a label meanwhile, has no record.
func TestNoRecordOfWhatStays(t *testing.T) {
	t.Parallel()
	room, c := open(t, secret.Retention{MaxVersions: 1})
	create(t, room, "kept")
	putMany(t, room, c, "kept", 5, time.Second)
	trail := &memory{}
	p, wire := pruner(t, room)
	p.Trail = trail
	wire.Break(transact, first(func() {
		must(another(t, room).SDK.UpdateSecretVersionStage(t.Context(), moveInput("kept", "mine", "", "v1")))(t)
	}))
	if _, err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	arn := must(room.Store.Get(t.Context(), secret.ID{Name: "kept"}))(t).ARN
	if got, want := trail.told(t)[arn], []string{"v0", "v2"}; !slices.Equal(got, want) {
		t.Errorf("recorded %v, want %v", got, want)
	}
	wantVersions(t, room, "kept", "v1", "v3", "v4", "v5")
}

// When a record cannot be kept, no more is removed: of a removed secret nothing, and of
// others what was removed before, which the log names.
func TestTrailFails(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*testing.T) (*prune.Pruner, func() int){
		"pruning": func(t *testing.T) (*prune.Pruner, func() int) {
			t.Helper()
			room, _ := open(t, secret.Retention{})
			create(t, room, "s")
			stuff(t, room, "s", 200, time.Second)
			put(t, another(t, room), "s", "v1")
			p, _ := pruner(t, room)
			return p, func() int { return 202 - 50 - len(keys(t, room, "SECRET#s VERSION#")) }
		},
		"sweeping": func(t *testing.T) (*prune.Pruner, func() int) {
			t.Helper()
			room, c := open(t, secret.Retention{})
			create(t, room, "s")
			stuff(t, room, "s", 200, time.Second)
			remove(t, room, "s", 0)
			c.add(time.Minute)
			p, _ := pruner(t, room)
			return p, func() int { return 201 - len(keys(t, room, "SECRET#s VERSION#")) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, more := prepare(t)
			var log bytes.Buffer
			p.Log, p.Trail = slog.New(slog.NewJSONHandler(&log, nil)), &memory{err: errors.New("the log group is gone")}
			sum, err := p.Run(t.Context())
			if err == nil || sum.Failed != 1 || sum.Left != 1 {
				t.Errorf("got %+v, %v, want a failure", sum, err)
			}
			if n := more(); n != 0 {
				t.Errorf("%d more were removed than was tried to be recorded", n)
			}
			if got := log.String(); !strings.Contains(got, "the log group is gone") || !strings.Contains(got, token("w0")) {
				t.Errorf("logged %s, want which versions and why", got)
			}
		})
	}
}

// One run removes, and records, so many versions and not many more.
func TestMost(t *testing.T) {
	t.Parallel()
	room, c := open(t, secret.Retention{})
	for i := range 3 {
		name := fmt.Sprint("s", i)
		create(t, room, name)
		stuff(t, room, name, 300, time.Second)
		remove(t, room, name, 0)
	}
	c.add(time.Minute)
	removed := 0
	for runs := 0; removed < 3*301; runs++ {
		p, _ := pruner(t, room)
		p.Most = 100
		sum, err := p.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if removed += sum.Versions; sum.Versions > 100+4*25 || runs > 10 {
			t.Fatalf("run %d removed %d, want about 100", runs, sum.Versions)
		}
		if left := removed < 3*301; left != (sum.Left > 0) {
			t.Errorf("run %d says that it left %d", runs, sum.Left)
		}
	}
	run(t, room) // the last notes
	if got := keys(t, room, ""); len(got) != 0 {
		t.Errorf("items = %q, want none", got)
	}
}

// A restore to a moment within a removal may leave the note of it and the secret: its
// versions stay.
func TestLeftoverOfLiveSecret(t *testing.T) {
	t.Parallel()
	room, c := open(t, secret.DefaultRetention)
	create(t, room, "s")
	put(t, room, "s", "v1")
	sec := must(room.Store.Get(t.Context(), secret.ID{Name: "s"}))(t)
	write(t, room, []map[string]types.AttributeValue{{
		"pk": str("SECRET#s"), "sk": str("LEFTOVER#" + sec.Suffix()), "shard": str("DUE#0"), "due": str("2026-03-04T12:00:00.000Z"),
	}})
	c.add(time.Minute)
	p, _ := pruner(t, room)
	sum, err := p.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "verify the table") || sum.Failed != 1 {
		t.Errorf("got %+v, %v, want a failure that says what to do", sum, err)
	}
	wantVersions(t, room, "s", "v0", "v1")
	wantWhole(t, room, "s")
}

// A trail that fails ends the run: the secrets that others are at lose a slice at most,
// and those behind them nothing.
func TestTrailFailsForAll(t *testing.T) {
	t.Parallel()
	room, c := open(t, secret.Retention{})
	const n = 24 // in all shards, of which four are gone through at a time
	for i := range n {
		create(t, room, fmt.Sprint("s", i))
		remove(t, room, fmt.Sprint("s", i), 0)
	}
	c.add(time.Minute)
	p, _ := pruner(t, room)
	trail := &memory{err: errors.New("the log group is gone")}
	p.Trail = trail
	sum, err := p.Run(t.Context())
	if err == nil || trail.keeps > 4 || sum.Left != n || sum.Versions != 0 {
		t.Errorf("got %+v, %v after %d tries to record, want four at most, and all left", sum, err, trail.keeps)
	}
}
