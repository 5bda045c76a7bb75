package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/local/private"
)

// errOwnDynamoDB is why neither an export nor an import is done there.
var errOwnDynamoDB = errors.New("only the table that is part of the server can be exported and imported, and AWS_ENDPOINT_URL_DYNAMODB names another DynamoDB; unset it, or use that one's own tools")

// each is the part of the engine that lists what is stored.
type each interface {
	Each(table string, do func(map[string]types.AttributeValue) error) error
}

// exportOnce writes all items to a file that is not there yet, and ends. The file is
// there once it is whole.
func exportOnce(ctx context.Context, set settings, out io.Writer, log *slog.Logger) (err error) {
	if set.engines.DynamoDB != "" {
		return errOwnDynamoDB
	}
	if err := checkDataFolder("--export", set.engines); err != nil {
		return err
	}
	if _, err := os.Lstat(set.export); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--export: %s exists; name a new file", set.export)
	}
	regions, err := startRegions(ctx, set, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, regions.close()) }()
	names, err := regions.engines.Regions(ctx)
	if err != nil {
		return err
	}
	if len(names) > 0 && !slices.Contains(names, set.region) {
		return fmt.Errorf("--export: there are no secrets of %s in %s; name one of its Regions with --region: %s", set.region, set.data, strings.Join(names, ", "))
	}
	home, err := regions.home(ctx)
	if err != nil {
		return err
	}
	tables := regions.engines.DynamoDB.(each)
	n, err := writeWhole(set.export, func(w io.Writer) (int, error) {
		return writeItems(ctx, w, tables, home.Table, newTally(out, "items exported"))
	})
	switch {
	case ctx.Err() != nil:
		return errors.New("--export: interrupted; no file was written")
	case err != nil:
		return fmt.Errorf("--export: %w", err)
	}
	_, err = fmt.Fprintf(out, "items exported: %d\n", n)
	if others := slices.DeleteFunc(names, func(name string) bool { return name == set.region }); len(others) > 0 {
		_, err = fmt.Fprintf(out, "they are those of %s; other Regions are exported by themselves, with --region: %s\n", set.region, strings.Join(others, ", "))
	}
	return err
}

// writeWhole has a file of this user alone written under another name first.
func writeWhole(path string, write func(io.Writer) (int, error)) (n int, err error) {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part") // its mode is 0600
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	buffered := bufio.NewWriter(file)
	n, err = write(buffered)
	if err := errors.Join(err, buffered.Flush(), file.Sync(), file.Close()); err != nil {
		return n, err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return n, err
	}
	return n, private.Sync(filepath.Dir(path))
}

// writeItems writes a line for each item, as DynamoDB exports a table to S3. Values stay
// sealed in it.
func writeItems(ctx context.Context, w io.Writer, stored each, table string, count *tally) (n int, err error) {
	defer count.clear()
	encoder := json.NewEncoder(w)
	return n, stored.Each(table, func(item map[string]types.AttributeValue) error {
		text, err := attributevalue.MarshalMapJSON(item)
		if err != nil {
			return err
		}
		var ordered any // names in order make exports of equal tables equal
		if err := json.Unmarshal(text, &ordered); err != nil {
			return err
		}
		n++
		count.show(n)
		return errors.Join(encoder.Encode(map[string]any{"Item": ordered}), ctx.Err())
	})
}

// A tally is a line on a terminal that says how far something is.
type tally struct {
	out   io.Writer // nil says nothing
	what  string
	shown time.Time
}

func newTally(out io.Writer, what string) *tally {
	if !isTerminal(out) {
		out = nil
	}
	return &tally{out: out, what: what, shown: time.Now()}
}

// show says nothing in the first second.
func (c *tally) show(n int) {
	if c.out != nil && time.Since(c.shown) >= time.Second {
		_, _ = fmt.Fprintf(c.out, "\r%s: %d", c.what, n)
		c.shown = time.Now()
	}
}

// clear lets the next line take its place, which is not shorter.
func (c *tally) clear() {
	if c.out != nil {
		_, _ = fmt.Fprint(c.out, "\r")
	}
}
