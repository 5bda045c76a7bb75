package store

import (
	"context"
	"errors"
	"sync"
)

// maxQueue is how many changes of one secret wait at most in this process.
const maxQueue = 1024

// A queue lets one change of each secret pass at a time. Changes of one secret in one
// process would otherwise conflict in the database, and all but one would be tried
// again. The zero queue is empty.
type queue struct {
	mu   sync.Mutex
	gate map[string]*gate // of secrets that are being changed, by name
}

// A gate holds one token while nobody passes. It is a channel and no mutex: a change
// waits for remote calls while it holds it, and waiting callers can give up.
type gate struct {
	token chan struct{}
	users int // changes that pass or wait
}

// enter waits for the turn to change a secret; leave ends it. It returns [ErrBusy]
// when too many wait, or the deadline comes first.
func (q *queue) enter(ctx context.Context, name string) (leave func(), err error) {
	g, err := q.join(name)
	if err != nil {
		return nil, err
	}
	select {
	case <-g.token:
		return func() {
			g.token <- struct{}{}
			q.quit(name, g)
		}, nil
	case <-ctx.Done():
		q.quit(name, g)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, ErrBusy
		}
		return nil, ctx.Err()
	}
}

func (q *queue) join(name string) (*gate, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	g := q.gate[name]
	switch {
	case g == nil:
		g = &gate{token: make(chan struct{}, 1)}
		g.token <- struct{}{}
		if q.gate == nil {
			q.gate = map[string]*gate{}
		}
		q.gate[name] = g
	case g.users > maxQueue:
		return nil, ErrBusy
	}
	g.users++
	return g, nil
}

func (q *queue) quit(name string, g *gate) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if g.users--; g.users == 0 {
		delete(q.gate, name)
	}
}
