package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/secret"
)

// RemoveDamaged removes a secret whose head cannot be read, with what is listed of it
// as far as that can be told, and returns its ARN. Its versions are noted to be
// removed. It returns [ErrMoved] when the secret can be read, or was written since;
// [secret.NotFound] when there is none, or another of that name; and the *[Newer] error
// of one that a newer version wrote: that one is not damaged.
func (s *Store) RemoveDamaged(ctx context.Context, id secret.ID, now time.Time) (arn string, err error) {
	err = s.retry(ctx, func() error {
		it, err := s.get(ctx, headKey(id.Name))
		if err != nil {
			return fmt.Errorf("read secret %s: %w", id.Name, err)
		}
		raw := rawHead{id.Name, it}
		if err := raw.removable(s, id); err != nil {
			return err
		}
		arn = s.arns.Of(id.Name, raw.text("suffix"))
		steps, err := raw.removal(s, now)
		if err != nil {
			return err
		}
		err = s.transact(ctx, steps)
		if err != nil && !errors.Is(err, errConflict) && !errors.Is(err, ErrMoved) {
			err = uncertain(err)
		}
		return err
	})
	s.heads.remove(id.Name)
	return arn, err
}

// A rawHead is a head as it is stored.
type rawHead struct {
	name string
	item item
}

func (d rawHead) removable(s *Store, id secret.ID) error {
	if len(d.item) == 0 {
		return secret.NotFound
	}
	_, err := s.readHead(d.item)
	newer, isNewer := errors.AsType[*Newer](err)
	suffix := d.text("suffix")
	switch {
	case err == nil:
		return ErrMoved
	case isNewer:
		return newer
	case id.Suffix != "" && suffix != "" && id.Suffix != suffix:
		return secret.NotFound
	}
	return nil
}

// text is an attribute, empty when it is no text.
func (d rawHead) text(attribute string) string {
	if v, ok := d.item[attribute].(*types.AttributeValueMemberS); ok {
		return v.Value
	}
	return ""
}

func (d rawHead) removal(s *Store, now time.Time) ([]step, error) {
	var l list
	moved := func(item) error { return ErrMoved }
	if d.item["commit"] != nil {
		l.add(s.deleteIf(headKey(d.name), wasCommitted, d.item, moved), nil)
	} else {
		l.add(s.deleteIf(headKey(d.name), wasNotCommitted, d.item, moved), nil)
	}
	l.add(s.delete(key{string(ByName), d.name}), nil)
	if created := d.text("created"); created != "" {
		l.add(s.delete(key{string(ByCreated), created + "#" + d.name}), nil)
	}
	if suffix := d.text("suffix"); suffix != "" {
		l.add(s.delete(rotationKey(d.name, suffix)), nil)
		var copied int64
		_ = attributevalue.Unmarshal(d.item["copy"], &copied) // 0 if it cannot be read
		l.add(s.set(noteItem{key: leftoverKey(d.name, secret.FamilyOf(suffix, copied)), Schema: schema, due: due{Prunings.shardOf(d.name), stamp(now)}}))
		var replicas []replicaItem
		_ = attributevalue.Unmarshal(d.item["replicas"], &replicas) // as far as they can be read
		for _, r := range replicas {
			l.add(s.replicate(replicaKey(d.name, suffix, r.Region), r.Copy, r.Copy, now), nil)
		}
		if hash := d.text("policy_hash"); hash != "" {
			l.add(s.delete(key{partition + d.name, "POLICY#" + suffix + "#" + hash}), nil)
		}
	}
	return l.steps, l.err
}
