package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/local/localtest"
)

func batchOf(ids ...string) *secretsmanager.BatchGetSecretValueInput {
	return &secretsmanager.BatchGetSecretValueInput{SecretIdList: ids}
}

func batch(t testing.TB, room *localtest.Room, in *secretsmanager.BatchGetSecretValueInput) *secretsmanager.BatchGetSecretValueOutput {
	t.Helper()
	return must(room.SDK.BatchGetSecretValue(t.Context(), in))(t)
}

// valuesOf are the names of a batch's secrets with their values, in order.
func valuesOf(out *secretsmanager.BatchGetSecretValueOutput) []string {
	var values []string
	for _, v := range out.SecretValues {
		values = append(values, *v.Name+"="+aws.ToString(v.SecretString)+string(v.SecretBinary))
	}
	return values
}

func errorsOf(out *secretsmanager.BatchGetSecretValueOutput) []string {
	var all []string
	for _, e := range out.Errors {
		all = append(all, aws.ToString(e.SecretId)+": "+aws.ToString(e.ErrorCode)+": "+aws.ToString(e.Message))
	}
	return all
}

// numbered makes secrets s0, s1 and so on, with values of the same names.
func numbered(t testing.TB, room *localtest.Room, n int) (names, want []string) {
	t.Helper()
	for i := range n {
		name := fmt.Sprint("s", i)
		create(t, room, name, "v1", name)
		names, want = append(names, name), append(want, name+"="+name)
	}
	return names, want
}

func TestBatchGetSecretValueAnswer(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	withClock(room, time.Date(2026, 11, 21, 12, 0, 0, 250_000_000, time.UTC))
	arn := *create(t, room, "s", "v1", "one").ARN
	in := createInput("b", "v1", "")
	in.SecretString, in.SecretBinary = nil, []byte("two")
	binary := *must(room.SDK.CreateSecret(t.Context(), in))(t).ARN
	_, body := room.Post(t, "BatchGetSecretValue", `{"SecretIdList":["s","none","`+binary+`"]}`)
	want := `{"SecretValues":[` +
		`{"ARN":"` + arn + `","Name":"s","VersionId":"` + token("v1") + `","SecretString":"one","VersionStages":["AWSCURRENT"],"CreatedDate":1795262400.25},` +
		`{"ARN":"` + binary + `","Name":"b","VersionId":"` + token("v1") + `","SecretBinary":"dHdv","VersionStages":["AWSCURRENT"],"CreatedDate":1795262400.25}],` +
		`"Errors":[{"SecretId":"none","ErrorCode":"ResourceNotFoundException","Message":"Secrets Manager can't find the specified secret."}]}`
	if body != want {
		t.Errorf("got answer %s, want %s", body, want)
	}
}

// It is always AWSCURRENT that is read.
func TestBatchGetSecretValueIsCurrent(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	put(t, room, "s", "v2", "two", "mine")
	put(t, room, "s", "v3", "three", "AWSPENDING")
	put(t, room, "s", "v4", "four", "AWSCURRENT", "yours")
	for _, room := range []*localtest.Room{room, room.Another(t)} {
		got := batch(t, room, batchOf("s")).SecretValues
		if len(got) != 1 || *got[0].SecretString != "four" || join(got[0].VersionStages) != "AWSCURRENT yours" {
			t.Errorf("got %+v, want the value four with its two labels", got)
		}
	}
}

// Each ID that fails has an error, with the text that GetSecretValue gives.
func TestBatchGetSecretValueErrors(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	arn := *create(t, room, "s", "v1", "one").ARN
	createEmpty(t, room, "empty")
	create(t, room, "deleted", "v1", "one")
	schedule(t, room, "deleted")
	key := newKey(t)
	createUnder(t, room, "locked", key)
	disable(t, key)
	ids := []string{
		"none", "a b", "empty", "s", "deleted", arn, arn[:len(arn)-7], arn[:len(arn)-1] + "~", "locked",
		"arn:aws:secretsmanager:us-east-1:111111111111:secret:s-a1b2c3", "s", strings.Repeat("n", 2048), "none",
	}
	for _, room := range []*localtest.Room{room.Another(t), room.Another(t)} {
		out := batch(t, room, batchOf(ids...))
		checkNames(t, "values", valuesOf(out), "s=one", "s=one", "s=one", "s=one")
		var want []string
		for _, id := range ids {
			_, err := room.SDK.GetSecretValue(t.Context(), getInput(id, "", ""))
			if refused, ok := errors.AsType[smithy.APIError](err); ok {
				want = append(want, id+": "+refused.ErrorCode()+": "+refused.ErrorMessage())
			}
		}
		if len(want) != 9 {
			t.Fatalf("got %d refusals of GetSecretValue, want 9: %q", len(want), want)
		}
		checkNames(t, "errors", errorsOf(out), want...)
	}
}

func TestBatchGetSecretValueTwenty(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	names, want := numbered(t, room, 21)
	checkNames(t, "twenty", valuesOf(batch(t, room.Another(t), batchOf(names[:20]...))), want[:20]...)
	many := strings.Join(names, ", ")
	refuses(t, room, violation("Value '["+many+"]' at 'secretIdList' failed to satisfy constraint: Member must have length less than or equal to 20"), func() (*secretsmanager.BatchGetSecretValueOutput, error) {
		return room.SDK.BatchGetSecretValue(t.Context(), batchOf(names...))
	})
}

func TestBatchGetSecretValueRefuses(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	either := refusal{"InvalidParameterException", "Either 'SecretIdList' or 'Filters' must be provided, but not both."}
	length := "Member must satisfy constraint: [Member must have length less than or equal to 2048, Member must have length greater than or equal to 1]"
	many := strings.TrimSuffix(strings.Repeat(`{"Key":"name","Values":["x"]},`, 11), ",")
	long := strings.Repeat("x", 2049)
	for _, test := range []struct {
		name, body string
		want       refusal
	}{
		{"neither", `{}`, either},
		{"neither, but nulls", `{"SecretIdList":null,"Filters":null}`, either},
		{"both", `{"SecretIdList":["s"],"Filters":[{"Key":"name","Values":["s"]}]}`, either},
		{"MaxResults alone", `{"MaxResults":5}`, either},
		{"MaxResults without filters", `{"SecretIdList":["s"],"MaxResults":5}`, refusal{"InvalidParameterException", "'Filters' not specified. 'Filters' must also be specified when 'MaxResults' is provided."}},
		{"11 filters", `{"Filters":[` + many + `]}`, refusal{"InvalidParameterException", "The filter list has too many filters. You can include up to 10 filters."}},
		{"no IDs", `{"SecretIdList":[]}`, violation("Value '[]' at 'secretIdList' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"empty ID", `{"SecretIdList":["s",""]}`, violation("Value '[s, ]' at 'secretIdList' failed to satisfy constraint: " + length)},
		{"ID of 2,049 characters", `{"SecretIdList":["` + long + `"]}`, violation("Value '[" + long + "]' at 'secretIdList' failed to satisfy constraint: " + length)},
		{"MaxResults 0", `{"Filters":[{"Key":"name","Values":["s"]}],"MaxResults":0}`, violation("Value '0' at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 1")},
		{"MaxResults 21", `{"Filters":[{"Key":"name","Values":["s"]}],"MaxResults":21}`, violation("Value '21' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 20")},
		{"filter key", `{"Filters":[{"Key":"x","Values":["s"]}]}`, violation("Value 'x' at 'filters.1.member.key' failed to satisfy constraint: Member must satisfy enum value set: [all, name, tag-key, description, tag-value, primary-region, owning-service]")},
		{"no filter key", `{"Filters":[{"Values":["s"]}]}`, refusal{"InvalidParameterException", "Invalid filter key"}},
		{"no filter values", `{"Filters":[{"Key":"name"}]}`, refusal{"InvalidParameterException", "Invalid filter values for key: name"}},
		{"bad token", `{"Filters":[{"Key":"name","Values":["s"]}],"NextToken":"x"}`, refusal{"InvalidNextTokenException", "The NextToken value is invalid."}},
	} {
		t.Run(test.name, func(t *testing.T) { refusesPost(t, room, "BatchGetSecretValue", test.body, test.want) })
	}
}

func TestBatchGetSecretValueFilters(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	_, want := numbered(t, room, 23)
	create(t, room, "other", "v1", "other")
	createEmpty(t, room, "s-empty")
	create(t, room, "s-deleted", "v1", "one")
	schedule(t, room, "s-deleted")
	arn := *describe(t, room, "s-empty").ARN
	for _, size := range []*int32{nil, aws.Int32(1), aws.Int32(7), aws.Int32(20)} {
		for _, room := range []*localtest.Room{room, room.Another(t)} {
			in := &secretsmanager.BatchGetSecretValueInput{Filters: []types.Filter{filter("name", "s")}, MaxResults: size}
			var got, failed []string
			pages := secretsmanager.NewBatchGetSecretValuePaginator(room.SDK, in)
			for pages.HasMorePages() {
				page := must(pages.NextPage(t.Context()))(t)
				if n := len(page.SecretValues) + len(page.Errors); n > 20 || size != nil && n > int(*size) {
					t.Errorf("got a page of %d, want %d at most", n, aws.ToInt32(size))
				}
				got, failed = append(got, valuesOf(page)...), append(failed, errorsOf(page)...)
			}
			checkNames(t, "values", sorted(got), sorted(want)...)
			// A secret without a value is an error of its own; one scheduled for
			// deletion is not in the list.
			checkNames(t, "errors", failed, arn+": ResourceNotFoundException: "+noStage("AWSCURRENT").text)
		}
	}
	none := batch(t, room, &secretsmanager.BatchGetSecretValueInput{Filters: []types.Filter{filter("name", "none")}})
	if len(none.SecretValues)+len(none.Errors) != 0 || none.NextToken != nil {
		t.Errorf("got %+v, want nothing", none)
	}
	if _, body := room.Post(t, "BatchGetSecretValue", `{"Filters":[{"Key":"name","Values":["none"]}]}`); body != `{"SecretValues":[],"Errors":[]}` {
		t.Errorf("got answer %s, want two empty lists", body)
	}
	and := &secretsmanager.BatchGetSecretValueInput{Filters: []types.Filter{filter("name", "s1"), filter("name", "!s1", "s12")}}
	checkNames(t, "two filters", valuesOf(batch(t, room, and)), "s12=s12")
}

// Keys that DynamoDB leaves unprocessed are asked for again, and only these.
func TestBatchGetSecretValueUnprocessed(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	names, want := numbered(t, room, 10)
	for processed, batches := range map[int]int{9: 2, 5: 2, 3: 4, 1: 10} {
		room := room.Another(t)
		room.Wire.Behave(localtest.Cloud{Unprocessed: processed})
		checkNames(t, processed, valuesOf(batch(t, room, batchOf(names...))), want...)
		calls, _, _ := room.Wire.Took()
		if got := strings.Count(calls, "BatchGetItem"); got != batches {
			t.Errorf("got %d batches of %d, want %d", got, processed, batches)
		}
	}

	// When the time is up before all are read, the caller is told to come back.
	room = room.Another(t)
	room.Wire.Behave(localtest.Cloud{Unprocessed: 1})
	call := httptest.NewRequestWithContext(timeIsUp{t.Context()}, http.MethodPost, "/", strings.NewReader(`{"SecretIdList":["s1","s2"]}`))
	call.Header.Set("Content-Type", "application/x-amz-json-1.1")
	call.Header.Set("X-Amz-Target", "secretsmanager.BatchGetSecretValue")
	answer := httptest.NewRecorder()
	room.ServeHTTP(answer, call)
	checkAnswer(t, answer.Result(), answer.Body.String(), rateExceeded)
}

// One secret that cannot be opened does not keep the others back; what is no
// refusal ends the whole.
func TestBatchGetSecretValueKMS(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	names, want := numbered(t, room, 3)
	for _, test := range []struct {
		name  string
		fault localtest.Fault
		want  refusal
		whole bool
	}{
		{"denied", localtest.Refuse(400, "AccessDeniedException"), noAccessToKMS, false},
		{"disabled", localtest.Refuse(400, "DisabledException"), decryptionFailure, false},
		{"throttled", localtest.Refuse(400, "ThrottlingException"), rateExceeded, true},
		{"unreachable", localtest.Cut, serverFault, true},
	} {
		room := room.Another(t)
		arn := *describe(t, room, "s1").ARN
		room.Wire.Break("Decrypt", many(about(arn, test.fault))...)
		out, err := room.SDK.BatchGetSecretValue(t.Context(), batchOf(names...), once)
		if test.whole {
			checkRefused(t, err, test.want)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		checkNames(t, test.name, valuesOf(out), want[0], want[2])
		checkNames(t, test.name, errorsOf(out), "s1: "+test.want.code+": "+test.want.text)
	}
}

// A panic beside the request's own goroutine ends the request, and not the process.
func TestBatchGetSecretValuePanic(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	names, want := numbered(t, room, 3)
	broken := room.Another(t)
	broken.Server.Sealer = &envelope.Sealer{} // whose KMS is nil
	_, err := broken.SDK.BatchGetSecretValue(t.Context(), batchOf(names...), once)
	checkRefused(t, err, serverFault)
	checkNames(t, "after", valuesOf(batch(t, room, batchOf(names...))), want...)
}

// Eight secrets are opened at the same time, and no more.
func TestBatchGetSecretValueParallel(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	names, want := numbered(t, room, 20)
	room = room.Another(t)
	const bound = 8
	var mu sync.Mutex
	var now, most int
	full := make(chan struct{})
	room.Wire.Break("Decrypt", many(func(call *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		mu.Lock()
		now++
		if now > most {
			if most = now; most == bound {
				close(full)
			}
		}
		mu.Unlock()
		select { // nobody goes on before eight are there
		case <-full:
		case <-call.Context().Done():
		}
		answer, err := do()
		mu.Lock()
		now--
		mu.Unlock()
		return answer, err
	})...)
	checkNames(t, "all", valuesOf(batch(t, room, batchOf(names...))), want...)
	mu.Lock()
	defer mu.Unlock()
	if most != bound {
		t.Errorf("got %d calls of KMS at the same time, want %d at most", most, bound)
	}
}

// The dates of access are noted as GetSecretValue notes them.
func TestBatchGetSecretValueAccessed(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	names, _ := numbered(t, room, 2)
	withClock(room, time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	batch(t, room, batchOf(names[0], names[0]))
	if got := describe(t, room, names[0]).LastAccessedDate; got == nil || !got.Equal(time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("got LastAccessedDate %v, want midnight", got)
	}
	if got := describe(t, room, names[1]).LastAccessedDate; got != nil {
		t.Errorf("got LastAccessedDate %s of a secret never read", got)
	}
}

func TestBatchGetSecretValueCalls(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	names, _ := numbered(t, room, 5)
	batch(t, room, batchOf(names...)) // notes the day
	room.Wire.Took()
	batch(t, room, batchOf(names...))
	if calls, reads, writes := room.Wire.Took(); calls != "BatchGetItem" || reads != 5 || writes != 0 {
		t.Errorf("warm: got %s, %v read units, %v write units, want one BatchGetItem of 5 units", calls, reads, writes)
	}
	room = room.Another(t)
	batch(t, room, batchOf(names...))
	calls, reads, writes := room.Wire.Took()
	got := slices.Sorted(slices.Values(strings.Fields(calls)))
	want := slices.Sorted(slices.Values(slices.Concat([]string{"BatchGetItem"}, slices.Repeat([]string{"GetItem", "Decrypt"}, 5))))
	if !slices.Equal(got, want) || reads != 10 || writes != 0 {
		t.Errorf("cold: got %q, %v read units, %v write units, want %q and 10 units", got, reads, writes, want)
	}
}

// BenchmarkBatchGet20 is one batch of 20 secrets beside 20 single reads.
func BenchmarkBatchGet20(b *testing.B) {
	room := localtest.New(b)
	names, _ := numbered(b, room, 20)
	b.Run("batch", func(b *testing.B) {
		for b.Loop() {
			if _, err := room.SDK.BatchGetSecretValue(b.Context(), batchOf(names...)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("single", func(b *testing.B) {
		for b.Loop() {
			for _, name := range names {
				if _, err := room.SDK.GetSecretValue(b.Context(), getInput(name, "", "")); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
