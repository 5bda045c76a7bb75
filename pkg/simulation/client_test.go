package simulation

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"github.com/strongroom/strongroom/pkg/policy"
)

// A client makes one call after the other, and tries each again as an SDK does.
type client struct {
	*world
	name  string
	calls int
}

// A request is an event before it happens.
type request struct {
	event
	token string // RotationToken
}

const (
	tries    = 3
	guestARN = "arn:aws:iam::000000000000:user/guest"
	hostARN  = "arn:aws:iam::000000000000:user/host"

	guestsMay    = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + guestARN + `"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`
	guestsMayNot = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":{"AWS":"` + guestARN + `"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`
)

// do makes a call and adds it to the history.
func (c *client) do(r request) event {
	c.busy.Add(1)
	defer c.busy.Add(-1)
	c.calls++
	name := fmt.Sprintf("%s call %d", c.name, c.calls)
	e := r.event
	e.Region = c.place(e.Secret).name
	e.Client, e.Called, e.At = name, c.log.tick(), time.Now()
	body, err := json.Marshal(r.members())
	if err != nil {
		panic(err)
	}
	for try := range tries {
		if try > 0 {
			e.Again = !isRead(e.Op)
			time.Sleep(time.Duration(1+drawn(c.seed, fmt.Sprint(name, " pause ", try), 100_000)) * time.Microsecond)
		}
		got := c.try(fmt.Sprintf("%s.%d", name, try+1), name, e, body)
		if got == nil {
			e.Unknown = true
			continue
		}
		code := codeOf(got)
		if code == "" {
			e.Unknown = false
			e.Got, e.Code = read(e, got.Body.Bytes())
			break
		}
		if e.Code = code; got.Code < http.StatusInternalServerError && code != "ThrottlingException" {
			break // after a try whose end is unknown, nobody knows whom the refusal is about
		}
		e.Unknown = true
	}
	if e.Unknown { // others may have lost the same process at this moment
		time.Sleep(time.Duration(1+drawn(c.seed, name+" end", 100_000)) * time.Nanosecond)
	}
	e.Returned, e.Until = c.log.tick(), time.Now()
	if isRead(e.Op) && (e.Unknown || e.Got.More || e.Code == "InternalServiceError") {
		return e // it tells nothing
	}
	if c.hasNewer && (e.Op == opListed && !e.Got.Listed || e.Guest && e.Code == refusedAccess) {
		return e // a secret that cannot be read is not listed, and is not there for guests
	}
	c.log.add(e)
	return e
}

func isRead(op string) bool {
	return op == opGet || op == opShow || op == opListed || op == opBatch || op == opIDs || op == opPolicy
}

// try sends a request to one of the processes. It returns nil when nobody knows what
// became of it.
func (c *client) try(name, invocation string, e event, body []byte) *httptest.ResponseRecorder {
	p := c.any(c.place(e.Secret), name)
	ctx, cancel := context.WithCancel(as(p.ctx, name))
	defer cancel()
	if _, err := c.turns.take(ctx, p, name+" arrives"); err != nil {
		return nil
	}
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(string(body)))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "secretsmanager."+e.Op)
	r.Header.Set("Amz-Sdk-Invocation-Id", invocation)
	r.Header.Set("Amz-Sdk-Request", "attempt="+name[strings.LastIndex(name, ".")+1:])
	caller := policy.Caller{ARN: hostARN, Account: "000000000000", UserID: "host"}
	if e.Guest {
		caller.ARN, caller.UserID = guestARN, "guest"
	}
	answered := make(chan *httptest.ResponseRecorder, 1)
	c.running.Go(func() {
		w := httptest.NewRecorder()
		p.server.Answer(w, r, name, caller)
		answered <- w
	})
	var patience <-chan time.Time
	if c.faults.Load() && drawn(c.seed, name+" hangs up", 10) == 0 {
		patience = time.After(time.Duration(1+drawn(c.seed, name+" patience", 4_000)) * time.Microsecond)
	}
	select {
	case w := <-answered:
		if p.dead.Load() {
			return nil
		}
		if w.Code == http.StatusOK && !isRead(e.Op) {
			if _, kept := c.records.Load(name); !kept {
				c.wrong("%s of %s was answered without a record", e.Op, name)
			}
		}
		return w
	case <-patience:
		c.gone.Store(name, true)
	case <-p.ctx.Done():
	}
	return nil
}

// members are what the request says.
func (r request) members() map[string]any {
	m := map[string]any{"SecretId": nameOf(r.Secret)}
	set := func(name, value string) {
		if value != "" {
			m[name] = value
		}
	}
	switch r.Op {
	case opCreate:
		m = map[string]any{"Name": nameOf(r.Secret)}
		set("ClientRequestToken", r.Version)
		set("SecretString", r.Value)
		r.addReplica(m)
	case opPut:
		set("ClientRequestToken", r.Version)
		set("SecretString", r.Value)
		set("RotationToken", r.token)
		if len(r.Labels) > 0 {
			m["VersionStages"] = r.Labels
		}
	case opUpdate:
		set("ClientRequestToken", r.Version)
		set("SecretString", r.Value)
		m["Description"], m["KmsKeyId"] = r.Description, r.Key
	case opMove:
		set("VersionStage", r.Label)
		set("RemoveFromVersionId", r.From)
		set("MoveToVersionId", r.To)
	case opGet:
		set("VersionId", r.Version)
		set("VersionStage", r.Label)
	case opBatch:
		m = map[string]any{"SecretIdList": []string{nameOf(r.Secret)}}
	case opListed:
		m = map[string]any{"Filters": []any{map[string]any{"Key": "name", "Values": []string{nameOf(r.Secret)}}}}
	case opDelete:
		if m["ForceDeleteWithoutRecovery"] = r.Force; !r.Force {
			m["RecoveryWindowInDays"] = 7
		}
	case opTag:
		m["Tags"] = []any{map[string]string{"Key": r.Label, "Value": r.Value}}
	case opUntag:
		m["TagKeys"] = []string{r.Label}
	case opAllow:
		m["ResourcePolicy"] = r.Value
	case opReplicate:
		r.addReplica(m)
	case opUnreplicate:
		m["RemoveReplicaRegions"] = []string{r.To}
	case opRotate:
		set("ClientRequestToken", r.Version)
		m["RotationLambdaARN"] = "function"
		m["RotationRules"] = map[string]any{"AutomaticallyAfterDays": 1}
	}
	return m
}

// addReplica adds the Region that the secret is to be replicated to, if any.
func (r request) addReplica(m map[string]any) {
	if r.To != "" {
		there := map[string]any{"Region": r.To}
		if r.Key != nil {
			there["KmsKeyId"] = *r.Key
		}
		m["AddReplicaRegions"], m["ForceOverwriteReplicaSecret"] = []any{there}, r.Force
	}
}

func codeOf(w *httptest.ResponseRecorder) string {
	if w.Code == http.StatusOK {
		return ""
	}
	var refusal struct {
		Code string `json:"__type"`
	}
	_ = json.Unmarshal(w.Body.Bytes(), &refusal)
	return refusal.Code
}

// read reads what the model knows of an answer.
func read(e event, body []byte) (got answer, code string) {
	type value struct {
		VersionId, SecretString string
		VersionStages           []string
	}
	var out struct {
		VersionId, SecretString, Description string
		KmsKeyId, ResourcePolicy             string
		SecretValues                         []value
		Errors                               []struct{ ErrorCode string }
		Versions                             []value
		VersionStages                        []string
		VersionIdsToStages                   map[string][]string
		Tags                                 []struct{ Key, Value string }
		DeletedDate                          float64
		SecretList                           []struct{ Name string }
		NextToken, PrimaryRegion             string
		ReplicationStatus                    []struct{ Region string }
	}
	if err := json.Unmarshal(body, &out); err != nil {
		panic(err)
	}
	known := func(labels []string) string {
		if isRotated(e.Secret) {
			labels = slices.DeleteFunc(labels, func(l string) bool { return l == "AWSPENDING" })
		}
		return strings.Join(labels, ",")
	}
	switch e.Op {
	case opGet:
		return answer{Version: out.VersionId, Value: out.SecretString, Labels: known(out.VersionStages)}, ""
	case opBatch:
		if len(out.Errors) > 0 {
			return answer{}, out.Errors[0].ErrorCode
		}
		v := out.SecretValues[0]
		return answer{Version: v.VersionId, Value: v.SecretString, Labels: known(v.VersionStages)}, ""
	case opPolicy:
		switch {
		case strings.Contains(out.ResourcePolicy, "Allow"):
			return answer{Policy: guestsMay}, ""
		case out.ResourcePolicy != "":
			return answer{Policy: guestsMayNot}, ""
		}
		return answer{}, ""
	case opPut:
		return answer{Labels: known(out.VersionStages)}, ""
	case opListed:
		listed := slices.ContainsFunc(out.SecretList, func(s struct{ Name string }) bool { return s.Name == nameOf(e.Secret) })
		return answer{Listed: listed, More: !listed && out.NextToken != ""}, ""
	case opIDs, opShow:
		stages, tags := map[string]string{}, map[string]string{}
		for _, v := range out.Versions {
			for _, label := range v.VersionStages {
				stages[label] = v.VersionId
			}
		}
		for version, labels := range out.VersionIdsToStages {
			for _, label := range labels {
				if _, twice := stages[label]; twice {
					panic("a label on two versions")
				}
				stages[label] = version
			}
		}
		if isRotated(e.Secret) {
			delete(stages, "AWSPENDING")
		}
		for _, tag := range out.Tags {
			tags[tag.Key] = tag.Value
		}
		var replicas []string
		for _, r := range out.ReplicationStatus {
			replicas = append(replicas, r.Region)
		}
		return answer{
			Stages: mapText(stages), Description: out.Description, Key: out.KmsKeyId, Tags: mapText(tags), Deleted: out.DeletedDate != 0,
			Primary: out.PrimaryRegion, Replicas: strings.Join(replicas, ","),
		}, ""
	}
	return answer{}, ""
}

var secrets = []string{"one", "two", rotated}

// live makes calls at random, each decided by the seed and the client's name.
func (c *client) live(calls int) {
	for range calls {
		name := fmt.Sprintf("%s choice %d", c.name, c.calls)
		pick := func(what string, n int) int { return drawn(c.seed, name+what, n) }
		time.Sleep(time.Duration(1+pick("pause", 300_000)) * time.Microsecond)
		c.pass(func() { time.Sleep(time.Duration(1+pick("entry", 100_000)) * time.Microsecond) })
		c.do(c.spread(c.choose(pick), pick))
	}
}

// pass waits until calls may begin, and then a little: no two begin at one moment, where
// it would not be the seed that says which is first.
func (c *client) pass(wait func()) {
	for {
		gate := c.gate.Load()
		<-*gate
		wait()
		if gate == c.gate.Load() {
			return
		}
	}
}

// kinds are the calls, each as often as it is likely.
var kinds = func() []string {
	var all []string
	for _, k := range []struct {
		op    string
		parts int
	}{
		{opCreate, 6},
		{opPut, 16},
		{opGet, 16},
		{opShow, 8},
		{opMove, 9},
		{opUpdate, 5},
		{opDelete, 4},
		{opRestore, 4},
		{opTag, 3},
		{opUntag, 2},
		{opAllow, 5},
		{opForbid, 2},
		{opListed, 3},
		{opRotate, 5},
		{opCancel, 1},
		{opBatch, 5},
		{opIDs, 3},
		{opPolicy, 2},
	} {
		for range k.parts {
			all = append(all, k.op)
		}
	}
	return all
}()

// choose draws a request.
func (c *client) choose(pick func(string, int) int) request {
	e := event{Op: kinds[pick("kind", len(kinds))], Secret: secrets[pick("secret", len(secrets))]}
	if c.calls == 0 {
		e.Op = opCreate
	}
	if e.Op == opRotate || e.Op == opCancel {
		e.Secret = rotated
	}
	// Few versions and values, so that tokens are repeated, by twins too.
	version := func(what string) string { return fmt.Sprintf("%s-version-%024d", e.Secret, pick(what, 12)) }
	switch e.Op {
	case opCreate, opPut:
		e.Version, e.Value = version("version"), fmt.Sprint("value ", pick("value", 3))
		if e.Op == opPut && pick("labelled", 3) == 0 {
			e.Labels = [][]string{{"AWSPENDING"}, {"mine"}, {"AWSCURRENT", "mine"}}[pick("labels", 3)]
		}
		if e.Secret == rotated {
			e.Version, e.Labels = fmt.Sprintf("%s-%024d", strings.ReplaceAll(c.name, " ", "-"), c.calls), nil
		}
	case opUpdate:
		text, key := fmt.Sprint("text ", pick("text", 3)), []string{"", c.here.otherKey}[pick("key", 2)]
		if pick("what", 2) == 0 {
			e.Description = &text
		} else {
			e.Key = &key
		}
		if e.Secret != rotated && pick("also", 2) == 0 {
			e.Version, e.Value = version("version"), fmt.Sprint("value ", pick("value", 3))
		}
	case opMove:
		e.Label = []string{"AWSCURRENT", "mine", "AWSPENDING"}[pick("label", 3)]
		if e.From, e.To = version("from"), version("to"); c.lastSeen(e.Secret) != "" && pick("known", 4) > 0 {
			e.From = c.lastSeen(e.Secret)
		}
		if pick("off", 4) == 0 {
			e.To = ""
		}
		if e.Secret == rotated {
			e.Op, e.Label, e.From, e.To = opShow, "", "", ""
		}
	case opBatch:
		e.Label = "AWSCURRENT"
	case opGet:
		e.Guest = pick("guest", 3) == 0
		switch n := pick("by", 4); {
		case n == 0 && e.Secret != rotated:
			e.Version = version("version")
		case n == 1:
			e.Label = "AWSPREVIOUS"
		default:
			e.Label = "AWSCURRENT"
		}
	case opDelete:
		e.Force = pick("force", 2) == 0
	case opTag, opUntag:
		e.Label = fmt.Sprint("key", pick("key", 2))
		if e.Op == opTag {
			e.Value = fmt.Sprint(pick("value", 3))
		}
	case opAllow:
		e.Value = []string{guestsMay, guestsMayNot}[pick("policy", 2)]
	case opRotate:
		e.Version = fmt.Sprintf("rotation-%s-%024d", strings.ReplaceAll(c.name, " ", "-"), c.calls)
	}
	return request{event: e}
}

// move moves a label to versions that have none, while they may be pruned, and restores
// some secrets while they may be purged. It knows from the table which those are.
func (w *world) move() {
	c := &client{world: w, name: fmt.Sprint("mover ", w.turns.number("mover"))}
	for i := range 4 {
		secret := secrets[i%2]
		head := w.here.head(secret)
		if text(head["deletion"]) != "" && drawn(w.seed, fmt.Sprint(c.name, " restores ", i), 2) == 0 {
			c.do(request{event: event{Op: opRestore, Secret: secret}})
			continue
		}
		if free := w.here.free(head); len(free) > 0 {
			to := free[drawn(w.seed, fmt.Sprint(c.name, i), len(free))]
			c.do(request{event: event{Op: opMove, Secret: secret, Label: "mine", From: stagesOf(head)["mine"], To: to}})
		}
	}
}

// lastSeen is the version that was current when this client looked last.
func (c *client) lastSeen(secret string) string {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	for _, e := range slices.Backward(c.log.events) {
		if strings.HasPrefix(e.Client, c.name+" ") && e.Secret == secret && e.Code == "" && !e.Unknown {
			switch {
			case e.Op == opGet && e.Label == "AWSCURRENT":
				return e.Got.Version
			case (e.Op == opPut || e.Op == opCreate || e.Op == opUpdate) && len(e.Labels) == 0 && e.Version != "":
				return e.Version
			}
		}
	}
	return ""
}
