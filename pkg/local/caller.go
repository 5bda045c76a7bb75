package local

import (
	"net/http"
	"net/netip"
	"regexp"
	"strings"

	"github.com/strongroom/strongroom/pkg/policy"
)

// anonymous is the user who gives no name.
const anonymous = "anonymous"

// maxUserAgent is how much of the header is kept, as in CloudTrail's records.
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
const maxUserAgent = 1 << 10

// userName is what the name of an IAM user may be, without a path.
var userName = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)

// Caller is who r says it is from: the user of [Account] who is called like its
// access key. Nothing is proved by that, anybody can use any access key; see
// [Credentials] for callers who prove it.
func Caller(r *http.Request) policy.Caller {
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return newCaller(r, anonymous, "")
	}
	auth, _ := parseAuthorization(headers[0])
	key, _, _ := strings.Cut(auth.credential, "/")
	if !userName.MatchString(key) {
		return newCaller(r, anonymous, "")
	}
	return newCaller(r, key, key)
}

// Unverified identifies by [Caller]: whoever calls may.
func Unverified(r *http.Request) (policy.Caller, error) { return Caller(r), nil }

func newCaller(r *http.Request, user, accessKey string) policy.Caller {
	agent := r.UserAgent()
	if len(agent) > maxUserAgent {
		agent = strings.ToValidUTF8(agent[:maxUserAgent], "")
	}
	return policy.Caller{
		ARN:       "arn:aws:iam::" + Account + ":user/" + user,
		Account:   Account,
		UserID:    user,
		AccessKey: accessKey,
		SourceIP:  sourceIP(r.RemoteAddr),
		UserAgent: agent,
	}
}

// sourceIP is the address of the connection. What headers say of one is not
// looked at: there is no proxy here that could be trusted.
func sourceIP(remote string) string {
	from, err := netip.ParseAddrPort(remote)
	if err != nil {
		return ""
	}
	return from.Addr().Unmap().WithZone("").String()
}
