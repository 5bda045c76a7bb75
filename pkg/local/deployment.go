package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/local/kms"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// A Deployment is what the secrets of one Region have of the engines.
type Deployment struct {
	Region string
	Table  string
	KMS    envelope.KMS
	// DefaultKey is the ARN of the default key. Of a KMS that the user brought it is
	// the alias: making a key there costs money, and is left to the user.
	DefaultKey string
}

const (
	// MaxRegions is how many Regions are made, so that calls for more and more of them
	// do not fill the disk.
	MaxRegions = 50

	firstTable = "strongroom" // of the Region that a folder was made with
	maxRegion  = 128          // characters of the name of a Region, as AWS has it
)

var regionName = regexp.MustCompile(`^([a-z]+-)+[0-9]+$`)

// IsRegion says whether a text may be the name of a Region, by AWS's pattern.
func IsRegion(text string) bool { return len(text) <= maxRegion && regionName.MatchString(text) }

// table is the name of a Region's table.
func (e *Engines) table(region string) string {
	if region == e.first {
		return firstTable
	}
	return firstTable + "-" + region
}

// Open opens the deployment of a Region, and makes it where there is none: its key, and
// then its table, so that a table without a key file tells that keys are lost. It may be
// called concurrently; after an error it may be called again. Its error is a [secret.Error]
// where there are too many Regions.
func (e *Engines) Open(ctx context.Context, region string) (Deployment, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if d, ok := e.deployments[region]; ok {
		return d, nil
	}
	if !IsRegion(region) {
		return Deployment{}, fmt.Errorf("%q is not a Region", region)
	}
	d := Deployment{Region: region, Table: e.table(region)}
	has, err := e.has(ctx, d.Table)
	if err == nil {
		err = e.checkFirst(ctx, region)
	}
	if err != nil {
		return d, err
	}
	if !has && len(e.deployments) > 0 {
		if err := e.CheckRoom(ctx, region); err != nil {
			return d, err
		}
	}
	if err := e.openKeys(&d, has); err != nil {
		return d, err
	}
	if err := store.CreateTable(ctx, e.DynamoDB, d.Table); err != nil {
		return d, err
	}
	if !has && len(e.deployments) > 0 {
		e.options.Log.InfoContext(ctx, "a Region is used for the first time; it has secrets of its own", slog.String("region", region), slog.String("table", d.Table))
	}
	e.deployments[region] = d
	return d, nil
}

// checkFirst refuses to have two tables of one Region: that without its name, and another
// from when it was not the first. A key file would say which Region is, and a KMS that the
// user brought has none.
func (e *Engines) checkFirst(ctx context.Context, region string) error {
	if e.brought == nil || region != e.first {
		return nil
	}
	other := firstTable + "-" + region
	has, err := e.has(ctx, other)
	if err == nil && has {
		err = fmt.Errorf("the secrets of %s are in the table %s, since %s is of another Region; start with the --region of the first time", region, other, firstTable)
	}
	return err
}

// openKeys opens the keys of a deployment, and makes them unless something is sealed
// under them.
func (e *Engines) openKeys(d *Deployment, hasTable bool) error {
	if e.brought != nil {
		d.KMS, d.DefaultKey = e.brought, kms.DefaultAlias
		return nil
	}
	keys, err := e.keysOf(d.Region, hasTable)
	if err != nil {
		return err
	}
	d.KMS = keys
	d.DefaultKey, err = keys.DefaultKey(time.Now())
	return err
}

func (e *Engines) keysOf(region string, hasTable bool) (*kms.Keys, error) {
	account := e.keys.Account()
	switch {
	case region == e.first:
		return e.keys, nil
	case e.options.Data == "":
		return kms.Memory(region, account), nil
	}
	of := kms.Options{Path: keyFileOf(e.options.Data, region), Region: region, Account: account}
	if hasTable {
		of.Sealed = "the secrets of " + region + " in " + filepath.Join(e.options.Data, tableFile)
		of.GiveUp = "export the other Regions, and import them into another folder"
	}
	return kms.Open(of)
}

// Regions are those that have a table, in order.
func (e *Engines) Regions(ctx context.Context) (regions []string, err error) {
	pages := dynamodb.NewListTablesPaginator(e.DynamoDB, &dynamodb.ListTablesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the tables of all Regions: %w", err)
		}
		for _, table := range page.TableNames {
			if region, ok := e.regionOf(table); ok {
				regions = append(regions, region)
			}
		}
	}
	slices.Sort(regions)
	return regions, nil
}

func (e *Engines) regionOf(table string) (region string, ok bool) {
	if table == firstTable {
		return e.first, true
	}
	region, ok = strings.CutPrefix(table, firstTable+"-")
	return region, ok && IsRegion(region) && region != e.first
}

// CheckRoom refuses a Region that would be one too many, with a [secret.Error]. One counts
// whose table could not be made after its key file was.
func (e *Engines) CheckRoom(ctx context.Context, region string) error {
	regions, err := e.Regions(ctx)
	if err != nil {
		return err
	}
	more, err := e.withKeys(regions)
	if err != nil {
		return err
	}
	if regions = append(regions, more...); len(regions) >= MaxRegions && !slices.Contains(regions, region) {
		return secret.Errorf(secret.LimitExceeded, "The local server keeps the secrets of %d Regions, and has that many: %s would be one more.", MaxRegions, region)
	}
	return nil
}

// withKeys are further Regions, that have a key file alone.
func (e *Engines) withKeys(known []string) (regions []string, err error) {
	if e.options.Data == "" || e.brought != nil {
		return nil, nil
	}
	files, err := os.ReadDir(e.options.Data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	begin := strings.TrimSuffix(keyFile, ".json") + "-"
	for _, file := range files {
		name, isJSON := strings.CutSuffix(file.Name(), ".json")
		region, named := strings.CutPrefix(name, begin)
		if isJSON && named && IsRegion(region) && !slices.Contains(known, region) {
			regions = append(regions, region)
		}
	}
	return regions, nil
}

func (e *Engines) has(ctx context.Context, table string) (bool, error) {
	_, err := e.DynamoDB.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String(table)})
	if _, none := errors.AsType[*types.ResourceNotFoundException](err); none {
		return false, nil
	}
	return err == nil, err
}
