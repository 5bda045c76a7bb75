// Package local runs what Strongroom needs from AWS on one machine: a DynamoDB
// engine and a KMS.
//
// The same code that runs in Lambda runs here, through the same SDK clients:
// only two endpoints differ. DynamoDB is a child process (dynoxide) that this
// package starts, watches and starts again when it dies; KMS is a handler in
// this process, on a loopback port of its own.
//
// Invariants: one process uses a data folder at a time. A key is on the disk,
// synced, before anything is sealed under it, and a data folder whose keys are
// lost is refused rather than given new ones. The engine never outlives this
// process unseen: see process_linux.go for how it dies with us, and
// lock_unix.go for what holds where the system cannot promise that.
//
// The DynamoDB engine asks for no signature, and so any local process may
// reach it; it only ever sees sealed values. KMS holds the keys, and answers
// nobody but holders of a credential made anew at each start.
package local

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Region and account of everything local. They are in the keys' ARNs, so they
// are stored with the data and are no settings.
const (
	Region  = "us-east-1"
	Account = "000000000000"
)

// DefaultAlias names the key that Start makes the first time.
const DefaultAlias = "alias/strongroom"

// Files of a data folder.
const (
	databaseFile = "dynamo.db" // with its -wal and -shm beside it: one unit
	keyFile      = "keys.json"
	lockFile     = "lock"
	guardFile    = "dynamo.lock"
)

// Options says where the engines keep their data and which are brought by the user.
type Options struct {
	Data     string       // folder of the database, the key file and the lock; "" keeps everything in memory
	Engine   string       // path of the dynoxide program; "" finds the one that `make engine` installs
	DynamoDB string       // URL of another DynamoDB engine: then no child process is started
	KMS      string       // URL of another KMS: then no handler is started
	Lambda   string       // URL of what speaks Lambda's Invoke, for rotation functions; "" for none
	Log      *slog.Logger // restarts of the engine, warnings; nil says nothing
}

// Engines are a DynamoDB and a KMS, ready to be called.
type Engines struct {
	dynamoDB, kms, lambda endpoint
	keyID                 string
	env                   []string
	failed                chan error

	lock   *folderLock
	engine *engine
	server *kmsServer
	close  func() error
}

// Start starts the engines that the user did not bring. ctx bounds the start
// alone; the engines live until Close, so that a server may still finish its
// requests after the context of its process has ended.
func Start(ctx context.Context, o Options) (_ *Engines, err error) {
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	e := &Engines{failed: make(chan error, 1)}
	e.close = sync.OnceValue(e.stop)
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()

	// What can be found wrong without leaving a trace is looked at first.
	if err := errors.Join(checkURL(envDynamoDB, o.DynamoDB), checkURL(envKMS, o.KMS), checkURL(envLambda, o.Lambda)); err != nil {
		return nil, err
	}
	program := o.Engine
	if o.DynamoDB == "" {
		if program, err = findEngine(o.Engine); err != nil {
			return nil, err
		}
	}
	if o.Data != "" && (o.DynamoDB == "" || o.KMS == "") {
		if err := prepareFolder(o.Data); err != nil {
			return nil, err
		}
		if e.lock, err = lockFolder(ctx, o.Data); err != nil {
			return nil, err
		}
	}

	credential := newCredential()
	// KMS goes first: the key file must be there before the database is, since
	// a database without a key file is how lost keys are recognised.
	if o.KMS != "" {
		if e.kms, err = brought(ctx, o.KMS, log); err != nil {
			return nil, err
		}
		e.keyID = DefaultAlias
	} else {
		ring, err := openKeyring(o.Data)
		if err != nil {
			return nil, err
		}
		if e.keyID, err = ring.defaultKey(time.Now()); err != nil {
			return nil, err
		}
		if e.server, err = serveKMS(ring, credential, log); err != nil {
			return nil, err
		}
		e.kms = ours(e.server.url, credential)
	}
	if o.DynamoDB != "" {
		if e.dynamoDB, err = brought(ctx, o.DynamoDB, log); err != nil {
			return nil, err
		}
	} else {
		life := engineOptions{program: program, log: log, failed: e.failed}
		if o.Data != "" {
			life.database, life.guard = filepath.Join(o.Data, databaseFile), e.lock.guard
		}
		if e.engine, err = startEngine(ctx, life); err != nil {
			return nil, err
		}
		e.dynamoDB = ours(e.engine.url, credential)
	}
	if o.Lambda != "" {
		if e.lambda, err = brought(ctx, o.Lambda, log); err != nil {
			return nil, err
		}
	}
	e.env = environment(e.dynamoDB.url, e.kms.url, o, credential)
	return e, nil
}

// KeyID is the ARN of the default key. Of a KMS that the user brought it is
// the alias of that key, DefaultAlias: making a key there costs money, and is
// left to the user.
func (e *Engines) KeyID() string { return e.keyID }

// DynamoDBEndpoint is the URL of DynamoDB.
func (e *Engines) DynamoDBEndpoint() string { return e.dynamoDB.url }

// KMSEndpoint is the URL of KMS.
func (e *Engines) KMSEndpoint() string { return e.kms.url }

// Env is what the environment of another process needs to reach both engines
// with the AWS SDK, as NAME=value, to be appended to what is there. It holds
// the credential of the local KMS: it is not for printing. A process has one
// credential for both: with one engine brought by the user it is still that of
// ours, with both brought there is none, and the process needs the user's own.
func (e *Engines) Env() []string { return append([]string(nil), e.env...) }

// Failed gives one error if the DynamoDB engine dies so often that it is not
// started again.
func (e *Engines) Failed() <-chan error { return e.failed }

// Close stops what Start started and gives the data folder free. Nothing that
// was answered is lost. A second Close does nothing.
func (e *Engines) Close() error { return e.close() }

func (e *Engines) stop() error {
	var errs []error
	if e.engine != nil {
		errs = append(errs, e.engine.close())
	}
	if e.server != nil {
		errs = append(errs, e.server.close())
	}
	if e.lock != nil { // last: the folder is free only when nobody uses it
		errs = append(errs, e.lock.release())
	}
	return errors.Join(errs...)
}

// newCredential makes the credential of one run. Nobody has to remember it:
// the clients get it from here, and other processes by Env.
func newCredential() aws.Credentials {
	var b [42]byte
	_, _ = rand.Read(b[:]) // crypto/rand never returns an error
	return aws.Credentials{
		AccessKeyID:     "LOCAL" + strings.ToUpper(hex.EncodeToString(b[:10])),
		SecretAccessKey: hex.EncodeToString(b[10:]),
	}
}

// prepareFolder makes the data folder, for its owner alone.
func prepareFolder(path string) error {
	var parents []string // of folders that are made here
	for at := filepath.Clean(path); ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		parents = append(parents, filepath.Dir(at))
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("cannot make the data folder %s: %w", path, err)
	}
	for _, parent := range parents {
		if err := syncFolder(parent); err != nil {
			return fmt.Errorf("cannot make the data folder %s durable: %w", path, err)
		}
	}

	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("cannot use the data folder %s: %w", path, err)
	}
	if !hasModes || info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	// An empty folder is made private. One with things in it may be /tmp or a
	// home, and is not to be shut on somebody's behalf.
	files, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("cannot use the data folder %s: %w", path, err)
	}
	if len(files) > 0 {
		return fmt.Errorf("other users may look into the data folder %s (mode %04o); run 'chmod 700 %s', or use --data with another folder",
			path, info.Mode().Perm(), path)
	}
	if err := os.Chmod(path, 0o700); err != nil { //nolint:gosec // a folder, for its owner alone
		return fmt.Errorf("cannot make the data folder %s private: %w", path, err)
	}
	return nil
}
