package store

import (
	"fmt"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/pkg/secret"
)

func TestCacheIsBoundedByBytes(t *testing.T) {
	t.Parallel()
	const most = 1 << 20
	c := newCache(most, versionCost)
	large := secret.Sealed{Data: make([]byte, 65_536)}
	for i := range 100 {
		name := fmt.Sprint(i)
		c.add(name, secret.Version{ID: name, Sealed: large})
		c.add(name, secret.Version{ID: name, Sealed: large}) // again: it counts once
	}
	if n := c.lru.Len(); n < 10 || n > 16 {
		t.Errorf("%d versions of 64 KiB are remembered in 1 MiB, want 15", n)
	}
	if _, ok := c.get("99"); !ok {
		t.Error("the last one is not remembered")
	}
	if _, ok := c.get("0"); ok {
		t.Error("the first one is still remembered")
	}
	for i := range 10_000 {
		c.add(fmt.Sprint("small", i), secret.Version{})
	}
	if n := c.lru.Len(); n < 1_000 || c.bytes > most {
		t.Errorf("%d small versions are remembered in %d bytes, want as many as fit in %d", n, c.bytes, most)
	}
	for c.lru.Len() > 0 {
		c.lru.RemoveOldest()
	}
	if c.bytes != 0 {
		t.Errorf("an empty cache has %d bytes", c.bytes)
	}
}

// However long the tags and replicas of secrets are, what is remembered of them stays within its bytes.
func TestHeadsAreBoundedByBytes(t *testing.T) {
	t.Parallel()
	s := New(nil, "", secret.ARNs{})
	long := strings.Repeat("\U0001F600", 256)
	tags := make([]secret.Tag, secret.MaxTags)
	for i := range tags {
		tags[i] = secret.Tag{Key: long[:512], Value: long}
	}
	for i := range 2_000 {
		s.remember(secret.Secret{Name: fmt.Sprint("large", i), Tags: tags, Description: long})
	}
	if n := s.heads.lru.Len(); n < 90 || n > 110 {
		t.Errorf("%d secrets with tags of 77 kB are remembered in 8 MiB, want about 100", n)
	}
	replicas := make([]secret.Replica, secret.MaxReplicas)
	for i := range replicas {
		replicas[i] = secret.Replica{Region: fmt.Sprint("eu-west-", i), KMSKey: long + long}
	}
	for i := range 2_000 {
		s.remember(secret.Secret{Name: fmt.Sprint("replicated", i), Replicas: replicas})
	}
	if n := s.heads.lru.Len(); n < 70 || n > 90 {
		t.Errorf("%d secrets with replicas of 107 kB are remembered in 8 MiB, want about 80", n)
	}
	for i := range 10_000 {
		s.remember(secret.Secret{Name: fmt.Sprint("small", i), Stages: secret.Stages{secret.Current: fmt.Sprint(i)}})
	}
	if n := s.heads.lru.Len(); n < 3_000 || s.heads.bytes > headBytes {
		t.Errorf("%d small secrets are remembered in %d bytes, want as many as fit in %d", n, s.heads.bytes, headBytes)
	}
	s.heads.remove("small9999")
	if _, ok := s.Remembered("small9999"); ok {
		t.Error("a secret that was forgotten is remembered")
	}
}

// Stores beside each other remember within one bound, and not each other's secrets.
func TestCachesBesideEachOther(t *testing.T) {
	t.Parallel()
	one := New(nil, "one", secret.ARNs{})
	two := one.Beside(nil, "two", secret.ARNs{})
	one.remember(secret.Secret{Name: "s", Description: "one"})
	if _, ok := two.Remembered("s"); ok {
		t.Error("a secret of another table is remembered")
	}
	two.remember(secret.Secret{Name: "s", Description: "two"})
	if got, _ := one.Remembered("s"); got.Description != "one" {
		t.Errorf("got that of %q", got.Description)
	}
	two.heads.remove("s")
	if _, ok := one.Remembered("s"); !ok {
		t.Error("a secret is forgotten with that of another table")
	}
	for i := range 20_000 {
		two.remember(secret.Secret{Name: fmt.Sprint("s", i)})
	}
	if _, ok := one.Remembered("s"); ok || one.heads.bytes > headBytes {
		t.Errorf("%d bytes are remembered in all, want at most %d", one.heads.bytes, headBytes)
	}
}
