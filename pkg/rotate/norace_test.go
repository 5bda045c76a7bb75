//go:build !race

package rotate_test

const atOnce = 1000
