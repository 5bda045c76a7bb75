package secret

// A Wanted is the version that a reader asks for. Whether there is one, with a value,
// the secret does not say.
type Wanted struct {
	ID string
	// Missing is the refusal if there is none: it is gone, or it is the AWSPENDING of a
	// rotation that has not put a value yet.
	Missing error
	// Mismatch is the refusal if there is one, because the label that is asked for is not
	// on it; nil where it is.
	Mismatch error
}

// Version finds the version that a reader asks for by ID, by staging label, or
// by both; by neither means AWSCURRENT.
func (s Secret) Version(id, stage string) (Wanted, error) {
	if err := s.Active(); err != nil {
		return Wanted{}, err
	}
	if id != "" {
		wanted := Wanted{ID: id, Missing: NoSuchVersion(id)}
		// Rotation templates make a version when it is missing, whatever the label.
		if stage != "" && s.Stages[stage] != id {
			wanted.Mismatch = Errorf(InvalidRequest, "You provided a VersionStage that is not associated to the provided VersionId.")
		}
		return wanted, nil
	}
	if stage == "" {
		stage = Current
	}
	on, ok := s.Stages[stage]
	if !ok {
		return Wanted{}, NoSuchStage(stage)
	}
	return Wanted{ID: on, Missing: NoSuchStage(stage)}, nil
}
