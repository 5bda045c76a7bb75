package api

import (
	"context"

	"github.com/strongroom/strongroom/pkg/secret"
)

type describeSecretInput struct {
	SecretId string `aws:"required,len=1-2048"`
}

type describeSecretOutput struct {
	secretEntry
	VersionIdsToStages map[string][]string `json:",omitempty"`
}

// secretEntry is what is told of a secret where its versions are not.
type secretEntry struct {
	ARN, Name        string
	Description      string    `json:",omitempty"`
	Type             string    `json:",omitempty"`
	KmsKeyId         string    `json:",omitempty"`
	CreatedDate      timestamp `json:",omitzero"`
	LastChangedDate  timestamp `json:",omitzero"`
	LastAccessedDate timestamp `json:",omitzero"`
	// DeletedDate is when the recovery window ends (DescribeSecret: some time
	// after that date the secret is deleted).
	DeletedDate timestamp `json:",omitzero"`
	Tags        []tag     `json:",omitzero"`
}

func (s *Server) describeSecret(ctx context.Context, in describeSecretInput) (out describeSecretOutput, err error) {
	sec, err := s.find(ctx, in.SecretId)
	if err != nil {
		return out, err
	}
	return describeSecretOutput{entryOf(sec), stagesByVersion(sec.Stages)}, nil
}

func entryOf(sec secret.Secret) secretEntry {
	return secretEntry{
		ARN: sec.ARN, Name: sec.Name,
		Description:      sec.Description,
		Type:             sec.Type,
		KmsKeyId:         sec.KMSKey,
		CreatedDate:      timestamp(sec.Created),
		LastChangedDate:  timestamp(sec.Changed),
		LastAccessedDate: timestamp(sec.Accessed),
		DeletedDate:      timestamp(sec.Deletion),
		Tags:             shownTags(sec.Tags),
	}
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
