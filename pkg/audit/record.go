// Package audit keeps a record of every call: who did what to which secret,
// from where, and what came of it.
//
// A record has the shape of an event of CloudTrail, so that whatever reads those
// reads these. It is one line of JSON in each medium: an [io.Writer], a file on a
// laptop, a log group in the cloud. A value of a secret, a data key or a token of a
// rotation is never part of one, and no error of this package says what is in a
// record.
//
// Two limits are on purpose. Keep answers when the medium has taken the records: a
// file is not forced to the disk for each, so a loss of power (not of the process)
// may cost the last of them. And a medium that fails half-way may hold records of a
// Keep that answered with an error: of calls that were then refused.
package audit

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// Source is the service as CloudTrail names it.
const Source = "secretsmanager.amazonaws.com"

// A Trail keeps records.
type Trail interface {
	// Keep returns nil when all of the records are kept. After an error none may
	// be relied upon, though some may be there. It may be called concurrently.
	Keep(ctx context.Context, records ...Record) error
}

// A Record is one event in CloudTrail's shape, made by [Call] or [Event]. The
// maps hold strings, numbers, booleans, and lists and maps of these.
//
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
type Record struct {
	EventVersion string   `json:"eventVersion"`
	UserIdentity Identity `json:"userIdentity"`
	EventTime    Time     `json:"eventTime"`
	EventSource  string   `json:"eventSource"`
	EventName    string   `json:"eventName"`
	AWSRegion    string   `json:"awsRegion"`

	SourceIPAddress string `json:"sourceIPAddress"`
	UserAgent       string `json:"userAgent,omitempty"`
	ErrorCode       string `json:"errorCode,omitempty"`
	ErrorMessage    string `json:"errorMessage,omitempty"`

	// RequestParameters are the members of the request under the names that Member
	// gives, but for SecretString, SecretBinary and RotationToken. Nil is written as
	// null, and so are ResponseElements, which only an operation that changes
	// something has.
	RequestParameters   map[string]any `json:"requestParameters"`
	ResponseElements    map[string]any `json:"responseElements"`
	AdditionalEventData map[string]any `json:"additionalEventData,omitempty"`

	RequestID          string     `json:"requestID,omitempty"`
	EventID            string     `json:"eventID"`
	ReadOnly           bool       `json:"readOnly"`
	Resources          []Resource `json:"resources,omitempty"`
	EventType          string     `json:"eventType"`
	ManagementEvent    bool       `json:"managementEvent"`
	RecipientAccountID string     `json:"recipientAccountId,omitempty"`
	EventCategory      string     `json:"eventCategory"`
}

// A Resource is a secret that a call was about.
type Resource struct {
	AccountID string `json:"accountId,omitempty"`
	Type      string `json:"type"`
	ARN       string `json:"ARN"`
}

// Time is a moment, which a record tells to the second and in UTC.
type Time time.Time

// layout is time.RFC3339 but for the zone, which is always UTC.
const layout = "2006-01-02T15:04:05Z"

// MarshalJSON writes the time.
func (t Time) MarshalJSON() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, `"`+layout+`"`), nil
}

// UnmarshalJSON reads a time.
func (t *Time) UnmarshalJSON(text []byte) error {
	at, err := time.Parse(`"`+time.RFC3339+`"`, string(text))
	if err != nil {
		return errors.New("not a time")
	}
	*t = Time(at)
	return nil
}

// Call is the record of a call of an operation; id is its own, a UUID. Who called,
// from where and with what, and what came of it, is for the caller to add.
func Call(name, id string, at time.Time) Record {
	r := fresh(name, id, at)
	r.EventType = "AwsApiCall"
	r.ReadOnly = readOnly(name)
	return r
}

// The events that are no call.
//
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/cloudtrail_log_entries.html
const (
	RotationStarted           = "RotationStarted"
	RotationSucceeded         = "RotationSucceeded"
	RotationFailed            = "RotationFailed"
	RotationAbandoned         = "RotationAbandoned" // a new version was made while a rotation was under way
	TestRotationStarted       = "TestRotationStarted"
	TestRotationSucceeded     = "TestRotationSucceeded"
	TestRotationFailed        = "TestRotationFailed"
	StartSecretVersionDelete  = "StartSecretVersionDelete"
	EndSecretVersionDelete    = "EndSecretVersionDelete"
	CancelSecretVersionDelete = "CancelSecretVersionDelete" // for each version, by RestoreSecret
)

// DenialReason is the member of AdditionalEventData that says which statements of
// policies a denied call failed on.
const DenialReason = "denialReason"

// Event is the record of what the service itself did to a secret; the account and
// the region are those of the secret's ARN. message says what went wrong and is
// empty when nothing did. The caller may add members to AdditionalEventData, and
// the request's ID, which for a rotation has been seen as "Rotation-", the ARN, a
// hyphen and a UUID.
func Event(name, id string, at time.Time, secretARN, message string) Record {
	r := fresh(name, id, at)
	r.EventType = "AwsServiceEvent"
	if parsed, err := arn.Parse(secretARN); err == nil {
		r.AWSRegion, r.RecipientAccountID = parsed.Region, parsed.AccountID
	}
	r.UserIdentity = Identity{AccountID: r.RecipientAccountID, InvokedBy: Source}
	r.SourceIPAddress, r.UserAgent = Source, Source
	r.ErrorMessage = message
	// A recorded event has no resources: the secret is only here.
	r.AdditionalEventData = map[string]any{"SecretId": secretARN}
	return r
}

// fresh is what all records have in common.
func fresh(name, id string, at time.Time) Record {
	return Record{
		EventVersion:    "1.11",
		EventTime:       Time(at),
		EventSource:     Source,
		EventName:       name,
		EventID:         id,
		ManagementEvent: true,
		EventCategory:   "Management",
	}
}

// Secrets are the resources of a call about these secrets. What is no ARN, since
// no secret has that name, is left out.
func Secrets(arns ...string) []Resource {
	var resources []Resource
	for _, text := range arns {
		if parsed, err := arn.Parse(text); err == nil {
			resources = append(resources, Resource{AccountID: parsed.AccountID, Type: "AWS::SecretsManager::Secret", ARN: text})
		}
	}
	return resources
}

// readOnly tells by the name, which is a verb and what it is done to, whether an
// operation leaves everything as it was.
func readOnly(name string) bool {
	for _, verb := range []string{"Get", "BatchGet", "Describe", "List", "Validate"} {
		if strings.HasPrefix(name, verb) {
			return true
		}
	}
	return false
}

// Member is the name of a member of a request or an answer as CloudTrail writes it:
// SecretId is secretId, and RotationLambdaARN is rotationLambdaARN. ARN is arn;
// CloudTrail had written aRN until February 2024.
func Member(name string) string {
	if name == "ARN" {
		return "arn"
	}
	if name == "" {
		return ""
	}
	return strings.ToLower(name[:1]) + name[1:]
}
