package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const isc = `Copyright (c) 2026 Somebody

Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby
granted, provided that the above copyright notice and this permission notice appear in all copies.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL
IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT,
INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF
THIS SOFTWARE.
`

// The file in the repository is of the modules that the programs have now.
func TestFileIsUpToDate(t *testing.T) {
	got, err := os.ReadFile(filepath.Join("..", file))
	if err != nil {
		t.Fatal(err)
	}
	want, err := document("../functions/...")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not up to date; make licenses writes it again", file)
	}
}

func TestRead(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  string // the licenses, or a part of the error
	}{
		"one":                    {map[string]string{"LICENSE": isc, "main.go": "package main"}, "ISC"},
		"in a package":           {map[string]string{"LICENSE.md": isc, "used/COPYING": isc}, "ISC"},
		"of what is not used":    {map[string]string{"LICENSE": isc, "unused/LICENSE": "All rights reserved."}, "ISC"},
		"none":                   {map[string]string{"main.go": "package main"}, "no file with a license"},
		"unknown":                {map[string]string{"LICENSE": "All rights reserved. Do not copy."}, "none that is known"},
		"unknown in a package":   {map[string]string{"LICENSE": isc, "used/LICENSE": "All rights reserved."}, "used/LICENSE: the license is none that is known"},
		"not accepted":           {map[string]string{"LICENSE": "SPDX-License-Identifier: none\n" + gpl}, "not among those accepted"},
		"a notice is no license": {map[string]string{"NOTICE": isc}, "no file with a license"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for path, content := range test.files {
				path = filepath.Join(dir, filepath.FromSlash(path))
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			p := place{"example.com/m", "v1.0.0", dir, map[string]bool{dir: true}}
			if err := os.MkdirAll(filepath.Join(dir, "used", "deep"), 0o700); err != nil {
				t.Fatal(err)
			}
			p.add(filepath.Join(dir, "used", "deep"))
			m, err := read(p)
			got := strings.Join(m.licenses, " ")
			if err != nil {
				got = err.Error()
			}
			if !strings.Contains(filepath.ToSlash(got), test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// gpl is the usual notice of a license that is not accepted.
const gpl = `This program is free software: you can redistribute it and/or modify it under the terms of the GNU General Public
License as published by the Free Software Foundation, either version 3 of the License, or (at your option) any later
version. This program is distributed in the hope that it will be useful, but WITHOUT ANY WARRANTY; without even the
implied warranty of MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE. See the GNU General Public License for more
details. You should have received a copy of the GNU General Public License along with this program. If not, see
<https://www.gnu.org/licenses/>.`
