package rotate_test

import (
	"testing"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

func TestMain(m *testing.M) { localtest.Main(m) }
