package schedule

import (
	"time"

	"github.com/strongroom/strongroom/pkg/secret"
)

// Shortest is the shortest interval that a deployment may allow: how often is
// looked what is due. Rules that were taken once are read with it.
const Shortest = time.Minute

// Times are those that a schedule's next window follows from: when it was set, when
// the secret was rotated last, and now.
type Times struct{ Anchor, Last, Now time.Time }

// Next is the next window of rules; zero where there is none.
func Next(rules secret.RotationRules, least time.Duration, t Times) (secret.Window, error) {
	s, err := Parse(rules, least)
	if err != nil {
		return secret.Window{}, err
	}
	w, _ := s.Next(t.Anchor, t.Last, t.Now)
	return secret.Window(w), nil
}
