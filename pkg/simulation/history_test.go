package simulation

import (
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// What can be in a history: calls by clients, and what the table alone knows.
const (
	opCreate  = "CreateSecret"
	opPut     = "PutSecretValue"
	opUpdate  = "UpdateSecret"
	opMove    = "UpdateSecretVersionStage"
	opGet     = "GetSecretValue"
	opShow    = "DescribeSecret"
	opListed  = "ListSecrets"
	opBatch   = "BatchGetSecretValue"
	opIDs     = "ListSecretVersionIds"
	opPolicy  = "GetResourcePolicy"
	opDelete  = "DeleteSecret"
	opRestore = "RestoreSecret"
	opTag     = "TagResource"
	opUntag   = "UntagResource"
	opAllow   = "PutResourcePolicy"
	opForbid  = "DeleteResourcePolicy"
	opRotate  = "RotateSecret"
	opCancel  = "CancelRotateSecret"

	opReplicate   = "ReplicateSecretToRegions"
	opUnreplicate = "RemoveRegionsFromReplication"
	opPromote     = "StopReplicationToReplica"

	opPruned = "(version removed)"
	opPurged = "(secret removed)"

	opDelivered = "(replica delivered)"
	opWithdrawn = "(replica removed)"
	opForgotten = "(replica forgotten)"
)

// An event is one call, with what came of it.
type event struct {
	Client string
	Op     string
	Secret string
	Region string // of the secret
	Guest  bool   // of a caller who may only what the secret's policy says

	// What was asked.
	Version, Value string
	Labels         []string // sorted
	Label          string
	From, To       string
	Description    *string
	Key            *string // KMS key
	Force          bool
	Replica        *replica // that was delivered

	// What came of it: Code is AWS's, empty for success.
	Code    string
	Unknown bool // nobody knows whether it happened, or it may still
	Again   bool // it was tried more than once, and the answer is that of the last try
	Got     answer

	Called, Returned int       // places in the order of all that happened
	At, Until        time.Time // the same in virtual time
}

// An answer is what a call told about the secret.
type answer struct {
	Version, Value string
	Labels         string // of the version, sorted
	Stages         string // all of the secret, as mapText writes them
	Description    string
	Key            string
	Policy         string
	Tags           string
	Primary        string // Region
	Replicas       string // Regions
	Deleted        bool
	Listed         bool
	More           bool // pages, that may list it
}

// A history is what was seen, in order.
type history struct {
	mu     sync.Mutex
	clock  int
	events []event
}

func (h *history) tick() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock++
	return h.clock
}

func (h *history) add(e event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

// note adds what happened at this moment.
func (h *history) note(e event) {
	e.Called, e.At = h.tick(), time.Now()
	e.Returned, e.Until = h.tick(), time.Now()
	e.Client = "table"
	h.add(e)
}

// never is the end of a call that may happen yet.
const never = int(^uint(0) >> 1)

// of are the events of one secret, as porcupine has them.
func (h *history) of(secret string) []porcupine.Operation {
	var operations []porcupine.Operation
	ids := map[string]int{}
	for _, e := range h.events {
		if e.Secret != secret {
			continue
		}
		if _, known := ids[e.Client]; !known {
			ids[e.Client] = len(ids)
		}
		end := e.Returned
		if e.Unknown {
			end = never
		}
		operations = append(operations, porcupine.Operation{ClientId: ids[e.Client], Input: e, Output: e, Call: int64(e.Called), Return: int64(end)})
	}
	return operations
}

// reborn says whether a secret was removed after a call that makes a version, or promotes a
// replica, was tried more than once. A try that is late finds the secret that has the name by then, if there
// is one, and CreateSecret makes one: so it is in AWS.
func (h *history) reborn(secret string) bool {
	for _, e := range h.events {
		if e.Secret != secret || !e.Again || e.Version == "" && e.Op != opPromote {
			continue
		}
		for _, gone := range h.events {
			isRemoval := gone.Op == opDelete && gone.Force || gone.Op == opPurged || gone.Op == opWithdrawn ||
				gone.Op == opDelivered && gone.Replica.isNew
			if gone.Secret == secret && isRemoval && (gone.Unknown || gone.Returned > e.Called) {
				return true
			}
		}
	}
	return false
}

func (e event) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%4d-%-4s %-24s %s %s", e.Called, ended(e), e.Client, e.Op, e.Secret)
	for _, part := range []struct{ name, value string }{
		{"version", e.Version}, {"value", e.Value}, {"labels", strings.Join(e.Labels, ",")}, {"label", e.Label}, {"from", e.From}, {"to", e.To},
	} {
		if part.value != "" {
			fmt.Fprintf(&b, " %s=%s", part.name, part.value)
		}
	}
	switch {
	case e.Unknown:
		b.WriteString(" -> unknown")
	case e.Code != "":
		b.WriteString(" -> " + e.Code)
	default:
		fmt.Fprintf(&b, " -> %+v", e.Got)
	}
	return b.String()
}

func ended(e event) string {
	if e.Unknown {
		return "?"
	}
	return fmt.Sprint(e.Returned)
}

// told is a history as people read it.
func (h *history) told(secret string) string {
	events := append([]event(nil), h.events...)
	sort.SliceStable(events, func(i, j int) bool { return events[i].Called < events[j].Called })
	var b strings.Builder
	for _, e := range events {
		if e.Secret == secret {
			b.WriteString(e.String() + "\n")
		}
	}
	return b.String()
}
