package store

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var q queue
		leave, err := q.enter(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		if other, err := q.enter(t.Context(), "t"); err != nil {
			t.Errorf("another secret: %v, want its turn at once", err)
		} else {
			other()
		}
		deadline, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := q.enter(deadline, "s"); !errors.Is(err, ErrBusy) {
			t.Errorf("at the deadline: %v, want %v", err, ErrBusy)
		}
		gone, hangUp := context.WithCancel(t.Context())
		hangUp()
		if _, err := q.enter(gone, "s"); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that hangs up: %v, want %v", err, context.Canceled)
		}

		// The virtual clock would not move if a waiter held up the bubble.
		var mu sync.Mutex
		passed, inside := 0, 0
		for range 20 {
			go func() {
				leave, err := q.enter(t.Context(), "s")
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				passed++
				inside++
				if inside != 1 {
					t.Errorf("%d changes of one secret at once", inside)
				}
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				inside--
				mu.Unlock()
				leave()
			}()
		}
		synctest.Wait()
		if passed != 0 {
			t.Errorf("%d passed before the first left", passed)
		}
		leave()
		time.Sleep(time.Minute)
		synctest.Wait()
		if passed != 20 || len(q.gate) != 0 {
			t.Errorf("%d passed, and %d gates are left, want 20 and none", passed, len(q.gate))
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var q queue
		leave, err := q.enter(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		for range maxQueue {
			go func() {
				if leave, err := q.enter(t.Context(), "s"); err != nil {
					t.Error(err)
				} else {
					leave()
				}
			}()
		}
		synctest.Wait()
		if _, err := q.enter(t.Context(), "s"); !errors.Is(err, ErrBusy) {
			t.Errorf("one too many: %v, want %v", err, ErrBusy)
		}
		leave()
		synctest.Wait()
	})
}
