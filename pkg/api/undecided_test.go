package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// An operation that answers without asking whether the caller may have the answer
// fails, and the answer does not go out.
func TestUndecided(t *testing.T) { //nolint:paralleltest // it adds operations, which other tests read
	const answer = "EXAMPLE-answer"
	type input struct{}
	run := func(right right, decide bool) (int, string) {
		operations["Undecided"] = handle(right, func(c *call, ctx context.Context, _ input) (string, error) {
			if decide {
				return answer, c.authorize(ctx, secret.Secret{Name: "s"})
			}
			return answer, nil
		})
		defer delete(operations, "Undecided")
		s := &Server{Store: store.New(nil, "", secret.ARNs{Account: "000000000000"}), Sealer: &envelope.Sealer{}, ARNs: secret.ARNs{Account: "000000000000"}, Policies: policy.AllowAll(), Resources: policy.NewCache(1)}
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}"))
		r.Header.Set("Content-Type", jsonType)
		r.Header.Set("X-Amz-Target", "secretsmanager.Undecided")
		w := httptest.NewRecorder()
		s.Answer(w, r, "id", policy.Caller{ARN: "arn:aws:iam::000000000000:user/a", Account: "000000000000"})
		return w.Code, w.Body.String()
	}
	for _, right := range []right{onSecret, onNew} {
		if status, body := run(right, false); status != http.StatusInternalServerError || strings.Contains(body, answer) {
			t.Errorf("right %d: got %d %s, want a fault without the answer", right, status, body)
		}
		if status, body := run(right, true); status != http.StatusOK || !strings.Contains(body, answer) {
			t.Errorf("right %d, decided: got %d %s, want the answer", right, status, body)
		}
	}
}
