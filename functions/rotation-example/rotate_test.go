package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
)

const (
	name     = "MyTestDatabaseSecret"
	first    = "EXAMPLE-1"
	elsewise = "EXAMPLE-ELSEWISE"
	value    = `{"username":"app","password":"` + first + `","host":"db.example","port":5432}`
	// rotationToken is what the service sends; it keeps a hash only.
	rotationToken = "EXAMPLE-ROTATION-TOKEN-0123456789abcdef"
)

// A trial is a function, the service with one secret, and the database.
type trial struct {
	*function
	room *localtest.Room
	arn  string
	logs bytes.Buffer
}

// newTrial makes a secret that logs in to the database.
func newTrial(t *testing.T) *trial {
	t.Helper()
	tr := &trial{room: localtest.New(t)}
	path := filepath.Join(t.TempDir(), "database.json")
	writeDatabase(t, path, map[string]string{"app": first, "other": elsewise})
	db, err := openDatabase(path)
	if err != nil {
		t.Fatal(err)
	}
	tr.function = &function{secrets: tr.room.SDK, database: db, log: slog.New(slog.NewTextHandler(&tr.logs, nil))}
	out, err := tr.secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(name), SecretString: aws.String(value)})
	if err != nil {
		t.Fatal(err)
	}
	tr.arn = *out.ARN
	return tr
}

func writeDatabase(t *testing.T, path string, users map[string]string) {
	t.Helper()
	text, err := json.Marshal(users)
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// begin begins a rotation as the service does, up to the first call of the function.
func (tr *trial) begin(t *testing.T) event {
	t.Helper()
	return tr.rotate(t, true)
}

func (tr *trial) rotate(t *testing.T, immediately bool) event {
	t.Helper()
	out, err := tr.secrets.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
		SecretId: aws.String(name), RotationLambdaARN: aws.String("rotation-example"), RotateImmediately: aws.Bool(immediately),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = tr.room.Store.Update(t.Context(), secret.ID{Name: name}, func(sec secret.Secret) (secret.Change, error) {
		now := time.Now().Add(time.Second)   // later than any clock had it
		sec = sec.CallEnded("runner").Secret // of the rotation before, if there was one
		return sec.Lease(secret.Lease{Runner: "runner", Proof: secret.ProofOf(rotationToken), Until: now.Add(time.Hour)}, now), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return event{SecretId: tr.arn, ClientRequestToken: *out.VersionId, RotationToken: rotationToken}
}

// do does a step that must go well.
func (tr *trial) do(t *testing.T, e event, steps ...string) {
	t.Helper()
	for _, e.Step = range steps {
		if err := tr.handle(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

// refuses does a step that must fail for a reason, and change nothing.
func (tr *trial) refuses(t *testing.T, e event, step, want string) {
	t.Helper()
	before := tr.state(t)
	e.Step = step
	err := tr.handle(t.Context(), e)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: got %v, want %q in it", step, err, want)
	}
	if err != nil {
		hidden(t, err.Error())
	}
	if after := tr.state(t); after != before {
		t.Errorf("%s: got %s after it, want %s", step, after, before)
	}
	hidden(t, tr.logs.String())
}

// hidden looks for what must not be in logs and errors.
func hidden(t *testing.T, text string) {
	t.Helper()
	for _, s := range []string{first, elsewise, rotationToken, "db.example"} {
		if strings.Contains(text, s) {
			t.Errorf("%q is in %s", s, text)
		}
	}
}

// state is all that a step may change.
func (tr *trial) state(t *testing.T) string {
	t.Helper()
	secret, err := tr.secrets.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(name)})
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for version := range secret.VersionIdsToStages {
		values[version] = tr.valueOf(t, version)
	}
	text, err := json.Marshal([]any{secret.VersionIdsToStages, values, tr.users(t)})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// valueOf is the value of a version; empty when it has none yet.
func (tr *trial) valueOf(t *testing.T, version string) string {
	t.Helper()
	out, err := tr.secrets.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String(name), VersionId: aws.String(version)})
	if isNotFound(err) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return *out.SecretString
}

func (tr *trial) users(t *testing.T) map[string]string {
	t.Helper()
	users, err := tr.database.users()
	if err != nil {
		t.Fatal(err)
	}
	return users
}

// labelled is the version with a label.
func (tr *trial) labelled(t *testing.T, label string) string {
	t.Helper()
	secret, err := tr.secrets.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(name)})
	if err != nil {
		t.Fatal(err)
	}
	for version, labels := range secret.VersionIdsToStages {
		if slices.Contains(labels, label) {
			return version
		}
	}
	return ""
}

// put gives the secret another value by hand.
func (tr *trial) put(t *testing.T, value string, labels ...string) string {
	t.Helper()
	out, err := tr.secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: aws.String(name), SecretString: aws.String(value), VersionStages: labels,
	})
	if err != nil {
		t.Fatal(err)
	}
	return *out.VersionId
}

// Each step may be done twice, and the second time changes nothing.
func TestRotation(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	for range 2 { // the second rotation is of a secret that has a previous version
		old := tr.labelled(t, current)
		oldUsers := tr.users(t)
		e := tr.begin(t)
		for _, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
			tr.do(t, e, step)
			before := tr.state(t)
			tr.do(t, e, step)
			if after := tr.state(t); after != before {
				t.Errorf("%s twice: got %s, want %s", step, after, before)
			}
			if step == "createSecret" && (tr.labelled(t, current) != old || !maps.Equal(tr.users(t), oldUsers)) {
				t.Errorf("after createSecret: got %s, want the old version in use", tr.state(t))
			}
			if step != "finishSecret" && tr.labelled(t, current) != old {
				t.Errorf("after %s: got %s, want the old version current", step, tr.state(t))
			}
		}
		if got := tr.labelled(t, current); got != e.ClientRequestToken {
			t.Errorf("got %s as current version, want %s", got, e.ClientRequestToken)
		}
		if got := tr.labelled(t, previous); got != old {
			t.Errorf("got %s as previous version, want %s", got, old)
		}
		tr.checkLogin(t, e.ClientRequestToken, oldUsers["app"])
		hidden(t, tr.logs.String())
	}
}

// checkLogin looks at a value that was made: it has a new password, which is the
// database's, and else all that the one before had.
func (tr *trial) checkLogin(t *testing.T, version, before string) {
	t.Helper()
	text := tr.valueOf(t, version)
	var got struct {
		Username, Password, Host string
		Port                     int
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if got.Username != "app" || got.Host != "db.example" || got.Port != 5432 || len(got.Password) != 32 || got.Password == before {
		t.Errorf("got %s, want the value with another password", text)
	}
	if want := map[string]string{"app": got.Password, "other": elsewise}; !maps.Equal(tr.users(t), want) {
		t.Errorf("got %v in the database, want %v", tr.users(t), want)
	}
	if strings.Contains(tr.logs.String(), got.Password) {
		t.Errorf("the new password is in the log: %s", &tr.logs)
	}
}

// A step whose turn has not come fails, changes nothing, and does not spoil the
// rotation.
func TestWrongOrder(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	e := tr.begin(t)
	const noValue = "read AWSPENDING: "
	tr.refuses(t, e, "setSecret", noValue)
	tr.refuses(t, e, "testSecret", noValue)
	tr.refuses(t, e, "finishSecret", noValue)
	tr.do(t, e, "createSecret")
	const noLogin = "AWSPENDING does not log in to the database"
	tr.refuses(t, e, "testSecret", noLogin)
	tr.refuses(t, e, "finishSecret", noLogin)
	tr.do(t, e, "setSecret", "createSecret", "finishSecret", "setSecret", "createSecret", "testSecret")
	tr.checkLogin(t, e.ClientRequestToken, first)
}

func TestEventsThatAreRefused(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	old := tr.labelled(t, current)
	e := tr.begin(t)
	tr.do(t, e, "createSecret")
	change := func(change func(*event)) event {
		e := e
		change(&e)
		return e
	}
	labelled := tr.put(t, value, "MINE")
	for _, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
		const notPending = "does not have the label AWSPENDING"
		tr.refuses(t, change(func(e *event) { e.ClientRequestToken = strings.Repeat("0", 32) }), step, notPending)
		tr.refuses(t, change(func(e *event) { e.ClientRequestToken = "" }), step, notPending)
		tr.refuses(t, change(func(e *event) { e.ClientRequestToken = labelled }), step, notPending)
		tr.refuses(t, change(func(e *event) { e.SecretId = "unknown" }), step, "ResourceNotFoundException")
	}
	tr.refuses(t, e, "", "this is no step of a rotation")
	tr.refuses(t, e, "deleteSecret", "this is no step of a rotation")

	before := tr.state(t)
	tr.do(t, change(func(e *event) { e.ClientRequestToken = old }), "createSecret", "setSecret", "testSecret", "finishSecret")
	if after := tr.state(t); after != before {
		t.Errorf("for the current version: got %s, want %s", after, before)
	}
}

// Another rotation may begin between two calls of a step: its value is not taken for
// one's own.
func TestAnotherRotation(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	e := tr.begin(t)
	tr.put(t, value, pending)
	if l, err := tr.login(t.Context(), e, pending); err == nil {
		t.Errorf("got the login of %s, want none", l.username)
	}
}

func TestRotationIsNotEnabled(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	e := event{SecretId: tr.arn, ClientRequestToken: tr.put(t, value, pending)}
	const want = "rotation of this secret is not enabled"
	tr.refuses(t, e, "setSecret", want) // never set up
	tr = newTrial(t)
	e = tr.begin(t)
	if _, err := tr.secrets.CancelRotateSecret(t.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: aws.String(name)}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
		tr.refuses(t, e, step, want)
	}
}

// The token goes to the service, which refuses a wrong one.
func TestRotationToken(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	e := tr.begin(t)
	wrong := e
	wrong.RotationToken = strings.ToLower(rotationToken)
	tr.refuses(t, wrong, "createSecret", "put the new value: ")
	if strings.Contains(tr.logs.String(), wrong.RotationToken) {
		t.Errorf("the token is in the log: %s", &tr.logs)
	}
	tr.do(t, e, "createSecret")
}

func TestWithoutRotationToken(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	e := tr.begin(t)
	e.RotationToken = ""
	tr.do(t, e, "createSecret", "setSecret", "testSecret", "finishSecret")
	tr.checkLogin(t, e.ClientRequestToken, first)
}

// RotateImmediately=false tests the function on a copy of the current value.
func TestOnlyTested(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	e := tr.rotate(t, false)
	before := tr.state(t)
	tr.do(t, e, "testSecret")
	if after := tr.state(t); after != before {
		t.Errorf("got %s, want %s", after, before)
	}
	writeDatabase(t, tr.database.path, map[string]string{"app": elsewise})
	tr.refuses(t, e, "testSecret", "AWSPENDING does not log in to the database")
}

// What somebody put by hand, and did not tell the database, does not stop the next
// rotation.
func TestPreviousPassword(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	tr.put(t, strings.ReplaceAll(value, first, elsewise))
	e := tr.begin(t)
	tr.do(t, e, "createSecret", "setSecret", "testSecret", "finishSecret")
	tr.checkLogin(t, e.ClientRequestToken, first)
}

func TestNoPasswordLogsIn(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	writeDatabase(t, tr.database.path, map[string]string{"app": elsewise})
	const want = "neither AWSCURRENT nor AWSPREVIOUS logs in to the database"
	e := tr.begin(t)
	tr.do(t, e, "createSecret")
	tr.refuses(t, e, "setSecret", want) // there is no previous version
	tr.put(t, value)
	e = tr.begin(t)
	tr.do(t, e, "createSecret")
	tr.refuses(t, e, "setSecret", want)
}

// Who may write AWSPENDING may not take over another user.
func TestAnotherUser(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	e := tr.begin(t)
	_, err := tr.secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: aws.String(name), ClientRequestToken: aws.String(e.ClientRequestToken), RotationToken: aws.String(rotationToken),
		SecretString: aws.String(`{"username":"other","password":"` + first + `"}`), VersionStages: []string{pending},
	})
	if err != nil {
		t.Fatal(err)
	}
	tr.do(t, e, "createSecret")
	tr.refuses(t, e, "setSecret", "AWSPENDING is of another user than AWSCURRENT")
}

func TestValuesThatAreNoLogin(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		first,
		`"` + first + `"`,
		`["` + first + `"]`,
		`null`,
		`{"password":"` + first + `"}`,
		`{"username":"` + first + `"}`,
		`{"username":"","password":"` + first + `"}`,
		`{"username":"` + first + `","password":""}`,
		`{"username":"app","password":["` + first + `"]}`,
		`{"username":"app","password":"` + first + `"`,
	} {
		tr := newTrial(t)
		tr.put(t, value)
		tr.refuses(t, tr.begin(t), "createSecret", `AWSCURRENT is not JSON with a "username" and a "password"`)
	}
}

func TestNoCurrentValue(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	out, err := tr.secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("empty")})
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := tr.secrets.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: out.ARN, RotationLambdaARN: aws.String("rotation-example")})
	if err != nil {
		t.Fatal(err)
	}
	tr.refuses(t, event{SecretId: *out.ARN, ClientRequestToken: *rotated.VersionId}, "createSecret", "read AWSCURRENT: ")
}

// The database of the steps must be there, and a step says that it is not.
func TestDatabaseIsGone(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	e := tr.begin(t)
	tr.do(t, e, "createSecret")
	if err := os.Remove(tr.database.path); err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"setSecret", "testSecret", "finishSecret"} {
		e.Step = step
		if err := tr.handle(t.Context(), e); err == nil || !strings.Contains(err.Error(), "the database cannot be read") {
			t.Errorf("%s: got %v, want that the database cannot be read", step, err)
		}
	}
	if got := tr.labelled(t, current); got == e.ClientRequestToken {
		t.Error("the new version is current, and not in the database")
	}
}

func TestOpenDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "database.json")
	for text, want := range map[string]string{
		`{"app":"` + elsewise + `"`: "is not JSON such as",
		`{"app":1}`:                 "is not JSON such as",
		`null`:                      "is not JSON such as",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := openDatabase(path)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), text) {
			t.Errorf("%s: got %v, want %q in it", text, err, want)
		}
	}
	if _, err := openDatabase(""); err == nil || !strings.Contains(err.Error(), "DATABASE_FILE is not set") {
		t.Errorf("got %v, want that DATABASE_FILE is not set", err)
	}
	if _, err := openDatabase(path + ".none"); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("got %v, want that it cannot be read", err)
	}
}
