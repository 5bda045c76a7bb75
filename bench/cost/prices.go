package main

import "slices"

const million = 1e6

// An item is something that AWS bills.
type item int

const (
	restCalls item = iota
	lambdaRequests
	lambdaTime
	readUnits
	writeUnits
	kmsCalls
	logsIn
	logsKept
	starts
	tableKept
	tableBackup
	key
	alarms
	metrics
	dashboards
	awsSecrets
	awsCalls
	items // how many there are
)

// A price is a list price in US dollars: so many for a number of units. Tiers for large
// volumes, free tiers and discounts are left out.
type price struct {
	what    string
	dollars float64
	per     float64
	unit    string
	// source is AWS's page, and checked when public pages last gave that price.
	source, checked string
}

// prices are those of us-east-1. The page is computed from this table alone.
var prices = [items]price{
	restCalls:      {"API Gateway, REST API", 3.50, million, "million calls", "https://aws.amazon.com/api-gateway/pricing/", "2026-11"},
	lambdaRequests: {"Lambda, requests", 0.20, million, "million", "https://aws.amazon.com/lambda/pricing/", "2026-11"},
	lambdaTime:     {"Lambda, time on arm64", 0.0000133334, 1, "GB-second", "https://aws.amazon.com/lambda/pricing/", "2026-11"},
	readUnits:      {"DynamoDB on demand, read units", 0.125, million, "million", "https://aws.amazon.com/dynamodb/pricing/on-demand/", "2026-11"},
	writeUnits:     {"DynamoDB on demand, write units", 0.625, million, "million", "https://aws.amazon.com/dynamodb/pricing/on-demand/", "2026-11"},
	kmsCalls:       {"KMS, calls", 0.03, 10_000, "10,000", "https://aws.amazon.com/kms/pricing/", "2026-11"},
	logsIn:         {"CloudWatch Logs, ingested", 0.50, 1, "GB", "https://aws.amazon.com/cloudwatch/pricing/", "2026-11"},
	logsKept:       {"CloudWatch Logs, kept, compressed", 0.03, 1, "GB-month", "https://aws.amazon.com/cloudwatch/pricing/", "2026-11"},
	starts:         {"EventBridge Scheduler, starts", 1.00, million, "million", "https://aws.amazon.com/eventbridge/pricing/", "2026-11"},
	tableKept:      {"DynamoDB, stored", 0.25, 1, "GB-month", "https://aws.amazon.com/dynamodb/pricing/on-demand/", "2026-11"},
	tableBackup:    {"DynamoDB, point-in-time recovery", 0.20, 1, "GB-month", "https://aws.amazon.com/dynamodb/pricing/on-demand/", "2026-11"},
	key:            {"KMS, key", 1.00, 1, "month", "https://aws.amazon.com/kms/pricing/", "2026-11"},
	alarms:         {"CloudWatch, alarms", 0.10, 1, "month", "https://aws.amazon.com/cloudwatch/pricing/", "2026-11"},
	metrics:        {"CloudWatch, custom metrics", 0.30, 1, "month", "https://aws.amazon.com/cloudwatch/pricing/", "2026-11"},
	dashboards:     {"CloudWatch, dashboards", 3.00, 1, "month", "https://aws.amazon.com/cloudwatch/pricing/", "2026-11"},
	awsSecrets:     {"AWS Secrets Manager, secrets", 0.40, 1, "month", "https://aws.amazon.com/secrets-manager/pricing/", "2026-11"},
	awsCalls:       {"AWS Secrets Manager, calls", 0.05, 10_000, "10,000", "https://aws.amazon.com/secrets-manager/pricing/", "2026-11"},
}

// A bill is how much of each item was used.
type bill [items]float64

// dollars are what some items of the bill cost, or all of them when none is named.
func (b bill) dollars(only ...item) float64 {
	var sum float64
	for i, amount := range b {
		if len(only) == 0 || slices.Contains(only, item(i)) {
			sum += amount * prices[i].dollars / prices[i].per
		}
	}
	return sum
}

func (b bill) plus(other bill) bill {
	for i := range b {
		b[i] += other[i]
	}
	return b
}

func (b bill) times(n float64) bill {
	for i := range b {
		b[i] *= n
	}
	return b
}
