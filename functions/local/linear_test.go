//go:build unix

package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

var linearFor = flag.Duration("linear", 0, "how long TestLinearizable goes on; 0 for one history of each kind")

const (
	// leastRate is how many calls a second a history must have had to count.
	leastRate = 20
	// checkFor is how long the checker may take for one secret.
	checkFor = time.Minute
	// callsOfClient and clientsOfSecret keep the checker's work small.
	callsOfClient, clientsOfSecret = 30, 3
)

// A kindOfHistory is what is done to the servers, once, in the middle of a history.
type kindOfHistory struct {
	servers int
	fault   func(*linearRun)
}

var kindsOfHistory = map[string]kindOfHistory{
	"killed":                      {1, (*linearRun).killServer},
	"stopped":                     {1, (*linearRun).stopServer},
	"interrupted":                 {1, (*linearRun).interruptServer},
	"two, of which one is killed": {2, (*linearRun).killServer},
	"two, of which one is stopped while clients hang up": {2, (*linearRun).stopServer},
}

// Whatever many clients see of the built server, there is an order of their calls in
// which each answer is right and none comes before its call: although the server is
// killed, stopped for a while or started again, and with two servers of one table.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	for name, kind := range kindsOfHistory {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls, unknown := 0, 0
			// A fault that came when all calls were done does not count.
			for began, n := time.Now(), 0; n == 0 || !t.Failed() && (unknown == 0 && n < 20 || time.Since(began) < *linearFor); n++ {
				r := newLinearRun(t, kind, rand.Uint64())
				r.play()
				r.check(name)
				calls += len(r.calls)
				unknown += r.unknown
			}
			t.Logf("%d calls, of which %d without an answer", calls, unknown)
			if unknown == 0 {
				t.Error("every call of 20 histories was answered, so nothing was done to the servers while they worked")
			}
		})
	}
}

// A linearServer is a server of a history. No call to it begins while it is down.
type linearServer struct {
	args []string
	mu   sync.RWMutex
	running
}

// A linearRun is one history.
type linearRun struct {
	t       *testing.T
	kind    kindOfHistory
	seed    uint64
	clients int
	env     []string
	servers []*linearServer

	done atomic.Int64  // calls
	hit  chan struct{} // closed when it is time for the fault

	mu      sync.Mutex
	began   time.Time
	calls   []porcupine.Operation
	unknown int
	hangUp  map[string]context.CancelFunc // of the last call, by secret
	seen    map[string]map[string]string  // the labels last seen, by secret
	puts    map[string][]callOf           // the last ones, by secret
}

func newLinearRun(t *testing.T, kind kindOfHistory, seed uint64) *linearRun {
	t.Helper()
	r := &linearRun{
		t: t, kind: kind, seed: seed, clients: 8 + int(seed%25), hit: make(chan struct{}),
		hangUp: map[string]context.CancelFunc{}, seen: map[string]map[string]string{}, puts: map[string][]callOf{},
	}
	if kind.servers > 1 {
		r.env = localtest.NewEngines().Serve(t)
	}
	dir := t.TempDir()
	for i := range kind.servers {
		data := filepath.Join(dir, fmt.Sprint("data-", i))
		args := []string{"--data", data, "--audit", filepath.Join(dir, fmt.Sprint("audit-", i)), "--rate", "0"}
		r.servers = append(r.servers, &linearServer{args: args, running: startWith(t, r.env, args...)})
	}
	return r
}

// play has all clients call, and the fault happen when half of the calls are done.
func (r *linearRun) play() {
	r.began = time.Now()
	var clients sync.WaitGroup
	for n := range r.clients {
		clients.Go(func() { r.client(n) })
	}
	<-r.hit
	r.kind.fault(r)
	clients.Wait()
	for _, server := range r.servers {
		server.interrupt(r.t)
	}
}

func (r *linearRun) client(n int) {
	rng := rand.New(rand.NewPCG(r.seed, uint64(n)))
	for range callsOfClient {
		r.call(n, r.next(rng), rng.IntN(len(r.servers)))
		if r.done.Add(1) == int64(r.clients*callsOfClient/2) {
			close(r.hit)
		}
	}
}

// next makes up a call.
func (r *linearRun) next(rng *rand.Rand) callOf {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := callOf{secret: fmt.Sprint("s", rng.IntN(r.clients/clientsOfSecret))}
	puts := r.puts[c.secret]
	earlier := callOf{version: uuid.NewString()}
	if len(puts) > 0 {
		earlier = puts[rng.IntN(len(puts))]
	}
	switch choice := rng.IntN(100); {
	case len(puts) == 0 || choice < 3:
		c.operation, c.version, c.value = "CreateSecret", uuid.NewString(), "created"
	case choice < 25:
		c.operation, c.version = "PutSecretValue", uuid.NewString()
		c.value = c.version + strings.Repeat("x", rng.IntN(2000))
	case choice < 32: // a repeated token, often of a put that is under way
		c.operation, c.version, c.value = "PutSecretValue", puts[len(puts)-1].version, puts[len(puts)-1].value
		return c
	case choice < 35: // for another value
		c.operation, c.version, c.value = "PutSecretValue", earlier.version, "another value"
		return c
	case choice < 50:
		c.operation, c.label, c.to = "UpdateSecretVersionStage", []string{"AWSCURRENT", "blue", "green"}[rng.IntN(3)], earlier.version
		c.from = r.seen[c.secret][c.label]
		return c
	case choice < 65:
		c.operation = "DescribeSecret"
		return c
	case choice < 80:
		c.operation, c.label = "GetSecretValue", []string{"AWSCURRENT", "AWSCURRENT", "AWSPREVIOUS", "blue"}[rng.IntN(4)]
		return c
	case choice < 90:
		c.operation, c.version = "GetSecretValue", earlier.version
		return c
	case choice < 93:
		c.operation = "DeleteSecret"
		return c
	default:
		c.operation = "RestoreSecret"
		return c
	}
	r.puts[c.secret] = append(puts[max(0, len(puts)-8):len(puts):len(puts)], c)
	return c
}

// call makes a call and notes what came of it.
func (r *linearRun) call(client int, c callOf, server int) {
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	to := r.servers[server]
	to.mu.RLock()
	url := to.url
	r.mu.Lock()
	r.hangUp[c.secret] = cancel
	called := time.Since(r.began)
	r.mu.Unlock()
	to.mu.RUnlock()
	tries := 0
	err := c.make(ctx, url, &tries)
	r.mu.Lock()
	defer r.mu.Unlock()
	returned := time.Since(r.began)
	refusal, isRefusal := errors.AsType[smithy.APIError](err)
	switch {
	case isRefusal && refusal.ErrorCode() == "InternalServiceError" || err != nil && !isRefusal, isRefusal && tries > 1:
		// An earlier try of a refused one may have been a success.
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" && tries == 1 {
			return // it reached nobody
		}
		r.unknown++
		if c.operation == "GetSecretValue" || c.operation == "DescribeSecret" {
			return // it says nothing
		}
		c.unknown = true
		returned = time.Duration(math.MaxInt64)
	case isRefusal:
		c.code = refusal.ErrorCode()
	}
	r.calls = append(r.calls, porcupine.Operation{ClientId: client, Input: c, Call: int64(called), Return: int64(returned)})
	if c.operation == "DescribeSecret" && err == nil {
		r.seen[c.secret] = stagesIn(c.answered)
	}
}

// stagesIn reads what describedAs wrote.
func stagesIn(described string) map[string]string {
	stages := map[string]string{}
	for part := range strings.FieldsSeq(described) {
		label, version, _ := strings.Cut(part, "=")
		stages[label] = version
	}
	return stages
}

// make makes a call with an SDK client. One that may be repeated is, also while the
// server starts again.
func (c *callOf) make(ctx context.Context, url string, tries *int) error {
	sdk := secretsmanager.New(localtest.Client(url).Options(), func(o *secretsmanager.Options) {
		o.HTTPClient = countTries{tries}
		o.Retryer = aws.NopRetryer{}
		if c.operation == "PutSecretValue" || c.operation == "CreateSecret" || c.operation == "GetSecretValue" || c.operation == "DescribeSecret" {
			o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = 50, 100*time.Millisecond })
		}
	})
	id := &c.secret
	var err error
	switch c.operation {
	case "CreateSecret":
		_, err = sdk.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: id, ClientRequestToken: &c.version, SecretString: &c.value})
	case "PutSecretValue":
		_, err = sdk.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: id, ClientRequestToken: &c.version, SecretString: &c.value})
	case "UpdateSecretVersionStage":
		in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: id, VersionStage: &c.label, MoveToVersionId: &c.to}
		if c.from != "" {
			in.RemoveFromVersionId = &c.from
		}
		_, err = sdk.UpdateSecretVersionStage(ctx, in)
	case "DeleteSecret":
		_, err = sdk.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: id})
	case "RestoreSecret":
		_, err = sdk.RestoreSecret(ctx, &secretsmanager.RestoreSecretInput{SecretId: id})
	case "DescribeSecret":
		c.answered, err = describeAsText(ctx, sdk, id)
	case "GetSecretValue":
		in := &secretsmanager.GetSecretValueInput{SecretId: id}
		if c.version != "" {
			in.VersionId = &c.version
		} else {
			in.VersionStage = &c.label
		}
		var out *secretsmanager.GetSecretValueOutput
		if out, err = sdk.GetSecretValue(ctx, in); err == nil {
			c.answered = gottenAs(*out.VersionId, *out.SecretString, out.VersionStages)
		}
	}
	return err
}

func describeAsText(ctx context.Context, sdk *secretsmanager.Client, id *string) (string, error) {
	out, err := sdk.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: id})
	if err != nil {
		return "", err
	}
	var on stages
	for version, labels := range out.VersionIdsToStages {
		for _, label := range labels {
			i := slices.Index(linearLabels[:], label)
			if i < 0 || on[i] != "" {
				return label + " is on two versions, or nobody put it there", nil
			}
			on[i] = version
		}
	}
	return describedAs(on, out.DeletedDate != nil), nil
}

// countTries counts the tries of a call.
type countTries struct{ n *int }

func (c countTries) Do(req *http.Request) (*http.Response, error) {
	*c.n++
	return keepAlive.Do(req)
}

// killServer kills a server in the middle of its calls and starts it again at the same
// address.
func (r *linearRun) killServer() {
	r.restart(func(s running) { kill(r.t, s) })
}

// interruptServer has a server end in its own time, when some clients have hung up.
func (r *linearRun) interruptServer() {
	r.restart(func(s running) {
		r.hangUpSome()
		s.interrupt(r.t)
	})
}

func (r *linearRun) restart(end func(running)) {
	s := r.servers[0]
	s.mu.Lock()
	defer s.mu.Unlock()
	end(s.running)
	at := strings.TrimPrefix(s.url, "http://")
	s.running = startWith(r.t, r.env, append(slices.Clone(s.args), "--addr", at)...)
}

// stopServer stops a server in the middle of its calls, for about as long as many calls
// take. Some clients hang up, and what they asked for is done afterwards or never.
func (r *linearRun) stopServer() {
	p := r.servers[0].Process
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		r.t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	r.hangUpSome()
	if err := p.Signal(syscall.SIGCONT); err != nil {
		r.t.Fatal(err)
	}
}

// hangUpSome ends the last call of each secret, unless it is answered already. If more
// ended, the checker could not try all orders of those whose outcome nobody knows.
func (r *linearRun) hangUpSome() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, cancel := range r.hangUp {
		cancel()
	}
}

// check holds the history of each secret against the model.
func (r *linearRun) check(name string) {
	took := time.Since(r.began)
	if rate := float64(len(r.calls)) / took.Seconds(); rate < leastRate {
		r.t.Errorf("%s, seed %d: does not count: %.0f calls a second, want %d", name, r.seed, rate, leastRate)
		return
	}
	bySecret := map[string][]porcupine.Operation{}
	for _, op := range r.calls {
		secret := op.Input.(callOf).secret
		bySecret[secret] = append(bySecret[secret], op)
	}
	for secret, history := range bySecret {
		switch result := checkWithin(history, checkFor); result {
		case porcupine.Ok:
		case porcupine.Illegal:
			r.t.Errorf("%s, seed %d: no order explains the history of %s:\n%s", name, r.seed, secret, told(history))
		default:
			r.t.Errorf("%s, seed %d: the checker came to no end within %s for %d calls of %s", name, r.seed, checkFor, len(history), secret)
		}
	}
}

// checkWithin checks with a deadline of its own, for the case that the checker misses
// its own.
func checkWithin(history []porcupine.Operation, patience time.Duration) porcupine.CheckResult {
	result := make(chan porcupine.CheckResult, 1)
	go func() { result <- porcupine.CheckOperationsTimeout(linear, history, patience) }()
	select {
	case r := <-result:
		return r
	case <-time.After(patience + 5*time.Second):
		return porcupine.Unknown
	}
}

// told is a history as people read it. A star is before each call that the longest order
// found does not explain.
func told(history []porcupine.Operation) string {
	placed := map[callOf]int{}
	_, info := porcupine.CheckOperationsVerbose(linear, history, checkFor)
	for _, orders := range info.PartialLinearizationsOperations() {
		longest := slices.MaxFunc(orders, func(a, b []porcupine.Operation) int { return len(a) - len(b) })
		for _, op := range longest {
			placed[op.Input.(callOf)]++
		}
	}
	history = slices.SortedFunc(slices.Values(history), func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	var b strings.Builder
	for _, op := range history {
		mark := " "
		if c := op.Input.(callOf); placed[c] > 0 {
			placed[c]--
		} else {
			mark = "*"
		}
		fmt.Fprintf(&b, "%s %12d-%-20d client %d %v\n", mark, op.Call, op.Return, op.ClientId, op.Input)
	}
	return b.String()
}
