package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/smithy-go"
	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

const commitCall = "TransactWriteItems"

// attempts is how often the SDK makes a call that fails.
const attempts = 3

func times(n int, f localtest.Fault) []localtest.Fault { return slices.Repeat([]localtest.Fault{f}, n) }

var tokenMember = regexp.MustCompile(`"ClientRequestToken":"[^"]*"`)

// forget makes a call under another client request token: for an engine that was
// restarted, or asked again after ten minutes, all of them are new.
func forget(call *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
	body, err := io.ReadAll(call.Body)
	if err != nil {
		return nil, err
	}
	body = tokenMember.ReplaceAll(body, []byte(`"ClientRequestToken":"`+uuid.NewString()+`"`))
	call.Body, call.ContentLength, call.GetBody = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	return do()
}

// after does something, and then makes a call as f does.
func after(first func(), f localtest.Fault) localtest.Fault {
	return func(call *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		first()
		return f(call, do)
	}
}

// again are so many tries to commit, with a read after the wait before each but the
// first.
func again(tries int) string {
	return commitCall + strings.Repeat(" GetItem "+commitCall, tries-1)
}

func make1(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) { return do() }

// What passes by itself is not seen by the caller, and the change happens once.
func TestPassingFaults(t *testing.T) {
	t.Parallel()
	const twice = commitCall + " " + commitCall
	for name, c := range map[string]struct {
		decide decide
		faults []localtest.Fault
		calls  string
	}{
		"head in a transaction":        {putting("v2"), []localtest.Fault{localtest.Cancel("TransactionConflict", "None")}, again(2)},
		"version in a transaction":     {putting("v2"), []localtest.Fault{localtest.Cancel("None", "TransactionConflict")}, again(2)},
		"both in a transaction":        {putting("v2"), []localtest.Fault{localtest.Cancel("TransactionConflict", "TransactionConflict")}, again(2)},
		"check in a transaction":       {moving("mine", "", "v1"), []localtest.Fault{localtest.Cancel("None", "TransactionConflict")}, again(2)},
		"head, and version is there":   {putting("v2"), []localtest.Fault{localtest.Cancel("TransactionConflict", "ConditionalCheckFailed")}, again(2)},
		"head, and version is gone":    {moving("mine", "", "v1"), []localtest.Fault{localtest.Cancel("TransactionConflict", "ConditionalCheckFailed")}, again(2)},
		"note in a transaction":        {rotating("v2"), []localtest.Fault{localtest.Cancel("None", "TransactionConflict", "None")}, again(2)},
		"placeholder in a transaction": {rotating("v2"), []localtest.Fault{localtest.Cancel("None", "None", "TransactionConflict")}, again(2)},
		"note, and placeholder is not": {rotating("v2"), []localtest.Fault{localtest.Cancel("None", "TransactionConflict", "ConditionalCheckFailed")}, again(2)},
		"head throttled":               {putting("v2"), []localtest.Fault{localtest.Cancel("ThrottlingError", "None")}, again(2)},
		"version over its capacity":    {putting("v2"), []localtest.Fault{localtest.Cancel("None", "ProvisionedThroughputExceeded")}, again(2)},
		"several conflicts":            {putting("v2"), times(5, localtest.Cancel("TransactionConflict", "None")), again(6)},
		"call throttled":               {putting("v2"), []localtest.Fault{localtest.Refuse(400, "ThrottlingException")}, twice},
		"call over the capacity":       {putting("v2"), []localtest.Fault{localtest.Refuse(400, "ProvisionedThroughputExceededException")}, twice},
		"transaction in progress":      {putting("v2"), []localtest.Fault{localtest.Refuse(400, "TransactionInProgressException")}, twice},
		"engine fails":                 {putting("v2"), []localtest.Fault{localtest.Refuse(500, "InternalServerError")}, twice},
		"connection cut":               {putting("v2"), []localtest.Fault{localtest.Cut}, twice},
		"answer lost":                  {putting("v2"), []localtest.Fault{localtest.LoseAnswer}, twice},
		"answer lost, then in process": {putting("v2"), []localtest.Fault{localtest.LoseAnswer, localtest.Refuse(400, "TransactionInProgressException")}, twice + " " + commitCall},
		"answer of a removal lost":     {removing, []localtest.Fault{localtest.LoseAnswer}, twice},
		"all of it": {
			putting("v2"),
			[]localtest.Fault{localtest.Cut, localtest.Cancel("ThrottlingError", "None"), localtest.Cut, localtest.LoseAnswer},
			commitCall + " " + commitCall + " GetItem " + commitCall + " " + commitCall + " " + commitCall,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			before := create(t, room, "aaaaaa")
			took(room)
			room.Wire.Break(commitCall, c.faults...)
			sec := update(t, room, c.decide)
			wantCalls(t, room, c.calls)
			if sec.Revision != 2 {
				t.Errorf("revision = %d, want 2", sec.Revision)
			}
			got, err := room.Another(t).Store.Get(t.Context(), byName)
			if name == "answer of a removal lost" {
				if !errors.Is(err, secret.NotFound) {
					t.Errorf("get: %v, want %v", err, secret.NotFound)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, sec) {
				t.Errorf("stored is %+v, %v\nreturned %+v", got, err, sec)
			}
			if reflect.DeepEqual(got.Stages, before.Stages) {
				t.Errorf("stages are still %v", got.Stages)
			}
		})
	}
}

// The SDK's own retries carry one token, so the engine knows them; a new try of
// ours has another.
func TestTokens(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	var tokens []string
	note := func(f localtest.Fault) localtest.Fault {
		return func(call *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
			body, err := io.ReadAll(call.Body)
			if err != nil {
				return nil, err
			}
			tokens = append(tokens, tokenMember.FindString(string(body)))
			call.Body = io.NopCloser(bytes.NewReader(body))
			return f(call, do)
		}
	}
	room.Wire.Break(commitCall, note(localtest.Cancel("TransactionConflict", "None")), note(localtest.LoseAnswer), note(make1))
	update(t, room, putting("v2"))
	if len(tokens) != 3 || tokens[0] == tokens[1] || tokens[1] != tokens[2] || tokens[0] == "" {
		t.Errorf("tokens = %q, want one and then two alike", tokens)
	}
}

// changes are one of each kind of change.
var changes = map[string]decide{
	"put": putting("v2"), "move": moving("mine", "", "v1"), "policy": puttingPolicy, "rewrap": rewrapping,
	"delete": deleting, "remove": removing, "rotate": rotating("v2"), "test": testingWith("v2"),
	"replicate": replicating, "replace": receiving(replica("bbbbbb", 2, 2, secret.Stages{secret.Current: "w1"}), "w1"),
}

// An answer that was lost is found again where the engine does not know the token
// any more: the commit finds itself in its own way.
func TestOwnCommit(t *testing.T) {
	t.Parallel()
	for fault, faults := range map[string][]localtest.Fault{
		"token forgotten":                  {localtest.LoseAnswer, forget},
		"token forgotten, answer lost":     {localtest.LoseAnswer, lose(forget), forget},
		"token forgotten, then a conflict": {localtest.LoseAnswer, localtest.Cancel("TransactionConflict")},
		"token forgotten, then throttled":  {localtest.LoseAnswer, localtest.Cancel("ThrottlingError"), localtest.Cut},
	} {
		for name, d := range changes {
			t.Run(name+", "+fault, func(t *testing.T) {
				t.Parallel()
				room := localtest.New(t)
				create(t, room, "aaaaaa")
				var once string
				room.Wire.Break(commitCall, faults[0], after(func() { once = dump(t, room) }, faults[1]))
				room.Wire.Break(commitCall, faults[2:]...)
				sec := update(t, room, d)
				if sec.Revision != 2 {
					t.Errorf("revision = %d, want 2", sec.Revision)
				}
				wantUnchanged(t, room, once)
			})
		}
		t.Run("create, "+fault, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			var once string
			room.Wire.Break(commitCall, faults[0], after(func() { once = dump(t, room) }, faults[1]))
			room.Wire.Break(commitCall, faults[2:]...)
			if sec := create(t, room, "aaaaaa"); sec.Revision != 1 || sec.Suffix() != "aaaaaa" {
				t.Errorf("made %+v", sec)
			}
			wantUnchanged(t, room, once)
		})
	}
}

// lose makes a call as f does, and loses the answer.
func lose(f localtest.Fault) localtest.Fault {
	return func(call *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		return localtest.LoseAnswer(call, func() (*http.Response, error) { return f(call, do) })
	}
}

// The own commit is known under those of others.
func TestOwnCommitUnderAnother(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	var top secret.Secret
	room.Wire.Break(commitCall, localtest.LoseAnswer, after(func() { top = update(t, room.Another(t), putting("v3")) }, forget))
	got, err := room.Store.Update(t.Context(), byName, putting("v2"))
	if err != nil || !reflect.DeepEqual(got, top) {
		t.Errorf("got %+v, %v, want it committed, as it is by now: %+v", got, err, top)
	}
	wantStages(t, get(t, room), "[AWSCURRENT:v3 AWSPREVIOUS:v2]")
}

// When no attempt is answered, the caller learns that nobody knows, and asks
// again without harm.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		fault   localtest.Fault
		written bool
		decide  decide
		again   func(error) bool // of the same call made again
	}{
		{"put, lost", localtest.LoseAnswer, true, putting("v2"), isType[*store.VersionExists]},
		{"move, lost", localtest.LoseAnswer, true, moving("mine", "", "v1"), is(nil)},
		{"policy, lost", localtest.LoseAnswer, true, puttingPolicy, is(nil)},
		{"remove, lost", localtest.LoseAnswer, true, removing, is(secret.NotFound)},
		{"rotate, lost", localtest.LoseAnswer, true, rotating("v2"), is(nil)},
		{"test, lost", localtest.LoseAnswer, true, testingWith("v2"), is(nil)},
		{"put, cut", localtest.Cut, false, putting("v2"), is(nil)},
		{"remove, cut", localtest.Cut, false, removing, is(nil)},
		{"put, throttled", localtest.Refuse(400, "ThrottlingException"), false, putting("v2"), is(nil)},
		{"put, in progress", localtest.Refuse(400, "TransactionInProgressException"), false, putting("v2"), is(nil)},
		{"put, engine fails", localtest.Refuse(500, "InternalServerError"), false, putting("v2"), is(nil)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			create(t, room, "aaaaaa")
			before := dump(t, room)
			took(room)
			room.Wire.Break(commitCall, times(attempts, c.fault)...)
			_, err := room.Store.Update(t.Context(), byName, c.decide)
			if err == nil || isType[secret.Error](err) || errors.Is(err, store.ErrBusy) || isType[*store.VersionExists](err) {
				t.Fatalf("error = %v (%T), want one that says nothing about the secret", err, err)
			}
			wantCalls(t, room, strings.TrimSpace(strings.Repeat(commitCall+" ", attempts)))
			if written := dump(t, room) != before; written != c.written {
				t.Errorf("written: %t, want %t", written, c.written)
			}
			if _, err := room.Store.Update(t.Context(), byName, c.decide); !c.again(err) {
				t.Errorf("made again: %v", err)
			}
			if calls := took(room); !strings.HasPrefix(calls, "GetItem") {
				t.Errorf("calls = %q, want a read first: what was remembered may be old", calls)
			}
		})
	}
}

func TestCreateNoAnswer(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	room.Wire.Break(commitCall, times(attempts, localtest.LoseAnswer)...)
	change := making(t, fresh("s", "aaaaaa"))
	if _, err := room.Store.Create(t.Context(), change); err == nil || isType[*store.Exists](err) {
		t.Errorf("error = %v, want one that says nothing about the secret", err)
	}
	change.Secret.ARN = localtest.ARNs.Of("s", "bbbbbb")
	_, err := room.Store.Create(t.Context(), change)
	exists, ok := errors.AsType[*store.Exists](err)
	if !ok || exists.Secret.Suffix() != "aaaaaa" || exists.Secret.Token != "token-of-aaaaaa" {
		t.Errorf("error = %v, want that the first secret exists", err)
	}
}

// A cancelled transaction that does not say why is an error like others.
func TestCancelledWithoutReasons(t *testing.T) {
	t.Parallel()
	for name, d := range changes {
		room := localtest.New(t)
		create(t, room, "aaaaaa")
		before := dump(t, room)
		room.Wire.Break(commitCall, localtest.Cancel())
		if _, err := room.Store.Update(t.Context(), byName, d); err == nil || isType[secret.Error](err) {
			t.Errorf("%s: error = %v, want one that says nothing about the secret", name, err)
		}
		wantUnchanged(t, room, before)
	}
}

// Who is in the way until the deadline makes the store busy: soon, and with nothing written.
func TestBusy(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]localtest.Fault{
		"in a transaction": localtest.Cancel("TransactionConflict", "None"),
		"throttled":        localtest.Cancel("None", "ThrottlingError"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			create(t, room, "aaaaaa")
			before := dump(t, room)
			took(room)
			room.Wire.Break(commitCall, times(10_000, fault)...)
			const limit = 5 * time.Second
			// Nothing leaves the process in here, so the time is made up.
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				began := time.Now()
				asked := 0
				_, err := room.Store.Update(ctx, byName, func(sec secret.Secret) (secret.Change, error) {
					asked++
					return putting("v2")(sec)
				})
				if !errors.Is(err, store.ErrBusy) {
					t.Errorf("error = %v, want %v", err, store.ErrBusy)
				}
				if took := time.Since(began); took > limit || took < limit/2 {
					t.Errorf("took %v of %v", took, limit)
				}
				// Waits grow, so that all who wait do not make it worse.
				if asked < 20 || asked > 200 {
					t.Errorf("tried %d times in %v", asked, limit)
				}
				_, err = room.Store.Create(ctx, making(t, fresh("new", "bbbbbb")))
				if !errors.Is(err, store.ErrBusy) {
					t.Errorf("create: %v, want %v", err, store.ErrBusy)
				}
			})
			wantUnchanged(t, room, before)
		})
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	before := dump(t, room)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, r := range map[string]*localtest.Room{"warm": room, "cold": room.Another(t)} {
		if _, err := r.Store.Update(cancelled, byName, putting("v2")); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error = %v, want %v", name, err, context.Canceled)
		}
	}
	if _, err := room.Store.Get(cancelled, byName); !errors.Is(err, context.Canceled) {
		t.Errorf("get: %v, want %v", err, context.Canceled)
	}
	// Cancelled while it waits for its next try.
	get(t, room)
	ctx, cancel := context.WithCancel(t.Context())
	conflict := localtest.Cancel("TransactionConflict", "None")
	room.Wire.Break(commitCall, conflict, conflict, after(cancel, conflict), conflict)
	took(room)
	if _, err := room.Store.Update(ctx, byName, putting("v2")); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want %v", err, context.Canceled)
	}
	wantCalls(t, room, again(3))
	wantUnchanged(t, room, before)
}

// A change whose time ends before anything of it is sent has not happened, for certain.
func TestCancelledBeforeCommit(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	before := dump(t, room)
	ctx, cancel := context.WithCancel(t.Context())
	took(room)
	_, err := room.Store.Update(ctx, byName, func(sec secret.Secret) (secret.Change, error) {
		cancel()
		return putting("v2")(sec)
	})
	if !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrUncertain) {
		t.Errorf("error = %v, want %v and nothing uncertain", err, context.Canceled)
	}
	wantCalls(t, room, "")
	wantUnchanged(t, room, before)
}

// Who is cancelled between two tries does not wait for the next.
func TestCancelledPromptly(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	room.Wire.Break(commitCall, times(10_000, localtest.Cancel("TransactionConflict", "None"))...)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		time.AfterFunc(3*time.Second, cancel)
		_, err := room.Store.Update(ctx, byName, putting("v2"))
		if took := time.Since(began); !errors.Is(err, context.Canceled) || took != 3*time.Second {
			t.Errorf("error = %v after %v, want %v after 3 s", err, took, context.Canceled)
		}
	})
}

func TestReadFails(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	sec := create(t, room, "aaaaaa")
	sec.PolicyHash = "some"
	cold := room.Another(t)
	for operation, read := range map[string]func() error{
		"GetItem":      func() error { _, err := cold.Store.Get(t.Context(), byName); return err },
		"GetItem ":     func() error { _, _, err := cold.Store.Version(t.Context(), sec, "v1"); return err },
		"GetItem  ":    func() error { _, err := cold.Store.Policy(t.Context(), sec); return err },
		"GetItem   ":   func() error { _, err := cold.Store.Update(t.Context(), byName, putting("v2")); return err },
		"Query":        func() error { _, _, err := cold.Store.Versions(t.Context(), sec, store.Page{Limit: 1}); return err },
		"BatchGetItem": func() error { _, err := cold.Store.Labelled(t.Context(), sec); return err },
	} {
		operation = strings.TrimSpace(operation)
		cold.Wire.Break(operation, localtest.Refuse(400, "ThrottlingException"), localtest.Cut, localtest.LoseAnswer)
		if err := read(); err == nil || isType[secret.Error](err) {
			t.Errorf("%s: error = %v, want one that says nothing about the secret", operation, err)
		}
		cold.Wire.Break(operation, times(attempts, localtest.Refuse(400, "ThrottlingException"))...)
		api, ok := errors.AsType[smithy.APIError](read())
		if !ok || api.ErrorCode() != "ThrottlingException" {
			t.Errorf("%s: error = %v, want the ThrottlingException", operation, api)
		}
	}
}

// A page that its limit ends names a key to go on from, also where nothing follows;
// that is no further page.
func TestNothingFollows(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	sec := update(t, room, putting("v2"))
	took(room)
	room.Wire.Behave(localtest.Cloud{ShortPages: 2})
	got, more, err := room.Store.Versions(t.Context(), sec, store.Page{Limit: 2})
	if err != nil || more || !slices.Equal(idsOf(got), []string{"v1", "v2"}) {
		t.Errorf("versions = %v, more %t, %v, want v1 and v2 and no more", idsOf(got), more, err)
	}
	wantCalls(t, room, "Query Query")
}

func TestUnprocessedKeys(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	update(t, room, putting("v2"))
	sec := update(t, room, putting("v3", secret.Pending))
	want, err := room.Store.Labelled(t.Context(), sec)
	if err != nil {
		t.Fatal(err)
	}
	took(room)
	room.Wire.Behave(localtest.Cloud{Unprocessed: 1})
	got, err := room.Store.Labelled(t.Context(), sec)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) || !slices.Equal(idsOf(got), []string{"v1", "v2", "v3"}) {
		t.Errorf("labelled = %v, want %v", idsOf(got), idsOf(want))
	}
	wantCalls(t, room, "BatchGetItem BatchGetItem BatchGetItem")
}

// However few keys DynamoDB takes at a time, the waits do not grow while it takes some:
// a hundred one by one would otherwise need over ten seconds.
func TestUnprocessedKeysOneByOne(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	synctest.Test(t, func(t *testing.T) {
		names := make([]string, 100)
		for i := range names {
			names[i] = fmt.Sprint("s", i)
		}
		id := secret.ID{Name: "s", Suffix: "aaaaaa"}
		for i := range 25 {
			place(t, room, item{"pk": str("SECRET#s"), "sk": str(fmt.Sprintf("VERSION#aaaaaa#v%02d", i))})
		}
		room.Wire.Behave(localtest.Cloud{Unprocessed: 1})
		began := time.Now()
		if _, err := room.Store.Secrets(t.Context(), names, nil); err != nil {
			t.Fatal(err)
		}
		wantCalls(t, room, strings.TrimSpace(strings.Repeat("BatchGetItem ", 100)))
		if swept, err := room.Store.Sweep(t.Context(), id, told, func(int) bool { return true }); err != nil || !swept {
			t.Fatal(swept, err)
		}
		wantCalls(t, room, "Query"+strings.Repeat(" BatchWriteItem", 25)+" Query BatchWriteItem")
		if took := time.Since(began); took > 300*time.Millisecond {
			t.Errorf("125 keys took %v of waiting, want 2 ms at most for each", took)
		}
	})
}

// A change that is answered too late has happened, and no answer says so. The same
// change made again finds it.
func TestLate(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	room.Wire.Break(commitCall, localtest.Late)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := room.Store.Update(ctx, byName, putting("v2"))
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrBusy) {
			t.Errorf("error = %v, want %v: the change may have happened", err, context.DeadlineExceeded)
		}
	})
	took(room)
	if _, err := room.Store.Update(t.Context(), byName, putting("v2")); !isType[*store.VersionExists](err) {
		t.Errorf("put again: %v, want that the version exists", err)
	}
	if calls := took(room); !strings.HasPrefix(calls, "GetItem") {
		t.Errorf("calls = %q, want a read first: what was remembered is old", calls)
	}
	wantStages(t, get(t, room), "[AWSCURRENT:v2 AWSPREVIOUS:v1]")
}

// A creation that met a conflict with an earlier attempt of its own, and was removed
// since, does not come back: it would have the suffix of what is left of it.
func TestRemovedBetweenOwnAttempts(t *testing.T) {
	t.Parallel()
	remove := func(room *localtest.Room) {
		named := room.Another(t).Store.Named("of another call")
		if _, err := named.Update(t.Context(), byName, removing); err != nil {
			t.Error(err)
		}
	}
	t.Run("create", func(t *testing.T) {
		t.Parallel()
		room := localtest.New(t)
		room.Wire.Break(commitCall, localtest.LoseAnswer, after(func() { remove(room) }, localtest.Cancel("TransactionConflict")))
		if sec := create(t, room, "aaaaaa"); sec.Suffix() != "aaaaaa" {
			t.Errorf("made %+v", sec)
		}
		if _, err := room.Store.Get(t.Context(), byName); !errors.Is(err, secret.NotFound) {
			t.Errorf("it is there again: %v", err)
		}
	})
	t.Run("create, and the removal comes before the client tries again", func(t *testing.T) {
		t.Parallel()
		room := localtest.New(t)
		// The second attempt is refused for the first, and its answer is lost. What the
		// client sends once more is not what was refused, but what may be made now.
		room.Wire.Break(commitCall, localtest.LoseAnswer, localtest.Cancel("TransactionConflict"), after(func() { remove(room) }, localtest.Cut))
		if sec := create(t, room, "aaaaaa"); sec.Suffix() != "aaaaaa" {
			t.Errorf("made %+v", sec)
		}
		if _, err := room.Store.Get(t.Context(), byName); !errors.Is(err, secret.NotFound) {
			t.Errorf("it is there again: %v", err)
		}
	})
	t.Run("remove", func(t *testing.T) {
		t.Parallel()
		room := localtest.New(t)
		create(t, room, "aaaaaa")
		room.Wire.Break(commitCall, localtest.LoseAnswer, after(func() { create(t, room.Another(t), "bbbbbb") }, localtest.Cancel("TransactionConflict")))
		update(t, room, removing)
		if got := get(t, room); got.Suffix() != "bbbbbb" {
			t.Errorf("there is %+v, want the secret that was made since", got)
		}
	})
	for name, then := range map[string]func(*localtest.Room){
		"put":                       func(*localtest.Room) {},
		"put, and there is another": func(room *localtest.Room) { create(t, room.Another(t), "bbbbbb") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			create(t, room, "aaaaaa")
			room.Wire.Break(commitCall, localtest.LoseAnswer, after(func() { remove(room); then(room) }, localtest.Cancel("TransactionConflict")))
			_, err := room.Store.Update(t.Context(), byName, putting("v2"))
			if !errors.Is(err, store.ErrBusy) || !errors.Is(err, store.ErrUncertain) {
				t.Errorf("got %v, want that it may have happened: it did", err)
			}
		})
	}
}
