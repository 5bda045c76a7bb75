package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

var crashKills = flag.Int("kills", 50, "how often TestKilledUnderLoad kills the server")

// A server that is killed while it writes has all it acknowledged when it starts
// again, whole, in a folder that needs no repair. A write without an answer was done
// or was not, and doing it again succeeds.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	l := newLedger()
	r := start(t, "--data", data, "--rate", "0")
	l.prepare(t, r.url)
	kills, starts, opened := 0, 0, time.Duration(0)
	for kills < *crashKills && !t.Failed() {
		wait := l.load(t, r.url)
		time.Sleep(rand.N(40 * time.Millisecond))
		kill(t, r)
		wait()
		killAtStart(t, data)
		kills += 2
		began := time.Now()
		r = start(t, "--data", data, "--rate", "0")
		opened += time.Since(began)
		starts++
		l.check(t, r.url)
	}
	l.checkAll(t, r.url)
	r.interrupt(t)
	if l.acknowledged == 0 || l.unanswered == 0 {
		t.Errorf("%d writes were acknowledged and %d had no answer, want some of each", l.acknowledged, l.unanswered)
	}
	t.Logf("%d kills; %d writes acknowledged, %d without an answer, of which %d were done; ready again in %s on average",
		kills, l.acknowledged, l.unanswered, l.done, (opened / time.Duration(max(1, starts))).Round(time.Millisecond))
}

// kill ends the server at once, and checks what it said until then.
func kill(t *testing.T, r running) {
	t.Helper()
	if err := r.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = r.Wait()
	if said := r.errors.String(); strings.Contains(said, `"level":"ERROR"`) || strings.Contains(said, "goroutine ") {
		t.Errorf("it said %s", said)
	}
}

// killAtStart starts a server and kills it before it is ready, or just after.
func killAtStart(t *testing.T, data string) {
	t.Helper()
	c := exec.Command(program, "--addr", "127.0.0.1:0", "--data", data)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(rand.N(20 * time.Millisecond))
	_ = c.Process.Kill()
	_ = c.Wait()
}

// A server that is killed while it makes its folder makes the rest the next time.
func TestKilledAtFirstStart(t *testing.T) {
	t.Parallel()
	for i := range 25 {
		data := filepath.Join(t.TempDir(), fmt.Sprint("data-", i))
		killAtStart(t, data)
		r := start(t, "--data", data)
		create(t, r.url, "s", "v")
		kill(t, r)
	}
}

// A write is a new version of a secret, or a new secret with its first.
type write struct{ operation, secret, token, value string }

func newWrite(operation, secret string) write {
	token := uuid.NewString()
	return write{operation, secret, token, token + strings.Repeat("x", rand.N(3000))}
}

func (w write) input() map[string]any {
	named := "SecretId"
	if w.operation == "CreateSecret" {
		named = "Name"
	}
	return map[string]any{named: w.secret, "ClientRequestToken": w.token, "SecretString": w.value}
}

// A state is the last one that was acknowledged, and the one that was asked for
// since.
type state struct{ is, asked string }

func (s state) may(be string) bool { return be == s.is || s.asked != "" && be == s.asked }

// A ledger is what the clients of a server know about its data.
type ledger struct {
	mu    sync.Mutex
	acked map[string]write // by token
	fresh []string         // tokens since the last check
	open  []write          // without an answer

	labels  map[string]state // versions of the secret "moved", by label
	current map[string]state // versions of secrets with one writer
	deleted map[string]state // "yes" or "no", by secret

	acknowledged, unanswered, done int
}

func newLedger() *ledger {
	return &ledger{acked: map[string]write{}, labels: map[string]state{}, current: map[string]state{}, deleted: map[string]state{}}
}

// Secrets of the test, beside those it creates on the way.
const (
	movedSecret, sharedSecret, movedVersions = "moved", "shared", 5
)

var ownSecrets = []string{"own-1", "own-2", "own-3"}

// prepare makes the secrets that the load changes.
func (l *ledger) prepare(t *testing.T, url string) {
	t.Helper()
	for _, name := range slices.Concat(ownSecrets, []string{movedSecret, sharedSecret}) {
		w := newWrite("CreateSecret", name)
		l.mustWrite(t, url, w)
		l.current[name] = state{is: w.token}
	}
	for range movedVersions {
		w := newWrite("PutSecretValue", movedSecret)
		l.mustWrite(t, url, w)
		l.labels["AWSCURRENT"], l.labels["blue"] = state{is: w.token}, state{is: w.token}
	}
	in := map[string]any{"SecretId": movedSecret, "VersionStage": "blue", "MoveToVersionId": l.labels["blue"].is}
	if status, body, err := post(url, "UpdateSecretVersionStage", in); status != http.StatusOK {
		t.Fatalf("got %d %s, %v", status, body, err)
	}
}

func (l *ledger) mustWrite(t *testing.T, url string, w write) {
	t.Helper()
	if status, body, err := post(url, w.operation, w.input()); status != http.StatusOK {
		t.Fatalf("%s of %s: got %d %s, %v", w.operation, w.secret, status, body, err)
	}
	l.acknowledge(w)
}

func (l *ledger) acknowledge(w write) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked[w.token] = w
	l.fresh = append(l.fresh, w.token)
	l.acknowledged++
}

// load begins to write, and returns what waits until the server answers no more.
func (l *ledger) load(t *testing.T, url string) (wait func()) {
	var writers sync.WaitGroup
	until := func(step func() bool) {
		writers.Go(func() {
			for step() {
			}
		})
	}
	for _, name := range ownSecrets {
		until(func() bool { return l.putOwn(t, url, name) })
	}
	for range 3 {
		until(func() bool { return l.write(t, url, newWrite("PutSecretValue", sharedSecret)) })
	}
	until(func() bool { return l.move(t, url) })
	until(func() bool { return l.create(t, url) })
	return writers.Wait
}

// write says whether the server answered.
func (l *ledger) write(t *testing.T, url string, w write) bool {
	if !l.answers(t, url, w.operation, w.input()) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.open = append(l.open, w)
		return false
	}
	l.acknowledge(w)
	return true
}

// answers says whether a call was answered. The only answer it takes is success.
func (l *ledger) answers(t *testing.T, url, operation string, in map[string]any) bool {
	status, body, err := post(url, operation, in)
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.unanswered++
		return false
	}
	if status != http.StatusOK {
		t.Errorf("%s %v: got %d %s", operation, in["SecretId"], status, body)
	}
	return status == http.StatusOK
}

func (l *ledger) putOwn(t *testing.T, url, name string) bool {
	w := newWrite("PutSecretValue", name)
	return l.change(l.current, name, w.token, func() bool { return l.write(t, url, w) })
}

// change does what takes an entry to its next state.
func (l *ledger) change(of map[string]state, key, next string, do func() bool) bool {
	l.mu.Lock()
	of[key] = state{of[key].is, next}
	l.mu.Unlock()
	if !do() {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	of[key] = state{is: next}
	return true
}

// move takes both labels of a secret to other versions.
func (l *ledger) move(t *testing.T, url string) bool {
	for _, label := range []string{"AWSCURRENT", "blue"} {
		l.mu.Lock()
		from, to := l.labels[label].is, ""
		for token, w := range l.acked {
			if w.secret == movedSecret && token != from {
				to = token
			}
		}
		l.mu.Unlock()
		in := map[string]any{"SecretId": movedSecret, "VersionStage": label, "RemoveFromVersionId": from, "MoveToVersionId": to}
		if !l.change(l.labels, label, to, func() bool { return l.answers(t, url, "UpdateSecretVersionStage", in) }) {
			return false
		}
	}
	return true
}

// create makes a secret, deletes it and takes it back.
func (l *ledger) create(t *testing.T, url string) bool {
	name := "made-" + uuid.NewString()
	if !l.write(t, url, newWrite("CreateSecret", name)) {
		return false
	}
	in := map[string]any{"SecretId": name}
	l.mu.Lock()
	l.deleted[name] = state{is: "no"}
	l.mu.Unlock()
	return l.change(l.deleted, name, "yes", func() bool { return l.answers(t, url, "DeleteSecret", in) }) &&
		l.change(l.deleted, name, "no", func() bool { return l.answers(t, url, "RestoreSecret", in) })
}

// check compares what is there after a kill with what was acknowledged just before,
// and repeats what had no answer.
func (l *ledger) check(t *testing.T, url string) {
	t.Helper()
	l.checkDeleted(t, url)
	for _, name := range slices.Concat(ownSecrets, []string{movedSecret, sharedSecret}) {
		l.checkLabels(t, url, name)
	}
	for _, token := range l.fresh[max(0, len(l.fresh)-atOnce):] {
		l.checkValue(t, url, l.acked[token])
	}
	l.fresh = l.fresh[:0]
	for _, w := range l.open {
		l.repeat(t, url, w)
		l.current[w.secret] = state{is: w.token}
	}
	l.open = nil
}

// atOnce is how many acknowledged writes are looked at after each kill. All are at
// the end.
const atOnce = 16

// repeat sends a write again that had no answer. It must succeed, whether it was done
// or not.
func (l *ledger) repeat(t *testing.T, url string, w write) {
	t.Helper()
	if status, _, _ := getVersion(url, w); status == http.StatusOK {
		l.done++
		l.checkValue(t, url, w)
	}
	l.mustWrite(t, url, w)
	l.checkValue(t, url, w)
}

// checkAll looks at everything that was ever acknowledged.
func (l *ledger) checkAll(t *testing.T, url string) {
	t.Helper()
	l.check(t, url)
	work := make(chan write)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for w := range work {
				l.checkValue(t, url, w)
			}
		})
	}
	for _, w := range l.acked {
		work <- w
	}
	close(work)
	workers.Wait()
}

func getVersion(url string, w write) (int, string, error) {
	return post(url, "GetSecretValue", map[string]any{"SecretId": w.secret, "VersionId": w.token})
}

func (l *ledger) checkValue(t *testing.T, url string, w write) {
	t.Helper()
	status, body, err := getVersion(url, w)
	var out struct{ SecretString, VersionId string }
	if err != nil || status != http.StatusOK || json.Unmarshal([]byte(body), &out) != nil || out.SecretString != w.value || out.VersionId != w.token {
		t.Errorf("version %s of %s, which was acknowledged: got %d %.200s, %v", w.token, w.secret, status, body, err)
	}
}

// checkLabels looks where the labels of a secret are: AWSCURRENT is somewhere, each is
// on one version, where it was put, and every version with one has a value.
func (l *ledger) checkLabels(t *testing.T, url, name string) {
	t.Helper()
	at := l.versionsByLabel(t, url, name)
	if at["AWSCURRENT"] == "" {
		t.Errorf("%s has no AWSCURRENT", name)
	}
	if s, ok := l.current[name]; ok && slices.Contains(ownSecrets, name) && !s.may(at["AWSCURRENT"]) {
		t.Errorf("AWSCURRENT of %s: got %s, want %v", name, at["AWSCURRENT"], s)
	}
	if name != movedSecret {
		return
	}
	for label, s := range l.labels {
		if !s.may(at[label]) {
			t.Errorf("%s of %s: got %s, want %v", label, name, at[label], s)
		}
		l.labels[label] = state{is: at[label]}
	}
}

func (l *ledger) versionsByLabel(t *testing.T, url, name string) map[string]string {
	t.Helper()
	var out struct{ VersionIdsToStages map[string][]string }
	status, body, err := post(url, "DescribeSecret", map[string]any{"SecretId": name})
	if err != nil || status != http.StatusOK || json.Unmarshal([]byte(body), &out) != nil {
		t.Fatalf("%s: got %d %s, %v", name, status, body, err)
	}
	at := map[string]string{}
	for version, labels := range out.VersionIdsToStages {
		for _, label := range labels {
			if at[label] != "" {
				t.Errorf("%s of %s is on two versions", label, name)
			}
			at[label] = version
		}
		if status, body, err := getVersion(url, write{secret: name, token: version}); status != http.StatusOK {
			t.Errorf("version %s of %s, with labels: got %d %s, %v", version, name, status, body, err)
		}
	}
	return at
}

// checkDeleted looks at which secrets are deleted, and takes those back that are.
func (l *ledger) checkDeleted(t *testing.T, url string) {
	t.Helper()
	for name, s := range maps.Clone(l.deleted) {
		var out struct{ DeletedDate float64 }
		status, body, err := post(url, "DescribeSecret", map[string]any{"SecretId": name})
		if err != nil || status != http.StatusOK || json.Unmarshal([]byte(body), &out) != nil {
			t.Errorf("%s, which was acknowledged: got %d %s, %v", name, status, body, err)
		}
		is := "no"
		if out.DeletedDate != 0 {
			is = "yes"
			if status, body, err := post(url, "RestoreSecret", map[string]any{"SecretId": name}); status != http.StatusOK {
				t.Errorf("%s: got %d %s, %v", name, status, body, err)
			}
		}
		if !s.may(is) {
			t.Errorf("%s is deleted: got %s, want %v", name, is, s)
		}
		delete(l.deleted, name)
	}
}

// keepAlive is the client of this test: its connections stay.
var keepAlive = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 20 * time.Second}

// post sends one call. Its error means that there is no answer, or not all of it.
func post(url, operation string, in map[string]any) (status int, body string, err error) {
	text, err := json.Marshal(in)
	if err != nil {
		return 0, "", err
	}
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(string(text)))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "secretsmanager."+operation)
	answer, err := keepAlive.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = answer.Body.Close() }()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, "", fmt.Errorf("read the answer: %w", err)
	}
	return answer.StatusCode, string(all), nil
}
