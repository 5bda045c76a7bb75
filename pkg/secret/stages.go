package secret

import (
	"maps"
	"slices"
	"time"
)

// The staging labels that Secrets Manager itself moves.
const (
	Current  = "AWSCURRENT"
	Previous = "AWSPREVIOUS"
	Pending  = "AWSPENDING"
)

// MaxLabels is how many staging labels the versions of a secret may have
// together (Secrets Manager quotas).
const MaxLabels = 20

// Stages maps a staging label to the ID of the version it is on. A version may
// be named that has no value yet: the AWSPENDING of a rotation under way.
type Stages map[string]string

// Attach returns s with label on version to, wherever it was before. The
// version that gives up AWSCURRENT takes AWSPREVIOUS.
func (s Stages) Attach(label, to string) Stages {
	if from, ok := s[Current]; ok && label == Current && from != to {
		s = s.with(Previous, from)
	}
	return s.with(label, to)
}

// Detach returns s without label.
func (s Stages) Detach(label string) Stages {
	next := maps.Clone(s)
	delete(next, label)
	return next
}

// Of returns the labels on a version, sorted.
func (s Stages) Of(version string) []string {
	var labels []string
	for label, id := range s {
		if id == version {
			labels = append(labels, label)
		}
	}
	slices.Sort(labels)
	return labels
}

// Versions returns the IDs of all versions with a label, sorted.
func (s Stages) Versions() []string {
	return slices.Compact(slices.Sorted(maps.Values(s)))
}

func (s Stages) with(label, to string) Stages {
	next := make(Stages, len(s)+1)
	maps.Copy(next, s)
	next[label] = to
	return next
}

// put returns s with a new version and the labels asked for it; none asked
// means AWSCURRENT. The first version of all gets AWSCURRENT too, unless a rotation
// makes it.
func (s Stages) put(version string, labels []string, byRotation bool) (Stages, error) {
	if len(labels) == 0 {
		labels = []string{Current}
	}
	_, began := s[Current]
	becomesCurrent := !began && !byRotation || slices.Contains(labels, Current)
	next := s
	// AWSCURRENT goes first, so that a label asked by name wins over the
	// AWSPREVIOUS that moves by itself.
	if becomesCurrent {
		next = next.Attach(Current, version)
	}
	for _, label := range labels {
		next = next.Attach(label, version)
	}
	// A new current version ends the rotation under way: its label comes off,
	// wherever it is (recorded for the current version; the CloudTrail page
	// calls it RotationAbandoned).
	if becomesCurrent && !slices.Contains(labels, Pending) {
		next = next.Detach(Pending)
	}
	if err := next.limit(s); err != nil {
		return nil, err
	}
	return next, nil
}

// limit refuses more labels than a secret may have. One that has too many
// already is not held up by a change that adds none.
func (s Stages) limit(before Stages) error {
	if len(s) > MaxLabels && len(s) > len(before) {
		return QuotaExceeded
	}
	return nil
}

// MoveStage moves a staging label to the version to, or takes it off the
// version from when to is empty. The version that holds the label must be named in
// from, so that nobody moves it unseen.
func (s Secret) MoveStage(label, from, to string, now time.Time) (Change, error) {
	if err := s.Active(); err != nil {
		return Change{}, err
	}
	if from == "" && to == "" {
		return Change{}, Errorf(InvalidParameter, "You must specify either RemoveFromVersionId or MoveToVersionId.")
	}
	holder, held := s.Stages[label]
	if err := mayMove(label, holder, from, to); err != nil {
		return Change{}, err
	}
	if to == "" {
		return s.restage(s.Stages.Detach(label), now), nil
	}
	if held && holder == to {
		return unchanged(s), nil
	}
	next := s.Stages.Attach(label, to)
	if err := next.limit(s.Stages); err != nil {
		return Change{}, err
	}
	change := s.restage(next, now).With(Require, to)
	change.Secret.Moves++
	return change, nil
}

// mayMove refuses to move a label from a version that does not hold it, away
// from a holder that was not named, and AWSCURRENT from everywhere.
func mayMove(label, holder, from, to string) error {
	switch {
	case from == "" && holder != "" && holder != to:
		return Errorf(InvalidParameter, "The parameter RemoveFromVersionId can't be empty. Staging label %s is currently attached to version %s, so you must explicitly reference that version in RemoveFromVersionId.", label, holder)
	case from != "" && from != holder:
		return Errorf(InvalidParameter, "When you move staging label %s, if you specify RemoveFromVersionId, it must be set to the version that currently has the staging label %s.", label, label)
	case to == "" && label == Current:
		// The apostrophe is AWS's: Terraform compares the whole sentence.
		return Errorf(InvalidParameter, "You can only move staging label AWSCURRENT to a different secret version. It can’t be completely removed.")
	}
	return nil
}
