package main

import (
	"encoding/json"
	"errors"
)

// A login is what the value of a secret says: {"username":"app","password":"EXAMPLE-1"}.
// It may have other members, such as host and port, which stay as they are.
type login struct {
	username, password string
	members            map[string]json.RawMessage
}

// errNoLogin leaves out what the JSON decoder says: it quotes the text.
var errNoLogin = errors.New(`is not JSON with a "username" and a "password"`)

func parseLogin(value string) (login, error) {
	var l login
	if json.Unmarshal([]byte(value), &l.members) != nil ||
		json.Unmarshal(l.members["username"], &l.username) != nil || l.username == "" ||
		json.Unmarshal(l.members["password"], &l.password) != nil || l.password == "" {
		return login{}, errNoLogin
	}
	return l, nil
}

// with is the value with another password.
func (l login) with(password string) (string, error) {
	members := map[string]any{}
	for name, member := range l.members {
		members[name] = member
	}
	members["password"] = password
	value, err := json.Marshal(members)
	return string(value), err
}
