package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
)

// losing is an HTTP client that loses the answer of its first call.
type losing struct {
	calls atomic.Int32
	then  func() // is called before the second call; may be nil
}

func (l *losing) Do(r *http.Request) (*http.Response, error) {
	n := l.calls.Add(1)
	if n == 2 && l.then != nil {
		l.then()
	}
	answer, err := http.DefaultClient.Do(r)
	if n == 1 && err == nil {
		return nil, errors.Join(errors.New("connection reset"), answer.Body.Close())
	}
	return answer, err
}

func (l *losing) option(o *secretsmanager.Options) { o.HTTPClient = l }

// changes are calls without a client request token, on a secret s with the versions v1
// and v2, whose second try AWS would refuse, or that would change something again.
var changes = map[string]func(ctx context.Context, c *secretsmanager.Client, o func(*secretsmanager.Options)) error{
	"UpdateSecretVersionStage": func(ctx context.Context, c *secretsmanager.Client, o func(*secretsmanager.Options)) error {
		_, err := c.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: aws.String("s"), VersionStage: aws.String("AWSCURRENT"), RemoveFromVersionId: aws.String(token("v1")), MoveToVersionId: aws.String(token("v2")),
		}, o)
		return err
	},
	"DeleteSecret": func(ctx context.Context, c *secretsmanager.Client, o func(*secretsmanager.Options)) error {
		_, err := c.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: aws.String("s")}, o)
		return err
	},
	"UpdateSecret": func(ctx context.Context, c *secretsmanager.Client, o func(*secretsmanager.Options)) error {
		_, err := c.UpdateSecret(ctx, &secretsmanager.UpdateSecretInput{SecretId: aws.String("s"), Description: aws.String("d")}, o)
		return err
	},
	"TagResource": func(ctx context.Context, c *secretsmanager.Client, o func(*secretsmanager.Options)) error {
		_, err := c.TagResource(ctx, &secretsmanager.TagResourceInput{SecretId: aws.String("s"), Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}, o)
		return err
	},
	"PutResourcePolicy": func(ctx context.Context, c *secretsmanager.Client, o func(*secretsmanager.Options)) error {
		_, err := c.PutResourcePolicy(ctx, policyInput("s", document(allowAll)), o)
		return err
	},
}

func twoVersions(t *testing.T) *localtest.Room {
	t.Helper()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	put(t, room, "s", "v2", "two", "AWSPENDING")
	return room
}

func revision(t *testing.T, room *localtest.Room) int64 {
	t.Helper()
	return must(room.Store.Get(t.Context(), secret.ID{Name: "s"}))(t).Revision
}

// A change whose answer was lost is answered when the SDK repeats it, by the same
// process and by another, and happens once.
func TestLostAnswerIsRepeated(t *testing.T) {
	t.Parallel()
	for name, call := range changes {
		room := twoVersions(t)
		before := revision(t, room)
		l := &losing{}
		if err := call(t.Context(), room.SDK, l.option); err != nil || l.calls.Load() != 2 {
			t.Errorf("%s: got %v after %d tries, want success with the second", name, err, l.calls.Load())
		}
		if got := revision(t, room); got != before+1 {
			t.Errorf("%s: got %d revisions, want one", name, got-before)
		}
	}
}

// A new call is judged as AWS judges it, however like the one before it is.
func TestNewCallIsJudgedAnew(t *testing.T) {
	t.Parallel()
	again := changes["UpdateSecretVersionStage"]
	room := twoVersions(t)
	if err := again(t.Context(), room.SDK, once); err != nil {
		t.Fatal(err)
	}
	moved := refusal{"InvalidParameterException", "When you move staging label AWSCURRENT, if you specify RemoveFromVersionId, it must be set to the version that currently has the staging label AWSCURRENT."}
	checkRefused(t, again(t.Context(), room.SDK, once), moved)
}

// A change whose answer was lost happens once, also when others come in between.
func TestLostAnswerBeforeOtherChanges(t *testing.T) {
	t.Parallel()
	for name, call := range changes {
		room := twoVersions(t)
		var after int64
		l := &losing{then: func() {
			must(room.SDK.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: aws.String("s")}))(t)
			for i := range 14 {
				must(room.SDK.TagResource(t.Context(), tagInput("s", tag("key", fmt.Sprint(i)))))(t)
			}
			after = revision(t, room)
		}}
		if err := call(t.Context(), room.SDK, l.option); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := revision(t, room); got != after {
			t.Errorf("%s: it happened again", name)
		}
	}
}

// A forced delete whose answer was lost does not remove the secret that another caller
// made under the name since; and a new one does.
func TestLostForcedDelete(t *testing.T) {
	t.Parallel()
	for _, versions := range []int{0, 1} {
		room := localtest.New(t)
		if versions == 0 {
			createEmpty(t, room, "s")
		} else {
			create(t, room, "s", "v1", "one")
		}
		var made *secretsmanager.CreateSecretOutput
		l := &losing{then: func() { made = create(t, room, "s", "v2", "two") }}
		in := &secretsmanager.DeleteSecretInput{SecretId: aws.String("s"), ForceDeleteWithoutRecovery: aws.Bool(true)}
		out, err := room.SDK.DeleteSecret(t.Context(), in, l.option)
		if err != nil || *out.ARN == *made.ARN {
			t.Errorf("%d versions: got %+v, %v, want the ARN of the secret that is gone", versions, out, err)
		}
		must(room.SDK.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: made.ARN}))(t)
		if out := must(room.SDK.DeleteSecret(t.Context(), in, once))(t); *out.ARN != *made.ARN {
			t.Errorf("%d versions: a new call removed %s, want %s", versions, *out.ARN, *made.ARN)
		}
	}
}

// The invocation ID of another caller, or of another request, says nothing.
func TestInvocationIDGivesNoRight(t *testing.T) {
	t.Parallel()
	room := twoVersions(t)
	post := func(room *localtest.Room, operation, body string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, room.URL, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-amz-json-1.1")
		req.Header.Set("X-Amz-Target", "secretsmanager."+operation)
		req.Header.Set("Amz-Sdk-Invocation-Id", "one-for-all")
		answer, _ := localtest.Do(t, req)
		return answer.StatusCode
	}
	const move = `{"SecretId":"s","VersionStage":"AWSCURRENT","RemoveFromVersionId":"0000000000000000000000000000v1","MoveToVersionId":"0000000000000000000000000000v2"}`
	body := strings.NewReplacer("0000000000000000000000000000v1", token("v1"), "0000000000000000000000000000v2", token("v2")).Replace(move)
	if got := post(room, "UpdateSecretVersionStage", body); got != http.StatusOK {
		t.Fatalf("got %d", got)
	}
	if got := post(guarded(t, room, alice), "UpdateSecretVersionStage", body); got != http.StatusBadRequest {
		t.Errorf("a caller without the right: got %d, want 400", got)
	}
	if got := post(guarded(t, room, alice, allowAll), "UpdateSecretVersionStage", body); got != http.StatusBadRequest {
		t.Errorf("another caller: got %d, want the refusal of a new call", got)
	}
	if got := post(room, "UpdateSecret", `{"SecretId":"s","Description":"d"}`); got != http.StatusOK || aws.ToString(describe(t, room, "s").Description) != "d" {
		t.Errorf("another operation: got %d, want it made", got)
	}
	if got := post(room, "UpdateSecret", `{"SecretId":"s","Description":"e"}`); got != http.StatusOK || aws.ToString(describe(t, room, "s").Description) != "e" {
		t.Errorf("another body: got %d, want it made", got)
	}
	// A value is never acknowledged for one that is not stored.
	put := func(value string) int {
		return post(room, "PutSecretValue", `{"SecretId":"s","ClientRequestToken":"`+token("v9")+`","SecretString":"`+value+`"}`)
	}
	if got := put("nine"); got != http.StatusOK {
		t.Errorf("a put: got %d", got)
	}
	if got := put("other"); got != http.StatusBadRequest {
		t.Errorf("its token with another value: got %d, want 400", got)
	}
	made := func(value string) int {
		return post(room, "CreateSecret", `{"Name":"made","ClientRequestToken":"`+token("m1")+`","SecretString":"`+value+`"}`)
	}
	if first, other := made("A"), made("B"); first != http.StatusOK || other != http.StatusBadRequest {
		t.Errorf("create with one value and then another: got %d and %d, want 200 and 400", first, other)
	}
}

// holding is an HTTP client that gives up its first call, which goes on without it, and
// makes the others to another process.
type holding struct {
	calls atomic.Int32
	begun chan struct{} // the first call is under way
	ended sync.WaitGroup
	other *localtest.Room
}

func (h *holding) Do(r *http.Request) (*http.Response, error) {
	if h.calls.Add(1) > 1 {
		r.URL.Host = strings.TrimPrefix(h.other.URL, "http://")
		return http.DefaultClient.Do(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	abandoned := r.Clone(context.WithoutCancel(r.Context())) // API Gateway does not tell a function that its caller is gone
	abandoned.Body = io.NopCloser(bytes.NewReader(body))
	h.ended.Go(func() {
		if answer, err := http.DefaultClient.Do(abandoned); err == nil {
			_ = answer.Body.Close()
		}
	})
	<-h.begun
	return nil, errors.New("connection reset")
}

// A try that found nothing to do was answered for the call. An earlier one that is still under
// way does nothing any more, whatever others have changed since.
func TestTryAfterItsCall(t *testing.T) {
	t.Parallel()
	room := twoVersions(t)
	begun, goOn := make(chan struct{}), make(chan struct{})
	held := room.Another(t)
	held.Wire.Break("GetItem", func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		close(begun)
		<-goOn
		return do()
	})
	client := &holding{begun: begun, other: room.Another(t)}
	if _, err := held.SDK.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: aws.String("s")}, func(o *secretsmanager.Options) { o.HTTPClient = client }); err != nil {
		t.Fatal(err)
	}
	schedule(t, room, "s")
	close(goOn)
	client.ended.Wait()
	if describe(t, room, "s").DeletedDate == nil {
		t.Error("the secret was restored after it was deleted")
	}
}
