package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Figures sum up rounds.
type figures struct {
	rate     float64 // median over the rounds
	p50, p99 time.Duration
}

// A result is a row of the table.
type result struct {
	workload      string
	clients       int
	server, floor figures
	ratio         float64 // median over the rounds of server rate / floor rate
	aim           float64 // 0 for none
	// toOne is the median of the rate divided by that of one client, for puts to one
	// secret; 0 elsewhere.
	toOne float64
}

func resultsOf(w workload, pairs map[int][]pair) []result {
	var results []result
	for _, clients := range numbersOfClients {
		r := result{workload: w.name, clients: clients, aim: w.aims[clients]}
		var servers, floors []round
		var ratios, toOne []float64
		for i, p := range pairs[clients] {
			servers, floors = append(servers, p.server), append(floors, p.floor)
			ratios = append(ratios, quotient(p.server.rate, p.floor.rate))
			toOne = append(toOne, quotient(p.server.rate, pairs[1][i].server.rate))
		}
		r.server, r.floor, r.ratio = figuresOf(servers), figuresOf(floors), median(ratios)
		if w.oneSecret && clients > 1 {
			r.toOne = median(toOne)
		}
		results = append(results, r)
	}
	return results
}

func figuresOf(rounds []round) figures {
	var rates []float64
	var latencies []time.Duration
	for _, r := range rounds {
		rates = append(rates, r.rate)
		latencies = append(latencies, r.latencies...)
	}
	return figures{median(rates), percentile(latencies, 50), percentile(latencies, 99)}
}

// percentile is the least value that so many per cent of the values do not exceed.
func percentile(values []time.Duration, percent int) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := (len(sorted)*percent + 99) / 100
	return sorted[max(rank, 1)-1]
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// quotient is 0 where nothing was done.
func quotient(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// report prints the table of rates, and what is aimed at for one secret.
func report(out io.Writer, results []result, markdown bool) error {
	t := table{
		{"workload", "clients", "server/s", "p50", "p99", "floor/s", "p50", "p99", "ratio", "aim"},
	}
	var notes []string
	for _, r := range results {
		t = append(t, r.row())
		if r.toOne > 0 {
			notes = append(notes, r.note())
		}
	}
	text := t.text()
	if markdown {
		text = t.markdown()
	}
	_, err := fmt.Fprintln(out, text+strings.Join(notes, "\n"))
	return err
}

func (r result) row() []string {
	aim := ""
	if r.aim > 0 {
		aim = fmt.Sprintf("≥ %.2f", r.aim)
	}
	return []string{
		r.workload, fmt.Sprint(r.clients),
		perSecond(r.server.rate), milliseconds(r.server.p50), milliseconds(r.server.p99),
		perSecond(r.floor.rate), milliseconds(r.floor.p50), milliseconds(r.floor.p99),
		fmt.Sprintf("%.2f", r.ratio), aim,
	}
}

func (r result) note() string {
	spread := quotient(float64(r.server.p99), float64(r.server.p50))
	return fmt.Sprintf("\n%s, %d clients: %.2f times the rate of 1 client (aim: at least 1), p99 is %.1f times p50 (aim: under 10).",
		r.workload, r.clients, r.toOne, spread)
}

func perSecond(rate float64) string {
	if rate < 100 {
		return fmt.Sprintf("%.1f", rate)
	}
	return thousands(int(rate + 0.5))
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

// thousands writes a number as 100,000.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// A table is rows of cells, the headings first. All columns but the first are
// aligned to the right.
type table [][]string

func (t table) text() string {
	widths := make([]int, len(t[0]))
	for _, row := range t {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range t {
		for i, cell := range row {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				b.WriteString(cell + space)
			} else {
				b.WriteString("  " + space + cell)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (t table) markdown() string {
	var b strings.Builder
	for i, row := range t {
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			b.WriteString("|---|" + strings.Repeat("---:|", len(row)-1) + "\n")
		}
	}
	return b.String()
}
