package secret

import (
	"fmt"
	"testing"
)

// The decision of a put and of a move, for a secret with few and with all labels.
func BenchmarkPut(b *testing.B) {
	for _, n := range []int{3, MaxLabels} {
		b.Run(fmt.Sprintf("labels=%d", n), func(b *testing.B) {
			s := having(full(n))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Put("N", nil, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMoveStage(b *testing.B) {
	for _, n := range []int{3, MaxLabels} {
		b.Run(fmt.Sprintf("labels=%d", n), func(b *testing.B) {
			s := having(full(n))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.MoveStage(Current, "v1", "v0", now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
