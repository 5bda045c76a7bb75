package local

import (
	"context"
	"os"
)

// openGuard has nothing to do: the job in process_windows.go ends the engine
// with us.
func openGuard(context.Context, string) (*os.File, error) { return nil, nil }
