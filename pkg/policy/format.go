package policy

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Format lays the text of a policy out as AWS gives it back (recorded):
//
//	{
//	  "Version" : "2012-10-17",
//	  "Statement" : [ {
//	    "Action" : [ "secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret" ],
//	    "Condition" : { }
//	  } ]
//	}
//
// Members stay in their order and numbers as they were written. Strings are escaped
// only where JSON says they must be.
func Format(text string) (string, error) {
	v, err := read(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	layOut(&b, v, "\n")
	return b.String(), nil
}

// layOut writes a value. lineEnd includes the indent of the line that the value begins
// on; a list adds none.
func layOut(b *strings.Builder, v any, lineEnd string) {
	switch v := v.(type) {
	case object:
		b.WriteByte('{')
		for i, m := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(lineEnd + "  ")
			writeString(b, m.name)
			b.WriteString(" : ")
			layOut(b, m.value, lineEnd+"  ")
		}
		if len(v) == 0 {
			lineEnd = " "
		}
		b.WriteString(lineEnd + "}")
	case []any:
		b.WriteByte('[')
		for i, element := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteByte(' ')
			layOut(b, element, lineEnd)
		}
		b.WriteString(" ]")
	case string:
		writeString(b, v)
	case json.Number:
		b.WriteString(v.String())
	case bool:
		fmt.Fprint(b, v)
	default:
		b.WriteString("null")
	}
}

// writeString writes a string. encoding/json also escapes characters that are special in a
// page, and the line ends of JavaScript.
func writeString(b *strings.Builder, s string) {
	short := map[rune]string{'"': `\"`, '\\': `\\`, '\b': `\b`, '\t': `\t`, '\n': `\n`, '\f': `\f`, '\r': `\r`}
	b.WriteByte('"')
	for _, r := range s {
		switch escaped, ok := short[r]; {
		case ok:
			b.WriteString(escaped)
		case r < ' ':
			fmt.Fprintf(b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}
