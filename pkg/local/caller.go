package local

import (
	"net/http"
	"net/netip"
	"regexp"
	"strings"

	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/signature"
)

// anonymous is the user who gives no name.
const anonymous = "anonymous"

// userName is what the name of an IAM user may be, without a path.
var userName = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)

// Caller is who r says it is from, as a user of [Account].
func Caller(r *http.Request) policy.Caller { return callerIn(Account, r) }

// Unverified identifies a caller by the access key alone: it is the user of the
// account with that name. This proves nothing, anybody can use any access key; see
// [Credentials] for callers who prove it.
func Unverified(account string) Identify {
	return func(r *http.Request, _ []byte) (Identity, error) {
		return Identity{callerIn(account, r), scopeOf(r).region}, nil
	}
}

func callerIn(account string, r *http.Request) policy.Caller {
	key := scopeOf(r).accessKey
	if !userName.MatchString(key) {
		return newCaller(r, account, anonymous, "")
	}
	return newCaller(r, account, key, key)
}

// A scope is what a request says it was signed with, and for which Region. Each is empty
// where it is not said.
type scope struct{ accessKey, region string }

func scopeOf(r *http.Request) scope {
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return scope{}
	}
	parts := strings.SplitN(signature.Credential(headers[0]), "/", 6)
	if len(parts) != 5 { // keyid/date/region/service/term
		return scope{accessKey: parts[0]}
	}
	return scope{parts[0], parts[2]}
}

func newCaller(r *http.Request, account, user, accessKey string) policy.Caller {
	return policy.Caller{
		ARN:       "arn:aws:iam::" + account + ":user/" + user,
		Account:   account,
		UserID:    user,
		AccessKey: accessKey,
		SourceIP:  sourceIP(r.RemoteAddr),
		UserAgent: r.UserAgent(), // records hold the beginning
		Secure:    fromLoopback(r.RemoteAddr),
	}
}

// claimedKey is the ID of the access key that a request says it was signed with, to
// be shown in the log. It is empty for whatever could be a secret access key that
// somebody put in its place: those are longer, and slashes in them make more parts
// than a credential has.
func claimedKey(r *http.Request) string {
	parts := strings.Split(signature.Credential(r.Header.Get("Authorization")), "/")
	if len(parts) != 5 || !shownKeyID.MatchString(parts[0]) {
		return ""
	}
	return parts[0]
}

// shownKeyID is an access key ID that is too short to be a secret access key.
var shownKeyID = regexp.MustCompile(`^\w{1,31}$`)

// fromLoopback says whether a connection never leaves this machine, which is as good as
// TLS: policies that deny other than aws:SecureTransport hold here too.
func fromLoopback(remote string) bool {
	from, err := netip.ParseAddrPort(remote)
	return err == nil && from.Addr().Unmap().IsLoopback()
}

// sourceIP is the address of the connection. Headers are not trusted for it, since
// there is no proxy in front.
func sourceIP(remote string) string {
	from, err := netip.ParseAddrPort(remote)
	if err != nil {
		return ""
	}
	return from.Addr().Unmap().WithZone("").String()
}
