//go:build race

package prune_test

// throughAPI is how many of the ten thousand versions are put through the API: with
// the race detector a put takes many times as long.
const throughAPI = 2_000
