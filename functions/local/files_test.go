//go:build unix

package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// nobody is a user that is neither root nor ours.
const nobody = 65534

// A folder that cannot be used is refused with one sentence, and stays as it is.
func TestFoldersThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(t *testing.T, data string)
		want  string // "%" stands for the data folder
	}{
		"of another user":    {func(t *testing.T, data string) { giveAway(t, data) }, "cannot use the data folder %: it belongs to another user; use another folder"},
		"others may look in": {func(t *testing.T, data string) { chmod(t, data, 0o755) }, "other users may look into it (mode 0755); run 'chmod 700 %'"},
		"a link":             {linkTo(""), "cannot use the data folder %: it is a symbolic link, which is not followed here; name the folder itself"},
		"of the old engine": {func(t *testing.T, data string) {
			for _, file := range []string{"table.db", "keys.json", "lock"} {
				remove(t, filepath.Join(data, file))
			}
			writeFile(t, filepath.Join(data, "dynamo.db"), "SQLite format 3\x00")
		}, "the data folder % was made by an earlier version"},
		"table of another user":     {func(t *testing.T, data string) { giveAway(t, filepath.Join(data, "table.db")) }, "%/table.db belongs to another user"},
		"keys of another user":      {func(t *testing.T, data string) { giveAway(t, filepath.Join(data, "keys.json")) }, "%/keys.json belongs to another user"},
		"lock of another user":      {func(t *testing.T, data string) { giveAway(t, filepath.Join(data, "lock")) }, "%/lock belongs to another user"},
		"audit of another user":     {func(t *testing.T, data string) { giveAway(t, filepath.Join(data, "audit.jsonl")) }, "%/audit.jsonl belongs to another user"},
		"table is a link":           {linkTo("table.db"), "%/table.db is a symbolic link"},
		"keys are a link":           {linkTo("keys.json"), "%/keys.json is a symbolic link"},
		"lock is a link":            {linkTo("lock"), "%/lock is a symbolic link"},
		"audit is a link":           {linkTo("audit.jsonl"), "%/audit.jsonl is a symbolic link"},
		"refused calls are a link":  {linkTo("audit.refused.jsonl"), "%/audit.refused.jsonl is a symbolic link"},
		"table is cut short":        {truncate("table.db", 20_000), "%/table.db is damaged, or not a table of Strongroom"},
		"table is empty":            {truncate("table.db", 0), "%/table.db is damaged, or not a table of Strongroom"},
		"table is of random bytes":  {func(t *testing.T, data string) { randomise(t, filepath.Join(data, "table.db")) }, "%/table.db is damaged, or not a table of Strongroom"},
		"table has no first pages":  {func(t *testing.T, data string) { overwrite(t, filepath.Join(data, "table.db"), 0, 8192) }, "%/table.db is damaged, or not a table of Strongroom"},
		"table has no inner pages":  {func(t *testing.T, data string) { overwrite(t, filepath.Join(data, "table.db"), 8192, 1<<20) }, "%/table.db is damaged, or not a table of Strongroom"},
		"keys are of random bytes":  {func(t *testing.T, data string) { randomise(t, filepath.Join(data, "keys.json")) }, "the key file %/keys.json is damaged: it is not JSON"},
		"keys have a flipped digit": {func(t *testing.T, data string) { flipDigit(t, filepath.Join(data, "keys.json")) }, "the key file %/keys.json is damaged: its checksum does not match"},
		"keys are empty":            {truncate("keys.json", 0), "the key file %/keys.json is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := filled(t)
			test.spoil(t, data)
			before := contents(t, data)
			said := refused(t, "--addr", "127.0.0.1:0", "--data", data)
			if want := strings.ReplaceAll(test.want, "%", data); !strings.Contains(said, want) {
				t.Errorf("got %s\nwant %s", said, want)
			}
			if after := contents(t, data); after != before {
				t.Errorf("the folder is\n%s\nand was\n%s", after, before)
			}
		})
	}
}

// filled is a data folder with a few secrets.
func filled(t *testing.T) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	r := start(t, "--data", data, "--rate", "0")
	for i := range 20 {
		mustCreate(t, r.url, fmt.Sprint("s-", i))
	}
	r.interrupt(t)
	return data
}

// longValue is the value of a secret that mustCreate makes: four kilobytes.
func longValue(name string) string { return strings.Repeat(name+" ", 4096/(len(name)+1)) }

func mustCreate(t *testing.T, url, name string) {
	t.Helper()
	in := map[string]any{"Name": name, "ClientRequestToken": "token-of-" + strings.Repeat("x", 32) + name, "SecretString": longValue(name)}
	if status, body, err := post(url, "CreateSecret", in); status != http.StatusOK {
		t.Fatalf("got %d %s, %v", status, body, err)
	}
}

func giveAway(t *testing.T, path string) {
	t.Helper()
	if err := os.Lchown(path, nobody, nobody); errors.Is(err, fs.ErrPermission) {
		t.Skip("only root can give a file to another user")
	} else if err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// linkTo moves a file of the data folder, or the folder itself, and puts a link in its
// place.
func linkTo(name string) func(*testing.T, string) {
	return func(t *testing.T, data string) {
		t.Helper()
		path, elsewhere := filepath.Join(data, name), filepath.Join(t.TempDir(), "moved")
		if err := errors.Join(os.Rename(path, elsewhere), os.Symlink(elsewhere, path)); err != nil {
			t.Fatal(err)
		}
	}
}

func truncate(name string, size int64) func(*testing.T, string) {
	return func(t *testing.T, data string) {
		t.Helper()
		if err := os.Truncate(filepath.Join(data, name), size); err != nil {
			t.Fatal(err)
		}
	}
}

func randomise(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, path, 0, int(info.Size()))
}

// overwrite puts random bytes in a part of a file, as far as it goes.
func overwrite(t *testing.T, path string, from, to int) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := from; i < min(to, len(content)); i++ {
		content[i] = byte(rand.N(256))
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// flipDigit changes a digit of the first date in a key file.
func flipDigit(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(content), `"created": "20`) + len(`"created": "20`)
	content[at] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// contents are the names, owners, modes and contents of all in a folder, but for the
// pid in the lock.
func contents(t *testing.T, data string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(data, func(path string, info fs.FileInfo, err error) error {
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		fmt.Fprintf(&b, "%s %s %d", path, info.Mode(), stat.Uid)
		if info.Mode().IsRegular() && info.Name() != "lock" {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %x", sha256.Sum256(content))
		}
		_, err = fmt.Fprintln(&b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A folder that takes no writes is refused, and stays as it is.
func TestReadOnlyFolder(t *testing.T) {
	t.Parallel()
	data := filled(t)
	before := contents(t, data)
	mount(t, data, "--bind", data)
	remount := exec.Command("mount", "-o", "remount,bind,ro", data)
	if out, err := remount.CombinedOutput(); err != nil {
		t.Skipf("cannot mount read-only here: %s", out)
	}
	said := refused(t, "--addr", "127.0.0.1:0", "--data", data)
	if !strings.Contains(said, "cannot lock the data folder "+data) || !strings.Contains(said, "read-only file system") {
		t.Errorf("got %s", said)
	}
	if after := contents(t, data); after != before {
		t.Errorf("the folder is\n%s\nand was\n%s", after, before)
	}
}

// mount mounts something until the end of the test.
func mount(t *testing.T, at string, args ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount")
	}
	if out, err := exec.Command("mount", append(args, at)...).CombinedOutput(); err != nil {
		t.Skipf("cannot mount here: %s", out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", at).CombinedOutput(); err != nil {
			t.Errorf("%s", out)
		}
	})
}

// A folder whose mode keeps its owner from writing is refused; root is not kept.
func TestFolderWithoutWriteMode(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can start the server as another user")
	}
	dir, err := os.MkdirTemp("/tmp", "strongroom-other-user")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	binary, data := filepath.Join(dir, "local"), filepath.Join(dir, "data")
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(binary, content, 0o755), os.Mkdir(data, 0o500)); err != nil {
		t.Fatal(err)
	}
	chmod(t, dir, 0o755)
	giveAway(t, data)
	c := exec.Command(binary, "--addr", "127.0.0.1:0", "--data", data)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	c.Dir = dir
	out, err := c.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("got %v, want exit status 1", err)
	}
	if want := "cannot lock the data folder " + data; !strings.Contains(string(out), want) || !strings.Contains(string(out), "permission denied") || strings.Count(string(out), "\n") != 1 {
		t.Errorf("got %s", out)
	}
	if files, err := os.ReadDir(data); err != nil || len(files) != 0 {
		t.Errorf("got %v, %v, want nothing in it", files, err)
	}
}

// Without room a write fails and says why in the log; reads go on, nothing is lost,
// and with room again writes do, too.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mount(t, dir, "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs")
	data := filepath.Join(dir, "data")
	r := start(t, "--data", data, "--rate", "0", "--audit", filepath.Join(t.TempDir(), "audit.jsonl"))
	made := createUntilItFails(t, r, "no space left on device")
	if len(made) < 10 {
		t.Errorf("only %d secrets fit", len(made))
	}
	checkSecrets(t, r.url, made)
	for range 50 { // writes that fail, and reads between them
		if status, body, _ := post(r.url, "CreateSecret", map[string]any{"Name": "large", "ClientRequestToken": strings.Repeat("large", 8), "SecretString": strings.Repeat("x", 60_000)}); status == http.StatusOK {
			t.Fatalf("got %d %s", status, body)
		}
	}
	checkSecrets(t, r.url, made)
	if out, err := exec.Command("mount", "-o", "remount,size=8m", dir).CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	for i := range 50 {
		name := fmt.Sprint("later-", i)
		mustCreate(t, r.url, name)
		made = append(made, name)
	}
	mustCreate(t, r.url, "large")
	checkSecrets(t, r.url, made)
	kill9(t, r)
	r = start(t, "--data", data, "--rate", "0", "--audit", filepath.Join(t.TempDir(), "audit.jsonl"))
	checkSecrets(t, r.url, made)
}

// A disk that is full from the start refuses it, with a sentence, and takes it later.
func TestFullDiskAtStart(t *testing.T) {
	t.Parallel()
	for _, room := range []int{0, 1, 2, 4, 5} { // pages
		dir := t.TempDir()
		mount(t, dir, "-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs")
		fill := filepath.Join(dir, "fill")
		writeFile(t, fill, strings.Repeat("x", (64-room)*4096))
		data := filepath.Join(dir, "data")
		if said := refused(t, "--addr", "127.0.0.1:0", "--data", data); !strings.Contains(said, "no space left on device") || !strings.Contains(said, data) {
			t.Errorf("%d pages: got %s", room, said)
		}
		remove(t, fill)
		r := start(t, "--data", data)
		mustCreate(t, r.url, "s")
		checkSecrets(t, r.url, []string{"s"})
		r.interrupt(t)
	}
}

// The same where the file may not grow: the failure is at another call.
func TestFileThatMayNotGrow(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	shell := []string{"-c", `ulimit -f 1024; exec "$@"`, "sh", program, "--addr", "127.0.0.1:0", "--data", data, "--rate", "0", "--audit", filepath.Join(t.TempDir(), "audit.jsonl")}
	r := startCommand(t, exec.Command("sh", shell...))
	made := createUntilItFails(t, r, "file too large")
	checkSecrets(t, r.url, made)
	kill9(t, r)
	r = start(t, "--data", data, "--rate", "0")
	checkSecrets(t, r.url, made)
	mustCreate(t, r.url, "later")
}

// startCommand starts a command that becomes the server.
func startCommand(t *testing.T, c *exec.Cmd) running {
	t.Helper()
	r := running{Cmd: c, errors: new(output)}
	c.Stderr = r.errors
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	line, _ := bufio.NewReader(out).ReadString('\n')
	m := answersOn.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("it printed %q and %s", line, r.errors)
	}
	r.url = m[1]
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return r
}

// createUntilItFails makes secrets until there is no room for one, and checks what the
// server says then.
func createUntilItFails(t *testing.T, r running, why string) (made []string) {
	t.Helper()
	for i := range 10_000 {
		name := fmt.Sprint("s-", i)
		in := map[string]any{"Name": name, "ClientRequestToken": strings.Repeat("token", 8), "SecretString": longValue(name)}
		status, body, err := post(r.url, "CreateSecret", in)
		if status == http.StatusOK {
			made = append(made, name)
			continue
		}
		if err != nil || status != http.StatusInternalServerError || !strings.Contains(body, "InternalServiceError") || strings.Contains(body, why) {
			t.Errorf("got %d %s, %v, want InternalServiceError", status, body, err)
		}
		wantLogged(t, r, why, "table.db")
		return made
	}
	t.Fatal("there is room for everything")
	return nil
}

func wantLogged(t *testing.T, r running, words ...string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for line := range strings.Lines(r.errors.String()) {
			found := true
			for _, word := range words {
				found = found && strings.Contains(line, word)
			}
			if found {
				return
			}
		}
	}
	t.Errorf("it logged %s, want %q in a line", r.errors, words)
}

func checkSecrets(t *testing.T, url string, names []string) {
	t.Helper()
	for _, name := range names {
		if status, value := valueAt(t, url, name); status != http.StatusOK || value != longValue(name) {
			t.Errorf("%s: got %d %.100s", name, status, value)
		}
	}
}

func valueAt(t *testing.T, url, name string) (int, string) {
	t.Helper()
	status, body, err := post(url, "GetSecretValue", map[string]any{"SecretId": name})
	if err != nil {
		t.Fatal(err)
	}
	var out struct{ SecretString string }
	if status == http.StatusOK && json.Unmarshal([]byte(body), &out) == nil {
		return status, out.SecretString
	}
	return status, body
}

func kill9(t *testing.T, r running) {
	t.Helper()
	if err := r.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = r.Wait()
}

// A table with flipped bytes is refused at the start, or what is read of it is right,
// or an error that the log explains, or not found. The server does not end.
func TestDamagedTable(t *testing.T) {
	t.Parallel()
	data := filled(t)
	table := filepath.Join(data, "table.db")
	whole, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]int{}
	for range 25 {
		for range 8 {
			overwriteByte(t, table, 8192+rand.N(len(whole)-8192))
		}
		outcomes[readDamaged(t, data)]++
		if err := os.WriteFile(table, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Log(outcomes)
}

func overwriteByte(t *testing.T, path string, at int) { overwrite(t, path, at, at+1) }

func readDamaged(t *testing.T, data string) string {
	t.Helper()
	c := exec.Command(program, "--addr", "127.0.0.1:0", "--data", data, "--rate", "0")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	said := new(output)
	c.Stderr = said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	m := answersOn.FindStringSubmatch(line)
	if m == nil {
		_ = c.Wait()
		if text := said.String(); c.ProcessState.ExitCode() != 1 || strings.Contains(text, "goroutine ") || !strings.Contains(text, "table.db") {
			t.Errorf("it ended with %s and said %s", c.ProcessState, said)
		}
		return "refused"
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	r := running{Cmd: c, url: m[1], errors: said}
	outcome := readSome(t, r)
	r.interrupt(t)
	if strings.Contains(said.String(), "goroutine ") {
		t.Errorf("it said %s", said)
	}
	return outcome
}

func readSome(t *testing.T, r running) string {
	t.Helper()
	outcome := "all right"
	for i := range 20 {
		name := fmt.Sprint("s-", i)
		switch status, value := valueAt(t, r.url, name); {
		case status == http.StatusOK && value == longValue(name):
		case status == http.StatusInternalServerError:
			outcome = "error"
			wantLogged(t, r, `"level":"ERROR"`, name)
		case status == http.StatusBadRequest && strings.Contains(value, "ResourceNotFoundException"):
			outcome = "not found"
		default:
			t.Errorf("%s: got %d %.200s", name, status, value)
		}
	}
	_, _, err := post(r.url, "CreateSecret", map[string]any{"Name": "new", "ClientRequestToken": strings.Repeat("token", 8), "SecretString": "v"})
	if err != nil {
		t.Errorf("it does not answer: %v; it said %s", err, r.errors)
	}
	return outcome
}

// The binary runs from any folder, and its data is where it was told.
func TestFromAnotherFolder(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	c := exec.Command(program, "--addr", "127.0.0.1:0", "--data", data)
	c.Dir = "/"
	r := startCommand(t, c)
	mustCreate(t, r.url, "s")
	checkSecrets(t, r.url, []string{"s"})
	r.interrupt(t)
	if _, err := os.Stat(filepath.Join(data, "table.db")); err != nil {
		t.Error(err)
	}
}

// An audit file is not kept where others could put another in its place; in a folder such
// as /tmp they could not.
func TestFolderOfTheAuditFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	args := []string{"--addr", "127.0.0.1:0", "--memory", "--audit", filepath.Join(folder, "audit.jsonl")}
	for _, mode := range []os.FileMode{0o720, 0o702} {
		chmod(t, folder, mode)
		if said, want := refused(t, args...), "other users may write to the folder "+folder; !strings.Contains(said, want) {
			t.Errorf("%o: got %s, want %s", mode, said, want)
		}
	}
	for _, mode := range []os.FileMode{0o755, 0o777 | os.ModeSticky} {
		chmod(t, folder, mode)
		r := start(t, args...)
		r.interrupt(t)
	}
	if os.Geteuid() == 0 { // only root can give a folder away
		giveAway(t, folder)
		if said, want := refused(t, args...), folder+" belongs to another user"; !strings.Contains(said, want) {
			t.Errorf("got %s, want %s", said, want)
		}
	}
}

// An import that is interrupted says that it did nothing, and so it is.
func TestInterruptedImport(t *testing.T) {
	t.Parallel()
	pipe, data := filepath.Join(t.TempDir(), "items"), filepath.Join(t.TempDir(), "data")
	writeFile(t, pipe, manyItems(200_000))
	c := exec.Command(program, "--data", data, "--import", pipe)
	var said bytes.Buffer
	c.Stderr = &said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	waitForFile(t, filepath.Join(data, "table.db.filling"))
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err == nil || said.String() != "strongroom: --import: interrupted; nothing was imported\n" {
		t.Errorf("got %v, %q", err, &said)
	}
	if left, _ := filepath.Glob(filepath.Join(data, "table.db*")); left != nil {
		t.Errorf("left %v", left)
	}
}

// A Region that is used for the first time when the disk is full gives an error, which the
// log explains, and works once there is room. The others go on.
func TestFullDiskAtFirstUseOfARegion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mount(t, dir, "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs")
	data, fill := filepath.Join(dir, "data"), filepath.Join(dir, "fill")
	r := start(t, "--data", data, "--rate", "0", "--audit", filepath.Join(t.TempDir(), "audit.jsonl"))
	create(t, r.url, "s", "v")
	for room := range 4 { // pages
		region := fmt.Sprint("eu-west-", room)
		_ = os.WriteFile(fill, make([]byte, 1<<20), 0o600) // as much as there is room for
		info, err := os.Stat(fill)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(fill, info.Size()-info.Size()%4096-int64(room*4096)); err != nil {
			t.Fatal(err)
		}
		_, err = in(r.url, region).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("s"), SecretString: aws.String("w")})
		if err == nil {
			t.Logf("%d pages are enough", room)
			break
		}
		wantRefusedIn(t, region, err, "InternalServiceError", "An error occurred on the server side.")
		wantLogged(t, r, "no space left on device", region)
		wantValueIn(t, r.url, "us-east-1", "s", "v")
		remove(t, fill)
		createIn(t, r.url, region, "s", "w")
		wantValueIn(t, r.url, region, "s", "w")
	}
}
