// Command agent stands beside a workload and signs its requests for a Strongroom in the
// cloud, so that AWS clients need no change but the endpoint. It is also what AWS's Secrets
// Manager Agent and its Lambda extension are to programs that were written for those.
package main

import (
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/strongroom/strongroom/pkg/agent"
	"github.com/strongroom/strongroom/pkg/client"
	"github.com/strongroom/strongroom/pkg/endpoint"
)

func main() {
	err := run(os.Args, os.Getenv, os.Stdout, slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "strongroom-agent:", err)
		os.Exit(1)
	}
}

// run serves until it is told to end: by a signal or, in Lambda, with the function.
func run(args []string, getenv func(string) string, out io.Writer, log *slog.Logger) error {
	set, err := readSettings(args[1:], getenv, out)
	if err != nil {
		return err
	}
	if set.version {
		_, err := fmt.Fprintln(out, version())
		return err
	}
	if set.check {
		return check(set)
	}
	if debug.SetMemoryLimit(-1) == math.MaxInt64 { // no GOMEMLIMIT
		debug.SetMemoryLimit(memoryLimit)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process
	listeners, err := listen(ctx, set)
	if err != nil {
		return err
	}
	s, err := build(ctx, set, log)
	if err != nil {
		return errors.Join(err, listeners.close())
	}
	defer s.getter.Close()
	if set.runtimeAPI == "" {
		return s.serve(ctx, listeners, patience)
	}
	return s.serveExtension(ctx, listeners, agent.Extension{API: set.runtimeAPI, Name: filepath.Base(args[0])})
}

// memoryLimit is from where on garbage is collected more often.
const memoryLimit = 64 << 20

// check asks the agent at the address, or else on the socket, whether it answers.
func check(set settings) error {
	addr, client := set.addr, http.Client{Timeout: 2 * time.Second}
	if addr == "" {
		addr = "localhost"
		client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", set.socket)
		}}
	}
	res, err := client.Get("http://" + addr + "/ping")
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusOK {
		return errors.Join(fmt.Errorf("the agent at %s answers %s", addr, res.Status), err)
	}
	return nil
}

// getFor is how long a GET request may take, as with AWS's agent.
const getFor = 61 * time.Second

// build makes both doors, over one pool of connections and one set of credentials.
func build(ctx context.Context, set settings, log *slog.Logger) (*server, error) {
	// What reads the environment is the SDK, as in every AWS client.
	cfg, err := config.LoadDefaultConfig(ctx, config.WithCredentialsCacheOptions(func(o *aws.CredentialsCacheOptions) {
		o.ExpiryWindow = agent.RefreshWindow
	}))
	if err != nil {
		return nil, err
	}
	at, err := signedFor(set, cfg.Region)
	if err != nil {
		return nil, err
	}
	source, ok := cfg.Credentials.(agent.Source)
	if !ok { // config wraps every provider in a cache
		return nil, fmt.Errorf("credentials of type %T cannot be renewed", cfg.Credentials)
	}
	keys := agent.NewKeyring(source, agent.RefreshWindow)
	upstream := agent.NewUpstream(at, keys, agent.NewHTTPClient(set.timeout, rootsOf(cfg.HTTPClient)))
	cfg.Region, cfg.Credentials, cfg.HTTPClient = at.Region, keys, agent.FetchClient(upstream.Client)
	secrets, err := client.FromConfig(cfg, at.URL.String(), client.SignedFor(at.Service))
	if err != nil {
		return nil, err
	}
	if set.token == "" {
		log.Info("GET requests are refused: none of AWS_TOKEN, AWS_SESSION_TOKEN and AWS_CONTAINER_AUTHORIZATION_TOKEN is set")
	}
	go func() {
		if _, err := keys.Retrieve(ctx); err != nil && ctx.Err() == nil {
			log.Warn("there are no AWS credentials yet", slog.String("error", err.Error()))
		}
	}()
	return &server{
		sdk: agent.NewSDK(upstream, set.anyCaller, log),
		getter: agent.NewGetter(agent.GetterOptions{
			Client: secrets, Token: set.token, TTL: set.ttl, CacheSize: set.cacheSize, Revalidate: set.revalidate,
			MaxConnections: set.maxConnections, Timeout: getFor, Log: log,
		}),
		log: log,
		url: at.URL.String(),
	}, nil
}

// rootsOf is what AWS_CA_BUNDLE had the SDK's own client trust, or nil.
func rootsOf(c aws.HTTPClient) *x509.CertPool {
	own, ok := c.(*awshttp.BuildableClient)
	if !ok || own.GetTransport().TLSClientConfig == nil {
		return nil
	}
	return own.GetTransport().TLSClientConfig.RootCAs
}

// signedFor is the endpoint with what its requests are signed for: by the flags, or by
// its host name, or as API Gateway wants it in the Region of this machine.
func signedFor(set settings, region string) (endpoint.Endpoint, error) {
	at := set.endpoint
	if set.signingName != "" {
		at.Service = set.signingName
	} else if at.Service == "" {
		at.Service = endpoint.Gateway
	}
	if set.region != "" {
		at.Region = set.region
	} else if at.Region == "" {
		at.Region = region
	}
	if at.Region == "" {
		return at, errors.New("the Region is not known: the endpoint's host name does not say it; set --region or AWS_REGION")
	}
	return at, nil
}

// version says what was built.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "strongroom-agent of unknown version"
	}
	return "strongroom-agent " + info.Main.Version + " built with " + info.GoVersion
}
