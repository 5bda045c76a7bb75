package store

import (
	"regexp"
	"sync"
)

// Every expression is a constant here, in ASCII, with placeholders for all names
// and values: #x stands for attribute x, :x for a value of that name. What a
// caller sends is never part of an expression.
const (
	isNew  = "attribute_not_exists(#pk)"
	exists = "attribute_exists(#pk)"
	isSeen = "#revision = :seen AND #suffix = :suffix" + ofSameCopy
	// ofSameCopy tells copies of a secret from each other: revisions of a replica are those of
	// its primary, so another copy may have one that the secret had here before.
	ofSameCopy = " AND (#copy = :copy OR attribute_not_exists(#copy))" // a head of before there were any has none

	// wasCommitted is a head that nobody has written since it was read, though it cannot
	// be read; wasNotCommitted is one that lacks the name of its commit.
	wasCommitted    = "#commit = :commit"
	wasNotCommitted = "attribute_exists(#pk) AND attribute_not_exists(#commit)"

	// isNewVersion also holds over a version of a later revision than the secret has. A
	// table that was restored to a moment within a transaction may have such a version.
	isNewVersion = isNew + " OR #revision > :seen"

	// isRoomy holds the number of versions down, exactly, also when others put at the
	// same time.
	isRoomy = isSeen + " AND #versions < :quota"

	// wasSeen is the version that the index shows, put before the secret was looked at.
	// A version put since may be current, under an ID that an older one had; one put
	// while the index trails is younger than the index says.
	wasSeen = "#revision <= :seen AND #created = :created"

	// isUnmoved is what a version without a label keeps it without one, and what
	// holds while no other run has removed versions.
	isUnmoved = "#suffix = :suffix AND #moves = :moves AND #prunings = :prunings AND #due = :due"
	// isQuiet holds also when nothing was put since: then there is no more to do.
	isQuiet = isUnmoved + " AND #revision = :seen"

	setHead = "SET #schema = :schema, #suffix = :suffix, #revision = :revision, #commit = :commit, #past = :past, #token = :token," +
		" #description = :description, #type = :type, #kms_key = :kms_key, #keyed = :keyed, #stages = :stages, #moves = :moves," +
		" #policy_hash = :policy_hash, #tags = :tags, #rotation = :rotation, #created = :created, #changed = :changed, #deletion = :deletion, #deleted = :deleted," +
		" #replicas = :replicas, #primary = :primary, #copy = :copy"
	addVersion = " ADD #versions :added, #prunings :once"
	keepDue    = setHead + addVersion
	noteDue    = setHead + ", #shard = if_not_exists(#shard, :shard), #due = if_not_exists(#due, :due)" + addVersion
	setDue     = setHead + ", #shard = :shard, #due = :due" + addVersion

	// A change that replicas do not have yet is noted beside the status of each. A delivery
	// is settled unless there was another change since.
	noteReplica  = "SET #schema = :schema, #shard = :shard, #due = :due, #revision = :revision, #copy = :copy REMOVE #failure, #attempts"
	noteInSync   = "SET #synced = :synced, #pruned = :pruned REMOVE #shard, #due, #since, #failure, #attempts"
	noteFailure  = "SET #failure = :failure, #attempts = :attempts, #due = :due, #since = if_not_exists(#since, :since)"
	isDelivered  = "#revision <= :synced AND #copy = :copy"
	isSameWanted = "#revision = :revision AND #copy = :copy"
	// isUndone holds unless another runner has delivered the same meanwhile: what failed here is
	// not to be said of that, since nobody would try it again.
	isUndone = isSameWanted + " AND attribute_exists(#shard)"

	// What pruning does to a head, beside its revisions.
	pruned      = "ADD #versions :added, #prunings :once"
	prunedUntil = "SET #due = :next " + pruned
	prunedAll   = "REMOVE #shard, #due " + pruned

	// What repairs do to a head: it has the revision that was seen, and no version was
	// removed since.
	isUncounted = isSeen + " AND #prunings = :prunings"
	addCount    = "ADD #versions :added"
	setDueOnly  = "SET #shard = :shard, #due = :due"
	removeDue   = "REMOVE #shard, #due"
	// isAnother holds where the secret with this suffix is not there.
	isAnother = "attribute_not_exists(#pk) OR #suffix <> :suffix"
	// isNoCopy is the same of a replica: that copy of its primary, and all before it.
	isNoCopy = isAnother + " OR attribute_not_exists(#copy) OR #copy > :copy OR #primary = :none"
	// isBeyond holds where copies are not fenced off, or only earlier ones are.
	isBeyond = isNew + " OR #copy < :copy"

	wasDue = "#due <= :due"

	setDataKey = "SET #key_arn = :key_arn, #default_key = :default_key, #data_key = :data_key"

	// A read notes its day on the head, once a day for each version that is read in
	// turn. The process that wrote it there notes it on the version, which may be large.
	setAccessedHead = "SET #accessed = :accessed, #accessed_version = :accessed_version"
	isOldHead       = "#suffix = :suffix AND (attribute_not_exists(#accessed) OR #accessed < :accessed" +
		" OR #accessed = :accessed AND #accessed_version <> :accessed_version)"
	setAccessed  = "SET #accessed = :accessed"
	isOldVersion = "attribute_exists(#pk) AND (attribute_not_exists(#accessed) OR #accessed < :accessed)"

	ofAge       = "#secret = :secret"
	ofShard     = "#shard = :shard AND #due <= :due"
	ofPartition = "#pk = :pk"
	ofSecret    = "#pk = :pk AND begins_with(#sk, :prefix)" //nolint:gosec // a key condition, no credential
	keyOnly     = "#pk, #sk"
	datesOnly   = "#pk, #schema, #changed, #accessed"
	toVerify    = "#pk, #sk, #schema, #id, #secret, #created, #revision, #text, #shard, #due, #copy, #synced, #failure"
	noSealed    = "#pk, #sk, #schema, #id, #revision, #created, #key_arn, #default_key, #data_key, #accessed"
)

// placeholders finds the names and values in an expression once, and remembers
// them: there are as many expressions as constants above.
var placeholders sync.Map // of string to [][]string, each "#name" and "name", or ":name" and "name"

var placeholder = regexp.MustCompile(`[#:](\w+)`)

func placeholdersIn(expression string) [][]string {
	if found, ok := placeholders.Load(expression); ok {
		return found.([][]string)
	}
	found := placeholder.FindAllStringSubmatch(expression, -1)
	placeholders.Store(expression, found)
	return found
}

// namesIn is what the name placeholders of the expressions stand for.
func namesIn(expressions ...string) map[string]string {
	names := map[string]string{}
	for _, e := range expressions {
		for _, m := range placeholdersIn(e) {
			if m[0][0] == '#' {
				names[m[0]] = m[1]
			}
		}
	}
	return names
}

// valuesIn picks from attributes what the value placeholders of the expressions
// stand for.
func valuesIn(attributes item, expressions ...string) item {
	values := item{}
	for _, e := range expressions {
		for _, m := range placeholdersIn(e) {
			if m[0][0] == ':' {
				values[m[0]] = attributes[m[1]]
			}
		}
	}
	return values
}
