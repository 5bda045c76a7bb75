package main

import (
	"runtime/debug"
	"strings"
)

// version says what was built: the version of the module, which Go makes from the tag
// or the commit, and that of Go.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "strongroom, built without module support"
	}
	return describeBuild(info)
}

func describeBuild(info *debug.BuildInfo) string {
	words := []string{"strongroom", info.Main.Version}
	if info.Main.Version == "" || info.Main.Version == "(devel)" {
		words[1] = "of unknown version"
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				words[1] = "of commit " + s.Value
			}
		}
	}
	return strings.Join(append(words, "built with "+info.GoVersion), " ")
}
