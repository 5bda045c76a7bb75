package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A seedSecret is a secret that a seed file asks for: a request of CreateSecret.
type seedSecret struct {
	Name               string
	ClientRequestToken string    `json:",omitempty"`
	Description        string    `json:",omitempty"`
	KmsKeyId           string    `json:",omitempty"`
	SecretString       *string   `json:",omitempty"`
	SecretBinary       []byte    `json:",omitempty"`
	Tags               []seedTag `json:",omitempty"`
}

type seedTag struct{ Key, Value string }

func (s seedSecret) isValue(text *string, binary []byte) bool {
	if s.SecretString != nil {
		return text != nil && *text == *s.SecretString
	}
	return text == nil && bytes.Equal(binary, s.SecretBinary)
}

// parseSeed reads a seed file in one of three forms, told apart by how it begins:
//
//	{"prod/db": {"username": "app", "password": "EXAMPLE"}, "token": "EXAMPLE"}
//
//	[{"Name": "cert", "SecretBinary": "RVhBTVBMRQ==", "Description": "…", "Tags": [{"Key": "team", "Value": "blue"}]}]
//
//	TOKEN=EXAMPLE # lines as in a .env file
//
// An object has values by name, and one that is not a string is stored as JSON text. A
// list has requests of CreateSecret. Its errors name lines and secrets, and quote no
// value.
func parseSeed(text []byte) ([]seedSecret, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if !utf8.Valid(text) {
		return nil, errors.New("it is not UTF-8 text")
	}
	var secrets []seedSecret
	var err error
	switch begin := bytes.TrimSpace(text); {
	case bytes.HasPrefix(begin, []byte("{")):
		secrets, err = parseValues(text)
	case bytes.HasPrefix(begin, []byte("[")):
		secrets, err = parseRequests(text)
	default:
		secrets, err = parseEnv(string(text))
	}
	if err != nil {
		return nil, err
	}
	return secrets, checkTwice(secrets)
}

func checkTwice(secrets []seedSecret) error {
	names := map[string]bool{}
	for _, s := range secrets {
		if names[s.Name] {
			return fmt.Errorf("secret %q is there twice", s.Name)
		}
		names[s.Name] = true
	}
	return nil
}

// parseValues reads an object by tokens: a map would lose the order, and names that are
// there twice.
func parseValues(text []byte) ([]seedSecret, error) {
	if err := checkJSON(text); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	_, _ = d.Token() // the brace: it is JSON
	var secrets []seedSecret
	for d.More() {
		token, _ := d.Token()
		name, _ := token.(string)
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		stored, err := valueOf(value)
		if err != nil {
			return nil, fmt.Errorf("secret %q %w", name, err)
		}
		secrets = append(secrets, seedSecret{Name: name, SecretString: &stored})
	}
	return secrets, nil
}

func valueOf(value json.RawMessage) (string, error) {
	switch value[0] {
	case '"':
		var text string
		err := json.Unmarshal(value, &text)
		return text, err
	case '{', '[':
		var text bytes.Buffer
		err := json.Compact(&text, value)
		return text.String(), err
	}
	return "", errors.New(`is no string, object or list; put numbers and the like in quotes, as "1"`)
}

func parseRequests(text []byte) ([]seedSecret, error) {
	if err := checkJSON(text); err != nil {
		return nil, err
	}
	var entries []json.RawMessage
	if err := json.Unmarshal(text, &entries); err != nil {
		return nil, err
	}
	secrets := make([]seedSecret, len(entries))
	for i, entry := range entries {
		d := json.NewDecoder(bytes.NewReader(entry))
		d.DisallowUnknownFields()
		s := &secrets[i]
		if err := d.Decode(s); err != nil || s.Name == "" || s.ClientRequestToken != "" {
			return nil, fmt.Errorf("entry %d is no request of CreateSecret with Name, SecretString or SecretBinary in base64, and perhaps Description, KmsKeyId and Tags", i+1)
		}
		if (s.SecretString == nil) == (len(s.SecretBinary) == 0) {
			return nil, fmt.Errorf("secret %q needs either SecretString or SecretBinary", s.Name)
		}
	}
	return secrets, nil
}

// checkJSON names the line of a syntax error.
func checkJSON(text []byte) error {
	var any json.RawMessage
	err := json.Unmarshal(text, &any)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		before := text[:min(int(syntax.Offset), len(text))]
		return fmt.Errorf("line %d is not JSON", 1+bytes.Count(bytes.TrimRight(before, "\n"), []byte("\n")))
	}
	return err
}

// parseEnv reads lines of NAME=value. Libraries for this substitute $NAME, cut values at
// a # or quote them in errors, which would change or show secrets. Whatever shells and
// libraries read in different ways is refused.
func parseEnv(text string) ([]seedSecret, error) {
	var secrets []seedSecret
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" || strings.ContainsAny(name, " \t'\"") {
			return nil, fmt.Errorf("line %d is not NAME=value", n)
		}
		stored, err := envValue(strings.TrimSpace(value))
		if err != nil {
			return nil, fmt.Errorf("line %d: the value of %s %w", n, name, err)
		}
		secrets = append(secrets, seedSecret{Name: name, SecretString: &stored})
	}
	return secrets, nil
}

func envValue(value string) (string, error) {
	quote := value[:min(1, len(value))]
	if quote != "'" && quote != `"` {
		return bareValue(value)
	}
	var stored strings.Builder
	for i := 1; i < len(value); i++ {
		switch c := value[i]; {
		case c == quote[0]:
			return stored.String(), checkAfter(value[i+1:])
		case quote == "'":
			stored.WriteByte(c)
		case c == '\\' && i+1 < len(value):
			i++
			escaped, ok := escapes[value[i]]
			if !ok {
				return "", errors.New(`has a backslash before another character than n, r, t, $, ", ` + "` and \\")
			}
			stored.WriteByte(escaped)
		case c == '$' || c == '`':
			return "", errors.New("has a $ or ` in double quotes, and nothing is substituted here; use single quotes, or a backslash before it")
		default:
			stored.WriteByte(c)
		}
	}
	return "", errors.New(`has a quote that is not closed in its line; in double quotes, \n is a line break`)
}

var escapes = map[byte]byte{'n': '\n', 'r': '\r', 't': '\t', '$': '$', '"': '"', '`': '`', '\\': '\\'}

// bareValue is a value without quotes, up to a comment after a space.
func bareValue(value string) (string, error) {
	if value == "" || value[0] == '#' {
		return "", errors.New("is empty; a secret has at least one character")
	}
	for _, space := range []string{" #", "\t#"} {
		value, _, _ = strings.Cut(value, space)
	}
	if strings.ContainsAny(value, "'\"\\$`") {
		return "", errors.New("has a quote, backslash, $ or ` in it; put it in single quotes")
	}
	return strings.TrimSpace(value), nil
}

func checkAfter(rest string) error {
	rest = strings.TrimSpace(rest)
	if rest != "" && rest[0] != '#' {
		return errors.New("continues after its closing quote")
	}
	return nil
}
