package main

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
)

// A peer is the deployment of another Region in the same account: secrets are replicated
// to it and from it. Its fields are what that deployment's outputs say.
type peer struct {
	Table      string   // its output Table
	KeyArn     string   // its output Key
	KmsKeyArns []string // further keys that replicas there may be sealed under: its own kmsKeyArns
	RoleArn    string   // its output ReplicateRole, which may make replicas here; empty until it is known
}

const (
	// mostPeers and, with peers, mostKeysOfReplicas are what a role has room for. The keys
	// are those of all Regions, besides the one that each has for itself.
	mostPeers          = 4
	mostKeysOfReplicas = 20
)

// peers are deployments by their Regions: an object in cdk.json, and with -c its JSON or the
// name of a file that holds it, since each Region has others.
func (r *reader) peers(name string) map[string]peer {
	v := r.value(name)
	text, ok := v.(string)
	if !ok {
		raw, err := json.Marshal(v)
		r.check(err == nil && v != nil, "%s must be an object", name)
		text = string(raw)
	}
	all := map[string]peer{}
	if text == "" {
		return all
	}
	if ok && !strings.HasPrefix(text, "{") {
		raw, err := os.ReadFile(text) //nolint:gosec // named by the operator
		r.check(err == nil, "%s: %v", name, err)
		text = string(raw)
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields() // they would have no effect
	err := d.Decode(&all)
	if err == nil && d.More() {
		err = errors.New("there is more behind it")
	}
	r.check(err == nil, `%s must be an object such as {"eu-west-1": {"table": "…", "keyArn": "…", "kmsKeyArns": [], "roleArn": "…"}}: %v`, name, err)
	return all
}

// checkPeers wants each deployment whole, and elsewhere than here.
func (r *reader) checkPeers(set settings, here place) {
	keys := len(set.kmsKeyArns)
	for _, region := range set.peerRegions() {
		p, name := set.replicaRegions[region], "replicaRegions, "+region
		keys += len(p.KmsKeyArns)
		r.check(regions.MatchString(region), "replicaRegions: %q is not a Region such as eu-central-1", region)
		r.check(region != here.region, "%s: that is the Region of this stack; name the others", name)
		r.check(tableNames.MatchString(p.Table), "%s: table %q is not the name of a table, which is the output Table there", name, p.Table)
		r.check(keyARNs.MatchString(p.KeyArn), "%s: keyArn %q is not the ARN of a key, which is the output Key there", name, p.KeyArn)
		for _, arn := range p.KmsKeyArns {
			r.check(keyARNs.MatchString(arn), "%s: kmsKeyArns: %q is not the ARN of a key", name, arn)
		}
		r.check(p.RoleArn == "" || roleARNs.MatchString(p.RoleArn), "%s: roleArn %q is not the ARN of a role, which is the output ReplicateRole there", name, p.RoleArn)
		r.checkPlace(name, []string{p.KeyArn, p.RoleArn}, place{here.account, region})
		r.checkPlace(name, p.KmsKeyArns, place{region: region})
	}
	n := len(set.replicaRegions)
	r.check(n <= mostPeers, "replicaRegions has %d Regions, and at most %d fit", n, mostPeers)
	r.check(n == 0 || keys <= mostKeysOfReplicas, "replicaRegions: with it at most %d further keys fit, in kmsKeyArns here and of all Regions, and there are %d", mostKeysOfReplicas, keys)
}

// replicates is whether there are deployments of other Regions, and functions/replicate.
func (set settings) replicates() bool { return len(set.replicaRegions) > 0 }

// peerRegions are the Regions in order.
func (set settings) peerRegions() []string { return slices.Sorted(maps.Keys(set.replicaRegions)) }

// compact is a Region as a part of a statement's Sid, which takes no hyphens.
func compact(region string) string { return strings.ReplaceAll(region, "-", "") }
