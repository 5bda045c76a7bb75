package envelope

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/secret"
)

// Against a KMS that answers at once, so that what is measured is ours.
func sealers(size int) (*Sealer, secret.Value) {
	value := secret.NewValue(secret.String, bytes.Repeat([]byte("s"), size))
	return &Sealer{KMS: laxKMS{key: testKey}}, value
}

func BenchmarkSeal(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			s, value := sealers(size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Seal(b.Context(), here, "", value); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		for _, keep := range []time.Duration{0, time.Hour} {
			b.Run(fmt.Sprintf("%dKB/keep=%v", size>>10, keep), func(b *testing.B) {
				s, value := sealers(size)
				s.Keep = keep
				sealed := mustSeal(b, s, here, "", value)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := s.Open(b.Context(), here, sealed); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
