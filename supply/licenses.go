package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// accepted are the licenses under which code may be part of the programs. Another one
// is to be read by a person first. MPL-2.0 asks that its source can be had, to which the
// table links.
var accepted = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0"}

// systems are those that programs are built for: each may need other modules.
var systems = []string{"darwin", "linux", "windows"}

// leastCovered is how much of a file must be known texts of licenses, in per cent. A
// file may have copyright lines and headings of its own.
const leastCovered = 75

// A module is code of others.
type module struct {
	path, version string
	licenses      []string // by their SPDX names
	texts         []text
}

// A text is a file that goes with the programs.
type text struct{ name, content string }

var (
	licenseName = regexp.MustCompile(`(?i)^(licen[cs]e|copying)([-.].*)?$`)
	// A summary names licenses whose texts are in files of their own.
	noticeName = regexp.MustCompile(`(?i)^(notice|licen[cs]e-summary)([-.].*)?$`)
)

// document is the content of the file, for programs of these packages.
func document(packages string) ([]byte, error) {
	places, err := linked(packages)
	if err != nil {
		return nil, err
	}
	var all []module
	for _, p := range places {
		m, err := read(p)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return format(all), nil
}

// A place is where a module is, and the folders in it whose licenses count: its own,
// and those of the packages that are used and of the folders above them.
type place struct {
	path, version, dir string
	used               map[string]bool
}

// add adds the folder of a package, and those above it.
func (p place) add(dir string) {
	for ; len(dir) > len(p.dir) && !p.used[dir]; dir = filepath.Dir(dir) {
		p.used[dir] = true
	}
}

// linked are the modules with packages in the programs of any system, and Go itself.
func linked(packages string) ([]place, error) {
	found := map[string]place{}
	for _, system := range systems {
		const each = "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Version}}\t{{.Dir}}\t{{$.Dir}}{{end}}{{end}}"
		cmd := exec.Command("go", "list", "-deps", "-f", each, packages) //nolint:gosec // the packages are ours
		cmd.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("go list for %s: %w", system, err)
		}
		for line := range strings.Lines(string(out)) {
			fields := strings.Split(strings.TrimSpace(line), "\t")
			if len(fields) != 4 {
				continue // of Go, or ours
			}
			path, version, dir := fields[0], fields[1], fields[2]
			if _, known := found[path]; !known {
				found[path] = place{path, version, dir, map[string]bool{dir: true}}
			}
			found[path].add(fields[3])
		}
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, err
	}
	dir := strings.TrimSpace(string(root))
	places := []place{{"Go's runtime and standard library", "", dir, map[string]bool{dir: true}}}
	for _, path := range slices.Sorted(maps.Keys(found)) {
		places = append(places, found[path])
	}
	return places, nil
}

// read reads the licenses of a module. One without any that is accepted is an error.
func read(p place) (m module, err error) {
	m = module{path: p.path, version: p.version}
	for _, dir := range slices.Sorted(maps.Keys(p.used)) {
		if err := m.readFolder(p.dir, dir); err != nil {
			return m, fmt.Errorf("%s: %w", p.path, err)
		}
	}
	slices.Sort(m.licenses)
	m.licenses = slices.Compact(m.licenses)
	if len(m.licenses) == 0 {
		return m, fmt.Errorf("%s has no file with a license in %s", p.path, p.dir)
	}
	return m, nil
}

func (m *module) readFolder(root, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		isNotice := noticeName.MatchString(entry.Name())
		isLicense := !isNotice && licenseName.MatchString(entry.Name())
		if entry.IsDir() || !isLicense && !isNotice {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		content, err := os.ReadFile(path) //nolint:gosec // of a module that is built into the programs
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		m.texts = append(m.texts, text{filepath.ToSlash(name), normal(content)})
		if !isLicense {
			continue
		}
		names, err := identify(content)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		m.licenses = append(m.licenses, names...)
	}
	return nil
}

// normal is a text without what differs between systems.
func normal(content []byte) string {
	return strings.TrimSpace(strings.ReplaceAll(string(content), "\r\n", "\n"))
}

// identify names the licenses in a text.
func identify(content []byte) (names []string, err error) {
	found := licensecheck.Scan(content)
	for _, m := range found.Match {
		if m.IsURL {
			continue
		}
		if !slices.Contains(accepted, m.ID) {
			return nil, fmt.Errorf("the license %s is not among those accepted (%s)", m.ID, strings.Join(accepted, ", "))
		}
		names = append(names, m.ID)
	}
	if len(names) == 0 || found.Percent < leastCovered {
		return nil, errors.New("the license is none that is known")
	}
	return names, nil
}

// format writes the table, and every text once.
func format(modules []module) []byte {
	var b bytes.Buffer
	b.WriteString("# Third-party licenses\n\nThe programs have code of these modules in them. `make licenses` writes this file; `make check` fails when it is not\nup to date, or when a module has a license that nobody has accepted.\n\n| module | version | license |\n|---|---|---|\n")
	for _, m := range modules {
		name := m.path
		if m.version != "" {
			name = fmt.Sprintf("[%s](https://pkg.go.dev/%[1]s@%s)", m.path, m.version)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, m.version, strings.Join(m.licenses, ", "))
	}
	owners := map[text][]string{}
	var order []text
	for _, m := range modules {
		for _, t := range m.texts {
			if owners[t] == nil {
				order = append(order, t)
			}
			owners[t] = append(owners[t], m.path)
		}
	}
	for _, t := range order {
		fmt.Fprintf(&b, "\n## %s of %s\n\n```text\n%s\n```\n", t.name, strings.Join(owners[t], ", "), t.content)
	}
	return b.Bytes()
}
