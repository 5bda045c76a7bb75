package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/local/auditfile"
	"github.com/strongroom/strongroom/pkg/schedule"
	"github.com/strongroom/strongroom/pkg/secret"
)

const (
	// defaultData is the folder of the data, beside which is the audit file.
	defaultData = ".local/data"
	// defaultRate is how many calls a second a caller may make, and maxRate the most.
	defaultRate, maxRate = 1000, 1_000_000
)

type settings struct {
	addr        string
	data        string // folder, empty to keep everything in memory
	region      string
	account     string
	seed        string // file of secrets to begin with, empty for none
	urlFile     string // file that says where the server answers, empty for none
	audit       string // file of the audit records, empty for none
	retention   secret.Retention
	minRotation time.Duration
	rate        float64 // calls of one caller a second, 0 for any number
	policies    string  // file of principal policies, empty to allow everything
	credentials string  // file of credentials, empty to check none
	signingName string  // the one service that signatures may be for, empty for those of SDKs and API Gateway
	parent      int     // process to end with, 0 for none
	pruneOnce   bool
	verifyOnce  bool
	repair      bool   // what is found and repairable
	export      string // file to write all items to, and end
	load        string // file to read all items from, and end
	version     bool
	show        auditfile.Filter // which records to show, and end
	engines     local.Options
}

// readSettings reads the arguments, and from the environment where the user's own
// engines are.
func readSettings(args []string, getenv func(string) string, out io.Writer, log *slog.Logger) (settings, error) {
	set := settings{retention: secret.DefaultRetention, minRotation: schedule.Least, rate: defaultRate}
	flags, memory := newFlags(&set)
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		usage(flags, out)
		return set, err
	} else if err != nil {
		return set, fmt.Errorf("%w; -h lists the flags", err)
	}
	if flags.NArg() > 0 {
		return set, fmt.Errorf("%q is no flag; -h lists them", flags.Arg(0))
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = f.Value.String() != "false" })
	if err := checkTogether(given); err != nil {
		return set, err
	}
	if err := set.check(given); err != nil {
		return set, err
	}
	if *memory {
		set.data = ""
	}
	set.engines = local.Options{
		Data:     set.data,
		DynamoDB: getenv("AWS_ENDPOINT_URL_DYNAMODB"),
		KMS:      getenv("AWS_ENDPOINT_URL_KMS"),
		Lambda:   getenv("AWS_ENDPOINT_URL_LAMBDA"),
		Region:   set.region,
		Account:  set.account,
		Log:      log,
	}
	if set.audit == "" {
		set.audit = auditFile(set.engines)
	}
	return set, nil
}

var accountID = regexp.MustCompile(`^[0-9]{12}$`)

// signingNames are the services that clients sign for: as SDKs do by themselves, and
// those of the front doors of a stack.
var signingNames = []string{"secretsmanager", "execute-api", "lambda"}

// check refuses values that mean nothing; given are the flags that are there.
func (s settings) check(given map[string]bool) error {
	switch {
	case s.data == "":
		return errors.New("--data must name a folder; --memory keeps everything in memory")
	case s.rate < 0 || s.rate > maxRate || math.IsNaN(s.rate):
		return fmt.Errorf("--rate must be from 0 to %d", maxRate)
	case s.retention.MaxVersions < 0 || s.retention.MinAge < 0:
		return errors.New("--max-versions and --min-age must not be negative")
	case s.minRotation < schedule.Shortest || s.minRotation > schedule.Least:
		return fmt.Errorf("--min-rotation-interval must be from %s to %s", short(schedule.Shortest), short(schedule.Least))
	case !local.IsRegion(s.region):
		return fmt.Errorf("--region %q is not a Region such as eu-central-1", s.region)
	case !accountID.MatchString(s.account):
		return fmt.Errorf("--account %q is not the 12 digits of an AWS account", s.account)
	case s.signingName != "" && !slices.Contains(signingNames, s.signingName):
		return fmt.Errorf("--signing-name %q is none of %s", s.signingName, strings.Join(signingNames, ", "))
	case s.signingName != "" && s.credentials == "":
		return errors.New("--signing-name says what signatures are checked for; it needs --verify-credentials")
	case given["show-audit"] && s.show.Last < 1:
		return errors.New("--show-audit must be a number of records, from 1")
	}
	return s.checkAddr()
}

// checkAddr refuses an address that other machines can reach, unless callers have to
// prove who they are.
func (s settings) checkAddr() error {
	if _, _, err := net.SplitHostPort(s.addr); err != nil {
		return fmt.Errorf("--addr %s is not an address and a port, such as 127.0.0.1:4566", s.addr)
	}
	if !s.isLoopback() && s.credentials == "" {
		return fmt.Errorf("--addr %s is not on loopback, so other machines could read every secret; it needs --verify-credentials", s.addr)
	}
	return nil
}

// reloads says whether there are files that SIGHUP reads again.
func (s settings) reloads() bool { return s.credentials != "" || s.policies != "" }

// isLoopback says whether only programs on this machine reach the address.
func (s settings) isLoopback() bool {
	host, _, err := net.SplitHostPort(s.addr)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// alone are the flags that do one thing and end, and those that mean something beside
// them.
var alone = map[string][]string{
	"show-audit": {"audit", "data", "memory", "secret", "caller", "day"},
	"export":     {"data", "region", "account"},
	"import":     {"data", "region", "account"},
	"prune":      {"audit", "data", "max-versions", "min-age", "region", "account"},
	"verify":     {"data", "max-versions", "min-age", "region", "account", "repair"},
}

// checkTogether refuses flags of which one would have no effect.
func checkTogether(given map[string]bool) error {
	for _, first := range slices.Sorted(maps.Keys(alone)) {
		for _, other := range slices.Sorted(maps.Keys(given)) {
			if given[first] && given[other] && first != other && !slices.Contains(alone[first], other) {
				return fmt.Errorf("--%s has no effect beside --%s, which does one thing and ends; leave one of them out", other, first)
			}
		}
	}
	for _, about := range []string{"secret", "caller", "day"} {
		if given[about] && !given["show-audit"] {
			return fmt.Errorf("--%s says which audit records are shown; it needs --show-audit with a number of them", about)
		}
	}
	switch {
	case given["repair"] && !given["verify"]:
		return errors.New("--repair says to repair what --verify finds; it needs --verify")
	case given["memory"] && given["data"]:
		return errors.New("--memory keeps everything in memory, and --data on the disk; leave one of them out")
	case given["memory"] && given["show-audit"] && !given["audit"]:
		return errors.New("--show-audit needs a file of records; there is none with --memory, unless --audit names one")
	}
	return nil
}
