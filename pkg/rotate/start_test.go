package rotate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/rotate"
	"github.com/strongroom/strongroom/pkg/secret"
)

// A function is asked for without being run. What is not about it is an error of
// ours, and no refusal.
func TestCheck(t *testing.T) {
	t.Parallel()
	h := open(t)
	r, _ := h.rotator(t)
	for name, want := range map[string]error{
		function: nil, "good": nil,
		"missing": secret.NotInvokable, "forbidden": secret.NotInvokable, "invalid": secret.NotInvokable,
		"throttled": errOurs, "broken": errOurs,
	} {
		wantCheck(t, name, r.Check(t.Context(), name), want)
	}
	if got := h.logged(); strings.Count(got, "rotation function cannot be invoked") != 3 {
		t.Errorf("logged %s, want each refusal", got)
	}
	r.Lambda = lambdaAt("http://127.0.0.1:1") // nobody is there, as locally before the function is started
	if err := r.Check(t.Context(), function); !errors.Is(err, secret.NotInvokable) {
		t.Errorf("%v, want it to be not invokable", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Check(ctx, function); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
	if got := h.lambda.took(); len(got) > 0 {
		t.Errorf("calls %+v, want none", got)
	}
}

var errOurs = errors.New("an error of ours")

// wantCheck wants no error, the refusal, or any other error.
func wantCheck(t testing.TB, what string, err, want error) {
	t.Helper()
	got := err
	if err != nil && !errors.Is(err, secret.NotInvokable) {
		got = errOurs
	}
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// background is a process that begins the rotations that its API is asked for.
func (h *house) background(ctx context.Context, t testing.TB) *rotate.Background {
	t.Helper()
	r, _ := h.rotator(t)
	b := &rotate.Background{Rotator: r, Context: ctx, ARNs: localtest.ARNs}
	h.Server.Rotator = b
	return b
}

// In one process, RotateSecret begins the rotation at once and does not wait for it.
func TestBackground(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.background(t.Context(), t)
	h.create(t, "s")
	in := asked("s")
	in.RotationLambdaARN = aws.String("missing")
	_, err := h.SDK.RotateSecret(t.Context(), in)
	wantCode(t, err, "AccessDeniedException", secret.NotInvokable.Message)
	if got := h.get(t, "s").Rotation; got != (secret.Rotation{}) {
		t.Errorf("%+v was stored of a refused request", got)
	}

	answered := make(chan struct{})
	h.lambda.breaks("s", "createSecret", meanwhile(func() {
		select {
		case <-answered:
		case <-time.After(patient):
			t.Error("RotateSecret waits for the rotation")
		}
	}))
	must(h.SDK.RotateSecret(t.Context(), asked("s")))(t)
	close(answered)
	b.Wait()
	h.wantRotated(t, "s", token("v1"), token("v0"))

	// One that fails is noted, and no error.
	b = h.background(t.Context(), t)
	h.rotate(t, "s2")
	b.Wait()
	b = h.background(t.Context(), t)
	h.rotateAgain(t, "s2", before(missing))
	b.Wait()
	h.wantState(t, "s2", secret.Waiting{
		Run: secret.Run{Version: token("v8"), From: token("v1"), Attempts: 1, Failure: failureOf("createSecret")}, Due: epoch.Add(delay),
	})

	if err := b.Start(t.Context(), "arn:aws:secretsmanager:us-east-1:111111111111:secret:s-abcdef"); err == nil {
		t.Error("no error for a secret of another account")
	}
	// When the process ends, so do its rotations, without a word: the next process goes on.
	ctx, cancel := context.WithCancel(t.Context())
	b = h.background(ctx, t)
	h.rotateAgain(t, "s", func(run func() error) answer {
		cancel()
		return fine(run)
	})
	b.Wait()
	if l, ok := h.get(t, "s").Rotation.State.(secret.Leased); !ok || l.Version != token("v8") || l.Attempts != 0 {
		t.Errorf("%+v, want a lease, and no attempt", l)
	}
	if strings.Contains(h.logged(), `"not rotated"`) {
		t.Errorf("logged %s", h.logged())
	}
	h.finish(t, "s", "s2")
	h.wantRotated(t, "s", token("v8"), token("v1"))
	h.wantRotated(t, "s2", token("v8"), token("v1"))
}

// In one process not more rotations run at the same time than may; the others wait for
// those, and for no sweep.
func TestBackgroundIsBounded(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.background(t.Context(), t)
	b.Parallel = 2
	begun, goOn := make(chan struct{}, 10), make(chan struct{})
	wait := meanwhile(func() {
		begun <- struct{}{}
		<-goOn
	})
	names := []string{"a", "b", "c", "d"}
	for _, name := range names {
		h.lambda.breaks(name, "createSecret", wait)
		h.rotate(t, name)
	}
	<-begun
	<-begun
	b.Sweep() // no room for it
	for _, name := range names[b.Parallel:] {
		h.wantState(t, name, waits(0, epoch, ""))
	}
	close(goOn)
	until := time.Now().Add(patient)
	for h.get(t, "c").Rotation.State != nil || h.get(t, "d").Rotation.State != nil {
		if time.Now().After(until) {
			t.Fatal("what waited is not rotated")
		}
		time.Sleep(5 * time.Millisecond)
	}
	b.Wait()
	if most := h.lambda.together(); most > b.Parallel {
		t.Errorf("%d rotations ran at the same time, want %d at most", most, b.Parallel)
	}
	for _, name := range names {
		h.wantRotated(t, name, token("v1"), token("v0"))
	}
}

// A sweep does not wait for a function that hangs, and the next one begins what has
// become due meanwhile.
func TestSweep(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.rotate(t, "hangs")
	hangs, goOn := make(chan struct{}), make(chan struct{})
	h.lambda.breaks("hangs", "createSecret", meanwhile(func() {
		close(hangs)
		<-goOn
	}))
	r, _ := h.rotator(t)
	b := &rotate.Background{Rotator: r, Context: t.Context(), ARNs: localtest.ARNs}
	b.Sweep()
	<-hangs
	h.rotate(t, "s")
	rotated := make(chan struct{})
	h.lambda.breaks("s", "finishSecret", then(func() { close(rotated) }))
	b.Sweep()
	select {
	case <-rotated:
	case <-time.After(patient):
		t.Error("a sweep waits for the one before")
	}
	close(goOn)
	b.Wait()
	h.wantRotated(t, "s", token("v1"), token("v0"))
	h.wantRotated(t, "hangs", token("v1"), token("v0"))
}

// What is started while the process ends is begun and waited for, or left alone.
func TestStartDuringWait(t *testing.T) {
	t.Parallel()
	h := open(t)
	const n = 10
	for i := range n {
		name := fmt.Sprint("s", i)
		h.rotate(t, name)
		r, _ := h.rotator(t)
		b := &rotate.Background{Rotator: r, Context: t.Context(), ARNs: localtest.ARNs}
		started := make(chan error)
		arn := h.get(t, name).ARN
		go func() { started <- b.Start(t.Context(), arn) }()
		b.Wait()
		if err := <-started; err != nil {
			t.Error(err)
		}
		b.Wait()
		if state := h.get(t, name).Rotation.State; state != nil && state != waits(0, epoch, "") {
			t.Errorf("%s: state %+v, want it at its end, or not begun", name, state)
		}
		b.Sweep()
		if err := b.Start(t.Context(), arn); err != nil {
			t.Error(err)
		}
	}
	h.run(t)
	for i := range n {
		h.wantRotated(t, fmt.Sprint("s", i), token("v1"), token("v0"))
	}
}

// A runner whose clock is a little behind the API's begins what it is asked to begin.
func TestClockBehind(t *testing.T) {
	t.Parallel()
	for behind, begins := range map[time.Duration]bool{50 * time.Millisecond: true, secret.Skew: true, secret.Skew + time.Millisecond: false} {
		h := open(t)
		b := h.background(t.Context(), t)
		b.Now = func() time.Time { return h.clock.Now().Add(-behind) }
		h.rotate(t, "s")
		b.Wait()
		if state := h.get(t, "s").Rotation.State; (state == nil) != begins {
			t.Errorf("%s behind: state %+v, want it begun and at its end: %t", behind, state, begins)
		}
	}
}

func (h *house) rotateAgain(t testing.TB, name string, m mishap) {
	t.Helper()
	h.lambda.breaks(name, "createSecret", m)
	in := asked(name)
	in.ClientRequestToken = aws.String(token("v8"))
	must(h.SDK.RotateSecret(t.Context(), in))(t)
}

// A Lambda that cannot be had locally says so in words that help.
type nowhere struct{}

func (nowhere) Invoke(context.Context, *lambda.InvokeInput, ...func(*lambda.Options)) (*lambda.InvokeOutput, error) {
	return nil, errors.New("AWS_ENDPOINT_URL_LAMBDA is not set")
}

func TestNowhere(t *testing.T) {
	t.Parallel()
	h := open(t)
	r, _ := h.rotator(t)
	r.Lambda = nowhere{}
	if err := r.Check(t.Context(), function); !errors.Is(err, secret.NotInvokable) || !strings.Contains(h.logged(), "AWS_ENDPOINT_URL_LAMBDA is not set") {
		t.Errorf("%v, logged %s, want it not invokable, and why", err, h.logged())
	}
}

// The last line of a run is a log line, and CloudWatch's metrics in it when there are some.
func TestMetrics(t *testing.T) {
	t.Parallel()
	now := epoch.Add(time.Hour)
	metric := func(all string) string {
		return `"Table":"secrets","_aws":{"CloudWatchMetrics":[{"Dimensions":[["Table"]],"Metrics":[` + all +
			`],"Namespace":"Strongroom"}],"Timestamp":` + fmt.Sprint(now.UnixMilli()) + `},`
	}
	for _, c := range []struct {
		sum  rotate.Summary
		want string
	}{
		{
			rotate.Summary{Secrets: 1, Outcomes: outcomes{rotate.Succeeded: 1}},
			`"RotationsFailed":0,"RotationsGivenUp":0,"OldestRotationDueSeconds":0,` +
				`"RotationsLookedAt":1,"RotationsSucceeded":1,"RotationsAbandoned":0,"RotationsPostponed":0,"RotationsLeftOver":0}`,
		},
		{
			rotate.Summary{Secrets: 1, Outcomes: outcomes{rotate.Failed: 1}},
			`"RotationsFailed":1,"RotationsGivenUp":0,"OldestRotationDueSeconds":0,` + metric(`{"Name":"RotationsFailed","Unit":"Count"}`) +
				`"RotationsLookedAt":1,"RotationsSucceeded":0,"RotationsAbandoned":0,"RotationsPostponed":0,"RotationsLeftOver":0}`,
		},
		{
			rotate.Summary{
				Secrets: 28, Skipped: 7, OldestDue: now.Add(-90*time.Second - 500*time.Millisecond),
				Outcomes: outcomes{rotate.Succeeded: 1, rotate.Failed: 2, rotate.GivenUp: 3, rotate.Abandoned: 4, rotate.Postponed: 5, rotate.NotDue: 6, rotate.Unknown: 7},
			},
			`"RotationsFailed":5,"RotationsGivenUp":3,"OldestRotationDueSeconds":90.5,` +
				metric(`{"Name":"RotationsFailed","Unit":"Count"},{"Name":"RotationsGivenUp","Unit":"Count"},{"Name":"OldestRotationDueSeconds","Unit":"Seconds"}`) +
				`"RotationsLookedAt":28,"RotationsSucceeded":1,"RotationsAbandoned":4,"RotationsPostponed":5,"RotationsLeftOver":7}`,
		},
	} {
		var out bytes.Buffer
		slog.New(slog.NewJSONHandler(&out, nil)).LogAttrs(t.Context(), slog.LevelInfo, "rotated", rotate.Metrics("secrets", c.sum, now)...)
		if _, got, _ := strings.Cut(strings.TrimSpace(out.String()), `"msg":"rotated",`); got != c.want {
			t.Errorf("got\n%s, want\n%s", got, c.want)
		}
	}
}

// What fails of one secret, or of one shard, does not keep the others from their turn.
func TestOneFails(t *testing.T) {
	t.Parallel()
	h := open(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		h.rotate(t, name)
	}
	r, wire := h.rotator(t)
	about := func(what string) localtest.Fault {
		return func(call *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
			body, err := io.ReadAll(call.Body)
			if err != nil {
				return nil, err
			}
			call.Body = io.NopCloser(bytes.NewReader(body))
			if strings.Contains(string(body), what) {
				return localtest.Cut(call, do)
			}
			return do()
		}
	}
	wire.Break("GetItem", slices.Repeat([]localtest.Fault{about(`"SECRET#b"`)}, 100)...)
	sum, err := r.Run(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "b: ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error = %v, want one of b", err)
	}
	wantOutcomes(t, sum, outcomes{rotate.Succeeded: 3, rotate.Unknown: 1})
	if got := h.logged(); strings.Count(got, `"level":"ERROR","msg":"not rotated","secret":"b"`) != 1 {
		t.Errorf("logged:\n%s\nwant a line about b", got)
	}
	r, wire = h.rotator(t)
	wire.Break("Query", slices.Repeat([]localtest.Fault{about(`"ROTATE#3"`)}, 100)...)
	if _, err = r.Run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "shard 3: ") {
		t.Errorf("error = %v, want one of shard 3", err)
	}
	h.finish(t, "a", "b", "c", "d")
	for _, name := range []string{"a", "b", "c", "d"} {
		h.wantRotated(t, name, token("v1"), token("v0"))
	}
}
