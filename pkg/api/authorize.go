package api

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strconv"

	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// A right is what the right to an operation is about. Policies name the operation as
// an action, secretsmanager:GetSecretValue.
type right int

const (
	// onSecret is about the secret that SecretId names, and decided when it is read.
	onSecret right = iota
	// onNew is about the secret that is to be made.
	onNew
	// onAny is about no secret; in a policy it needs the resource *.
	onAny
)

// errUndecided is an answer that was given without asking whether the caller may
// have it: a fault of ours that must not go out.
var errUndecided = errors.New("answered without a decision")

// authorize refuses the call where its caller may not make it about this secret.
func (c *call) authorize(ctx context.Context, sec secret.Secret) error {
	d, err := c.decideCall(ctx, sec)
	if err != nil || d.Allowed {
		return err
	}
	return c.denied(ctx, c.operation, c.named, sec, d)
}

// decideCall decides about the call as a whole, and notes what it decided.
func (c *call) decideCall(ctx context.Context, sec secret.Secret) (policy.Decision, error) {
	d, err := c.decide(ctx, c.operation, c.named, sec)
	if err == nil {
		c.decision, c.decided, c.arn = d, true, sec.ARN
	}
	return d, err
}

// denied is the answer to a caller who may not do something to a secret that they named
// so. A caller who would be denied a secret that is not there gets exactly that answer,
// in its words, with the reads that it takes and in its time: whether there is one does
// not show. Any other caller may know.
func (c *call) denied(ctx context.Context, operation, named string, sec secret.Secret, d policy.Decision) error {
	c.paced.Store(true)
	if _, read := c.policyReads.LoadOrStore(sec.Name, true); !read {
		if err := c.store.ReadNoPolicy(ctx, sec.Name); err != nil {
			return err
		}
	}
	id, err := c.server.ARNs.Parse(named)
	if err != nil {
		return err
	}
	if missing := c.decideBy(nil, operation, named, c.absent(id)); !missing.Allowed {
		d = missing
	}
	return d.Denied()
}

// authorizeAny authorizes an operation that is about no secret.
func (c *call) authorizeAny(operation string) error {
	d := c.server.Policies.Decide(c.request(operation, "", "*", c.keys), nil)
	c.decision, c.decided = d, true
	if d.Allowed {
		return nil
	}
	return d.Denied()
}

// logDenial says in the log why a part of a call was denied; of the call itself its own
// line says it.
func (c *call) logDenial(ctx context.Context, operation, named string, d policy.Decision) {
	if c.server.Log != nil {
		c.server.Log.InfoContext(ctx, "denied", slog.String("operation", operation), slog.String("secret", named),
			slog.String("caller", c.caller.ARN), slog.String("request", c.id), slog.String("denied", d.Explain()))
	}
}

// missingOrDenied is the answer for a secret that is not there, or whose head cannot be
// read: why there is none, for those who may know.
func (c *call) missingOrDenied(ctx context.Context, id secret.ID, missing error) error {
	err := c.authorize(ctx, c.absent(id))
	c.arn = ""
	return cmp.Or(err, missing)
}

// isMissing says that there is no secret to decide about.
func (c *call) isMissing(err error) bool {
	_, damaged := errors.AsType[*store.Damaged](err)
	return isNotFound(err) || damaged && !c.decided
}

// absent is a secret that is not there, as policies see it.
func (c *call) absent(id secret.ID) secret.Secret {
	const anySuffix = "??????"
	return secret.Secret{Name: id.Name, ARN: c.server.ARNs.Of(id.Name, cmp.Or(id.Suffix, anySuffix))}
}

func isNotFound(err error) bool { return errors.Is(err, secret.NotFound) }

// decide says whether the caller may do something to a secret, which they named so.
func (c *call) decide(ctx context.Context, operation, named string, sec secret.Secret) (policy.Decision, error) {
	onSecret, err := c.policyOf(ctx, sec)
	if err != nil {
		return policy.Decision{}, err
	}
	if onSecret == policy.Unreadable {
		onSecret = c.unreadable(ctx, operation, sec)
	}
	return c.decideBy(onSecret, operation, named, sec), nil
}

// decideBy decides by the policies of the deployment and one on the secret; nil for none.
func (c *call) decideBy(onSecret *policy.Policy, operation, named string, sec secret.Secret) policy.Decision {
	return c.server.Policies.Decide(c.request(operation, named, sec.ARN, c.keysWith(sec)), onSecret)
}

// policyTries is how often the policy on a secret may be changed between the read of the
// secret and that of the policy, until the caller is told to come again.
const policyTries = 10

// onStablePolicy decides about a secret that was just read, and again about what stands now
// when its policy was changed since.
func (c *call) onStablePolicy(ctx context.Context, sec *secret.Secret, decide func() error) error {
	err := decide()
	for try := 1; errors.Is(err, store.ErrBusy) && try < policyTries; try++ {
		now, lost := c.store.Get(ctx, secret.ID{Name: sec.Name, Suffix: sec.Suffix()})
		if lost != nil {
			return lost
		}
		*sec = now
		err = decide()
	}
	return err
}

// unreadable is what holds instead of a policy that cannot be read: it denies all but
// to mend it, to those who may by the deployment's policies.
func (c *call) unreadable(ctx context.Context, operation string, sec secret.Secret) *policy.Policy {
	if c.server.Log != nil {
		c.server.Log.ErrorContext(ctx, "the resource policy cannot be read; put another one", slog.String("secret", sec.ARN))
	}
	if operation == "PutResourcePolicy" || operation == "DeleteResourcePolicy" {
		return nil
	}
	return policy.Unreadable
}

func (c *call) request(operation, named, resource string, keys keySet) policy.Request {
	return policy.Request{
		Caller:   c.caller,
		Action:   "secretsmanager:" + operation,
		Resource: resource,
		Named:    named,
		Owner:    c.server.ARNs.Account,
		Time:     c.at,
		Keys:     keys.said,
		Implied:  keys.implied,
		Unknown:  keys.unknown,
	}
}

// policyOf is the policy on a secret; nil for none. One that was read lately costs
// no call, since the secret says which it is.
func (c *call) policyOf(ctx context.Context, sec secret.Secret) (*policy.Policy, error) {
	if sec.PolicyHash == "" {
		return nil, nil
	}
	p, err := c.server.Resources.Policy(sec.PolicyHash, func() (string, error) { return c.policyText(ctx, sec) })
	if _, lost := errors.AsType[*store.Damaged](err); lost {
		return policy.Unreadable, nil
	}
	return p, err
}

// policyText reads the text of the policy on a secret, once in a call.
func (c *call) policyText(ctx context.Context, sec secret.Secret) (string, error) {
	if text, ok := c.texts.Load(sec.PolicyHash); ok {
		return text.(string), nil
	}
	c.policyReads.Store(sec.Name, true)
	text, err := c.store.Policy(ctx, sec)
	if err == nil {
		c.texts.Store(sec.PolicyHash, text)
	}
	return text, err
}

// keysWith are what policies can ask of the request and of the secret.
func (c *call) keysWith(sec secret.Secret) keySet {
	set := c.keys.clone()
	keys := set.said
	keys["secretsmanager:secretid"] = []string{sec.ARN}
	keys["secretsmanager:secretprimaryregion"] = []string{cmp.Or(sec.Primary, c.server.ARNs.Region)}
	if sec.Rotation.Lambda != "" {
		set.addFunction(keyOfStoredFunction, sec.Rotation.Lambda, c.server.ARNs)
		if c.operation == "RotateSecret" {
			set.implyStoredFunction()
		}
	}
	if sec.Type != "" {
		keys["secretsmanager:resource/type"] = []string{sec.Type}
	}
	if c.isRotating != nil {
		keys["strongroom:rotating"] = []string{strconv.FormatBool(c.isRotating(sec))}
	}
	for _, t := range sec.Tags {
		name := "aws:resourcetag/" + lower(t.Key)
		keys[name] = append(keys[name], t.Value)
	}
	return set
}

// crossAccount refuses a value to a caller of another account when nobody chose the
// key that it is sealed under (recorded from AWS, whose own key cannot be shared).
func (c *call) crossAccount(sec secret.Secret) error {
	if sec.SealingKey() == "" && c.caller.Account != c.server.ARNs.Account {
		return secret.Errorf(secret.InvalidRequest, "You can't access a secret from a different AWS account if you encrypt the secret with the default KMS service key.")
	}
	return nil
}
