package simulation

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// The model of one secret: what AWS documents, written down once more and as plainly
// as it goes.
type model struct {
	exists  bool
	values  map[string]string // by version
	stages  map[string]string // label to version
	deleted time.Time         // when its window ends, at the earliest; zero unless scheduled
	text    string            // description
	key     string
	tags    map[string]string
	policy  string // empty for none

	primary  string // Region of the secret that this one is a replica of; empty for none
	replicas string // Region that it is replicated to; empty for none
}

const (
	refusedExists  = "ResourceExistsException"
	refusedMissing = "ResourceNotFoundException"
	refusedState   = "InvalidRequestException"
	refusedInput   = "InvalidParameterException"
	refusedAccess  = "AccessDeniedException"
)

// rotated is the name of the secrets that are rotated. Their AWSPENDING is the
// rotation's business, which the model does not know; and where they refuse a call, the
// model believes it.
const rotated = "rotated"

func isRotated(secret string) bool { return nameOf(secret) == rotated }

// modelOf is a secret for porcupine.
func modelOf(secret string) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return model{} },
		Step: func(state, in, _ any) (bool, any) {
			m, e := state.(model), in.(event)
			if e.Unknown {
				next, _, _ := m.step(e, isRotated(secret))
				return true, next // it may never happen: that is the same as at the very end
			}
			next, code, got := m.step(e, isRotated(secret))
			if e.Client == "table" {
				return code == "", next
			}
			if isRotated(secret) && e.Code != "" && !e.Guest {
				return true, m
			}
			// A put that was committed by an attempt whose answer was lost answers with what
			// has become of its labels since.
			return code == e.Code && (code != "" || e.Op == opPut || got == e.Got), next
		},
		Equal: func(a, b any) bool { return a.(model).equal(b.(model)) },
	}
}

func (m model) equal(n model) bool {
	return m.exists == n.exists && m.deleted.Equal(n.deleted) && m.text == n.text && m.key == n.key && m.policy == n.policy &&
		m.primary == n.primary && m.replicas == n.replicas &&
		maps.Equal(m.values, n.values) && maps.Equal(m.stages, n.stages) && maps.Equal(m.tags, n.tags)
}

// step is what becomes of a secret, and what the caller is told.
func (m model) step(e event, isRotated bool) (model, string, answer) {
	if e.Guest && (!m.exists || m.policy != guestsMay || e.Op != opGet) {
		return m, refusedAccess, answer{}
	}
	switch e.Op {
	case opCreate:
		return m.create(e)
	case opListed:
		return m, "", answer{Listed: m.exists && m.deleted.IsZero()}
	case opPurged:
		if !m.exists || m.deleted.IsZero() || m.deleted.After(e.Until.Add(2*skew)) {
			return m, "it must not be removed", answer{}
		}
		return model{}, "", answer{}
	case opPruned:
		return m.pruned(e, isRotated)
	case opDelivered, opWithdrawn, opForgotten:
		return m.replicate(e)
	case opDelete:
		if e.Force && m.primary == "" && m.replicas == "" {
			return model{}, "", answer{}
		}
		if e.Force {
			return m, refusedInput, answer{}
		}
	}
	switch {
	case !m.exists:
		return m, refusedMissing, answer{}
	case m.primary != "" && !isRead(e.Op) && e.Op != opPromote, m.replicas != "" && e.Op == opDelete:
		return m, refusedInput, answer{}
	case !m.deleted.IsZero() && e.Op != opShow && e.Op != opRestore && e.Op != opIDs:
		return m, refusedState, answer{}
	}
	return m.change(e, isRotated)
}

func (m model) create(e event) (model, string, answer) {
	switch {
	case m.exists && !m.deleted.IsZero():
		return m, refusedState, answer{}
	case m.exists && m.primary == "" && m.values[e.Version] == e.Value:
		return m, "", answer{} // made by this request before
	case m.exists:
		return m, refusedExists, answer{}
	}
	return model{exists: true, values: map[string]string{e.Version: e.Value}, stages: map[string]string{"AWSCURRENT": e.Version}, replicas: e.To}, "", answer{}
}

func (m model) pruned(e event, isRotated bool) (model, string, answer) {
	_, there := m.values[e.Version]
	if len(m.labelsOf(e.Version)) > 0 || !there && !isRotated {
		return m, "a version with a label must not be removed", answer{}
	}
	m.values = maps.Clone(m.values)
	delete(m.values, e.Version)
	return m, "", answer{}
}

func (m model) labelsOf(version string) []string {
	var labels []string
	for label, on := range m.stages {
		if on == version {
			labels = append(labels, label)
		}
	}
	slices.Sort(labels)
	return labels
}

// change is of a secret that is there.
func (m model) change(e event, isRotated bool) (model, string, answer) {
	switch e.Op {
	case opGet, opBatch:
		return m.get(e)
	case opIDs:
		return m, "", answer{Stages: mapText(m.stages)}
	case opPolicy:
		return m, "", answer{Policy: m.policy}
	case opShow:
		return m, "", answer{Stages: mapText(m.stages), Description: m.text, Key: m.key, Tags: mapText(m.tags), Deleted: !m.deleted.IsZero(), Primary: m.primaryRegion(e), Replicas: m.replicas}
	case opPut:
		return m.put(e.Version, e.Value, e.Labels, isRotated)
	case opUpdate:
		next, code := m, ""
		if e.Version != "" {
			if next, code, _ = m.put(e.Version, e.Value, nil, isRotated); code != "" {
				return m, code, answer{}
			}
			if m.has(e.Version) {
				return m, "", answer{} // made by this request before
			}
		}
		if e.Description != nil {
			next.text = *e.Description
		}
		if e.Key != nil {
			next.key = *e.Key
		}
		return next, "", answer{}
	case opMove:
		return m.move(e)
	case opDelete:
		m.deleted = e.At.AddDate(0, 0, 7).Add(-2 * skew)
	case opRestore:
		m.deleted = time.Time{}
	case opTag:
		m.tags = maps.Clone(m.tags)
		if m.tags == nil {
			m.tags = map[string]string{}
		}
		m.tags[e.Label] = e.Value
	case opUntag:
		m.tags = maps.Clone(m.tags)
		delete(m.tags, e.Label)
	case opAllow:
		m.policy = e.Value
	case opForbid:
		m.policy = ""
	case opReplicate:
		m.replicas = e.To
	case opUnreplicate:
		m.replicas = ""
	case opPromote:
		if m.primary == "" {
			return m, refusedState, answer{}
		}
		m.primary = ""
	}
	return m, "", answer{}
}

func (m model) primaryRegion(e event) string {
	if m.replicas != "" {
		return e.Region
	}
	return m.primary
}

// replicate is what another Region does to a secret: the table tells in which order.
func (m model) replicate(e event) (model, string, answer) {
	switch {
	case e.Op == opForgotten:
		m.replicas = ""
	case e.Op == opWithdrawn && m.primary == "":
		return m, "a secret of its own must not be removed", answer{}
	case e.Op == opWithdrawn:
		return model{}, "", answer{}
	case e.Replica.isNew:
		return e.Replica.model, "", answer{}
	case m.primary != e.Replica.primary:
		return m, "a secret of its own must not be changed", answer{}
	default:
		next := e.Replica.model
		next.values = maps.Clone(m.values)
		maps.Copy(next.values, e.Replica.values)
		return next, "", answer{}
	}
	return m, "", answer{}
}

func (m model) has(version string) bool {
	_, there := m.values[version]
	return there
}

func (m model) get(e event) (model, string, answer) {
	version := e.Version
	if version == "" {
		version = m.stages[e.Label]
	}
	value, there := m.values[version]
	switch {
	case !there:
		return m, refusedMissing, answer{}
	case e.Version != "" && e.Label != "" && m.stages[e.Label] != version:
		return m, refusedState, answer{}
	}
	return m, "", answer{Version: version, Value: value, Labels: strings.Join(m.labelsOf(version), ",")}
}

func (m model) put(version, value string, labels []string, isRotated bool) (model, string, answer) {
	if had, there := m.values[version]; there {
		if had != value {
			return m, refusedExists, answer{}
		}
		return m, "", answer{Labels: strings.Join(m.labelsOf(version), ",")}
	}
	m.values, m.stages = maps.Clone(m.values), maps.Clone(m.stages)
	m.values[version] = value
	isCurrent := len(labels) == 0 || slices.Contains(labels, "AWSCURRENT")
	if before := m.stages["AWSCURRENT"]; isCurrent {
		m.stages["AWSCURRENT"] = version
		m.stages["AWSPREVIOUS"] = before
	}
	for _, label := range labels {
		m.stages[label] = version
	}
	if isCurrent && !slices.Contains(labels, "AWSPENDING") || isRotated {
		delete(m.stages, "AWSPENDING")
	}
	return m, "", answer{Labels: strings.Join(m.labelsOf(version), ",")}
}

func (m model) move(e event) (model, string, answer) {
	holder := m.stages[e.Label]
	switch {
	case e.From != "" && e.From != holder, e.From == "" && holder != "" && holder != e.To:
		return m, refusedInput, answer{}
	case e.To == "" && e.Label == "AWSCURRENT":
		return m, refusedInput, answer{}
	case e.To == "":
		m.stages = maps.Clone(m.stages)
		delete(m.stages, e.Label)
		return m, "", answer{}
	case holder == e.To:
		return m, "", answer{}
	case !m.has(e.To):
		return m, refusedMissing, answer{}
	}
	m.stages = maps.Clone(m.stages)
	m.stages[e.Label] = e.To
	if e.Label == "AWSCURRENT" {
		m.stages["AWSPREVIOUS"] = holder
	}
	return m, "", answer{}
}

// mapText writes a map so that it can be compared.
func mapText(m map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, k+"="+m[k])
	}
	return strings.Join(parts, " ")
}
