package simulation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	sdkkms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/pkg/remote"
	"github.com/strongroom/strongroom/pkg/secret"
)

// A wire is a process's way to DynamoDB and KMS. Like the SDK's clients it tries again
// what was refused or lost on the way, with the same token.
type wire struct {
	*world
	at     *region
	of     *process
	direct bool // calls are made at once: to look at the table
}

var (
	errCut      = errors.New("connection cut by the simulation")
	errThrottle = &smithy.GenericAPIError{Code: "ThrottlingException", Message: "refused by the simulation"}
)

// attempts is how often the SDK's clients try.
const attempts = 3

// remotely makes a remote call about something, turn by turn. partly makes it for the
// verdict short.
func remotely[In, Out any](ctx context.Context, w wire, operation, about string, in In, do, partly func(context.Context, In) (Out, error)) (Out, error) {
	if w.direct {
		return do(ctx, in)
	}
	name := fmt.Sprintf("%s %s%s %s", who(ctx), operation, w.at.mark, about)
	name = fmt.Sprintf("%s #%d", name, w.turns.number(name))
	var out Out
	var err error
	for try := range attempts {
		if try > 0 {
			wait := time.Duration(1+drawn(w.seed, fmt.Sprintf("%s wait %d", name, try), 40_000)) * time.Microsecond
			if err := sleep(ctx, wait); err != nil {
				return out, err
			}
		}
		out, err = attempt(ctx, w, fmt.Sprintf("%s try %d", name, try+1), in, do, partly)
		if err == nil || !errors.Is(err, errCut) && !errors.Is(err, error(errThrottle)) && !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return out, err
		}
	}
	return out, err
}

func attempt[In, Out any](ctx context.Context, w wire, name string, in In, do, partly func(context.Context, In) (Out, error)) (Out, error) {
	var none Out
	limited, cancel := context.WithTimeout(ctx, remote.Attempt)
	defer cancel()
	arrived := context.WithoutCancel(ctx) // what is on its way is not called back
	v, err := w.turns.takeTo(limited, w.of, w.at, name)
	if err != nil {
		return none, err
	}
	switch v {
	case done:
		return do(arrived, in)
	case short:
		return partly(arrived, in)
	case refused:
		return none, errThrottle
	case lost:
		_, _ = do(arrived, in)
	case late:
		w.running.Go(func() {
			// Nobody waits for it: it arrives whatever has become of its process.
			if isRunner(ctx) { // also after others of the same secret, and no hours late
				w.busy.Add(1)
				defer w.busy.Add(-1)
				time.Sleep(time.Duration(drawn(w.seed, name+" lateness", int(2*time.Second))))
			}
			if v, _ := w.turns.takeTo(arrived, nil, w.at, name+" late"); v != cut {
				w.sometimes("a write arrived after its caller gave up")
				if _, err := do(arrived, in); err != nil && isRunner(ctx) {
					w.sometimes("a delivery that came late was refused")
				}
			}
		})
		<-limited.Done()
		return none, limited.Err()
	}
	return none, errCut
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

type item = map[string]types.AttributeValue

func text(v types.AttributeValue) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberN:
		return v.Value
	}
	return ""
}

func keyOf(it item) string { return text(it["pk"]) + " " + text(it["sk"]) }

// A process of the newer format writes every item with its number, and reads it as
// the one this code has.
const (
	format      = "2"
	newerFormat = "4"
)

func number(n string) types.AttributeValue { return &types.AttributeValueMemberN{Value: n} }

// written is what a process of the newer format makes of an item, or of the values of
// an expression, in which the attribute has a colon.
func (w wire) written(it item) item {
	for _, name := range []string{"schema", ":schema"} {
		if w.of.newer && text(it[name]) == format {
			it = maps.Clone(it)
			it[name] = number(newerFormat)
		}
	}
	return it
}

func (w wire) seen(it item) item {
	if w.of.newer && text(it["schema"]) == newerFormat {
		it = maps.Clone(it)
		it["schema"] = number(format)
	}
	return it
}

func (w wire) allSeen(items []item) []item {
	seen := make([]item, len(items))
	for i, it := range items {
		seen[i] = w.seen(it)
	}
	return seen
}

// GetItem reads an item.
func (w wire) GetItem(ctx context.Context, in *dynamodb.GetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	do := func(ctx context.Context, in *dynamodb.GetItemInput) (*dynamodb.GetItemOutput, error) {
		out, err := w.at.db.GetItem(ctx, in)
		if err == nil && out.Item != nil {
			out.Item = w.seen(out.Item)
		}
		return out, err
	}
	return remotely(ctx, w, "GetItem", keyOf(in.Key), in, do, do)
}

// Query reads a page.
func (w wire) Query(ctx context.Context, in *dynamodb.QueryInput, _ ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	do := func(ctx context.Context, in *dynamodb.QueryInput) (*dynamodb.QueryOutput, error) {
		if w.at.trailing.Load() && in.IndexName != nil {
			w.sometimes("a schedule read an index that trailed")
		}
		out, err := w.at.db.Query(ctx, in)
		if err == nil {
			out.Items = w.allSeen(out.Items)
		}
		return out, err
	}
	partly := func(ctx context.Context, in *dynamodb.QueryInput) (*dynamodb.QueryOutput, error) {
		one := *in
		one.Limit = aws.Int32(1)
		return do(ctx, &one)
	}
	var values []string
	for _, name := range slices.Sorted(maps.Keys(in.ExpressionAttributeValues)) {
		if name != ":due" {
			values = append(values, text(in.ExpressionAttributeValues[name]))
		}
	}
	about := aws.ToString(in.IndexName) + " " + strings.Join(values, " ") + " after " + keyOf(in.ExclusiveStartKey)
	return remotely(ctx, w, "Query", about, in, do, partly)
}

// BatchGetItem reads items.
func (w wire) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	do := func(ctx context.Context, in *dynamodb.BatchGetItemInput) (*dynamodb.BatchGetItemOutput, error) {
		out, err := w.at.db.BatchGetItem(ctx, in)
		if err == nil {
			out.Responses[w.at.table] = w.allSeen(out.Responses[w.at.table])
		}
		return out, err
	}
	partly := func(ctx context.Context, in *dynamodb.BatchGetItemInput) (*dynamodb.BatchGetItemOutput, error) {
		one, rest := in.RequestItems[w.at.table], in.RequestItems[w.at.table]
		one.Keys, rest.Keys = one.Keys[:1], rest.Keys[1:]
		out, err := do(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{w.at.table: one}, ReturnConsumedCapacity: in.ReturnConsumedCapacity})
		if err == nil && len(rest.Keys) > 0 {
			out.UnprocessedKeys = map[string]types.KeysAndAttributes{w.at.table: rest}
		}
		return out, err
	}
	keys := in.RequestItems[w.at.table].Keys
	return remotely(ctx, w, "BatchGetItem", fmt.Sprintf("%d from %s", len(keys), keyOf(keys[0])), in, do, partly)
}

// BatchWriteItem removes items.
func (w wire) BatchWriteItem(ctx context.Context, in *dynamodb.BatchWriteItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error) {
	do := func(ctx context.Context, in *dynamodb.BatchWriteItemInput) (*dynamodb.BatchWriteItemOutput, error) {
		return w.at.db.BatchWriteItem(ctx, in)
	}
	writes := in.RequestItems[w.at.table]
	partly := func(ctx context.Context, in *dynamodb.BatchWriteItemInput) (*dynamodb.BatchWriteItemOutput, error) {
		one := *in
		one.RequestItems = map[string][]types.WriteRequest{w.at.table: writes[:1]}
		out, err := do(ctx, &one)
		if err == nil && len(writes) > 1 {
			out.UnprocessedItems = map[string][]types.WriteRequest{w.at.table: writes[1:]}
		}
		return out, err
	}
	return remotely(ctx, w, "BatchWriteItem", fmt.Sprintf("%d from %s", len(writes), keyOf(writes[0].DeleteRequest.Key)), in, do, partly)
}

// UpdateItem changes an item.
func (w wire) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	do := func(ctx context.Context, in *dynamodb.UpdateItemInput) (*dynamodb.UpdateItemOutput, error) {
		out, err := w.at.db.UpdateItem(ctx, in)
		if err == nil {
			w.checkSettled(in.Key)
		}
		return out, err
	}
	return remotely(ctx, w, "UpdateItem", keyOf(in.Key), in, do, do)
}

// TransactWriteItems writes items together.
func (w wire) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, _ ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	if w.of.newer {
		newer := *in
		newer.TransactItems = slices.Clone(in.TransactItems)
		for i, one := range newer.TransactItems {
			newer.TransactItems[i] = w.writtenAll(one)
		}
		in = &newer
	}
	conflict := func(context.Context, *dynamodb.TransactWriteItemsInput) (*dynamodb.TransactWriteItemsOutput, error) {
		reasons := make([]types.CancellationReason, len(in.TransactItems))
		for i := range reasons {
			reasons[i].Code = aws.String("None")
		}
		reasons[0].Code = aws.String("TransactionConflict")
		return nil, &types.TransactionCanceledException{Message: aws.String("refused by the simulation"), CancellationReasons: reasons}
	}
	return remotely(ctx, w, "TransactWriteItems", keyOf(first(in)), in, w.transact, conflict)
}

func (w wire) writtenAll(one types.TransactWriteItem) types.TransactWriteItem {
	if one.Put != nil {
		put := *one.Put
		put.Item = w.written(put.Item)
		one.Put = &put
	}
	if one.Update != nil {
		update := *one.Update
		update.ExpressionAttributeValues = w.written(update.ExpressionAttributeValues)
		one.Update = &update
	}
	return one
}

// first is the key of the first item of a transaction: of a secret's head, for most.
func first(in *dynamodb.TransactWriteItemsInput) item {
	switch one := in.TransactItems[0]; {
	case one.Put != nil:
		return one.Put.Item
	case one.Update != nil:
		return one.Update.Key
	case one.Delete != nil:
		return one.Delete.Key
	default:
		return one.ConditionCheck.Key
	}
}

// transact commits, and notes what only the table knows.
func (w wire) transact(ctx context.Context, in *dynamodb.TransactWriteItemsInput) (*dynamodb.TransactWriteItemsOutput, error) {
	before, gone := w.at.item(first(in)), w.removals(in)
	out, err := w.at.db.TransactWriteItems(ctx, in)
	if cancelled, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
		w.noteCancelled(ctx, in, cancelled)
		return out, err
	}
	if err == nil {
		w.noteCommitted(ctx, in, before, w.at.item(first(in)))
		name := strings.TrimPrefix(text(first(in)["pk"]), "SECRET#")
		for _, version := range gone {
			w.log.note(event{Op: opPruned, Secret: name + w.at.mark, Version: version})
		}
	}
	return out, err
}

// versionKey is where a version of a secret lies.
func versionKey(id secret.ID, version string) item {
	return item{
		"pk": &types.AttributeValueMemberS{Value: "SECRET#" + id.Name},
		"sk": &types.AttributeValueMemberS{Value: "VERSION#" + id.Suffix + "#" + version},
	}
}

func (w wire) noteCancelled(ctx context.Context, in *dynamodb.TransactWriteItemsInput, cancelled *types.TransactionCanceledException) {
	head := cancelled.CancellationReasons[0]
	if aws.ToString(head.Code) == "ConditionalCheckFailed" {
		mine := ""
		if update := in.TransactItems[0].Update; update != nil {
			mine = text(update.ExpressionAttributeValues[":commit"])
		} else if put := in.TransactItems[0].Put; put != nil {
			mine = text(put.Item["commit"])
		}
		switch {
		case strings.HasPrefix(who(ctx), "prune"):
			w.sometimes("prune met a change")
		case isRunner(ctx):
			w.noteOvertaken(in, head.Item)
		case mine != "" && mine == text(head.Item["commit"]):
			w.sometimes("a commit whose answer was lost was recognised")
		default:
			w.sometimes("a rival came first")
		}
	}
	w.noteFenced(in, cancelled)
	for i := range cancelled.CancellationReasons {
		cancelled.CancellationReasons[i].Item = w.seen(cancelled.CancellationReasons[i].Item)
	}
}

// removals are the versions that a transaction is to remove, and that are there: a
// transaction that comes again with its token does nothing.
func (w wire) removals(in *dynamodb.TransactWriteItemsInput) []string {
	var versions []string
	for _, one := range in.TransactItems {
		if one.Delete == nil || len(w.at.item(one.Delete.Key)) == 0 {
			continue
		}
		if parts := strings.Split(text(one.Delete.Key["sk"]), "#"); parts[0] == "VERSION" {
			versions = append(versions, parts[2])
		}
	}
	return versions
}

// noteCommitted checks a head that was written, and notes a secret that was purged.
func (w wire) noteCommitted(ctx context.Context, in *dynamodb.TransactWriteItemsInput, before, after item) {
	head := keyOf(first(in))
	name, isHead := strings.CutSuffix(head, " HEAD")
	name = strings.TrimPrefix(name, "SECRET#")
	if isHead && keyOf(before) != keyOf(after) && len(after) == 0 && strings.HasPrefix(who(ctx), "prune") {
		w.log.note(event{Op: opPurged, Secret: name + w.at.mark})
	}
	if w.isTwo() && isHead {
		w.noteReplication(ctx, in, name, before, after)
	}
	if w.of.dead.Load() && isHead {
		w.sometimes("a process died with a commit on its way")
	}
	if isHead && w.hungUp(who(ctx)) {
		w.sometimes("a caller hung up before the commit")
	}
	if proof := proofOn(before); proof != "" && proof != proofOn(after) {
		w.ended.Store(proof, true)
	}
	for _, one := range in.TransactItems {
		if one.Put != nil && w.at == w.here {
			w.makers.Store(keyOf(one.Put.Item), who(ctx))
		}
	}
	if isHead && len(after) > 0 {
		w.checkHead(name+w.at.mark, before, after)
		w.formats.Store(text(after["schema"]), true)
	}
}

// checkHead checks what holds from one state of a secret to the next.
func (w *world) checkHead(name string, before, after item) {
	if len(before) == 0 || familyOf(before) != familyOf(after) {
		return
	}
	labels, had := stagesOf(after), stagesOf(before)
	if had["AWSCURRENT"] != "" && labels["AWSCURRENT"] == "" {
		w.wrong("AWSCURRENT of %s went missing", name)
	}
	if text(before["schema"]) == newerFormat && text(after["schema"]) == format {
		w.wrong("%s was in the newer format and was written back in the older", name)
	}
}

// proofOn is what a head has of the token of the attempt that holds the lease; empty for
// none.
func proofOn(head item) string {
	if rotation, ok := head["rotation"].(*types.AttributeValueMemberM); ok {
		return text(rotation.Value["proof"])
	}
	return ""
}

func stagesOf(head item) map[string]string {
	labels := map[string]string{}
	if stages, ok := head["stages"].(*types.AttributeValueMemberM); ok {
		for label, version := range stages.Value {
			labels[label] = text(version)
		}
	}
	return labels
}

// GenerateDataKey makes a data key.
func (w wire) GenerateDataKey(ctx context.Context, in *sdkkms.GenerateDataKeyInput, _ ...func(*sdkkms.Options)) (*sdkkms.GenerateDataKeyOutput, error) {
	do := func(ctx context.Context, in *sdkkms.GenerateDataKeyInput) (*sdkkms.GenerateDataKeyOutput, error) {
		return w.at.keys.GenerateDataKey(ctx, in)
	}
	return remotely(ctx, w, "GenerateDataKey", in.EncryptionContext["SecretVersionId"], in, do, do)
}

// Decrypt opens a data key.
func (w wire) Decrypt(ctx context.Context, in *sdkkms.DecryptInput, _ ...func(*sdkkms.Options)) (*sdkkms.DecryptOutput, error) {
	do := func(ctx context.Context, in *sdkkms.DecryptInput) (*sdkkms.DecryptOutput, error) {
		return w.at.keys.Decrypt(ctx, in)
	}
	return remotely(ctx, w, "Decrypt", in.EncryptionContext["SecretVersionId"], in, do, do)
}

// ReEncrypt wraps a data key anew.
func (w wire) ReEncrypt(ctx context.Context, in *sdkkms.ReEncryptInput, _ ...func(*sdkkms.Options)) (*sdkkms.ReEncryptOutput, error) {
	do := func(ctx context.Context, in *sdkkms.ReEncryptInput) (*sdkkms.ReEncryptOutput, error) {
		return w.at.keys.ReEncrypt(ctx, in)
	}
	return remotely(ctx, w, "ReEncrypt", in.SourceEncryptionContext["SecretVersionId"], in, do, do)
}
