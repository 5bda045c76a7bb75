package policy

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A naive decides the slow way: it reads the JSON anew for each request, and
// turns every pattern into a regular expression. It is here to disagree with
// Decide.
type naive struct{ Request }

// Its truth is a string: yes, no, or maybe.
func (naive) and(a, b string) string {
	if a == "no" || b == "no" {
		return "no"
	}
	if a == "maybe" || b == "maybe" {
		return "maybe"
	}
	return "yes"
}

func (n naive) negate(a string) string {
	return map[string]string{"yes": "no", "no": "yes", "maybe": "maybe"}[a]
}

func (n naive) or(a, b string) string { return n.negate(n.and(n.negate(a), n.negate(b))) }

func truth(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

var (
	callerUser    = regexp.MustCompile(`^arn:([^:]+):iam::(\d{12}):user/((?:.*/)?([^/]+))$`)
	callerRoot    = regexp.MustCompile(`^arn:([^:]+):iam::(\d{12}):root$`)
	callerSession = regexp.MustCompile(`^arn:([^:]+):sts::(\d{12}):assumed-role/([^/]+)/([^/]+)$`)
	callerFed     = regexp.MustCompile(`^arn:([^:]+):sts::(\d{12}):federated-user/(.*[^/])$`)
)

// isKnown says whether the caller is identified.
func (n naive) isKnown() bool {
	for _, re := range []*regexp.Regexp{callerUser, callerRoot, callerSession, callerFed} {
		if m := re.FindStringSubmatch(n.Caller.ARN); m != nil {
			return m[2] == n.Caller.Account
		}
	}
	return false
}

func (n naive) isSession() bool { return n.isKnown() && callerSession.MatchString(n.Caller.ARN) }

// roleARN is the role of a session, or else the caller.
func (n naive) roleARN() string {
	return callerSession.ReplaceAllString(n.Caller.ARN, "arn:$1:iam::$2:role/$3")
}

// canonicalKey is a key under the name that a request has it under.
func canonicalKey(key string) string {
	return strings.Replace(strings.ToLower(key), "secretsmanager:resourcetag/", "aws:resourcetag/", 1)
}

// lacks says whether a key has a value that is not known.
func (n naive) lacks(key string) bool { return slices.Contains(n.Unknown, canonicalKey(key)) }

// readings are the request as it says, and as it means.
func (n naive) readings() []naive {
	meant := n
	meant.Keys = maps.Clone(n.Keys)
	maps.Copy(meant.Keys, n.Implied)
	return []naive{n, meant}
}

// lookup is what the request has for a key.
func (n naive) lookup(key string) []string {
	one := func(s string) []string {
		if s == "" {
			return nil
		}
		return []string{s}
	}
	key = strings.ToLower(key)
	switch key {
	case "aws:principalarn", "aws:principalaccount", "aws:username":
		if !n.isKnown() {
			return nil
		}
	}
	switch key {
	case "aws:principalarn":
		return one(n.roleARN())
	case "aws:principalaccount":
		return one(n.Caller.Account)
	case "aws:username":
		if m := callerUser.FindStringSubmatch(n.Caller.ARN); m != nil {
			return one(m[4])
		}
		return nil
	case "aws:userid":
		return one(n.Caller.UserID)
	case "aws:principalorgid":
		return one(n.Caller.OrgID)
	case "aws:sourceip", "aws:vpcsourceip":
		if (n.Caller.VPCE != "") == (key == "aws:vpcsourceip") {
			return one(n.Caller.SourceIP)
		}
		return nil
	case "aws:sourcevpce":
		return one(n.Caller.VPCE)
	case "aws:securetransport":
		return []string{fmt.Sprint(n.Caller.Secure)}
	case "aws:currenttime":
		return []string{n.Time.UTC().Format("2006-01-02T15:04:05Z")}
	case "aws:epochtime":
		return []string{fmt.Sprint(n.Time.Unix())}
	case "aws:viaawsservice":
		return []string{"false"}
	case "aws:sourcearn":
		return nil
	}
	return n.Keys[canonicalKey(key)]
}

var variableOf = regexp.MustCompile(`\$\{\s*([^,}]+?)\s*(?:,\s*'([^']*)'\s*)?\}`)

// A form is a pattern whose variables have become characters of their own.
type form struct {
	text   string
	values map[rune]string
	lacks  bool // one has no value
	unsure bool // one has a value that is not known
}

func (n naive) form(pattern string, wildcards bool, version string) form {
	f := form{values: map[rune]string{}}
	next := '\ue000'
	put := func(s string) string {
		f.values[next] = s
		next++
		return string(next - 1)
	}
	f.text = pattern
	if version == "2012-10-17" {
		f.text = variableOf.ReplaceAllStringFunc(f.text, func(s string) string {
			m := variableOf.FindStringSubmatch(s)
			if m[1] == "*" || m[1] == "?" || m[1] == "$" {
				return put(m[1])
			}
			if n.lacks(m[1]) {
				f.lacks, f.unsure = true, true
				return put("")
			}
			if vs := n.lookup(m[1]); len(vs) == 1 && vs[0] != "" {
				return put(vs[0])
			}
			if strings.Contains(s, ",") {
				return put(m[2])
			}
			f.lacks = true
			return put("")
		})
	}
	if !wildcards {
		f.text = strings.NewReplacer("*", put("*"), "?", put("?")).Replace(f.text)
	}
	return f
}

// fits says whether s is of the form of text, a part of f.text.
func (f form) fits(text, s string, flags string) bool {
	var re strings.Builder
	re.WriteString("(?s" + flags + ")^(?:")
	for _, r := range text {
		switch v, ok := f.values[r]; {
		case ok:
			re.WriteString(regexp.QuoteMeta(v))
		case r == '*':
			re.WriteString(".*")
		case r == '?':
			re.WriteString(".")
		default:
			re.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	re.WriteString(")$")
	return !f.lacks && regexp.MustCompile(re.String()).MatchString(s)
}

var (
	withPath = regexp.MustCompile(`^([^/]*/)(.*)/([^/]*)$`)
	unfixed  = regexp.MustCompile(`[*?\x{e000}-\x{f8ff}]`)
)

// resembles compares a value with one of a policy's, for text and ARNs.
func (n naive) resembles(op, key, version, pattern, s string) string {
	isARN := strings.HasPrefix(op, "Arn")
	f := n.form(pattern, isARN || strings.HasSuffix(op, "Like"), version)
	if f.unsure {
		return "maybe"
	}
	good := "yes"
	if strings.EqualFold(key, "aws:PrincipalArn") && n.isSession() {
		if m := withPath.FindStringSubmatch(f.text); m != nil {
			f.text = m[1] + m[3]
			if unfixed.MatchString(m[2] + m[3]) {
				good = "maybe"
			}
		}
	}
	flags := ""
	if strings.HasSuffix(op, "IgnoreCase") {
		flags = "i"
	}
	if isARN && len([]rune(f.text)) > 1 {
		want, got := strings.SplitN(f.text, ":", 6), strings.SplitN(s, ":", 6)
		if len(got) != 6 {
			return "no"
		}
		for i := range want {
			if !f.fits(want[i], got[i], "") {
				return "no"
			}
		}
		return good
	}
	if !f.fits(f.text, s, flags) {
		return "no"
	}
	return good
}

// compare says whether s compares to pattern, and whether it is of the right type.
func (n naive) compare(op, key, version, pattern, s string) (string, bool) {
	order := func(c int) bool {
		switch {
		case strings.HasSuffix(op, "LessThan"):
			return c < 0
		case strings.HasSuffix(op, "LessThanEquals"):
			return c <= 0
		case strings.HasSuffix(op, "GreaterThan"):
			return c > 0
		case strings.HasSuffix(op, "GreaterThanEquals"):
			return c >= 0
		}
		return c == 0
	}
	switch {
	case strings.HasPrefix(op, "String"), strings.HasPrefix(op, "Arn"):
		return n.resembles(op, key, version, pattern, s), true
	case strings.HasPrefix(op, "Numeric"):
		want, _ := strconv.ParseFloat(pattern, 64)
		got, err := strconv.ParseFloat(s, 64)
		if err != nil || !regexp.MustCompile(`^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$`).MatchString(s) {
			return "no", false
		}
		c := 0
		if got < want {
			c = -1
		} else if got > want {
			c = 1
		}
		return truth(order(c)), true
	case strings.HasPrefix(op, "Date"):
		want, _ := n.date(pattern)
		got, ok := n.date(s)
		return truth(ok && order(got.Compare(want))), ok
	case op == "Bool":
		s := strings.ToLower(s)
		return truth(s == strings.ToLower(pattern)), s == "true" || s == "false"
	case op == "BinaryEquals":
		return truth(base64.StdEncoding.EncodeToString([]byte(s)) == pattern), true
	}
	ip := net.ParseIP(s)
	if a, err := netip.ParseAddr(s); err != nil || a.Zone() != "" {
		ip = nil
	}
	if !strings.Contains(pattern, "/") {
		if strings.Contains(pattern, ":") {
			pattern += "/128"
		} else {
			pattern += "/32"
		}
	}
	_, network, err := net.ParseCIDR(pattern)
	return truth(err == nil && ip != nil && network.Contains(ip)), ip != nil
}

func (naive) date(s string) (time.Time, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && len(s) != 4 {
		return time.Unix(n, 0), true
	}
	for _, form := range []string{"2006", "2006-01", "2006-01-02", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05Z07:00"} {
		if t, err := time.Parse(form, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

var negations = map[string]string{
	"StringNotEquals": "StringEquals", "StringNotLike": "StringLike", "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
	"NumericNotEquals": "NumericEquals", "DateNotEquals": "DateEquals", "NotIpAddress": "IpAddress", "ArnNotLike": "ArnLike", "ArnNotEquals": "ArnEquals",
}

func (n naive) condition(name, key, version string, want []string) string {
	got := n.lookup(key)
	if n.lacks(key) {
		if got = []string{"?"}; name != "Null" {
			return "maybe"
		}
	}
	if name == "Null" {
		a := "no"
		for _, w := range want {
			a = n.or(a, truth((strings.ToLower(w) == "true") == (len(got) == 0)))
		}
		return a
	}
	set, op, ok := strings.Cut(name, ":")
	if !ok {
		set, op = "", name
	}
	op, ifExists := strings.CutSuffix(op, "IfExists")
	plain, negated := negations[op]
	if !negated {
		plain = op
	}
	if len(got) == 0 {
		switch {
		case set == "ForAnyValue" && ifExists:
			return "maybe"
		case set == "ForAnyValue":
			return "no"
		}
		return truth(set == "ForAllValues" || ifExists || negated)
	}
	test := func(s string) string {
		a, typed := "no", true
		for _, w := range want {
			var b string
			b, typed = n.compare(plain, key, version, w, s)
			a = n.or(a, b)
		}
		switch {
		case !typed && negated:
			return "maybe"
		case !typed:
			return "no"
		case negated:
			return n.negate(a)
		}
		return a
	}
	if set == "" && len(got) > 1 {
		return "maybe"
	}
	a := truth(set != "ForAnyValue")
	for _, s := range got {
		if set == "ForAnyValue" {
			a = n.or(a, test(s))
		} else {
			a = n.and(a, test(s))
		}
	}
	return a
}

// names says whether a principal names the caller, and whether by its account.
func (n naive) names(id string) (yes, asAccount bool) {
	if !n.isKnown() {
		return id == "*", false
	}
	if id == "*" || id == n.Caller.ARN && !callerRoot.MatchString(id) {
		return true, false
	}
	mine := "arn:" + strings.Split(n.Caller.ARN, ":")[1] + ":iam::" + n.Caller.Account + ":root"
	if id == mine || id == n.Caller.Account {
		return true, true
	}
	role := regexp.MustCompile(`^(arn:[^:]+:iam::\d+:role/)(.*/)?([^/]+)$`).ReplaceAllString(id, "$1$3")
	return n.isSession() && role == n.roleARN(), false
}

func accountOf(id string) string {
	if len(id) == 12 {
		return id
	}
	return strings.Split(id+":::::", ":")[4]
}

// isAbout says whether a statement is about the caller: no, yes, or that it leaves
// it to the account.
func (n naive) isAbout(s map[string]any, inSet bool) string {
	p, except := s["Principal"], false
	if q, ok := s["NotPrincipal"]; ok {
		p, except = q, true
	}
	var ids []string
	if p == "*" {
		ids = []string{"*"}
	} else {
		ids = strs2(p.(map[string]any)["AWS"])
	}
	isAccountID := func(id string) bool { return len(id) == 12 || strings.HasSuffix(id, ":root") }
	if !except {
		about := "no"
		for _, id := range ids {
			if yes, asAccount := n.names(id); yes && asAccount && !inSet && s["Effect"] == "Allow" {
				if about == "no" {
					about = "leaves it"
				}
			} else if yes {
				about = "yes"
			}
		}
		return about
	}
	for _, id := range ids {
		yes, asAccount := n.names(id)
		if !yes {
			continue
		}
		if s["Effect"] == "Allow" || id == "*" {
			return "no"
		}
		narrower := false
		for _, other := range ids {
			if asAccount && !isAccountID(other) && other != "*" && accountOf(other) == n.Caller.Account {
				narrower = true
			}
			if strings.Contains(id, ":role/") && other == n.Caller.ARN {
				return "no"
			}
			if strings.Contains(id, ":role/") && strings.HasPrefix(other, strings.Join(strings.Split(n.Caller.ARN, "/")[:2], "/")+"/") {
				narrower = true
			}
		}
		if asAccount && !callerRoot.MatchString(n.Caller.ARN) && !inSet || narrower && !callerRoot.MatchString(n.Caller.ARN) {
			continue
		}
		return "no"
	}
	return "yes"
}

func strs2(v any) []string {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		var all []string
		for _, one := range v {
			all = append(all, fmt.Sprint(one))
		}
		return all
	}
	return []string{fmt.Sprint(v)}
}

// fits says whether the resource and the conditions of a statement are those of a request.
func (n naive) fits(s map[string]any, version string) string {
	fits := "no"
	patterns, except := strs2(s["Resource"]), false
	if s["NotResource"] != nil {
		patterns, except = strs2(s["NotResource"]), true
	}
	for _, p := range patterns {
		f := n.form(p, true, version)
		b := truth(f.fits(f.text, n.Resource, ""))
		if f.unsure || f.lacks && except {
			b = "maybe"
		}
		fits = n.or(fits, b)
	}
	if except {
		fits = n.negate(fits)
	}
	conditions, _ := s["Condition"].(map[string]any)
	for op, keys := range conditions {
		for key, want := range keys.(map[string]any) {
			fits = n.and(fits, n.condition(op, key, version, strs2(want)))
		}
	}
	return fits
}

// decide is Decide.
func (n naive) decide(documents []string, onSecret string) (allowed, explicit bool, side Side) {
	type says struct{ allow, leave, deny bool }
	ask := func(text string, inSet bool) (a says) {
		var document map[string]any
		if err := json.Unmarshal([]byte(text), &document); err != nil {
			panic(err)
		}
		version, _ := document["Version"].(string)
		for _, v := range document["Statement"].([]any) {
			s := v.(map[string]any)
			fits := "no"
			patterns, except := strs2(s["Action"]), false
			if s["NotAction"] != nil {
				patterns, except = strs2(s["NotAction"]), true
			}
			for _, p := range patterns {
				fits = n.or(fits, truth(n.form(p, true, "").fits(p, n.Action, "i")))
			}
			if except {
				fits = n.negate(fits)
			}
			readings := n.readings()
			said, meant := readings[0].fits(s, version), readings[1].fits(s, version)
			if said != meant {
				said = "maybe"
			}
			fits = n.and(fits, said)
			about := n.isAbout(s, inSet)
			switch {
			case s["Effect"] == "Deny":
				a.deny = a.deny || about != "no" && fits != "no"
			case about == "yes":
				a.allow = a.allow || fits == "yes"
			case about == "leaves it":
				a.leave = a.leave || fits == "yes"
			}
		}
		return a
	}
	var identity, resource says
	for _, text := range documents {
		a := ask(text, true)
		identity = says{identity.allow || a.allow, false, identity.deny || a.deny}
	}
	if onSecret != "" {
		resource = ask(onSecret, false)
	}
	own := n.Caller.Account == n.Owner
	switch {
	case identity.deny:
		return false, true, IdentityBased
	case resource.deny:
		return false, true, ResourceBased
	case !n.isKnown():
		return false, false, IdentityBased
	case own && identity.allow:
		return true, false, IdentityBased
	case own && resource.allow:
		return true, false, ResourceBased
	case own || !identity.allow:
		return false, false, IdentityBased
	}
	return resource.allow || resource.leave, false, ResourceBased
}

// A maker writes policies and requests from bytes.
type maker struct{ b []byte }

func (m *maker) below(n int) int {
	if len(m.b) == 0 {
		return 0
	}
	i := int(m.b[0]) % n
	m.b = m.b[1:]
	return i
}

func (m *maker) of(all ...string) string { return all[m.below(len(all))] }

func (m *maker) some(all ...string) string {
	var picked []string
	for range 1 + m.below(3) {
		b, _ := json.Marshal(m.of(all...))
		picked = append(picked, string(b))
	}
	if len(picked) == 1 {
		return picked[0]
	}
	return "[" + strings.Join(picked, ", ") + "]"
}

var (
	makerPrincipals = []string{
		"*", home, abroad, "arn:aws:iam::123456789012:root", "arn:aws:iam::444455556666:root", alice, "arn:aws:iam::123456789012:user/alice", app,
		"arn:aws:iam::444455556666:role/app", "arn:aws:sts::123456789012:assumed-role/app/alice", "arn:aws:sts::123456789012:assumed-role/app/i-1",
		"arn:aws:sts::123456789012:federated-user/alice", "arn:aws:iam::123456789012:role/other",
	}
	makerResources = []string{
		"*", "arn:aws:secretsmanager:*", "arn:aws:secretsmanager:*:*:secret:prod/*", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:*/db-??????",
		"arn:aws:secretsmanager:*:*:secret:${aws:username}/*", "arn:aws:secretsmanager:*:*:secret:${aws:ResourceTag/team, 'prod'}/*", someARN,
		"arn:aws:secretsmanager:*:*:secret:*${aws:ResourceTag/team}*${*}*", "arn:aws:secretsmanager:*:*:secret:a*b*a?a*", "arn:aws:*:*:*:*-AbCdEf",
	}
	makerTexts = []string{
		"alice", "ALICE", "prod", "*", "a*", "*a", "?", "", "${aws:username}", "${aws:ResourceTag/team}", "${aws:username, 'x'}*", "a${*}b", "x${$}", "*b*a*", "true", "7", "AWSCURRENT",
		"2026-03-04T12:00:00Z", "arn:aws:iam::123456789012:role/app", "arn:aws:iam::123456789012:role/*", "arn:aws:iam::123456789012:role/service/*", "*role*/app", "${secretsmanager:Name}",
		"arn:aws:iam::123456789012:user/team/${aws:username}", "${", "é", "É",
	}
	makerARNs = []string{
		"*", alice, app, "arn:aws:iam::123456789012:role/app", "arn:aws:iam::123456789012:*", "arn:*:*::123456789012:role/a*", "arn:aws:iam::*:role/service/*", "arn:aws:iam::*:role/*/app",
		"arn:aws:iam::${aws:PrincipalAccount}:user/*/${aws:username}", "${aws:PrincipalArn}", "${aws:ResourceTag/arn}", "arn:aws:iam::123456789012:role/se?vice/app", "arn:aws:*:*:*:*alice",
		"arn:aws:iam::${aws:ResourceTag/team}:root", "arn:aws:iam::123456789012:role/${aws:ResourceTag/team}/app", "arn:aws:iam::*:root",
	}
	makerValues = [][2]string{ // what may stand under an operator, by its beginning
		{"Numeric", "7 7.0 -1e2 30 0 1772625600"},
		{"Date", "2026-03-04T12:00:00Z 2026-03-04T13:00+01:00 2026 2020-01 1772625600"},
		{"Bool", "true false True"},
		{"Null", "true false"},
		{"Binary", "YWxpY2U= Nw=="},
		{"IpAddress", "203.0.113.0/24 0.0.0.0/0 ::/0 2001:db8::/32 203.0.113.7 ::ffff:203.0.113.0/120"},
		{"NotIp", "203.0.113.0/24 0.0.0.0/0 ::/0 2001:db8::/32 203.0.113.7 ::1"},
	}
	makerOperators = []string{
		"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike", "NumericEquals", "NumericNotEquals", "NumericLessThan",
		"NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals", "DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals",
		"Bool", "BinaryEquals", "IpAddress", "NotIpAddress", "ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLike", "Null",
	}
	makerKeys = []string{
		"aws:PrincipalArn", "aws:PrincipalAccount", "aws:username", "aws:userid", "aws:PrincipalOrgID", "aws:SourceIp", "aws:VpcSourceIp", "aws:SourceVpce", "aws:SecureTransport", "aws:CurrentTime",
		"aws:EpochTime", "aws:ViaAWSService", "aws:SourceArn", "aws:ResourceTag/team", "secretsmanager:ResourceTag/Team", "aws:ResourceTag/arn", "aws:RequestTag/two", "secretsmanager:Name",
		"secretsmanager:VersionStage", "secretsmanager:RecoveryWindowInDays",
	}
)

func (m *maker) condition() string {
	op := m.of(makerOperators...)
	values := makerTexts
	if strings.HasPrefix(op, "Arn") {
		values = makerARNs
	}
	for _, v := range makerValues {
		if strings.HasPrefix(op, v[0]) {
			values = strings.Fields(v[1])
		}
	}
	key := m.of(makerKeys...)
	if op != "Null" {
		set := m.of("", "", "ForAllValues:", "ForAnyValue:")
		if set != "" && m.below(2) == 0 {
			key = "aws:TagKeys"
		}
		op = set + op + m.of("", "", "IfExists")
	}
	return `"` + op + `": {"` + key + `": ` + m.some(values...) + `}`
}

func (m *maker) statement() string {
	switch m.below(4) { // what hangs on a condition, a principal or a resource alone
	case 0:
		return says(m.of("Allow", "Deny"), all, `"Condition": {`+m.condition()+`}`)
	case 1:
		return says(m.of("Allow", "Deny"), `"`+m.of("", "Not")+`Principal": {"AWS": `+m.some(makerPrincipals...)+`}`)
	case 2:
		return `{"Effect": "` + m.of("Allow", "Deny") + `", "Principal": "*", "Action": "*", "` + m.of("", "Not") + `Resource": ` + m.some(makerResources...) + `}`
	}
	s := `{"Effect": "` + m.of("Allow", "Deny", "Allow") + `", "` + m.of("", "", "", "Not") + `Principal": `
	if m.below(4) == 0 {
		s += `"*"`
	} else {
		s += `{"AWS": ` + m.some(makerPrincipals...) + `}`
	}
	s += `, "` + m.of("", "", "Not") + `Action": ` + m.some("*", "secretsmanager:GetSecretValue", "secretsmanager:get*", "secretsmanager:Put*", "SecretsManager:*Value")
	s += `, "` + m.of("", "", "Not") + `Resource": ` + m.some(makerResources...)
	var all []string
	for range m.below(3) {
		if c := m.condition(); len(all) == 0 || strings.Split(all[0], ":")[0] != strings.Split(c, ":")[0] {
			all = append(all, c)
		}
	}
	return s + `, "Condition": {` + strings.Join(all, ", ") + `}}`
}

func (m *maker) document() string {
	var all []string
	for range 1 + m.below(3) {
		all = append(all, m.statement())
	}
	return m.of(`{"Version": "2012-10-17"`, `{"Version": "2012-10-17"`, `{"Version": "2008-10-17"`, `{"Id": "x"`) + `, "Statement": [` + strings.Join(all, ", ") + `]}`
}

func (m *maker) request() Request {
	c := []Caller{
		userOf(home, "team/alice"), userOf(home, "alice"), userOf(home, "bob"), sessionOf(home, "app", "alice"), sessionOf(home, "app", "i-1"), sessionOf(home, "other", "i-1"),
		rootOf(home), federatedOf(home, "alice"), userOf(abroad, "team/alice"), sessionOf(abroad, "app", "alice"), rootOf(abroad),
		{},
		{ARN: alice, Account: abroad},
		m.caller(), m.caller(), m.caller(),
	}[m.below(16)]
	c.OrgID = m.of("", "prod", "alice")
	c.VPCE = m.of("", "", "a7b")
	c.Secure = m.below(2) == 0
	c.SourceIP = m.of("203.0.113.7", "198.51.100.1", "2001:db8::1", "::ffff:203.0.113.9", "", "?")
	r := Request{
		Caller: c, Action: "secretsmanager:" + m.of("GetSecretValue", "PutSecretValue", "DeleteSecret"), Owner: home, Time: noon.Add(time.Duration(m.below(3)-1) * time.Second), Keys: Keys{},
		Resource: m.of(someARN, "*", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:alice/db-AbCdEf", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:abba*aba-AbCdEf"),
	}
	values := []string{"alice", "Alice", "prod", "*", "a*b", "abba", "", "7", "+7", "true", "AWSCURRENT", alice, app, "x$", "é", "É", "123456789012", "team/app", "${", "2026-03-04T12:00:00Z", "203.0.113.7"}
	for _, key := range []string{"aws:resourcetag/team", "aws:resourcetag/arn", "secretsmanager:name", "secretsmanager:versionstage", "secretsmanager:recoverywindowindays"} {
		if m.below(3) > 0 {
			r.Keys[key] = []string{m.of(values...)}
		}
	}
	for _, key := range []string{"aws:tagkeys", "aws:requesttag/two"} {
		for range m.below(4) {
			r.Keys[key] = append(r.Keys[key], m.of(values...))
		}
	}
	for _, key := range []string{"secretsmanager:versionstage", "secretsmanager:recoverywindowindays", "aws:resourcetag/arn"} {
		if m.below(4) == 0 {
			r.Implied = Keys{key: {m.of(values...)}}
		}
	}
	if key := m.of("", "", "", "secretsmanager:name", "aws:resourcetag/team"); key != "" {
		r.Unknown = []string{key}
		delete(r.Keys, key)
	}
	return r
}

// caller is one whose ARN is put together from parts, most of which are not of any.
func (m *maker) caller() Caller {
	account := m.of(home, home, home, abroad, "12345678901", "1234567890123", "12345678901a", "")
	arn := m.of("arn", "arn", "arn", "urn", "") + ":" + m.of("aws", "aws", "aws", "aws-cn", "") + ":" + m.of("iam", "sts", "iam", "s3") + ":" + m.of("", "", "", "eu-central-1") + ":" + account + ":" +
		m.of("root", "root/", "user/alice", "user/team/alice", "user/", "user/team/", "user", "user//alice", "user/alice:x", "assumed-role/app/alice", "assumed-role/app/", "assumed-role/app", "assumed-role//alice",
			"assumed-role/app/alice/x", "federated-user/alice", "federated-user/", "federated-user/a/", "role/app", "role/service/app", "group/alice", "")
	return Caller{ARN: arn, Account: m.of(account, account, account, home, ""), UserID: "AIDACKCEVSQ6C2EXAMPLE"}
}

// disagree finds whether Decide and the naive decision differ, for a case made of
// bytes.
func disagree(t *testing.T, b []byte) {
	t.Helper()
	m := &maker{b}
	r := m.request()
	var documents []string
	for range m.below(3) {
		documents = append(documents, m.document())
	}
	onSecret := ""
	if m.below(3) > 0 {
		onSecret = m.document()
	}
	set, err := ParseSet("p", []byte("["+strings.Join(documents, ", ")+"]"))
	if err != nil {
		refusedByNature(t, err)
		return
	}
	var p *Policy
	if onSecret != "" {
		if p, err = Parse(onSecret); err != nil {
			refusedByNature(t, err)
			return
		}
	}
	allowed, explicit, side := naive{r}.decide(documents, onSecret)
	d := set.Decide(r, p)
	for _, real := range settled(r) {
		if !d.Allowed {
			break
		}
		if allowed, _, _ := (naive{real}).decide(documents, onSecret); !allowed {
			text, _ := json.MarshalIndent(r, "", " ")
			t.Fatalf("what is not settled is allowed, though it may be %v, which is not\nset %s\nsecret %s\n%s", real.Keys, strings.Join(documents, "\n"), onSecret, text)
		}
	}
	if d.Allowed != allowed || d.Explicit != explicit || d.Side != side {
		text, _ := json.MarshalIndent(r, "", " ")
		t.Fatalf("Decide: allowed %v, explicit %v, %s by %s\nnaive:  allowed %v, explicit %v, %s\nset %s\nsecret %s\n%s",
			d.Allowed, d.Explicit, d.Side, d.Statement, allowed, explicit, side, strings.Join(documents, "\n"), onSecret, text)
	}
	if (d.Statement == "") == (d.Allowed || d.Explicit) {
		t.Fatalf("decided by %q: %+v", d.Statement, d)
	}
	if why := d.Explain(); (why == "") != d.Allowed {
		t.Fatalf("%+v is explained by %q", d, why)
	}
	if d.Denied().Message == "" {
		t.Fatal("no refusal")
	}
}

// settled are the requests that r may be: in both readings, with any value of what is
// not known.
func settled(r Request) (all []Request) {
	for _, reading := range (naive{r}).readings() {
		real := reading.Request
		real.Implied, real.Unknown = nil, nil
		if len(r.Unknown) == 0 {
			all = append(all, real)
			continue
		}
		for _, value := range []string{"alice", "Alice", "prod", "*", "a*b", "x", "7", "true", "AWSCURRENT", alice, app, "2026-03-04T12:00:00Z", "203.0.113.7", "another"} {
			one := real
			one.Keys = maps.Clone(real.Keys)
			one.Keys[r.Unknown[0]] = []string{value}
			all = append(all, one)
		}
	}
	return all
}

// refusedByNature fails for a refusal of what the maker meant to be right.
func refusedByNature(t *testing.T, err error) {
	t.Helper()
	for _, why := range []string{"a variable is not closed", "it is no ARN", "can't compare with"} {
		if strings.Contains(err.Error(), why) {
			return
		}
	}
	t.Fatal(err)
}

func FuzzDecide(f *testing.F) {
	for i := range 200 {
		f.Add([]byte(strings.Repeat(fmt.Sprintf("%d strongroom %d", i*7919, i*104729), 12)))
	}
	f.Fuzz(func(t *testing.T, b []byte) { disagree(t, b) })
}

// The same with so many random cases, for every run of the tests.
func TestDecideNaive(t *testing.T) {
	t.Parallel()
	seed := uint64(1)
	for range 2000 { // FuzzDecide goes on from here
		b := make([]byte, 200)
		for i := range b {
			seed = seed*6364136223846793005 + 1442695040888963407
			b[i] = byte(seed >> 33)
		}
		disagree(t, b)
	}
}

// Whatever the text, ParseSet answers, and what it takes can be asked.
func FuzzParseSet(f *testing.F) {
	for _, text := range good {
		f.Add("[" + text + "]")
	}
	f.Add(`[{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "NotPrincipal": {"AWS": "123456789012"}, "NotAction": "*", "NotResource": "arn:aws:secretsmanager:*:*:secret:${aws:username, 'x'}/*"}}]`)
	f.Add("[" + cond(`{"ArnLike": {"aws:PrincipalArn": ["${aws:PrincipalArn}", "arn:*:iam::*:role/${aws:username}/?*"]}, "ForAnyValue:StringLike": {"aws:TagKeys": "a${*}*"}}`) + "]")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSet("p", []byte(text))
		if err != nil {
			if s != nil || !strings.HasPrefix(err.Error(), "p: ") || strings.Contains(err.Error(), "Exception") {
				t.Fatalf("ParseSet = %v, %v", s, err)
			}
			return
		}
		for _, c := range []Caller{{}, userOf(home, "team/alice"), sessionOf(abroad, "app", "x")} {
			d := s.Decide(asked(c, Keys{"aws:tagkeys": {"a", "b"}, "aws:resourcetag/team": {"x"}}), nil)
			if d.Allowed || (d.Explain() == "") {
				if c.Account != home {
					t.Fatalf("%+v is decided %+v", c, d)
				}
			}
		}
	})
}
