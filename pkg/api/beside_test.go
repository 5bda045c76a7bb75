package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

// busily makes a call again and again, in a process of its own, until stop is called,
// which returns how often it succeeded.
func busily(t *testing.T, room *localtest.Room, call func(ctx context.Context, room *localtest.Room, i int) error) (stop func() int) {
	t.Helper()
	other := room.Another(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	done := 0
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			if call(ctx, other, i) == nil {
				done++
			}
		}
	})
	return func() int {
		cancel()
		wg.Wait()
		return done
	}
}

func putsPolicies(name string) func(context.Context, *localtest.Room, int) error {
	return func(ctx context.Context, room *localtest.Room, i int) error {
		text := strings.Replace(document(allowAll), `"Effect"`, fmt.Sprintf(`"Sid":"a%d","Effect"`, i), 1)
		_, err := room.SDK.PutResourcePolicy(ctx, &secretsmanager.PutResourcePolicyInput{SecretId: &name, ResourcePolicy: &text})
		return err
	}
}

func putsValues(name string) func(context.Context, *localtest.Room, int) error {
	return func(ctx context.Context, room *localtest.Room, i int) error {
		_, err := room.SDK.PutSecretValue(ctx, putInput(name, fmt.Sprintf("b%d", i), "x"))
		return err
	}
}

// A caller that puts policies without a pause holds up no other: not those that put
// values, nor those that read them, nor those that list.
func TestBesidePolicyPuts(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for i := range 20 {
		create(t, room, fmt.Sprintf("s%02d", i), "v1", "one")
	}
	stops := []func() int{
		busily(t, room, putsPolicies("s07")), busily(t, room, putsPolicies("s07")), busily(t, room, putsValues("s07")),
	}
	reader := room.Another(t)
	for range 40 {
		for operation, body := range map[string]string{"GetSecretValue": `{"SecretId":"s07"}`, "ListSecrets": `{}`, "GetResourcePolicy": `{"SecretId":"s07"}`} {
			if answer, text := reader.Post(t, operation, body); answer.StatusCode != http.StatusOK {
				t.Errorf("%s: got %d %s", operation, answer.StatusCode, text)
			}
		}
	}
	for i, stop := range stops {
		if n := stop(); n < 5 {
			t.Errorf("writer %d got on %d times only", i, n)
		}
	}
}

// A secret that is put without a pause gets another key all the same.
func TestRekeyBesidePuts(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	createUnder(t, room, "s", newKey(t))
	put(t, room, "s", "v1", "one")
	for i := range 17 {
		put(t, room, "s", fmt.Sprintf("l%d", i), "x", fmt.Sprintf("label%d", i))
	}
	stop := busily(t, room, putsValues("s"))
	other := room.Another(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var to string
	for range 5 {
		to = newKey(t)
		if _, err := other.SDK.UpdateSecret(ctx, &secretsmanager.UpdateSecretInput{SecretId: aws.String("s"), KmsKeyId: &to}, once); err != nil {
			t.Error(err)
		}
	}
	if n := stop(); n < 1 { // it is a matter of a moment how many
		t.Errorf("%d puts got on", n)
	}
	if got := aws.ToString(describe(t, room, "s").KmsKeyId); got != to {
		t.Errorf("got key %s, want %s", got, to)
	}
}
