// Package store keeps secrets in one DynamoDB table.
//
// A secret is one item, its head; its versions are items beside it under the
// same partition key. The head alone says where the labels point, and grows
// with none of its versions; a version holds sealed bytes and never changes.
//
// Every change is one TransactWriteItems under the condition that the head is
// still the one the change was decided on: it happens as a whole, or not at
// all. Reads are strongly consistent.
package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/strongroom/strongroom/pkg/secret"
)

// DynamoDB is the part of the DynamoDB client a Store needs. Calls may run
// concurrently and retry by themselves. An error of a write leaves open whether
// it happened, except for TransactionCanceledException: that one did not.
type DynamoDB interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
	BatchWriteItem(context.Context, *dynamodb.BatchWriteItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	TransactWriteItems(context.Context, *dynamodb.TransactWriteItemsInput, ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error)
}

// A Store is a table of secrets. Its methods may be called concurrently.
type Store struct {
	db    DynamoDB
	table string
	arns  secret.ARNs

	// heads are what was last seen of each secret. A change may be decided on
	// one, since its commit proves it; no answer is given from one.
	heads *cache[secret.Secret]
	// versions never change, so one once read need not be read again.
	versions *cache[secret.Version]
	tokenKey *atomic.Pointer[[]byte] // nil until it was asked for
	changes  *queue
	name     string // of the next commit; empty for one of its own

	// Jitter draws how long to wait before another try, below a bound; nil draws at
	// random. It is set before the first use.
	Jitter func(ctx context.Context, bound time.Duration) time.Duration
}

// New is a store over a table made as [Schema] says, for the secrets that have
// these ARNs.
func New(db DynamoDB, table string, arns secret.ARNs) *Store {
	return &Store{
		db: db, table: table, arns: arns,
		heads: newCache(headBytes, headCost), versions: newCache(versionBytes, versionCost),
		tokenKey: new(atomic.Pointer[[]byte]), changes: new(queue),
	}
}

// Beside is a store over another table, in the same process: what both remember is within
// one bound of memory.
func (s *Store) Beside(db DynamoDB, table string, arns secret.ARNs) *Store {
	return &Store{
		db: db, table: table, arns: arns,
		heads: s.heads.beside(table), versions: s.versions.beside(table),
		tokenKey: new(atomic.Pointer[[]byte]), changes: new(queue),
	}
}

// ARN is that of a secret, of which the suffix or the family is known.
func (s *Store) ARN(id secret.ID) string { return s.arns.Of(id.Name, secret.SuffixIn(id.Suffix)) }

// Table is the table's name.
func (s *Store) Table() string { return s.table }

// ErrBusy says that others changed the secret for as long as the deadline
// allowed, or that DynamoDB took no more. The same call may be made again: nothing
// was written, unless the error is [ErrUncertain] as well.
var ErrBusy = errors.New("too many requests at once")

// ErrUncertain is in the error of a change that may have happened or not: the answer
// to its commit was lost, or did not come in time. After any other error the change
// has not happened.
var ErrUncertain = errors.New("the change may have happened")

// A VersionExists error says that the change would have made a version that
// the secret already has. Nothing was written.
type VersionExists struct {
	// Secret is as it stands, and stood when the version was found.
	Secret  secret.Secret
	Version secret.Version
	// Last says that the last change of the secret made the version.
	Last bool
}

func (e *VersionExists) Error() string {
	return fmt.Sprintf("version %s of %s exists", e.Version.ID, e.Secret.ARN)
}

// An Exists error says that there is a secret of that name. Nothing was written.
type Exists struct{ Secret secret.Secret }

func (e *Exists) Error() string { return fmt.Sprintf("secret %s exists", e.Secret.Name) }

// remember keeps the newest of what was seen of a secret.
func (s *Store) remember(sec secret.Secret) {
	// Of two copies of a replica, which have the same ARN, the later may have the smaller revision.
	if old, ok := s.heads.peek(sec.Name); ok && old.ARN == sec.ARN && old.Copy == sec.Copy && old.Revision > sec.Revision {
		return
	}
	s.heads.add(sec.Name, sec)
}

// Remembered is a secret as this process saw it last; it may have been changed since.
func (s *Store) Remembered(name string) (secret.Secret, bool) { return s.heads.peek(name) }

// day is the day of a time, in UTC; dates of access have no more.
func day(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }
