package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/secret"
)

// maxPrune is how many versions one transaction removes. DynamoDB takes a hundred
// items of 4 MB together; the head is one, and a version may have 66 kB.
const maxPrune = 50

// A Look is a secret as the schedules find it.
type Look struct {
	Secret secret.Secret
	// Due is when there is something to do; zero for nothing.
	Due time.Time
}

// Look reads a secret for the schedules. It returns [secret.NotFound] when there
// is none.
func (s *Store) Look(ctx context.Context, name string) (Look, error) {
	head, err := s.head(ctx, name)
	if err != nil {
		return Look{}, err
	}
	return Look{head.secret(s.arns), time.Time(head.Due)}, nil
}

// ErrMoved says that a label was moved, versions were removed, or the secret was
// deleted or restored, since it was read: nothing was removed now.
var ErrMoved = errors.New("the secret has changed")

// A Task is something that the schedules have to do.
type Task struct {
	ID  secret.ID // its suffix is not known for prunings of a secret that is there
	Due time.Time
	// Leftover is set for the versions of a secret that was removed. The suffix of the ID
	// is their family.
	Leftover bool
	// Region is the one that a replication is to.
	Region string
}

// Due lists a hundred of what a part of a queue has due until now, the oldest first, and
// where to go on: nil for nowhere. The index it reads trails: what it says is to
// be looked at, not believed.
func (s *Store) Due(ctx context.Context, queue Queue, part int, now time.Time, from Cursor) ([]Task, Cursor, error) {
	values := item{"shard": str(queue.shard(part)), "due": str(stamp(now).String())}
	out, err := s.db.Query(ctx, &dynamodb.QueryInput{
		TableName:                 &s.table,
		IndexName:                 aws.String("due"),
		KeyConditionExpression:    aws.String(ofShard),
		ExpressionAttributeNames:  namesIn(ofShard),
		ExpressionAttributeValues: valuesIn(values, ofShard),
		ExclusiveStartKey:         from,
		Limit:                     aws.Int32(MaxBatch),
		ReturnConsumedCapacity:    types.ReturnConsumedCapacityTotal,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list what is due: %w", err)
	}
	var tasks []Task
	for _, it := range out.Items {
		var row key
		if err := attributevalue.UnmarshalMap(it, &row); err != nil {
			return nil, nil, fmt.Errorf("due item: %w", err)
		}
		var noted due
		if err := attributevalue.UnmarshalMap(it, &noted); err != nil {
			noted = due{} // its task fails alone, when its head is read
		}
		task := taskOf(row)
		task.Due = time.Time(noted.Due)
		tasks = append(tasks, task)
	}
	return tasks, out.LastEvaluatedKey, nil
}

// taskOf reads what is to be done from the key of the item that says so.
func taskOf(k key) Task {
	task := Task{ID: secret.ID{Name: nameIn(k.PK)}}
	kind, rest, _ := strings.Cut(k.SK, "#")
	switch kind + "#" {
	case leftoverPrefix:
		task.ID.Suffix, task.Leftover = rest, true
	case rotationPrefix:
		task.ID.Suffix = rest
	case replicaPrefix:
		task.ID.Suffix, task.Region, _ = strings.Cut(rest, "#")
	}
	return task
}

// Oldest lists a secret's versions in the order of their age, with their IDs and
// dates alone and as many as [Store.Prune] takes, and where to go on: nil for
// nowhere. The index it reads trails: it may lack the youngest, and show some
// that are gone.
func (s *Store) Oldest(ctx context.Context, sec secret.Secret, from Cursor) ([]secret.Version, Cursor, error) {
	values := item{"secret": str(ofAll(sec))}
	out, err := s.db.Query(ctx, &dynamodb.QueryInput{
		TableName:                 &s.table,
		IndexName:                 aws.String("age"),
		KeyConditionExpression:    aws.String(ofAge),
		ExpressionAttributeNames:  namesIn(ofAge),
		ExpressionAttributeValues: valuesIn(values, ofAge),
		ExclusiveStartKey:         from,
		Limit:                     aws.Int32(maxPrune),
		ReturnConsumedCapacity:    types.ReturnConsumedCapacityTotal,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list the oldest versions of %s: %w", sec.ARN, err)
	}
	versions, err := versionsIn(out.Items)
	if err != nil {
		return nil, nil, err
	}
	ids, err := idsIn(out.Items, versionPrefix(sec.Family()))
	if err != nil {
		return nil, nil, err
	}
	for i, id := range ids {
		versions[i].ID = id
	}
	return versions, out.LastEvaluatedKey, nil
}

// idsIn are the IDs of versions, of which the keys alone are known.
func idsIn(items []item, prefix string) ([]string, error) {
	ids := make([]string, len(items))
	for i, it := range items {
		var k key
		if err := attributevalue.UnmarshalMap(it, &k); err != nil {
			return nil, fmt.Errorf("version item: %w", err)
		}
		ids[i] = strings.TrimPrefix(k.SK, prefix)
	}
	return ids, nil
}

// A Cursor is a place in a list.
type Cursor map[string]types.AttributeValue

// Then is when to look at a secret again.
type Then struct {
	// Keep leaves what is noted: there is more to do now.
	Keep bool
	// At is the next time; zero for none, and then a secret that was changed since
	// it was looked at keeps what is noted: it may have more versions now.
	At time.Time
}

// Prune removes versions of a secret that was just looked at, as many as
// [Store.Oldest] lists, and notes when to look again: one transaction, under the
// condition that no label was moved to an older version since, and none was removed
// by another run. Puts do not disturb it, and what they put since stays. Versions that are gone already, or
// were put again with another date, are passed over, and then what is noted is kept: others may have to go in their place. It
// returns those that were removed, or ErrMoved.
func (s *Store) Prune(ctx context.Context, look Look, remove []secret.Version, then Then) ([]secret.Version, error) {
	if look.Due.IsZero() {
		return nil, ErrMoved // another run was first: nothing is due
	}
	sec := look.Secret
	remove = slices.Clone(remove)
	err := s.retry(ctx, func() error {
		steps := []step{s.prunedHead(look, len(remove), then)}
		var gone []string
		for _, v := range remove {
			// Only the version that [Store.Oldest] found, with its date.
			seen := item{"seen": num(sec.Revision), "created": str(stamp(v.Created).String())}
			steps = append(steps, s.deleteIf(versionKey(sec, v.ID), wasSeen, seen, func(item) error {
				gone = append(gone, v.ID)
				return errGone
			}))
		}
		err := s.transact(ctx, steps)
		if errors.Is(err, errRevised) && !then.Keep {
			then = Then{Keep: true}
			return errConflict
		}
		if errors.Is(err, errGone) {
			remove = slices.DeleteFunc(remove, func(v secret.Version) bool { return slices.Contains(gone, v.ID) })
			then = Then{Keep: true}
			return errConflict
		}
		return err
	})
	s.heads.remove(sec.Name) // it has fewer versions now
	if err != nil {
		return nil, err
	}
	return remove, nil
}

func (s *Store) prunedHead(look Look, removed int, then Then) step {
	set, condition := prunedAll, isQuiet
	switch {
	case then.Keep:
		set, condition = pruned, isUnmoved
	case !then.At.IsZero():
		set, condition = prunedUntil, isUnmoved
	}
	sec := look.Secret
	return s.update(headKey(sec.Name), set, condition, item{
		"suffix":   str(sec.Suffix()),
		"moves":    num(sec.Moves),
		"prunings": num(sec.Prunings),
		"seen":     num(sec.Revision),
		"due":      str(stamp(look.Due).String()),
		"next":     str(stamp(then.At).String()),
		"added":    num(-removed),
		"once":     num(min(removed, 1)),
	}, func(old item) error { return movedOrRevised(old, look) })
}

// errGone says that versions were removed by somebody else.
var errGone = errors.New("versions are gone")

// errRevised says that a secret was changed in a way that leaves all versions
// without a label without one.
var errRevised = errors.New("the secret has another revision")

func movedOrRevised(old item, look Look) error {
	var head headItem
	if err := unmarshal(old, &head); err != nil {
		return &Damaged{look.Secret.Name, err}
	}
	sec := look.Secret
	if head.Suffix == sec.Suffix() && head.Moves == sec.Moves && head.Prunings == sec.Prunings && time.Time(head.Due).Equal(look.Due) {
		return errRevised
	}
	return ErrMoved
}

// Sweep removes the versions that a removed secret has left over, a slice at a
// time. It calls before with the versions of each slice, which stay when that fails, and
// after when they are removed; it stops when after says false. When none are left, it
// removes the note of them and says true.
func (s *Store) Sweep(ctx context.Context, id secret.ID, before func(versions []string) error, after func(removed int) bool) (bool, error) {
	for {
		keys, err := s.versionKeys(ctx, id)
		if err != nil {
			return false, err
		}
		if len(keys) == 0 {
			return true, s.remove(ctx, []item{leftoverKey(id.Name, id.Suffix).item()})
		}
		for slice := range slices.Chunk(keys, maxRemove) {
			versions, err := idsIn(slice, versionPrefix(id.Suffix))
			if err == nil {
				err = before(versions)
			}
			if err != nil {
				return false, err
			}
			if err := s.remove(ctx, slice); err != nil {
				return false, err
			}
			if !after(len(slice)) {
				return false, nil
			}
		}
	}
}

// notedFor is how long the versions of a secret stay that a caller removed, with the
// note of the commit: longer than a client tries a call again.
const notedFor = 10 * time.Minute

// RemovedBy finds out whether a commit of that name removed a secret that had this
// name, and returns its ID. It is known for ten minutes at least.
func (s *Store) RemovedBy(ctx context.Context, name, commit string) (secret.ID, bool, error) {
	in := s.beginning(name, leftoverPrefix)
	for {
		out, err := s.db.Query(ctx, in)
		if err != nil {
			return secret.ID{}, false, fmt.Errorf("list what is left of %s: %w", name, err)
		}
		for _, it := range out.Items {
			var note noteItem
			if err := unmarshal(it, &note); err == nil && note.Commit == commit {
				return secret.ID{Name: name, Suffix: strings.TrimPrefix(note.SK, leftoverPrefix)}, true, nil
			}
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
			return secret.ID{}, false, nil
		}
	}
}

func (s *Store) versionKeys(ctx context.Context, id secret.ID) ([]item, error) {
	in := s.beginning(id.Name, versionPrefix(id.Suffix))
	in.ProjectionExpression, in.ExpressionAttributeNames = aws.String(keyOnly), namesIn(ofSecret, keyOnly)
	out, err := s.db.Query(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("list what is left of %s: %w", id.Name, err)
	}
	return out.Items, nil
}

// maxRemove is how many items DynamoDB removes in one BatchWriteItem.
const maxRemove = 25

// remove takes items away, whatever they are.
func (s *Store) remove(ctx context.Context, keys []item) error {
	var writes []types.WriteRequest
	for _, k := range keys {
		writes = append(writes, types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: k}})
	}
	return s.drain(ctx, len(writes), func() (int, error) {
		out, err := s.db.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{
			RequestItems:           map[string][]types.WriteRequest{s.table: writes},
			ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
		})
		if err != nil {
			return 0, fmt.Errorf("remove items: %w", err)
		}
		writes = out.UnprocessedItems[s.table]
		return len(writes), nil
	})
}
