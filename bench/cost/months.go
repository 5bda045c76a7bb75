package main

// What no test can measure, and no AWS account has confirmed yet. Each is on the safe side.
const (
	// memory is what the stack gives each function, in GB.
	memory = 0.25
	// callSeconds is how long a call takes in Lambda, and runSeconds a run that finds
	// nothing to do.
	callSeconds, runSeconds = 0.05, 0.2
	// deliverySeconds is how long it takes to bring a change to another Region.
	deliverySeconds = 0.5
	// platformLog is what Lambda prints for a call by itself, accessLog the line of API
	// Gateway's access log, and runLog the line of a run, in bytes.
	platformLog, accessLog, runLog = 400, 700, 500
	// compressed is what is left of a log that is kept.
	compressed = 0.15
	// logMonths and accessMonths are how long logs are kept: auditRetentionDays and
	// logRetentionDays.
	logMonths, accessMonths = 24, 12
	// versionSize is a version of 1 KB in the table, which is measured. With it are its row
	// in an index and what DynamoDB adds; a secret has a head and rows in the directory.
	versionSize, versionRows, secretSize = 1475, 500, 2000
	// openings is how often DynamoDB asks KMS to open the table's key: once in five
	// minutes for each of three roles.
	openings = 3 * 12 * hours
)

const (
	hours = 730.0 // in a month
	days  = hours / 24
	gb    = 1 << 30
)

// What the stack has, whether it is used or not: TestCostPage in infra compares.
const (
	alarmCount     = 20
	dashboardCount = 1
	// replicaAlarms are there only with replicaRegions.
	replicaAlarms = 5
)

// A door is what stands before functions/api.
type door struct {
	name   string
	rest   bool
	months float64 // how long the functions' logs are kept
}

var (
	restDoor = door{"REST API", true, logMonths}
	urlDoor  = door{"function URL", false, logMonths}
)

// call is the bill of one call.
func (o operation) call(at door) bill {
	b := o.work(at).plus(bill{lambdaRequests: 1, lambdaTime: memory * callSeconds})
	b = b.plus(printed(platformLog, at.months))
	if at.rest {
		b[restCalls] = 1
		b = b.plus(printed(accessLog, accessMonths))
	}
	return b
}

// work is what an operation takes besides being called.
func (o operation) work(at door) bill {
	return bill{readUnits: o.reads, writeUnits: o.writes, kmsCalls: o.kms()}.plus(printed(o.logged, at.months))
}

// printed is so many bytes of a log that is kept for so many months. What is kept in the
// end is as much as is printed in these.
func printed(bytes, months float64) bill {
	return bill{logsIn: bytes / gb, logsKept: bytes / gb * compressed * months}
}

// idle is a month in which nobody calls.
func idle(at door) bill {
	return minuteRuns(rotateRun, at).plus(pruneRun.run(at).times(4 * hours)).plus(bill{
		key: 1, alarms: alarmCount, dashboards: dashboardCount, kmsCalls: openings,
	})
}

// minuteRuns are a month of runs that a schedule starts each minute and that find nothing.
func minuteRuns(o operation, at door) bill { return o.run(at).times(60 * hours) }

// run is the bill of one run on a schedule.
func (o operation) run(at door) bill {
	return o.work(at).plus(printed(runLog+platformLog, at.months)).plus(bill{starts: 1, lambdaRequests: 1, lambdaTime: memory * runSeconds})
}

// delivery is what a change costs besides its call, for one replica: a start of
// functions/replicate that delivers it, and one for the note that this was done.
func delivery(at door) bill {
	started := bill{lambdaRequests: 2, lambdaTime: memory * (deliverySeconds + callSeconds)}.plus(printed(2*(runLog+platformLog), at.months))
	noted := bill{writeUnits: putReplicated.writes - putWarm.writes}
	return noted.plus(replicateHere.work(at)).plus(replicateThere.work(at)).plus(replicateAgain.work(at)).plus(started)
}

// A month is what is stored, and what callers do in a month.
type month struct {
	name string
	// secrets are stored, with so many versions each.
	secrets, versions float64
	puts, gets        float64
	// firstGets are those of the gets that note the date.
	firstGets float64
	// pruned is how many versions are removed.
	pruned float64
}

var months = []month{
	{"10 secrets, each read every hour, changed monthly", 10, 12, 10, 10 * hours, 10 * days, 0},
	{"1,000 secrets, a million reads, changed monthly", 1_000, 12, 1_000, 1e6, 1_000 * days, 0},
	{"100,000 tenant secrets, each changed every hour and read once after it", 1e5, 101, 1e5 * hours, 1e5 * hours, 1e5 * hours, 1e5 * hours},
}

// strongroom is the month's bill. All processes are cold, which they are when calls on a
// secret are more than a minute apart.
func (m month) strongroom(at door) bill {
	prune := pruneOne.work(at)
	prune[readUnits] -= pruneRun.reads // which idle has
	stored := m.secrets * (secretSize + m.versions*(versionSize+versionRows)) / gb
	return idle(at).
		plus(put.call(at).times(m.puts)).
		plus(get.call(at).times(m.gets - m.firstGets)).
		plus(getFirst.call(at).times(m.firstGets)).
		plus(prune.times(m.pruned)).
		plus(bill{tableKept: stored, tableBackup: stored})
}

// aws is the same month in AWS Secrets Manager.
func (m month) aws() bill { return bill{awsSecrets: m.secrets, awsCalls: m.puts + m.gets} }
