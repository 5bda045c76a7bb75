package store

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/secret"
)

// The numbers of the formats below, one of them in every item. An item with a larger
// number was written by a newer version: it is refused, and never written back.
const (
	// schema: policies are named by the hash of their text; rows of the directory have
	// the date of creation.
	schema = 2
	// replicatedSchema is that of secrets with replication, and of its notes. An older
	// version would change a replica, or a primary without its replicas.
	replicatedSchema = 3
)

// item is what DynamoDB stores.
type item = map[string]types.AttributeValue

// key is where an item is.
type key struct {
	PK string `dynamodbav:"pk"`
	SK string `dynamodbav:"sk"`
}

func headKey(name string) key { return key{partition + name, "HEAD"} }

// partition is what the partition key of everything of a secret begins with.
const partition = "SECRET#"

// nameIn is the name of the secret whose partition key this is.
func nameIn(pk string) string { return strings.TrimPrefix(pk, partition) }

// ofAll is what the versions of a secret have in common in the index by age.
func ofAll(sec secret.Secret) string { return sec.Name + "#" + sec.Family() }

func versionKey(sec secret.Secret, id string) key {
	return key{partition + sec.Name, versionPrefix(sec.Family()) + id}
}

func versionPrefix(family string) string { return "VERSION#" + family + "#" }

func policyKey(sec secret.Secret) key {
	return key{partition + sec.Name, "POLICY#" + sec.Suffix() + "#" + sec.PolicyHash}
}

const leftoverPrefix = "LEFTOVER#"

// leftoverKey is the place of the note that versions of a removed secret are
// still to be removed.
func leftoverKey(name, family string) key { return key{partition + name, leftoverPrefix + family} }

const rotationPrefix = "ROTATION#"

// rotationKey is the place of the note that a secret is to be rotated. The head
// itself is in the index when it is to be pruned, and can be there once only.
func rotationKey(name, suffix string) key { return key{partition + name, rotationPrefix + suffix} }

// directory are a secret's rows in the directory: by name, and by creation.
func directory(sec secret.Secret) []directoryItem {
	created := stamp(sec.Created)
	return []directoryItem{
		{key{string(ByName), sec.Name}, schema, sec.Name, sec.Suffix(), created},
		{key{string(ByCreated), Position(sec.Created, sec.Name)}, schema, sec.Name, sec.Suffix(), created},
	}
}

// A headItem is a secret.
type headItem struct {
	key
	Schema      int               `dynamodbav:"schema"`
	Suffix      string            `dynamodbav:"suffix"`
	Revision    int64             `dynamodbav:"revision"`
	Commit      string            `dynamodbav:"commit"` // of the transaction that wrote this revision
	Past        []byte            `dynamodbav:"past"`   // commits, eight bytes each, the last one last
	Token       string            `dynamodbav:"token"`
	Description string            `dynamodbav:"description"`
	Type        string            `dynamodbav:"type"`
	KMSKey      string            `dynamodbav:"kms_key"`
	Keyed       int64             `dynamodbav:"keyed"`
	Stages      map[string]string `dynamodbav:"stages"`
	Versions    int               `dynamodbav:"versions"` // changed by adding, also beside the revisions
	Prunings    int64             `dynamodbav:"prunings"` // as versions
	Moves       int64             `dynamodbav:"moves"`
	PolicyHash  string            `dynamodbav:"policy_hash"`
	Tags        []tagItem         `dynamodbav:"tags"`
	Rotation    *rotationItem     `dynamodbav:"rotation,omitempty"`
	Created     stamp             `dynamodbav:"created"`
	Changed     stamp             `dynamodbav:"changed"`
	Deletion    stamp             `dynamodbav:"deletion"`
	Deleted     stamp             `dynamodbav:"deleted"`
	Replicas    []replicaItem     `dynamodbav:"replicas"`
	Primary     string            `dynamodbav:"primary"` // Region
	Copy        int64             `dynamodbav:"copy"`
	// Accessed and AccessedVersion are written by reads, beside all revisions.
	Accessed        stamp  `dynamodbav:"accessed,omitempty"`
	AccessedVersion string `dynamodbav:"accessed_version,omitempty"`
	due
}

type replicaItem struct {
	Region    string `dynamodbav:"region"`
	KMSKey    string `dynamodbav:"kms_key"`
	Copy      int64  `dynamodbav:"copy"`
	Overwrite bool   `dynamodbav:"overwrite"`
}

type tagItem struct {
	Key   string `dynamodbav:"key"`
	Value string `dynamodbav:"value"`
}

// A rotationItem is how a secret is rotated, and its rotation under way. What has
// no value is left out.
type rotationItem struct {
	Enabled    bool   `dynamodbav:"enabled"`
	Lambda     string `dynamodbav:"lambda"`
	Days       int    `dynamodbav:"days,omitempty"`
	Expression string `dynamodbav:"expression,omitempty"`
	Duration   string `dynamodbav:"duration,omitempty"`
	Anchor     stamp  `dynamodbav:"anchor,omitempty"`
	Last       stamp  `dynamodbav:"last,omitempty"`
	Opens      stamp  `dynamodbav:"opens,omitempty"`
	Closes     stamp  `dynamodbav:"closes,omitempty"`

	// The rotation under way: leased with a runner, waiting with only a due time, and
	// without either given up or, where rotation is off, cancelled.
	Token    string `dynamodbav:"token,omitempty"`
	From     string `dynamodbav:"from,omitempty"`
	Test     bool   `dynamodbav:"test,omitempty"`
	Attempts int    `dynamodbav:"attempts,omitempty"`
	Due      stamp  `dynamodbav:"due,omitempty"`
	Runner   string `dynamodbav:"runner,omitempty"`
	Proof    string `dynamodbav:"proof,omitempty"`
	Failure  string `dynamodbav:"failure,omitempty"`

	Asked      string `dynamodbav:"asked,omitempty"`
	Abandoned  string `dynamodbav:"abandoned,omitempty"`
	BusyRunner string `dynamodbav:"busy_runner,omitempty"`
	BusyUntil  stamp  `dynamodbav:"busy_until,omitempty"`
}

// due puts an item into the index of what the schedules must do next. It is
// absent from items with nothing to do.
type due struct {
	Shard string `dynamodbav:"shard,omitempty"`
	Due   stamp  `dynamodbav:"due,omitempty"`
}

// A versionItem is one version of a secret, under the index by age.
type versionItem struct {
	key
	Schema     int    `dynamodbav:"schema"`
	Secret     string `dynamodbav:"secret"` // name#family
	ID         string `dynamodbav:"id"`
	Revision   int64  `dynamodbav:"revision"` // of the secret, that put it
	Created    stamp  `dynamodbav:"created"`
	Kind       string `dynamodbav:"kind"`
	KeyARN     string `dynamodbav:"key_arn"`
	DefaultKey bool   `dynamodbav:"default_key"`
	DataKey    []byte `dynamodbav:"data_key"`
	Sealed     []byte `dynamodbav:"sealed"`
	// Accessed is written by reads.
	Accessed stamp `dynamodbav:"accessed,omitempty"`
}

// A directoryItem is a row of the directory: a secret by name or by creation.
type directoryItem struct {
	key
	Schema  int    `dynamodbav:"schema"`
	Name    string `dynamodbav:"name"`
	Suffix  string `dynamodbav:"suffix"`
	Created stamp  `dynamodbav:"created"`
}

// A policyItem is the text of a resource policy. The head has only its hash, so
// that a put does not pay for it.
type policyItem struct {
	key
	Schema int    `dynamodbav:"schema"`
	Text   string `dynamodbav:"text"`
}

// A noteItem says beside the head what is to be done: that a removed secret's
// versions are still there, or that a secret is to be rotated.
type noteItem struct {
	key
	Schema int    `dynamodbav:"schema"`
	Commit string `dynamodbav:"commit,omitempty"` // that removed the secret
	Copy   int64  `dynamodbav:"copy,omitempty"`   // the last one that is fenced off
	due
}

func headOf(sec secret.Secret) headItem {
	h := headItem{
		key:         headKey(sec.Name),
		Schema:      schema,
		Suffix:      sec.Suffix(),
		Revision:    sec.Revision,
		Commit:      sec.Commit,
		Past:        sec.Past,
		Token:       sec.Token,
		Description: sec.Description,
		Type:        sec.Type,
		KMSKey:      sec.KMSKey,
		Keyed:       sec.Keyed,
		Stages:      sec.Stages,
		Versions:    sec.Versions,
		Prunings:    sec.Prunings,
		Moves:       sec.Moves,
		PolicyHash:  sec.PolicyHash,
		Created:     stamp(sec.Created),
		Changed:     stamp(sec.Changed),
		Deletion:    stamp(sec.Deletion),
		Deleted:     stamp(sec.Deleted),
		Accessed:    stamp(sec.Accessed),

		AccessedVersion: sec.AccessedVersion,
	}
	if h.Stages == nil {
		h.Stages = map[string]string{}
	}
	if h.Primary, h.Copy = sec.Primary, sec.Copy; isReplicated(sec) {
		h.Schema = replicatedSchema
	}
	for _, r := range sec.Replicas {
		h.Replicas = append(h.Replicas, replicaItem(r))
	}
	if sec.Tags != nil {
		h.Tags = make([]tagItem, 0, len(sec.Tags))
	}
	for _, t := range sec.Tags {
		h.Tags = append(h.Tags, tagItem(t))
	}
	h.Rotation = rotationOf(sec.Rotation)
	return h
}

func (h headItem) secret(arns secret.ARNs) secret.Secret {
	name := nameIn(h.PK)
	sec := secret.Secret{
		Name:        name,
		ARN:         arns.Of(name, h.Suffix),
		Description: h.Description,
		Type:        h.Type,
		KMSKey:      h.KMSKey,
		Keyed:       h.Keyed,
		Stages:      h.Stages,
		Versions:    h.Versions,
		Prunings:    h.Prunings,
		Moves:       h.Moves,
		PolicyHash:  h.PolicyHash,
		Revision:    h.Revision,
		Commit:      h.Commit,
		Past:        h.Past,
		Token:       h.Token,
		Created:     time.Time(h.Created),
		Changed:     time.Time(h.Changed),
		Accessed:    time.Time(h.Accessed),

		AccessedVersion: h.AccessedVersion,
		Deletion:        time.Time(h.Deletion),
		Deleted:         time.Time(h.Deleted),
		Primary:         h.Primary,
		Copy:            h.Copy,
	}
	for _, r := range h.Replicas {
		sec.Replicas = append(sec.Replicas, secret.Replica(r))
	}
	if h.Tags != nil {
		sec.Tags = make([]secret.Tag, 0, len(h.Tags))
	}
	for _, t := range h.Tags {
		sec.Tags = append(sec.Tags, secret.Tag(t))
	}
	if h.Rotation != nil {
		sec.Rotation = h.Rotation.rotation()
	}
	return sec
}

func rotationOf(r secret.Rotation) *rotationItem {
	if r == (secret.Rotation{}) {
		return nil
	}
	run := r.Run()
	item := rotationItem{
		Enabled:    r.Enabled,
		Lambda:     r.Lambda,
		Days:       r.Rules.AutomaticallyAfterDays,
		Expression: r.Rules.ScheduleExpression,
		Duration:   r.Rules.Duration,
		Anchor:     stamp(r.Anchor),
		Last:       stamp(r.Last),
		Opens:      stamp(r.Next.Opens),
		Closes:     stamp(r.Next.Closes),
		Token:      run.Version,
		From:       run.From,
		Test:       run.Test,
		Attempts:   run.Attempts,
		Failure:    run.Failure,
		Asked:      r.Asked,
		Abandoned:  r.Abandoned,
		BusyRunner: r.InFlight.Runner,
		BusyUntil:  stamp(r.InFlight.Until),
	}
	switch s := r.State.(type) {
	case secret.Waiting:
		item.Due = stamp(s.Due)
	case secret.Leased:
		item.Due, item.Runner, item.Proof = stamp(s.Until), s.Runner, s.Proof
	}
	return &item
}

func (r rotationItem) rotation() secret.Rotation {
	return secret.Rotation{
		Enabled: r.Enabled,
		Lambda:  r.Lambda,
		Rules:   secret.RotationRules{AutomaticallyAfterDays: r.Days, ScheduleExpression: r.Expression, Duration: r.Duration},
		Anchor:  time.Time(r.Anchor),
		Last:    time.Time(r.Last),
		Next:    secret.Window{Opens: time.Time(r.Opens), Closes: time.Time(r.Closes)},
		State:   r.state(),
		Asked:   r.Asked,

		Abandoned: r.Abandoned,
		InFlight:  secret.Call{Runner: r.BusyRunner, Until: time.Time(r.BusyUntil)},
	}
}

func (r rotationItem) state() secret.State {
	run := secret.Run{Version: r.Token, From: r.From, Test: r.Test, Attempts: r.Attempts, Failure: r.Failure}
	switch due := time.Time(r.Due); {
	case r.Token == "":
		return nil
	case r.Runner != "":
		return secret.Leased{Run: run, Runner: r.Runner, Proof: r.Proof, Until: due}
	case !due.IsZero():
		return secret.Waiting{Run: run, Due: due}
	case r.Enabled:
		return secret.GivenUp{Version: r.Token, From: r.From, Failure: r.Failure}
	}
	return secret.Cancelled{Version: r.Token}
}

// isReplicated says whether an older version must not touch the secret.
func isReplicated(sec secret.Secret) bool {
	return len(sec.Replicas) > 0 || sec.IsReplica() || sec.Copy > 0
}

func versionOf(sec secret.Secret, v secret.Version) versionItem {
	return versionItem{
		key:        versionKey(sec, v.ID),
		Schema:     schema,
		Secret:     ofAll(sec),
		ID:         v.ID,
		Revision:   sec.Revision,
		Created:    stamp(v.Created),
		Kind:       string(v.Sealed.Kind),
		KeyARN:     v.Sealed.KeyARN,
		DefaultKey: v.Sealed.DefaultKey,
		DataKey:    v.Sealed.DataKey,
		Sealed:     v.Sealed.Data,
	}
}

func (v versionItem) version() secret.Version {
	return secret.Version{
		ID:      v.ID,
		Created: time.Time(v.Created),
		Sealed: secret.Sealed{
			Kind:       secret.Kind(v.Kind),
			KeyARN:     v.KeyARN,
			DefaultKey: v.DefaultKey,
			DataKey:    v.DataKey,
			Data:       v.Sealed,
		},
		Revision: v.Revision,
		Accessed: time.Time(v.Accessed),
	}
}

// A Queue is a kind of work in the index of what is due.
type Queue string

// What the schedules have to do.
const (
	Prunings     Queue = "DUE"
	Rotations    Queue = "ROTATE"
	Replications Queue = "REPLICATE"
)

// Shards is how many parts each queue has. Each part can be read, and written, at
// the full speed of a DynamoDB partition.
const Shards = 8

func (q Queue) shard(n int) string { return fmt.Sprintf("%s#%d", q, n) }

func (q Queue) shardOf(name string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return q.shard(int(h.Sum32() % Shards))
}

// A stamp is a time as it is stored: UTC, to the millisecond, in an order that
// is the order of the strings. The zero time is stored as NULL, or not at all
// where the field says omitempty.
type stamp time.Time

const stampFormat = "2006-01-02T15:04:05.000Z"

func (t stamp) String() string { return time.Time(t).UTC().Format(stampFormat) }

// MarshalDynamoDBAttributeValue stores the time as a string.
func (t stamp) MarshalDynamoDBAttributeValue() (types.AttributeValue, error) {
	if time.Time(t).IsZero() {
		return &types.AttributeValueMemberNULL{Value: true}, nil
	}
	return &types.AttributeValueMemberS{Value: t.String()}, nil
}

// UnmarshalDynamoDBAttributeValue reads what MarshalDynamoDBAttributeValue stores.
func (t *stamp) UnmarshalDynamoDBAttributeValue(av types.AttributeValue) error {
	s, ok := av.(*types.AttributeValueMemberS)
	if !ok {
		*t = stamp{}
		return nil
	}
	at, err := time.Parse(stampFormat, s.Value)
	*t = stamp(at)
	return err
}

// A Newer error says that an item was written by a newer version.
type Newer struct{ Schema int }

func (e *Newer) Error() string {
	return fmt.Sprintf("an item has format %d, and this version knows formats up to %d: deploy the newer version again", e.Schema, replicatedSchema)
}

// CheckFormat refuses an item of a newer version, with a *[Newer], and one whose format
// is no number.
func CheckFormat(it map[string]types.AttributeValue) error {
	var format int
	if err := attributevalue.Unmarshal(it["schema"], &format); err != nil {
		return err
	}
	if format > replicatedSchema {
		return &Newer{format}
	}
	return nil
}

// unmarshal reads an item of a format that is known.
func unmarshal(it item, into any) error {
	if err := CheckFormat(it); err != nil {
		return err
	}
	return attributevalue.UnmarshalMap(it, into)
}

// readHead reads the secret in a head. Its errors are *[Damaged].
func (s *Store) readHead(it item) (secret.Secret, error) {
	var head headItem
	if err := unmarshal(it, &head); err != nil {
		return secret.Secret{}, damagedHead(it, err)
	}
	return head.secret(s.arns), nil
}

// damagedHead says what is wrong with a head, and whose it is.
func damagedHead(it item, err error) error {
	name := ""
	if pk, ok := it["pk"].(*types.AttributeValueMemberS); ok {
		name = nameIn(pk.Value)
	}
	return &Damaged{name, err}
}

// A Damaged error says that what is stored of a secret cannot be read.
type Damaged struct {
	Name string
	Err  error
}

func (e *Damaged) Error() string { return fmt.Sprintf("secret %s is damaged: %v", e.Name, e.Err) }

// Unwrap is what is wrong with it.
func (e *Damaged) Unwrap() error { return e.Err }

func marshal(v any) (item, error) {
	return attributevalue.MarshalMapWithOptions(v, func(o *attributevalue.EncoderOptions) {
		o.OmitNullAttributeValues = true // a zero stamp under omitempty
	})
}

// item is the key as DynamoDB takes it.
func (k key) item() item { return item{"pk": str(k.PK), "sk": str(k.SK)} }

func num[N int | int64](n N) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(int64(n), 10)}
}

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
