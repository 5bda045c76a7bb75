package api

import (
	"context"
	"encoding/json"
	"reflect"
	"regexp"
	"time"

	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/secret"
)

// patience is how long a record may take to be kept. After a call that took all of
// its time, that is still before API Gateway gives up.
const patience = 3 * time.Second

// keep keeps the record of a call, and those that go with it, before it is answered;
// also when the caller has gone meanwhile.
func (c *call) keep(ctx context.Context, out any, err error) (lost error) {
	if c.server.Trail == nil {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			lost = panicked(p)
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return c.server.Trail.Keep(ctx, append([]audit.Record{c.record(out, err)}, c.more...)...)
}

// record is the record of a call, of which out or err is the answer.
func (c *call) record(out any, err error) audit.Record {
	r := c.recordOf(c.operation, err)
	r.RequestParameters = c.parameters
	r.Resources = audit.Secrets(c.arn)
	if err == nil && !r.ReadOnly {
		r.ResponseElements = elements(out)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r.AdditionalEventData = additional(c.decision.Statement, c.denial(), c.version)
	if err != nil && !r.ReadOnly && isUncertain(err) {
		r.AdditionalEventData[audit.Outcome] = audit.OutcomeUnknown
	}
	if c.units > 0 {
		r.AdditionalEventData["dynamoDBUnits"] = c.units
	}
	if c.kmsCalls > 0 {
		r.AdditionalEventData["kmsCalls"] = c.kmsCalls
	}
	return r
}

// known is what an operation's name looks like.
var known = regexp.MustCompile(`^[A-Za-z]{1,64}$`)

// recordOf is what the records of a call have in common.
func (c *call) recordOf(operation string, err error) audit.Record {
	r := audit.Call(operation, uuid.NewString(), c.at)
	r.UserIdentity = audit.IdentityOf(c.caller.ARN, c.caller.Account, c.caller.UserID, c.caller.AccessKey)
	r.AWSRegion, r.RecipientAccountID = c.server.ARNs.Region, c.server.ARNs.Account
	r.SourceIPAddress, r.UserAgent = c.caller.SourceIP, c.caller.UserAgent
	r.RequestID = c.id
	if err != nil {
		refusal := refusalOf(err)
		r.ErrorCode, r.ErrorMessage = string(refusal.Code), refusal.Message
	}
	return r
}

// denial says why the call was denied; it is empty for one that was not.
func (c *call) denial() string {
	if !c.decided || c.decision.Allowed {
		return ""
	}
	return c.decision.Explain()
}

// additional is what a record says beyond CloudTrail's members: the statement of a
// policy that allowed or denied, why a call was denied, and the version whose value
// was read.
func additional(statement, denial, version string) map[string]any {
	data := map[string]any{}
	if denial != "" {
		data[audit.DenialReason] = denial
	}
	if statement != "" {
		data["policyStatement"] = statement
	}
	if version != "" {
		data["versionId"] = version
	}
	return data
}

// recordRead adds the record of one secret of a batch, as GetSecretValue would have
// left it.
func (c *call) recordRead(item batchItem, version string) {
	var err error
	if item.err != (secret.Error{}) {
		err = item.err
	}
	r := c.recordOf("GetSecretValue", err)
	r.RequestParameters = map[string]any{audit.Member("SecretId"): item.id}
	if !item.missing {
		r.Resources = audit.Secrets(item.secret.ARN)
	}
	r.AdditionalEventData = additional(item.statement, item.denial, version)
	c.addEvent(r)
}

// elements are the members of an answer. It is asked for operations that change
// something: none of these answers with a value.
func elements(out any) map[string]any {
	text, err := encode(out)
	if err != nil {
		return nil
	}
	var members map[string]any
	if json.Unmarshal(text, &members) != nil || len(members) == 0 {
		return nil
	}
	return renamed(members).(map[string]any)
}

// renamed has the members of structures under the names of records.
func renamed(v any) any {
	switch v := v.(type) {
	case map[string]any:
		named := make(map[string]any, len(v))
		for name, value := range v {
			named[audit.Member(name)] = renamed(value)
		}
		return named
	case []any:
		for i := range v {
			v[i] = renamed(v[i])
		}
	}
	return v
}

// parameters are the members of a request that may be recorded: all that are there,
// but for the sensitive ones.
func (s *shape) parameters(in reflect.Value) map[string]any {
	all := map[string]any{}
	for _, m := range s.members {
		v := in.Field(m.index)
		if m.sensitive || v.IsZero() {
			continue
		}
		switch v := reflect.Indirect(v); {
		case m.element == nil:
			all[audit.Member(m.name)] = v.Interface()
		case v.Kind() == reflect.Slice:
			list := make([]any, v.Len())
			for i := range list {
				list[i] = m.element.parameters(v.Index(i))
			}
			all[audit.Member(m.name)] = list
		default:
			all[audit.Member(m.name)] = m.element.parameters(v)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}
