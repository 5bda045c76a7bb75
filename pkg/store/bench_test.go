package store_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// yes is a DynamoDB that agrees to every transaction and keeps nothing.
type yes struct{ store.DynamoDB }

func (yes) TransactWriteItems(context.Context, *dynamodb.TransactWriteItemsInput, ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	return &dynamodb.TransactWriteItemsOutput{}, nil
}

// What a commit costs without the calls it makes: the items and expressions.
func BenchmarkCommit(b *testing.B) {
	for _, c := range []struct {
		name   string
		size   int
		labels int
	}{{"1KB", 1 << 10, 0}, {"64KB", secret.MaxValue, 0}, {"1KB/20labels", 1 << 10, 17}} {
		b.Run(c.name, func(b *testing.B) {
			s := store.New(yes{}, "t", localtest.ARNs)
			change := making(b, fresh("s", "aaaaaa"))
			for i := range c.labels {
				change.Secret.Stages = change.Secret.Stages.Attach(fmt.Sprintf("label-%d", i), "v1")
			}
			if _, err := s.Create(b.Context(), change); err != nil {
				b.Fatal(err)
			}
			data := bytes.Repeat([]byte{'x'}, c.size)
			put := func(sec secret.Secret) (secret.Change, error) {
				change, err := sec.Put("5e7d3a3c-8c1c-4d2f-9f43-7f4f0ed5a2c1", nil, noon)
				change.Version.Sealed = secret.Sealed{Kind: secret.String, KeyARN: "arn:key", DataKey: data[:180], Data: data}
				return change, err
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Update(b.Context(), byName, put); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What puts and gets cost with the engine in memory.
func BenchmarkEngine(b *testing.B) {
	data := bytes.Repeat([]byte{'x'}, 1024)
	var n int
	put := func(sec secret.Secret) (secret.Change, error) {
		n++
		change, err := sec.Put(fmt.Sprintf("version-%d", n), nil, noon)
		change.Version.Sealed = secret.Sealed{Kind: secret.String, KeyARN: "arn:key", DataKey: data[:180], Data: data}
		return change, err
	}
	b.Run("put", func(b *testing.B) {
		room := localtest.New(b)
		create(b, room, "aaaaaa")
		b.ReportAllocs()
		for b.Loop() {
			update(b, room, put)
		}
	})
	b.Run("get", func(b *testing.B) {
		room := localtest.New(b)
		create(b, room, "aaaaaa")
		b.ReportAllocs()
		for b.Loop() {
			get(b, room)
		}
	})
}
