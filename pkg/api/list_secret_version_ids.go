package api

import (
	"context"
	"slices"

	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

type listSecretVersionIDsInput struct {
	SecretId          string `aws:"required,len=1-2048"`
	MaxResults        *int   `aws:"range=1-100"`
	NextToken         string `aws:"len=1-4096"`
	IncludeDeprecated bool
}

type listSecretVersionIDsOutput struct {
	ARN, Name string
	Versions  []versionEntry
	NextToken string `json:",omitempty"`
}

type versionEntry struct {
	VersionId        string
	VersionStages    []string `json:",omitempty"`
	CreatedDate      timestamp
	LastAccessedDate timestamp `json:",omitzero"`
	KmsKeyIds        []string
}

func (c *call) listSecretVersionIDs(ctx context.Context, in listSecretVersionIDsInput) (out listSecretVersionIDsOutput, err error) {
	sec, err := c.find(ctx, in.SecretId)
	if err != nil {
		return out, err
	}
	list := c.labelledVersions
	if in.IncludeDeprecated {
		list = c.store.Versions
	}
	scope := scopeOf("ListSecretVersionIds", sec.ARN, in.IncludeDeprecated)
	after, err := c.goOn(ctx, scope, in.NextToken)
	if err != nil {
		return out, err
	}
	page := store.Page{After: after, Limit: orDefault(in.MaxResults, 100)}
	versions, more, err := list(ctx, sec, page)
	for err == nil && lacksLabelled(versions, sec, page.After, more) {
		seen := sec.Revision
		if sec, err = c.find(ctx, in.SecretId); err != nil || sec.Revision == seen {
			break
		}
		versions, more, err = list(ctx, sec, page)
	}
	if err != nil {
		return out, err
	}
	out = listSecretVersionIDsOutput{ARN: sec.ARN, Name: sec.Name, Versions: make([]versionEntry, 0, len(versions))}
	for _, v := range versions {
		if v.Revision <= sec.Revision { // others were put since, and their labels are not known
			out.Versions = append(out.Versions, versionEntryOf(sec, v))
		}
	}
	if more {
		out.NextToken, err = c.nextToken(ctx, scope, versions[len(versions)-1].ID)
	}
	return out, err
}

// lacksLabelled says whether a page lacks a version with a label: since the secret was
// read, the label moved on and the version was removed. The AWSPENDING of a rotation may
// have no version yet.
func lacksLabelled(versions []secret.Version, sec secret.Secret, after string, more bool) bool {
	for _, id := range sec.Stages.Versions() {
		isPending := id == sec.Stages[secret.Pending] && len(sec.Stages.Of(id)) == 1
		isBehind := more && id > versions[len(versions)-1].ID
		isThere := slices.ContainsFunc(versions, func(v secret.Version) bool { return v.ID == id })
		if !isPending && !isBehind && !isThere && id > after {
			return true
		}
	}
	return false
}

// labelledVersions is a page of the versions with a label, of which there are few.
func (c *call) labelledVersions(ctx context.Context, sec secret.Secret, page store.Page) ([]secret.Version, bool, error) {
	versions, err := c.store.Labelled(ctx, sec)
	if err != nil {
		return nil, false, err
	}
	versions = slices.DeleteFunc(versions, func(v secret.Version) bool { return v.ID <= page.After })
	if len(versions) <= page.Limit {
		return versions, false, nil
	}
	return versions[:page.Limit], true, nil
}

func versionEntryOf(sec secret.Secret, v secret.Version) versionEntry {
	key := v.Sealed.KeyARN
	if v.Sealed.DefaultKey {
		key = "DefaultEncryptionKey" // recorded
	}
	return versionEntry{
		VersionId:        v.ID,
		VersionStages:    sec.Stages.Of(v.ID),
		CreatedDate:      timestamp(v.Created),
		LastAccessedDate: timestamp(v.Accessed),
		KmsKeyIds:        []string{key},
	}
}

func orDefault[T any](p *T, or T) T {
	if p == nil {
		return or
	}
	return *p
}
