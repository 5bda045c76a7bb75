package main

import (
	"testing"

	"github.com/strongroom/strongroom/functions/internal/runtimetest"
)

func TestLinksWhatItNeeds(t *testing.T) {
	t.Parallel()
	runtimetest.WantLinked(t)
}
