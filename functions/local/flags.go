package main

import (
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/secret"
)

// newFlags are flags that write to set, which holds the defaults of those that are
// not plain text.
func newFlags(set *settings) (flags *flag.FlagSet, memory *bool) {
	flags = flag.NewFlagSet("local", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error is said once, by main
	const aDuration, aNumber = "a duration such as 7d, 24h or 90m", "a number such as 100"
	flags.StringVar(&set.addr, "addr", "127.0.0.1:4566", "`address` and port to answer on; port 0 finds a free one, and only with --verify-credentials it may be another address than loopback")
	flags.StringVar(&set.data, "data", defaultData, "`folder` of the table and the keys; only one process at a time may use it")
	memory = flags.Bool("memory", false, "keep everything in memory, and nothing when it stops")
	flags.StringVar(&set.region, "region", local.Region, "`Region` of calls that are not signed, and of --seed, --export and --import; all other calls go to the Region that they are signed for")
	flags.StringVar(&set.account, "account", local.Account, "`account` in the ARNs of secrets, keys and callers")
	flags.StringVar(&set.seed, "seed", "", "`file` of secrets to begin with, as JSON or as NAME=value lines; existing ones get a new version where the value differs")
	flags.StringVar(&set.urlFile, "url-file", "", "`file` to write the URL to when the server is ready; it is removed at the end")
	flags.Var(&parsed[int]{&set.retention.MaxVersions, strconv.Atoi, aNumber}, "max-versions", "how many `versions` without a label a secret keeps")
	flags.Var(&parsed[time.Duration]{&set.retention.MinAge, secret.ParseDuration, aDuration}, "min-age", "`duration` for which a version stays, however many there are")
	flags.Var(&parsed[time.Duration]{&set.minRotation, secret.ParseDuration, aDuration}, "min-rotation-interval", "shortest `duration` between two rotations that a schedule may ask for")
	flags.StringVar(&set.policies, "policies", "", "`file` of principal policies; without it everybody may do everything; read again on SIGHUP")
	flags.StringVar(&set.credentials, "verify-credentials", "", "`file` of the access keys whose signatures are checked; without it none is; read again on SIGHUP")
	flags.StringVar(&set.signingName, "signing-name", "", "with --verify-credentials: the one `service` that requests must be signed for: secretsmanager, execute-api or lambda")
	flags.Var(&parsed[float64]{&set.rate, parseFloat, aNumber}, "rate", "how many `calls` a second each caller may make, and twice as many at once; 0 for any number")
	flags.BoolVar(&set.pruneOnce, "prune", false, "remove once what need not be kept any more, in all Regions, and end")
	flags.BoolVar(&set.verifyOnce, "verify", false, "compare once what is stored in all Regions, say what is wrong, and end")
	flags.BoolVar(&set.repair, "repair", false, "with --verify: repair what can be repaired without a guess")
	flags.StringVar(&set.export, "export", "", "write all items of the --region to a new `file`, as DynamoDB exports them, and end")
	flags.StringVar(&set.load, "import", "", "make the table of the --region, in a data folder where it has none, of the items in a `file`, and end")
	flags.StringVar(&set.audit, "audit", "", "`file` of the audit records; without it .local/audit.jsonl, or audit.jsonl in the --data folder, or none with --memory")
	flags.Var(&parsed[int]{&set.show.Last, strconv.Atoi, "a number of records such as 20"}, "show-audit", "show the last `records` of the audit and end")
	flags.StringVar(&set.show.Secret, "secret", "", "with --show-audit: only records of the secret with this `name` or ARN")
	flags.StringVar(&set.show.Caller, "caller", "", "with --show-audit: only records of the caller with this `name`, access key ID or ARN")
	flags.Var(&parsed[time.Time]{&set.show.Day, parseDay, "a day such as 2026-11-26"}, "day", "with --show-audit: only records of this `day`, in UTC")
	flags.Var(&parsed[int]{&set.parent, strconv.Atoi, "a process ID"}, "parent", "stop when the process with this `pid`, which started this one, has ended")
	flags.BoolVar(&set.version, "version", false, "show the version and end")
	return flags, memory
}

// A parsed flag is read by a function, and refused with an example of what it must be.
type parsed[T any] struct {
	value *T
	parse func(string) (T, error)
	must  string
}

// Set reads the value. Its error follows "invalid value … for flag …: ".
func (p *parsed[T]) Set(text string) error {
	value, err := p.parse(text)
	if err != nil {
		return fmt.Errorf("it must be %s", p.must)
	}
	*p.value = value
	return nil
}

// String is the default in the help, which leaves out empty ones.
func (p *parsed[T]) String() string {
	if p.value == nil {
		return ""
	}
	switch v := any(*p.value).(type) {
	case time.Duration:
		return short(v)
	case time.Time:
		return ""
	case int:
		if v == 0 {
			return ""
		}
	}
	return fmt.Sprint(*p.value)
}

// short is a duration without the parts that are zero: 24h, not 24h0m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func parseFloat(text string) (float64, error) { return strconv.ParseFloat(text, 64) }

func parseDay(text string) (time.Time, error) { return time.Parse(time.DateOnly, text) }

func usage(flags *flag.FlagSet, out io.Writer) {
	_, _ = fmt.Fprint(out, `Strongroom on this machine: AWS Secrets Manager's protocol on a loopback port.

Flags:
`)
	flags.SetOutput(out)
	flags.PrintDefaults()
	_, _ = fmt.Fprint(out, `
Environment:
  AWS_ENDPOINT_URL_DYNAMODB   URL of a DynamoDB of your own; none is started then
  AWS_ENDPOINT_URL_KMS        URL of a KMS of your own; none is started then
  AWS_ENDPOINT_URL_LAMBDA     URL where rotation functions are invoked, as Lambda's are; without it nothing is rotated
  NO_COLOR                    no colours in the log on a terminal
`)
}
