// Package local is what Strongroom needs from AWS on one machine: a DynamoDB, a KMS,
// who calls and how often, in this process. Nothing here listens.
//
// The API code is that of the cloud and has no local branch: only who answers the
// calls to DynamoDB and KMS differs.
//
// Invariants: one process uses a data folder at a time. A key is on the disk, synced,
// before anything is sealed under it. A data folder whose keys are lost is refused
// rather than given new ones. The folder and all files in it are this user's alone.
package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/local/dynamo"
	"github.com/strongroom/strongroom/pkg/local/kms"
	"github.com/strongroom/strongroom/pkg/local/private"
	"github.com/strongroom/strongroom/pkg/store"
)

// Region and Account are those of secrets and keys where Options name none.
const (
	Region  = kms.DefaultRegion
	Account = kms.DefaultAccount
)

// Files of a data folder.
const (
	tableFile = "table.db"
	keyFile   = "keys.json"
	lockFile  = "lock"
	fillFile  = "table.db.filling" // a table that is not whole yet
	oldFile   = "dynamo.db"        // of the engine that was a process of its own
)

// HasTable says whether a data folder has a table.
func HasTable(data string) bool {
	_, err := os.Lstat(filepath.Join(data, tableFile))
	return !errors.Is(err, fs.ErrNotExist)
}

// Options says where the engines keep their data and which are brought by the user.
type Options struct {
	Data            string       // folder of the table, the keys and the lock; "" keeps everything in memory
	Region, Account string       // of keys and secrets; they stay with the data
	DynamoDB        string       // URL of another DynamoDB
	KMS             string       // URL of another KMS
	Lambda          string       // URL of what speaks Lambda's Invoke, for rotation functions; "" for none
	Log             *slog.Logger // nil says nothing
}

// DynamoDB is what a store needs, and what makes its table.
type DynamoDB interface {
	store.DynamoDB
	store.Tables
}

// Engines are a DynamoDB and a KMS, ready to be called.
type Engines struct {
	DynamoDB DynamoDB
	KMS      envelope.KMS
	// DefaultKey is the ARN of the default key. Of a KMS that the user brought it is
	// the alias: making a key there costs money, and is left to the user.
	DefaultKey string
	// Lambda invokes rotation functions; nil without one.
	Lambda *lambda.Client

	closers []func() error
	close   func() error
}

// Start opens the engines that the user did not bring. They live until Close, so
// that a server may still finish its requests after its context has ended.
func Start(ctx context.Context, o Options) (_ *Engines, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := errors.Join(checkURL(envDynamoDB, o.DynamoDB), checkURL(envKMS, o.KMS), checkURL(envLambda, o.Lambda)); err != nil {
		return nil, err
	}
	e := &Engines{}
	e.close = sync.OnceValue(e.stop)
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	if o.Data != "" && (o.DynamoDB == "" || o.KMS == "") {
		if err := e.takeFolder(o.Data); err != nil {
			return nil, err
		}
	}
	// The key file must be there before the table is: a table without a key file is
	// how lost keys are recognised.
	if err := e.openKMS(ctx, o); err != nil {
		return nil, err
	}
	if err := e.openDynamoDB(ctx, o, tableFile); err != nil {
		return nil, err
	}
	if o.Lambda != "" {
		if e.Lambda, err = lambdaAt(ctx, o.Lambda, o.Log); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// takeFolder prepares and locks the data folder.
func (e *Engines) takeFolder(data string) error {
	if err := private.Folder(data); err != nil {
		return fmt.Errorf("cannot use the data folder %s: %w", data, err)
	}
	if _, err := os.Lstat(filepath.Join(data, oldFile)); err == nil {
		return fmt.Errorf("the data folder %s was made by an earlier version, whose table (%s) cannot be read any more; use --data with another folder", data, oldFile)
	}
	lock, err := lockFolder(data)
	if err != nil {
		return err
	}
	e.closers = append(e.closers, lock.Unlock)
	return nil
}

func (e *Engines) openKMS(ctx context.Context, o Options) (err error) {
	if o.KMS != "" {
		e.DefaultKey = kms.DefaultAlias
		e.KMS, err = kmsAt(ctx, o.KMS, o.Log)
		return err
	}
	keys := kms.Memory(o.Region, o.Account)
	if o.Data != "" {
		sealed := filepath.Join(o.Data, tableFile)
		if _, err := os.Lstat(sealed); err != nil {
			sealed = ""
		}
		keys, err = kms.Open(kms.Options{Path: filepath.Join(o.Data, keyFile), Region: o.Region, Account: o.Account, Sealed: sealed})
		if err != nil {
			return err
		}
	}
	e.KMS = keys
	e.DefaultKey, err = keys.DefaultKey(time.Now())
	return err
}

// Fill makes the table of a data folder that has none, all of it or nothing: the table is
// there once fill has returned without an error, and what a process that ended in between
// left over is no table. Keys that are in the folder are used. Who fills it must create
// the table, and only within fill may the engines be used.
func Fill(ctx context.Context, o Options, fill func(*Engines) error) (err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	e := &Engines{}
	e.close = sync.OnceValue(e.stop)
	defer func() { err = errors.Join(err, e.Close()) }()
	if err := e.takeFolder(o.Data); err != nil {
		return err
	}
	if HasTable(o.Data) {
		return fmt.Errorf("the data folder %s has a table already; use --data with another folder", o.Data)
	}
	if err := e.openKMS(ctx, o); err != nil {
		return err
	}
	path := filepath.Join(o.Data, fillFile)
	if err := removeIfThere(path); err != nil {
		return err
	}
	if err := e.openDynamoDB(ctx, o, fillFile); err != nil {
		return err
	}
	err = fill(e)
	db := len(e.closers) - 1 // the folder stays locked
	err = errors.Join(err, e.closers[db]())
	e.closers = e.closers[:db]
	if err != nil {
		return errors.Join(err, removeIfThere(path))
	}
	if err := os.Rename(path, filepath.Join(o.Data, tableFile)); err != nil {
		return err
	}
	return private.Sync(o.Data)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (e *Engines) openDynamoDB(ctx context.Context, o Options, file string) (err error) {
	switch {
	case o.DynamoDB != "":
		e.DynamoDB, err = dynamoDBAt(ctx, o.DynamoDB, o.Log)
		return err
	case o.Data == "":
		e.DynamoDB = dynamo.Memory()
		return nil
	}
	db, err := dynamo.Open(filepath.Join(o.Data, file))
	if err != nil {
		return err
	}
	e.DynamoDB = db
	e.closers = append(e.closers, db.Close)
	return nil
}

// Close closes what Start opened and gives the data folder free. Nothing that was
// answered is lost. A second Close does nothing.
func (e *Engines) Close() error { return e.close() }

// stop closes the folder's lock last: it is free only when nobody uses it.
func (e *Engines) stop() error {
	var errs []error
	for i := range e.closers {
		errs = append(errs, e.closers[len(e.closers)-1-i]())
	}
	return errors.Join(errs...)
}
