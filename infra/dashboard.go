package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/jsii-runtime-go"

	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/metrics"
	"github.com/strongroom/strongroom/pkg/prune"
	"github.com/strongroom/strongroom/pkg/replicate"
	"github.com/strongroom/strongroom/pkg/rotate"
)

// A widget is one figure of the dashboard, in the form of CloudWatch's dashboard body.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
type widget map[string]any

// newDashboard shows what to look at before the logs. What services count themselves is
// there for nothing; by operation there are queries of the records, which cost what they
// read, and only while somebody looks.
func newDashboard(b base, f front, all []deployed) {
	if !b.set.dashboard {
		return
	}
	d, server := dashboard{b: b}, all[0]
	d.rows(
		d.query("Calls by operation", `stats count(*) as calls, count(errorCode) as refused by eventName | sort calls desc`, onlyRecords, "table"),
		d.query("Calls by operation over time", `stats count(*) by bin(5m), eventName`, onlyRecords, "timeSeries"),
		d.query("Milliseconds by operation", `stats pct(ms, 50) as p50, pct(ms, 90) as p90, pct(ms, 99) as p99, max(ms) as slowest by operation`, onlyRequests, "table"),
		d.query("Refused calls", `filter ispresent(errorCode) | stats count(*) as calls by errorCode | sort calls desc`, onlyRecords, "table"),
		d.query("Units and KMS calls by operation",
			`stats sum(additionalEventData.dynamoDBUnits) as units, sum(additionalEventData.kmsCalls) as kms, count(*) as calls by eventName`, onlyRecords, "table"),
		// Data keys and versions that a process remembers are a part of it, bounded by number
		// and by bytes.
		d.query("Megabytes of memory", `stats max(@maxMemoryUsed) / 1000000 as used, max(@memorySize) / 1000000 as size by bin(5m)`, onlyReports, "timeSeries"),
	)
	d.rows(
		d.latency(f, server),
		d.graph("Errors and throttles", "Sum", d.errors(f, server)...),
		d.graph("Changes of one secret that met each other", "Sum",
			d.of("AWS/DynamoDB", "TransactionConflict", "TableName", *b.table.TableName())),
		d.graph("Calls at once", "Maximum",
			d.of("AWS/Lambda", "ConcurrentExecutions", "FunctionName", *server.function.FunctionName())),
		d.graph("Units of the table", "Sum",
			d.of("AWS/DynamoDB", "ConsumedReadCapacityUnits", "TableName", *b.table.TableName()),
			d.of("AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", *b.table.TableName())),
		d.graph("Backlog in seconds", "Maximum", d.backlogs()...),
		d.graph("Rotations that failed", "Sum",
			d.of(metrics.Namespace, rotate.FailedMetric, metrics.Dimension, *b.table.TableName()),
			d.of(metrics.Namespace, rotate.GivenUpMetric, metrics.Dimension, *b.table.TableName())),
		d.graph("Runs of the schedules that failed", "Sum", d.failures(all[1:])...),
		d.cost(f, server),
	)
	if b.set.replicates() {
		d.rows(d.graph("Replications that failed", "Sum",
			d.of(metrics.Namespace, replicate.FailedMetric, metrics.Dimension, *b.table.TableName())))
	}
	awscloudwatch.NewCfnDashboard(b.stack, jsii.String("Dashboard"), &awscloudwatch.CfnDashboardProps{
		// Names of dashboards are those of the account, in all of its Regions.
		DashboardName: jsii.String(b.set.stackName + "-" + *b.stack.Region()),
		DashboardBody: b.stack.ToJsonString(map[string]any{"widgets": d.widgets}, nil),
	})
}

// onlyRequests are the lines that functions/api writes one of per call, onlyRecords the
// audit records, and onlyReports Lambda's own lines, one per invocation.
const (
	onlyReports  = `filter @type = "REPORT"`
	onlyRequests = `filter msg = "request"`
	onlyRecords  = audit.OnlyRecords
)

type dashboard struct {
	b       base
	widgets []widget
}

// rows places figures two in a row.
func (d *dashboard) rows(all ...widget) {
	for _, w := range all {
		n := len(d.widgets)
		w["x"], w["y"], w["width"], w["height"] = 12*(n%2), 6*(n/2), 12, 6
		d.widgets = append(d.widgets, w)
	}
}

func (d *dashboard) query(title, text, only, view string) widget {
	return widget{"type": "log", "properties": widget{
		"title": title, "region": *d.b.stack.Region(), "view": view,
		"query": fmt.Sprintf("SOURCE '%s' | %s | %s", *d.b.logs.api.LogGroupName(), only, text),
	}}
}

func (d *dashboard) graph(title, statistic string, all ...[]any) widget {
	return widget{"type": "metric", "properties": widget{
		"title": title, "region": *d.b.stack.Region(), "view": "timeSeries", "stat": statistic, "period": 300, "metrics": all,
	}}
}

// of is a metric: namespace, name, and the names and values of its dimensions.
func (d *dashboard) of(text ...any) []any { return text }

// backlogs are for how long the oldest has been due of what each job left.
func (d *dashboard) backlogs() [][]any {
	names := []string{prune.OldestDue, rotate.OldestDue}
	if d.b.set.replicates() {
		names = append(names, replicate.OldestDue)
	}
	var all [][]any
	for _, name := range names {
		all = append(all, d.of(metrics.Namespace, name, metrics.Dimension, *d.b.table.TableName()))
	}
	return all
}

func (d *dashboard) failures(jobs []deployed) [][]any {
	var all [][]any
	for _, one := range jobs {
		all = append(all, d.of("AWS/Lambda", "Errors", "FunctionName", *one.function.FunctionName()))
	}
	return all
}

// calls is a metric of the front door.
func (d *dashboard) calls(f front, server deployed, rest, url string, more ...any) []any {
	if f.api == nil {
		return append(d.of("AWS/Lambda", url, "FunctionName", *server.function.FunctionName()), more...)
	}
	return append(d.of("AWS/ApiGateway", rest, "ApiName", d.b.set.stackName, "Stage", stageName), more...)
}

func (d *dashboard) latency(f front, server deployed) widget {
	var all [][]any
	for _, percentile := range []string{"p50", "p90", "p99"} {
		all = append(all, d.calls(f, server, "Latency", "UrlRequestLatency", widget{"stat": percentile, "label": percentile}))
	}
	return d.graph("Milliseconds", "p50", all...)
}

func (d *dashboard) errors(f front, server deployed) [][]any {
	return [][]any{
		d.calls(f, server, "5XXError", "Url5xxCount"),
		d.calls(f, server, "4XXError", "Url4xxCount"),
		d.of("AWS/Lambda", "Errors", "FunctionName", *server.function.FunctionName()),
		d.of("AWS/Lambda", "Throttles", "FunctionName", *server.function.FunctionName()),
		d.of("AWS/DynamoDB", "ReadThrottleEvents", "TableName", *d.b.table.TableName()),
		d.of("AWS/DynamoDB", "WriteThrottleEvents", "TableName", *d.b.table.TableName()),
		d.of(namespace(d.b), serverErrors), d.of(namespace(d.b), kmsFailures), d.of(namespace(d.b), lostRecords),
	}
}

// List prices of us-east-1 in US dollars, November 2026: of a call of a REST API, of a
// call and a GB-second of Lambda for arm64, and of a read and a write unit on demand.
const (
	restCall          = 3.50e-6
	lambdaCall        = 0.20e-6
	gigabyteSecond    = 0.0000133334
	readUnit          = 0.125e-6
	writeUnit         = 0.625e-6
	functionGigabytes = 0.25
)

// decimal is a price without an exponent, which metric math may not read.
func decimal(price float64) string { return strconv.FormatFloat(price, 'f', -1, 64) }

// cost is what calls cost in an hour, at list prices. KMS is not in it: nothing counts the
// calls of one key.
func (d *dashboard) cost(f front, server deployed) widget {
	hidden := func(id string) widget { return widget{"id": id, "stat": "Sum", "visible": false} }
	function, table := *server.function.FunctionName(), *d.b.table.TableName()
	terms := []string{
		"FILL(invocations,0)*" + decimal(lambdaCall),
		"FILL(duration,0)/1000*" + decimal(functionGigabytes*gigabyteSecond),
		"FILL(reads,0)*" + decimal(readUnit), "FILL(writes,0)*" + decimal(writeUnit),
	}
	all := [][]any{
		d.of("AWS/Lambda", "Invocations", "FunctionName", function, hidden("invocations")),
		d.of("AWS/Lambda", "Duration", "FunctionName", function, hidden("duration")),
		d.of("AWS/DynamoDB", "ConsumedReadCapacityUnits", "TableName", table, hidden("reads")),
		d.of("AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", table, hidden("writes")),
	}
	if f.api != nil {
		terms = append(terms, "FILL(calls,0)*"+decimal(restCall))
		all = append(all, d.calls(f, server, "Count", "", hidden("calls")))
	}
	w := d.graph("Dollars per hour, without KMS and logs, at list prices of us-east-1", "Sum",
		append([][]any{d.of(widget{"expression": strings.Join(terms, "+"), "label": "dollars"})}, all...)...)
	w["properties"].(widget)["period"] = 3600
	return w
}
