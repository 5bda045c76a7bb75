package main

import (
	"bytes"
	"errors"
	"flag"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/settings/documented"
)

// read reads arguments in an empty environment.
func read(args ...string) (settings, error) {
	return readSettings(args, func(string) string { return "" }, nil, slog.New(slog.DiscardHandler))
}

func TestHelp(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	_, err := readSettings([]string{"-h"}, func(string) string { return "" }, &out, slog.New(slog.DiscardHandler))
	if !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v, want flag.ErrHelp", err)
	}
	for _, want := range []string{"-addr", "-data", "-max-versions", "-memory", "-min-age", "-prune", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_KMS"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got %s, want %s in it", &out, want)
		}
	}
}

// A rate that is no number, or that no limiter could keep, is refused.
func TestRateFlag(t *testing.T) {
	t.Parallel()
	none := func(string) string { return "" }
	for rate, want := range map[string]bool{"0": true, "0.5": true, "1000000": true, "1000001": false, "-1": false, "NaN": false, "Inf": false} {
		set, err := readSettings([]string{"--rate", rate}, none, nil, slog.New(slog.DiscardHandler))
		if (err == nil) != want {
			t.Errorf("%s: got %v, %v, want it taken: %t", rate, set.rate, err, want)
		}
		if err != nil && err.Error() != "--rate must be from 0 to 1000000" {
			t.Errorf("%s: got %v, want what it must be", rate, err)
		}
	}
}

// What is wrong is said in a sentence that says what to do.
func TestFlagsAreRefused(t *testing.T) {
	t.Parallel()
	const duration, ends = `it must be a duration such as 7d, 24h or 90m; -h lists the flags`, "which does one thing and ends; leave one of them out"
	for args, want := range map[string]string{
		"--min-age 1w":                          `invalid value "1w" for flag -min-age: ` + duration,
		"--min-age 24":                          `invalid value "24" for flag -min-age: ` + duration,
		"--min-rotation-interval often":         `invalid value "often" for flag -min-rotation-interval: ` + duration,
		"--max-versions many":                   `invalid value "many" for flag -max-versions: it must be a number such as 100; -h lists the flags`,
		"--signing-name execute-api":            `--signing-name says what signatures are checked for; it needs --verify-credentials`,
		"--signing-name s3":                     `--signing-name "s3" is none of secretsmanager, execute-api, lambda`,
		"--rate fast":                           `invalid value "fast" for flag -rate: it must be a number such as 100; -h lists the flags`,
		"--show-audit all":                      `invalid value "all" for flag -show-audit: it must be a number of records such as 20; -h lists the flags`,
		"--show-audit 1 --day yesterday":        `invalid value "yesterday" for flag -day: it must be a day such as 2026-11-26; -h lists the flags`,
		"--show-audit 0":                        "--show-audit must be a number of records, from 1",
		"--show-audit -1":                       "--show-audit must be a number of records, from 1",
		"--memory --data .local/data":           "--memory keeps everything in memory, and --data on the disk; leave one of them out",
		"--memory --show-audit 5":               "--show-audit needs a file of records; there is none with --memory, unless --audit names one",
		"--memory --prune":                      "--memory has no effect beside --prune, " + ends,
		"--prune --show-audit 5":                "--show-audit has no effect beside --prune, " + ends,
		"--memory --verify":                     "--memory has no effect beside --verify, " + ends,
		"--prune --verify":                      "--verify has no effect beside --prune, " + ends,
		"--verify --audit f":                    "--audit has no effect beside --verify, " + ends,
		"--repair":                              "--repair says to repair what --verify finds; it needs --verify",
		"--prune --repair":                      "--repair has no effect beside --prune, " + ends,
		"--prune --seed f":                      "--seed has no effect beside --prune, " + ends,
		"--show-audit 5 --policies f":           "--policies has no effect beside --show-audit, " + ends,
		"--show-audit 5 --addr [::1]:80":        "--addr has no effect beside --show-audit, " + ends,
		"--secret s":                            "--secret says which audit records are shown; it needs --show-audit with a number of them",
		"--caller c":                            "--caller says which audit records are shown; it needs --show-audit with a number of them",
		"--day 2026-11-26":                      "--day says which audit records are shown; it needs --show-audit with a number of them",
		"--data=":                               "--data must name a folder; --memory keeps everything in memory",
		"--region mars":                         `--region "mars" is not a Region such as eu-central-1`,
		"--region eu-central-1/x":               `--region "eu-central-1/x" is not a Region such as eu-central-1`,
		"--account 1234":                        `--account "1234" is not the 12 digits of an AWS account`,
		"--account 12345678901x":                `--account "12345678901x" is not the 12 digits of an AWS account`,
		"--addr 127.0.0.1":                      "--addr 127.0.0.1 is not an address and a port, such as 127.0.0.1:4566",
		"--addr :80":                            "--addr :80 is not on loopback, so other machines could read every secret; it needs --verify-credentials",
		"--addr [2001:db8::1]:80":               "--addr [2001:db8::1]:80 is not on loopback, so other machines could read every secret; it needs --verify-credentials",
		"--addr strongroom:80 --memory":         "--addr strongroom:80 is not on loopback, so other machines could read every secret; it needs --verify-credentials",
		"--addr nowhere --verify-credentials f": "--addr nowhere is not an address and a port, such as 127.0.0.1:4566",
	} {
		if _, err := read(strings.Fields(args)...); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", args, err, want)
		}
	}
}

func TestFlagsAreTaken(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		"", "--memory --audit a.jsonl", "--memory=false --data d", "--memory --audit a.jsonl --show-audit 3",
		"--prune --data d --audit a.jsonl --min-age 2d --max-versions 3 --region eu-central-1", "--prune=false --seed f",
		"--verify", "--verify --repair --data d --min-age 2d --max-versions 3 --region eu-central-1",
		"--show-audit 3 --data d --secret s --caller c --day 2026-11-26",
		"--addr 0.0.0.0:4566 --verify-credentials f", "--addr strongroom:4566 --verify-credentials f", "--addr [::1]:0", "--addr localhost:0",
	} {
		if _, err := read(strings.Fields(args)...); err != nil {
			t.Errorf("%s: got %v", args, err)
		}
	}
	set, err := read("--min-age", "7d", "--region", "eu-central-1", "--account", "123456789012", "--min-rotation-interval", "90m")
	if err != nil || set.retention.MinAge != 7*24*time.Hour || set.minRotation != 90*time.Minute || set.engines.Region != "eu-central-1" || set.engines.Account != "123456789012" {
		t.Errorf("got %+v, %v", set, err)
	}
	set, err = read()
	if err != nil || set.engines.Region != local.Region || set.engines.Account != local.Account {
		t.Errorf("got %+v, %v, want the defaults", set.engines, err)
	}
}

func TestShort(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", time.Minute: "1m", 90 * time.Second: "1m30s", time.Hour: "1h",
		24 * time.Hour: "24h", 90 * time.Minute: "1h30m", 10 * time.Minute: "10m", 10 * time.Hour: "10h", 20*time.Hour + 20*time.Second: "20h0m20s",
	} {
		if got := short(d); got != want {
			t.Errorf("%s: got %s, want %s", d, got, want)
		}
	}
}

func TestFlagsInDocs(t *testing.T) {
	t.Parallel()
	flags, _ := newFlags(&settings{})
	var known []string
	flags.VisitAll(func(f *flag.Flag) { known = append(known, "--"+f.Name) })
	documented.Same(t, "../../docs/settings.md", "## The local server", known)
}
