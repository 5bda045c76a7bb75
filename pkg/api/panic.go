package api

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
)

var errPanic = errors.New("panic")

// panicked is the error that a panic becomes: its type, and where it was. What
// it carries is left out, because it may be anything; an error of the runtime
// holds types and numbers only. It is called in the deferred function.
func panicked(p any) error {
	what := fmt.Sprintf("%T", p)
	if err, ok := p.(runtime.Error); ok {
		what = err.Error()
	}
	return fmt.Errorf("%w: %s at %s", errPanic, what, strings.Join(callers(), ", "))
}

// callers is the way to the panic, innermost first. A printed stack would hold
// the arguments of each call.
func callers() []string {
	const skip = 4 // runtime.Callers, callers, panicked and the deferred function
	pc := make([]uintptr, 32)
	frames := runtime.CallersFrames(pc[:runtime.Callers(skip, pc)])
	var at []string
	for {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, "runtime.") {
			at = append(at, frame.Function+":"+strconv.Itoa(frame.Line))
		}
		if !more {
			return at
		}
	}
}
