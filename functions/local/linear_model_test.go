//go:build unix

package main

import (
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"
)

// A callOf is one call of a history: what was asked, and what the client was told.
type callOf struct {
	operation, secret string
	version, value    string // of puts and creates; version of gets by ID
	label             string // of gets by label and of moves
	from, to          string // of moves

	code     string // AWS's; empty for success
	answered string // what a read told, as text
	unknown  bool   // nobody knows whether it happened
}

func (c callOf) String() string {
	var asked []string
	for _, part := range []struct{ name, value string }{
		{"version", c.version}, {"value", c.value}, {"label", c.label}, {"from", c.from}, {"to", c.to},
	} {
		if part.value != "" {
			asked = append(asked, fmt.Sprintf("%s=%.40s", part.name, part.value))
		}
	}
	came := c.code + c.answered
	if c.unknown {
		came = "no answer"
	}
	return c.operation + " " + strings.Join(asked, " ") + " -> " + came
}

// linearLabels are the labels of the histories.
var linearLabels = [...]string{"AWSCURRENT", "AWSPREVIOUS", "blue", "green"}

const current, previous = 0, 1

// A stages is where the labels are, in their order; empty for nowhere.
type stages [len(linearLabels)]string

// A modelled is one secret as AWS documents it. The checker compares and copies millions,
// so that it has no map.
type modelled struct {
	exists, deleted bool
	stages          stages
	versions        *madeVersion // the last one made
	sum             uint64       // of all versions, in whatever order they were made
}

// A madeVersion is a version that was made after another.
type madeVersion struct {
	version, value string
	before         *madeVersion
}

func (v *madeVersion) find(version string) (value string, found bool) {
	for ; v != nil; v = v.before {
		if v.version == version {
			return v.value, true
		}
	}
	return "", false
}

// linear is the model of one secret. What nobody knows the outcome of may be placed
// anywhere after its call; at the very end is as good as never.
var linear = porcupine.Model{
	Init: func() any { return modelled{} },
	Step: func(state, in, _ any) (bool, any) {
		c := in.(callOf)
		next, code, answer := state.(modelled).step(c)
		return c.unknown || code == c.code && (code != "" || answer == c.answered), next
	},
	Equal: func(a, b any) bool {
		m, n := a.(modelled), b.(modelled)
		m.versions, n.versions = nil, nil
		return m == n
	},
	DescribeOperation: func(in, _ any) string { return in.(callOf).String() },
}

const (
	existsAlready = "ResourceExistsException"
	notThere      = "ResourceNotFoundException"
	wrongState    = "InvalidRequestException"
	wrongInput    = "InvalidParameterException"
)

// step returns what becomes of a secret, the code of the refusal, and what a read tells.
func (m modelled) step(c callOf) (next modelled, code, answer string) {
	switch {
	case c.operation == "CreateSecret":
		return m.create(c)
	case !m.exists:
		return m, notThere, ""
	case c.operation == "DescribeSecret":
		return m, "", describedAs(m.stages, m.deleted)
	case c.operation == "RestoreSecret":
		m.deleted = false
		return m, "", ""
	case m.deleted:
		return m, wrongState, ""
	case c.operation == "DeleteSecret":
		m.deleted = true
		return m, "", ""
	case c.operation == "GetSecretValue":
		return m.get(c)
	case c.operation == "UpdateSecretVersionStage":
		return m.move(c)
	}
	switch value, has := m.versions.find(c.version); {
	case has && value != c.value:
		return m, existsAlready, ""
	case has:
		return m, "", "" // a repeated put changes nothing
	}
	return m.put(c), "", ""
}

func (m modelled) create(c callOf) (modelled, string, string) {
	value, has := m.versions.find(c.version)
	switch {
	case !m.exists:
		m.exists = true
		return m.put(c), "", ""
	case m.deleted:
		return m, wrongState, ""
	case has && value == c.value:
		return m, "", ""
	}
	return m, existsAlready, ""
}

func (m modelled) get(c callOf) (modelled, string, string) {
	version := c.version
	if version == "" {
		version = m.stages[slices.Index(linearLabels[:], c.label)]
	}
	value, has := m.versions.find(version)
	if !has {
		return m, notThere, ""
	}
	var labels []string
	for i, label := range linearLabels {
		if m.stages[i] == version {
			labels = append(labels, label)
		}
	}
	return m, "", gottenAs(version, value, labels)
}

func (m modelled) put(c callOf) modelled {
	m.versions = &madeVersion{c.version, c.value, m.versions}
	h := fnv.New64a()
	_, _ = io.WriteString(h, c.version+c.value)
	m.sum += h.Sum64()
	return m.makeCurrent(c.version)
}

func (m modelled) makeCurrent(version string) modelled {
	m.stages[previous], m.stages[current] = m.stages[current], version
	return m
}

func (m modelled) move(c callOf) (modelled, string, string) {
	i := slices.Index(linearLabels[:], c.label)
	on := m.stages[i]
	_, has := m.versions.find(c.to)
	switch {
	case c.from != on && (c.from != "" || on != c.to):
		return m, wrongInput, ""
	case on == c.to:
		return m, "", ""
	case !has:
		return m, notThere, ""
	case i == current:
		return m.makeCurrent(c.to), "", ""
	}
	m.stages[i] = c.to
	return m, "", ""
}

// gottenAs and describedAs are what reads tell, so that it can be compared.
func gottenAs(version, value string, labels []string) string {
	slices.Sort(labels)
	return fmt.Sprintf("%s on %s: %.40s, %d bytes", strings.Join(labels, ","), version, value, len(value))
}

func describedAs(on stages, deleted bool) string {
	var parts []string
	for i, version := range on {
		if version != "" {
			parts = append(parts, linearLabels[i]+"="+version)
		}
	}
	return fmt.Sprintf("%s deleted=%t", strings.Join(parts, " "), deleted)
}
