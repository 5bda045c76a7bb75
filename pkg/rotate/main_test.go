package rotate_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/rotate"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// What tells the test binary that it is a runner in a process of its own.
const (
	runnerTable  = "ROTATE_TEST_TABLE"
	runnerLambda = "ROTATE_TEST_LAMBDA"
	runnerNow    = "ROTATE_TEST_NOW" // in milliseconds
	runnerSecret = "ROTATE_TEST_SECRET"
)

func TestMain(m *testing.M) {
	if table := os.Getenv(runnerTable); table != "" {
		os.Exit(runOne(table))
	}
	os.Exit(m.Run())
}

// runOne is what the process does: it runs the rotation of one secret.
func runOne(table string) int {
	ctx, log := context.Background(), slog.New(slog.NewJSONHandler(os.Stderr, nil))
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Error(err.Error())
		return 1
	}
	ms, _ := strconv.ParseInt(os.Getenv(runnerNow), 10, 64)
	r := &rotate.Rotator{
		Store:  store.New(dynamodb.NewFromConfig(cfg), table, localtest.ARNs),
		Lambda: lambdaAt(os.Getenv(runnerLambda)), StepTimeout: patient, RetryDelay: delay, Parallel: 1,
		Now: time.UnixMilli(ms).UTC, Log: log,
	}
	outcome, err := r.Rotate(ctx, secret.ID{Name: os.Getenv(runnerSecret)})
	log.Info("rotated", "outcome", outcome, "error", err)
	return 0
}

// runner starts a process that rotates a secret.
func (h *house) runner(t testing.TB, name string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(localtest.Shared().Serve(t),
		runnerTable+"="+h.Table, runnerLambda+"="+h.lambda.url, runnerSecret+"="+name,
		runnerNow+"="+strconv.FormatInt(h.clock.Now().UnixMilli(), 10),
	)
	cmd.Stdout, cmd.Stderr = h, h
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// A runner that is killed in the middle of a step, whether the function has run by then
// or not, leaves a rotation that the next one brings to its end when the lease is over.
func TestKilled(t *testing.T) {
	t.Parallel()
	h := open(t)
	lease := 4*patient + 30*time.Second
	for _, step := range steps {
		for _, when := range []string{"before", "after"} {
			name := when + "-" + step
			reached := make(chan struct{})
			h.rotate(t, name)
			h.lambda.breaks(name, step, func(run func() error) answer {
				if when == "after" {
					if err := run(); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
				close(reached)
				return never
			})
			process := h.runner(t, name)
			select {
			case <-reached:
			case <-time.After(patient):
				t.Errorf("%s: the runner does not come to it", name)
			}
			if err := process.Process.Kill(); err != nil { // as kill -9 does
				t.Errorf("%s: %v", name, err)
			}
			if err := process.Wait(); err == nil || process.ProcessState.ExitCode() != -1 {
				t.Errorf("%s: the runner ended with %v, want it killed", name, err)
			}
			killed := h.lambda.took()
			if got, want := stepsOf(killed, name), steps[:slices.Index(steps, step)+1]; !slices.Equal(got, want) {
				t.Errorf("%s: steps %q, want %q", name, got, want)
			}
			h.wantState(t, name, isLeased(1, h.clock.Now().Add(lease)))
			h.wantSound(t, name)
			h.clock.add(lease - time.Millisecond)
			wantOutcomes(t, h.run(t), outcomes{})
			h.clock.add(time.Millisecond)
			wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
			calls := h.lambda.took()
			if got := stepsOf(calls, name); !slices.Equal(got, steps) || calls[0].RotationToken == killed[0].RotationToken {
				t.Errorf("%s: calls %+v, want all steps with another token", name, calls)
			}
			h.wantRotated(t, name, token("v1"), token("v0"))
		}
	}
}
