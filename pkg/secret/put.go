package secret

import "time"

// Put decides on a new version. Its labels are those asked for, AWSCURRENT when
// none are; the first version of a secret gets AWSCURRENT in any case, but for that
// of a rotation, which becomes current when finishSecret says so. The
// version has no sealed value yet: that is the caller's to fill in.
//
// Whether the version exists already is not decided here but by the commit,
// which makes a version only once.
func (s Secret) Put(version string, labels []string, now time.Time) (Change, error) {
	if err := s.Active(); err != nil {
		return Change{}, err
	}
	byRotation := version == s.Rotation.Run().Version
	stages, err := s.Stages.put(version, labels, byRotation)
	if err != nil {
		return Change{}, err
	}
	if stages[Current] == version {
		s = s.counted(now)
	}
	s.Versions++
	change := s.restage(stages, now)
	change.Version = &Version{ID: version, Created: now}
	return change, nil
}

// New is a secret as CreateSecret begins it, without a version. The caller fills
// in what describes it.
func New(name, arn, token string, now time.Time) Secret {
	return Secret{Name: name, ARN: arn, Token: token, Created: now, Changed: now}
}
