package simulation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/strongroom/strongroom/pkg/api"
	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/prune"
	"github.com/strongroom/strongroom/pkg/replicate"
	"github.com/strongroom/strongroom/pkg/rotate"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// A process is one of those that serve the table: it shares nothing with the others
// but the wire, and remembers nothing when it is started again.
type process struct {
	*world
	at     *region
	name   string
	newer  bool // of a deployment with a newer format
	ctx    context.Context
	end    context.CancelFunc
	dead   atomic.Bool
	ahead  atomic.Int64 // of its clock, in nanoseconds
	server *api.Server
	rotate *rotate.Rotator
	prune  *prune.Pruner

	replicate *replicate.Replicator
	mu        sync.Mutex
	reached   *store.Store // of the other Region, once it is used
}

var (
	retention = secret.Retention{MaxVersions: 0, MinAge: time.Hour}
	silent    = slog.New(slog.DiscardHandler)
)

func (w *world) newProcess(at *region, name string, newer bool) *process {
	p := &process{world: w, at: at, name: name, newer: newer}
	p.ctx, p.end = context.WithCancel(context.Background())
	link := wire{w, at, p, false}
	table := store.New(link, at.table, at.arns)
	table.Jitter = func(ctx context.Context, bound time.Duration) time.Duration {
		name := who(ctx) + " waits"
		return time.Duration(drawn(w.seed, fmt.Sprint(name, w.turns.number(name)), int(bound)))
	}
	p.server = &api.Server{
		Store:         table,
		Sealer:        &envelope.Sealer{KMS: link, DefaultKey: at.key, Keep: time.Minute},
		ARNs:          at.arns,
		Replicates:    func(region string) bool { return w.region(region) != nil },
		Log:           silent,
		Retention:     retention,
		Policies:      w.policies,
		Resources:     policy.NewCache(10),
		Trail:         trail{p},
		AuditRequired: true,
		Rotator:       starter{p},
		Now:           p.now,
		NewSuffix:     p.newSuffix,
		AnswerStep:    1, // answers do not wait
	}
	p.rotate = &rotate.Rotator{
		Store: table, Lambda: invoker{p}, StepTimeout: stepTimeout, RetryDelay: time.Minute, Parallel: 2,
		Now: p.now, NewID: func() string { return fmt.Sprintf("made-by-the-schedule-%016d", w.births.Add(1)) }, Log: silent, OnEvent: rotate.Recorder(trail{p}, silent),
	}
	p.prune = &prune.Pruner{Store: table, Retention: retention, Trail: trail{p}, Now: p.now, Log: silent}
	p.replicate = &replicate.Replicator{
		Region: replicate.Region{Store: table, Sealer: p.server.Sealer, ARNs: at.arns}, Open: p.open,
		Retention: retention, Parallel: 2, Now: p.now, Log: silent,
	}
	return p
}

func (p *process) now() time.Time { return time.Now().Add(time.Duration(p.ahead.Load())) }

func (p *process) newSuffix() string {
	return p.name[:1] + fmt.Sprintf("%05d", p.births.Add(1))
}

// crash ends a process in the middle of everything: what it has on its way arrives or
// does not, and nothing that it does from now on has an effect.
func (p *process) crash() {
	p.dead.Store(true)
	p.end()
}

// trail keeps the records of a process.
type trail struct{ *process }

// Keep keeps records, unless the driver has it otherwise.
func (t trail) Keep(ctx context.Context, records ...audit.Record) error {
	name := who(ctx) + " record"
	name = fmt.Sprintf("%s #%d", name, t.turns.number(name))
	if v, err := t.turns.take(ctx, t.process, name); err != nil || v == cut || v == refused {
		return errors.Join(errors.New("the record is not kept"), err)
	}
	for _, r := range records {
		if r.RequestID != "" && r.ErrorCode == "" {
			t.records.Store(r.RequestID, true)
		}
	}
	return nil
}

// starter has rotations begun by another process, as functions/api has.
type starter struct{ *process }

// Check says that every function can be invoked.
func (s starter) Check(ctx context.Context, _ string) error {
	if v, err := s.turns.take(ctx, s.process, fmt.Sprintf("%s checks #%d", who(ctx), s.turns.number(who(ctx)+" checks"))); err != nil || v == cut {
		return errors.Join(errCut, err)
	}
	return nil
}

// Start begins a rotation.
func (s starter) Start(ctx context.Context, arn string) error {
	name := fmt.Sprintf("%s starts #%d", who(ctx), s.turns.number(who(ctx)+" starts"))
	if v, err := s.turns.take(ctx, s.process, name); err != nil || v == cut {
		return errors.Join(errCut, err)
	}
	id, err := s.at.arns.Parse(arn)
	if err != nil {
		return err
	}
	runner := s.any(s.at, name)
	s.running.Go(func() {
		ctx := as(runner.ctx, "rotation "+name)
		if _, err := s.turns.take(ctx, runner, name+" begins"); err != nil {
			return
		}
		_, _ = runner.rotate.Rotate(ctx, id)
	})
	return nil
}

// invoker invokes the rotation function.
type invoker struct{ *process }

// Invoke runs a step of a rotation, and waits for it or not, as the driver has it.
func (i invoker) Invoke(ctx context.Context, in *lambda.InvokeInput, _ ...func(*lambda.Options)) (*lambda.InvokeOutput, error) {
	if in.InvocationType == types.InvocationTypeDryRun {
		return &lambda.InvokeOutput{}, nil
	}
	var asked step
	if err := json.Unmarshal(in.Payload, &asked); err != nil {
		return nil, err
	}
	i.noteRunner(asked, i.process)
	name := fmt.Sprintf("function for %s %s", asked.ClientRequestToken, asked.Step)
	name = fmt.Sprintf("%s #%d", name, i.turns.number(name))
	v, err := i.turns.take(ctx, i.process, name)
	if err != nil || v == cut || v == refused {
		return nil, errors.Join(errCut, err)
	}
	if v == done && asked.Step == "createSecret" && i.faults.Load() && drawn(i.seed, name+" dawdles", 6) == 0 {
		v = late // so often that its token is tried after the attempt
	}
	ended := make(chan error, 1)
	i.running.Go(func() {
		if v == late {
			time.Sleep(stepTimeout/2 + time.Duration(drawn(i.seed, name+" lateness", int(2*time.Minute))))
			if v, _ := i.turns.take(context.Background(), nil, name+" late"); v == cut {
				return
			}
		}
		ended <- i.function(name, asked)
	})
	if v == lost {
		return nil, errCut
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case err := <-ended:
		if err != nil {
			return &lambda.InvokeOutput{FunctionError: aws.String("Unhandled")}, nil
		}
		return &lambda.InvokeOutput{}, nil
	}
}

// A step is what a rotation function is given.
type step struct {
	Step, SecretID, ClientRequestToken, RotationToken string
}

// function is the rotation function: like AWS's templates, it can be called again for
// every step.
func (w *world) function(name string, asked step) error {
	c := &client{world: w, name: name}
	id, _ := w.here.arns.Parse(asked.SecretID)
	version := asked.ClientRequestToken
	switch asked.Step {
	case "createSecret":
		_, isOver := w.ended.Load(secret.ProofOf(asked.RotationToken))
		e := c.do(request{event: event{Op: opPut, Secret: id.Name, Version: version, Value: "made for " + version, Labels: []string{"AWSPENDING"}}, token: asked.RotationToken})
		switch maker, made := w.makers.Load(keyOf(versionKey(id, version))); {
		case isOver && made && strings.HasPrefix(maker.(string), c.name+" call "):
			w.wrong("%s: the token of an attempt that had ended was taken", name)
		case isOver && e.Code == refusedAccess:
			w.sometimes("a token of an attempt that had ended was refused")
		}
		return failed(e)
	case "finishSecret":
		shown := c.do(request{event: event{Op: opShow, Secret: id.Name}})
		if err := failed(shown); err != nil {
			return err
		}
		current := shown.Got.version("AWSCURRENT")
		if current == version {
			return nil
		}
		return failed(c.do(request{event: event{Op: opMove, Secret: id.Name, Label: "AWSCURRENT", From: current, To: version}}))
	}
	return nil
}

func failed(e event) error {
	if e.Unknown || e.Code != "" {
		return errors.New("the call failed")
	}
	return nil
}

func (a answer) version(label string) string {
	for _, part := range strings.Fields(a.Stages) {
		if on, version, _ := strings.Cut(part, "="); on == label {
			return version
		}
	}
	return ""
}

// stepTimeout is how long a rotation function may take for a step.
const stepTimeout = 10 * time.Second

// runners are who asked the rotation function last, by version.
type runners struct {
	mu   sync.Mutex
	last map[string]*process
}

func (w *world) noteRunner(asked step, p *process) {
	w.runners.mu.Lock()
	defer w.runners.mu.Unlock()
	if before := w.runners.last[asked.ClientRequestToken]; before != nil && before.dead.Load() && before != p {
		w.sometimes("a rotation was taken over from a process that died")
	}
	w.runners.last[asked.ClientRequestToken] = p
}
