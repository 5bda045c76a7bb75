package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/secret"
)

const replicaPrefix = "REPLICA#"

// replicaKey is the place of the note of a replica.
func replicaKey(name, suffix, region string) key {
	return key{partition + name, replicaPrefix + suffix + "#" + region}
}

// ReplicaTask is what the note of a replica asks to be done, by the key of the note; false
// for the key of anything else.
func ReplicaTask(pk, sk string) (Task, bool) {
	task := taskOf(key{pk, sk})
	return task, task.Region != ""
}

// A replicaNote is what is known of a secret's replica in a Region. It is in the
// index of what is due while the replica lacks something.
type replicaNote struct {
	key
	Schema   int    `dynamodbav:"schema"`
	Revision int64  `dynamodbav:"revision"` // that the replica should have
	Synced   int64  `dynamodbav:"synced,omitempty"`
	Pruned   int64  `dynamodbav:"pruned,omitempty"` // Prunings of the secret by then
	Copy     int64  `dynamodbav:"copy"`
	Failure  string `dynamodbav:"failure,omitempty"`
	Attempts int    `dynamodbav:"attempts,omitempty"`
	Since    stamp  `dynamodbav:"since,omitempty"` // of the first of these
	due
}

// replication notes, with the change, that replicas have to be brought up to date: those
// of Regions that are added or removed, and all where the change shows in them. A replica
// that is promoted notes that its primary has to be told.
func (c *commit) replication(l *list) {
	if c.change.Outcome == secret.Replaced {
		return // a replica has none
	}
	shows := len(c.next.Replicas) > 0 && (c.change.Version != nil || !c.seen.ShowsAs(c.next))
	for _, r := range c.next.Replicas {
		if before, _ := c.seen.ReplicaIn(r.Region); shows || before != r {
			l.add(c.noteReplica(r.Region, r.Copy), nil)
		}
	}
	for _, r := range c.seen.Replicas {
		if _, listed := c.next.ReplicaIn(r.Region); !listed {
			l.add(c.noteReplica(r.Region, r.Copy), nil)
		}
	}
	if c.seen.IsReplica() && !c.next.IsReplica() {
		l.add(c.noteReplica(c.seen.Primary, c.seen.Copy), nil)
	}
}

func (c *commit) noteReplica(region string, copied int64) step {
	return c.replicate(replicaKey(c.next.Name, c.next.Suffix(), region), c.next.Revision, copied, c.next.Changed)
}

// replicate has a note say that there is something to do.
func (s *Store) replicate(k key, revision, copied int64, at time.Time) step {
	return s.upsert(k, noteReplica, item{
		"schema": num(replicatedSchema), "revision": num(revision), "copy": num(copied),
		"shard": str(Replications.shardOf(nameIn(k.PK))), "due": str(stamp(at).String()),
	})
}

// ErrRemovedCopy is the refusal to deliver a copy that was removed.
var ErrRemovedCopy = secret.Errorf(secret.ResourceExists, "An earlier replica of this name is being removed from this region.")

// copied adds a version that another Region has, under the revision that it has there.
func (c *commit) copied(e secret.Effect) (step, error) {
	it := versionOf(c.next, e.Version)
	it.Revision = e.Version.Revision
	if e.Kind == secret.Overwrite {
		return c.putIf(it, exists, nil, func(item) error { return secret.NoSuchVersion(e.Version.ID) })
	}
	return c.put(it, func(item) error { return &VersionExists{Secret: c.seen, Version: e.Version} })
}

// replacement puts a replica in the place of the secret that was seen, whose versions are
// left over, and takes away what is listed of that.
func (c *commit) replacement(l *list) {
	l.add(c.putIf(headOf(c.next), isSeen, seenOf(c.seen), c.overtaken))
	kept := directory(c.next)
	for _, row := range directory(c.seen) {
		if !slices.ContainsFunc(kept, func(k directoryItem) bool { return k.key == row.key }) {
			l.add(c.delete(row.key), nil)
		}
	}
	if c.seen.Suffix() != c.next.Suffix() && !c.seen.RotationDue().IsZero() {
		l.add(c.delete(rotationKey(c.seen.Name, c.seen.Suffix())), nil)
	}
	if c.seen.Suffix() == c.next.Suffix() && !c.seen.IsReplica() {
		// It is the new primary's, which need not be told any more that it was its own.
		l.add(c.delete(replicaKey(c.next.Name, c.next.Suffix(), c.next.Primary)), nil)
	}
	l.add(c.set(c.leftover()))
}

// A ReplicaStatus is how far a replica is.
type ReplicaStatus struct {
	Region string
	InSync bool
	// Failure says why it is not, after the last attempt; empty while the first is under way.
	Failure string
}

// Replicas says of each Region that a secret is replicated to how far its replica is,
// in order of their names: one query, and none without replicas.
func (s *Store) Replicas(ctx context.Context, sec secret.Secret) ([]ReplicaStatus, error) {
	if len(sec.Replicas) == 0 {
		return nil, nil
	}
	out, err := s.db.Query(ctx, s.beginning(sec.Name, replicaPrefix+sec.Suffix()+"#")) // some hundred bytes for each of fifty at most
	if err != nil {
		return nil, fmt.Errorf("read the replicas of %s: %w", sec.ARN, err)
	}
	notes := map[string]replicaNote{}
	for _, it := range out.Items {
		var note replicaNote
		if err := unmarshal(it, &note); err == nil {
			notes[taskOf(note.key).Region] = note
		}
	}
	statuses := make([]ReplicaStatus, len(sec.Replicas))
	for i, r := range sec.Replicas {
		note := notes[r.Region]
		current := note.Copy == r.Copy
		statuses[i] = ReplicaStatus{Region: r.Region, InSync: current && note.isDone() && note.Failure == ""}
		if current {
			statuses[i].Failure = note.Failure
		}
	}
	return statuses, nil
}

func (n replicaNote) isDone() bool { return n.Shard == "" && n.Synced >= n.Revision }

// isQueued says that the note is in the index of what is due, where it should be.
func (n replicaNote) isQueued() bool {
	return n.Shard == Replications.shardOf(nameIn(n.PK)) && !time.Time(n.Due).IsZero()
}

// A Replication is what the note of a replica asks for, and the secret that it is about.
type Replication struct {
	Task
	// Secret is as it stands; zero when it is gone, or another has its name.
	Secret secret.Secret
	// Since is when the first of so many Attempts failed; zero without one.
	Since    time.Time
	Attempts int

	note replicaNote
}

// IsDue says whether there is something to do.
func (r Replication) IsDue(now time.Time) bool {
	due := time.Time(r.note.Due)
	return r.note.Shard != "" && !due.After(now)
}

// FirstFailure is when the first attempt failed that was made since the replica was in
// sync, if one fails now.
func (r Replication) FirstFailure(now time.Time) time.Time {
	if r.Since.IsZero() {
		return now
	}
	return r.Since
}

// Copy is the copy that the note is about.
func (r Replication) Copy() int64 { return r.note.Copy }

// IsFirst says whether no delivery of the copy has succeeded.
func (r Replication) IsFirst() bool { return r.note.Synced < r.note.Copy }

// HasPruned says whether versions of the secret were removed since the last delivery that
// succeeded. Their IDs may have been used again.
func (r Replication) HasPruned() bool { return r.note.Pruned != r.Secret.Prunings }

// Replication reads a note and its secret: one call. Without a note, nothing is due.
func (s *Store) Replication(ctx context.Context, task Task) (Replication, error) {
	r := Replication{Task: task}
	k := replicaKey(task.ID.Name, task.ID.Suffix, task.Region)
	items, err := s.batch(ctx, types.KeysAndAttributes{
		Keys: []item{k.item(), headKey(task.ID.Name).item()}, ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return r, fmt.Errorf("read the replica of %s in %s: %w", task.ID.Name, task.Region, err)
	}
	for _, it := range items {
		if keyIn(it) == k {
			if err := unmarshal(it, &r.note); err != nil {
				return r, &Damaged{task.ID.Name, fmt.Errorf("the note of its replica in %s: %w", task.Region, err)}
			}
			r.Due, r.Since, r.Attempts = time.Time(r.note.Due), time.Time(r.note.Since), r.note.Attempts
			continue
		}
		sec, err := s.readHead(it)
		if err != nil {
			return r, err
		}
		if s.remember(sec); sec.Is(task.ID) {
			r.Secret = sec
		}
	}
	return r, nil
}

// VersionsOf reads versions of a secret that was just read, with their sealed values, as
// far as they are there and no younger than it.
func (s *Store) VersionsOf(ctx context.Context, sec secret.Secret, ids []string) ([]secret.Version, error) {
	var keys []item
	for _, id := range ids {
		keys = append(keys, versionKey(sec, id).item())
	}
	if len(keys) == 0 {
		return nil, nil
	}
	items, err := s.batch(ctx, types.KeysAndAttributes{Keys: keys, ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, fmt.Errorf("read versions of %s: %w", sec.ARN, err)
	}
	versions, err := versionsIn(items)
	if err != nil {
		return nil, &Damaged{sec.Name, err}
	}
	versions = slices.DeleteFunc(versions, func(v secret.Version) bool { return v.Revision > sec.Revision })
	slices.SortFunc(versions, func(a, b secret.Version) int { return cmp.Compare(a.ID, b.ID) })
	return versions, nil
}

// Settled notes that a replica has this revision. It returns false when there is more to
// deliver by now.
func (s *Store) Settled(ctx context.Context, r Replication, revision int64) (bool, error) {
	return s.settle(ctx, r, noteInSync, isDelivered, item{
		"synced": num(revision), "copy": num(r.note.Copy), "pruned": num(r.Secret.Prunings),
	})
}

// Failed notes why a delivery failed, and when it is tried again: since is when the first
// attempt was. It returns false when there is another to make by now.
func (s *Store) Failed(ctx context.Context, r Replication, why string, since, again time.Time) (bool, error) {
	return s.settle(ctx, r, noteFailure, isUndone, item{
		"failure": str(why), "attempts": num(r.note.Attempts + 1), "due": str(stamp(again).String()), "since": str(stamp(since).String()),
		"revision": num(r.note.Revision), "copy": num(r.note.Copy),
	})
}

func (s *Store) settle(ctx context.Context, r Replication, update, condition string, attributes item) (bool, error) {
	settled, err := s.touch(ctx, r.note.key, update, condition, attributes)
	if apiCode(err) == "TransactionConflictException" {
		return false, nil // a change is just being committed, or was tried: the next look tells
	}
	if err != nil {
		return false, fmt.Errorf("note the replica of %s in %s: %w", r.ID.Name, r.Region, err)
	}
	return settled, nil
}

// Forget removes the note of a replica that is gone. It returns false when there is more
// to do by now.
func (s *Store) Forget(ctx context.Context, r Replication) (bool, error) {
	changed := false
	err := s.retry(ctx, func() error {
		changed = false
		return s.transact(ctx, []step{s.deleteIf(r.note.key, isSameWanted, item{
			"revision": num(r.note.Revision), "copy": num(r.note.Copy),
		}, func(item) error {
			changed = true
			return errGone
		})})
	})
	if changed && errors.Is(err, errGone) {
		return false, nil
	}
	return err == nil, err
}

// fence keeps a copy of a replica, and all before it, from being delivered, for as long as an
// earlier attempt at that may be under way. It is the note of a family without versions.
func fence(sec secret.ID, copied int64, now time.Time) noteItem {
	return noteItem{
		key: fenceKey(sec.Name, sec.Suffix), Schema: schema, Copy: copied,
		due: due{Prunings.shardOf(sec.Name), stamp(now.Add(notedFor))},
	}
}

func fenceKey(name, suffix string) key { return leftoverKey(name, suffix+".") }

// Fence keeps a copy of a replica that is not there from being delivered, with all before it:
// a runner may have read its task before the primary listed the Region anew. It returns
// [ErrMoved] when one of them is there by now, and is a replica still.
func (s *Store) Fence(ctx context.Context, id secret.ID, copied int64, now time.Time) error {
	values := item{"suffix": str(id.Suffix), "copy": num(copied), "none": str("")}
	absent := s.checkIf(headKey(id.Name), isNoCopy, values, ErrMoved)
	note, err := s.putIf(fence(id, copied, now), isBeyond, values, func(item) error { return errFenced })
	if err != nil {
		return err
	}
	err = s.retry(ctx, func() error { return s.transact(ctx, []step{absent, note}) })
	if errors.Is(err, errFenced) {
		return nil
	}
	return err
}

// IsFence says whether a note of versions that are left over is of none: it fences off copies.
func IsFence(id secret.ID) bool { return strings.HasSuffix(id.Suffix, ".") }

// Unfence removes a fence that is due. One that was written anew meanwhile stays for its time.
func (s *Store) Unfence(ctx context.Context, id secret.ID, now time.Time) error {
	remove := s.deleteIf(leftoverKey(id.Name, id.Suffix), wasDue, item{"due": str(stamp(now).String())}, func(item) error { return errFenced })
	err := s.retry(ctx, func() error { return s.transact(ctx, []step{remove}) })
	if errors.Is(err, errFenced) {
		return nil
	}
	return err
}

// errFenced says that this copy or a later one is fenced off. Attempts at it end before that
// is over.
var errFenced = errors.New("the copy is fenced off already")
