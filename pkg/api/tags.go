package api

import "github.com/strongroom/strongroom/pkg/secret"

type tag struct {
	Key   string `aws:"required,len=1-128"`
	Value string `aws:"len=0-256"`
}

func tagsOf(tags []tag) []secret.Tag {
	var out []secret.Tag
	for _, t := range tags {
		out = append(out, secret.Tag(t))
	}
	return out
}

// shownTags is nil for a secret never tagged, and shown empty when the last tag
// was taken off (recorded).
func shownTags(tags []secret.Tag) []tag {
	if tags == nil {
		return nil
	}
	out := make([]tag, 0, len(tags))
	for _, t := range tags {
		out = append(out, tag(t))
	}
	return out
}
