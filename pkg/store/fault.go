package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/strongroom/strongroom/pkg/secret"
)

// A Fault is something wrong with what is stored of a secret.
type Fault struct {
	Name string
	// What is wrong, and what can be done about it when [Store.Repair] can do nothing.
	What   string
	repair []step
}

// IsRepairable says whether the fault can be repaired without a guess.
func (f Fault) IsRepairable() bool { return len(f.repair) > 0 }

// faults compares what was found. It may be asked again after a later look at the head.
func (e *examination) faults() ([]Fault, error) {
	e.found = nil
	switch {
	case e.head.damaged != nil:
		e.add(fmt.Sprintf("its head cannot be read: %v", e.head.damaged))
		return e.found, nil
	case e.head.there:
		e.checkDirectory()
		e.checkPolicy()
		e.checkVersions()
		e.checkDue()
		e.checkRotation()
		e.checkReplicas()
	default:
		if e.isLost() {
			return e.found, nil // what else there is belongs to it
		}
		e.checkGone()
	}
	e.checkFormer()
	e.checkFormerReplicas()
	for _, what := range e.unread {
		e.add(what)
	}
	return e.found, e.err
}

// add notes a fault, which steps repair as long as the secret is as it was seen.
func (e *examination) add(what string, repair ...step) {
	if len(repair) > 0 {
		repair = append([]step{e.guard()}, repair...)
	}
	e.found = append(e.found, Fault{e.name, what, repair})
}

func (e *examination) guard() step {
	if !e.head.there {
		return e.check(headKey(e.name), isNew, ErrMoved)
	}
	return e.checkIf(headKey(e.name), isSeen, e.seen(), ErrMoved)
}

// seen are the values of [isSeen] for the head that was read last.
func (e *examination) seen() item {
	sec := e.head.secret
	sec.Revision = e.revision
	return seenOf(sec)
}

// with is an item with the attributes of another, too.
func with(it, more item) item {
	maps.Copy(it, more)
	return it
}

// addToHead notes a fault that is repaired in the head itself.
func (e *examination) addToHead(what string, repair step) {
	e.found = append(e.found, Fault{e.name, what, []step{repair}})
}

func moved(item) error { return ErrMoved }

// setting writes an item anew.
func (e *examination) setting(v any) step {
	s, err := e.set(v)
	if e.err == nil {
		e.err = err
	}
	return s
}

var orders = map[string]string{string(ByName): "by name", string(ByCreated): "by creation"}

func (e *examination) checkDirectory() {
	wanted := directory(e.head.secret)
	for _, want := range wanted {
		got, there := e.rows[want.key]
		is := got.directoryItem
		is.Schema = want.Schema
		switch {
		case !there:
			e.add(fmt.Sprintf("the directory %s does not list it", orders[want.PK]), e.setting(want))
		case isNewer(got.err):
			e.add(fmt.Sprintf("its row in the directory %s cannot be read: %v", orders[want.PK], got.err))
		case got.err != nil || is != want:
			e.add(fmt.Sprintf("its row in the directory %s is wrong", orders[want.PK]), e.setting(want))
		}
	}
	for _, k := range sortedKeys(e.rows) {
		if !slices.ContainsFunc(wanted, func(row directoryItem) bool { return row.key == k }) {
			e.add(fmt.Sprintf("the directory %s lists it at another place, %s", orders[k.PK], k.SK), e.delete(k))
		}
	}
}

func sortedKeys[V any](items map[key]V) []key {
	return slices.SortedFunc(maps.Keys(items), func(a, b key) int { return strings.Compare(a.PK+a.SK, b.PK+b.SK) })
}

// isLost says whether there is no head and yet what looks like a secret: it is listed,
// and has versions that no removal noted.
func (e *examination) isLost() bool {
	for _, k := range sortedKeys(e.rows) {
		for family, of := range e.versions {
			row := e.rows[k]
			if _, noted := e.leftover[family]; !noted && (row.err != nil || row.Suffix == secret.SuffixIn(family)) {
				e.add(fmt.Sprintf("its head is lost: the directory lists it, and it has %d versions with suffix %s; restore the head from another backup, or create the secret again", of.n, family))
				return true
			}
		}
	}
	return false
}

// checkGone finds rows of a secret that is not there.
func (e *examination) checkGone() {
	for _, k := range sortedKeys(e.rows) {
		what := fmt.Sprintf("the directory %s lists it with suffix %q, and it is not there", orders[k.PK], e.rows[k].Suffix)
		if err := e.rows[k].err; isNewer(err) {
			e.add(fmt.Sprintf("%s; the row cannot be read: %v", what, err))
			continue
		}
		e.add(what, e.delete(k))
	}
}

func (e *examination) checkPolicy() {
	sound, named := true, policyKey(e.head.secret)
	if e.head.PolicyHash != "" {
		sum := sha256.Sum256([]byte(e.policies[named].Text))
		if sound = hex.EncodeToString(sum[:]) == e.head.PolicyHash; !sound {
			e.add("the text of its resource policy is lost; put the policy again, or delete it")
		}
	}
	for _, k := range sortedKeys(e.policies) {
		switch {
		case !strings.HasPrefix(k.SK, "POLICY#"+e.head.Suffix+"#") || k == named && e.head.PolicyHash != "":
		case sound:
			e.add(fmt.Sprintf("the text of a resource policy is left that it does not have, %s", k.SK), e.delete(k))
		default:
			e.add(fmt.Sprintf("the text of a resource policy is left that it does not have, %s; it may be the one to put again", k.SK))
		}
	}
}

func (e *examination) checkVersions() {
	of := e.versions[e.head.secret.Family()]
	if of == nil {
		of = &versionsFound{}
	}
	sec := e.head.secret
	for _, id := range sec.Stages.Versions() {
		if !of.there[id] && !isPlaceholder(sec, id) {
			e.add(fmt.Sprintf("%s is on version %s, which is not there", strings.Join(sec.Stages.Of(id), ", "), id))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(of.later)) {
		if of.later[id] > e.revision {
			e.add(fmt.Sprintf("version %s was put by revision %d, and the secret was restored to revision %d; put it again, or move a label to it", id, of.later[id], e.revision))
		}
	}
	for _, what := range of.wrong {
		e.add(what)
	}
	if of.counted != sec.Versions {
		e.addToHead(fmt.Sprintf("it counts %d versions, and has %d", sec.Versions, of.counted), e.update(headKey(e.name), addCount, isUncounted, with(e.seen(), item{
			"prunings": num(e.head.Prunings), "added": num(of.counted - sec.Versions),
		}), moved))
	}
}

// isPlaceholder says whether a version has AWSPENDING alone, from a rotation that has not
// put a value yet, or never did.
func isPlaceholder(sec secret.Secret, id string) bool {
	return id == sec.Unfinished() && len(sec.Stages.Of(id)) == 1 && sec.Rotation.Lambda != "" && (!sec.Rotation.Run().Test || sec.Rotation.Run().Version != id)
}

// checkDue checks when pruning has to look at the secret.
func (e *examination) checkDue() {
	sec, at := e.head.secret, time.Time(e.head.Due)
	want, what := at, "it is in the wrong part of the index of what is due"
	switch {
	case !sec.Deletion.IsZero() && !at.Equal(sec.Deletion):
		want, what = sec.Deletion, "the end of its recovery window is not noted"
	case sec.Deletion.IsZero() && at.IsZero() && sec.Overfull(e.least):
		want, what = e.now, "it has more versions than it keeps, and they are not noted to be pruned"
	}
	shard := ""
	if !want.IsZero() {
		shard = Prunings.shardOf(e.name)
	}
	if want.Equal(at) && shard == e.head.Shard {
		return
	}
	set := setDueOnly
	if want.IsZero() {
		set = removeDue
	}
	e.addToHead(what, e.update(headKey(e.name), set, isUncounted, with(e.seen(), item{
		"prunings": num(e.head.Prunings), "shard": str(shard), "due": str(stamp(want).String()),
	}), moved))
}

func (e *examination) checkRotation() {
	k, at := rotationKey(e.name, e.head.Suffix), e.head.secret.RotationDue()
	want := noteItem{key: k, Schema: schema, due: due{Rotations.shardOf(e.name), stamp(at)}}
	got, there := e.rotation[e.head.Suffix]
	switch {
	case at.IsZero() && there:
		e.add("a rotation is noted, and none is due", e.delete(k))
	case !at.IsZero() && !there && !e.isUnread(k):
		e.add("its next rotation is not noted", e.setting(want))
	case there && (got.Shard != want.Shard || got.Due.String() != want.Due.String()):
		e.add("the note of its next rotation is wrong", e.setting(want))
	}
}

func (e *examination) isUnread(k key) bool {
	return slices.ContainsFunc(e.unread, func(what string) bool { return strings.HasPrefix(what, "item "+k.SK+" ") })
}

// checkFormer checks what is left of secrets that had the name before.
func (e *examination) checkFormer() {
	for _, family := range slices.Sorted(maps.Keys(e.versions)) {
		_, noted := e.leftover[family]
		if k := leftoverKey(e.name, family); !e.isOfHead(family) && !noted && !e.isUnread(k) {
			e.note(family, fmt.Sprintf("%d versions are left of a removed secret, %s, and not noted to be removed", e.versions[family].n, family))
		}
	}
	for _, family := range slices.Sorted(maps.Keys(e.leftover)) {
		switch note := e.leftover[family]; {
		case e.isOfHead(family):
			e.add("its versions are noted to be removed, as those of a removed secret", e.delete(leftoverKey(e.name, family)))
		case note.Shard != Prunings.shardOf(e.name) || time.Time(note.Due).IsZero():
			e.note(family, fmt.Sprintf("the note of versions that are left of a removed secret, %s, is wrong", family))
		}
	}
	for _, suffix := range slices.Sorted(maps.Keys(e.rotation)) {
		if suffix != e.head.Suffix {
			e.add(fmt.Sprintf("a rotation of a removed secret, %s, is noted", suffix), e.delete(rotationKey(e.name, suffix)))
		}
	}
	for _, k := range sortedKeys(e.policies) {
		if !e.head.there || !strings.HasPrefix(k.SK, "POLICY#"+e.head.Suffix+"#") {
			e.add(fmt.Sprintf("the text of a resource policy is left of a removed secret, %s", k.SK), e.delete(k))
		}
	}
}

// isOfHead says whether a family is that of the secret that is there.
func (e *examination) isOfHead(family string) bool {
	return e.head.there && family == e.head.secret.Family()
}

// checkReplicas checks that each Region that the secret is replicated to has its note. One
// that was lost is written anew, and the Region is looked at.
func (e *examination) checkReplicas() {
	for _, r := range e.head.secret.Replicas {
		k := replicaKey(e.name, e.head.Suffix, r.Region)
		note, there := e.replicas[k]
		switch {
		case there && note.Copy == r.Copy && note.Revision <= e.revision && (note.isQueued() || note.isDone()):
		case !e.isUnread(k):
			note.key, note.Copy, note.Revision = k, r.Copy, e.revision
			e.add(fmt.Sprintf("the note of its replica in %s is missing or wrong", r.Region), e.queueing(note))
		}
	}
}

// checkFormerReplicas checks that what is left of replication to a Region that is not listed
// is noted to be done: the replica there would stay for ever.
func (e *examination) checkFormerReplicas() {
	for _, k := range sortedKeys(e.replicas) {
		note, task := e.replicas[k], taskOf(k)
		_, listed := e.head.secret.ReplicaIn(task.Region)
		if note.isQueued() || listed && e.head.Suffix == task.ID.Suffix {
			continue
		}
		note.key = k
		e.add(fmt.Sprintf("it is not replicated to %s any more, and its replica there is not noted to be removed", task.Region), e.queueing(note))
	}
}

// queueing writes a note of a replica anew, for a runner to look at now.
func (e *examination) queueing(note replicaNote) step {
	return e.setting(replicaNote{
		key: note.key, Schema: replicatedSchema, due: due{Replications.shardOf(e.name), stamp(e.now)},
		Revision: note.Revision, Copy: note.Copy, Synced: note.Synced,
	})
}

// note notes that versions of a removed secret are to be removed.
func (e *examination) note(family, what string) {
	gone := e.checkIf(headKey(e.name), isAnother, item{"suffix": str(secret.SuffixIn(family))}, ErrMoved)
	if e.head.there && secret.SuffixIn(family) == e.head.Suffix {
		gone = e.guard() // another copy of the same secret
	}
	note := e.setting(noteItem{
		key: leftoverKey(e.name, family), Schema: schema, due: due{Prunings.shardOf(e.name), stamp(e.now)},
	})
	e.found = append(e.found, Fault{e.name, what, []step{gone, note}})
}
