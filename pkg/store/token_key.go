package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// tokenKeyKey is where the deployment's key for tokens is.
var tokenKeyKey = key{"DEPLOYMENT", "TOKENKEY"}

// A tokenKeyItem is the key that places in lists are sealed under before they go out.
// It protects nothing that is in the table.
type tokenKeyItem struct {
	key
	Schema int    `dynamodbav:"schema"`
	Key    []byte `dynamodbav:"key"`
}

// TokenKey is a key of 32 bytes that all processes over the table share, and nobody
// outside: places in lists go out under it and come back. It is made when it is asked
// for the first time; a process reads it once.
func (s *Store) TokenKey(ctx context.Context) ([]byte, error) {
	if k := s.tokenKey.Load(); k != nil {
		return *k, nil
	}
	var stored tokenKeyItem
	found, err := s.read(ctx, tokenKeyKey, &stored)
	if err == nil && !found {
		stored, err = s.makeTokenKey(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("read the key of tokens: %w", err)
	}
	s.tokenKey.Store(&stored.Key)
	return stored.Key, nil
}

// makeTokenKey makes the key, unless another process was first.
func (s *Store) makeTokenKey(ctx context.Context) (tokenKeyItem, error) {
	made := tokenKeyItem{key: tokenKeyKey, Schema: schema, Key: make([]byte, 32)}
	_, _ = rand.Read(made.Key) // crypto/rand never returns an error
	put, err := s.put(made, func(old item) error { return unmarshal(old, &made) })
	if err != nil {
		return made, err
	}
	return made, s.retry(ctx, func() error {
		err := s.transact(ctx, []step{put})
		if _, lost := errors.AsType[*types.TransactionCanceledException](err); lost {
			return nil // made is the one that is there
		}
		return err
	})
}
