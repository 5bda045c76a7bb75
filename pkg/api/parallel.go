package api

import "golang.org/x/sync/errgroup"

// maxParallel bounds the calls that one request makes at the same time.
const maxParallel = 8

// parallel does what is to be done for 0 to n-1, some at the same time, and
// returns the first error. A panic becomes one: left alone in its goroutine, it
// would end the process.
func parallel(n int, do func(i int) error) error {
	var g errgroup.Group
	g.SetLimit(maxParallel)
	for i := range n {
		g.Go(func() (err error) {
			defer func() {
				if p := recover(); p != nil {
					err = panicked(p)
				}
			}()
			return do(i)
		})
	}
	return g.Wait()
}
