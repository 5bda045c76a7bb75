package prune_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/prune"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// tiredOf makes all calls about one secret fail, of an operation that was given to
// the wire as often as it is called.
func tiredOf(name string, fault localtest.Fault) []localtest.Fault {
	return slices.Repeat([]localtest.Fault{func(call *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		body, err := io.ReadAll(call.Body)
		if err != nil {
			return nil, err
		}
		call.Body = io.NopCloser(bytes.NewReader(body))
		if strings.Contains(string(body), `"SECRET#`+name+`"`) || strings.Contains(string(body), `"`+name+`#`) {
			return fault(call, do)
		}
		return do()
	}}, 1000)
}

// What fails of one secret does not keep the others from their turn; the error says
// whose it is, and the next run does it.
func TestOneFails(t *testing.T) {
	t.Parallel()
	refuse := localtest.Refuse(http.StatusBadRequest, "ThrottlingException")
	for name, c := range map[string]struct {
		operation string
		fault     localtest.Fault
	}{
		"the look is throttled":      {"GetItem", refuse},
		"the list is throttled":      {"Query", refuse},
		"the removal is throttled":   {transact, refuse},
		"the removal is cut":         {transact, localtest.Cut},
		"the engine fails":           {transact, localtest.Refuse(http.StatusInternalServerError, "InternalServerError")},
		"its answers are lost":       {transact, localtest.LoseAnswer},
		"a cancel that says nothing": {transact, localtest.Cancel()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room, clock := open(t, secret.Retention{MaxVersions: 1})
			for i := range 12 {
				create(t, room, fmt.Sprint("s", i))
				putMany(t, room, clock, fmt.Sprint("s", i), 4, time.Second)
			}
			p, wire := pruner(t, room)
			var log bytes.Buffer
			p.Log = slog.New(slog.NewJSONHandler(&log, nil))
			wire.Break(c.operation, tiredOf("s7", c.fault)...)
			clock.add(time.Hour)
			due := dueOf(t, room, "s7")
			sum, err := p.Run(t.Context())
			wantSummary(t, sum, prune.Summary{Secrets: 12, Versions: 11 * 2, Failed: 1, Left: 1, OldestDue: due})
			if err == nil || !strings.HasPrefix(err.Error(), "s7: ") || strings.Contains(err.Error(), "\n") {
				t.Errorf("error = %v, want one of s7", err)
			}
			if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"level":"ERROR","msg":"not pruned","secret":"s7"`) {
				t.Errorf("logged:\n%s\nwant a line about s7", got)
			}
			run(t, room)
			for i := range 12 {
				wantVersions(t, room, fmt.Sprint("s", i), "v2", "v3", "v4")
			}
		})
	}
}

// A shard that cannot be listed does not keep the others from theirs.
func TestOneShardFails(t *testing.T) {
	t.Parallel()
	room, c := open(t, secret.Retention{})
	for i := range 30 {
		create(t, room, fmt.Sprint("s", i))
		remove(t, room, fmt.Sprint("s", i), 0)
	}
	c.add(time.Hour)
	p, wire := pruner(t, room)
	wire.Break("Query", slices.Repeat([]localtest.Fault{func(call *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		body, err := io.ReadAll(call.Body)
		if err != nil {
			return nil, err
		}
		call.Body = io.NopCloser(bytes.NewReader(body))
		if strings.Contains(string(body), `"DUE#3"`) {
			return localtest.Cut(call, do)
		}
		return do()
	}}, 1000)...)
	sum, err := p.Run(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "shard 3: ") {
		t.Errorf("error = %v, want one of shard 3", err)
	}
	rest := run(t, room)
	if sum.Failed != 1 || sum.Versions+rest.Versions != 30 || sum.Versions < 15 || rest.Versions == 0 {
		t.Errorf("%+v, and then %+v, want 30 versions removed in all", sum, rest)
	}
}

// What passes by itself is not seen.
func TestPassingFaults(t *testing.T) {
	t.Parallel()
	room, c := open(t, secret.Retention{MaxVersions: 1})
	create(t, room, "s")
	stuff(t, room, "s", 200, time.Second)
	putMany(t, another(t, room), c, "s", 1, time.Second)
	create(t, room, "doomed")
	stuff(t, room, "doomed", 60, time.Second)
	remove(t, room, "doomed", 0)
	c.add(time.Hour)
	p, wire := pruner(t, room)
	busy := localtest.Cancel("TransactionConflict", "None")
	throttled := localtest.Refuse(http.StatusBadRequest, "ProvisionedThroughputExceededException")
	wire.Break(transact, busy, make1, localtest.Cut, localtest.LoseAnswer, make1, busy, busy, throttled)
	wire.Break("Query", throttled, localtest.Cut, make1, make1, localtest.LoseAnswer)
	wire.Break("GetItem", throttled, localtest.Cut)
	wire.Break(sweeping, throttled, localtest.LoseAnswer, make1, localtest.Cut)
	sum, err := p.Run(t.Context())
	if err != nil {
		t.Error(err)
	}
	wantSummary(t, sum, prune.Summary{Secrets: 2, Versions: 199 + 61})
	wantVersions(t, room, "s", "v0", "v1", "w199")
}

// Labels that move all the time leave the secret for the next run, and that is no
// error.
func TestConflict(t *testing.T) {
	t.Parallel()
	room, c := open(t, secret.Retention{MaxVersions: 1})
	create(t, room, "s")
	putMany(t, room, c, "s", 10, time.Second)
	due := dueOf(t, room, "s")
	mover := another(t, room)
	p, wire := pruner(t, room)
	from := ""
	move := first(func() {
		to := map[string]string{"v1": "v2"}[from]
		if to == "" {
			to = "v1"
		}
		must(mover.SDK.UpdateSecretVersionStage(t.Context(), moveInput("s", "mine", from, to)))(t)
		from = to
	})
	wire.Break(transact, slices.Repeat([]localtest.Fault{move}, 100)...)
	sum, err := p.Run(t.Context())
	if err != nil {
		t.Error(err)
	}
	wantSummary(t, sum, prune.Summary{Secrets: 1, Conflicts: 1, Left: 1, OldestDue: due})
	wantVersions(t, room, "s", append(names(1, 10), "v0")...)
	// A few moves do not keep it from its turn.
	p, wire = pruner(t, room)
	wire.Break(transact, move, move, move)
	sum, err = p.Run(t.Context())
	if err != nil {
		t.Error(err)
	}
	wantSummary(t, sum, prune.Summary{Secrets: 1, Versions: 7})
	wantVersions(t, room, "s", from, "v8", "v9", "v10")
	wantWhole(t, room, "s")
}

// Before its deadline a run stops, says what it leaves, and the next one goes on.
func TestStopsBeforeDeadline(t *testing.T) {
	t.Parallel()
	const n = 500
	for name, c := range map[string]struct {
		prepare func(*testing.T, *localtest.Room)
		call    string // whose third one takes too long
		removed int
	}{
		"in the middle of pruning": {func(t *testing.T, room *localtest.Room) { t.Helper(); put(t, room, "s", "v1") }, transact, 150},
		"in the middle of a sweep": {func(t *testing.T, room *localtest.Room) { t.Helper(); remove(t, room, "s", 0) }, sweeping, 75},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room, clock := open(t, secret.Retention{MaxVersions: 1})
			create(t, room, "s")
			stuff(t, room, "s", n, time.Second)
			clock.add(time.Minute)
			noted := clock.Now()
			c.prepare(t, another(t, room))
			clock.add(time.Hour)
			p, wire := pruner(t, room)
			p.Margin = 57 * time.Second
			wire.Break(c.call, make1, make1, first(func() { time.Sleep(3*time.Second + time.Millisecond) }))
			// Nothing leaves the process in here, so the time is made up.
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				sum, err := p.Run(ctx)
				if err != nil {
					t.Error(err)
				}
				wantSummary(t, sum, prune.Summary{Secrets: 1, Versions: c.removed, Left: 1, OldestDue: noted})
			})
			if got, want := len(keys(t, room, "SECRET#s VERSION#")), n+1-c.removed; got > want+1 || got < want {
				t.Errorf("%d versions are there, want %d", got, want)
			}
			run(t, room)
			if c.call == sweeping {
				if got := keys(t, room, ""); len(got) != 0 {
					t.Errorf("items = %q, want none", got)
				}
				return
			}
			wantVersions(t, room, "s", "v0", "v1", "w499")
			wantSummary(t, run(t, room), prune.Summary{})
		})
	}
}

// A run that begins too late does nothing, and says how much there is.
func TestNoTime(t *testing.T) {
	t.Parallel()
	room, c := open(t, secret.Retention{})
	create(t, room, "a")
	create(t, room, "b")
	remove(t, room, "a", 0)
	c.add(time.Minute)
	remove(t, room, "b", 0)
	c.add(time.Minute)
	before := keys(t, room, "")
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	p, _ := pruner(t, room)
	p.Margin = time.Hour + time.Second
	sum, err := p.Run(ctx)
	if err != nil {
		t.Error(err)
	}
	wantSummary(t, sum, prune.Summary{Left: 2, OldestDue: epoch})
	if got := keys(t, room, ""); !slices.Equal(got, before) {
		t.Errorf("items = %q, want %q", got, before)
	}
}

// A call that hangs is given up in time for the summary. What was listed is left;
// it is an error only when nobody knows what there is.
func TestHangingCall(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{"Query", "GetItem", transact, sweeping} {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			room, c := open(t, secret.Retention{})
			create(t, room, "s")
			create(t, room, "doomed")
			putMany(t, room, c, "s", 5, time.Second)
			remove(t, room, "doomed", 0)
			c.add(time.Minute)
			p, wire := pruner(t, room)
			hang := func(call *http.Request, _ func() (*http.Response, error)) (*http.Response, error) {
				<-call.Context().Done()
				return nil, call.Context().Err()
			}
			wire.Break(operation, slices.Repeat([]localtest.Fault{hang}, 100)...)
			p.Margin = 4 * time.Second // half of which is left when a call is given up
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
				defer cancel()
				began := time.Now()
				sum, err := p.Run(ctx)
				if operation == "Query" {
					if err == nil || sum.Failed != store.Shards {
						t.Errorf("%+v, %v, want all shards to fail", sum, err)
					}
				} else if err != nil || sum.Failed != 0 || sum.Left == 0 {
					t.Errorf("%+v, %v, want some left and no error", sum, err)
				}
				if took := time.Since(began); took != 4*time.Second {
					t.Errorf("it took %v of 6 s, want 4 s", took)
				}
			})
			run(t, room)
			wantVersions(t, room, "s", "v4", "v5")
		})
	}
}

// Who ends a run by hand gets that as its error, and no line about each secret.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	room, c := open(t, secret.Retention{})
	for i := range 10 {
		create(t, room, fmt.Sprint("s", i))
		stuff(t, room, fmt.Sprint("s", i), 60, time.Second)
		remove(t, room, fmt.Sprint("s", i), 0)
	}
	c.add(time.Hour)
	p, wire := pruner(t, room)
	var log bytes.Buffer
	p.Log = slog.New(slog.NewJSONHandler(&log, nil))
	ctx, cancel := context.WithCancel(t.Context())
	wire.Break(sweeping, append(slices.Repeat([]localtest.Fault{make1}, 8), first(cancel))...)
	sum, err := p.Run(ctx)
	if !errors.Is(err, context.Canceled) || err.Error() != context.Canceled.Error() {
		t.Errorf("error = %v, want %v", err, context.Canceled)
	}
	if sum.Versions == 0 || sum.Versions > 300 || sum.Failed != 0 || sum.Left == 0 {
		t.Errorf("summary = %+v, want some versions removed and some secrets left", sum)
	}
	if log.Len() > 0 {
		t.Errorf("logged %s, want nothing", &log)
	}
	run(t, room)
	if got := keys(t, room, ""); len(got) != 0 {
		t.Errorf("items = %q, want none", got)
	}
}

// What a run costs follows what is due, and not what is stored.
func TestCostFollowsWhatIsDue(t *testing.T) {
	t.Parallel()
	cost := func(stored int) (string, float64, float64) {
		room, c := open(t, secret.Retention{MaxVersions: 1})
		fill(t, room, stored-3)
		create(t, room, "many")
		putMany(t, room, c, "many", 5, time.Second)
		create(t, room, "over")
		remove(t, room, "over", 7)
		create(t, room, "left")
		remove(t, room, "left", 0)
		c.add(8 * day)
		p, wire := pruner(t, room)
		sum, err := p.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wantSummary(t, sum, prune.Summary{Secrets: 3, Purged: 1, Versions: 3 + 1 + 1})
		calls, reads, writes := wire.Took()
		list := strings.Fields(calls) // in any order, as shards are done at the same time
		slices.Sort(list)
		return strings.Join(list, " "), reads, writes
	}
	few, fewReads, fewWrites := cost(3)
	many, manyReads, manyWrites := cost(5_000)
	if few != many || fewReads != manyReads || fewWrites != manyWrites {
		t.Errorf("with 5,000 secrets: %s, %v and %v units\nwith 3: %s, %v and %v", many, manyReads, manyWrites, few, fewReads, fewWrites)
	}
	// A query for each shard; a look, a list and a removal; a look, a read and a
	// removal, with a sweep and its note; and another of these, with a look.
	want := strings.Join(slices.Concat(
		slices.Repeat([]string{sweeping}, 4), slices.Repeat([]string{"GetItem"}, 4),
		slices.Repeat([]string{"Query"}, store.Shards+1+4), slices.Repeat([]string{transact}, 2),
	), " ")
	if few != want {
		t.Errorf("calls = %s, want %s", few, want)
	}
	t.Logf("%v read units, %v write units", fewReads, fewWrites)
}

// fill makes so many secrets that have nothing due, by copies of one.
func fill(t testing.TB, room *localtest.Room, n int) {
	t.Helper()
	if n < 1 {
		return
	}
	must(room.SDK.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("stored")}))(t)
	one := must(room.Store.Get(t.Context(), secret.ID{Name: "stored"}))(t)
	var items []map[string]types.AttributeValue
	for _, key := range keys(t, room, "") {
		pk, sk, _ := strings.Cut(key, " ")
		items = append(items, get(t, room, pk, sk))
	}
	var copies []map[string]types.AttributeValue
	for i := 1; i < n; i++ {
		name := fmt.Sprintf("stored%05d", i)
		for _, it := range items {
			it = maps.Clone(it)
			for attribute, v := range it {
				if s, ok := v.(*types.AttributeValueMemberS); ok {
					it[attribute] = str(strings.ReplaceAll(s.Value, one.Name, name))
				}
			}
			copies = append(copies, it)
		}
	}
	write(t, room, copies)
}

// Progress is told after every step, and ends with the summary.
func TestProgress(t *testing.T) {
	t.Parallel()
	room, c := open(t, secret.Retention{MaxVersions: 1})
	create(t, room, "s")
	stuff(t, room, "s", 120, time.Second)
	putMany(t, another(t, room), c, "s", 1, time.Second)
	create(t, room, "doomed")
	remove(t, room, "doomed", 7)
	c.add(7 * day)
	p, _ := pruner(t, room)
	var told []prune.Summary // not guarded: it is not called concurrently
	p.Progress = func(sum prune.Summary) { told = append(told, sum) }
	sum, err := p.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(told) < 6 || told[len(told)-1] != sum {
		t.Errorf("told %+v, want several steps up to %+v", told, sum)
	}
	for i, was := range told[:len(told)-1] {
		if now := told[i+1]; now.Secrets < was.Secrets || now.Versions < was.Versions || now.Purged < was.Purged {
			t.Errorf("%+v comes after %+v", now, was)
		}
	}
}

// The last line of a run is a log line, and CloudWatch's metric in it when there is one.
func TestMetrics(t *testing.T) {
	t.Parallel()
	now := epoch.Add(time.Hour)
	for _, c := range []struct {
		sum  prune.Summary
		want string
	}{
		{
			prune.Summary{Secrets: 1},
			`"OldestDueSeconds":0,"SecretsLookedAt":1,"VersionsRemoved":0,"SecretsPurged":0,"Conflicts":0,"Failed":0,"LeftOver":0}`,
		},
		{
			prune.Summary{Secrets: 1, Versions: 2, Purged: 3, Conflicts: 4, Failed: 5, Left: 6, OldestDue: now.Add(-90*time.Second - 500*time.Millisecond)},
			`"OldestDueSeconds":90.5,"Table":"secrets","_aws":{"CloudWatchMetrics":[{"Dimensions":[["Table"]],"Metrics":[` +
				`{"Name":"OldestDueSeconds","Unit":"Seconds"}],"Namespace":"Strongroom"}],"Timestamp":` + fmt.Sprint(now.UnixMilli()) + `},` +
				`"SecretsLookedAt":1,"VersionsRemoved":2,"SecretsPurged":3,"Conflicts":4,"Failed":5,"LeftOver":6}`,
		},
	} {
		var out bytes.Buffer
		slog.New(slog.NewJSONHandler(&out, nil)).LogAttrs(t.Context(), slog.LevelInfo, "pruned", prune.Metrics("secrets", c.sum, now)...)
		if _, got, _ := strings.Cut(strings.TrimSpace(out.String()), `"msg":"pruned",`); got != c.want {
			t.Errorf("got\n%s, want\n%s", got, c.want)
		}
	}
}
