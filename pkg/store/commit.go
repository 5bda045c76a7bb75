package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/secret"
)

// A rival error says that a commit was overtaken: by a newer revision of the secret,
// or by its removal.
type rival struct {
	secret secret.Secret
	found  bool
}

func (r *rival) Error() string { return "the secret was changed meanwhile" }

// A commit is a change that is being made durable: from the secret as it was seen,
// of revision 0 when it is not there yet, to the next one.
type commit struct {
	*Store
	seen, next secret.Secret
	change     secret.Change
	// again says that an earlier try may have made the secret, which may be removed since.
	again bool
}

// commit makes a change durable that was decided on seen. The name is that of all
// tries together and stays on the head: a try that finds it there was preceded by one
// that did happen.
func (s *Store) commit(ctx context.Context, seen secret.Secret, change secret.Change, name string, again bool) (secret.Secret, error) {
	next := change.Secret
	next.Revision, next.Commit, next.Past = cmp.Or(change.Revision, seen.Revision+1), name, seen.Past.And(name)
	next.Rotation.Abandoned = ""
	if next.Abandoned(seen) {
		next.Rotation.Abandoned = seen.Rotation.Run().Version
	}
	if next.KMSKey != seen.KMSKey || len(change.IDs(secret.Copy))+len(change.IDs(secret.Overwrite)) > 0 {
		next.Keyed = next.Revision
	}
	c := &commit{s, seen, next, change, again}
	steps, err := c.steps()
	if err == nil {
		err = ctx.Err() // nothing is sent after the deadline, so nothing is uncertain
	}
	if err != nil {
		return secret.Secret{}, err
	}
	switch err := s.transact(ctx, steps); {
	case errors.Is(err, errCommitted):
		return c.next, nil
	case err != nil:
		return secret.Secret{}, c.lost(err)
	case change.Outcome == secret.Removed:
		s.heads.remove(next.Name)
		return next, nil
	}
	s.remember(next)
	if change.Version != nil {
		v := *change.Version
		v.Revision = next.Revision
		s.versions.add(versionName(next, v.ID), v)
	}
	return next, nil
}

// errCommitted says that what stands against a commit is the commit itself: an answer
// was lost on the way, and the client tried again.
var errCommitted = errors.New("committed by an earlier try")

// lost says what is known after a commit that failed.
func (c *commit) lost(err error) error {
	var exists *VersionExists
	var overtaken *rival
	var refused secret.Error
	if errors.Is(err, errConflict) || errors.As(err, &exists) || errors.As(err, &overtaken) || errors.As(err, &refused) {
		return err
	}
	c.heads.remove(c.next.Name) // it may have happened or not
	return fmt.Errorf("commit secret %s: %w", c.next.Name, uncertain(err))
}

// uncertain marks the error of a transaction that may have happened. One that DynamoDB
// cancelled has not.
func uncertain(err error) error {
	if _, cancelled := errors.AsType[*types.TransactionCanceledException](err); cancelled {
		return err
	}
	return fmt.Errorf("%w (%w)", err, ErrUncertain)
}

// steps are the writes of the change, the head first.
func (c *commit) steps() ([]step, error) {
	var l list
	switch c.change.Outcome {
	case secret.Removed:
		return c.removal()
	case secret.Replaced:
		c.replacement(&l)
	default:
		l.add(c.head())
	}
	if v := c.change.Version; v != nil {
		// A version of a later revision than the head is left of a restore to a moment within a
		// transaction. To take it for an earlier try would acknowledge a put that is lost.
		l.add(c.putIf(versionOf(c.next, *v), isNewVersion, item{"seen": num(c.seen.Revision)}, c.versionExists))
	}
	for _, kind := range []secret.EffectKind{secret.Rewrap, secret.Discard, secret.Copy, secret.Overwrite, secret.RequireAbsent, secret.Require} {
		for _, e := range c.change.Effects {
			if e.Kind == kind {
				l.add(c.effect(e))
			}
		}
	}
	c.policy(&l)
	c.rotation(&l)
	c.replication(&l)
	if c.isNew() {
		for _, row := range directory(c.next) {
			l.add(c.set(row)) // over a row that a restore left without its head
		}
		if c.again || c.next.Copy > 0 {
			l.add(c.check(leftoverKey(c.next.Name, c.next.Family()), isNew, ErrRemovedCopy), nil)
		}
		if c.next.Copy > 0 {
			l.add(c.checkIf(fenceKey(c.next.Name, c.next.Suffix()), isBeyond, item{"copy": num(c.next.Copy)}, ErrRemovedCopy), nil)
		}
	}
	return l.steps, l.err
}

// isNew says whether the secret was not there, or another one was.
func (c *commit) isNew() bool { return c.seen.Revision == 0 || c.change.Outcome == secret.Replaced }

// A list collects steps, and the first error of making one.
type list struct {
	steps []step
	err   error
}

func (l *list) add(s step, err error) {
	l.steps = append(l.steps, s)
	if l.err == nil {
		l.err = err
	}
}

// head writes a new head, or the next revision of the one that was seen. It leaves
// alone what reads and pruning write beside the revisions.
func (c *commit) head() (step, error) {
	head := headOf(c.next)
	if c.seen.Revision == 0 {
		return c.put(head, c.overtaken)
	}
	attributes, err := marshal(head)
	if err != nil {
		return step{}, err
	}
	if head.Rotation == nil {
		attributes["rotation"] = &types.AttributeValueMemberNULL{Value: true}
	}
	added, once := len(c.change.IDs(secret.Copy)), 0
	if c.change.Version != nil {
		added++
	}
	if discarded := len(c.change.IDs(secret.Discard)); discarded > 0 {
		added, once = added-discarded, 1
	}
	condition := isSeen
	if c.change.Version != nil && c.change.Quota > 0 {
		condition = isRoomy
		attributes["quota"] = num(c.change.Quota + len(c.seen.Stages.Versions()))
	}
	with(attributes, seenOf(c.seen))
	attributes["added"], attributes["once"] = num(added), num(once)
	// The schedule has to look at the secret soon when it has too many versions, when
	// it was said anew which to keep, or when a deletion was taken back; and when the
	// recovery window ends.
	due, set := c.next.Changed, keepDue
	if !c.next.Deletion.IsZero() {
		due = c.next.Deletion
	}
	switch {
	case !c.next.Deletion.Equal(c.seen.Deletion) || c.change.Pruning == secret.Anew:
		set = setDue
	case c.change.Pruning == secret.Soon:
		set = noteDue
	}
	attributes["shard"], attributes["due"] = str(Prunings.shardOf(c.next.Name)), str(stamp(due).String())
	return c.update(head.key, set, condition, attributes, c.overtaken), nil
}

// seenOf are the values of [isSeen].
func seenOf(sec secret.Secret) item {
	return item{"seen": num(sec.Revision), "suffix": str(sec.Suffix()), "copy": num(sec.Copy)}
}

// overtaken reads from the head that stands in the way whose commit it was.
func (c *commit) overtaken(old item) error {
	if len(old) == 0 {
		c.heads.remove(c.next.Name)
		if c.change.Outcome == secret.Removed {
			return errCommitted
		}
		return &rival{}
	}
	sec, err := c.readHead(old)
	if err != nil {
		return err
	}
	c.remember(sec)
	switch {
	case sec.Committed(c.next.Commit):
		c.next = sec
		return errCommitted
	case sec.ARN == c.next.ARN && sec.Copy == c.seen.Copy && sec.Revision == c.seen.Revision:
		return secret.QuotaExceeded // it is as it was seen, so the other half of the condition failed
	}
	return &rival{sec, true}
}

// versionExists is the error for a version that is there already. Its head was not in
// the way, so the secret is as it was when the change was decided.
func (c *commit) versionExists(old item) error {
	var v versionItem
	if err := unmarshal(old, &v); err != nil {
		return fmt.Errorf("version %s of %s: %w", c.change.Version.ID, c.next.ARN, err)
	}
	return &VersionExists{Secret: c.seen, Version: v.version(), Last: v.Revision == c.seen.Revision}
}

func (c *commit) effect(e secret.Effect) (step, error) {
	k := versionKey(c.next, e.Version.ID)
	switch e.Kind {
	case secret.Copy, secret.Overwrite:
		return c.copied(e)
	case secret.Discard:
		return c.delete(k), nil
	case secret.RequireAbsent:
		return c.check(k, isNew, &VersionExists{Secret: c.seen, Version: e.Version}), nil
	case secret.Rewrap:
		// What is sealed under the data key stays.
		attributes, err := marshal(versionOf(c.next, e.Version))
		lost := &Damaged{c.next.Name, fmt.Errorf("its version %s is lost", e.Version.ID)}
		return c.update(k, setDataKey, exists, attributes, func(item) error { return lost }), err
	}
	return c.check(k, exists, secret.NoSuchVersion(e.Version.ID)), nil
}

// policy keeps the text in step with the hash on the head. An item is named by the
// hash of its text, so the two cannot disagree.
func (c *commit) policy(l *list) {
	if c.change.Policy != "" {
		l.add(c.set(policyItem{key: policyKey(c.next), Schema: schema, Text: c.change.Policy}))
	}
	if c.seen.PolicyHash != "" && policyKey(c.seen) != policyKey(c.next) {
		l.add(c.delete(policyKey(c.seen)), nil)
	}
}

// rotation keeps the note of the rotation that is due next in step with the head. A
// secret whose rotation is due as before costs nothing.
func (c *commit) rotation(l *list) {
	before, at := c.seen.RotationDue(), c.next.RotationDue()
	k := rotationKey(c.next.Name, c.next.Suffix())
	switch {
	case before.Equal(at):
	case at.IsZero():
		l.add(c.delete(k), nil)
	default:
		l.add(c.set(noteItem{key: k, Schema: schema, due: due{Rotations.shardOf(c.next.Name), stamp(at)}}))
	}
}

// removal removes a secret and what is listed of it, and notes that its versions are
// left over. Nobody can reach these any more: a secret made
// under that name again has another suffix.
func (c *commit) removal() ([]step, error) {
	sec := c.seen
	var l list
	l.add(c.deleteIf(headKey(sec.Name), isSeen, seenOf(sec), c.overtaken), nil)
	for _, row := range directory(sec) {
		l.add(c.delete(row.key), nil)
	}
	if sec.PolicyHash != "" {
		l.add(c.delete(policyKey(sec)), nil)
	}
	if !sec.RotationDue().IsZero() {
		l.add(c.delete(rotationKey(sec.Name, sec.Suffix())), nil)
	}
	if sec.Versions > 0 || c.name != "" {
		l.add(c.set(c.leftover()))
	}
	if sec.IsReplica() { // then none but an earlier copy can be fenced off yet
		l.add(c.set(fence(secret.ID{Name: sec.Name, Suffix: sec.Suffix()}, sec.Copy, c.leftAt())))
	}
	return l.steps, l.err
}

// leftAt is when the secret that was seen gave way.
func (c *commit) leftAt() time.Time {
	if !c.change.At.IsZero() {
		return c.change.At
	}
	return c.next.Changed
}

// leftover notes that the versions of the secret that was seen are left over.
func (c *commit) leftover() noteItem {
	at := c.leftAt()
	note := noteItem{key: leftoverKey(c.seen.Name, c.seen.Family()), Schema: schema, due: due{Prunings.shardOf(c.seen.Name), stamp(at)}}
	// Its caller may try again, see [Store.RemovedBy]; and readers of a replica that gives
	// way to another copy may be under way to its versions.
	if note.Commit = c.name; c.name != "" || c.change.Outcome == secret.Replaced {
		note.Due = stamp(at.Add(notedFor))
	}
	return note
}
