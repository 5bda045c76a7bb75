package secret

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Replica is a Region that a secret is replicated to.
type Replica struct {
	Region string
	// KMSKey is the key of that Region for the replica's values, as the caller named it;
	// empty for the default key of the deployment there.
	KMSKey string
	// Copy is the revision that added the Region. Adding it again makes another copy,
	// which takes the place of the one that is there.
	Copy int64
	// Overwrite says that the copy may take the place of another secret of that name.
	// It holds for the first delivery.
	Overwrite bool
}

// MaxReplicas is how many Regions a secret may be replicated to: more than there are.
// The notes of all of them fit into the transaction of a change.
const MaxReplicas = 50

// Refusals about replicas.
var (
	// ErrReplica is the refusal of a change of a replica (seen by callers of AWS).
	ErrReplica = Errorf(InvalidParameter, "Operation not permitted on a replica secret. Call must be made in primary secret's region.")
	// ErrReplicaRegion is the refusal of a Region that a secret cannot be replicated to.
	// Its code and words are a guess.
	ErrReplicaRegion = Errorf(InvalidParameter, "Invalid replica region.")

	errManyReplicas = Errorf(InvalidParameter, "A secret can be replicated to no more than %d Regions.", MaxReplicas)
	errNotReplica   = Errorf(InvalidRequest, "You can't stop replication of a secret that is not a replica.")
)

// Reasons why a delivery is not taken. Callers read them as the StatusMessage of a
// replica; the first is AWS's (ReplicationStatusType).
var (
	ErrNameTaken = Errorf(ResourceExists, "Secret with this name already exists in this region")
	ErrPromoted  = Errorf(ResourceExists, "The replica in this region was promoted to a secret of its own, which is left as it is. Remove the region from replication, or add it again and overwrite that secret.")
	ErrForeign   = Errorf(ResourceExists, "A replica of another secret has this name in this region, and it is not overwritten. Stop its replication first.")
	// ErrAhead is also of a delivery that comes late. One that does not has a primary that
	// was restored to an earlier state.
	ErrAhead   = Errorf(ResourceExists, "The replica in this region has a state that the primary does not have any more. Stop its replication there, and add the region again and overwrite it.")
	ErrPrimary = Errorf(ResourceExists, "Secret with this name already exists in this region and has replicas, so it is not overwritten. Remove its regions from replication first.")
)

// UnknownRegion is the reason why nothing is delivered to a Region that this deployment knows of
// none in. Callers read it as the StatusMessage of a replica.
func UnknownRegion(region string) string {
	return fmt.Sprintf("This deployment does not know of one in %s. Deploy it there, and name it in replicaRegions.", region)
}

// IsReplica says whether the secret is a replica of one in another Region.
func (s Secret) IsReplica() bool { return s.Primary != "" }

// Changeable returns the refusal of every change of a replica, and nil for all other
// secrets.
func (s Secret) Changeable() error {
	if s.IsReplica() {
		return ErrReplica
	}
	return nil
}

// Unreplicated refuses to delete a secret that has replicas. The words are those that
// callers of AWS have seen, with the secret as they named it.
func (s Secret) Unreplicated(named string) error {
	if len(s.Replicas) == 0 {
		return nil
	}
	regions := make([]string, len(s.Replicas))
	for i, r := range s.Replicas {
		regions[i] = r.Region
	}
	return Errorf(InvalidParameter, "You can't delete secret %s that still has replica regions [%s].", named, strings.Join(regions, ", "))
}

// Region is the one in the secret's ARN.
func (s Secret) Region() string {
	parts := strings.SplitN(s.ARN, ":", 5) // arn:partition:service:region:…
	return parts[min(3, len(parts)-1)]
}

// PrimaryRegion is that of a secret with replication; empty for any other.
func (s Secret) PrimaryRegion() string {
	if len(s.Replicas) > 0 {
		return s.Region()
	}
	return s.Primary
}

// Family is what the keys of the secret's versions have in common: the suffix of its
// ARN, and of a replica which copy it is. What is left of one copy is not in the way of
// the next.
func (s Secret) Family() string { return FamilyOf(s.Suffix(), s.Copy) }

// FamilyOf is the family of a copy of the secret with a suffix.
func FamilyOf(suffix string, copied int64) string {
	if copied == 0 {
		return suffix
	}
	return suffix + "." + strconv.FormatInt(copied, 10)
}

// SuffixIn is the suffix in a family.
func SuffixIn(family string) string {
	suffix, _, _ := strings.Cut(family, ".")
	return suffix
}

// ReplicaIn returns what is listed of a Region; false if the secret is not replicated
// to it.
func (s Secret) ReplicaIn(region string) (Replica, bool) {
	i, found := s.findReplica(region)
	if !found {
		return Replica{}, false
	}
	return s.Replicas[i], true
}

func (s Secret) findReplica(region string) (int, bool) {
	return slices.BinarySearchFunc(s.Replicas, region, func(r Replica, region string) int { return cmp.Compare(r.Region, region) })
}

// AddReplicas returns s with Regions to be replicated to. One that is listed already
// gets another copy.
func (s Secret) AddReplicas(add []Replica) (Secret, error) {
	seen := map[string]bool{}
	s.Replicas = slices.Clone(s.Replicas)
	for _, r := range add {
		if seen[r.Region] {
			return s, Errorf(InvalidParameter, "Replica regions must be unique: %s is given more than once.", r.Region)
		}
		seen[r.Region] = true
		if r.Region == s.Region() {
			return s, ErrReplicaRegion
		}
		r.Copy = s.Revision + 1
		if i, found := s.findReplica(r.Region); found {
			s.Replicas[i] = r
		} else {
			s.Replicas = slices.Insert(s.Replicas, i, r)
		}
	}
	if len(s.Replicas) > MaxReplicas {
		return s, errManyReplicas
	}
	return s, nil
}

// Replicate decides on ReplicateSecretToRegions.
func (s Secret) Replicate(add []Replica, now time.Time) (Change, error) {
	if err := s.Active(); err != nil {
		return Change{}, err
	}
	next, err := s.AddReplicas(add)
	if err != nil {
		return Change{}, err
	}
	return Change{Secret: next.changed(now)}, nil
}

// RemoveReplicas decides on RemoveRegionsFromReplication. A Region that is not listed
// is no error (a guess).
func (s Secret) RemoveReplicas(regions []string, now time.Time) (Change, error) {
	if err := s.Active(); err != nil {
		return Change{}, err
	}
	left := slices.DeleteFunc(slices.Clone(s.Replicas), func(r Replica) bool { return slices.Contains(regions, r.Region) })
	if len(left) == len(s.Replicas) {
		return unchanged(s), nil
	}
	s = s.changed(now)
	s.Replicas = left
	return Change{Secret: s}, nil
}

// Promote decides on StopReplicationToReplica: the replica becomes a secret of its own.
// Its rotation is turned off, since the function is another Region's; what is set stays
// to be seen.
func (s Secret) Promote(now time.Time) (Change, error) {
	if !s.IsReplica() {
		return Change{}, errNotReplica
	}
	s = s.changed(now)
	s.Primary = ""
	s.Rotation.Enabled, s.Rotation.Next = false, Window{}
	return Change{Secret: s}, nil
}

// As is the secret as its replica shows it, which has this ARN. It has the revision of
// the primary.
func (s Secret) As(r Replica, arn string) Secret {
	rotation := Rotation{
		Enabled: s.Rotation.Enabled, Lambda: s.Rotation.Lambda, Rules: s.Rotation.Rules,
		Anchor: s.Rotation.Anchor, Last: s.Rotation.Last, Next: s.Rotation.Next,
	}
	return Secret{
		Name: s.Name, ARN: arn, Description: s.Description, Type: s.Type, KMSKey: r.KMSKey,
		Stages: s.Stages, Revision: s.Revision, PolicyHash: s.PolicyHash, Tags: s.Tags, Rotation: rotation,
		Created: s.Created, Changed: s.Changed, Moves: s.Moves, Primary: s.Region(), Copy: r.Copy,
	}
}

// ShowsAs says whether replicas of s and of t show the same.
func (s Secret) ShowsAs(t Secret) bool {
	a, b := s.As(Replica{}, ""), t.As(Replica{}, "")
	a.Revision, b.Revision = 0, 0
	return reflect.DeepEqual(a, b)
}

// Receive decides what a delivery does in the replica's Region, where s has the name.
// The secret that is delivered is as [Secret.As] makes it. A delivery that was made
// before changes nothing, and an older one is refused; what was read or removed there
// stays.
func (s Secret) Receive(delivered Secret, overwrite bool, now time.Time) (Change, error) {
	same := s.Suffix() == delivered.Suffix()
	switch {
	case same && s.Primary == delivered.Primary && s.Copy == delivered.Copy:
		switch {
		case s.Revision == delivered.Revision && s.ShowsAs(delivered):
			return unchanged(s), nil
		case s.Revision >= delivered.Revision:
			return Change{}, ErrAhead
		}
		delivered.Versions, delivered.Prunings, delivered.Keyed, delivered.Token = s.Versions, s.Prunings, s.Keyed, s.Token
		delivered.Accessed, delivered.AccessedVersion = s.Accessed, s.AccessedVersion
		return First(delivered, now), nil
	case same && s.Primary == delivered.Primary:
		if s.Copy > delivered.Copy {
			return Change{}, ErrAhead
		}
	case s.IsReplica():
		return Change{}, ErrForeign
	case same && s.Copy > 0 && (!overwrite || s.Copy == delivered.Copy):
		// What may be overwritten is what was there before the copy, not what became of it.
		return Change{}, ErrPromoted
	case !overwrite:
		return Change{}, ErrNameTaken
	case len(s.Replicas) > 0:
		return Change{}, ErrPrimary
	}
	change := First(delivered, now)
	change.Outcome = Replaced
	return change, nil
}

// First is the delivery of a replica to a Region where nothing has the name.
func First(delivered Secret, now time.Time) Change {
	return Change{Secret: delivered, Revision: delivered.Revision, At: now}
}

// Lacks are the versions with a label whose values the replica s may lack of the
// secret of which it is a copy. A version with AWSPENDING alone may have got its value since,
// and any other may have another one where IDs may have been used again.
func (s Secret) Lacks(delivered Secret, reused bool) []string {
	known := !reused && s.Suffix() == delivered.Suffix() && s.Primary == delivered.Primary && s.Copy == delivered.Copy
	return slices.DeleteFunc(delivered.Stages.Versions(), func(id string) bool {
		labels := s.Stages.Of(id)
		return known && len(labels) > 0 && !slices.Equal(labels, []string{Pending})
	})
}

// Disown decides what becomes of a secret whose partner in another Region, of the same
// ARN but for the Region, does not know it any more: a replica is removed, and a primary
// forgets the copy. A later copy stays.
func (s Secret) Disown(partner string, suffix string, copied int64, now time.Time) Change {
	if s.Suffix() != suffix {
		return unchanged(s)
	}
	if s.Primary == partner && s.Copy <= copied {
		return s.Remove(now)
	}
	r, listed := s.ReplicaIn(partner)
	if !listed || r.Copy > copied {
		return unchanged(s)
	}
	s = s.changed(now)
	s.Replicas = slices.DeleteFunc(slices.Clone(s.Replicas), func(r Replica) bool { return r.Region == partner })
	return Change{Secret: s}
}
