package audit

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// The types of an Identity.
const (
	IAMUser       = "IAMUser"
	AssumedRole   = "AssumedRole"
	Root          = "Root"
	FederatedUser = "FederatedUser"
	AWSService    = "AWSService"
	Unknown       = "Unknown"
)

// An Identity is who called. That of an event of the service has no type.
//
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
type Identity struct {
	Type           string          `json:"type,omitempty"`
	PrincipalID    string          `json:"principalId,omitempty"`
	ARN            string          `json:"arn,omitempty"`
	AccountID      string          `json:"accountId,omitempty"`
	AccessKeyID    string          `json:"accessKeyId,omitempty"`
	UserName       string          `json:"userName,omitempty"`
	SessionContext *SessionContext `json:"sessionContext,omitempty"`
	InvokedBy      string          `json:"invokedBy,omitempty"`
}

// A SessionContext is the origin of temporary credentials.
type SessionContext struct {
	SessionIssuer SessionIssuer `json:"sessionIssuer"`
}

// A SessionIssuer is the role that was assumed.
type SessionIssuer struct {
	Type        string `json:"type"`
	PrincipalID string `json:"principalId,omitempty"`
	ARN         string `json:"arn,omitempty"`
	AccountID   string `json:"accountId,omitempty"`
	UserName    string `json:"userName,omitempty"`
}

// IdentityOf is the caller as authenticated by API Gateway: identity.userArn, accountId,
// user and accessKey of the request's context. Callers of another account, of whom
// CloudTrail records the account only (AWSAccount), are recorded in full.
//
//	arn:aws:iam::123456789012:user/team/ann            IAMUser ann
//	arn:aws:sts::123456789012:assumed-role/app/i-0abc  AssumedRole, issued by role app
//	arn:aws:sts::123456789012:federated-user/bob       FederatedUser
//	arn:aws:iam::123456789012:root                     Root
//	anything else                                      Unknown
func IdentityOf(userARN, account, userID, accessKey string) Identity {
	id := Identity{Type: Unknown, PrincipalID: userID, ARN: userARN, AccountID: account, AccessKeyID: accessKey}
	parsed, err := arn.Parse(userARN)
	if err != nil || parsed.Partition == "" || parsed.Region != "" || !isAccount(parsed.AccountID) {
		return id
	}
	if id.AccountID == "" {
		id.AccountID = parsed.AccountID
	}
	kind, rest, _ := strings.Cut(parsed.Resource, "/")
	name := rest[strings.LastIndex(rest, "/")+1:] // what comes before is a user's path
	switch {
	case parsed.Service == "iam" && parsed.Resource == "root":
		id.Type = Root
	case parsed.Service == "iam" && kind == "user" && name != "":
		id.Type, id.UserName = IAMUser, name
	case parsed.Service == "sts" && kind == "federated-user" && name != "":
		id.Type = FederatedUser // who federated the user is unknown
	case parsed.Service == "sts" && kind == "assumed-role" && name != "" && strings.Count(rest, "/") == 1 && rest[0] != '/':
		id.Type = AssumedRole
		role, _, _ := strings.Cut(rest, "/")
		// The ARN of a session does not contain the role's path, so neither does
		// this ARN of the role.
		issuer := arn.ARN{Partition: parsed.Partition, Service: "iam", AccountID: parsed.AccountID, Resource: "role/" + role}
		// The user ID is the role's ID, a colon, and the session name.
		roleID, _, _ := strings.Cut(userID, ":")
		id.SessionContext = &SessionContext{SessionIssuer: SessionIssuer{
			Type: "Role", PrincipalID: roleID, ARN: issuer.String(), AccountID: parsed.AccountID, UserName: role,
		}}
	}
	return id
}

// isAccount says whether s is the ID of an account.
func isAccount(s string) bool { return len(s) == 12 && strings.Trim(s, "0123456789") == "" }
