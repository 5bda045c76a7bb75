package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
)

// A database stands in for a real one: a JSON file of users and their passwords, such
// as {"app":"EXAMPLE-1"}. A rotation needs no more of a database than the two methods.
type database struct {
	path string
	mu   sync.Mutex // a change is read, change, write
}

// openDatabase reads the file once, so that a wrong path stops the start.
func openDatabase(path string) (*database, error) {
	if path == "" {
		return nil, errors.New(`DATABASE_FILE is not set; it is a JSON file of users and their passwords, such as {"app":"EXAMPLE-1"}`)
	}
	db := &database{path: path}
	_, err := db.users()
	return db, err
}

// letsIn logs in. That it cannot be tried is an error; that the password is wrong is not.
func (db *database) letsIn(l login) (bool, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	users, err := db.users()
	password, known := users[l.username]
	return known && password == l.password, err
}

// setPassword changes a user's own password, as one who is logged in may.
func (db *database) setPassword(l login, password string) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	users, err := db.users()
	if err != nil {
		return err
	}
	if users[l.username] != l.password {
		return errors.New("the database does not let the user in any more")
	}
	users[l.username] = password
	text, err := json.Marshal(users)
	if err != nil {
		return err
	}
	// Programs that read meanwhile, or after a crash, see the users as before or as after.
	if err := os.WriteFile(db.path+".new", append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("the database cannot be written: %w", err)
	}
	return os.Rename(db.path+".new", db.path)
}

func (db *database) users() (map[string]string, error) {
	text, err := os.ReadFile(db.path)
	if err != nil {
		return nil, fmt.Errorf("the database cannot be read: %w", err)
	}
	var users map[string]string
	if json.Unmarshal(text, &users) != nil || users == nil { // the decoder's error quotes the text
		return nil, fmt.Errorf(`the database %s is not JSON such as {"app":"EXAMPLE-1"}`, db.path)
	}
	return users, nil
}
