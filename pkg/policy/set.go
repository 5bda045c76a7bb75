package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/strongroom/strongroom/pkg/secret"
)

// A Set is the principal policies of a deployment: who may do what, whatever
// stands on the secrets. The nil Set allows nothing.
//
// Its statements name principals, as those on a secret do, since there is nobody
// here to attach a policy to. An account in them is every principal of it. They
// may name principals of other accounts, who still need a policy on the secret.
type Set struct{ rules []rule }

// ParseSet reads a file of principal policies, which is a JSON list of them. An
// error says which file, document and statement it is, and why.
func ParseSet(file string, text []byte) (*Set, error) {
	v, err := read(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %s", file, reason(err))
	}
	documents, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("%s: it is no list of policies", file)
	}
	s := &Set{}
	for i, v := range documents {
		where := fmt.Sprintf("%s: document %d", file, i+1)
		p, err := (&reader{where: where, sid: looseSid}).policy(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %s", where, reason(err))
		}
		s.rules = append(s.rules, p.rules...)
	}
	return s, nil
}

// reason is an error of the parser without the refusal it wraps, which is for
// those who write policies on secrets.
func reason(err error) string {
	refusal, ok := errors.AsType[secret.Error](err)
	if !ok {
		return err.Error()
	}
	return strings.TrimSuffix(err.Error(), ": "+refusal.Error())
}

// AllowAll is the Set that allows everything to everyone who is known. A caller of
// another account still needs a policy on the secret.
func AllowAll() *Set {
	return &Set{rules: []rule{{
		name:       "no policies: everyone may do everything",
		effect:     Allow,
		principals: principals{any: []who{{kind: everyone}}},
		actions:    compileActions(Patterns{Any: []string{"*"}}),
		resources:  compileActions(Patterns{Any: []string{"*"}}),
	}}}
}
