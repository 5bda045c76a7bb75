package replicate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// A delivery is one state of a secret on its way to the Region of a replica.
type delivery struct {
	Region    // of the primary
	there     Region
	primary   secret.Secret
	secret    secret.Secret // as the replica will be
	overwrite bool
	reused    bool // versions were removed from the primary since, and their IDs may be used again
	retention secret.Retention
	now       time.Time

	policy string                    // its text, once it was read
	sealed map[string]secret.Version // for the replica, by ID
	taken  map[string]bool           // IDs of versions without a label that are there already
}

var (
	// errMoved says that the primary has changed since it was read.
	errMoved = errors.New("the secret has changed")
	// errHere and errOpen are in errors that are about the Region of the primary, not that of
	// the replica.
	errHere = errors.New("read the primary")
	errOpen = errors.New("open a value")
)

// run delivers, over what is there or as the first.
func (d *delivery) run(ctx context.Context) error {
	for range tries {
		_, err := d.there.Store.Update(ctx, secret.ID{Name: d.primary.Name}, func(there secret.Secret) (secret.Change, error) {
			change, err := there.Receive(d.secret, d.overwrite, d.now)
			if err != nil || change.IsUnchanged() {
				return change, err
			}
			// A later copy there, which was promoted, is overwritten for a primary that was
			// restored. For any other it is this delivery that is late; and the primary, which
			// is read after the copy was seen, has that one.
			if there.Suffix() == d.secret.Suffix() && there.Copy > d.secret.Copy && d.isLate(ctx) {
				return change, errMoved
			}
			return d.fill(ctx, there, change)
		})
		if errors.Is(err, secret.NotFound) {
			err = d.create(ctx)
		}
		var exists *store.VersionExists
		switch {
		case err == nil:
			return nil
		case errors.As(err, &exists):
			d.taken[exists.Version.ID] = true
		case isMissing(err, d.taken):
			clear(d.taken) // it was pruned meanwhile
		case !isTaken(err):
			return err
		}
	}
	return store.ErrBusy
}

// isLate says whether the primary has changed since it was read.
func (d *delivery) isLate(ctx context.Context) bool {
	now, err := d.Store.Get(ctx, secret.ID{Name: d.primary.Name, Suffix: d.primary.Suffix()})
	return err != nil || now.Revision > d.primary.Revision
}

func (d *delivery) create(ctx context.Context) error {
	change, err := d.fill(ctx, secret.Secret{}, secret.First(d.secret, d.now))
	if err != nil {
		return err
	}
	_, err = d.there.Store.Create(ctx, change)
	return err
}

func isTaken(err error) bool {
	_, taken := errors.AsType[*store.Exists](err)
	return taken
}

func isMissing(err error, ids map[string]bool) bool {
	for id := range ids {
		if errors.Is(err, secret.NoSuchVersion(id)) {
			return true
		}
	}
	return false
}

// fill adds to a change what the replica lacks: the text of the policy, and versions.
func (d *delivery) fill(ctx context.Context, there secret.Secret, change secret.Change) (secret.Change, error) {
	if d.secret.PolicyHash != "" && (there.PolicyHash != d.secret.PolicyHash || there.Suffix() != d.secret.Suffix()) {
		text, err := d.policyText(ctx)
		if err != nil {
			return change, err
		}
		change.Policy = text
	}
	versions, err := d.versions(ctx, there)
	if err != nil {
		return change, err
	}
	isSame := there.Family() == d.secret.Family()
	for _, v := range versions {
		if isSame && d.taken[v.ID] {
			change.Effects = append(change.Effects, secret.Effect{Kind: secret.Overwrite, Version: v})
			continue
		}
		change.Effects = append(change.Effects, secret.Effect{Kind: secret.Copy, Version: v})
		change.Secret.Versions++
	}
	if change.Secret.Overfull(d.retention) {
		change.Pruning = secret.Soon
	}
	return change, nil
}

func (d *delivery) policyText(ctx context.Context) (string, error) {
	if d.policy != "" {
		return d.policy, nil
	}
	text, err := d.Store.Policy(ctx, d.primary)
	switch {
	case errors.Is(err, store.ErrBusy), errors.Is(err, secret.NotFound):
		return "", errMoved
	case err != nil:
		return "", fmt.Errorf("%w: %w", errHere, err)
	}
	d.policy = text
	return text, nil
}

// versions are those that the replica there lacks, sealed for it. Each is opened and sealed
// once.
func (d *delivery) versions(ctx context.Context, there secret.Secret) ([]secret.Version, error) {
	var lacking []string
	ids := there.Lacks(d.secret, d.reused)
	for _, id := range ids {
		if _, done := d.sealed[id]; !done {
			lacking = append(lacking, id)
		}
	}
	read, err := d.Store.VersionsOf(ctx, d.primary, lacking)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errHere, err)
	}
	held := map[string]bool{}
	for _, v := range read {
		if held[v.ID] = d.holds(there, v); held[v.ID] {
			continue // and is neither opened nor sealed
		}
		sealed, err := d.seal(ctx, v)
		if err != nil {
			return nil, err
		}
		d.sealed[v.ID] = sealed
	}
	var versions []secret.Version
	for _, id := range ids {
		v, found := d.sealed[id]
		switch {
		case held[id], found && d.holds(there, v):
		case found:
			versions = append(versions, v)
		case !slices.Equal(d.secret.Stages.Of(id), []string{secret.Pending}): // which alone may be on no value yet
			return nil, &store.Damaged{Name: d.primary.Name, Err: fmt.Errorf("its version %s is lost", id)}
		}
	}
	return versions, nil
}

// holds says whether the replica there has the value of a version: it was delivered with its
// label, also if that was AWSPENDING.
func (d *delivery) holds(there secret.Secret, v secret.Version) bool {
	return there.Family() == d.secret.Family() && len(there.Stages.Of(v.ID)) > 0 && v.Revision <= there.Revision
}

// seal opens a version, and seals it for the replica.
func (d *delivery) seal(ctx context.Context, v secret.Version) (secret.Version, error) {
	value, err := d.Sealer.Open(ctx, envelope.Place{ARN: d.primary.ARN, VersionID: v.ID}, v.Sealed)
	if err != nil {
		return v, fmt.Errorf("%w: version %s of %s: %w", errOpen, v.ID, d.primary.ARN, err)
	}
	v.Sealed, err = d.there.Sealer.Seal(ctx, envelope.Place{ARN: d.secret.ARN, VersionID: v.ID}, d.secret.SealingKey(), value)
	return v, err
}
