package secret

// Version finds the version that a reader asks for by ID, by staging label, or
// by both; by neither means AWSCURRENT. The second result is the refusal if
// that version turns out to have no value: it is gone, or it is the AWSPENDING
// of a rotation that has not put one yet.
func (s Secret) Version(id, stage string) (version string, missing, err error) {
	if err := s.Active(); err != nil {
		return "", nil, err
	}
	if id != "" {
		if stage != "" && s.Stages[stage] != id {
			return "", nil, Errorf(InvalidRequest, "You provided a VersionStage that is not associated to the provided VersionId.")
		}
		return id, NoSuchVersion(id), nil
	}
	if stage == "" {
		stage = Current
	}
	on, ok := s.Stages[stage]
	if !ok {
		return "", nil, NoSuchStage(stage)
	}
	return on, NoSuchStage(stage), nil
}
