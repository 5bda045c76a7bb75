package main

import (
	"testing"

	"github.com/strongroom/strongroom/functions/internal/runtimetest"
)

func TestLinksWhatItNeeds(t *testing.T) {
	t.Parallel()
	runtimetest.WantLinked(t, "github.com/aws/aws-sdk-go-v2/service/lambda", "github.com/strongroom/strongroom/pkg/api", "github.com/strongroom/strongroom/pkg/policy")
}
