package simulation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// Replicas is what the tables of two Regions had.
type replicas struct {
	mu        sync.Mutex
	states    map[string]state // of secrets that are no replicas, by Region, ARN and revision
	delivered map[string]bool  // copies, by Region, name and family
}

// A state is a secret at one revision, with the values of the versions that have a label.
type state struct {
	secret secret.Secret
	policy string
	values map[string]string
}

// A replica is a state that was delivered, as the model has it.
type replica struct {
	model
	isNew bool // it took the place of another secret, of another copy, or of none
}

// isRunner says whether a call is made by a delivery.
func isRunner(ctx context.Context) bool { return strings.HasPrefix(who(ctx), "replicate") }

// state reads a secret that is there, and opens what has a label.
func (w *world) state(at *region, name string) (state, error) {
	ctx, link := context.Background(), wire{w, at, at.processes[0], true}
	table, sealer := w.direct(at), &envelope.Sealer{KMS: link, DefaultKey: at.key}
	sec, err := table.Get(ctx, secret.ID{Name: name})
	if err != nil {
		return state{}, err
	}
	s := state{secret: sec, values: map[string]string{}}
	if s.policy, err = table.Policy(ctx, sec); err != nil {
		return s, err
	}
	versions, err := table.VersionsOf(ctx, sec, sec.Stages.Versions())
	if err != nil {
		return s, err
	}
	for _, v := range versions {
		value, err := sealer.Open(ctx, envelope.Place{ARN: sec.ARN, VersionID: v.ID}, v.Sealed)
		if err != nil {
			return s, fmt.Errorf("version %s: %w", v.ID, err)
		}
		s.values[v.ID] = string(value.Reveal())
	}
	for label, id := range sec.Stages {
		if _, there := s.values[id]; !there && label != secret.Pending {
			return s, fmt.Errorf("label %s is on version %s, which is not there", label, id)
		}
	}
	return s, nil
}

// shown is all that a replica has of its primary.
func (s state) shown() string {
	sec := s.secret
	r := sec.Rotation
	if sec.Tags == nil {
		sec.Tags = []secret.Tag{}
	}
	return fmt.Sprint(sec.Name, sec.Suffix(), sec.Description, sec.Type, mapText(sec.Stages), mapText(s.values), s.policy, sec.Tags,
		sec.Created, sec.Changed, r.Enabled, r.Lambda, r.Rules, r.Anchor, r.Last, r.Next)
}

func (s state) model() model {
	m := model{
		exists: true, values: s.values, stages: maps.Clone(s.secret.Stages), text: s.secret.Description, key: s.secret.KMSKey,
		primary: s.secret.Primary, policy: s.policy,
	}
	if isRotated(s.secret.Name) {
		delete(m.stages, secret.Pending)
	}
	if len(s.secret.Tags) > 0 {
		m.tags = map[string]string{}
	}
	for _, t := range s.secret.Tags {
		m.tags[t.Key] = t.Value
	}
	return m
}

func (s state) id(region string) string {
	return fmt.Sprintf("%s %s %s %d", region, s.secret.Name, s.secret.Suffix(), s.secret.Revision)
}

// noteReplication notes and checks what a transaction did to the head of a secret, and
// begins the deliveries that it noted.
func (w wire) noteReplication(ctx context.Context, in *dynamodb.TransactWriteItemsInput, name string, before, after item) {
	if text(before["revision"]) == text(after["revision"]) && familyOf(before) == familyOf(after) {
		return // it came again, or it is no change of the secret
	}
	w.replicas.mu.Lock()
	defer w.replicas.mu.Unlock()
	switch {
	case len(after) == 0 && text(before["primary"]) != "":
		w.noteWithdrawn(ctx, name, before)
	case len(after) == 0 && isRunner(ctx):
		w.wrong("%s%s is no replica, and was removed by another Region", name, w.at.mark)
	case len(after) > 0:
		s, err := w.state(w.at, name)
		if err != nil {
			w.wrong("%s%s, revision %s: %v", name, w.at.mark, text(after["revision"]), err)
			return
		}
		if s.secret.IsReplica() {
			w.noteDelivered(ctx, s, before)
		} else {
			w.noteOwn(ctx, s, before)
		}
	}
	for _, one := range in.TransactItems {
		if one.Update != nil {
			w.stream(one.Update.Key)
		}
		if one.Put != nil && isRunner(ctx) && strings.HasPrefix(text(one.Put.Item["sk"]), "VERSION#") && *one.Put.ConditionExpression == "attribute_exists(#pk)" {
			w.sometimes("a version without a label came back to a replica")
		}
	}
}

// noteOwn keeps the state of a secret that is no replica. Another Region may have it
// forget its replica, and change nothing else.
func (w wire) noteOwn(ctx context.Context, s state, before item) {
	called := s.secret.Name + w.at.mark
	if w.replicas.states == nil {
		w.replicas.states, w.replicas.delivered = map[string]state{}, map[string]bool{}
	}
	w.replicas.states[s.id(w.at.name)] = s
	if !isRunner(ctx) {
		return
	}
	had := w.replicas.states[fmt.Sprintf("%s %s %s %s", w.at.name, s.secret.Name, text(before["suffix"]), text(before["revision"]))]
	if had.secret.Changed = s.secret.Changed; had.shown() != s.shown() || len(s.secret.Replicas) > 0 {
		w.wrong("%s was changed by another Region from\n%s\nto\n%s", called, had.shown(), s.shown())
	}
	w.log.note(event{Op: opForgotten, Secret: called})
}

// noteWithdrawn is the end of a replica.
func (w wire) noteWithdrawn(ctx context.Context, name string, before item) {
	called := name + w.at.mark
	if !isRunner(ctx) {
		w.wrong("%s is a replica, and was removed by %s", called, who(ctx))
	}
	primary, listed := w.listing(w.other(w.at), name, text(before["suffix"]), w.at.name)
	if listed && fmt.Sprint(primary.Copy) == text(before["copy"]) {
		w.wrong("%s is a replica that its primary has, and was removed", called)
	}
	w.log.note(event{Op: opWithdrawn, Secret: called})
}

// listing is what a secret lists of a Region.
func (w *world) listing(at *region, name, suffix, region string) (secret.Replica, bool) {
	sec, err := w.direct(at).Get(context.Background(), secret.ID{Name: name, Suffix: suffix})
	if err != nil {
		return secret.Replica{}, false
	}
	return sec.ReplicaIn(region)
}

// noteDelivered checks a delivery against what the primary had, and what was there before.
func (w wire) noteDelivered(ctx context.Context, s state, before item) {
	called, other := s.secret.Name+w.at.mark, w.other(w.at)
	if !isRunner(ctx) {
		w.wrong("%s is a replica, and was changed by %s", called, who(ctx))
	}
	want, known := w.replicas.states[s.id(other.name)]
	listed, _ := want.secret.ReplicaIn(w.at.name)
	family := called + " " + s.secret.Family()
	switch {
	case !known:
		w.wrong("%s shows revision %d, which its primary never had", called, s.secret.Revision)
	case want.shown() != s.shown():
		w.wrong("%s shows revision %d as\n%s\nand its primary had\n%s", called, s.secret.Revision, s.shown(), want.shown())
	case listed.Copy != s.secret.Copy || listed.KMSKey != s.secret.KMSKey:
		w.wrong("%s is copy %d under key %q, and its primary lists copy %d under key %q", called, s.secret.Copy, s.secret.KMSKey, listed.Copy, listed.KMSKey)
	}
	isNew := len(before) == 0 || familyOf(before) != s.secret.Family()
	switch {
	case len(before) == 0:
	case !isNew:
		if text(before["primary"]) == "" {
			w.wrong("%s was promoted, and was changed by its old primary", called)
		}
		if revisionOf(before) > s.secret.Revision {
			w.wrong("%s shows revision %d after %s", called, s.secret.Revision, text(before["revision"]))
		}
	case text(before["primary"]) == "":
		isLater := text(before["suffix"]) == s.secret.Suffix() && copyOf(before) > s.secret.Copy
		if !listed.Overwrite || w.replicas.delivered[family] || isLater {
			w.wrong("%s was a secret of its own, and was overwritten", called)
		}
		w.sometimes("a secret was overwritten by force")
	default:
		if text(before["suffix"]) != s.secret.Suffix() || copyOf(before) > s.secret.Copy {
			w.wrong("%s was replica %s, and was overwritten by %s", called, familyOf(before), s.secret.Family())
		}
		w.sometimes("a copy took the place of another")
	}
	w.replicas.delivered[family] = true
	w.log.note(event{Op: opDelivered, Secret: called, Replica: &replica{s.model(), isNew}})
}

func revisionOf(head item) (n int64) { return number64(head["revision"]) }
func copyOf(head item) int64         { return number64(head["copy"]) }

func number64(v types.AttributeValue) (n int64) {
	_, _ = fmt.Sscan(text(v), &n)
	return n
}

// stream begins the delivery that a note asks for, once, twice or not at all.
func (w wire) stream(k item) {
	task, isNote := store.ReplicaTask(text(k["pk"]), text(k["sk"]))
	if !isNote {
		return
	}
	name := "replicate as " + keyOf(k) + w.at.mark + " says"
	name = fmt.Sprintf("%s #%d", name, w.turns.number(name))
	note := w.at.item(k)
	isFirst := number64(note["synced"]) < copyOf(note)
	w.running.Go(func() {
		v, err := w.turns.take(context.Background(), nil, name+" begins")
		if err != nil || v == cut || v == refused {
			return
		}
		oneIn := 6
		if isFirst {
			oneIn = 2
		}
		if w.faults.Load() && drawn(w.seed, name+" meddles", oneIn) == 0 {
			w.running.Go(func() { w.meddle(name, task) })
		}
		runs := 1
		if v != done || drawn(w.seed, name+" twice", 3) == 0 {
			runs = 2
		}
		for i := range runs {
			name := fmt.Sprintf("%s %d", name, i+1)
			p := w.any(w.at, name)
			w.running.Go(func() { _, _ = p.replicate.Tasks(as(p.ctx, name), []store.Task{task}) })
		}
	})
}

// meddle promotes or withdraws a replica while it is delivered, or puts another secret in its
// place.
func (w wire) meddle(name string, task store.Task) {
	c := &client{world: w.world, name: "meddler as " + name}
	c.pass(func() { time.Sleep(time.Duration(1+drawn(w.seed, c.name+" pause", 3_000)) * time.Microsecond) })
	switch there := w.region(task.Region); drawn(w.seed, c.name+" what", 4) {
	case 0:
		c.do(request{event: event{Op: opPromote, Secret: task.ID.Name + there.mark}})
	case 1: // of the copy under way, or of one after it
		if drawn(w.seed, c.name+" again", 2) == 0 {
			c.do(request{event: event{Op: opReplicate, Secret: task.ID.Name + w.at.mark, To: task.Region}})
		}
		c.do(request{event: event{Op: opUnreplicate, Secret: task.ID.Name + w.at.mark, To: task.Region}})
	case 2:
		c.do(request{event: event{Op: opReplicate, Secret: task.ID.Name + w.at.mark, To: task.Region, Force: true}})
	case 3:
		called := task.ID.Name + there.mark
		c.do(request{event: event{Op: opPromote, Secret: called}})
		c.do(request{event: event{Op: opDelete, Secret: called, Force: true}})
		c.do(request{event: event{Op: opCreate, Secret: called, Version: "made-by-the-meddler-000000000001", Value: "theirs"}})
		c.do(request{event: event{Op: opTag, Secret: task.ID.Name + w.at.mark, Label: "key0", Value: "meddler"}})
	}
}

// noteOvertaken notes what came before a delivery.
func (w wire) noteOvertaken(in *dynamodb.TransactWriteItemsInput, head item) {
	update := in.TransactItems[0].Update
	switch {
	case update == nil || text(update.ExpressionAttributeValues[":primary"]) == "":
		w.sometimes("a rival came first")
	case text(head["primary"]) == "" && familyOf(head) == familyOf(item{"suffix": update.ExpressionAttributeValues[":suffix"], "copy": update.ExpressionAttributeValues[":copy"]}):
		w.sometimes("a delivery met a promotion")
	default:
		w.sometimes("two deliveries met")
	}
}

// noteFenced notes a copy that was removed before it came.
func (w wire) noteFenced(in *dynamodb.TransactWriteItemsInput, cancelled *types.TransactionCanceledException) {
	for i, reason := range cancelled.CancellationReasons {
		check := in.TransactItems[i].ConditionCheck
		if check != nil && strings.HasPrefix(text(check.Key["sk"]), "LEFTOVER#") && aws.ToString(reason.Code) == "ConditionalCheckFailed" {
			w.sometimes("a copy that was removed was kept out")
		}
	}
}

// checkSettled checks a note by which a replica is in sync.
func (w wire) checkSettled(k item) {
	task, isNote := store.ReplicaTask(text(k["pk"]), text(k["sk"]))
	if !isNote {
		return
	}
	note := w.at.item(k)
	if len(note) == 0 || text(note["shard"]) != "" || text(note["failure"]) != "" {
		return
	}
	if number64(note["synced"]) < revisionOf(note) {
		w.wrong("%s%s is called in sync in %s at revision %s, and has %s", task.ID.Name, w.at.mark, task.Region, text(note["synced"]), text(note["revision"]))
	}
}

// diverged says what is not as it has to be in the end: of each secret with a replica,
// and of each replica.
func (w *world) diverged() []string {
	var wrong []string
	if !w.isTwo() {
		return nil
	}
	for _, at := range w.regions {
		for _, name := range secrets {
			if what := w.divergence(at, name); what != "" {
				wrong = append(wrong, name+at.mark+" "+what)
			}
		}
	}
	return wrong
}

func (w *world) divergence(at *region, name string) string {
	ctx, other := context.Background(), w.other(at)
	s, err := w.state(at, name)
	if err != nil {
		return wrongUnlessMissing(err)
	}
	there, errThere := w.state(other, name)
	if errThere != nil && wrongUnlessMissing(errThere) != "" {
		return "cannot be read there: " + errThere.Error()
	}
	r, listed := s.secret.ReplicaIn(other.name)
	isMine := errThere == nil && there.secret.Suffix() == s.secret.Suffix() && there.secret.Primary == at.name && there.secret.Copy == r.Copy
	if p, isListed := there.secret.ReplicaIn(at.name); s.secret.IsReplica() && (!isListed || p.Copy != s.secret.Copy || there.secret.Suffix() != s.secret.Suffix()) {
		return "is a replica of none"
	}
	if !listed {
		return ""
	}
	statuses, err := w.direct(at).Replicas(ctx, s.secret)
	if err != nil {
		return err.Error()
	}
	switch status := statuses[0]; {
	case status.InSync && isMine && there.shown() == s.shown():
		return ""
	case status.InSync:
		return "is called in sync, and is not"
	case status.Failure == "":
		return "is in progress"
	case status.Failure == secret.ErrNameTaken.Message && errThere == nil && !there.secret.IsReplica() && there.secret.Suffix() != s.secret.Suffix(),
		status.Failure == secret.ErrNameTaken.Message && errThere == nil && !there.secret.IsReplica() && there.secret.Copy == 0,
		status.Failure == secret.ErrPromoted.Message && errThere == nil && !there.secret.IsReplica() && there.secret.Copy > 0,
		status.Failure == secret.ErrPrimary.Message && errThere == nil && len(there.secret.Replicas) > 0,
		status.Failure == secret.ErrForeign.Message && errThere == nil && there.secret.IsReplica() && !isMine:
		w.sometimes("a replica failed for good")
		return ""
	default:
		return "failed: " + status.Failure
	}
}

func wrongUnlessMissing(err error) string {
	if isMissing := strings.Contains(err.Error(), secret.NotFound.Message); isMissing {
		return ""
	}
	return err.Error()
}

// spread has some calls of a history with two Regions be about replication, and some go to
// the other Region.
func (c *client) spread(r request, pick func(string, int) int) request {
	if !c.isTwo() {
		return r
	}
	e := event{Secret: r.Secret, Force: pick("force it", 2) == 0}
	key := c.regions[1].otherKey
	if e.To = elsewhere; pick("its key", 3) == 0 {
		e.Key = &key
	}
	if head := c.here.head(r.Secret); pick("free", 6) == 0 && !isRotated(r.Secret) && len(c.here.free(head)) > 0 {
		free := c.here.free(head)
		to := free[pick("which", len(free))]
		return request{event: event{Op: opMove, Secret: r.Secret, Label: "mine", From: stagesOf(head)["mine"], To: to}}
	}
	isOver := slices.Contains([]string{opRotate, opCancel}, r.Op)
	switch n := pick("where", 100); {
	case r.Op == opCreate && (n < 60 || c.calls == 0):
		if n%4 > 0 {
			r.To, r.Key, r.Force = e.To, e.Key, e.Force
		}
		return r
	case n < 40:
		return r
	case n < 52:
		e.Op = opReplicate
		return request{event: e}
	case n < 57:
		e.Op = opUnreplicate
		return request{event: e}
	case n < 62:
		return request{event: event{Op: opPromote, Secret: r.Secret + c.regions[1].mark}}
	case n < 65:
		e.Op, e.To, e.Key = opReplicate, c.here.name, nil
		e.Secret += c.regions[1].mark
		return request{event: e}
	case isOver && n < 80:
		return r
	case isOver:
		return request{event: event{Op: opShow, Secret: r.Secret + c.regions[1].mark}}
	case r.Key != nil && *r.Key != "":
		r.Key = &key
	}
	r.Secret += c.regions[1].mark
	return r
}
