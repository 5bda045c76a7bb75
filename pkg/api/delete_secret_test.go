package api_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

var (
	windowOut      = refusal{"InvalidParameterException", "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive)."}
	windowAndForce = refusal{"InvalidParameterException", "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays."}
)

func deleteInput(name string, days int64, force *bool) *secretsmanager.DeleteSecretInput {
	in := &secretsmanager.DeleteSecretInput{SecretId: aws.String(name), ForceDeleteWithoutRecovery: force}
	if days >= 0 {
		in.RecoveryWindowInDays = aws.Int64(days)
	}
	return in
}

func TestDeleteSecretWindow(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	now := withClock(room, time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	for _, test := range []struct {
		name  string
		days  int64
		force *bool
		want  int
	}{
		{"default", -1, nil, 30},
		{"seven", 7, nil, 7},
		{"thirty", 30, nil, 30},
		{"not-forced", -1, aws.Bool(false), 30},
		{"seven-not-forced", 7, aws.Bool(false), 7},
	} {
		t.Run(test.name, func(t *testing.T) {
			arn := *create(t, room, test.name, "v1", "one").ARN
			out := must(room.SDK.DeleteSecret(t.Context(), deleteInput(test.name, test.days, test.force)))(t)
			want := now.now.AddDate(0, 0, test.want)
			if *out.ARN != arn || *out.Name != test.name || !out.DeletionDate.Equal(want) {
				t.Errorf("got ARN %s, Name %s, DeletionDate %s; want %s, %s, %s", *out.ARN, *out.Name, out.DeletionDate, arn, test.name, want)
			}
			called := now.now
			now.now = called.Add(time.Hour)
			if got := describe(t, room, test.name).DeletedDate; got == nil || !got.Equal(called) {
				t.Errorf("got DeletedDate %v, want %s, the time of the call", got, called)
			}
		})
	}
	createEmpty(t, room, "s")
	_, body := room.Post(t, "DeleteSecret", `{"SecretId":"s"}`)
	checkMembers(t, body, "ARN", "Name", "DeletionDate")
}

func TestDeleteSecretRefuses(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	create(t, room, "deleted", "v1", "one")
	schedule(t, room, "deleted")
	for _, test := range []struct {
		name string
		in   *secretsmanager.DeleteSecretInput
		want refusal
	}{
		{"6 days", deleteInput("s", 6, nil), windowOut},
		{"31 days", deleteInput("s", 31, nil), windowOut},
		{"0 days", deleteInput("s", 0, nil), windowOut},
		{"6 days, not forced", deleteInput("s", 6, aws.Bool(false)), windowOut},
		{"7 days, forced", deleteInput("s", 7, aws.Bool(true)), windowAndForce},
		{"30 days, forced", deleteInput("s", 30, aws.Bool(true)), windowAndForce},
		{"0 days, forced", deleteInput("s", 0, aws.Bool(true)), windowOut},
		{"6 days, forced", deleteInput("s", 6, aws.Bool(true)), windowOut},
		{"31 days, forced", deleteInput("s", 31, aws.Bool(true)), windowOut},
		{"31 days, forced, unknown", deleteInput("unknown", 31, aws.Bool(true)), windowOut},
		{"31 days, bad name", deleteInput("a b", 31, nil), invalidName},
		{"unknown", deleteInput("unknown", -1, nil), notFound},
		{"bad name", deleteInput("a b", -1, nil), invalidName},
		{"bad name, forced", deleteInput("a b", -1, aws.Bool(true)), invalidName},
		{"already scheduled", deleteInput("deleted", -1, nil), refusal{"InvalidRequestException", "You can't perform this operation on the secret because it was already scheduled for deletion."}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, room := range []*localtest.Room{room, room.Another(t)} {
				refuses(t, room, test.want, func() (*secretsmanager.DeleteSecretOutput, error) {
					return room.SDK.DeleteSecret(t.Context(), test.in)
				})
			}
		})
	}
	refusesPost(t, room, "DeleteSecret", `{"SecretId":"s","RecoveryWindowInDays":-9223372036854775808}`, windowOut)
	refusesPost(t, room, "DeleteSecret", `{"SecretId":"s","RecoveryWindowInDays":9223372036854775807}`, windowOut)
}

func TestDeleteSecretForced(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	now := withClock(room, time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	for _, test := range []struct {
		name    string
		prepare func(name string)
	}{
		{"with-versions", func(name string) { create(t, room, name, "v1", "one"); put(t, room, name, "v2", "two") }},
		{"without-versions", func(name string) { createEmpty(t, room, name) }},
		{"scheduled", func(name string) { create(t, room, name, "v1", "one"); schedule(t, room, name) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.prepare(test.name)
			arn := *describe(t, room, test.name).ARN
			out := forceDelete(t, room, test.name)
			if *out.ARN != arn || *out.Name != test.name || !out.DeletionDate.Equal(now.now) {
				t.Errorf("got ARN %s, Name %s, DeletionDate %s; want %s, %s, %s", *out.ARN, *out.Name, out.DeletionDate, arn, test.name, now.now)
			}
			for _, room := range []*localtest.Room{room, room.Another(t)} {
				for _, id := range []string{test.name, arn} {
					refuses(t, room, notFound, func() (*secretsmanager.DescribeSecretOutput, error) {
						return room.SDK.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(id)})
					})
					refuses(t, room, notFound, func() (*secretsmanager.GetSecretValueOutput, error) {
						return room.SDK.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String(id)})
					})
				}
			}
		})
	}
}

// A secret that is not there is deleted as well.
func TestDeleteSecretForcedUnknown(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	old := *create(t, room, "again", "v1", "one").ARN
	forceDelete(t, room, "again")
	now := withClock(room, time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	create(t, room, "again", "v2", "two")
	full := localtest.ARNs.Of("unknown", "abcdef")
	made := regexp.MustCompile("^" + localtest.ARNs.Of("unknown", "[A-Za-z0-9]{6}$"))
	for _, test := range []struct {
		id, name string
		arn      *regexp.Regexp
	}{
		{"unknown", "unknown", made},
		{full[:len(full)-7], "unknown", made},
		{full, "unknown", regexp.MustCompile("^" + full + "$")},
		// The ARN of a secret that is gone does not touch the one that has its name now.
		{old, "again", regexp.MustCompile("^" + old + "$")},
	} {
		t.Run(test.id, func(t *testing.T) {
			before := dump(t, room)
			out := forceDelete(t, room, test.id)
			if !test.arn.MatchString(*out.ARN) || *out.Name != test.name || !out.DeletionDate.Equal(now.now) {
				t.Errorf("got ARN %s, Name %s, DeletionDate %s; want %s, %s, %s", *out.ARN, *out.Name, out.DeletionDate, test.arn, test.name, now.now)
			}
			checkSame(t, before, dump(t, room))
		})
	}
	if got := *get(t, room, "again").SecretString; got != "two" {
		t.Errorf("got value %q, want two", got)
	}
}
