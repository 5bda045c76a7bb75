// Package terminal makes text that callers sent fit to be shown on a terminal: it
// cannot move the cursor, turn text around, hide, or be longer than its place.
package terminal

import (
	"strings"
	"unicode"
)

// Printable is text with '?' in place of every character that cannot be seen:
// control and format characters, line separators, blanks other than a space, and what
// is not UTF-8.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			return '?'
		}
		return r
	}, text)
}

// PrintableLines is text of several lines with each made printable.
func PrintableLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = Printable(line)
	}
	return strings.Join(lines, "\n")
}

// Cut is text in at most so many columns, with … for what is left out.
func Cut(text string, columns int) string {
	if Columns(text) <= columns {
		return text
	}
	used := len([]rune("…"))
	for i, r := range text {
		if used += width(r); used > columns {
			return text[:i] + "…"
		}
	}
	return text
}

// Wrap is text as lines of at most so many columns. It breaks at spaces, and within a
// word that is longer than a line.
func Wrap(text string, columns int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && Columns(line)+1+Columns(word) <= columns {
			line += " " + word
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		for line = word; Columns(line) > columns; {
			fits := prefix(line, columns)
			if fits == line {
				break // one character that is wider than a line
			}
			lines, line = append(lines, fits), line[len(fits):]
		}
	}
	return append(lines, line)
}

// Columns is how many columns text takes, at most.
func Columns(text string) int {
	n := 0
	for _, r := range text {
		n += width(r)
	}
	return n
}

// prefix is as much of text as so many columns hold, and at least one character.
func prefix(text string, columns int) string {
	for i, r := range text {
		if columns -= width(r); columns < 0 && i > 0 {
			return text[:i]
		}
	}
	return text
}

// width is how many columns a character takes, at most. Scripts with characters of
// two columns begin at U+1100, and what is said too much of others does no harm.
func width(r rune) int {
	if r >= 0x1100 && r != '…' {
		return 2
	}
	return 1
}
