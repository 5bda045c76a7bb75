package agent

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongroom/strongroom/pkg/refusal"
)

func get(t *testing.T, a *bench, path string, header ...string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Aws-Parameters-Secrets-Token", "EXAMPLE-TOKEN")
	for i := 0; i < len(header); i += 2 {
		r.Header.Del(header[i])
		if header[i+1] != "" {
			r.Header.Set(header[i], header[i+1])
		}
	}
	status, _, body = do(t, r)
	return status, body
}

// Status codes and texts are those in the source of AWS's agent.
func TestGetterRefuses(t *testing.T) {
	t.Parallel()
	const token = "X-Aws-Parameters-Secrets-Token"
	d := newDoor(t, answering(stored))
	a := startAgent(t, d.URL, time.Minute)
	for _, test := range []struct {
		path   string
		header []string
		status int
		body   string
	}{
		{"/ping", []string{token, ""}, 200, "healthy"},
		{"/ping", []string{token, "", "X-Forwarded-For", "192.0.2.1"}, 200, "healthy"},
		{"/secretsmanager/get?secretId=db", []string{token, ""}, 403, "Bad Token"},
		{"/secretsmanager/get?secretId=db", []string{token, "wrong"}, 403, "Bad Token"},
		{"/secretsmanager/get?secretId=db", []string{"X-Forwarded-For", "192.0.2.1"}, 400, "Forwarded"},
		{"/secretsmanager/get?secretId=db", []string{token, "wrong", "X-Forwarded-For", "192.0.2.1"}, 400, "Forwarded"},
		{"/secretsmanager/get", nil, 400, "missing parameter secretId"},
		{"/secretsmanager/get?", nil, 400, "missing parameter secretId"},
		{"/secretsmanager/get?secretId=", nil, 400, "missing parameter secretId"},
		{"/secretsmanager/get?secretId=db&abc=123", nil, 400, "unknown parameter: abc"},
		{"/secretsmanager/get?secretId=db&refreshNow=123", nil, 400, "invalid refreshNow value"},
		{"/secretsmanager/get?secretId=%zz", nil, 400, "invalid URL"},
		{"/v1/", nil, 400, "missing secret ID"},
		{"/v1/db?secretId=db", nil, 400, "unknown parameter: secretId"},
		{"/v1/db?refreshNow=", nil, 400, "invalid refreshNow value"},
		{"/v1", nil, 404, "Not found"},
		{"/", nil, 404, "Not found"},
		{"/secretsmanager/put?secretId=db", nil, 404, "Not found"},
	} {
		if status, body := get(t, a, test.path, test.header...); status != test.status || body != test.body {
			t.Errorf("%s %v: got %d %q, want %d %q", test.path, test.header, status, body, test.status, test.body)
		}
	}
	if d.count() != 0 {
		t.Errorf("%d requests went on", d.count())
	}
	noSecrets(t, a.log.String())
}

func TestGetterTakesNoOtherMethod(t *testing.T) {
	t.Parallel()
	a := startAgent(t, newDoor(t, answering(stored)).URL, time.Minute)
	for _, test := range []struct {
		method, path, token string
		status              int
		body                string
	}{
		{http.MethodPost, "/secretsmanager/get?secretId=db", "EXAMPLE-TOKEN", 405, "Not allowed"},
		{http.MethodPut, "/v1/db", "EXAMPLE-TOKEN", 405, "Not allowed"},
		{http.MethodPost, "/ping", "", 405, "Not allowed"},
		{http.MethodPost, "/v1/db", "", 403, "Bad Token"},
		{http.MethodPut, "/", "", 403, "Bad Token"},
	} {
		r, _ := http.NewRequestWithContext(t.Context(), test.method, a.url+test.path, nil)
		r.Header.Set("X-Vault-Token", test.token)
		if status, _, body := do(t, r); status != test.status || body != test.body {
			t.Errorf("%s %s: got %d %s, want %d %s", test.method, test.path, status, body, test.status, test.body)
		}
	}
}

func TestGetterRefusesPages(t *testing.T) {
	t.Parallel()
	a := startAgent(t, newDoor(t, answering(stored)).URL, time.Minute)
	if status, _ := get(t, a, "/v1/db", "Origin", "http://127.0.0.1:2773"); status != http.StatusForbidden {
		t.Errorf("a page: got %d", status)
	}
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, a.url+"/ping", nil)
	r.Host = "rebound.example"
	if status, _, _ := do(t, r); status != http.StatusForbidden {
		t.Errorf("another host: got %d", status)
	}
}

func TestGetterWithoutToken(t *testing.T) {
	t.Parallel()
	g := newGetter(GetterOptions{CacheSize: 1, MaxConnections: 1, Log: slog.New(slog.DiscardHandler)}, &standIn{})
	for _, token := range []string{"", "x"} {
		r := httptest.NewRequest(http.MethodGet, "/v1/db", nil)
		r.Header.Set("X-Vault-Token", token)
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden {
			t.Errorf("token %q: got %d", token, w.Code)
		}
	}
}

// The answer is that of AWS's agent: the date is a text.
func TestGetterAnswers(t *testing.T) {
	t.Parallel()
	d := newDoor(t, answering(stored))
	a := startAgent(t, d.URL, time.Minute)
	const want = `{"ARN":"arn:aws:secretsmanager:eu-central-1:111122223333:secret:db-AbCdEf","Name":"db","VersionId":"v1","SecretString":"EXAMPLE-VALUE <&>","VersionStages":["AWSCURRENT"],"CreatedDate":"1569534789.046"}`
	for _, test := range []struct{ path, body string }{
		{"/secretsmanager/get?secretId=team%2Fdb", `{"SecretId":"team/db"}`},
		{"/secretsmanager/get?secretId=x&secretId=team%2Fdb2&versionId=v1&versionStage=AWSPREVIOUS", `{"SecretId":"team/db2","VersionId":"v1","VersionStage":"AWSPREVIOUS"}`},
		{"/v1/team/db3?versionStage=AWSPENDING&refreshNow=FALSE", `{"SecretId":"team/db3","VersionStage":"AWSPENDING"}`},
		{"/v1/arn:aws:secretsmanager:eu-central-1:111122223333:secret:a+b-AbCdEf", `{"SecretId":"arn:aws:secretsmanager:eu-central-1:111122223333:secret:a+b-AbCdEf"}`},
	} {
		before := d.count()
		for range 2 {
			if status, body := get(t, a, test.path); status != http.StatusOK || body != want {
				t.Fatalf("%s: got %d %s, want %s", test.path, status, body, want)
			}
		}
		if got := d.bodies[len(d.bodies)-1]; d.count() != before+1 || got != test.body {
			t.Errorf("%s: got %d calls, the last %s, want one, %s", test.path, d.count()-before, got, test.body)
		}
		if status, _ := get(t, a, test.path+"&refreshNow=1"); strings.Contains(test.path, "?") && (status != http.StatusOK || d.count() != before+2) {
			t.Errorf("%s: refreshNow made %d calls", test.path, d.count()-before-1)
		}
	}
	if status, body := get(t, a, "/v1/db", "X-Aws-Parameters-Secrets-Token", "", "X-Vault-Token", "EXAMPLE-TOKEN"); status != http.StatusOK || body != want {
		t.Errorf("with the other header: got %d %s", status, body)
	}
	noSecrets(t, a.log.String())
}

func TestGetterAnswersBinary(t *testing.T) {
	t.Parallel()
	a := startAgent(t, newDoor(t, answering(`{"ARN":"a","Name":"db","VersionId":"v1","SecretBinary":"RVhBTVBMRQ==","VersionStages":["AWSCURRENT"],"CreatedDate":1.5e9}`)).URL, time.Minute)
	const want = `{"ARN":"a","Name":"db","VersionId":"v1","SecretBinary":"RVhBTVBMRQ==","VersionStages":["AWSCURRENT"],"CreatedDate":"1500000000"}`
	if status, body := get(t, a, "/v1/db"); status != http.StatusOK || body != want {
		t.Errorf("got %d %s, want %s", status, body, want)
	}
}

func TestGetterErrors(t *testing.T) {
	t.Parallel()
	refusing := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { refusal.Write(w, status, code, "Some words.") }
	}
	for name, test := range map[string]struct {
		door http.HandlerFunc
		keys error
		want string
	}{
		"not found": {refusing(400, "ResourceNotFoundException"), nil, `400 {"__type":"ResourceNotFoundException","message":"Some words."}`},
		"denied":    {refusing(400, "AccessDeniedException"), nil, `400 {"__type":"AccessDeniedException","message":"Some words."}`},
		"fault":     {refusing(500, "InternalServiceError"), nil, `500 {"__type":"InternalServiceError","message":"Some words."}`},
		"down":      {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil, `502 {"__type":"ConnectionError","message":"Read Error"}`},
		"slow":      {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, nil, `504 {"__type":"TimeoutError","message":"Timeout"}`},
		"no credentials": {
			answering(stored), errors.New("metadata service is gone"),
			`503 {"__type":"InternalServiceError","message":"The agent has no AWS credentials to sign with. Its log says why."}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := startAgent(t, newDoor(t, test.door).URL, 300*time.Millisecond)
			a.keys.set(own(), test.keys)
			status, body := get(t, a, "/v1/db")
			if got := fmt.Sprint(status, " ", strings.TrimSpace(body)); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			noSecrets(t, a.log.String())
		})
	}
}

// An error of the service may repeat what the client sent, and that be a value.
func TestGetterLogsNoMessages(t *testing.T) {
	t.Parallel()
	d := newDoor(t, func(w http.ResponseWriter, _ *http.Request) {
		refusal.Write(w, http.StatusBadRequest, "ValidationException", "Value 'EXAMPLE-VALUE' at 'versionId' failed to satisfy constraint")
	})
	a := startAgent(t, d.URL, time.Minute)
	if status, body := get(t, a, "/v1/db?versionId=EXAMPLE-VALUE"); status != http.StatusBadRequest || !strings.Contains(body, "EXAMPLE-VALUE") {
		t.Errorf("got %d %s", status, body)
	}
	if !strings.Contains(a.log.String(), `"code":"ValidationException"`) || !strings.Contains(a.log.String(), "Strongroom answers 400 to request ") {
		t.Errorf("got the log %s", a.log)
	}
	noSecrets(t, a.log.String())
}

// What another try may mend does not have an answer forgotten.
func TestTransientErrors(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]bool{"ThrottlingException": true, "TooManyRequestsException": true, "ResourceNotFoundException": false, "AccessDeniedException": false, "InvalidSignatureException": false} {
		d := newDoor(t, func(w http.ResponseWriter, _ *http.Request) {
			refusal.Write(w, http.StatusBadRequest, code, "Some words.")
		})
		a := startAgent(t, d.URL, time.Minute)
		_, err := newService(a.client(own(), 1)).fetch(t.Context(), db)
		if _, got := errors.AsType[transient](err); got != want {
			t.Errorf("%s: got transient %t, want %t (%v)", code, got, want, err)
		}
	}
}

// DescribeSecret says where the labels are, and whether the secret is on its way out.
func TestIsCurrent(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		described string
		stage     string
		want      bool
	}{
		{`{"VersionIdsToStages":{"v1":["AWSCURRENT"],"v0":["AWSPREVIOUS"]}}`, "", true},
		{`{"VersionIdsToStages":{"v1":["AWSCURRENT"],"v0":["AWSPREVIOUS"]}}`, "AWSPREVIOUS", false},
		{`{"VersionIdsToStages":{"v2":["AWSCURRENT"],"v1":["AWSPREVIOUS","mine"]}}`, "", false},
		{`{"VersionIdsToStages":{"v2":["AWSCURRENT"],"v1":["AWSPREVIOUS","mine"]}}`, "mine", true},
		{`{"VersionIdsToStages":{"v1":["AWSCURRENT"]},"DeletedDate":1.5e9}`, "", false},
		{`{}`, "", false},
	} {
		d := newDoor(t, answering(test.described))
		a := startAgent(t, d.URL, time.Minute)
		got, err := newService(a.client(own(), 1)).isCurrent(t.Context(), query{SecretID: "db", VersionStage: test.stage}, "v1")
		if err != nil || got != test.want {
			t.Errorf("%s, %q: got %t, %v, want %t", test.described, test.stage, got, err, test.want)
		}
		if target := d.requests[0].Header.Get("X-Amz-Target"); target != "secretsmanager.DescribeSecret" || d.bodies[0] != `{"SecretId":"db"}` {
			t.Errorf("asked %s %s", target, d.bodies[0])
		}
	}
}

func TestGetterIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &standIn{version: "v1", after: time.Minute}
		g := newGetter(GetterOptions{Token: "EXAMPLE-TOKEN", CacheSize: 1, MaxConnections: 2, Timeout: time.Hour, Log: slog.New(slog.DiscardHandler)}, s)
		ask := func(path string) *httptest.ResponseRecorder {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
			r.Header.Set("X-Vault-Token", "EXAMPLE-TOKEN")
			w := httptest.NewRecorder()
			g.ServeHTTP(w, r)
			return w
		}
		for _, path := range []string{"/v1/a", "/v1/b"} {
			go ask(path)
		}
		synctest.Wait()
		if w := ask("/v1/c"); w.Code != http.StatusTooManyRequests || w.Body.String() != "Connection limit exceeded" {
			t.Errorf("one more: got %d %s", w.Code, w.Body)
		}
		if w := ask("/ping"); w.Code != http.StatusOK {
			t.Errorf("ping: got %d %s", w.Code, w.Body)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if w := ask("/v1/c"); w.Code != http.StatusOK {
			t.Errorf("when they have ended: got %d %s", w.Code, w.Body)
		}
	})
}

func TestExtension(t *testing.T) {
	t.Parallel()
	events := []string{`{"eventType":"INVOKE","deadlineMs":1}`, `{"eventType":"SHUTDOWN","shutdownReason":"spindown","deadlineMs":1700000000123}`}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case r.Method == http.MethodPost && r.URL.Path == "/2020-01-01/extension/register" && r.Header.Get("Lambda-Extension-Name") == "strongroom-agent" && string(body) == `{"events":["SHUTDOWN"]}`:
			w.Header().Set("Lambda-Extension-Identifier", "id-1")
			_, _ = io.WriteString(w, `{"functionName":"f","functionVersion":"1","handler":"h"}`)
		case r.Method == http.MethodGet && r.URL.Path == "/2020-01-01/extension/event/next" && r.Header.Get("Lambda-Extension-Identifier") == "id-1":
			_, _ = io.WriteString(w, events[0])
			events = events[1:]
		default:
			t.Errorf("got %s %s %v %s", r.Method, r.URL, r.Header, body)
			http.Error(w, "no", http.StatusForbidden)
		}
	}))
	defer api.Close()
	e := Extension{API: api.Listener.Addr().String(), Name: "strongroom-agent"}
	deadline, err := e.Run(t.Context())
	if err != nil || deadline.UnixMilli() != 1700000000123 {
		t.Errorf("got %v, %v", deadline, err)
	}
	api.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such name", http.StatusForbidden) })
	if _, err := e.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "403") || !strings.Contains(err.Error(), "no such name") {
		t.Errorf("refused: got %v", err)
	}
}
