// Command api answers the Secrets Manager protocol behind API Gateway.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/strongroom/strongroom/functions/internal/entry"
	"github.com/strongroom/strongroom/pkg/api"
	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/gateway"
	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/remote"
	"github.com/strongroom/strongroom/pkg/rotate/order"
	"github.com/strongroom/strongroom/pkg/schedule"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/settings"
	"github.com/strongroom/strongroom/pkg/store"
)

func main() {
	entry.Start(build, func(s *api.Server) any { return gateway.Handle(s) })
}

func build(getenv func(string) string, log *slog.Logger) (*api.Server, error) {
	o, err := readOptions(getenv)
	if err != nil {
		return nil, err
	}
	policies, err := readPolicies(filepath.Join(getenv("LAMBDA_TASK_ROOT"), o.Policies))
	if err != nil {
		return nil, err
	}
	cfg, err := remote.Config(getenv)
	if err != nil {
		return nil, err
	}
	server := &api.Server{
		Store:  store.New(dynamodb.NewFromConfig(cfg), o.Table, o.ARNs),
		Sealer: &envelope.Sealer{KMS: kms.NewFromConfig(cfg), DefaultKey: o.Key, Keep: o.KeepDataKeys},
		ARNs:   o.ARNs,
		Log:    log,

		Retention:           o.Retention,
		VersionQuota:        o.VersionQuota,
		MinRotationInterval: o.MinRotationInterval,

		Policies:      policies,
		Resources:     policy.NewCache(rememberedPolicies),
		Trail:         audit.Lines(os.Stdout),
		AuditRequired: o.AuditRequired,
	}
	if o.ReplicaRegions != "" {
		regions := strings.Split(o.ReplicaRegions, ",")
		server.Replicates = func(region string) bool { return slices.Contains(regions, region) }
	}
	if o.RotateFunction != "" {
		if server.Rotator, err = order.New(context.Background(), cfg, o.RotateFunction); err != nil {
			return nil, err
		}
	}
	return server, nil
}

// rememberedPolicies is how many bytes of policies on secrets a process remembers.
const rememberedPolicies = 16 << 20

func readPolicies(path string) (*policy.Set, error) {
	text, err := os.ReadFile(path) //nolint:gosec // a file that was deployed
	if err != nil {
		return nil, fmt.Errorf("the principal policies cannot be read: %w", err)
	}
	return policy.ParseSet(filepath.Base(path), text)
}

// options are what the environment says.
type options struct {
	Table        string           // TABLE_NAME
	Key          string           // KMS_KEY_ID, for secrets that name no key
	KeepDataKeys time.Duration    // DATA_KEY_SECONDS, 0 for not at all
	ARNs         secret.ARNs      // PARTITION, AWS_REGION, ACCOUNT_ID
	Retention    secret.Retention // MAX_VERSIONS, MIN_AGE
	VersionQuota int              // VERSION_QUOTA, 0 for none

	Policies            string        // POLICIES, a file beside the program
	RotateFunction      string        // ROTATE_FUNCTION, empty to leave rotations to its schedule
	MinRotationInterval time.Duration // MIN_ROTATION_INTERVAL
	AuditRequired       bool          // AUDIT_REQUIRED
	ReplicaRegions      string        // REPLICA_REGIONS, with commas between them; empty for none
}

// An alias is refused: it can be moved to another key later.
var keyID = regexp.MustCompile(`^(arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/)?[A-Za-z0-9-]+$`)

var (
	fileName       = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	rotateFunction = regexp.MustCompile(`^[A-Za-z0-9:_-]+$`)
	replicaRegions = regexp.MustCompile(`^[a-z]+(-[a-z]+)+-[0-9]+(,[a-z]+(-[a-z]+)+-[0-9]+)*$`)
)

func readOptions(getenv func(string) string) (options, error) {
	r := settings.Reader{Get: getenv}
	o := options{
		Table:        r.Table(),
		Key:          r.Text("KMS_KEY_ID", "", keyID, "the ARN or the id of a KMS key"),
		KeepDataKeys: time.Duration(r.Number("DATA_KEY_SECONDS", 60, 0, 3600, "seconds")) * time.Second,
		ARNs:         r.ARNs(),
		Retention:    r.Retention(),
		VersionQuota: r.Number("VERSION_QUOTA", 0, 0, 1_000_000, "versions"),

		Policies:            r.Text("POLICIES", "policies.json", fileName, "the name of a file beside the program"),
		RotateFunction:      r.Optional("ROTATE_FUNCTION", rotateFunction, "the ARN or the name of a Lambda function"),
		MinRotationInterval: r.Between("MIN_ROTATION_INTERVAL", schedule.Least, schedule.Shortest, schedule.Least),
		AuditRequired:       r.Yes("AUDIT_REQUIRED", true),
		ReplicaRegions:      r.Optional("REPLICA_REGIONS", replicaRegions, "Regions with commas between them, such as eu-west-1,eu-west-3"),
	}
	err := r.Err()
	if err == nil && o.VersionQuota > 0 && o.VersionQuota <= o.Retention.MaxVersions {
		err = fmt.Errorf("VERSION_QUOTA is %d, and must be more than MAX_VERSIONS, %d: what is kept would be refused", o.VersionQuota, o.Retention.MaxVersions)
	}
	return o, err
}
