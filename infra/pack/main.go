// Command pack makes of a synthesized stack what can be deployed without the CDK: a plain
// CloudFormation template that takes its code from a bucket of yours, the code as zips,
// and the hashes of all. The same input has the same bytes.
package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("pack", flag.ContinueOnError)
	from := flags.String("from", "cdk.out", "`folder` of the synthesized stack")
	to := flags.String("to", "bin/package", "`folder` to write to, which is emptied first")
	sboms := flags.String("sbom", "", "`folder` of SBOMs to put beside")
	agents := flags.String("agents", "", "`folder` of the agent's programs, one folder for each platform")
	flags.Usage = func() {
		_, _ = fmt.Fprintln(flags.Output(), "Usage: pack [flags] [file to put beside]...")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	files, err := pack(*from)
	if err != nil {
		return err
	}
	if *sboms != "" {
		if err := addFolder(files, *sboms, "sbom"); err != nil {
			return err
		}
	}
	if *agents != "" {
		if err := addAgents(files, *agents); err != nil {
			return err
		}
	}
	for _, file := range flags.Args() {
		if files[filepath.Base(file)], err = os.ReadFile(file); err != nil { //nolint:gosec // named on the command line
			return err
		}
	}
	files["SHA256SUMS"] = sums(files)
	return write(*to, files)
}

// pack are the files of a package by their names.
func pack(from string) (map[string][]byte, error) {
	found, err := filepath.Glob(filepath.Join(from, "*.template.json"))
	if err != nil || len(found) != 1 {
		return nil, fmt.Errorf("%s must hold one template; make synth writes it", from)
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		return nil, err
	}
	var template map[string]any
	if err := json.Unmarshal(text, &template); err != nil {
		return nil, fmt.Errorf("%s: %w", found[0], err)
	}
	files := map[string][]byte{}
	resources, _ := template["Resources"].(map[string]any)
	for id, r := range resources {
		if err := takeCode(from, id, r, files); err != nil {
			return nil, err
		}
	}
	plain(template)
	text, err = json.MarshalIndent(template, "", "  ")
	for _, left := range []string{"cdk-hnb659fds", "cdk-bootstrap", "aws:cdk:", "aws:asset:"} {
		if bytes.Contains(text, []byte(left)) {
			err = errors.Join(err, fmt.Errorf("the template still has %q in it, which only the CDK has", left))
		}
	}
	files["strongroom.template.json"] = text
	return files, err
}

// contents are the files of each zip, in order. Whatever else lay there when the stack was
// synthesized would be deployed, too.
var contents = map[string][]string{
	"api":        {"bootstrap", "policies.json"},
	"prune":      {"bootstrap"},
	"rotate":     {"bootstrap"},
	"replicate":  {"bootstrap"},
	"agentarm64": {"extensions/strongroom-agent"},
	"agentx86":   {"extensions/strongroom-agent"},
	"signing":    {"strongroom/models/secretsmanager/2017-10-17/service-2.sdk-extras.json"},
}

// takeCode zips the code of a function or a layer, and has its resource take it from the
// bucket of the parameters. The name has the zip's hash in it: CloudFormation looks at
// names to tell whether code changed.
func takeCode(from, id string, r any, files map[string][]byte) error {
	resource, _ := r.(map[string]any)
	delete(resource, "Metadata") // paths and assets of the CDK
	properties, _ := resource["Properties"].(map[string]any)
	for _, name := range []string{"Code", "Content"} {
		code, ok := properties[name].(map[string]any)
		key, isKey := code["S3Key"].(string)
		if !ok || !isKey {
			continue
		}
		made := strings.ToLower(id[:len(id)-len("00000000")])
		zipped, names, err := zipFolder(filepath.Join(from, "asset."+strings.TrimSuffix(key, ".zip")))
		if err != nil {
			return fmt.Errorf("the code of %s: %w", id, err)
		}
		if want := contents[made]; !slices.Equal(names, want) {
			return fmt.Errorf("the code of %s is %s, want %s and nothing else", id, strings.Join(names, " and "), strings.Join(want, " and "))
		}
		hash := sha256.Sum256(zipped)
		file := made + "-" + hex.EncodeToString(hash[:8]) + ".zip"
		files[file] = zipped
		properties[name] = map[string]any{
			"S3Bucket": map[string]any{"Ref": "CodeBucket"},
			"S3Key":    map[string]any{"Fn::Sub": "${CodePrefix}" + file},
		}
	}
	return nil
}

// plain takes out of a template what only the CDK's bootstrap has, and adds where code is.
func plain(template map[string]any) {
	delete(template, "Rules")
	template["Parameters"] = map[string]any{
		"CodeBucket": map[string]any{"Type": "String", "Description": "The bucket, in the stack's Region, that holds the zips"},
		"CodePrefix": map[string]any{"Type": "String", "Default": "", "Description": "What the keys of the zips begin with, such as strongroom/"},
	}
}

// zipFolder is the same for the same files, whenever they were written. Programs are
// those without an end to their name.
func zipFolder(folder string) (zipped []byte, names []string, err error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		names = append(names, name)
		header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
		header.SetMode(0o644)
		if filepath.Ext(name) == "" {
			header.SetMode(0o755)
		}
		text, err := os.ReadFile(path) //nolint:gosec // of the synthesized stack
		if err != nil {
			return err
		}
		file, err := w.CreateHeader(header)
		if err == nil {
			_, err = file.Write(text)
		}
		return err
	})
	err = errors.Join(err, w.Close()) // which writes the last of it
	return out.Bytes(), names, err
}

// addAgents adds linux-amd64/strongroom-agent as agent/strongroom-agent-linux-amd64.
func addAgents(files map[string][]byte, folder string) error {
	found, err := filepath.Glob(filepath.Join(folder, "*", "strongroom-agent*"))
	if err != nil || len(found) == 0 {
		return fmt.Errorf("%s must hold the agent's programs; make agent-binaries builds them", folder)
	}
	for _, file := range found {
		text, err := os.ReadFile(file) //nolint:gosec // of the build
		if err != nil {
			return err
		}
		end := filepath.Ext(file)
		name := strings.TrimSuffix(filepath.Base(file), end) + "-" + filepath.Base(filepath.Dir(file)) + end
		files[agentFolder+name] = text
	}
	return nil
}

// agentFolder is where the agent's programs are in the package.
const agentFolder = "agent/"

func addFolder(files map[string][]byte, folder, under string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(folder, entry.Name())) //nolint:gosec // of the build
		if err != nil {
			return err
		}
		files[under+"/"+entry.Name()] = text
	}
	return nil
}

// sums are as sha256sum writes and checks them.
func sums(files map[string][]byte) []byte {
	var lines []string
	for name, text := range files {
		lines = append(lines, fmt.Sprintf("%x  %s\n", sha256.Sum256(text), name))
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[66:], b[66:]) })
	return []byte(strings.Join(lines, ""))
}

func write(to string, files map[string][]byte) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	for name, text := range files {
		file := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // of what is published
			return err
		}
		mode := fs.FileMode(0o644)
		if strings.HasPrefix(name, agentFolder) {
			mode = 0o755
		}
		if err := os.WriteFile(file, text, mode); err != nil {
			return err
		}
	}
	return nil
}
