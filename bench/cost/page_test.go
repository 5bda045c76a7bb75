package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const page = "../../docs/cost.md"

// The page is what the program writes.
func TestPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if rewrite(string(text)) != string(text) {
		t.Error("docs/cost.md is not what the program computes: run make costs")
	}
	shown := regexp.MustCompile(`<!-- table: ([a-z]+) -->`).FindAllStringSubmatch(string(text), -1)
	if len(shown) != len(tables) {
		t.Errorf("got %d tables in docs/cost.md, want each of %d once", len(shown), len(tables))
	}
}

// The README names one month of them.
func TestREADME(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	m := months[1]
	want := fmt.Sprintf("1,000 secrets with a million reads come to about $%.0f a month, and to $%.0f at AWS.", m.strongroom(restDoor).dollars(), m.aws().dollars())
	if !strings.Contains(strings.Join(strings.Fields(string(text)), " "), want) {
		t.Errorf("the README does not say: %s", want)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "page.md")
	text := "# Page\n\n<!-- table: idle -->\n| old |\n\nText | with a line.\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{file}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	want := "# Page\n\n<!-- table: idle -->\n" + markdown(idleTable()) + "\nText | with a line.\n"
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	if run(nil) == nil || run([]string{filepath.Join(t.TempDir(), "none")}) == nil {
		t.Error("got no error without a page")
	}
}

// A bill adds up, and its parts are all of it.
func TestBill(t *testing.T) {
	t.Parallel()
	b := bill{restCalls: 2 * million, key: 1}.plus(bill{key: 1, kmsCalls: 10_000}).times(2)
	if got, want := b.dollars(), 2*(7.00+2+0.03); math.Abs(got-want) > 1e-9 {
		t.Errorf("got $%v, want $%v", got, want)
	}
	if got := b.dollars(key); got != 4 {
		t.Errorf("got $%v for keys, want $4", got)
	}
	for _, m := range months {
		var sum float64
		for _, part := range parts {
			sum += m.strongroom(restDoor).dollars(part.items...)
		}
		if all := m.strongroom(restDoor).dollars(); math.Abs(sum-all) > 1e-9*all {
			t.Errorf("%s: the parts are $%v, all is $%v", m.name, sum, all)
		}
	}
}

// By hand, with nothing but the price list: a thousand secrets and a million reads are
// $400 and $5 at AWS, and a month of a warm read is API Gateway's fee and little else.
func TestByHand(t *testing.T) {
	t.Parallel()
	m := month{secrets: 1_000, gets: million}
	if got := m.aws().dollars(); math.Abs(got-405) > 1e-9 {
		t.Errorf("got $%v, want $405", got)
	}
	fees := 3.50 + 0.20 + 0.125 // of API Gateway, Lambda and DynamoDB
	if got := getWarm.call(restDoor).times(million).dollars(restCalls, lambdaRequests, readUnits); math.Abs(got-fees) > 1e-9 {
		t.Errorf("got $%v, want $%v", got, fees)
	}
}

func TestUSD(t *testing.T) {
	t.Parallel()
	for d, want := range map[float64]string{0: "$0.00", 99.994: "$99.99", 100.4: "$100", 999.6: "$1,000", 40730: "$40,730", 1234567: "$1,234,567"} {
		if got := usd(d); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
