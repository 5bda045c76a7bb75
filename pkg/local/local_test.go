package local

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/pkg/local/private"
	"github.com/strongroom/strongroom/pkg/store"
)

func start(t *testing.T, o Options) *Engines {
	t.Helper()
	e, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return e
}

const testTable = "test"

func putItem(t *testing.T, e *Engines, id string) {
	t.Helper()
	if err := store.CreateTable(t.Context(), e.DynamoDB, testTable); err != nil {
		t.Fatal(err)
	}
	_, err := e.DynamoDB.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{
		RequestItems: map[string][]types.WriteRequest{testTable: {{PutRequest: &types.PutRequest{Item: item(id)}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func wantItem(t *testing.T, e *Engines, id string) {
	t.Helper()
	out, err := e.DynamoDB.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String(testTable), Key: item(id), ConsistentRead: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Item) == 0 {
		t.Errorf("item %s is lost", id)
	}
}

func item(id string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: id}, "sk": &types.AttributeValueMemberS{Value: id}}
}

func openRegion(t *testing.T, e *Engines, region string) Deployment {
	t.Helper()
	d, err := e.Open(t.Context(), region)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func dataKey(t *testing.T, d Deployment) *kms.GenerateDataKeyOutput {
	t.Helper()
	out, err := d.KMS.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: aws.String(d.DefaultKey), KeySpec: "AES_256"})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestStartInMemory(t *testing.T) {
	t.Parallel()
	e := start(t, Options{Region: "eu-central-1", Account: "123456789012"})
	putItem(t, e, "a")
	wantItem(t, e, "a")
	if want := "arn:aws:kms:eu-central-1:123456789012:key/"; !strings.HasPrefix(openRegion(t, e, "eu-central-1").DefaultKey, want) {
		t.Errorf("default key: got %s, want %s…", openRegion(t, e, "eu-central-1").DefaultKey, want)
	}
}

func TestWhatIsStoredSurvivesARestart(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "a", "data")
	e := start(t, Options{Data: data})
	putItem(t, e, "a")
	first := openRegion(t, e, Region)
	made := dataKey(t, first)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}

	again := start(t, Options{Data: data})
	wantItem(t, again, "a")
	second := openRegion(t, again, Region)
	if second.DefaultKey != first.DefaultKey {
		t.Errorf("default key: got %s, want %s", second.DefaultKey, first.DefaultKey)
	}
	opened, err := second.KMS.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: made.CiphertextBlob})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(opened.Plaintext, made.Plaintext) {
		t.Error("the data key is another one after a restart")
	}
	wantModes(t, data)
}

// wantModes checks that a data folder and the files in it are their owner's alone.
func wantModes(t *testing.T, data string) {
	t.Helper()
	want := map[string]os.FileMode{".": 0o700, keyFile: 0o600, lockFile: 0o600, tableFile: 0o600}
	if !private.HasModes {
		want = nil
	}
	for name, want := range want {
		info, err := os.Stat(filepath.Join(data, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("mode of %s: got %04o, want %04o", name, got, want)
		}
	}
}

func TestSecondStartIsRefused(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	e := start(t, Options{Data: data})

	_, err := Start(t.Context(), Options{Data: data})
	inUse, ok := errors.AsType[*InUseError](err)
	if !ok {
		t.Fatalf("second Start: got %v, want an InUseError", err)
	}
	want := fmt.Sprintf("another strongroom (pid %d) is using %s; stop it, or use --data with another folder", os.Getpid(), data)
	if private.HasModes && inUse.Error() != want { // Windows lets nobody read a locked file
		t.Errorf("second Start:\n got %v\nwant %s", err, want)
	}

	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	start(t, Options{Data: data})
}

// Each file that cannot be used is refused with a sentence, and stays as it is.
func TestFilesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(t *testing.T, data string)
		want  string // "%" stands for the data folder
	}{
		"table of the earlier engine": {func(t *testing.T, data string) { writeFile(t, data, oldFile, "SQLite format 3") }, "the data folder % was made by an earlier version"},
		"table of something else":     {func(t *testing.T, data string) { writeFile(t, data, tableFile, strings.Repeat("no table", 4096)) }, "%/table.db is damaged, or not a table of Strongroom"},
		"table without a byte":        {func(t *testing.T, data string) { writeFile(t, data, tableFile, "") }, "%/table.db is damaged, or not a table of Strongroom"},
		"table cut short":             {func(t *testing.T, data string) { truncate(t, data, tableFile, 8192) }, "%/table.db is damaged, or not a table of Strongroom"},
		"table is a link":             {func(t *testing.T, data string) { link(t, data, tableFile) }, "%/table.db is a symbolic link"},
		"key file is a link":          {func(t *testing.T, data string) { link(t, data, keyFile) }, "%/keys.json is a symbolic link"},
		"lock is a link":              {func(t *testing.T, data string) { link(t, data, lockFile) }, "%/lock is a symbolic link"},
		"key file is gone":            {func(t *testing.T, data string) { remove(t, data, keyFile) }, "the key file %/keys.json is missing, and the secrets in %/table.db are sealed under its keys"},
		"key file is cut":             {func(t *testing.T, data string) { truncate(t, data, keyFile, 100) }, "the key file %/keys.json is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := filepath.Join(t.TempDir(), "data")
			e := start(t, Options{Data: data})
			putItem(t, e, "a")
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			test.spoil(t, data)
			before := files(t, data)
			_, err := Start(t.Context(), Options{Data: data})
			want := strings.ReplaceAll(test.want, "%", data)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v\nwant %s …", err, want)
			}
			if after := files(t, data); after != before {
				t.Errorf("the folder is\n%s\nand was\n%s", after, before)
			}
		})
	}
}

func writeFile(t *testing.T, data, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(data, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, data, name string, size int64) {
	t.Helper()
	if err := os.Truncate(filepath.Join(data, name), size); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, data, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(data, name)); err != nil {
		t.Fatal(err)
	}
}

// link puts a link in the place of a file, which it moves out of the folder.
func link(t *testing.T, data, name string) {
	t.Helper()
	path, elsewhere := filepath.Join(data, name), filepath.Join(t.TempDir(), name)
	if err := errors.Join(os.Rename(path, elsewhere), os.Symlink(elsewhere, path)); err != nil {
		t.Fatal(err)
	}
}

// files are the names and contents of a folder, but for the lock, which has a pid.
func files(t *testing.T, data string) string {
	t.Helper()
	entries, err := os.ReadDir(data)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(data, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if entry.Name() != lockFile {
			fmt.Fprintf(&b, "%s %d bytes, %x\n", entry.Name(), len(content), sha256.Sum256(content))
		}
	}
	return b.String()
}

func TestStartRefusals(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		options Options
		want    string // "%" stands for file
	}{
		"data folder below a file": {Options{Data: filepath.Join(file, "data")}, "cannot use the data folder %/data"},
		"data folder is a file":    {Options{Data: file}, "cannot use the data folder %"},
		"not a URL":                {Options{DynamoDB: "localhost:8000"}, `AWS_ENDPOINT_URL_DYNAMODB is "localhost:8000", which is not a URL`},
		"not a web URL":            {Options{KMS: "ftp://localhost"}, `AWS_ENDPOINT_URL_KMS is "ftp://localhost", which is not a URL`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Start(t.Context(), test.options)
			want := strings.ReplaceAll(test.want, "%", file)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v\nwant %s …", err, want)
			}
		})
	}
}

// The account stays with the data: every sealed value names it.
func TestAnotherAccountIsRefused(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	if err := start(t, Options{Data: data, Region: "eu-west-1", Account: "123456789012"}).Close(); err != nil {
		t.Fatal(err)
	}
	o := Options{Data: data, Region: "eu-west-1", Account: "000000000000"}
	if _, err := Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), "region eu-west-1 and account 123456789012") {
		t.Errorf("got %v, want what the folder has", err)
	}
}

// Engines of the user get the user's configuration, and made-up credentials only if
// there are none. Not parallel: that configuration is the environment.
func TestEnginesOfTheUser(t *testing.T) {
	var signedBy string
	theirs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		signedBy = r.Header.Get("Authorization")
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_, _ = w.Write([]byte(`{}`))
	}))
	t.Cleanup(theirs.Close)
	none := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "AWS_PROFILE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "",
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": "", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "", "AWS_WEB_IDENTITY_TOKEN_FILE": "",
	} {
		t.Setenv(name, value)
	}
	var log bytes.Buffer
	data := filepath.Join(t.TempDir(), "data")
	o := Options{Data: data, DynamoDB: theirs.URL, KMS: theirs.URL, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	get := func() {
		t.Helper()
		e := start(t, o)
		if _, err := e.DynamoDB.GetItem(context.Background(), &dynamodb.GetItemInput{TableName: aws.String("t"), Key: item("a")}); err != nil {
			t.Error(err)
		}
	}
	get()
	// For an engine on this machine that is nothing to warn of.
	if !strings.Contains(log.String(), `level=DEBUG msg="no AWS credentials found`) {
		t.Errorf("log: got %q, want a word about credentials", log.String())
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIATHEIRS")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	get()
	if !strings.Contains(signedBy, "Credential=AKIATHEIRS/") {
		t.Errorf("signed by %q, want by the user's own key", signedBy)
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("there is a data folder, which nothing uses")
	}
}

func wantAPIError(t *testing.T, what string, err error, code string) {
	t.Helper()
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || api.ErrorCode() != code {
		t.Errorf("%s: got %v, want %s", what, err, code)
	}
}
