package main

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// The parts of a bill, as the page shows them.
var parts = []struct {
	name  string
	items []item
}{
	{"front door", []item{restCalls}},
	{"Lambda", []item{lambdaRequests, lambdaTime, starts}},
	{"DynamoDB", []item{readUnits, writeUnits, tableKept, tableBackup}},
	{"KMS", []item{kmsCalls, key}},
	{"logs", []item{logsIn, logsKept}},
	{"alarms and dashboards", []item{alarms, metrics, dashboards}},
}

// tables are those of the page, by name.
var tables = map[string]func() [][]string{
	"months":     monthsTable,
	"secret":     secretTable,
	"parts":      partsTable,
	"calls":      callsTable,
	"operations": operationsTable,
	"idle":       idleTable,
	"cheaper":    cheaperTable,
	"replicas":   replicasTable,
	"prices":     pricesTable,
}

// place is where a table stands: from a comment that names it to an empty line.
var place = regexp.MustCompile(`(?m)^<!-- table: ([a-z]+) -->\n(\|.*\n)*`)

// rewrite returns a page with its tables as they are computed.
func rewrite(page string) string {
	return place.ReplaceAllStringFunc(page, func(old string) string {
		name := place.FindStringSubmatch(old)[1]
		return "<!-- table: " + name + " -->\n" + markdown(tables[name]())
	})
}

// markdown writes rows, the first of which is the head. Columns after the first are of
// numbers when the first of their cells is.
func markdown(rows [][]string) string {
	var b strings.Builder
	for i, row := range rows {
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i > 0 {
			continue
		}
		for _, cell := range rows[1] {
			if strings.HasPrefix(cell, "$") || cell != "" && strings.Trim(cell, "0123456789.,-") == "" {
				b.WriteString("|---:")
			} else {
				b.WriteString("|---")
			}
		}
		b.WriteString("|\n")
	}
	return b.String()
}

// usd are dollars, to the cent below a hundred.
func usd(d float64) string {
	if d < 100 {
		return fmt.Sprintf("$%.2f", d)
	}
	return "$" + thousands(math.Round(d))
}

func thousands(f float64) string {
	text := strconv.FormatFloat(f, 'f', -1, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func monthsTable() [][]string {
	rows := [][]string{{"a month with", "AWS Secrets Manager", "Strongroom, REST API", "Strongroom, function URL"}}
	for _, m := range months {
		rows = append(rows, []string{m.name, usd(m.aws().dollars()), usd(m.strongroom(restDoor).dollars()), usd(m.strongroom(urlDoor).dollars())})
	}
	return rows
}

func partsTable() [][]string {
	rows := [][]string{{"part", "10 secrets", "1,000 secrets", "100,000 secrets"}}
	for _, part := range parts {
		row := []string{part.name}
		for _, m := range months {
			row = append(row, usd(m.strongroom(restDoor).dollars(part.items...)))
		}
		rows = append(rows, row)
	}
	return rows
}

// secretTable is what one secret costs, besides what Strongroom costs when idle, and from
// how many secrets on that is less than AWS's price.
func secretTable() [][]string {
	rows := [][]string{{"a secret read", "AWS Secrets Manager", "REST API", "cheaper from", "function URL", "cheaper from"}}
	for _, read := range []struct {
		name  string
		times float64
		each  operation
	}{
		{"every hour", hours, get},
		{"every minute", 60 * hours, get},
		{"every second, by one process", 3600 * hours, getWarm},
	} {
		theirs := bill{awsSecrets: 1, awsCalls: read.times}.dollars()
		row := []string{read.name, usd(theirs)}
		for _, at := range []door{restDoor, urlDoor} {
			ours := read.each.call(at).times(read.times).dollars()
			from := "never"
			if ours < theirs {
				from = fmt.Sprintf("%.0f such", math.Ceil(idle(at).dollars()/(theirs-ours)))
			}
			row = append(row, usd(ours), from)
		}
		rows = append(rows, row)
	}
	return rows
}

func callsTable() [][]string {
	head := []string{"a million of", "front door"}
	for _, part := range parts[1 : len(parts)-1] {
		head = append(head, part.name)
	}
	rows := [][]string{append(head, "REST API, all", "function URL, all", "AWS Secrets Manager")}
	for _, o := range []operation{putWarm, put, getWarm, get, getFirst} {
		b := o.call(restDoor).times(million)
		row := []string{o.name}
		for _, part := range parts[:len(parts)-1] {
			row = append(row, usd(b.dollars(part.items...)))
		}
		url := o.call(urlDoor).times(million)
		rows = append(rows, append(row, usd(b.dollars()), usd(url.dollars()), usd(bill{awsCalls: million}.dollars())))
	}
	rotations := rotateOne.work(restDoor).times(million)
	row := []string{rotateOne.name}
	for _, part := range parts[:len(parts)-1] {
		row = append(row, usd(rotations.dollars(part.items...)))
	}
	return append(rows, append(row, usd(rotations.dollars()), usd(rotations.dollars()), usd(0)))
}

func operationsTable() [][]string {
	rows := [][]string{{"operation", "read units", "write units", "KMS calls", "bytes printed"}}
	for _, o := range []operation{
		create, putWarm, put, getWarm, get, getFirst, describe, pruneRun, pruneOne, rotateRun, rotateOne,
		putReplicated, describeReplicated, replicateHere, replicateThere, replicateAgain, replicateRun,
	} {
		rows = append(rows, []string{o.name, number(o.reads), number(o.writes), number(o.kms()), thousands(o.logged)})
	}
	return rows
}

func idleTable() [][]string {
	b := idle(restDoor)
	rows := [][]string{{"idle for a month", "how much", "cost"}}
	for _, line := range []struct {
		what, much string
		items      []item
	}{
		{"the key, in its first year", "1", []item{key}},
		{"alarms", number(alarmCount), []item{alarms}},
		{"dashboards", number(dashboardCount), []item{dashboards}},
		{"runs of functions/prune and functions/rotate", thousands(b[starts]), []item{starts, lambdaRequests, lambdaTime}},
		{"what these ask DynamoDB, in read units", thousands(b[readUnits]), []item{readUnits}},
		{"KMS calls of DynamoDB for the table's key", thousands(b[kmsCalls]), []item{kmsCalls}},
		{"what these print", fmt.Sprintf("%.0f MB", 1024*b[logsIn]), []item{logsIn, logsKept}},
	} {
		rows = append(rows, []string{line.what, line.much, usd(b.dollars(line.items...))})
	}
	return append(rows, []string{"**all**", "", "**" + usd(b.dollars()) + "**"})
}

// replicasTable is what replication costs in a Region, and what a change costs besides its
// call.
func replicasTable() [][]string {
	runs, each := minuteRuns(replicateRun, restDoor), delivery(restDoor).times(million)
	rows := [][]string{
		{"replication", "how much", "cost"},
		{"alarms of replication, in each Region", number(replicaAlarms), usd(bill{alarms: replicaAlarms}.dollars())},
		{"runs of functions/replicate, in each Region, a month", thousands(runs[starts]), usd(runs.dollars())},
	}
	one := delivery(restDoor)
	much := map[string]string{
		"Lambda":   number(one[lambdaRequests]) + " starts each",
		"DynamoDB": number(one[readUnits]) + " read and " + number(one[writeUnits]) + " write units each",
		"KMS":      number(one[kmsCalls]) + " calls each",
		"logs":     fmt.Sprintf("%.0f bytes each", one[logsIn]*gb),
	}
	for _, part := range parts[1 : len(parts)-1] {
		rows = append(rows, []string{"a million changes, each to one replica: " + part.name, much[part.name], usd(each.dollars(part.items...))})
	}
	return append(rows, []string{"**a million changes, each to one replica**", "", "**" + usd(each.dollars()) + "**"})
}

// cheaperTable changes one thing at a time in the largest month.
func cheaperTable() [][]string {
	m := months[len(months)-1]
	before := m.strongroom(restDoor).dollars()
	saved := func(after bill) string { return usd(before - after.dollars()) }
	short, few := restDoor, m
	short.months = 1
	few.versions = 24
	warm := m.strongroom(restDoor).plus(get.call(restDoor).times(-m.gets)).plus(getWarm.call(restDoor).times(m.gets))
	return [][]string{
		{"change", "saves of " + usd(before), "gives up"},
		{"`-c frontDoor=url`", saved(m.strongroom(urlDoor)), "WAF, private endpoints, the access log, a throttle of its own"},
		{"reads within `dataKeySeconds` of each other in one process", saved(warm), "plain data keys stay in memory as long"},
		{"`-c auditRetentionDays=30`", saved(m.strongroom(short)), "who did what, after a month"},
		{"`-c maxVersions=23`", saved(few.strongroom(restDoor)), "versions without a label that are older than a day"},
	}
}

// list is a price to its last digit, in cents at least.
func list(d float64) string {
	if cents := fmt.Sprintf("%.2f", d); cents == number(d) || len(cents) > len(number(d)) {
		return "$" + cents
	}
	return "$" + number(d)
}

func pricesTable() [][]string {
	rows := [][]string{{"what", "price", "for", "checked", "AWS's page"}}
	for _, p := range prices {
		rows = append(rows, []string{p.what, list(p.dollars), p.unit, p.checked, "<" + p.source + ">"})
	}
	return rows
}
