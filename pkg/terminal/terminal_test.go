package terminal

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestPrintable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                "",
		"prod/db_+=.@-9 é 日本 ⚠":           "prod/db_+=.@-9 é 日本 ⚠",
		"\x00\x07\b\t\n\v\f\r\x1b[2J\x7f": "?????????[2J?",
		"\u0085\u009b31m":                 "??31m",
		"a\u202eb\u2066c\u200f":           "a?b?c?",   // bidi controls
		"a\u2028b\u2029c":                 "a?b?c",    // line separators
		"a\u200bb\ufeffc\u00add\u2060":    "a?b?c?d?", // nothing to be seen
		"a\u3164b\u115fc\u034fd\ufe0f":    "a?b?c?d?", // letters and marks, and still nothing
		"\U000e0041\U000e0100":            "??",       // tags and variations
		"a\u00a0b\u3000c\u2003":           "a?b?c?",   // other blanks
		"\ue000\ufffe":                    "??",
		"a\xffb":                          "a\ufffdb",
	} {
		if got := Printable(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestPrintableLines(t *testing.T) {
	t.Parallel()
	if got, want := PrintableLines("a\u202eb\n\x1b[2J\u2028\n"), "a?b\n?[2J?\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text    string
		columns int
		want    string
	}{
		{"", 0, ""},
		{"abc", 3, "abc"},
		{"abcd", 3, "ab…"},
		{"abcd", 1, "…"},
		{"äöüß", 3, "äö…"},
		{"日本語", 6, "日本語"},
		{"日本語", 5, "日本…"},
		{"日本語", 4, "日…"},
	} {
		if got := Cut(c.text, c.columns); got != c.want {
			t.Errorf("%q in %d columns: got %q, want %q", c.text, c.columns, got, c.want)
		}
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text    string
		columns int
		want    []string
	}{
		{"", 10, []string{""}},
		{"one two three", 13, []string{"one two three"}},
		{"one two three", 12, []string{"one two", "three"}},
		{"one two three", 4, []string{"one", "two", "thre", "e"}},
		{"a bcdefg h", 4, []string{"a", "bcde", "fg h"}},
		{"日本語", 5, []string{"日本", "語"}},
		{"日本語", 1, []string{"日", "本", "語"}},
		{"abc", 0, []string{"a", "b", "c"}},
	} {
		if got := Wrap(c.text, c.columns); !slices.Equal(got, c.want) {
			t.Errorf("%q in %d columns: got %q, want %q", c.text, c.columns, got, c.want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("a\x1b[31m\u202e\u2028b", 10)
	f.Fuzz(func(t *testing.T, text string, columns int) {
		shown := Printable(text)
		for _, r := range shown {
			if r != ' ' && !unicode.IsGraphic(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp, unicode.Cf) {
				t.Errorf("%q: %q is shown", text, r)
			}
		}
		columns = max(columns%200, 1)
		if got := Cut(shown, columns); Columns(got) > columns || !utf8.ValidString(got) {
			t.Errorf("%q: cut to %q, which has more than %d columns", text, got, columns)
		}
		columns++ // some characters take two
		var kept strings.Builder
		for _, line := range Wrap(shown, columns) {
			if Columns(line) > columns {
				t.Errorf("%q: the line %q has more than %d columns", text, line, columns)
			}
			kept.WriteString(line)
		}
		if got, want := strings.ReplaceAll(kept.String(), " ", ""), strings.ReplaceAll(shown, " ", ""); got != want {
			t.Errorf("wrapped to %q, want all of %q", got, want)
		}
	})
}
