package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/local/auditfile"
	"github.com/strongroom/strongroom/pkg/local/private"
	"github.com/strongroom/strongroom/pkg/policy"
)

// who is how it is found out who calls, and what they may do.
type who struct {
	identify local.Identify
	policies *policy.Set
}

// readWho reads the files that say so. Without them a caller is who its access key
// says, and may do everything.
func readWho(set settings) (who, error) {
	w := who{identify: local.Unverified(set.account), policies: policy.AllowAll()}
	if set.credentials != "" {
		credentials, err := local.ReadCredentials(set.credentials, set.account)
		if err != nil {
			return w, fmt.Errorf("--verify-credentials: %w", err)
		}
		if set.signingName != "" {
			credentials.Services = []string{set.signingName}
		}
		w.identify = credentials.Identify
	}
	if set.policies != "" {
		text, err := os.ReadFile(set.policies)
		if err != nil {
			return w, fmt.Errorf("--policies: %w", err)
		}
		if w.policies, err = policy.ParseSet(set.policies, text); err != nil {
			return w, fmt.Errorf("--policies: %w", err)
		}
	}
	return w, nil
}

// auditFile is where the records are kept of what is done to the data of these
// engines: beside the data, or with it in a folder of the user's choice.
func auditFile(engines local.Options) string {
	ownEngines := engines.DynamoDB != "" && engines.KMS != "" // then the data folder is not used
	switch {
	case engines.Data == "":
		return ""
	case engines.Data == defaultData || ownEngines:
		return ".local/audit.jsonl"
	}
	return filepath.Join(engines.Data, "audit.jsonl")
}

// A trail keeps audit records until it is closed.
type trail interface {
	audit.Trail
	Close() error
}

func openTrail(path string) (trail, error) {
	if path == "" {
		return forgetful{}, nil
	}
	if err := private.Holds(filepath.Dir(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot use the audit file: %w", err)
	}
	for _, path := range auditfile.Paths(path) {
		if err := private.Check(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("cannot use the audit file: %w, or use --audit with another file", err)
		}
	}
	return auditfile.Open(path)
}

// forgetful keeps nothing, as is asked of a server that keeps everything in memory.
type forgetful struct{}

func (forgetful) Keep(context.Context, ...audit.Record) error { return nil }
func (forgetful) Close() error                                { return nil }
