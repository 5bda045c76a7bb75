package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/secret"
)

// looks is how often a secret is examined that changes while it is.
const looks = 10

// Examine compares everything that is stored under a secret's name, and returns what is
// wrong. listed are positions in the directory by creation that name the secret; the one
// that it has to have is looked at in any case.
//
// It may run beside everything else: nothing is wrong that a second read of the head does
// not bear out. A secret that changes too often for that is [ErrBusy].
func (s *Store) Examine(ctx context.Context, name string, listed []string, least secret.Retention, now time.Time) ([]Fault, error) {
	wait := s.backoff()
	var last []Fault
	for range looks {
		e := &examination{Store: s, name: name, least: least, now: now}
		if err := e.read(ctx, listed); err != nil {
			return nil, fmt.Errorf("examine secret %s: %w", name, err)
		}
		faults, err := e.faults()
		if err != nil || len(faults) == 0 {
			return nil, err
		}
		after, err := s.readHeadOf(ctx, name)
		switch {
		case err != nil:
			return nil, fmt.Errorf("examine secret %s: %w", name, err)
		case !e.head.there && !slices.EqualFunc(last, faults, func(a, b Fault) bool { return a.What == b.What }):
			// It may have been made and removed in between, and so it is looked at twice. What
			// is wrong has the suffix in it, which no other secret will have.
			last = faults
		case e.head.stands(after):
			// Puts go on meanwhile. What they put is compared with the later head.
			e.revision = after.Revision
			return e.faults()
		}
		if err := wait.next(ctx); err != nil {
			return nil, err
		}
	}
	return nil, ErrBusy
}

// Repair repairs a fault, in one transaction, unless the secret was changed since it was
// examined: then it is [ErrMoved], and nothing is written.
func (s *Store) Repair(ctx context.Context, f Fault) error {
	if !f.IsRepairable() {
		return fmt.Errorf("secret %s: %s: not repairable", f.Name, f.What)
	}
	err := s.retry(ctx, func() error { return s.transact(ctx, f.repair) })
	s.heads.remove(f.Name)
	if err != nil && !errors.Is(err, ErrMoved) {
		return fmt.Errorf("repair secret %s: %w", f.Name, err)
	}
	return err
}

// Listed says which of these secrets the directory by name lists.
func (s *Store) Listed(ctx context.Context, names []string) (map[string]bool, error) {
	listed := map[string]bool{}
	for len(names) > 0 {
		n := min(len(names), MaxBatch)
		var keys []item
		for _, name := range names[:n] {
			keys = append(keys, key{string(ByName), name}.item())
		}
		rows, err := s.batch(ctx, types.KeysAndAttributes{
			Keys: keys, ConsistentRead: aws.Bool(true), ProjectionExpression: aws.String(keyOnly), ExpressionAttributeNames: namesIn(keyOnly),
		})
		if err != nil {
			return nil, fmt.Errorf("read the directory: %w", err)
		}
		for _, it := range rows {
			listed[keyIn(it).SK] = true
		}
		names = names[n:]
	}
	return listed, nil
}

func keyIn(it item) key {
	text := func(attribute string) string {
		if v, ok := it[attribute].(*types.AttributeValueMemberS); ok {
			return v.Value
		}
		return ""
	}
	return key{text("pk"), text("sk")}
}

// IsPlaceOf says whether the row is where the directory has to list a secret, and says
// what it has to say.
func (r Row) IsPlaceOf(sec secret.Secret) bool {
	for _, row := range directory(sec) {
		if r.Position == row.SK && r.Of(sec) && r.Created.Equal(sec.Created) {
			return true
		}
	}
	return false
}

// An examination is everything that was found of a secret.
type examination struct {
	*Store
	name  string
	least secret.Retention
	now   time.Time

	head headFound
	// revision is that of the head when it was read last.
	revision int64
	// rows are those of the directory, by their keys; nil where one cannot be read.
	rows map[key]rowFound
	// versions and notes of them are by the families of secrets that have or had the name,
	// notes of rotations by the suffixes, and those of replicas by their keys.
	versions           map[string]*versionsFound
	policies           map[key]policyItem
	leftover, rotation map[string]due
	replicas           map[key]replicaNote
	// unread are items of no kind that is known, or of a newer version.
	unread []string

	found []Fault
	err   error
}

// A headFound is a head, as far as it is there and can be read.
type headFound struct {
	headItem
	secret  secret.Secret
	there   bool
	damaged error
}

// stands says whether a head is still as it was, but for puts.
func (h headFound) stands(now headFound) bool {
	if !h.there || h.damaged != nil {
		return h.there == now.there && (h.damaged == nil) == (now.damaged == nil)
	}
	return now.there && now.damaged == nil && h.Suffix == now.Suffix && h.Copy == now.Copy && slices.Equal(h.Replicas, now.Replicas) && h.Moves == now.Moves && h.Prunings == now.Prunings &&
		h.PolicyHash == now.PolicyHash && h.due == now.due && h.Deletion == now.Deletion && h.secret.RotationDue().Equal(now.secret.RotationDue())
}

type rowFound struct {
	directoryItem
	err error
}

// versionsFound are the versions of one secret.
type versionsFound struct {
	n       int             // all of them
	counted int             // of no later revision than the head had when it was read first
	there   map[string]bool // those with a label
	later   map[string]int64
	by      map[int64]string // the version that a revision put
	wrong   []string         // what is wrong with single ones
}

func (s *Store) readHeadOf(ctx context.Context, name string) (headFound, error) {
	var h headFound
	it, err := s.get(ctx, headKey(name))
	if err != nil || len(it) == 0 {
		return h, err
	}
	h.there = true
	if h.damaged = unmarshal(it, &h.headItem); h.damaged == nil {
		h.secret = h.headItem.secret(s.arns)
	}
	return h, nil
}

// read reads the head first: what is put after it has a later revision.
func (e *examination) read(ctx context.Context, listed []string) (err error) {
	if e.head, err = e.readHeadOf(ctx, e.name); err != nil || e.head.damaged != nil {
		return err
	}
	e.revision = e.head.Revision
	if err := e.readRows(ctx, listed); err != nil {
		return err
	}
	e.versions, e.policies = map[string]*versionsFound{}, map[key]policyItem{}
	e.leftover, e.rotation, e.replicas = map[string]due{}, map[string]due{}, map[key]replicaNote{}
	in := &dynamodb.QueryInput{
		TableName:                 &e.table,
		KeyConditionExpression:    aws.String(ofPartition),
		ProjectionExpression:      aws.String(toVerify), // no value of a secret is fetched
		ExpressionAttributeNames:  namesIn(ofPartition, toVerify),
		ExpressionAttributeValues: valuesIn(item{"pk": str(headKey(e.name).PK)}, ofPartition),
		ConsistentRead:            aws.Bool(true),
		ReturnConsumedCapacity:    types.ReturnConsumedCapacityTotal,
	}
	for {
		out, err := e.db.Query(ctx, in)
		if err != nil {
			return err
		}
		for _, it := range out.Items {
			e.sort(it)
		}
		if len(out.LastEvaluatedKey) == 0 {
			return nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

func (e *examination) readRows(ctx context.Context, listed []string) error {
	wanted := map[key]bool{{string(ByName), e.name}: true}
	for _, position := range listed {
		wanted[key{string(ByCreated), position}] = true
	}
	if e.head.there {
		for _, row := range directory(e.head.secret) {
			wanted[row.key] = true
		}
	}
	var keys []item
	for k := range wanted {
		keys = append(keys, k.item())
	}
	items, err := e.batch(ctx, types.KeysAndAttributes{Keys: keys, ConsistentRead: aws.Bool(true)})
	if err != nil {
		return err
	}
	e.rows = map[key]rowFound{}
	for _, it := range items {
		var row rowFound
		row.err = unmarshal(it, &row.directoryItem)
		e.rows[keyIn(it)] = row
	}
	return nil
}

// sort notes an item of the partition.
func (e *examination) sort(it item) {
	k := keyIn(it)
	kind, rest, _ := strings.Cut(k.SK, "#")
	switch kind {
	case "HEAD":
	case "VERSION":
		family, id, _ := strings.Cut(rest, "#")
		e.version(it, family, id)
	case "POLICY":
		var policy policyItem
		if e.readable(it, &policy) {
			e.policies[k] = policy
		}
	case "LEFTOVER", "ROTATION":
		var note noteItem
		if !e.readable(it, &note) {
			break
		}
		if kind == "LEFTOVER" {
			e.leftover[rest] = note.due
		} else {
			e.rotation[rest] = note.due
		}
	case "REPLICA":
		var note replicaNote
		if e.readable(it, &note) {
			e.replicas[k] = note
		}
	default:
		e.unread = append(e.unread, fmt.Sprintf("item %s is of no kind that is known", k.SK))
	}
}

// readable reads an item. One that is damaged reads as an empty one, which can be written
// anew; one of a newer version is left alone.
func (e *examination) readable(it item, into any) bool {
	if err := unmarshal(it, into); isNewer(err) {
		e.unread = append(e.unread, fmt.Sprintf("item %s cannot be read: %v", keyIn(it).SK, err))
		return false
	}
	return true
}

func isNewer(err error) bool {
	var newer *Newer
	return errors.As(err, &newer)
}

func (e *examination) version(it item, family, id string) {
	of := e.versions[family]
	if of == nil {
		of = &versionsFound{there: map[string]bool{}, later: map[string]int64{}, by: map[int64]string{}}
		e.versions[family] = of
	}
	of.n++
	if !e.isOfHead(family) {
		return // nobody can read it
	}
	if len(e.head.secret.Stages.Of(id)) > 0 {
		of.there[id] = true
	}
	var v versionItem
	err := unmarshal(it, &v)
	switch {
	case err != nil:
		of.wrong = append(of.wrong, fmt.Sprintf("version %s cannot be read: %v", id, err))
	case v.ID != id || v.Secret != ofAll(e.head.secret) || time.Time(v.Created).IsZero():
		of.wrong = append(of.wrong, fmt.Sprintf("version %s is not what its key says, and is never pruned", id))
	}
	if v.Revision > e.head.Revision {
		of.later[id] = v.Revision
		return
	}
	of.counted++
	if other, ok := of.by[v.Revision]; ok && v.Revision > 0 {
		of.wrong = append(of.wrong, fmt.Sprintf("versions %s and %s were put by the same revision, so one is left of before a restore", other, id))
	}
	of.by[v.Revision] = id
}
