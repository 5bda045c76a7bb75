package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	sdkkms "github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/strongroom/strongroom/pkg/secret"
)

func wantRegions(t *testing.T, e *Engines, want ...string) {
	t.Helper()
	if got, err := e.Regions(t.Context()); err != nil || !slices.Equal(got, want) {
		t.Errorf("Regions: got %v, %v, want %v", got, err, want)
	}
}

func closeNow(t *testing.T, e *Engines) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// The Region that a folder was made with keeps its files, whatever Region the folder is
// started with; others have files of their own.
func TestRegionsOfAFolder(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	made := start(t, Options{Data: data, Region: "eu-west-1"})
	wantRegions(t, made)
	first := openRegion(t, made, "eu-west-1")
	key := dataKey(t, first)
	closeNow(t, made)

	again := start(t, Options{Data: data, Region: "us-east-1"})
	second := openRegion(t, again, "us-east-1")
	wantRegions(t, again, "eu-west-1", "us-east-1")
	if first.Table != "strongroom" || second.Table != "strongroom-us-east-1" {
		t.Errorf("tables: got %s and %s", first.Table, second.Table)
	}
	if !strings.HasPrefix(second.DefaultKey, "arn:aws:kms:us-east-1:") {
		t.Errorf("default key: got %s, want one of us-east-1", second.DefaultKey)
	}
	if got := openRegion(t, again, "eu-west-1"); got.DefaultKey != first.DefaultKey || got.Table != first.Table {
		t.Errorf("got %+v, want %+v", got, first)
	}
	blob := &sdkkms.DecryptInput{CiphertextBlob: key.CiphertextBlob}
	if _, err := openRegion(t, again, "eu-west-1").KMS.Decrypt(t.Context(), blob); err != nil {
		t.Error(err)
	}
	if _, err := second.KMS.Decrypt(t.Context(), blob); err == nil {
		t.Error("a key of one Region opens what was sealed in another")
	}
	closeNow(t, again)
	for _, name := range []string{keyFile, "keys-us-east-1.json"} {
		if _, err := os.Stat(filepath.Join(data, name)); err != nil {
			t.Error(err)
		}
	}
}

// The keys of one Region are lost: it is refused, and given no new ones; others open.
func TestLostKeysOfARegion(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	e := start(t, Options{Data: data})
	openRegion(t, e, Region)
	openRegion(t, e, "eu-west-1")
	closeNow(t, e)
	lost := filepath.Join(data, "keys-eu-west-1.json")
	if err := os.Rename(lost, lost+".away"); err != nil {
		t.Fatal(err)
	}
	e = start(t, Options{Data: data})
	openRegion(t, e, Region)
	want := fmt.Sprintf("the key file %s is missing, and the secrets of eu-west-1 in %s are sealed under its keys: ", lost, filepath.Join(data, tableFile))
	for range 2 {
		if _, err := e.Open(t.Context(), "eu-west-1"); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s …", err, want)
		}
	}
	if _, err := os.Stat(lost); err == nil {
		t.Error("there is a new key file")
	}
	if err := os.Rename(lost+".away", lost); err != nil {
		t.Fatal(err)
	}
	openRegion(t, e, "eu-west-1")
}

// A key file under the name of another Region is no key file of that Region.
func TestKeysOfAnotherRegion(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	e := start(t, Options{Data: data})
	openRegion(t, e, "eu-west-1")
	if err := os.Rename(filepath.Join(data, "keys-eu-west-1.json"), filepath.Join(data, "keys-eu-west-2.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Open(t.Context(), "eu-west-2"); err == nil || !strings.Contains(err.Error(), "are of region eu-west-1 and account "+Account) {
		t.Errorf("got %v, want that they are of another Region", err)
	}
}

func TestIsRegion(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"us-east-1": true, "us-gov-west-1": true, "x-1": true, strings.Repeat("a", 126) + "-1": true,
		"": false, "us-east": false, "us-east-1a": false, "US-EAST-1": false, "../x-1": false, "us-east-1\n": false, "1": false, "-1": false,
		strings.Repeat("a", 127) + "-1": false,
	} {
		if got := IsRegion(name); got != want {
			t.Errorf("%.20q: got %v", name, got)
		}
		if _, err := start(t, Options{}).Open(t.Context(), name); (err == nil) != want {
			t.Errorf("%.20q: got %v", name, err)
		}
	}
}

func TestTooManyRegions(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	for _, o := range []Options{{}, {Data: data}} {
		e := start(t, o)
		for i := range MaxRegions {
			openRegion(t, e, fmt.Sprint("eu-west-", i))
		}
		before := ""
		if o.Data != "" {
			before = files(t, data)
		}
		_, err := e.Open(t.Context(), "us-east-1")
		want := secret.Errorf(secret.LimitExceeded, "The local server keeps the secrets of 50 Regions, and has that many: us-east-1 would be one more.")
		if !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
		openRegion(t, e, "eu-west-7")
		if o.Data == "" {
			continue
		}
		if after := files(t, data); after != before {
			t.Errorf("the folder is\n%s\nand was\n%s", after, before)
		}
		closeNow(t, e)
		e = start(t, o)
		openRegion(t, e, "us-east-1") // the Region of --region always is; here it is the first
	}
}

// A Region whose table cannot be made after its key file was counts, and is made later.
func TestRegionThatCannotBeMade(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	e := start(t, Options{Data: data})
	openRegion(t, e, Region)
	broken := &tables{DynamoDB: e.DynamoDB, err: errors.New("no space left on device")}
	e.DynamoDB = broken
	for i := range MaxRegions + 5 {
		_, err := e.Open(t.Context(), fmt.Sprint("eu-west-", i))
		_, limited := errors.AsType[secret.Error](err)
		if err == nil || limited != (i >= MaxRegions-1) {
			t.Errorf("Region %d: got %v", i, err)
		}
	}
	broken.err = nil
	openRegion(t, e, "eu-west-1")
	if _, err := e.Open(t.Context(), fmt.Sprint("eu-west-", MaxRegions)); err == nil {
		t.Error("there are more Regions than may be")
	}
}

// The first calls of a Region that come at once make one table and one key.
func TestRegionMadeOnce(t *testing.T) {
	t.Parallel()
	e := start(t, Options{Data: filepath.Join(t.TempDir(), "data")})
	made := &tables{DynamoDB: e.DynamoDB}
	e.DynamoDB = made
	var all sync.WaitGroup
	keys := make([]string, 20)
	for i := range keys {
		all.Go(func() { keys[i] = openRegion(t, e, "eu-west-1").DefaultKey })
	}
	all.Wait()
	if slices.ContainsFunc(keys, func(key string) bool { return key != keys[0] }) || made.created.Load() != 1 {
		t.Errorf("%d tables were made, and the keys are %v", made.created.Load(), keys)
	}
}

// tables counts the tables that are made, or fails to make any.
type tables struct {
	DynamoDB
	created atomic.Int64
	err     error
}

func (d *tables) CreateTable(ctx context.Context, in *dynamodb.CreateTableInput, o ...func(*dynamodb.Options)) (*dynamodb.CreateTableOutput, error) {
	d.created.Add(1)
	if d.err != nil {
		return nil, d.err
	}
	return d.DynamoDB.CreateTable(ctx, in, o...)
}

// A KMS that the user brought says nothing about the first Region: its table is not taken
// for that of another that has one.
func TestFirstRegionWithoutKeyFile(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	o := Options{Data: data, KMS: "http://127.0.0.1:1"}
	e := start(t, o)
	openRegion(t, e, Region)
	if d := openRegion(t, e, "eu-west-1"); d.DefaultKey != "alias/strongroom" || d.Table != "strongroom-eu-west-1" {
		t.Errorf("got %+v", d)
	}
	closeNow(t, e)
	o.Region = "eu-west-1"
	e = start(t, o)
	if _, err := e.Open(t.Context(), "eu-west-1"); err == nil || !strings.Contains(err.Error(), "start with the --region of the first time") {
		t.Errorf("got %v", err)
	}
}

func fillWith(id string) func(*Engines, Deployment) error {
	return func(e *Engines, d Deployment) error {
		_, err := e.DynamoDB.BatchWriteItem(context.Background(), &dynamodb.BatchWriteItemInput{
			RequestItems: map[string][]types.WriteRequest{d.Table: {{PutRequest: &types.PutRequest{Item: item(id)}}}},
		})
		return err
	}
}

func wantIn(t *testing.T, e *Engines, region, id string) {
	t.Helper()
	out, err := e.DynamoDB.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String(openRegion(t, e, region).Table), Key: item(id), ConsistentRead: aws.Bool(true)})
	if err != nil || len(out.Item) == 0 {
		t.Errorf("%s: item %s is lost: %v", region, id, err)
	}
}

// A Region is filled beside others, all of it or nothing, and only where it has no table.
func TestFillBesideOthers(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	o := func(region string) Options { return Options{Data: data, Region: region} }
	if err := Fill(t.Context(), o("eu-west-1"), fillWith("a")); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("no more")
	err := Fill(t.Context(), o("us-east-1"), func(e *Engines, d Deployment) error {
		return errors.Join(fillWith("b")(e, d), failed)
	})
	if !errors.Is(err, failed) {
		t.Fatalf("got %v", err)
	}
	e := start(t, o("eu-west-1"))
	wantRegions(t, e, "eu-west-1")
	closeNow(t, e)
	if err := Fill(t.Context(), o("us-east-1"), fillWith("b")); err != nil {
		t.Fatal(err)
	}
	for _, region := range []string{"us-east-1", "eu-west-1"} {
		err := Fill(t.Context(), o(region), fillWith("c"))
		if err == nil || !strings.Contains(err.Error(), region+" has a table already") {
			t.Errorf("%s: got %v", region, err)
		}
	}
	e = start(t, o("eu-west-1"))
	wantRegions(t, e, "eu-west-1", "us-east-1")
	wantIn(t, e, "eu-west-1", "a")
	wantIn(t, e, "us-east-1", "b")
}

// A key file that names its Region is not passed over where the Region is the first.
func TestKeyFileThatNamesTheFirstRegion(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	e := start(t, Options{Data: data})
	want := openRegion(t, e, "eu-west-1").DefaultKey
	closeNow(t, e)
	remove(t, data, keyFile)
	remove(t, data, tableFile)
	o := Options{Data: data, Region: "eu-west-1"}
	if _, err := Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), "keys-eu-west-1.json; rename it to keys.json") {
		t.Errorf("got %v", err)
	}
	if err := os.Rename(keyFileOf(data, "eu-west-1"), filepath.Join(data, keyFile)); err != nil {
		t.Fatal(err)
	}
	if got := openRegion(t, start(t, o), "eu-west-1").DefaultKey; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Keys that were put in a folder for what it is to be filled with are of one Region.
func TestFillUnderOtherKeys(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	closeNow(t, start(t, Options{Data: data, Region: "eu-west-1"}))
	remove(t, data, tableFile)
	err := Fill(t.Context(), Options{Data: data, Region: "us-east-1"}, fillWith("a"))
	if err == nil || !strings.Contains(err.Error(), "are of the Region eu-west-1; say so with --region") {
		t.Errorf("got %v", err)
	}
}
