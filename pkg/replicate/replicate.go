// Package replicate brings the replicas of secrets up to date.
//
// A Region is a deployment with a table and a key of its own. A change of a secret that is
// replicated leaves, in its own transaction, a note for each other Region. What is noted is
// delivered here: the versions that the replica lacks are opened, sealed anew for the ARN
// that it has there under the key that it has there, and written to the other Region's
// table with all else that it shows, in one transaction.
//
// A replica shows one state of its primary after the other, each as a whole, and never an
// older one: a delivery is decided on what is there, and committed under the condition that
// it is still there. So a delivery may be tried again, may come late, and may run beside
// another. What cannot be delivered stays noted, with the reason, and is tried again.
//
// Versions are copied that have a label. Those that lose their last one stay until the
// Region of the replica prunes them.
package replicate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// A Region is a deployment: its table, and its key.
type Region struct {
	Store  *store.Store
	Sealer *envelope.Sealer
	ARNs   secret.ARNs
}

// A Replicator delivers what is noted in the table of its Region. Its fields are set before
// the first run.
type Replicator struct {
	Region
	// Open returns the deployment of another Region. It returns [ErrUnknownRegion] where
	// there is none.
	Open func(ctx context.Context, region string) (Region, error)
	// Retention is what the other Regions keep, as far as it is known here: what goes beyond
	// it is noted there to be pruned.
	Retention secret.Retention
	// Parallel is how many deliveries run at the same time.
	Parallel int
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	Log *slog.Logger
}

// ErrUnknownRegion says that this deployment knows of none in a Region.
var ErrUnknownRegion = errors.New("no deployment is known in the region")

// An Outcome is how an attempt ended.
type Outcome string

// The outcomes.
const (
	NotDue    Outcome = "not due"
	Delivered Outcome = "delivered" // the replica is in sync
	Removed   Outcome = "removed"   // the Region is told that it is not replicated to any more
	Failed    Outcome = "failed"    // and will be tried again
	Refused   Outcome = "refused"   // another secret has the name there; it will be tried again
	Unknown   Outcome = "left"      // the note could not be read or written; it stays due
)

const (
	// attempt is how long one delivery may take. [store.Store.Fence] holds for longer.
	attempt = time.Minute
	// tries is how often one is begun anew when the secret changes meanwhile.
	tries = 5

	firstRetry, lastRetry = 5 * time.Second, 15 * time.Minute
)

// retryDelay is the wait after so many attempts that failed.
func retryDelay(attempts int) time.Duration {
	return min(firstRetry<<min(attempts, 16), lastRetry)
}

// Replicate does what one note asks for. Why a delivery failed is noted, and no error: that
// is about the note itself.
func (r *Replicator) Replicate(ctx context.Context, task store.Task) (Outcome, error) {
	outcome, _, err := r.replicate(ctx, task)
	return outcome, err
}

// replicate also returns since when the change could not be delivered; zero after an attempt
// that did not fail.
func (r *Replicator) replicate(ctx context.Context, task store.Task) (_ Outcome, since time.Time, _ error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	delivered := false
	for range tries {
		n, err := r.Store.Replication(ctx, task)
		if err != nil {
			return Unknown, task.Due, err
		}
		if !n.IsDue(r.now()) {
			return NotDue, time.Time{}, nil // each attempt tells since when
		}
		outcome, settled, err := r.do(ctx, n)
		switch {
		case err != nil:
			return outcome, n.Due, err
		case settled && outcome == Failed:
			return outcome, n.FirstFailure(r.now()), nil
		case settled:
			return outcome, time.Time{}, nil
		}
		delivered = delivered || outcome == Delivered
	}
	if delivered {
		return Delivered, time.Time{}, nil // and changed again, every time; the note stays
	}
	return Unknown, task.Due, store.ErrBusy
}

// do makes one attempt, and notes how it ended. It is not settled when the note has changed
// meanwhile.
func (r *Replicator) do(ctx context.Context, n store.Replication) (_ Outcome, settled bool, err error) {
	replica, listed := n.Secret.ReplicaIn(n.Region)
	if listed && replica.Copy != n.Copy() {
		return Unknown, false, nil // the note was read before a change, and the secret after it
	}
	there, err := r.Open(ctx, n.Region)
	switch {
	case err != nil && (listed || !errors.Is(err, ErrUnknownRegion)):
		return r.fail(ctx, n, err)
	case err != nil:
		r.Log.WarnContext(ctx, "a region is not told that a secret is not replicated to it any more; no deployment is known there",
			slog.String("secret", n.ID.Name), slog.String("region", n.Region))
	case listed:
		return r.deliver(ctx, n, replica, there)
	default:
		if err := r.disown(ctx, n, there); err != nil {
			return r.fail(ctx, n, err)
		}
	}
	settled, err = r.Store.Forget(ctx, n)
	return Removed, settled, err
}

// fail notes why an attempt failed, and when the next one is.
func (r *Replicator) fail(ctx context.Context, n store.Replication, cause error) (Outcome, bool, error) {
	// The time of the attempt may be over, and its outcome has to be noted all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	r.Log.WarnContext(ctx, "not replicated", slog.String("secret", n.ID.Name), slog.String("region", n.Region), slog.String("error", cause.Error()))
	why := reason(n.Region, cause)
	now := r.now()
	settled, err := r.Store.Failed(ctx, n, why, n.FirstFailure(now), now.Add(retryDelay(n.Attempts)))
	if isRefused(cause) {
		return Refused, settled, err
	}
	return Failed, settled, err
}

// isRefused says whether another secret has the name in the other Region. That is no failure of
// the deployments: the users of both secrets decide which one is wanted.
func isRefused(cause error) bool {
	refusal, ok := errors.AsType[secret.Error](cause)
	return ok && refusal.Code == secret.ResourceExists && !errors.Is(cause, secret.ErrAhead)
}

// deliver brings a replica up to date.
func (r *Replicator) deliver(ctx context.Context, n store.Replication, replica secret.Replica, there Region) (Outcome, bool, error) {
	d := &delivery{
		Region: r.Region, there: there, primary: n.Secret, overwrite: replica.Overwrite && n.IsFirst(),
		reused: n.HasPruned(), retention: r.Retention, now: r.now(),
		sealed: map[string]secret.Version{}, taken: map[string]bool{},
	}
	d.secret = n.Secret.As(replica, there.ARNs.Of(n.ID.Name, n.ID.Suffix))
	err := r.tellFormer(ctx, n, there)
	if err == nil {
		err = d.run(ctx)
	}
	switch {
	case errors.Is(err, errMoved), errors.Is(err, secret.ErrAhead) && d.isLate(ctx):
		return Unknown, false, nil
	case err != nil:
		return r.fail(ctx, n, err)
	}
	settled, err := r.Store.Settled(ctx, n, n.Secret.Revision)
	return Delivered, settled, err
}

// tellFormer tells another Region that a secret here is not its replica any more, before the
// first copy of it is delivered there: its note has taken the place of that of the promotion.
func (r *Replicator) tellFormer(ctx context.Context, n store.Replication, there Region) error {
	if n.Secret.Copy == 0 || !n.IsFirst() {
		return nil
	}
	_, _, err := r.tell(ctx, there.Store, n.ID, n.Secret.Copy)
	return err
}

// tell has a secret there, if there is one, disown what it has to do with a copy of the one
// here, and returns what became of it.
func (r *Replicator) tell(ctx context.Context, there *store.Store, id secret.ID, copied int64) (sec secret.Secret, outcome secret.Outcome, err error) {
	sec, err = there.Update(ctx, secret.ID{Name: id.Name}, func(sec secret.Secret) (secret.Change, error) {
		change := sec.Disown(r.ARNs.Region, id.Suffix, copied, r.now())
		outcome = change.Outcome
		return change, nil
	})
	if errors.Is(err, secret.NotFound) {
		return secret.Secret{}, secret.Unchanged, nil
	}
	return sec, outcome, err
}

// disown tells another Region that a secret there has nothing to do with the one here any
// more: a replica is removed, and a primary forgets its replica here.
func (r *Replicator) disown(ctx context.Context, n store.Replication, there Region) error {
	named := there.Store.Named(fmt.Sprintf("disown %s %s %d", r.ARNs.Region, n.ID.Suffix, n.Copy()))
	for range tries {
		sec, outcome, err := r.tell(ctx, named, n.ID, n.Copy())
		switch {
		case err != nil:
			return err
		case outcome == secret.Written && n.Secret.Copy == n.Copy():
			return nil // its former primary, to which that copy is not delivered
		case outcome == secret.Removed && sec.Copy == n.Copy():
			return nil // which fences it off
		}
		if err = there.Store.Fence(ctx, n.ID, n.Copy(), r.now()); !errors.Is(err, store.ErrMoved) {
			return err
		}
	}
	return store.ErrBusy
}

// now is to the millisecond that is stored.
func (r *Replicator) now() time.Time {
	now := time.Now
	if r.Now != nil {
		now = r.Now
	}
	return now().UTC().Truncate(time.Millisecond)
}
