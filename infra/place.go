package main

import "strings"

// A place is an account and a Region, each empty if it is not known.
type place struct{ account, region string }

// checkPlaces compares the ARNs in the settings with where the stack goes: with what is
// set, or otherwise with the credentials. A service cannot use what is in another
// Region, and some of it not what is in another account.
func (r *reader) checkPlaces(set settings, current place) {
	here := place{set.account, set.region}
	if here.account == "" {
		here.account = current.account
	}
	if here.region == "" {
		here.region = current.region
	}
	foreign := map[string][]string{ // may be another account's
		"kmsKeyArns":           set.kmsKeyArns,
		"rotationFunctionArns": set.rotationFunctionArns,
		"alarmTopicArn":        {set.alarmTopicArn},
	}
	own := map[string][]string{
		"keyArn":                   {set.keyArn},
		"certificateArn":           {set.certificateArn},
		"webAcl":                   {set.webACL},
		"permissionsBoundaryArn":   {set.permissionsBoundaryArn},
		"breakGlassRoleArn":        {set.breakGlassArn},
		"auditSubscriptionRoleArn": {set.auditSubscriptionRoleArn},
	}
	// Of what records can be sent to, only a destination may be another account's.
	// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutSubscriptionFilter.html
	subscription := own
	if strings.Contains(set.auditSubscriptionArn, ":destination:") {
		subscription = foreign
	}
	subscription["auditSubscriptionArn"] = []string{set.auditSubscriptionArn}
	for name, arns := range foreign {
		r.checkPlace(name, arns, place{region: here.region})
	}
	for name, arns := range own {
		r.checkPlace(name, arns, here)
	}
	r.checkPeers(set, here)
	for _, account := range set.callerAccounts {
		r.check(account != here.account, "callerAccounts: %s is this account, whose own policies decide already", account)
	}
}

func (r *reader) checkPlace(name string, arns []string, here place) {
	for _, arn := range arns {
		part := strings.SplitN(arn, ":", 6) // arn:partition:service:region:account:resource
		if len(part) < 6 {
			continue
		}
		region, account := part[3], part[4]
		r.check(region == "" || here.region == "" || region == here.region, "%s: %s is not in %s", name, arn, here.region)
		r.check(account == "" || account == "aws" || here.account == "" || account == here.account, "%s: %s is not of account %s", name, arn, here.account)
	}
}
