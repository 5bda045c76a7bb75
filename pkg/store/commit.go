package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/secret"
)

// errConflict says that DynamoDB was busy with another write to the same items,
// or throttled: the same commit may be tried again.
var errConflict = errors.New("conflict with another write")

// rival is the secret as it stood against a commit: a newer revision, or none.
type rival struct {
	secret secret.Secret
	found  bool
}

func (r *rival) Error() string { return "the secret was changed meanwhile" }

// commit makes a change durable that was decided on seen, a secret of revision 0
// being one that is not there yet. The name commit is of all tries together, and
// stays on the head: a try that finds it there was preceded by one that did
// happen. The head comes first in the transaction, the version second, the
// checks last, so that their answers are known by their place.
func (s *Store) commit(ctx context.Context, seen secret.Secret, change secret.Change, commit string) (secret.Secret, error) {
	next := change.Secret
	next.Revision = seen.Revision + 1
	if next.KMSKey != seen.KMSKey {
		next.Keyed = next.Revision
	}
	writes, err := s.writes(seen, next, change, commit)
	if err != nil {
		return secret.Secret{}, err
	}
	if err := s.transact(ctx, writes); err != nil {
		return s.lost(err, writes, next, change, commit)
	}
	if change.Remove {
		s.heads.Remove(next.Name)
		return next, nil
	}
	s.remember(next)
	if v := change.Version; v != nil {
		s.versions.add(versionName(next, v.ID), *v)
	}
	return next, nil
}

func (s *Store) writes(seen, next secret.Secret, change secret.Change, commit string) ([]types.TransactWriteItem, error) {
	if change.Remove {
		return s.removal(seen, next.Changed)
	}
	head, err := s.headWrite(seen, next, change, commit)
	if err != nil {
		return nil, err
	}
	writes := []types.TransactWriteItem{head}
	if v := change.Version; v != nil {
		put, err := s.put(versionOf(next, *v))
		if err != nil {
			return nil, err
		}
		writes = append(writes, put)
	}
	for _, v := range change.Rewrapped {
		rewrap, err := s.rewrap(next, v)
		if err != nil {
			return nil, err
		}
		writes = append(writes, rewrap)
	}
	policy, err := s.policyWrite(seen, next, change.Policy)
	if err != nil {
		return nil, err
	}
	writes = append(writes, policy...)
	rotation, err := s.rotationWrite(seen, next)
	if err != nil {
		return nil, err
	}
	writes = append(writes, rotation...)
	if id := change.Discard; id != "" {
		writes = append(writes, s.delete(versionKey(next.Name, next.Suffix(), id)))
	}
	if seen.Revision == 0 {
		for _, k := range directory(next) {
			row, err := s.put(directoryItem{key: k, Schema: schema, Name: next.Name, Suffix: next.Suffix()})
			if err != nil {
				return nil, err
			}
			writes = append(writes, row)
		}
	}
	for _, id := range change.Exists {
		writes = append(writes, s.check(versionKey(next.Name, next.Suffix(), id), exists))
	}
	if id := change.Absent; id != "" {
		writes = append(writes, s.check(versionKey(next.Name, next.Suffix(), id), isNew))
	}
	return writes, nil
}

// headWrite writes a new head, or the next revision of the one that was seen.
// It leaves alone what reads and pruning write beside the revisions.
func (s *Store) headWrite(seen, next secret.Secret, change secret.Change, commit string) (types.TransactWriteItem, error) {
	head := headOf(next, commit)
	if seen.Revision == 0 {
		return s.put(head)
	}
	attributes, err := marshal(head)
	if err != nil {
		return types.TransactWriteItem{}, err
	}
	if head.Rotation == nil {
		attributes["rotation"] = &types.AttributeValueMemberNULL{Value: true}
	}
	attributes["seen"] = num(seen.Revision)
	added, once := 0, 0
	condition := isSeen
	if change.Discard != "" {
		added, once = -1, 1
	}
	if change.Version != nil {
		added++
		if change.Quota > 0 {
			condition = isRoomy
			attributes["quota"] = num(change.Quota + len(seen.Stages.Versions()))
		}
	}
	attributes["added"], attributes["once"] = num(added), num(once)
	// The schedules have to look at it soon when there are versions too many, when
	// it was said anew which to keep, or when a deletion was taken back; and when the
	// recovery window ends.
	set, due := keepDue, next.Changed
	switch {
	case !next.Deletion.Equal(seen.Deletion):
		set = setDue
		if !next.Deletion.IsZero() {
			due = next.Deletion
		}
	case change.Anew:
		set = setDue
	case change.Look:
		set = noteDue
	}
	attributes["shard"], attributes["due"] = str(Prunings.shardOf(next.Name)), str(stamp(due).String())
	return types.TransactWriteItem{Update: &types.Update{
		TableName:                           &s.table,
		Key:                                 head.item(),
		UpdateExpression:                    aws.String(set),
		ConditionExpression:                 aws.String(condition),
		ExpressionAttributeNames:            namesIn(set, condition),
		ExpressionAttributeValues:           valuesIn(attributes, set, condition),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}}, nil
}

// rewrap puts another wrapped data key to a version; what is sealed under it stays.
func (s *Store) rewrap(sec secret.Secret, v secret.Version) (types.TransactWriteItem, error) {
	it := versionOf(sec, v)
	attributes, err := marshal(it)
	return types.TransactWriteItem{Update: &types.Update{
		TableName:                 &s.table,
		Key:                       it.item(),
		UpdateExpression:          aws.String(setDataKey),
		ConditionExpression:       aws.String(exists),
		ExpressionAttributeNames:  namesIn(setDataKey, exists),
		ExpressionAttributeValues: valuesIn(attributes, setDataKey),
	}}, err
}

// policyWrite keeps the policy's text in step with the hash on the head.
func (s *Store) policyWrite(seen, next secret.Secret, text string) ([]types.TransactWriteItem, error) {
	k := policyKey(next.Name, next.Suffix())
	switch {
	case text != "":
		attributes, err := marshal(policyItem{key: k, Schema: schema, Text: text})
		return []types.TransactWriteItem{{Put: &types.Put{TableName: &s.table, Item: attributes}}}, err
	case seen.PolicyHash != "" && next.PolicyHash == "":
		return []types.TransactWriteItem{s.delete(k)}, nil
	}
	return nil, nil
}

// rotationWrite keeps the note of the rotation that is due next in step with the
// head. A secret whose rotation is due as before costs nothing.
func (s *Store) rotationWrite(seen, next secret.Secret) ([]types.TransactWriteItem, error) {
	before, at := seen.RotationDue(), next.RotationDue()
	k := rotationKey(next.Name, next.Suffix())
	switch {
	case before.Equal(at):
		return nil, nil
	case at.IsZero():
		return []types.TransactWriteItem{s.delete(k)}, nil
	}
	attributes, err := marshal(noteItem{key: k, Schema: schema, due: due{Rotations.shardOf(next.Name), stamp(at)}})
	return []types.TransactWriteItem{{Put: &types.Put{TableName: &s.table, Item: attributes}}}, err
}

// delete takes an item away, if it is there.
func (s *Store) delete(k key) types.TransactWriteItem {
	return types.TransactWriteItem{Delete: &types.Delete{TableName: &s.table, Key: k.item()}}
}

// removal takes away a secret and its rows in the directory, and notes that
// its versions are left over. Nobody can reach these any more: a secret made
// under that name again has another suffix.
func (s *Store) removal(seen secret.Secret, now time.Time) ([]types.TransactWriteItem, error) {
	attributes := item{
		"seen":   num(seen.Revision),
		"suffix": str(seen.Suffix()),
	}
	head := types.TransactWriteItem{Delete: &types.Delete{
		TableName:                           &s.table,
		Key:                                 headKey(seen.Name).item(),
		ConditionExpression:                 aws.String(isSeen),
		ExpressionAttributeNames:            namesIn(isSeen),
		ExpressionAttributeValues:           valuesIn(attributes, isSeen),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}}
	writes := []types.TransactWriteItem{head}
	gone := directory(seen)
	if seen.PolicyHash != "" {
		gone = append(gone, policyKey(seen.Name, seen.Suffix()))
	}
	if !seen.RotationDue().IsZero() {
		gone = append(gone, rotationKey(seen.Name, seen.Suffix()))
	}
	for _, k := range gone {
		writes = append(writes, s.delete(k))
	}
	if seen.Versions == 0 {
		return writes, nil
	}
	left, err := marshal(noteItem{
		key:    leftoverKey(seen.Name, seen.Suffix()),
		Schema: schema,
		due:    due{Prunings.shardOf(seen.Name), stamp(now)},
	})
	if err != nil {
		return nil, err
	}
	return append(writes, types.TransactWriteItem{Put: &types.Put{TableName: &s.table, Item: left}}), nil
}

// put writes an item that must not be there yet.
func (s *Store) put(v any) (types.TransactWriteItem, error) {
	attributes, err := marshal(v)
	if err != nil {
		return types.TransactWriteItem{}, err
	}
	return types.TransactWriteItem{Put: &types.Put{
		TableName:                           &s.table,
		Item:                                attributes,
		ConditionExpression:                 aws.String(isNew),
		ExpressionAttributeNames:            namesIn(isNew),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}}, nil
}

func (s *Store) check(k key, condition string) types.TransactWriteItem {
	return types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
		TableName:                &s.table,
		Key:                      k.item(),
		ConditionExpression:      aws.String(condition),
		ExpressionAttributeNames: namesIn(condition),
	}}
}

// transact runs one transaction. Its token makes the client's own retries safe.
func (s *Store) transact(ctx context.Context, writes []types.TransactWriteItem) error {
	_, err := s.db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{
		TransactItems:          writes,
		ClientRequestToken:     aws.String(uuid.NewString()),
		ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	})
	return err
}

// lost says why a commit did not happen; or that it did, when what stands
// against it is its own: then an answer was lost on the way, and the client
// tried again.
func (s *Store) lost(err error, writes []types.TransactWriteItem, next secret.Secret, change secret.Change, commit string) (secret.Secret, error) {
	cancelled, ok := errors.AsType[*types.TransactionCanceledException](err)
	if !ok {
		s.heads.Remove(next.Name) // it may have happened or not
		return secret.Secret{}, fmt.Errorf("commit secret %s: %w", next.Name, err)
	}
	reasons := cancelled.CancellationReasons
	failed := func(i int) bool {
		return i < len(reasons) && aws.ToString(reasons[i].Code) == "ConditionalCheckFailed"
	}
	switch {
	case failed(0):
		return s.lostHead(reasons[0].Item, next, change, commit)
	case slices.ContainsFunc(reasons, passing):
		return secret.Secret{}, errConflict
	case change.Version != nil && failed(1):
		return secret.Secret{}, lostVersion(reasons[1].Item, next, change)
	}
	last := len(writes)
	if change.Absent != "" {
		if last--; failed(last) {
			return secret.Secret{}, &VersionExists{Version: secret.Version{ID: change.Absent}}
		}
	}
	for i, id := range change.Exists {
		if failed(last - len(change.Exists) + i) {
			return secret.Secret{}, secret.NoSuchVersion(id)
		}
	}
	return secret.Secret{}, fmt.Errorf("commit secret %s: %w", next.Name, err)
}

// passing says that a reason to cancel has nothing to do with what is stored.
func passing(r types.CancellationReason) bool {
	switch aws.ToString(r.Code) {
	case "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded":
		return true
	}
	return false
}

func (s *Store) lostHead(old item, next secret.Secret, change secret.Change, commit string) (secret.Secret, error) {
	if len(old) == 0 {
		s.heads.Remove(next.Name)
		if change.Remove {
			return next, nil
		}
		return secret.Secret{}, &rival{}
	}
	var head headItem
	if err := attributevalue.UnmarshalMap(old, &head); err != nil {
		return secret.Secret{}, fmt.Errorf("head of %s: %w", next.Name, err)
	}
	sec := head.secret(s.arns)
	s.remember(sec)
	switch {
	case head.Commit == commit:
		return sec, nil
	case sec.ARN == next.ARN && sec.Revision == next.Revision-1:
		// It is as it was seen, so the other half of the condition failed.
		return secret.Secret{}, secret.QuotaExceeded
	}
	return secret.Secret{}, &rival{sec, true}
}

// lostVersion is the error for a version that is there already. Its head was not
// in the way, so the secret is as it was when the change was decided.
func lostVersion(old item, next secret.Secret, change secret.Change) error {
	var v versionItem
	if err := attributevalue.UnmarshalMap(old, &v); err != nil {
		return fmt.Errorf("version %s of %s: %w", change.Version.ID, next.ARN, err)
	}
	return &VersionExists{Version: v.version()}
}
