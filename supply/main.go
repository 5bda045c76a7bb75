// Command supply writes the licenses of all code of others that is in the shipped
// programs: a table, and the texts that must go with the programs.
//
//	go run ./supply          writes THIRD-PARTY-LICENSES.md
//	go run ./supply -check   fails when that file is not up to date
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
)

// file is where the licenses are kept, from the root of the repository.
const file = "THIRD-PARTY-LICENSES.md"

func main() {
	check := flag.Bool("check", false, "compare, and write nothing")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "supply:", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	want, err := document("./functions/...")
	if err != nil {
		return err
	}
	if !check {
		return os.WriteFile(file, want, 0o644) //nolint:gosec // for everybody
	}
	got, err := os.ReadFile(file)
	if err == nil && !bytes.Equal(got, want) {
		err = errors.New(file + " is not up to date; make licenses writes it again")
	}
	return err
}
