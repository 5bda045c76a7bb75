//go:build !race

package prune_test

const throughAPI = 10_000
