package store

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// RemoveDamaged removes a secret whose head cannot be read, with what is listed of it
// as far as that can be told, and returns its ARN. Its versions are noted to be
// removed. A secret that can be read is [ErrMoved].
func (s *Store) RemoveDamaged(ctx context.Context, name string, now time.Time) (arn string, err error) {
	it, err := s.get(ctx, headKey(name))
	if err != nil {
		return "", fmt.Errorf("read secret %s: %w", name, err)
	}
	if _, err := s.readHead(it); err == nil || len(it) == 0 {
		return "", ErrMoved
	}
	text := func(attribute string) string {
		v, _ := it[attribute].(*types.AttributeValueMemberS)
		if v == nil {
			return ""
		}
		return v.Value
	}
	var l list
	l.add(s.delete(headKey(name)), nil)
	l.add(s.delete(key{string(ByName), name}), nil)
	if created := text("created"); created != "" {
		l.add(s.delete(key{string(ByCreated), created + "#" + name}), nil)
	}
	suffix := text("suffix")
	if suffix != "" {
		l.add(s.delete(rotationKey(name, suffix)), nil)
		l.add(s.set(noteItem{key: leftoverKey(name, suffix), Schema: schema, due: due{Prunings.shardOf(name), stamp(now)}}))
		if hash := text("policy_hash"); hash != "" {
			l.add(s.delete(key{partition + name, "POLICY#" + suffix + "#" + hash}), nil)
		}
	}
	if l.err != nil {
		return "", l.err
	}
	s.heads.Remove(name)
	err = retry(ctx, func() error { return s.transact(ctx, l.steps) })
	return s.arns.Of(name, suffix), err
}
