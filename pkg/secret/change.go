package secret

import "time"

// A Change is what a decision does to a secret, to be made durable as a whole or
// not at all.
type Change struct {
	// Outcome is whether the secret is written, stays as it is, or is removed.
	Outcome Outcome
	// Secret is its next state.
	Secret Secret
	// Version is the version that the change makes, nil for none.
	Version *Version
	// Effects are on versions that the secret has already: one for each of them.
	Effects []Effect
	// Policy is the text of a new resource policy, empty for no new one.
	Policy string
	// Pruning says when the schedule has to look for versions to prune.
	Pruning Attention
	// Quota is the most versions without a label that the secret may have had
	// before; 0 for no such limit.
	Quota int
	// Revision is that of the primary in a change that is delivered to a replica; 0 for
	// the next one of the secret. At is then the time, which Secret.Changed does not say.
	Revision int64
	At       time.Time
}

// An Outcome is what becomes of a secret.
type Outcome int

const (
	// Written secrets have a new revision.
	Written Outcome = iota
	// Unchanged secrets are as asked already: nothing is written.
	Unchanged
	// Removed secrets are gone for good, with what is listed of them.
	Removed
	// Replaced secrets are gone too, and a delivered replica has the name.
	Replaced
)

// An Effect is what happens to a version beside the one that is made, or what must
// be true of it for the change to happen.
type Effect struct {
	Kind EffectKind
	// Version has the ID alone, but for Rewrap, Copy and Overwrite.
	Version Version
}

// An EffectKind is a kind of effect.
type EffectKind int

const (
	// Require means that the version must exist.
	Require EffectKind = iota
	// RequireAbsent means that there must be no such version yet.
	RequireAbsent
	// Discard removes the version. No label may be on it.
	Discard
	// Rewrap gives the version another wrapped data key.
	Rewrap
	// Copy adds a version that another Region has. There must be no such version yet.
	Copy
	// Overwrite puts one in the place of a version that must exist.
	Overwrite
)

// Attention is when a schedule has to look at a secret.
type Attention int

const (
	// AsNoted leaves what is noted.
	AsNoted Attention = iota
	// Soon has it look now, unless an earlier time is noted.
	Soon
	// Anew has it look now, whatever is noted: that may be wrong.
	Anew
)

func unchanged(s Secret) Change { return Change{Secret: s, Outcome: Unchanged} }

// IsUnchanged says that nothing is to be written.
func (c Change) IsUnchanged() bool { return c.Outcome == Unchanged }

// With returns c with an effect on the version with this ID.
func (c Change) With(kind EffectKind, id string) Change {
	c.Effects = append(c.Effects[:len(c.Effects):len(c.Effects)], Effect{kind, Version{ID: id}})
	return c
}

// IDs are the versions on which the change has an effect of this kind.
func (c Change) IDs(kind EffectKind) []string {
	var ids []string
	for _, e := range c.Effects {
		if e.Kind == kind {
			ids = append(ids, e.Version.ID)
		}
	}
	return ids
}
