package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// A call is one request while it is answered: who makes it, what is asked, what was
// decided, and what it costs. Operations are methods of it.
type call struct {
	server *Server
	// store and sealer are the server's, and note what the call costs.
	store  *store.Store
	sealer *envelope.Sealer

	id string
	// hungUp returns an error once the caller has closed the connection.
	hungUp func() error
	// invocation is the SDK's ID of the call, the same in all its tries; commit is the
	// name of what the call commits, see [store.Store.Named].
	invocation, commit string
	// again says that this may not be the first try.
	again bool

	operation string
	caller    policy.Caller
	at        time.Time
	began     time.Time // by the machine's clock

	// named is the secret as the caller named it, keys are what policies can ask of
	// the request, and parameters what may be recorded of it.
	named      string
	keys       keySet
	parameters map[string]any
	// isRotating says whether the request comes from the function that rotates a
	// secret; nil for requests that could not say so.
	isRotating func(secret.Secret) bool

	// decision is the last that was made about the call as a whole, about the secret
	// with this ARN; decided says that one was made.
	decision policy.Decision
	decided  bool
	arn      string
	texts    sync.Map // of policies that were read, by their hashes

	// policyReads are the names of secrets beside which a policy was read, or none, and
	// paced says that the time of the answer must not tell what was read; see denied.
	policyReads sync.Map
	paced       atomic.Bool

	mu       sync.Mutex
	units    float64 // of DynamoDB's capacity
	kmsCalls int
	version  string         // that was read
	more     []audit.Record // besides that of the call
}

func (s *Server) newCall(id string, caller policy.Caller) *call {
	c := &call{server: s, id: id, caller: caller, began: time.Now()}
	c.store = s.Store.Metered(func(units float64) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.units += units
	})
	c.sealer = s.Sealer.Metered(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.kmsCalls++
	})
	return c
}

// nameCommit names what the call commits, after the request and who makes it. An SDK
// sends one invocation ID with all tries of a call, so a try finds the commit of one
// whose answer was lost, as long as no other change came in between. The ID gives no
// right and hides no change. Sensitive members are no part of the name, which is
// stored: requests with a value are known by their client request token, see put.
func (c *call) nameCommit() {
	c.commit = uuid.NewString()
	if c.invocation != "" {
		request, _ := json.Marshal(c.parameters) // of strings, numbers and lists, in order of the names
		h := sha256.New()
		for _, part := range []string{c.invocation, c.caller.ARN, c.operation, string(request)} {
			_, _ = fmt.Fprintf(h, "%d %s", len(part), part)
		}
		c.commit = hex.EncodeToString(h.Sum(nil)[:16])
	}
	c.store = c.store.Named(c.commit)
}

// byToken is for requests whose client request token says whether they were made
// before, and with which value: those are not recognised by the SDK's invocation ID.
func (c *call) byToken() {
	c.invocation = ""
	c.nameCommit()
}

// now is the time of the call, to the millisecond that is stored: one for all that
// it does.
func (c *call) now() time.Time { return c.at }

// asked notes what a request asks for.
func (c *call) asked(s *shape, in any) {
	v := reflect.ValueOf(in).Elem()
	c.named = s.subject(v)
	c.parameters = s.parameters(v)
	c.keys = c.server.keySetOf(c.operation, keysOf(s, v))
}

// change changes a secret as decide says, when the caller may make this call about
// it. Authorization is part of the decision: it is made anew for every state of the
// secret.
func (c *call) change(ctx context.Context, id secret.ID, decide decision) (secret.Secret, error) {
	if err := c.deniedBeforehand(ctx, id); err != nil {
		return secret.Secret{}, err
	}
	sec, err := c.store.Update(ctx, id, func(sec secret.Secret) (secret.Change, error) {
		if !c.decided && c.hungUp() != nil { // it may have waited for others
			return secret.Change{}, context.Canceled
		}
		if err := c.authorize(ctx, sec); err != nil {
			return secret.Change{}, err
		}
		if sec.Committed(c.commit) { // an earlier try of this request, whose answer was lost
			return secret.Change{Secret: sec, Outcome: secret.Unchanged}, nil
		}
		if c.operation != stopReplication {
			if err := sec.Changeable(); err != nil {
				return secret.Change{}, err
			}
		}
		change, err := decide(sec)
		if err == nil && change.IsUnchanged() && c.again && c.invocation != "" {
			// An earlier try may still be under way, and find something to do when others have
			// changed the secret after this answer. The name of the commit keeps it from that.
			change.Outcome = secret.Written
		}
		return change, err
	})
	if c.isMissing(err) {
		return sec, c.missingOrDenied(ctx, id, err)
	}
	if err == nil && sec.Commit == c.commit {
		c.addAbandoned(sec)
	}
	return sec, err
}

// addAbandoned adds a record of the rotation that this call, or an earlier try of it,
// ended when it made the secret what it is.
func (c *call) addAbandoned(sec secret.Secret) {
	if sec.Rotation.Abandoned != "" {
		c.addEvent(audit.Event(audit.RotationAbandoned, uuid.NewString(), c.at, sec.ARN, ""))
	}
}

// deniedBeforehand refuses callers who may not change a secret before they queue up for
// it: they would see that others change it, and hold those up. It costs no read unless
// the secret that is remembered says so.
func (c *call) deniedBeforehand(ctx context.Context, id secret.ID) error {
	sec, ok := c.store.Remembered(id.Name)
	if !ok {
		return nil
	}
	if d, err := c.decide(ctx, c.operation, c.named, sec); err == nil && d.Allowed && sec.Is(id) {
		return nil
	}
	_, err := c.findID(ctx, id)
	return err
}

// addEvent adds a record to that of the call.
func (c *call) addEvent(r audit.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.more = append(c.more, r)
}
