package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/api"
	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"

	"github.com/strongroom/strongroom/pkg/terminal"
)

// interrupt stops the command as Ctrl-C does, and waits for its end.
func (r running) interrupt(t *testing.T) {
	t.Helper()
	if err := r.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := r.Wait(); err != nil {
		t.Errorf("it ended with %v and said %s", err, r.errors)
	}
}

// makeVersions creates secret s with so many versions.
func makeVersions(t *testing.T, url string, n int) {
	t.Helper()
	create(t, url, "s", "value")
	for i := 1; i < n; i++ {
		_, err := localtest.Client(url).PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
			SecretId: aws.String("s"), SecretString: aws.String(fmt.Sprint("value ", i)),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func countVersions(t *testing.T, url string) int {
	t.Helper()
	out, err := localtest.Client(url).ListSecretVersionIds(t.Context(), &secretsmanager.ListSecretVersionIdsInput{
		SecretId: aws.String("s"), IncludeDeprecated: aws.Bool(true), MaxResults: aws.Int32(100),
	})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Versions)
}

// By hand, what is due is done once, on the data of the server that was stopped.
func TestPruneByHand(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	keep := []string{"--data", data, "--max-versions", "4", "--min-age", "0s"}
	r := start(t, keep...)
	makeVersions(t, r.url, 20)
	// Two at a time may not use the data.
	if got := refused(t, append(keep, "--prune")...); !strings.Contains(got, "is using "+data) {
		t.Errorf("got %q, want that the data is in use", got)
	}
	r.interrupt(t)
	for _, want := range []string{
		"secrets looked at: 1, purged: 0; versions removed: 14\n", // all but 4 and the two with a label
		"secrets looked at: 0, purged: 0; versions removed: 0\n",
	} {
		out, err := exec.Command(program, append(keep, "--prune")...).CombinedOutput()
		if err != nil || string(out) != want {
			t.Errorf("got %q, %v, want %q", out, err, want)
		}
	}
	records, err := os.ReadFile(filepath.Join(data, "audit.jsonl"))
	if got := strings.Count(string(records), `"eventName":"EndSecretVersionDelete"`); err != nil || got != 14 {
		t.Errorf("%d of 14 versions are in the audit trail, %v", got, err)
	}
	r = start(t, keep...)
	if got := countVersions(t, r.url); got != 6 {
		t.Errorf("%d versions are left, want 6", got)
	}
	if got := get(t, r.url, "s"); got != "value 19" {
		t.Errorf("got %q, want the last value", got)
	}
	r.interrupt(t)
}

// A mistyped folder is refused and not created.
func TestNoDataFolder(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "typo")
	for want, args := range map[string][]string{
		"--prune: the data folder " + data + " does not exist; name the server's with --data\n":  {"--prune"},
		"--verify: the data folder " + data + " does not exist; name the server's with --data\n": {"--verify"},
		"there is no audit log yet": {"--show-audit", "5"},
	} {
		if got := refused(t, append(args, "--data", data)...); !strings.Contains(got, want) {
			t.Errorf("%v: got %s, want %s", args, got, want)
		}
		if _, err := os.Lstat(data); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v: got %v, want no folder", args, err)
		}
	}
}

// The server does what is due when it starts, and then now and then.
func TestServerPrunes(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	keep := []string{"--data", data, "--max-versions", "0", "--min-age", "0s"}
	r := start(t, keep...)
	makeVersions(t, r.url, 10)
	r.interrupt(t)
	r = start(t, keep...)
	const logged = `"msg":"pruned","versions":8,"secrets":0`
	for deadline := time.Now().Add(30 * time.Second); countVersions(t, r.url) > 2 || !strings.Contains(r.errors.String(), logged); {
		if time.Now().After(deadline) {
			t.Fatalf("%d versions are left after a while, want 2; it logged %s, want what was pruned", countVersions(t, r.url), r.errors)
		}
	}
	r.interrupt(t)
}

func TestRetentionFlags(t *testing.T) {
	t.Parallel()
	none := func(string) string { return "" }
	log := slog.New(slog.DiscardHandler)
	set, err := readSettings(nil, none, nil, log)
	if err != nil || set.retention != secret.DefaultRetention || set.pruneOnce {
		t.Errorf("got %+v, %v, want the defaults", set, err)
	}
	set, err = readSettings([]string{"--max-versions", "7", "--min-age", "90m", "--prune"}, none, nil, log)
	if want := (secret.Retention{MaxVersions: 7, MinAge: 90 * time.Minute}); err != nil || set.retention != want || !set.pruneOnce {
		t.Errorf("got %+v, %v, want %v, once", set, err, want)
	}
	for _, args := range [][]string{{"--max-versions", "-1"}, {"--min-age", "-1s"}} {
		if _, err := readSettings(args, none, nil, log); err == nil || err.Error() != "--max-versions and --min-age must not be negative" {
			t.Errorf("%q: got %v, want a refusal", args, err)
		}
	}
}

// On a terminal a line grows in its place; elsewhere there is only the last one.
func TestProgress(t *testing.T) {
	t.Parallel()
	for _, terminal := range []bool{true, false} {
		t.Run(fmt.Sprint(terminal), func(t *testing.T) {
			t.Parallel()
			server := memory(t)
			var out bytes.Buffer
			if err := show(t.Context(), newPruner(server), &out, "", terminal); err != nil {
				t.Fatal(err)
			}
			const last = "secrets looked at: 1, purged: 0; versions removed: 60"
			if !terminal {
				if got := out.String(); got != last+"\n" {
					t.Errorf("got %q, want %q and no more", got, last)
				}
				return
			}
			lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\r")
			want := []string{
				"",
				"secrets looked at: 1, purged: 0; versions removed: 0",
				"secrets looked at: 1, purged: 0; versions removed: 25",
				"secrets looked at: 1, purged: 0; versions removed: 50",
				last,
				last,
			}
			if !slices.Equal(lines, want) || !strings.HasSuffix(out.String(), "\n") {
				t.Errorf("got %q, want %q and the end of the line", lines, want)
			}
			for i, line := range lines[1:] {
				if len(line) < len(lines[i]) {
					t.Errorf("%q does not cover %q", line, lines[i])
				}
			}
		})
	}
}

func TestInterruptedProgress(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := show(ctx, newPruner(memory(t)), &out, "", false)
	if err == nil || err.Error() != "interrupted; what is left is done by the next run" {
		t.Errorf("got %v, want that it was interrupted", err)
	}
}

// memory is a server, in memory, that has 60 versions of a removed secret.
func memory(t *testing.T) *api.Server {
	t.Helper()
	set := settings{retention: secret.DefaultRetention, region: local.Region, account: local.Account}
	regions, err := startRegions(t.Context(), set, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := regions.close(); err != nil {
			t.Error(err)
		}
	})
	home, err := regions.home(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	server := home.server
	made := secret.New("s", server.ARNs.Of("s", "abcdef"), "", time.Now().UTC())
	if _, err := server.Store.Create(t.Context(), secret.Change{Secret: made}); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		_, err := server.Store.Update(t.Context(), secret.ID{Name: "s"}, func(sec secret.Secret) (secret.Change, error) {
			return sec.Put(fmt.Sprint("v", i), nil, time.Now().UTC())
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err = server.Store.Update(t.Context(), secret.ID{Name: "s"}, func(sec secret.Secret) (secret.Change, error) {
		return sec.Remove(time.Now().UTC()), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// A folder without a table stays as it is, and so does the audit file.
func TestFolderWithoutTable(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	for _, flag := range []string{"--prune", "--verify"} {
		want := "strongroom: " + flag + ": the data folder " + data + " has no table, so there is nothing to do; name the server's with --data\n"
		if got := refused(t, flag, "--data", data); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if files, err := os.ReadDir(data); err != nil || len(files) != 0 {
		t.Errorf("got %v, %v, want nothing in it", files, err)
	}
}

// What an error quotes of names and files reaches the terminal without what moves the
// cursor, turns text around or breaks lines.
func TestErrorsArePrintable(t *testing.T) {
	t.Parallel()
	const bad = "a\u202eb\u2028c\u2066d\u0085e\u200bf\x1b[2Jg"
	seed := filepath.Join(t.TempDir(), "seed.json")
	if err := os.WriteFile(seed, []byte(`{"`+strings.ReplaceAll(bad, "\x1b", "")+`": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"--" + bad},
		{"--memory", "--addr", bad},
		{"--memory", "--seed", bad},
		{"--memory", "--seed", seed},
		{"--memory", "--policies", bad},
		{"--memory", "--verify-credentials", bad},
		{"--memory", "--addr", "127.0.0.1:0", "--url-file", bad + "/url"},
		{"--addr", "127.0.0.1:0", "--data", "/dev/null/" + bad},
		{"--prune", "--data", bad},
		{"--show-audit", "1", "--audit", bad},
	} {
		said := strings.TrimSuffix(refused(t, args...), "\n")
		if said != terminal.Printable(said) {
			t.Errorf("%q: it said %q", args, said)
		}
	}
}
