package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// engineVersion is the version that `make engine` installs and that ENGINES.md
// and the tests speak of.
const engineVersion = "1.2.1"

// ErrNoEngine is in the errors of Start that say the DynamoDB engine is not there.
var ErrNoEngine = errors.New("no DynamoDB engine")

// noEngine is an error for people that is ErrNoEngine for errors.Is.
type noEngine string

func (e noEngine) Error() string   { return string(e) }
func (e noEngine) Is(t error) bool { return t == ErrNoEngine }

// enginePackages are the npm packages of the engine under @dynoxide.
var enginePackages = map[string]string{
	"linux/amd64":   "linux-x64",
	"linux/arm64":   "linux-arm64",
	"darwin/amd64":  "darwin-x64",
	"darwin/arm64":  "darwin-arm64",
	"windows/amd64": "win32-x64",
}

// findEngine finds the program to run: the one given, or the one below the
// root of the module that the working directory is in.
func findEngine(given string) (string, error) {
	if given != "" {
		if err := isProgram(given); err != nil {
			return "", noEngine(fmt.Sprintf("the DynamoDB engine %s cannot be used: %v", given, err))
		}
		return filepath.Abs(given)
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	return installedEngine(moduleRoot(wd), runtime.GOOS+"/"+runtime.GOARCH)
}

func installedEngine(root, platform string) (string, error) {
	name, ok := enginePackages[platform]
	if !ok {
		return "", noEngine(fmt.Sprintf("there is no DynamoDB engine to install for %s; set %s to an engine of your own", platform, envDynamoDB))
	}
	program := "dynoxide"
	if platform == "windows/amd64" {
		program += ".exe"
	}
	path := filepath.Join(root, ".local", "engine", "node_modules", "@dynoxide", name, program)
	err := isProgram(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", noEngine(fmt.Sprintf("the DynamoDB engine for %s is not at %s; run 'make engine' (it installs @dynoxide/%s@%s with npm), or set %s to an engine of your own",
			platform, path, name, engineVersion, envDynamoDB))
	}
	if err != nil {
		return "", noEngine(fmt.Sprintf("the DynamoDB engine %s cannot be used: %v; run 'make engine' again", path, err))
	}
	return path, nil
}

func isProgram(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("it is not a file")
	case hasModes && info.Mode().Perm()&0o111 == 0:
		return errors.New("it is not executable")
	}
	return nil
}

// moduleRoot is the nearest folder upwards that has a go.mod, or dir itself:
// tests run in the folder of their package, the server in the root.
func moduleRoot(dir string) string {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return at
		}
		if at == filepath.Dir(at) {
			return dir
		}
	}
}
