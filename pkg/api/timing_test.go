package api_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/policy"
)

// BenchmarkMissingOrDenied measures how well the time of a refusal tells a secret that a
// caller may not touch from one that is not there. The two are asked for in turns, in
// random order. AUC is the probability that the slower of two refusals is the one of a
// secret that is there: at 0.5 nothing is told. It is also measured with answers that do
// not wait for a step, and with steps of 5 ms and not 50, to have the samples sooner:
// reads of the local engine take less than one.
func BenchmarkMissingOrDenied(b *testing.B) {
	for _, step := range []time.Duration{1, 5 * time.Millisecond} {
		for _, operation := range []string{"GetSecretValue", "DescribeSecret", "PutSecretValue", "DeleteSecret"} {
			for _, name := range []string{"plain", "tagged", "policed", "large"} {
				b.Run(fmt.Sprintf("step=%v/%s/%s", step, operation, name), func(b *testing.B) {
					room := localtest.New(b)
					forbidden(b, room)
					guard := guarded(b, room, alice, allow("GetRandomPassword"))
					guard.Server.AnswerStep = step
					compare(b, func(there bool) {
						id := "none"
						if there {
							id = name
						}
						serve(guard, operation, rights[operation].request(id))
					})
				})
			}
		}
	}
}

// BenchmarkHiddenNames does the same for lists of names that begin with a prefix: one with
// ten hidden secrets, and one with none.
func BenchmarkHiddenNames(b *testing.B) {
	for _, step := range []time.Duration{1, 5 * time.Millisecond} {
		b.Run(fmt.Sprintf("step=%v", step), func(b *testing.B) {
			room := localtest.New(b)
			fill(b, room, 0, 20)
			guard := guarded(b, room, alice, allow("ListSecrets"))
			guard.Server.AnswerStep = step
			compare(b, func(there bool) {
				prefix := "nothing"
				if there {
					prefix = fillName(0)[:len(fillName(0))-1]
				}
				serve(guard, "ListSecrets", `{"Filters":[{"Key":"name","Values":[`+quoted(prefix)+`]}]}`)
			})
		})
	}
}

// compare measures a call about what is there and one about what is not, and reports how
// well their times tell which is which.
func compare(b *testing.B, call func(there bool)) {
	b.Helper()
	var took [2][]time.Duration
	for b.Loop() {
		first := rand.IntN(2)
		for _, i := range []int{first, 1 - first} {
			began := time.Now()
			call(i == 1)
			took[i] = append(took[i], time.Since(began))
		}
	}
	b.ReportMetric(auc(took[0], took[1]), "AUC")
}

// auc is the probability that a sample of b is larger than one of a; that they are the
// same counts as a half.
func auc(a, b []time.Duration) float64 {
	type sample struct {
		took time.Duration
		of   int
	}
	var all []sample
	for _, took := range a {
		all = append(all, sample{took, 0})
	}
	for _, took := range b {
		all = append(all, sample{took, 1})
	}
	slices.SortFunc(all, func(x, y sample) int { return cmp.Compare(x.took, y.took) })
	won, smaller := 0.0, 0
	for i := 0; i < len(all); {
		var same [2]int
		for j := i; i < len(all) && all[i].took == all[j].took; i++ {
			same[all[i].of]++
		}
		won += float64(same[1]) * (float64(smaller) + float64(same[0])/2)
		smaller += same[0]
	}
	return won / float64(len(a)) / float64(len(b))
}

func TestAUC(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		a, b []time.Duration
		want float64
	}{
		{[]time.Duration{1, 2}, []time.Duration{3, 4}, 1},
		{[]time.Duration{3, 4}, []time.Duration{1, 2}, 0},
		{[]time.Duration{1, 4}, []time.Duration{2, 3}, 0.5},
		{[]time.Duration{1, 1}, []time.Duration{1, 1}, 0.5},
		{[]time.Duration{1, 2}, []time.Duration{2, 3}, 0.875},
	} {
		if got := auc(test.a, test.b); got != test.want {
			t.Errorf("auc(%v, %v) = %v, want %v", test.a, test.b, got, test.want)
		}
	}
}

// BenchmarkListBesideLargePolicies is a page of a hundred secrets, without policies and
// with large ones of others on all of them.
func BenchmarkListBesideLargePolicies(b *testing.B) {
	for _, test := range []struct{ name, action string }{{"none", ""}, {"to read values", "secretsmanager:GetSecretValue"}, {"to do all", "*"}} {
		b.Run(test.name, func(b *testing.B) {
			room := localtest.New(b)
			fill(b, room, 0, 100)
			for i := range 100 {
				if test.action != "" {
					repolicy(b, room, fillName(i), largeOf(runner.ARN, test.action, i))
				}
			}
			guard := guarded(b, room, alice, allow("ListSecrets", "DescribeSecret"))
			guard.Server.Resources = policy.NewCache(16 << 20)
			for b.Loop() {
				if page := must(guard.SDK.ListSecrets(b.Context(), &secretsmanager.ListSecretsInput{}))(b); len(page.SecretList) != 100 {
					b.Fatalf("got %d secrets, want 100", len(page.SecretList))
				}
			}
		})
	}
}
