package secret

// RotationRules say when a secret is rotated, with AWS's member names: after a
// number of days, or by an expression; and how long its windows are open.
type RotationRules struct {
	AutomaticallyAfterDays int
	ScheduleExpression     string
	Duration               string
}
