// Package spelling suggests what a misspelt name was meant to be.
package spelling

import "strings"

// DidYouMean suggests, for the end of an error, the known name that is nearest to a
// misspelt one. It is empty if none is near. The case of names is ignored, and a star in
// the misspelt one stands for any text.
func DidYouMean(misspelt string, known []string) string {
	if name := Nearest(misspelt, known); name != "" {
		return "; did you mean " + name + "?"
	}
	return ""
}

// Nearest is the known name that takes the fewest changes to make, or empty if that
// is more than every other character. A missing end counts as two changes, however long
// it is: GetSecret is GetSecretValue rather than CreateSecret.
func Nearest(misspelt string, known []string) string {
	misspelt = strings.ToLower(misspelt)
	best, fewest := "", len(misspelt)/2+1
	for _, name := range known {
		lower := strings.ToLower(name)
		if n := min(distance(misspelt, lower), distance(misspelt+"*", lower)+2); n < fewest {
			best, fewest = name, n
		}
	}
	return best
}

// distance is how many characters of s must be changed, added or removed to make it
// match a pattern (Levenshtein's distance).
func distance(pattern, s string) int {
	row := make([]int, len(s)+1) // of the beginnings of s, from the pattern so far
	for i := range row {
		row[i] = i
	}
	for _, p := range []byte(pattern) {
		change, other := 1, row[0]
		if p == '*' {
			change = 0
		}
		row[0] += change
		for i := range len(s) {
			without := other
			if p != s[i] {
				without += change
			}
			other = row[i+1]
			row[i+1] = min(without, other+change, row[i]+change)
		}
	}
	return row[len(s)]
}
