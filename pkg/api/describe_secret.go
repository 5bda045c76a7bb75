package api

import (
	"context"
	"time"

	"github.com/strongroom/strongroom/pkg/schedule"
	"github.com/strongroom/strongroom/pkg/secret"
)

type describeSecretInput struct {
	SecretId string `aws:"required,len=1-2048"`
}

type describeSecretOutput struct {
	secretEntry
	VersionIdsToStages map[string][]string `json:",omitempty"`
	ReplicationStatus  []replicationStatus `json:",omitempty"`
}

// secretEntry is what is told of a secret where its versions are not.
type secretEntry struct {
	ARN, Name        string
	Description      string    `json:",omitempty"`
	Type             string    `json:",omitempty"`
	KmsKeyId         string    `json:",omitempty"`
	PrimaryRegion    string    `json:",omitempty"`
	CreatedDate      timestamp `json:",omitzero"`
	LastChangedDate  timestamp `json:",omitzero"`
	LastAccessedDate timestamp `json:",omitzero"`
	// DeletedDate is when DeleteSecret was called (recorded), not the end of the
	// recovery window, which is DeleteSecret's own DeletionDate.
	DeletedDate timestamp `json:",omitzero"`
	Tags        []tag     `json:",omitzero"`

	// Rotation templates need it to be there (a missing one is an exception in
	// them); it is for every secret that was configured once.
	RotationEnabled   *bool          `json:",omitempty"`
	RotationLambdaARN string         `json:",omitempty"`
	RotationRules     *rotationRules `json:",omitempty"`
	LastRotatedDate   timestamp      `json:",omitzero"`
	NextRotationDate  timestamp      `json:",omitzero"`
}

func (c *call) describeSecret(ctx context.Context, in describeSecretInput) (out describeSecretOutput, err error) {
	sec, err := c.find(ctx, in.SecretId)
	if err != nil {
		return out, err
	}
	replication, err := c.replication(ctx, sec)
	return describeSecretOutput{entryOf(sec), stagesByVersion(sec.Stages), replication}, err
}

func entryOf(sec secret.Secret) secretEntry {
	entry := secretEntry{
		ARN: sec.ARN, Name: sec.Name,
		Description:      sec.Description,
		Type:             sec.Type,
		KmsKeyId:         sec.KMSKey,
		PrimaryRegion:    sec.PrimaryRegion(),
		CreatedDate:      timestamp(sec.Created),
		LastChangedDate:  timestamp(sec.Changed),
		LastAccessedDate: timestamp(sec.Accessed),
		DeletedDate:      timestamp(sec.DeletedAt()),
		Tags:             shownTags(sec.Tags),
	}
	rotation := sec.Rotation
	if !sec.Deletion.IsZero() { // it stands still until the secret is restored (recorded)
		rotation.Enabled, rotation.Next = false, secret.Window{}
	}
	if rotation.Lambda != "" {
		addRotation(&entry, rotation)
	}
	return entry
}

func addRotation(entry *secretEntry, r secret.Rotation) {
	entry.RotationEnabled, entry.RotationLambdaARN = &r.Enabled, r.Lambda
	entry.RotationRules = shownRules(r)
	entry.LastRotatedDate = timestamp(r.Last)
	if !r.Next.Closes.IsZero() {
		// The last second of the window: rotation occurs on or before this date
		// (DescribeSecret). How AWS reckons it is not written down.
		entry.NextRotationDate = timestamp(r.Next.Closes.Add(-time.Second))
	}
}

// shownRules are the rules with the days that lie between two windows beside an
// expression, rounded up (recorded).
func shownRules(r secret.Rotation) *rotationRules {
	if r.Rules == (secret.RotationRules{}) {
		return nil
	}
	shown := rotationRules{Duration: r.Rules.Duration, ScheduleExpression: r.Rules.ScheduleExpression}
	days := r.Rules.AutomaticallyAfterDays
	if parsed, err := schedule.Parse(r.Rules, schedule.Shortest); err == nil && days == 0 {
		days = parsed.Days(r.Anchor)
	}
	if days > 0 {
		shown.AutomaticallyAfterDays = &days
	}
	return &shown
}

// stagesByVersion turns labels to versions into versions to labels. Versions
// without a label are deprecated and not told of.
func stagesByVersion(stages secret.Stages) map[string][]string {
	versions := map[string][]string{}
	for _, id := range stages.Versions() {
		versions[id] = stages.Of(id)
	}
	return versions
}
