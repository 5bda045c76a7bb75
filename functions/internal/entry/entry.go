// Package entry starts a Lambda function.
package entry

import (
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
)

// Start builds what the function is, of the environment, and lets Lambda call its
// handler. A function that cannot be built says why in its log and ends.
func Start[T any](build func(getenv func(string) string, log *slog.Logger) (T, error), handler func(T) any) {
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	// The Lambda library logs with the standard logger, and failures only.
	slog.SetLogLoggerLevel(slog.LevelError)
	slog.SetDefault(log)
	built, err := build(os.Getenv, log)
	if err != nil {
		log.Error("the function cannot start", "error", err)
		os.Exit(1)
	}
	lambda.Start(handler(built))
}
