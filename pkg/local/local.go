// Package local is what Strongroom needs from AWS on one machine: a DynamoDB, a KMS,
// who calls and how often, in this process. Nothing here listens.
//
// The API code is that of the cloud and has no local branch: only who answers the
// calls to DynamoDB and KMS differs.
//
// Invariants: one process uses a data folder at a time. A key is on the disk, synced,
// before anything is sealed under it. A data folder whose keys are lost is refused
// rather than given new ones. The folder and all files in it are this user's alone.
//
// Each Region has a table of its own in the one DynamoDB, and a key file of its own. Those
// of the Region that the folder was made with do not name it.
package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
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
func HasTable(data string) bool { return isThere(filepath.Join(data, tableFile)) }

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// keyFileOf is the path of the key file of a Region that is not the first of its folder.
func keyFileOf(data, region string) string {
	return filepath.Join(data, strings.TrimSuffix(keyFile, ".json")+"-"+region+".json")
}

// Options says where the engines keep their data and which are brought by the user.
type Options struct {
	Data     string       // folder of the table, the keys and the lock; "" keeps everything in memory
	Region   string       // that a new folder is made with, and that Fill fills
	Account  string       // of keys and secrets; it stays with the data
	DynamoDB string       // URL of another DynamoDB
	KMS      string       // URL of another KMS
	Lambda   string       // URL of what speaks Lambda's Invoke, for rotation functions; "" for none
	Log      *slog.Logger // nil says nothing
}

// DynamoDB is what a store needs, what makes its table, and what finds the tables of all.
type DynamoDB interface {
	store.DynamoDB
	store.Tables
	ListTables(context.Context, *dynamodb.ListTablesInput, ...func(*dynamodb.Options)) (*dynamodb.ListTablesOutput, error)
}

// Engines are a DynamoDB and a KMS, ready to be called.
type Engines struct {
	DynamoDB DynamoDB
	// Lambda invokes rotation functions; nil without one.
	Lambda *lambda.Client

	options Options
	first   string       // the Region whose table and key file do not name it
	keys    *kms.Keys    // of that Region; nil where the user brought a KMS
	brought envelope.KMS // by the user, for all Regions

	mu          sync.Mutex            // held while a deployment is opened
	deployments map[string]Deployment // by Region

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
	e := newEngines(o)
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

func newEngines(o Options) *Engines {
	e := &Engines{options: o, deployments: map[string]Deployment{}}
	e.close = sync.OnceValue(e.stop)
	return e
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

// openKMS opens the keys of the Region that the folder was made with, which the key file
// names. A KMS that the user brought does not: then it is the Region of the options.
func (e *Engines) openKMS(ctx context.Context, o Options) (err error) {
	if o.KMS != "" {
		e.first = cmp.Or(o.Region, Region)
		e.brought, err = kmsAt(ctx, o.KMS, o.Log)
		return err
	}
	if e.keys, err = firstKeys(o); err != nil {
		return err
	}
	e.first = e.keys.Region()
	_, err = e.keys.DefaultKey(time.Now()) // a key file with a key is there before the table
	return err
}

func firstKeys(o Options) (*kms.Keys, error) {
	if o.Data == "" {
		return kms.Memory(o.Region, o.Account), nil
	}
	path, table := filepath.Join(o.Data, keyFile), filepath.Join(o.Data, tableFile)
	of := kms.Options{Path: path, Account: o.Account}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		of.Region = cmp.Or(o.Region, Region)
		// Keys of this Region that came from a folder where it was not the first.
		if named := keyFileOf(o.Data, of.Region); !HasTable(o.Data) && isThere(named) {
			return nil, fmt.Errorf("there are keys of %s in %s; rename it to %s, as the first Region of a folder has it", of.Region, named, keyFile)
		}
	}
	if HasTable(o.Data) {
		of.Sealed, of.GiveUp = "the secrets in "+table, "remove "+table
	}
	return kms.Open(of)
}

// Fill makes the table of a Region in a data folder where the Region has none, all of it or
// nothing: the table is there once fill has returned without an error, and what a process
// that ended in between left over is no table. Keys that are in the folder are used. Only
// within fill may the engines be used.
func Fill(ctx context.Context, o Options, fill func(*Engines, Deployment) error) (err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	e := newEngines(o)
	defer func() { err = errors.Join(err, e.Close()) }()
	if err := e.takeFolder(o.Data); err != nil {
		return err
	}
	if err := e.openKMS(ctx, o); err != nil {
		return err
	}
	path := filepath.Join(o.Data, fillFile)
	if err := removeIfThere(path); err != nil {
		return err
	}
	if HasTable(o.Data) {
		if err := copyFile(path, filepath.Join(o.Data, tableFile)); err != nil {
			return errors.Join(err, removeIfThere(path))
		}
	} else if o.KMS == "" && o.Region != "" && e.first != o.Region {
		return fmt.Errorf("the keys in %s are of the Region %s; say so with --region, or use --data with another folder", filepath.Join(o.Data, keyFile), e.first)
	}
	if err := e.openDynamoDB(ctx, o, fillFile); err != nil {
		return errors.Join(err, removeIfThere(path))
	}
	err = e.fill(ctx, cmp.Or(o.Region, Region), fill)
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

func (e *Engines) fill(ctx context.Context, region string, fill func(*Engines, Deployment) error) error {
	switch has, err := e.has(ctx, e.table(region)); {
	case err != nil:
		return err
	case has:
		return fmt.Errorf("%s has a table already in the data folder %s; use --data with another folder", region, e.options.Data)
	}
	d, err := e.Open(ctx, region)
	if err != nil {
		return err
	}
	return fill(e, d)
}

// copyFile copies a file of this user, which nobody changes meanwhile.
func copyFile(to, from string) (err error) {
	source, err := private.Read(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }() // it was read
	target, err := private.Open(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Sync(), target.Close())
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
