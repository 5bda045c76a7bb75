// Package audit keeps a record of every call: who did what to which secret, from
// where, and with what result.
//
// A record has the shape of a CloudTrail event, so that CloudTrail's tools can read
// it. It is one line of JSON in every trail: a file on a laptop, the output of a function
// in the cloud. It never contains the value of a secret, a data key or a rotation
// token, and no error of this package contains parts of a record.
//
// The record of a change holds all of it, values apart: the API bounds what a request may
// hold so that it fits in a line. A record with an errorCode tells of a call that changed
// nothing, unless additionalEventData.outcome is "unknown": then the time of the call
// ended, or an answer of the database was lost, while the change was being committed.
// Records of refused calls are short: from a size on, requestParameters names the secret
// alone, with "omitted" and "originalSize" beside it as in CloudTrail. A string that is
// cut ends with an ellipsis.
//
// Two limits are on purpose. Files are not synced for each record, so that a power
// failure (not the end of the process) may lose the last ones. And a trail that fails
// half-way may contain records of a Keep that returned an error: of calls that were
// then rejected.
package audit

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/google/uuid"
)

// Source is the service as CloudTrail names it.
const Source = "secretsmanager.amazonaws.com"

// A Trail keeps records.
type Trail interface {
	// Keep returns nil when all of the records are kept. After an error any of
	// them may be there. It is safe for concurrent use.
	Keep(ctx context.Context, records ...Record) error
}

// A Record is one event in CloudTrail's shape, made by [Call] or [Event]. The maps
// contain strings, numbers, booleans, and lists and maps of these.
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

	// RequestParameters are the members of the request, with names from Member,
	// except SecretString, SecretBinary and RotationToken. ResponseElements are only
	// set by operations that change something. Nil is written as null.
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

// Time is a time, written in UTC and whole seconds.
type Time time.Time

// layout is time.RFC3339 in UTC.
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

// Call is the record of a call of an operation; id is a UUID. The caller adds who
// called, from where, with what parameters, and the result.
func Call(name, id string, at time.Time) Record {
	r := fresh(name, id, at)
	r.EventType = "AwsApiCall"
	r.ReadOnly = IsReadOnly(name)
	return r
}

// The events that are not calls.
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
	StartSecretVersionDelete  = "StartSecretVersionDelete"  // by DeleteSecret, see [VersionEvents]
	CancelSecretVersionDelete = "CancelSecretVersionDelete" // by RestoreSecret
	EndSecretVersionDelete    = "EndSecretVersionDelete"    // when it is removed
)

// Members of AdditionalEventData.
const (
	DenialReason = "denialReason" // by which policy statements a call was denied
	Outcome      = "outcome"      // of a call that failed and may have changed something
)

// OutcomeUnknown is the Outcome of a call that may have changed something or not.
const OutcomeUnknown = "unknown"

// IsRefused says whether a call has changed nothing, for certain, and has given out
// nothing.
func (r Record) IsRefused() bool {
	return r.ErrorCode != "" && r.AdditionalEventData[Outcome] != OutcomeUnknown
}

// Event is the record of what the service itself did to a secret; account and Region
// are those of the secret's ARN. message is an error message, or empty. The caller may
// add members to AdditionalEventData, and the request ID: for a rotation AWS was seen
// to use "Rotation-", the ARN, a hyphen and a UUID.
func Event(name, id string, at time.Time, secretARN, message string) Record {
	r := fresh(name, id, at)
	r.EventType = "AwsServiceEvent"
	if parsed, err := arn.Parse(secretARN); err == nil {
		r.AWSRegion, r.RecipientAccountID = parsed.Region, parsed.AccountID
	}
	r.UserIdentity = Identity{AccountID: r.RecipientAccountID, InvokedBy: Source}
	r.SourceIPAddress, r.UserAgent = Source, Source
	r.ErrorMessage = message
	// AWS's events have no resources: the secret is only here.
	r.AdditionalEventData = map[string]any{"SecretId": secretARN}
	return r
}

// VersionEvents are records of what the service did to versions of a secret, one for
// each. AWS documents the names of these events and that there is one for each version;
// the member that names the version, and which versions DeleteSecret and RestoreSecret
// tell of (here those with a label, which are few), are guesses.
func VersionEvents(name string, at time.Time, secretARN string, versions []string) []Record {
	records := make([]Record, 0, len(versions))
	for _, version := range versions {
		r := Event(name, uuid.NewString(), at, secretARN, "")
		r.AdditionalEventData["SecretVersionId"] = version
		records = append(records, r)
	}
	return records
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

// Secrets are the resources of a call about these secrets. Names of secrets that do not
// exist, which have no ARN, are left out.
func Secrets(arns ...string) []Resource {
	var resources []Resource
	for _, text := range arns {
		if parsed, err := arn.Parse(text); err == nil {
			resources = append(resources, Resource{AccountID: parsed.AccountID, Type: "AWS::SecretsManager::Secret", ARN: text})
		}
	}
	return resources
}

// IsReadOnly says whether an operation changes nothing, by the verb that its name begins
// with.
func IsReadOnly(name string) bool {
	for _, verb := range []string{"Get", "BatchGet", "Describe", "List", "Validate"} {
		if strings.HasPrefix(name, verb) {
			return true
		}
	}
	return false
}

// Member is the name of a member of a request or response as CloudTrail writes it:
// SecretId is secretId, and RotationLambdaARN is rotationLambdaARN. ARN is arn; until
// February 2024 CloudTrail wrote aRN.
func Member(name string) string {
	if name == "ARN" {
		return "arn"
	}
	if name == "" {
		return ""
	}
	return strings.ToLower(name[:1]) + name[1:]
}
