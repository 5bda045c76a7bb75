//go:build race

package rotate_test

// atOnce is how many secrets are due in one minute: a thousand, but for the race
// detector, with which each takes many times as long.
const atOnce = 200
