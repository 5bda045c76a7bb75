package rotate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
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

// remote is a Lambda with functions/rotate, that answers the same to everything.
func remote(t *testing.T, a answer) (rotate.Remote, *[]string) {
	t.Helper()
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.URL.Path+" "+r.Header.Get("X-Amz-Invocation-Type")+" "+string(body))
		a(w, r)
	}))
	t.Cleanup(server.Close)
	return rotate.Remote{Lambda: lambdaAt(server.URL), Function: "strongroom-rotate"}, &got
}

func text(s string) answer {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }
}

// The service asks functions/rotate, and does not wait for rotations.
func TestRemote(t *testing.T) {
	t.Parallel()
	const path = "/2015-03-31/functions/strongroom-rotate/invocations "
	for name, c := range map[string]struct {
		answer answer
		want   error
	}{
		"invokable":           {text(`{"Invokable":true}`), nil},
		"not invokable":       {text(`{"Invokable":false}`), secret.NotInvokable},
		"it failed":           {failedWith("x"), errOurs},
		"it failed, emulated": {emulated, errOurs},
		"it took too long":    {emulatedTimeout, errOurs},
		"no answer":           {text(""), errOurs},
		"no JSON":             {text("OK"), errOurs},
		"it is missing":       {missing, errOurs},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, got := remote(t, c.answer)
			err := r.Check(t.Context(), function)
			wantCheck(t, name, err, c.want)
			if err != nil && strings.Contains(err.Error(), answerMark) {
				t.Errorf("the error has the answer in it: %v", err)
			}
			if want := []string{path + `RequestResponse {"Check":"` + function + `"}`}; !slices.Equal(*got, want) {
				t.Errorf("invoked with %q, want %q", *got, want)
			}
		})
	}
	arn := localtest.ARNs.Of("s", "abcdef")
	r, got := remote(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	if err := r.Start(t.Context(), arn); err != nil {
		t.Error(err)
	}
	if want := []string{path + `Event {"SecretId":"` + arn + `"}`}; !slices.Equal(*got, want) {
		t.Errorf("invoked with %q, want %q", *got, want)
	}
	r, _ = remote(t, missing)
	if err := r.Start(t.Context(), arn); err == nil {
		t.Error("no error, want one")
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

// The last line of a run is a log line and CloudWatch's metrics in one.
func TestMetrics(t *testing.T) {
	t.Parallel()
	now := epoch.Add(time.Hour)
	units := map[string]string{
		"RotationsLookedAt": "Count", "RotationsSucceeded": "Count", "RotationsFailed": "Count", "RotationsGivenUp": "Count",
		"RotationsAbandoned": "Count", "RotationsPostponed": "Count", "RotationsLeftOver": "Count", "OldestRotationDueSeconds": "Seconds",
	}
	for _, c := range []struct {
		sum  rotate.Summary
		want map[string]float64
	}{
		{rotate.Summary{}, map[string]float64{}},
		{
			rotate.Summary{
				Secrets: 28, Skipped: 7, OldestDue: now.Add(-90*time.Second - 500*time.Millisecond),
				Outcomes: outcomes{rotate.Succeeded: 1, rotate.Failed: 2, rotate.GivenUp: 3, rotate.Abandoned: 4, rotate.Postponed: 5, rotate.NotDue: 6, rotate.Unknown: 7},
			},
			map[string]float64{
				"RotationsLookedAt": 28, "RotationsSucceeded": 1, "RotationsFailed": 5, "RotationsGivenUp": 3,
				"RotationsAbandoned": 4, "RotationsPostponed": 5, "RotationsLeftOver": 7, "OldestRotationDueSeconds": 90.5,
			},
		},
	} {
		var out bytes.Buffer
		slog.New(slog.NewJSONHandler(&out, nil)).LogAttrs(t.Context(), slog.LevelInfo, "rotated", rotate.Metrics("secrets", c.sum, now)...)
		var line struct {
			Table string
			AWS   struct {
				Timestamp         int64
				CloudWatchMetrics []struct {
					Namespace  string
					Dimensions [][]string
					Metrics    []struct{ Name, Unit string }
				}
			} `json:"_aws"`
		}
		values := map[string]any{}
		if err := errors.Join(json.Unmarshal(out.Bytes(), &line), json.Unmarshal(out.Bytes(), &values)); err != nil {
			t.Fatalf("%s: %v", &out, err)
		}
		if len(line.AWS.CloudWatchMetrics) != 1 || line.AWS.Timestamp != now.UnixMilli() {
			t.Fatalf("%s, want one directive and the time in milliseconds", &out)
		}
		directive := line.AWS.CloudWatchMetrics[0]
		if directive.Namespace != "Strongroom" || !reflect.DeepEqual(directive.Dimensions, [][]string{{"Table"}}) || line.Table != "secrets" {
			t.Errorf("directive %+v, want the namespace Strongroom and the table for a dimension", directive)
		}
		got := map[string]string{}
		for _, m := range directive.Metrics {
			got[m.Name] = m.Unit
			if value, ok := values[m.Name].(float64); !ok || value != c.want[m.Name] {
				t.Errorf("%s = %v, want %v", m.Name, values[m.Name], c.want[m.Name])
			}
		}
		if !maps.Equal(got, units) {
			t.Errorf("metrics = %v, want %v", got, units)
		}
		// Nothing else is in the line.
		names := append(slices.Collect(maps.Keys(units)), "Table", "_aws", "time", "level", "msg")
		if got := slices.Sorted(maps.Keys(values)); !slices.Equal(got, slices.Sorted(slices.Values(names))) {
			t.Errorf("members = %q, want %q", got, names)
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
