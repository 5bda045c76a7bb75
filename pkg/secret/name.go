package secret

import (
	"regexp"
	"strings"
)

// MaxName is the length of the longest name, in characters.
const MaxName = 512

const suffixLen = 6

var (
	newName   = regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]+$`)
	knownName = regexp.MustCompile(`^[A-Za-z0-9/_+=.@!-]+$`)
	fullName  = regexp.MustCompile(`^(.+)-([A-Za-z0-9]{6})$`)
)

// An ID is a secret as a caller names it: by name, or by an ARN whose suffix
// says which secret of that name.
type ID struct {
	Name string
	// Suffix is the six characters at the end of the ARN; empty when the
	// caller did not say.
	Suffix string
}

// CheckNewName refuses a name that no secret may be given. An exclamation mark
// is in the names of secrets that services own, and only there.
func CheckNewName(name string) error {
	if !newName.MatchString(name) {
		return InvalidName
	}
	return nil
}

// ARNs makes and reads the ARNs of one account's secrets in one Region.
type ARNs struct{ Partition, Region, Account string }

// Of is the ARN of the secret with this name and suffix.
func (a ARNs) Of(name, suffix string) string {
	return a.prefix() + name + "-" + suffix
}

func (a ARNs) prefix() string {
	return "arn:" + a.Partition + ":secretsmanager:" + a.Region + ":" + a.Account + ":secret:"
}

// Parse reads a SecretId: a name, an ARN, or an ARN without its suffix.
//
// An ARN that ends in a hyphen and six characters is taken for a full one, also
// when these belong to the name; AWS does the same (recorded). A secret of
// another account or Region is one that cannot be found.
func (a ARNs) Parse(secretID string) (ID, error) {
	if name, ok := strings.CutPrefix(secretID, a.prefix()); ok {
		if len(name) > MaxName+len("-")+suffixLen {
			return ID{}, NotFound
		}
		if m := fullName.FindStringSubmatch(name); m != nil {
			return ID{Name: m[1], Suffix: m[2]}, nil
		}
		return ID{Name: name}, nil
	}
	if isARN(secretID) {
		return ID{}, NotFound
	}
	if !knownName.MatchString(secretID) {
		return ID{}, InvalidName
	}
	if len(secretID) > MaxName {
		return ID{}, NotFound
	}
	return ID{Name: secretID}, nil
}

func isARN(id string) bool {
	parts := strings.SplitN(id, ":", 7)
	return len(parts) == 7 && parts[0] == "arn" && parts[2] == "secretsmanager" && parts[5] == "secret"
}

// Suffix returns the end of the secret's ARN, which tells it from others that
// had or will have its name.
func (s Secret) Suffix() string {
	return s.ARN[max(0, len(s.ARN)-suffixLen):]
}

// Is says whether id names this secret, and not one of its name before or
// after it.
func (s Secret) Is(id ID) bool {
	return s.Name == id.Name && (id.Suffix == "" || id.Suffix == s.Suffix())
}
