package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/pkg/secret"
)

// Get reads a secret: one strongly consistent read. It returns
// [secret.NotFound] when there is none, or another one of that name.
func (s *Store) Get(ctx context.Context, id secret.ID) (secret.Secret, error) {
	head, err := s.head(ctx, id.Name)
	if err != nil {
		return secret.Secret{}, err
	}
	sec := head.secret(s.arns)
	s.remember(sec)
	if !sec.Is(id) {
		return secret.Secret{}, secret.NotFound
	}
	return sec, nil
}

func (s *Store) head(ctx context.Context, name string) (headItem, error) {
	var head headItem
	it, err := s.get(ctx, headKey(name))
	switch {
	case err != nil:
		return head, fmt.Errorf("read secret %s: %w", name, err)
	case len(it) == 0:
		s.heads.remove(name)
		return head, secret.NotFound
	}
	if err := unmarshal(it, &head); err != nil {
		return head, &Damaged{name, err}
	}
	return head, nil
}

// Version reads a version of a secret that was just read, and says whether
// there is one. A version under a label may come from memory: it is the same
// as long as it exists, and it exists as long as it has a label.
func (s *Store) Version(ctx context.Context, sec secret.Secret, id string) (secret.Version, bool, error) {
	labelled := len(sec.Stages.Of(id)) > 0
	name := versionName(sec, id)
	if v, ok := s.versions.get(name); ok && labelled {
		return v, true, nil
	}
	var got versionItem
	it, err := s.get(ctx, versionKey(sec, id))
	if err != nil {
		return secret.Version{}, false, fmt.Errorf("read version %s of %s: %w", id, sec.ARN, err)
	}
	if len(it) == 0 {
		return secret.Version{}, false, nil
	}
	if err := unmarshal(it, &got); err != nil {
		return secret.Version{}, false, &Damaged{sec.Name, fmt.Errorf("version %s: %w", id, err)}
	}
	v := got.version()
	if got.Revision <= sec.Revision { // or a put may still write over it, see isNewVersion
		s.versions.add(name, v)
	}
	return v, true, nil
}

// versionName is what a version is remembered under. The revision that changed the
// KMS key last is part of it: data keys were wrapped anew with it. (The key itself
// would not do, since it may come back, and the data keys that were under it do not.)
// So is how often versions were removed: an ID may have been used again since. Copies of a
// replica have their versions sealed anew, and count their revisions anew.
func versionName(sec secret.Secret, id string) string {
	return fmt.Sprintf("%s\x00%s\x00%d\x00%d\x00%d", sec.ARN, id, sec.Copy, sec.Keyed, sec.Prunings)
}

// Policy reads the text of the resource policy of a secret that was just read;
// empty for none. A secret without one costs no read. It returns [ErrBusy] when
// another policy was put since, and a *[Damaged] error when the text is lost: nobody
// may take one policy, or none, for another.
func (s *Store) Policy(ctx context.Context, sec secret.Secret) (string, error) {
	if sec.PolicyHash == "" {
		return "", nil
	}
	var policy policyItem
	_, err := s.read(ctx, policyKey(sec), &policy)
	if err != nil {
		return "", fmt.Errorf("read policy of %s: %w", sec.ARN, err)
	}
	if hashOf(policy.Text) == sec.PolicyHash {
		return policy.Text, nil
	}
	now, err := s.Get(ctx, secret.ID{Name: sec.Name, Suffix: sec.Suffix()})
	switch {
	case err != nil:
		return "", err
	case now.PolicyHash != sec.PolicyHash || now.Revision != sec.Revision:
		return "", ErrBusy // it may have been taken away and put again
	}
	return "", &Damaged{sec.Name, errors.New("the text of its resource policy is lost")}
}

// hashOf is what a policy is known by.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// ReadNoPolicy reads a policy that is not there, beside a secret that may not be there
// either: it takes the call that [Store.Policy] takes.
func (s *Store) ReadNoPolicy(ctx context.Context, name string) error {
	_, err := s.get(ctx, key{partition + name, "POLICY#"})
	return err
}

func (s *Store) read(ctx context.Context, k key, into any) (bool, error) {
	it, err := s.get(ctx, k)
	if err != nil || len(it) == 0 {
		return false, err
	}
	return true, unmarshal(it, into)
}

func (s *Store) get(ctx context.Context, k key) (item, error) {
	out, err := s.db.GetItem(ctx, &dynamodb.GetItemInput{
		TableName:              &s.table,
		Key:                    k.item(),
		ConsistentRead:         aws.Bool(true),
		ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	})
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}

// beginning asks for what lies under the name of a secret and has a sort key that begins so.
func (s *Store) beginning(name, prefix string) *dynamodb.QueryInput {
	values := item{"pk": str(headKey(name).PK), "prefix": str(prefix)}
	return &dynamodb.QueryInput{
		TableName:                 &s.table,
		KeyConditionExpression:    aws.String(ofSecret),
		ExpressionAttributeNames:  namesIn(ofSecret),
		ExpressionAttributeValues: valuesIn(values, ofSecret),
		ConsistentRead:            aws.Bool(true),
		ReturnConsumedCapacity:    types.ReturnConsumedCapacityTotal,
	}
}

// A Page is where in a list to go on, and how far.
type Page struct {
	// After is the ID of the version that the last page ended with; empty to begin.
	After string
	// Limit is how many versions at most, from 1 to 100.
	Limit int
}

// Versions lists versions of a secret without their sealed data, in the order
// of their IDs, and says whether there are more.
func (s *Store) Versions(ctx context.Context, sec secret.Secret, page Page) ([]secret.Version, bool, error) {
	in := s.beginning(sec.Name, versionPrefix(sec.Family()))
	in.ProjectionExpression, in.ExpressionAttributeNames = aws.String(noSealed), namesIn(ofSecret, noSealed)
	if page.After != "" {
		in.ExclusiveStartKey = versionKey(sec, page.After).item()
	}
	var versions []secret.Version
	// One more than asked says whether there are more. DynamoDB ends an answer
	// at 1 MB, so it may take several.
	for len(versions) <= page.Limit {
		in.Limit = aws.Int32(int32(page.Limit + 1 - len(versions))) //nolint:gosec // at most 101
		out, err := s.db.Query(ctx, in)
		if err != nil {
			return nil, false, fmt.Errorf("list versions of %s: %w", sec.ARN, err)
		}
		got, err := versionsIn(out.Items)
		if err != nil {
			return nil, false, err
		}
		versions = append(versions, got...)
		if len(out.LastEvaluatedKey) == 0 {
			break
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
	if len(versions) > page.Limit {
		return versions[:page.Limit], true, nil
	}
	return versions, false, nil
}

// Labelled lists the versions of a secret that have a label and a value, without
// their sealed data, in the order of their IDs: one read, however many versions
// the secret has.
func (s *Store) Labelled(ctx context.Context, sec secret.Secret) ([]secret.Version, error) {
	var keys []item
	for _, id := range sec.Stages.Versions() {
		keys = append(keys, versionKey(sec, id).item())
	}
	if len(keys) == 0 {
		return nil, nil
	}
	items, err := s.batch(ctx, types.KeysAndAttributes{
		Keys:                     keys,
		ConsistentRead:           aws.Bool(true),
		ProjectionExpression:     aws.String(noSealed),
		ExpressionAttributeNames: namesIn(noSealed),
	})
	if err != nil {
		return nil, fmt.Errorf("list versions of %s: %w", sec.ARN, err)
	}
	versions, err := versionsIn(items)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(versions, func(a, b secret.Version) int { return cmp.Compare(a.ID, b.ID) })
	return versions, nil
}

func versionsIn(items []item) ([]secret.Version, error) {
	var versions []secret.Version
	for _, it := range items {
		var v versionItem
		if err := unmarshal(it, &v); err != nil {
			return nil, fmt.Errorf("version item: %w", err)
		}
		versions = append(versions, v.version())
	}
	return versions, nil
}

// Touch notes that a version was read at now: a date of access is a day. A head that
// says so already costs nothing. Of all processes that read a secret at midnight, each
// writes to its head once at most, and one to the version.
func (s *Store) Touch(ctx context.Context, sec secret.Secret, v secret.Version, now time.Time) error {
	today := day(now)
	if !v.Accessed.Before(today) || !sec.Accessed.Before(today) && sec.AccessedVersion == v.ID {
		return nil
	}
	attributes := item{"suffix": str(sec.Suffix()), "accessed": str(stamp(today).String()), "accessed_version": str(v.ID)}
	first, err := s.touch(ctx, headKey(sec.Name), setAccessedHead, isOldHead, attributes)
	if err == nil && first {
		_, err = s.touch(ctx, versionKey(sec, v.ID), setAccessed, isOldVersion, attributes)
	}
	name := versionName(sec, v.ID)
	if _, remembered := s.versions.get(name); err == nil && remembered {
		v.Accessed = today // noted, by this process or by another
		s.versions.add(name, v)
	}
	return err
}

// touch updates an item unless its condition says that there is no need.
func (s *Store) touch(ctx context.Context, k key, update, condition string, attributes item) (bool, error) {
	_, err := s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &s.table,
		Key:                       k.item(),
		UpdateExpression:          aws.String(update),
		ConditionExpression:       aws.String(condition),
		ExpressionAttributeNames:  namesIn(update, condition),
		ExpressionAttributeValues: valuesIn(attributes, update, condition),
		ReturnConsumedCapacity:    types.ReturnConsumedCapacityTotal,
	})
	if apiCode(err) == "ConditionalCheckFailedException" {
		return false, nil // another read noted it, or the secret is gone
	}
	return err == nil, err
}

// apiCode is AWS's code of an error, empty for any other.
func apiCode(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}
