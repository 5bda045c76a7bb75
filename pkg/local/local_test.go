package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// helperMode has the test program be another process: see the helpers.
const helperMode = "STRONGROOM_LOCAL_HELPER"

func TestMain(m *testing.M) {
	var err error
	switch mode := os.Getenv(helperMode); mode {
	case "":
		os.Exit(m.Run())
	case "client":
		err = helperClient(context.Background())
	default:
		err = helperParent(context.Background(), mode)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// helperClient reaches both engines as a Lambda would: by the environment.
func helperClient(ctx context.Context) error {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	if _, err := dynamodb.NewFromConfig(cfg).ListTables(ctx, nil); err != nil {
		return err
	}
	_, err = kms.NewFromConfig(cfg).GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: aws.String(DefaultAlias), KeySpec: "AES_256"})
	return err
}

// helperParent starts engines, says where the database is, and waits to be killed.
func helperParent(ctx context.Context, data string) error {
	e, err := Start(ctx, Options{Data: data})
	if err != nil {
		return err
	}
	fmt.Println(e.DynamoDBEndpoint())
	select {}
}

func helper(t *testing.T, mode string, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(append(os.Environ(), env...), helperMode+"="+mode)
	return cmd
}

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

func createTable(t *testing.T, db *dynamodb.Client) {
	t.Helper()
	_, err := db.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName:            aws.String(testTable),
		BillingMode:          types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = dynamodb.NewTableExistsWaiter(db, func(o *dynamodb.TableExistsWaiterOptions) { o.MinDelay = time.Millisecond }).
		Wait(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String(testTable)}, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
}

func putItem(t *testing.T, db *dynamodb.Client, id string) {
	t.Helper()
	_, err := db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(testTable), Item: item(id)})
	if err != nil {
		t.Fatal(err)
	}
}

func wantItem(t *testing.T, db *dynamodb.Client, id string) {
	t.Helper()
	out, err := db.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String(testTable), Key: item(id), ConsistentRead: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Item) == 0 {
		t.Errorf("item %s is lost", id)
	}
}

func item(id string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: id}}
}

func TestStartInMemory(t *testing.T) {
	t.Parallel()
	e := start(t, Options{})
	createTable(t, e.DynamoDB())
	putItem(t, e.DynamoDB(), "a")
	wantItem(t, e.DynamoDB(), "a")
	if want := "arn:aws:kms:us-east-1:000000000000:key/"; !strings.HasPrefix(e.KeyID(), want) {
		t.Errorf("KeyID: got %s, want %s…", e.KeyID(), want)
	}
}

func TestWhatIsStoredSurvivesARestart(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "a", "data")
	e := start(t, Options{Data: data})
	createTable(t, e.DynamoDB())
	putItem(t, e.DynamoDB(), "a")
	sealed, err := e.KMS().Encrypt(t.Context(), &kms.EncryptInput{KeyId: aws.String(e.KeyID()), Plaintext: []byte("plain")})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}

	again := start(t, Options{Data: data})
	wantItem(t, again.DynamoDB(), "a")
	if again.KeyID() != e.KeyID() {
		t.Errorf("KeyID: got %s, want %s", again.KeyID(), e.KeyID())
	}
	opened, err := again.KMS().Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: sealed.CiphertextBlob})
	if err != nil {
		t.Fatal(err)
	}
	if string(opened.Plaintext) != "plain" {
		t.Errorf("Decrypt: got %q, want plain", opened.Plaintext)
	}
	if !hasModes {
		return
	}
	for name, want := range map[string]os.FileMode{".": 0o700, keyFile: 0o600, lockFile: 0o600} {
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
	if inUse.Orphan || (hasModes && inUse.PID != os.Getpid()) {
		t.Errorf("second Start: got %+v, want pid %d", inUse, os.Getpid())
	}
	want := fmt.Sprintf("another strongroom (pid %d) is using %s; stop it, or use --data with another folder", os.Getpid(), data)
	if hasModes && err.Error() != want {
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
		"data folder below a file": {Options{Data: filepath.Join(file, "data")}, "cannot make the data folder %"},
		"data folder is a file":    {Options{Data: file}, "cannot make the data folder %"},
		"engine missing":           {Options{Engine: file + "-not"}, "the DynamoDB engine %-not cannot be used"},
		"engine not executable":    {Options{Engine: file}, "the DynamoDB engine % cannot be used"},
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

func TestStartIsCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	data := filepath.Join(t.TempDir(), "data")
	if _, err := Start(ctx, Options{Data: data}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	start(t, Options{Data: data}) // nothing is left in the way
}

func TestEngineIsNotInstalled(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for platform, want := range map[string]string{
		"linux/amd64": "the DynamoDB engine for linux/amd64 is not at " + filepath.Join(root, ".local/engine/node_modules/@dynoxide/linux-x64/dynoxide") +
			"; run 'make engine' (it installs @dynoxide/linux-x64@1.2.1 with npm), or set AWS_ENDPOINT_URL_DYNAMODB to an engine of your own",
		"windows/amd64": "the DynamoDB engine for windows/amd64 is not at " + filepath.Join(root, ".local/engine/node_modules/@dynoxide/win32-x64/dynoxide.exe") +
			"; run 'make engine' (it installs @dynoxide/win32-x64@1.2.1 with npm), or set AWS_ENDPOINT_URL_DYNAMODB to an engine of your own",
		"freebsd/amd64": "there is no DynamoDB engine to install for freebsd/amd64; set AWS_ENDPOINT_URL_DYNAMODB to an engine of your own",
	} {
		_, err := installedEngine(root, platform)
		if err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", platform, err, want)
		}
		if !errors.Is(err, ErrNoEngine) {
			t.Errorf("%s: %v is not ErrNoEngine", platform, err)
		}
	}
}

func TestModuleRoot(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	below := filepath.Join(root, "pkg", "x")
	if err := os.MkdirAll(below, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := moduleRoot(below); got != below {
		t.Errorf("without go.mod: got %s, want %s", got, below)
	}
	if err := os.WriteFile(filepath.Join(root, "go.mod"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := moduleRoot(below); got != root {
		t.Errorf("got %s, want %s", got, root)
	}
}

// A folder that others may look into is theirs to shut, unless it is empty.
func TestFolderOpenToOthers(t *testing.T) {
	t.Parallel()
	if !hasModes {
		t.Logf("%s has no file modes", runtime.GOOS)
		return
	}
	data := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := prepareFolder(data); err != nil {
		t.Errorf("empty folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(data, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := prepareFolder(data); err != nil {
		t.Errorf("folder of our own: %v", err)
	}
	if err := os.Chmod(data, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := prepareFolder(data); err == nil || !strings.Contains(err.Error(), "run 'chmod 700 "+data+"'") {
		t.Errorf("got %v, want what to do", err)
	}
}

func TestAnotherProcessByEnvironment(t *testing.T) {
	t.Parallel()
	e := start(t, Options{})
	out, err := helper(t, "client", e.Env()...).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func TestOptionFunctionsReachTheClients(t *testing.T) {
	t.Parallel()
	e := start(t, Options{})
	counted := new(countingClient)
	_, err := e.DynamoDB(func(o *dynamodb.Options) { o.HTTPClient = counted }).ListTables(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.KMS(func(o *kms.Options) { o.HTTPClient = counted }).ListAliases(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if counted.n != 2 {
		t.Errorf("got %d requests through the client given, want 2", counted.n)
	}
}

type countingClient struct{ n int }

func (c *countingClient) Do(r *http.Request) (*http.Response, error) {
	c.n++
	return http.DefaultClient.Do(r)
}

// Engines of the user get the user's configuration, and made-up credentials
// only if there are none. Not parallel: that configuration is the environment.
func TestEnginesOfTheUser(t *testing.T) {
	theirs := start(t, Options{})
	none := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "AWS_PROFILE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "",
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": "", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "", "AWS_WEB_IDENTITY_TOKEN_FILE": "",
	} {
		t.Setenv(name, value)
	}
	var log bytes.Buffer
	e := start(t, Options{DynamoDB: theirs.DynamoDBEndpoint(), Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if e.engine != nil {
		t.Error("an engine was started beside the user's")
	}
	if _, err := e.DynamoDB().ListTables(t.Context(), nil); err != nil {
		t.Error(err)
	}
	// For an engine on this machine that is nothing to warn of.
	if !strings.Contains(log.String(), `level=DEBUG msg="no AWS credentials found`) {
		t.Errorf("log: got %q, want a word about credentials", log.String())
	}

	for _, v := range theirs.Env() {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	e = start(t, Options{DynamoDB: theirs.DynamoDBEndpoint(), KMS: theirs.KMSEndpoint()})
	_, err := e.KMS().GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: aws.String(e.KeyID()), KeySpec: "AES_256"})
	if err != nil {
		t.Errorf("with the user's credentials: %v", err)
	}
}
