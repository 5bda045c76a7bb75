package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// manySecrets are those that puts and gets are spread over.
	manySecrets = 1000
	// rotatedSecrets are rotated in turn, so that each has rested since its last rotation.
	rotatedSecrets = 512
	valueSize      = 1024
	bigValueSize   = 60_000
	setupLimit     = 5 * time.Minute
)

// A workload does the same work on the server and on the floor.
type workload struct {
	name          string
	server, floor operation
	aims          map[int]float64             // least ratio, by number of clients
	before, after func(context.Context) error // around each round on the server; nil for nothing
	oneSecret     bool
}

// A bench is a server and its floor, with secrets to work on.
type bench struct {
	server, floor *target
	function      *function
	rested        chan string // secrets to rotate, the one longest at rest first

	writePath, readPath string // of the floor, for answers as long as the server's
}

// run numbers the tokens of this process, and begins where no other run has been.
var (
	run    = time.Now().UnixNano()
	tokens atomic.Int64
)

// newToken makes a fresh ClientRequestToken.
func newToken() string { return fmt.Sprintf("%016x%016x", run, tokens.Add(1)) }

var (
	value    = strings.Repeat("0123456789abcdef", valueSize/16)
	bigValue = strings.Repeat("0123456789abcdef", bigValueSize/16)
)

func nameOf(kind string, i int) string { return fmt.Sprintf("bench-%s-%06d", kind, i) }

// spread picks one of the many secrets. Clients that begin together keep apart.
func spread(client, n int) string { return nameOf("many", (n+client*61)%manySecrets) }

// Inputs are put together by hand: no part of them needs escaping.

func createInput(name, value string) []byte {
	return []byte(`{"Name":"` + name + `","ClientRequestToken":"` + newToken() + `","SecretString":"` + value + `"}`)
}

func putInput(id, value string) []byte {
	return []byte(`{"SecretId":"` + id + `","ClientRequestToken":"` + newToken() + `","SecretString":"` + value + `"}`)
}

func getInput(id string) []byte { return []byte(`{"SecretId":"` + id + `"}`) }

func create(ctx context.Context, server *target, name, value string) error {
	_, err := server.post(ctx, "/", "CreateSecret", createInput(name, value))
	return err
}

func put(ctx context.Context, server *target, id, value string) error {
	_, err := server.post(ctx, "/", "PutSecretValue", putInput(id, value))
	return err
}

func (b *bench) put(ctx context.Context, id string) error { return put(ctx, b.server, id, value) }

func (b *bench) get(ctx context.Context, id string) error {
	_, err := b.server.post(ctx, "/", "GetSecretValue", getInput(id))
	return err
}

// write and read send the floor what the server is sent.
func (b *bench) write(ctx context.Context, id string) error {
	_, err := b.floor.post(ctx, b.writePath, "PutSecretValue", putInput(id, value))
	return err
}

func (b *bench) read(ctx context.Context, id string) error {
	_, err := b.floor.post(ctx, b.readPath, "GetSecretValue", getInput(id))
	return err
}

func (b *bench) workloads() []workload {
	const one = "bench-one-000000"
	return []workload{
		{
			name:   "puts, many secrets",
			server: func(ctx context.Context, client, n int) error { return b.put(ctx, spread(client, n)) },
			floor:  func(ctx context.Context, client, n int) error { return b.write(ctx, spread(client, n)) },
			aims:   map[int]float64{1: 0.45, maxClients: 0.35},
		},
		{
			name:      "puts, one secret",
			server:    func(ctx context.Context, _, _ int) error { return b.put(ctx, one) },
			floor:     func(ctx context.Context, _, _ int) error { return b.write(ctx, one) },
			oneSecret: true,
		},
		{
			name:   "gets",
			server: func(ctx context.Context, client, n int) error { return b.get(ctx, spread(client, n)) },
			floor:  func(ctx context.Context, client, n int) error { return b.read(ctx, spread(client, n)) },
			aims:   map[int]float64{1: 0.50, maxClients: 0.40},
			before: b.warm,
		},
		{
			name:   "90 % gets, 10 % puts",
			server: mixed(b.get, b.put),
			floor:  mixed(b.read, b.write),
			before: b.warm,
		},
		{
			name:   "rotations",
			server: b.rotate,
			floor:  b.rotateFloor,
			after:  b.checkRotations,
		},
	}
}

// mixed puts every tenth time, and each client at another time.
func mixed(get, put func(context.Context, string) error) operation {
	return func(ctx context.Context, client, n int) error {
		if (n+client)%10 == 9 {
			return put(ctx, spread(client, n))
		}
		return get(ctx, spread(client, n))
	}
}

// warm reads each secret once.
func (b *bench) warm(ctx context.Context) error {
	_, err := fill(ctx, manySecrets, setupLimit, func(int) {}, func(ctx context.Context, i int) error {
		return b.get(ctx, nameOf("many", i))
	})
	return err
}

// rotateFloor is the writes and reads that a rotation cannot do without.
func (b *bench) rotateFloor(ctx context.Context, client, n int) error {
	for range 4 {
		if err := b.read(ctx, spread(client, n)); err != nil {
			return err
		}
		if err := b.write(ctx, spread(client, n)); err != nil {
			return err
		}
	}
	return nil
}

// setUp makes the secrets, and learns how long the server's answers are.
func (b *bench) setUp(ctx context.Context, show *progress) error {
	names := []string{nameOf("one", 0)}
	for i := range manySecrets {
		names = append(names, nameOf("many", i))
	}
	b.rested = make(chan string, rotatedSecrets)
	for i := range rotatedSecrets {
		names = append(names, nameOf("rotated", i))
		b.rested <- nameOf("rotated", i)
	}
	step := func(done int) { show.count("making secrets", done, len(names)) }
	done, err := fill(ctx, len(names), setupLimit, step, func(ctx context.Context, i int) error {
		return create(ctx, b.server, names[i], value)
	})
	if err != nil {
		return err
	}
	if done < len(names) {
		return fmt.Errorf("the server made %d of %d secrets in %s, which is too slow to measure", done, len(names), setupLimit)
	}
	return b.learnSizes(ctx)
}

func (b *bench) learnSizes(ctx context.Context) error {
	id := nameOf("many", 0)
	put, err := b.server.post(ctx, "/", "PutSecretValue", putInput(id, value))
	if err != nil {
		return err
	}
	get, err := b.server.post(ctx, "/", "GetSecretValue", getInput(id))
	if err != nil {
		return err
	}
	var got struct{ SecretString string }
	if err := json.Unmarshal(get, &got); err != nil || got.SecretString != value {
		return fmt.Errorf("the server answered another value than was put: %.300s", get)
	}
	b.writePath = fmt.Sprintf("/write?answer=%d", len(put))
	b.readPath = fmt.Sprintf("/read?answer=%d", len(get))
	return nil
}
