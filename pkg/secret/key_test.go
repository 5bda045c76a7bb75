package secret

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckKey(t *testing.T) {
	t.Parallel()
	const (
		id  = "7b9d1f0e-2c58-4b9e-8f2f-0d3f3b6c9a11"
		arn = "arn:aws:kms:eu-central-1:123456789012:"
	)
	invalid := func(why string) error {
		return Error{"InvalidParameterException", "The operation failed because of an invalid KMS key: " + why}
	}
	badID, noAccess := invalid("Invalid keyId"), Error{"AccessDeniedException", "Access to KMS is not allowed"}
	for _, tt := range []struct {
		key string
		err error
	}{
		{"", nil},
		{id, nil},
		{strings.ToUpper(id), nil},
		{"mrk-1234abcd12ab34cd56ef1234567890ab", nil},
		{arn + "key/" + id, nil},
		{arn + "key/mrk-1234abcd12ab34cd56ef1234567890ab", nil},
		{"arn:aws:kms:eu-central-1:210987654321:key/" + id, nil},
		{"alias/mine", nil},
		{"alias/team/Key_1-a", nil},
		{"alias/awsome", nil},
		{arn + "alias/mine", nil},
		{DefaultKey, nil},
		{arn + DefaultKey, nil},

		{"none", badID},
		{"mine", badID},
		{"aws/secretsmanager", badID},
		{"ä", badID},
		{id[1:], badID},
		{id + "0", badID},
		{"key/" + id, badID},
		{"alias/", badID},
		{"alias/a b", badID},
		{"alias/a\n", badID},
		{"alias/" + strings.Repeat("a", 251), badID},
		{"alias/" + strings.Repeat("a", 250), nil},
		{"ALIAS/mine", badID},
		{" " + id, badID},
		{"arn:", badID},
		{"arn:aws:kms:eu-central-1:123456789012:" + id, badID},
		{arn + "key/none", badID},
		{arn + "key/alias/mine", badID},
		{arn + "alias/a:b", badID},
		{"arn:aws:s3:eu-central-1:123456789012:key/" + id, badID},
		{"arn:aws:kms:eu-central-1::key/" + id, badID},
		{testARN, badID},

		{"arn:aws:kms:us-west-2:123456789012:key/" + id, invalid("Invalid arn us-west-2")},
		{"arn:aws:kms:us-west-2:123456789012:alias/mine", invalid("Invalid arn us-west-2")},
		{"arn:aws:kms:us-west-2:123456789012:" + DefaultKey, invalid("Invalid arn us-west-2")},
		{"arn:aws-cn:kms:eu-central-1:123456789012:key/" + id, invalid("Invalid arn eu-central-1")},

		{"alias/aws/ebs", noAccess},
		{"alias/aws/", noAccess},
		{"alias/aws/secretsmanager2", noAccess},
		{arn + "alias/aws/s3", noAccess},
		{"arn:aws:kms:eu-central-1:210987654321:" + DefaultKey, noAccess},
	} {
		if err := testARNs.CheckKey(tt.key); !errors.Is(err, tt.err) {
			t.Errorf("%q: got %v, want %v", tt.key, err, tt.err)
		}
	}
}

func TestSealingKey(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"":         "",
		DefaultKey: "",
		"arn:aws:kms:eu-central-1:123456789012:" + DefaultKey: "",
		"alias/mine":                "alias/mine",
		"alias/x:" + DefaultKey:     "alias/x:" + DefaultKey,
		"alias/aws/secretsmanager2": "alias/aws/secretsmanager2",
		"arn:aws:kms:eu-central-1:123456789012:alias/mine": "arn:aws:kms:eu-central-1:123456789012:alias/mine",
	} {
		if got := (Secret{KMSKey: key}).SealingKey(); got != want {
			t.Errorf("%q: got %q, want %q", key, got, want)
		}
	}
}
