// Package secret says what a secret is and how it may change.
//
// A secret is one small value. Every rule of AWS Secrets Manager about it is
// a function of that value and of what the caller asks: it returns the next
// value or a refusal, and leaves its inputs as they were. Nothing here reads a
// clock, a table or a key; the caller brings time and identifiers along.
//
// What always holds, whatever is called in whatever order:
//
//   - a staging label is on one version, since [Stages] maps label to version;
//   - AWSCURRENT, once there, is always there;
//   - AWSPREVIOUS goes to the version that AWSCURRENT leaves.
package secret

import (
	"time"
)

// A Secret is everything about a secret but its versions.
//
// Values are shared between goroutines and must not be changed in place: the
// methods return copies.
type Secret struct {
	Name        string
	ARN         string
	Description string
	// Type is the partner type of a managed external secret, empty for all others.
	Type string
	// KMSKey is the key its values are sealed under, as the caller named it; empty
	// when nobody did. See [Secret.SealingKey].
	KMSKey string
	// Keyed is the revision that set KMSKey last, or delivered versions to a replica; 0 if
	// none did.
	Keyed  int64
	Stages Stages
	// Versions counts the versions that were put and not removed since, labelled or
	// not. A removal is no revision, so in a secret that was read before, those
	// removed since are counted too.
	Versions int
	// Revision counts the commits to this secret, from 1. It is no version.
	Revision int64
	// Commit names the commit that made this revision: all tries of a request have
	// the same name.
	Commit string
	// Past has the last commits, this one too; see [Secret.Committed].
	Past Past
	// Token is the ClientRequestToken that created it.
	Token string
	// PolicyHash is the SHA-256 of the resource policy's text, in hexadecimal;
	// empty for none. The text lies beside the secret.
	PolicyHash string
	// Tags is nil for a secret never tagged, and empty after the last tag is gone.
	Tags []Tag
	// Rotation is how it is rotated.
	Rotation Rotation
	// Replicas are the Regions it is replicated to, in order of their names. A replica
	// has none.
	Replicas []Replica
	// Primary is the Region of the secret that this one is a replica of; empty for one of
	// its own. The Revision of a replica is that of the primary that it shows.
	Primary string
	// Copy tells the copies that a primary made in this Region from each other, also
	// after the promotion; 0 for a secret that was created here.
	Copy int64

	Created time.Time
	Changed time.Time
	// Accessed is the day of the last read of a value, midnight UTC; zero for never.
	// AccessedVersion is the version that was noted last on that day.
	Accessed        time.Time
	AccessedVersion string
	// Moves counts how often a label was moved to a version that was there
	// already, or other versions were said to be kept. What was without a label, and
	// not to be kept, stays so as long as it stands.
	Moves int64
	// Prunings counts how often versions were removed. A version's ID may be used
	// again after that.
	Prunings int64
	// Deletion is when the recovery window ends; zero unless it is scheduled for deletion.
	Deletion time.Time
	// Deleted is when that was asked for. A secret that was scheduled before this
	// was stored has none; see [Secret.DeletedAt].
	Deleted time.Time
}

// A Tag is one key and its value. Keys are case-sensitive and unique on a secret.
type Tag struct{ Key, Value string }

// A Version is one value a secret had or has. Its value never changes; its data
// key may come to lie under another KMS key.
type Version struct {
	// ID is the ClientRequestToken of the request that put it.
	ID      string
	Created time.Time
	Sealed  Sealed
	// Revision is that of the secret that put it. A secret that was read before, with a
	// smaller one, does not know the version's labels.
	Revision int64
	// Accessed is the day of its last read, midnight UTC; zero for never.
	Accessed time.Time
}

// Sealed is a value that can be opened only with the KMS key.
type Sealed struct {
	Kind Kind
	// KeyARN is the KMS key that wraps the data key.
	KeyARN string
	// DefaultKey says that nobody asked for this key: it was the deployment's own.
	DefaultKey bool
	DataKey    []byte
	Data       []byte
}

// Active returns the refusal of every operation that a secret scheduled for
// deletion does not take, and nil for all other secrets.
func (s Secret) Active() error {
	if s.Deletion.IsZero() {
		return nil
	}
	return MarkedForDeletion
}

// changed returns s as a change made at now leaves it.
func (s Secret) changed(now time.Time) Secret {
	s.Changed = now
	return s
}
