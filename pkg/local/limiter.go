package local

import (
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// maxCallers is how many callers a Limiter remembers: a few megabytes.
const maxCallers = 10_000

// A Limiter lets each caller make so many calls per second, and some more at
// once. It may be used by many at once.
//
// Among callers who proved who they are, none can slow the others down, and none
// can become another. Otherwise it is against programs that run wild, and no more:
// one that means harm takes another access key for each call. Neither the
// number of those whom a Limiter remembers helps it (who is forgotten may call
// afresh, which is what a new access key gives as well), nor would a limit for
// all together hinder it: that would be used up by it, and for everybody.
type Limiter struct {
	limit   rate.Limit
	burst   int
	buckets *lru.Cache[string, *rate.Limiter]
}

// NewLimiter makes a Limiter of perSecond calls, and of burst, but at least one,
// at once. With 0 calls per second it is nil, for no limit.
func NewLimiter(perSecond float64, burst int) *Limiter {
	// Nor is there one with what flag takes for a number as well: NaN, Inf.
	if limited := perSecond > 0 && perSecond < float64(rate.Inf); !limited {
		return nil
	}
	buckets, err := lru.New[string, *rate.Limiter](maxCallers)
	if err != nil { // of a size below one
		panic(err)
	}
	return &Limiter{rate.Limit(perSecond), max(burst, 1), buckets}
}

// Allow says whether a caller may make a call now, and counts it if so.
func (l *Limiter) Allow(caller string) bool {
	if l == nil {
		return true
	}
	bucket, ok := l.buckets.Get(caller)
	if !ok {
		bucket = rate.NewLimiter(l.limit, l.burst)
		if rival, ok, _ := l.buckets.PeekOrAdd(caller, bucket); ok {
			bucket = rival
		}
	}
	return bucket.Allow()
}
