package envelope

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongroom/strongroom/pkg/secret"
)

var testKey = []byte("0123456789abcdef0123456789abcdef")

// remembered is the key as it lies in the memory, nil for none.
func remembered(k *dataKeys, name string) *dataKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		return nil
	}
	key, _ := k.keys.Peek(name)
	return key
}

func wantKey(t *testing.T, k *dataKeys, name string, want []byte) {
	t.Helper()
	got, ok := k.get(name)
	if ok != (want != nil) || !bytes.Equal(got, want) {
		t.Errorf("key %s: got %x, %v, want %x", name, got, ok, want)
	}
}

func wantZeroed(t *testing.T, key *dataKey) {
	t.Helper()
	if !bytes.Equal(key.plain, make([]byte, 32)) {
		t.Errorf("the forgotten key is still %x, want zeros", key.plain)
	}
}

func TestKeepNothing(t *testing.T) {
	t.Parallel()
	for _, keep := range []time.Duration{0, -time.Second} {
		var k dataKeys
		k.put("a", testKey, keep)
		wantKey(t, &k, "a", nil)
		if k.keys != nil {
			t.Errorf("keep %v: got %d keys in memory, want no memory", keep, k.keys.Len())
		}
	}
}

func TestKeepForATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var k dataKeys
		k.put("a", testKey, time.Minute)
		key := remembered(&k, "a")
		time.Sleep(time.Minute - time.Nanosecond)
		synctest.Wait()
		wantKey(t, &k, "a", testKey)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		wantKey(t, &k, "a", nil)
		wantZeroed(t, key)
		if got := k.keys.Len(); got != 0 {
			t.Errorf("got %d keys in memory, want none", got)
		}
	})
}

// A key that is read all the time, or fetched twice, goes all the same.
func TestKeepIsNotProlonged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var k dataKeys
		k.put("a", testKey, time.Minute)
		key := remembered(&k, "a")
		for range 59 {
			time.Sleep(time.Second)
			wantKey(t, &k, "a", testKey)
			k.put("a", testKey, time.Minute)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		wantKey(t, &k, "a", nil)
		wantZeroed(t, key)
	})
}

// The time of an old key must not end that of a new one under its name.
func TestKeepAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var k dataKeys
		k.put("a", testKey, time.Minute)
		old := remembered(&k, "a")
		time.Sleep(time.Minute)
		synctest.Wait()
		k.put("a", testKey, time.Minute)
		k.expire("a", old) // as a timer that came late
		wantKey(t, &k, "a", testKey)
		time.Sleep(time.Minute)
		synctest.Wait()
		wantKey(t, &k, "a", nil)
	})
}

// After a freeze the first reader may come before the timer does.
func TestKeepThroughAFreeze(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var k dataKeys
		k.put("a", testKey, time.Minute)
		key := remembered(&k, "a")
		key.until = time.Now().Add(-time.Nanosecond)
		wantKey(t, &k, "a", nil)
		wantZeroed(t, key)
		k.put("a", testKey, time.Minute)
		wantKey(t, &k, "a", testKey)
		time.Sleep(time.Minute)
		synctest.Wait()
		wantKey(t, &k, "a", nil)
	})
}

func TestKeepABoundedNumber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var k dataKeys
		const more = 10
		var keys []*dataKey
		for i := range maxKeys + more {
			if i == maxKeys {
				wantKey(t, &k, "0", testKey) // used again, so that it is not the oldest
			}
			k.put(strconv.Itoa(i), testKey, time.Minute)
			keys = append(keys, remembered(&k, strconv.Itoa(i)))
		}
		if got := k.keys.Len(); got != maxKeys {
			t.Errorf("got %d keys in memory, want %d", got, maxKeys)
		}
		wantKey(t, &k, "0", testKey)
		for i := 1; i <= more; i++ {
			wantKey(t, &k, strconv.Itoa(i), nil)
			wantZeroed(t, keys[i])
		}
		for i := more + 1; i < maxKeys+more; i++ {
			wantKey(t, &k, strconv.Itoa(i), testKey)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, key := range keys {
			wantZeroed(t, key)
		}
	})
}

func TestKeysAreCopies(t *testing.T) {
	t.Parallel()
	var k dataKeys
	plain := slices.Clone(testKey)
	k.put("a", plain, time.Hour)
	clear(plain)
	wantKey(t, &k, "a", testKey)
	got, _ := k.get("a")
	clear(got)
	wantKey(t, &k, "a", testKey)
}

func TestOpenKeepsNothing(t *testing.T) {
	t.Parallel()
	s, k := newSealer()
	sealed := mustSeal(t, s, here, "", text("hunter2"))
	for range 3 {
		wantOpens(t, s, here, sealed, text("hunter2"))
	}
	k.wantCalls(t, map[string]int{"GenerateDataKey": 1, "Decrypt": 3})
	k.wantCleared(t)
	if s.keys.keys != nil {
		t.Error("got a memory of data keys, want none")
	}
}

func TestOpenKeeps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, k := newSealer()
		s.Keep = time.Minute
		sealed := mustSeal(t, s, here, "", text("hunter2"))
		k.wantCalls(t, map[string]int{"GenerateDataKey": 1})
		for range 2 {
			wantOpens(t, s, here, sealed, text("hunter2"))
			k.wantCalls(t, map[string]int{"Decrypt": 1})
			time.Sleep(time.Minute - time.Nanosecond)
			wantOpens(t, s, here, sealed, text("hunter2"))
			k.wantCalls(t, nil)
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			if got := s.keys.keys.Len(); got != 0 {
				t.Errorf("got %d data keys in memory after their time, want none", got)
			}
		}
		k.wantCleared(t)
	})
}

// What KMS would not open, a remembered key does not open either.
func TestRememberedKeyOpensNothingElse(t *testing.T) {
	t.Parallel()
	for _, tt := range elsewhere {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, k := newSealer()
			s.Keep = time.Hour
			sealed := mustSeal(t, s, here, "", text("hunter2"))
			wantOpens(t, s, here, sealed, text("hunter2"))
			clear(k.calls)
			sealed.Kind = tt.kind
			err := openFails(t, s, tt.at, sealed)
			if tt.at == here {
				return // the kind is between us and the seal
			}
			k.wantCalls(t, map[string]int{"Decrypt": 1})
			if !errors.Is(err, errDecrypt) {
				t.Errorf("got %v, want %v", err, errDecrypt)
			}
		})
	}
	t.Run("another KMS key", func(t *testing.T) {
		t.Parallel()
		s, k := newSealer()
		s.Keep = time.Hour
		sealed := mustSeal(t, s, here, "", text("hunter2"))
		wantOpens(t, s, here, sealed, text("hunter2"))
		clear(k.calls)
		sealed.KeyARN = otherARN
		if err := openFails(t, s, here, sealed); !errors.Is(err, errDecrypt) {
			t.Errorf("got %v, want %v", err, errDecrypt)
		}
		k.wantCalls(t, map[string]int{"Decrypt": 1})
	})
	t.Run("other bytes", func(t *testing.T) {
		t.Parallel()
		s, k := newSealer()
		s.Keep = time.Hour
		sealed := mustSeal(t, s, here, "", text("hunter2"))
		wantOpens(t, s, here, sealed, text("hunter2"))
		clear(k.calls)
		sealed.Data = slices.Clone(sealed.Data)
		sealed.Data[len(sealed.Data)-1] ^= 1
		wantShut(t, s, here, sealed)
		k.wantCalls(t, nil)
	})
	t.Run("a failed call is not remembered", func(t *testing.T) {
		t.Parallel()
		s, k := newSealer()
		s.Keep = time.Hour
		sealed := mustSeal(t, s, here, "", text("hunter2"))
		k.unusable[defaultARN] = denied()
		if err := openFails(t, s, here, sealed); !errors.Is(err, errDenied) {
			t.Errorf("got %v, want %v", err, errDenied)
		}
		delete(k.unusable, defaultARN)
		wantOpens(t, s, here, sealed, text("hunter2"))
	})
}

func TestOpenConcurrently(t *testing.T) {
	t.Parallel()
	for _, keep := range []time.Duration{0, time.Microsecond, time.Hour} {
		t.Run(keep.String(), func(t *testing.T) {
			t.Parallel()
			s, k := newSealer()
			s.Keep = keep
			const versions = 4
			var places []Place
			var sealed []secret.Sealed
			for i := range versions {
				places = append(places, Place{here.ARN, here.VersionID + strconv.Itoa(i)})
				sealed = append(sealed, mustSeal(t, s, places[i], "", text("value "+strconv.Itoa(i))))
			}
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for i := range 100 {
						i %= versions
						got, err := s.Open(t.Context(), places[i], sealed[i])
						if err != nil || !got.Equal(text("value "+strconv.Itoa(i))) {
							t.Errorf("version %d: got %v, %v, want its value", i, got, err)
							return
						}
					}
				})
			}
			wg.Wait()
			k.wantCleared(t)
		})
	}
}
