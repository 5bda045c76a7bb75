// Command cost computes what Strongroom costs in AWS, and writes the tables of docs/cost.md.
//
// It knows list prices ([prices]), what operations take ([operation], which tests
// measure), and what nobody has measured yet and is assumed, in months.go.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
}

// run writes the tables of a page anew.
func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("got %d arguments, want the page: docs/cost.md", len(args))
	}
	page, err := os.ReadFile(args[0]) //nolint:gosec // the page that is asked for
	if err != nil {
		return err
	}
	return os.WriteFile(args[0], []byte(rewrite(string(page))), 0o644) //nolint:gosec // a page for everybody
}
