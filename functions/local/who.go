package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/api"
	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/policy"
)

// who is how it is found out who calls, and what they may do.
type who struct {
	identify local.Identify
	policies *policy.Set
}

// readWho reads the files that say so. Without them everybody is who his access key
// says, and may do everything.
func readWho(set settings) (who, error) {
	w := who{identify: local.Unverified, policies: policy.AllowAll()}
	if set.credentials != "" {
		credentials, err := local.ReadCredentials(set.credentials)
		if err != nil {
			return w, fmt.Errorf("--verify-credentials: %w", err)
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

// gate lets callers through to the server, each so many times a second.
func (w who) gate(server *api.Server, rate float64) http.Handler {
	return &local.Gate{
		Identify: w.identify,
		Limiter:  local.NewLimiter(rate, int(2*rate)),
		Log:      server.Log,
		Answer: func(rw http.ResponseWriter, r *http.Request, caller policy.Caller) {
			server.Answer(rw, r, uuid.NewString(), caller)
		},
	}
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
	return audit.File(path)
}

// forgetful keeps nothing, as is asked of a server that keeps everything in memory.
type forgetful struct{}

func (forgetful) Keep(context.Context, ...audit.Record) error { return nil }
func (forgetful) Close() error                                { return nil }
