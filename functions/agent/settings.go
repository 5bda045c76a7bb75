package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/strongroom/strongroom/pkg/endpoint"
	"github.com/strongroom/strongroom/pkg/loopback"
)

type settings struct {
	url            string // as it is given
	endpoint       endpoint.Endpoint
	region         string // empty for that of the endpoint or of the machine
	signingName    string // empty for that of the endpoint
	addr           string // empty for none
	socket         string // empty for none
	anyCaller      bool
	timeout        time.Duration
	ttl            time.Duration
	cacheSize      int
	maxConnections int
	revalidate     bool
	check          bool
	version        bool
	token          string // of GET requests, empty to refuse them
	runtimeAPI     string // of Lambda, empty elsewhere
}

const (
	longestTTL      = time.Hour
	mostEntries     = 1000
	mostConnections = 1000
	shortestTimeout = time.Second
	longestTimeout  = 5 * time.Minute
)

// variable is the environment variable of a flag.
func variable(name string) string {
	return "STRONGROOM_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

func newFlags(set *settings) *flag.FlagSet {
	flags := flag.NewFlagSet("strongroom-agent", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error is said once, by main
	// It is parsed later: an error of the flag itself would repeat a password in it.
	flags.StringVar(&set.url, "endpoint", "", "`URL` of Strongroom, the output Endpoint of the stack")
	flags.StringVar(&set.region, "region", "", "`Region` to sign for; by default that in the endpoint's host name, or AWS_REGION")
	flags.StringVar(&set.signingName, "signing-name", "", "`service` to sign for: execute-api or lambda; by default that of the endpoint's host name, or execute-api")
	flags.StringVar(&set.addr, "addr", "127.0.0.1:2773", "loopback `address` and port to answer on; empty for none beside --socket")
	flags.StringVar(&set.socket, "socket", "", "`path` of a Unix socket to answer on as well")
	flags.BoolVar(&set.anyCaller, "any-caller", false, "let programs in that do not sign with the agent's own credentials")
	flags.DurationVar(&set.timeout, "timeout", 30*time.Second, "how long a request to Strongroom may take, a `duration` such as 30s")
	flags.DurationVar(&set.ttl, "ttl", 5*time.Minute, "how long answers to GET requests are kept, a `duration` up to 1h; 0 for not at all")
	flags.IntVar(&set.cacheSize, "cache-size", mostEntries, "how many `answers` are kept, 1 to 1000")
	flags.IntVar(&set.maxConnections, "max-connections", 800, "how many GET `requests` are answered at a time, 1 to 1000")
	flags.BoolVar(&set.revalidate, "revalidate", false, "ask DescribeSecret, before an answer is given again, whether its version is still current")
	flags.BoolVar(&set.check, "check", false, "ask the agent at --addr, or else --socket, whether it answers, and end: for health checks of containers")
	flags.BoolVar(&set.version, "version", false, "show the version and end")
	return flags
}

// readSettings reads the environment and then the arguments, which come first.
func readSettings(args []string, getenv func(string) string, out io.Writer) (settings, error) {
	set := settings{runtimeAPI: getenv("AWS_LAMBDA_RUNTIME_API")}
	flags := newFlags(&set)
	if err := readEnvironment(flags, getenv); err != nil {
		return set, err
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		usage(flags, out)
		return set, err
	} else if err != nil {
		return set, fmt.Errorf("%w; -h lists the flags", err)
	}
	if flags.NArg() > 0 {
		return set, fmt.Errorf("%q is no flag; -h lists them", flags.Arg(0))
	}
	if set.version {
		return set, nil
	}
	if set.check {
		return set, set.checkAddr()
	}
	if set.url != "" {
		var err error
		if set.endpoint, err = endpoint.Parse(set.url); err != nil {
			return set, fmt.Errorf("--endpoint: %w", err)
		}
	}
	if err := set.verify(); err != nil {
		return set, err
	}
	var err error
	set.token, err = readToken(getenv)
	return set, err
}

// readEnvironment sets flags from their variables. In Lambda those of AWS's extension
// count as well, so that functions with that one need no others.
func readEnvironment(flags *flag.FlagSet, getenv func(string) string) (err error) {
	set := func(variable, name, text string) {
		if text == "" || err != nil {
			return
		}
		if wrong := flags.Set(name, text); wrong != nil {
			err = fmt.Errorf("%s: %q: %w; -h lists the settings", variable, text, wrong)
		}
	}
	if getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		const port, size, seconds, enabled = "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", "PARAMETERS_SECRETS_EXTENSION_CACHE_SIZE",
			"SECRETS_MANAGER_TTL", "PARAMETERS_SECRETS_EXTENSION_CACHE_ENABLED"
		if at := getenv(port); at != "" {
			set(port, "addr", net.JoinHostPort("127.0.0.1", at))
		}
		if after := getenv(seconds); after != "" {
			set(seconds, "ttl", after+"s")
		}
		if n := getenv(size); n == "0" || strings.EqualFold(getenv(enabled), "false") {
			set(enabled, "ttl", "0")
		} else {
			set(size, "cache-size", n)
		}
	}
	flags.VisitAll(func(f *flag.Flag) {
		if f.Name != "version" && f.Name != "check" {
			set(variable(f.Name), f.Name, getenv(variable(f.Name)))
		}
	})
	return err
}

var regionName = regexp.MustCompile(`^[a-z]+(-[a-z]+)+-[0-9]+$`)

// verify refuses values that mean nothing.
func (s settings) verify() error {
	switch {
	case s.endpoint.URL == nil:
		return fmt.Errorf("%s is not set; it is the URL of Strongroom, the output Endpoint of the stack", variable("endpoint"))
	case s.endpoint.URL.Scheme != "https" && !loopback.IsHost(s.endpoint.URL.Host):
		return fmt.Errorf("--endpoint %s is not https, so values would travel in plain; only on this machine it may be http", s.endpoint.URL)
	case s.region != "" && !regionName.MatchString(s.region):
		return fmt.Errorf("--region %q is not a Region such as eu-central-1", s.region)
	case s.signingName != "" && s.signingName != endpoint.Gateway && s.signingName != endpoint.FunctionURL:
		return fmt.Errorf("--signing-name %q is neither %s nor %s", s.signingName, endpoint.Gateway, endpoint.FunctionURL)
	case s.timeout < shortestTimeout || s.timeout > longestTimeout:
		return fmt.Errorf("--timeout must be from %s to %s", shortestTimeout, longestTimeout)
	case s.ttl < 0 || s.ttl > longestTTL:
		return fmt.Errorf("--ttl must be from 0 to %s", longestTTL)
	case s.cacheSize < 1 || s.cacheSize > mostEntries:
		return fmt.Errorf("--cache-size must be from 1 to %d", mostEntries)
	case s.maxConnections < 1 || s.maxConnections > mostConnections:
		return fmt.Errorf("--max-connections must be from 1 to %d", mostConnections)
	}
	if err := s.checkAddr(); err != nil {
		return err
	}
	if _, port, err := net.SplitHostPort(s.addr); err == nil && port == s.endpoint.URL.Port() && loopback.IsHost(s.endpoint.URL.Host) {
		return fmt.Errorf("--endpoint %s is the address of the agent itself; it is the URL of Strongroom, the output Endpoint of the stack", s.endpoint.URL)
	}
	return nil
}

// checkAddr refuses an address that other machines can reach: they would have the rights
// of this one.
func (s settings) checkAddr() error {
	if s.addr == "" && s.socket == "" {
		return errors.New("--addr is empty and there is no --socket: the agent would answer nobody")
	}
	if s.addr == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		return fmt.Errorf("--addr %s is not an address and a port, such as 127.0.0.1:2773", s.addr)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("--addr %s: the port is not a number from 0 to 65535", s.addr)
	}
	if !loopback.IsHost(s.addr) || host == "" {
		return fmt.Errorf("--addr %s is not on loopback; the agent answers this machine only", s.addr)
	}
	return nil
}

// tokens are the variables that may hold the token of GET requests: the first that is
// set does. They are those of AWS's agent.
var tokens = []string{"AWS_TOKEN", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"}

// readToken reads the token, or the file that has it.
func readToken(getenv func(string) string) (string, error) {
	for _, name := range tokens {
		text := getenv(name)
		if text == "" {
			continue
		}
		path, isFile := strings.CutPrefix(text, "file://")
		if !isFile {
			return text, nil
		}
		file, err := os.ReadFile(path) //nolint:gosec // the file is the user's choice
		if err != nil {
			return "", fmt.Errorf("%s: read the token: %w", name, err)
		}
		token := strings.TrimSpace(string(file))
		if token == "" {
			return "", fmt.Errorf("%s: the file %s is empty; 'openssl rand -hex 32' makes a token", name, path)
		}
		return token, nil
	}
	return "", nil
}

func usage(flags *flag.FlagSet, out io.Writer) {
	_, _ = fmt.Fprint(out, `The agent of Strongroom: AWS clients speak to it as they are, and it signs for them.

Clients need one variable, AWS_ENDPOINT_URL_SECRETS_MANAGER=http://127.0.0.1:2773.

Flags:
`)
	flags.SetOutput(out)
	flags.PrintDefaults()
	_, _ = fmt.Fprint(out, `
Environment:
  STRONGROOM_ENDPOINT        the URL, and so on: each flag has a variable of its name; flags come first
  AWS_TOKEN                  token of GET requests, or file:///path of a file that has it; without it
                             AWS_SESSION_TOKEN or AWS_CONTAINER_AUTHORIZATION_TOKEN
  AWS_REGION, AWS_PROFILE …  credentials and Region are found as by every AWS client
`)
}
