package reach

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Slots
		var order []int
		leaves := map[int]func(){}
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 10 {
			own := t.Context()
			if i == 5 || i == 7 {
				own = ctx
			}
			go func() {
				leave, err := s.Enter(own, "a")
				if err == nil {
					order = append(order, i)
					leaves[i] = leave
				}
			}()
			synctest.Wait()
		}
		if !slices.Equal(order, []int{0, 1, 2, 3}) {
			t.Errorf("in: %v", order)
		}
		if _, err := s.Enter(t.Context(), "b"); err != nil {
			t.Errorf("another server: %v", err)
		}
		cancel()
		synctest.Wait()
		for len(leaves) > 0 {
			first := slices.Min(slices.Collect(maps.Keys(leaves)))
			leave := leaves[first]
			delete(leaves, first)
			leave()
			synctest.Wait()
		}
		if !slices.Equal(order, []int{0, 1, 2, 3, 4, 6, 8, 9}) {
			t.Errorf("in: %v", order)
		}
		if len(s.lines) != 1 {
			t.Errorf("%d lines left", len(s.lines))
		}
	})
}

// A slot that is handed over at the moment of giving up goes to the next one.
func TestSlotsMeetGivingUp(t *testing.T) {
	for range 500 {
		synctest.Test(t, func(t *testing.T) {
			var s Slots
			var held []func()
			for range PerServer {
				leave, _ := s.Enter(t.Context(), "a")
				held = append(held, leave)
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				if leave, err := s.Enter(ctx, "a"); err == nil {
					leave()
				}
			}()
			synctest.Wait()
			var wg sync.WaitGroup
			wg.Go(cancel)
			wg.Go(held[0])
			wg.Wait()
			synctest.Wait()
			for _, leave := range held[1:] {
				leave()
			}
			if len(s.lines) != 0 {
				t.Fatalf("%+v left", s.lines["a"])
			}
		})
	}
}
