//go:build reference

package dynamo_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/local/dynamo"
	"github.com/strongroom/strongroom/pkg/store"
)

var (
	firstSeed = flag.Int64("seed", 1, "the first history's seed; 0 takes the clock")
	allSteps  = flag.Int("steps", defaultSteps, "how many steps to replay")
	failures  = flag.Int("failures", 1, "after how many different failures to stop")
)

// defaultSteps take about a minute.
const defaultSteps = 30000

// historySteps is how long a history is. The next one has the next seed.
const historySteps = 150

// TestReference replays generated histories on this package and on Dynoxide side
// by side. Both must answer every call alike and end with the same table.
func TestReference(t *testing.T) {
	c := newComparison(t, startReference(t), func() engine { return dynamo.Memory() })
	seed := *firstSeed
	if seed == 0 {
		seed = time.Now().UnixNano()
	}
	t.Logf("first seed %d, %d steps in histories of %d", seed, *allSteps, historySteps)
	found := map[string]bool{}
	for ; c.steps < *allSteps && len(found) < *failures; seed++ {
		m, err := c.history(t.Context(), seed)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if m != nil && !found[m.kind()] {
			found[m.kind()] = true
			t.Errorf("%s", m.shrink(t.Context(), c))
		}
	}
	c.report(t)
	if !t.Failed() && *allSteps >= defaultSteps {
		c.checkCoverage(t)
	}
}

// TestSeeds makes the same history of a seed twice.
func TestSeeds(t *testing.T) {
	var steps [2][]string
	theirs := startReference(t)
	for i := range steps {
		c := newComparison(t, theirs, func() engine { return dynamo.Memory() })
		c.trace = func(step string) { steps[i] = append(steps[i], step) }
		for seed := range int64(3) {
			if _, err := c.history(t.Context(), seed); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !slices.Equal(steps[0], steps[1]) {
		for i := range steps[0] {
			if steps[0][i] != steps[1][i] {
				t.Fatalf("a seed makes different steps:\n%s\n%s", steps[0][i], steps[1][i])
			}
		}
	}
}

// A comparison replays histories on two engines.
type comparison struct {
	ours   func() engine // each with empty tables
	theirs *dynamodb.Client
	source source

	steps        int
	used         map[string]int // expressions of pkg/store
	answers      map[string]int // call and code
	known        map[string]int // differences that are expected
	held, failed int            // conditions
	trace        func(step string)
}

func newComparison(t *testing.T, theirs *dynamodb.Client, ours func() engine) *comparison {
	t.Helper()
	return &comparison{
		ours: ours, theirs: theirs, source: readSource(t),
		used: map[string]int{}, answers: map[string]int{}, known: map[string]int{},
	}
}

// A mismatch is a history whose last step was answered differently.
type mismatch struct {
	seed         int64
	steps        []any
	ours, theirs answer
}

// history replays a history until its end, or until the engines differ.
func (c *comparison) history(ctx context.Context, seed int64) (*mismatch, error) {
	r, err := c.run(ctx)
	if err != nil {
		return nil, err
	}
	peek := func(key item) item {
		out, err := c.theirs.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String(table), Key: key, ConsistentRead: aws.Bool(true)})
		if err != nil { // a spoilt key
			return nil
		}
		return out.Item
	}
	g := newGenerator(seed, c.source, c.used, peek)
	var steps []any
	for range historySteps {
		in := g.step()
		if steps = append(steps, in); c.trace != nil {
			c.trace(inputText(in))
		}
		c.steps++
		ours, theirs, out := r.step(ctx, in)
		c.count(in, theirs)
		g.note(in, out)
		places := differences(ours, theirs)
		if len(places) == 0 {
			continue
		}
		k := knownDifference(in, ours, theirs)
		if k == nil {
			return &mismatch{seed, steps, ours, theirs}, nil
		}
		c.known[k.name]++
		if (ours["code"] == "OK") != (theirs["code"] == "OK") && isWrite(in) {
			return nil, nil // the tables differ from here on
		}
	}
	for _, p := range walk() {
		if ours, theirs, _ := r.step(ctx, p); len(differences(ours, theirs)) > 0 {
			return &mismatch{seed, append(steps, p), ours, theirs}, nil
		}
	}
	return nil, nil
}

func isWrite(in any) bool {
	switch in.(type) {
	case *dynamodb.GetItemInput, *dynamodb.BatchGetItemInput, *dynamodb.QueryInput:
		return false
	}
	return true
}

// runs counts the runs of this process, which may share a Dynoxide.
var runs atomic.Int64

// A run is one history on two engines with empty tables.
type run struct {
	number       int64
	ours, theirs engine
}

func (c *comparison) run(ctx context.Context) (*run, error) {
	_, err := c.theirs.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: aws.String(table)})
	if _, none := errors.AsType[*types.ResourceNotFoundException](err); err != nil && !none {
		return nil, fmt.Errorf("Dynoxide: delete table: %w", err)
	}
	r := &run{runs.Add(1), c.ours(), c.theirs}
	for _, e := range []engine{r.ours, r.theirs} {
		if _, err := e.CreateTable(ctx, store.Schema(table)); err != nil {
			return nil, fmt.Errorf("create table: %w", err)
		}
	}
	return r, nil
}

// step makes a call on both engines. It spoils what ours returned, so that an
// engine that returned its own memory gives itself away later.
func (r *run) step(ctx context.Context, in any) (ours, theirs answer, out any) {
	if p, ok := in.(partition); ok {
		return p.read(ctx, r.ours), p.read(ctx, r.theirs), nil
	}
	in = r.withToken(in)
	theirs, out = call(ctx, r.theirs, in)
	ours, our := call(ctx, r.ours, in)
	scribble(our)
	return ours, theirs, out
}

// A partition is a step that reads all of one, of the table or of an index. Where
// its pages end does not matter.
type partition struct{ Query dynamodb.QueryInput }

func (p partition) read(ctx context.Context, e engine) answer {
	all, q := answer{}, p.Query
	for count := 0; ; {
		a, out := call(ctx, e, &q)
		all["code"] = a["code"]
		page, ok := out.(*dynamodb.QueryOutput)
		if !ok {
			return all
		}
		for _, it := range page.Items {
			all.item(fmt.Sprintf("item %d", count), it)
			count++
		}
		if len(page.LastEvaluatedKey) == 0 {
			return all
		}
		if q.ExclusiveStartKey = page.LastEvaluatedKey; count > 1000 {
			all["code"] = "no end"
			return all
		}
	}
}

// withToken makes a token this run's own: engines remember it for ten minutes.
func (r *run) withToken(in any) any {
	tx, ok := in.(*dynamodb.TransactWriteItemsInput)
	if !ok || aws.ToString(tx.ClientRequestToken) == "" {
		return in
	}
	c := *tx
	c.ClientRequestToken = aws.String(fmt.Sprintf("%s-%d", *tx.ClientRequestToken, r.number))
	return &c
}

// walk reads the whole table and both indexes.
func walk() []partition {
	var all []partition
	query := func(index *string, hash, value string) {
		all = append(all, partition{dynamodb.QueryInput{
			TableName:                 aws.String(table),
			IndexName:                 index,
			KeyConditionExpression:    aws.String("#hash = :value"),
			ExpressionAttributeNames:  map[string]string{"#hash": hash},
			ExpressionAttributeValues: item{":value": s(value)},
		}})
	}
	hashes := slices.Concat(partitions, []string{"big", directory, strings.Repeat("x", 2047), strings.Repeat("x", 2048)})
	for _, name := range secrets {
		hashes = append(hashes, "SECRET#"+name)
		for _, suffix := range suffixes {
			query(aws.String("age"), "secret", name+"#"+suffix)
		}
	}
	for _, hash := range hashes {
		query(nil, "pk", hash)
	}
	for _, family := range slices.Concat(families, texts[1:]) {
		query(aws.String("age"), "secret", family)
	}
	for _, shard := range slices.Concat(shards, texts[1:]) {
		query(aws.String("due"), "shard", shard)
	}
	return all
}

// kind is the same for mismatches that look like the same fault.
func (m *mismatch) kind() string {
	in := m.steps[len(m.steps)-1]
	places := differences(m.ours, m.theirs)
	for i, place := range places {
		places[i] = strings.TrimRight(place, "0123456789")
	}
	return fmt.Sprintf("%T %s %s %s", in, m.ours["code"], m.theirs["code"], strings.Join(slices.Compact(places), ","))
}

// shrink leaves out steps, and actions of transactions, without which the last
// step is still answered differently. It describes what is left.
func (m *mismatch) shrink(ctx context.Context, c *comparison) string {
	for size := len(m.steps) / 2; size > 0; size /= 2 {
		for at := 0; at+size < len(m.steps); {
			if !m.try(ctx, c, slices.Concat(m.steps[:at], m.steps[at+size:])) {
				at += size
			}
		}
	}
	for i := range m.steps {
		tx, ok := m.steps[i].(*dynamodb.TransactWriteItemsInput)
		for at := 0; ok && at < len(tx.TransactItems); {
			fewer := *tx
			fewer.TransactItems = slices.Concat(tx.TransactItems[:at], tx.TransactItems[at+1:])
			if m.try(ctx, c, slices.Concat(m.steps[:i], []any{&fewer}, m.steps[i+1:])) {
				tx = &fewer
			} else {
				at++
			}
		}
	}
	return m.String()
}

// try takes these steps if they show the same kind of difference.
func (m *mismatch) try(ctx context.Context, c *comparison, steps []any) bool {
	ours, theirs, err := c.last(ctx, steps)
	if err != nil || len(differences(ours, theirs)) == 0 || ours["code"] != m.ours["code"] || theirs["code"] != m.theirs["code"] {
		return false
	}
	m.steps, m.ours, m.theirs = steps, ours, theirs
	return true
}

// last replays steps, and returns both answers to the last.
func (c *comparison) last(ctx context.Context, steps []any) (ours, theirs answer, err error) {
	r, err := c.run(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, in := range steps {
		ours, theirs, _ = r.step(ctx, in)
	}
	return ours, theirs, nil
}

func (m *mismatch) String() string {
	var b strings.Builder
	places := differences(m.ours, m.theirs)
	fmt.Fprintf(&b, "the engines differ in %q; again: go test -tags reference ./pkg/local/dynamo -run '^TestReference$' -seed %d -steps %d\n",
		places, m.seed, historySteps)
	for i, in := range m.steps {
		fmt.Fprintf(&b, "  step %d of %d: %s\n", i+1, len(m.steps), inputText(in))
	}
	fmt.Fprintf(&b, "  ours:\n%s  Dynoxide:\n%s", m.ours.at(places), m.theirs.at(places))
	return b.String()
}

// count keeps what was answered, and which conditions were true.
func (c *comparison) count(in any, theirs answer) {
	c.answers[strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%T", in), "*dynamodb."), "Input")+" "+theirs["code"]]++
	switch in := in.(type) {
	case *dynamodb.UpdateItemInput:
		c.condition(in.ConditionExpression, theirs["code"])
	case *dynamodb.TransactWriteItemsInput:
		for i, a := range in.TransactItems {
			code, ok := theirs[fmt.Sprintf("reason %d", i)]
			if !ok {
				code = theirs["code"]
			}
			c.condition(conditionOf(a), code)
		}
	}
}

func (c *comparison) condition(expression *string, code string) {
	switch {
	case expression == nil:
	case code == "OK", code == "None":
		c.held++
	case strings.HasPrefix(code, "ConditionalCheckFailed"):
		c.failed++
	}
}

func conditionOf(a types.TransactWriteItem) *string {
	switch {
	case a.ConditionCheck != nil:
		return a.ConditionCheck.ConditionExpression
	case a.Put != nil:
		return a.Put.ConditionExpression
	case a.Delete != nil:
		return a.Delete.ConditionExpression
	case a.Update != nil:
		return a.Update.ConditionExpression
	}
	return nil
}

func (c *comparison) report(t *testing.T) {
	t.Helper()
	for _, counts := range []map[string]int{c.answers, c.used, c.known} {
		for _, what := range slices.Sorted(maps.Keys(counts)) {
			t.Logf("%6d %s", counts[what], what)
		}
	}
	t.Logf("%d steps; %d conditions were true and %d false", c.steps, c.held, c.failed)
}

// checkCoverage fails when the histories miss what they are for.
func (c *comparison) checkCoverage(t *testing.T) {
	t.Helper()
	for _, name := range c.source.names() {
		if c.used[name] < 10 {
			t.Errorf("pkg/store's %s was used %d times", name, c.used[name])
		}
	}
	if share := float64(c.held) / float64(c.held+c.failed); share < 0.3 || share > 0.7 {
		t.Errorf("%.2f of all conditions were true, which is not about half", share)
	}
	for _, want := range []string{
		"GetItem OK", "BatchGetItem OK", "Query OK", "BatchWriteItem OK", "UpdateItem OK", "TransactWriteItems OK",
		"GetItem ValidationException", "BatchGetItem ValidationException", "Query ValidationException", "BatchWriteItem ValidationException",
		"UpdateItem ValidationException", "TransactWriteItems ValidationException",
		"UpdateItem ConditionalCheckFailedException", "TransactWriteItems TransactionCanceledException",
		"TransactWriteItems IdempotentParameterMismatchException", "Query ResourceNotFoundException",
	} {
		if c.answers[want] < 10 {
			t.Errorf("%s came %d times", want, c.answers[want])
		}
	}
}
