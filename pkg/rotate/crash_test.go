package rotate_test

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/rotate"
	"github.com/strongroom/strongroom/pkg/secret"
)

// crashingLambda is Lambda for a process that crashes.
type crashingLambda struct {
	rotate.Lambda
	*localtest.Crash
}

func (l crashingLambda) Invoke(ctx context.Context, in *lambda.InvokeInput, o ...func(*lambda.Options)) (out *lambda.InvokeOutput, err error) {
	err = l.Call(func() (err error) {
		out, err = l.Lambda.Invoke(ctx, in, o...)
		return err
	})
	return out, err
}

// A runner that crashes at any of its calls, before the call or after it, leaves a
// rotation that the next runs bring to the same end as if nothing had been.
func TestCrashAnywhere(t *testing.T) {
	t.Parallel()
	crashes := 0
	for _, after := range []bool{false, true} {
		for at := int64(1); ; at++ {
			h := open(t)
			h.rotate(t, "s")
			crash := &localtest.Crash{At: at, After: after}
			r, wire := h.rotator(t)
			crash.On(wire)
			r.Lambda = crashingLambda{r.Lambda, crash}
			_, err := r.Run(t.Context())
			h.wantSound(t, "s")
			h.finish(t, "s")
			h.wantRotated(t, "s", token("v1"), token("v0"))
			h.wantAlone(t)
			wantOutcomes(t, h.run(t), outcomes{})
			if got := h.get(t, "s").Rotation.InFlight; got != (secret.Call{}) {
				t.Errorf("%+v is in flight, want none", got)
			}
			if t.Failed() {
				t.Fatalf("after a crash at call %d (it was made: %t)", at, after)
			}
			if crash.Calls() < at { // there is no such call
				if err != nil {
					t.Error(err)
				}
				break
			}
			crashes++
		}
	}
	// A query for each shard, seven calls of the store and four of the function.
	if want := 2 * (8 + 7 + 4); crashes != want {
		t.Errorf("%d crashes, want %d: each call, before and after", crashes, want)
	}
}
