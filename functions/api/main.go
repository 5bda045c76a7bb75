// Command api answers the Secrets Manager protocol behind API Gateway.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/strongroom/strongroom/pkg/api"
	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/gateway"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	// The Lambda library logs with the standard logger, and failures only.
	slog.SetLogLoggerLevel(slog.LevelError)
	slog.SetDefault(log)
	server, err := build(context.Background(), os.Getenv, log)
	if err != nil {
		log.Error("the function cannot start", "error", err)
		os.Exit(1)
	}
	lambda.Start(gateway.Handle(server))
}

func build(ctx context.Context, getenv func(string) string, log *slog.Logger) (*api.Server, error) {
	set, err := readSettings(getenv)
	if err != nil {
		return nil, err
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	return &api.Server{
		Store:  store.New(dynamodb.NewFromConfig(cfg), set.Table, set.ARNs),
		Sealer: &envelope.Sealer{KMS: kms.NewFromConfig(cfg), DefaultKey: set.Key, Keep: set.KeepDataKeys},
		ARNs:   set.ARNs,
		Log:    log,
	}, nil
}

// settings are what the environment says.
type settings struct {
	Table        string        // TABLE_NAME
	Key          string        // KMS_KEY_ID, for secrets that name no key
	KeepDataKeys time.Duration // DATA_KEY_SECONDS, 0 for not at all
	ARNs         secret.ARNs   // PARTITION, AWS_REGION, ACCOUNT_ID
}

var (
	tableName = regexp.MustCompile(`^[A-Za-z0-9_.-]{3,255}$`)
	// An alias could be moved to another key under the secrets' feet.
	keyID     = regexp.MustCompile(`^(arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/)?[A-Za-z0-9-]+$`)
	partition = regexp.MustCompile(`^aws(-[a-z]+)*$`)
	region    = regexp.MustCompile(`^[a-z]+(-[a-z]+)+-[0-9]+$`)
	account   = regexp.MustCompile(`^[0-9]{12}$`)
)

func readSettings(getenv func(string) string) (settings, error) {
	env := environment{get: getenv}
	set := settings{
		Table:        env.text("TABLE_NAME", "", tableName, "the name of a DynamoDB table"),
		Key:          env.text("KMS_KEY_ID", "", keyID, "the ARN or the id of a KMS key"),
		KeepDataKeys: env.seconds("DATA_KEY_SECONDS", "60", 3600),
		ARNs: secret.ARNs{
			Partition: env.text("PARTITION", "aws", partition, "a partition such as aws or aws-cn"),
			Region:    env.text("AWS_REGION", "", region, "a Region such as eu-central-1"),
			Account:   env.text("ACCOUNT_ID", "", account, "the 12 digits of an AWS account"),
		},
	}
	return set, env.err
}

// An environment reads variables and gathers what is wrong with them.
type environment struct {
	get func(string) string
	err error
}

// text is the value of the variable, or unset when it has none.
func (e *environment) text(name, unset string, like *regexp.Regexp, what string) string {
	v := e.value(name, unset)
	if !like.MatchString(v) {
		e.wrong(name, v, what)
	}
	return v
}

func (e *environment) seconds(name, unset string, most int) time.Duration {
	v := e.value(name, unset)
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > most {
		e.wrong(name, v, fmt.Sprintf("a number of seconds from 0 to %d", most))
		return 0
	}
	return time.Duration(n) * time.Second
}

func (e *environment) value(name, unset string) string {
	if v := e.get(name); v != "" {
		return v
	}
	return unset
}

func (e *environment) wrong(name, v, what string) {
	is := strconv.Quote(v)
	if v == "" {
		is = "not set"
	}
	e.err = errors.Join(e.err, fmt.Errorf("%s is %s, and must be %s", name, is, what))
}
