package agent

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
)

// ending is credentials that end after a time, as a cache with the window says it.
func ending(creds aws.Credentials, after time.Duration) aws.Credentials {
	creds.CanExpire, creds.Expires = true, time.Now().Add(after-RefreshWindow)
	return creds
}

// When there are no new credentials, those at hand are used to their end; the source is
// asked every ten seconds, and not by every request.
func TestKeyringWithoutSource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &source{creds: ending(own(), time.Hour)}
		k := NewKeyring(s, RefreshWindow)
		if _, err := k.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
		gone := errors.New("metadata service is gone")
		time.Sleep(time.Hour - RefreshWindow)
		s.set(aws.Credentials{}, gone)
		s.asked = 0
		for range RefreshWindow/time.Second - spareTime/time.Second {
			if creds, err := k.Retrieve(t.Context()); err != nil || creds.AccessKeyID != ownKey {
				t.Fatalf("before the end: got %v, %v", creds.AccessKeyID, err)
			}
			time.Sleep(time.Second)
		}
		if want := int((RefreshWindow - spareTime) / lookAgain); s.asked > want+1 {
			t.Errorf("the source was asked %d times, want about %d", s.asked, want)
		}
		if creds, err := k.Retrieve(t.Context()); !errors.Is(err, errNoCredentials) || !errors.Is(err, gone) {
			t.Errorf("at the end: got %v, %v", creds.AccessKeyID, err)
		}
		s.set(ending(renewed(), time.Hour), nil)
		if creds, err := k.Retrieve(t.Context()); err != nil || creds.AccessKeyID != newKey {
			t.Errorf("when they are back: got %v, %v", creds.AccessKeyID, err)
		}
	})
}

func TestKeyringKnowsTheLastOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &source{creds: ending(own(), 10*time.Minute)}
		k := NewKeyring(s, RefreshWindow)
		if secret, ok := k.Secret(t.Context(), ownKey); !ok || secret != ownSecret {
			t.Errorf("own: got %q, %v", secret, ok)
		}
		s.set(ending(renewed(), time.Hour), nil)
		if secret, ok := k.Secret(t.Context(), newKey); !ok || secret != newSecret {
			t.Errorf("new: got %q, %v", secret, ok)
		}
		if _, ok := k.Secret(t.Context(), ownKey); !ok {
			t.Error("the last ones are not known any more")
		}
		time.Sleep(10 * time.Minute)
		if _, ok := k.Secret(t.Context(), ownKey); ok {
			t.Error("the last ones have ended and are known")
		}
	})
}

// A stranger cannot have the source asked again and again.
func TestKeyringIsNotHurried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &source{creds: own()}
		k := NewKeyring(s, 0)
		for range 100 {
			if _, ok := k.Secret(t.Context(), "ASIAFOREIGN000000001"); ok {
				t.Fatal("a stranger is known")
			}
		}
		if s.invalidated != 1 {
			t.Errorf("got %d looks, want one", s.invalidated)
		}
		time.Sleep(lookAgain)
		k.Secret(t.Context(), "ASIAFOREIGN000000001")
		if s.invalidated != 2 {
			t.Errorf("later: got %d looks, want 2", s.invalidated)
		}
	})
}

func TestKeyringRemembersFew(t *testing.T) {
	t.Parallel()
	s := &source{}
	k := NewKeyring(s, 0)
	for i := range 10 {
		s.set(aws.Credentials{AccessKeyID: string(rune('a' + i)), SecretAccessKey: "x"}, nil)
		if _, err := k.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(k.known) != remembered || k.known[0].AccessKeyID != "j" {
		t.Errorf("got %d, the latest %s", len(k.known), k.known[0].AccessKeyID)
	}
}

// What a credential_process wrote, and is not JSON, may be a secret access key.
func TestKeyringKeepsOutputsToItself(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]string{
		`echo {"SecretAccessKey": EXAMPLE-VALUE`: "credential_process: invalid character",
		`echo {}`:                                "credential_process: wrong version in process output",
		`exit 3`:                                 "credential_process: exit status 3",
	} {
		k := NewKeyring(aws.NewCredentialsCache(processcreds.NewProvider(command)), 0)
		_, err := k.Retrieve(t.Context())
		if !errors.Is(err, errNoCredentials) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", command, err, want)
		}
		noSecrets(t, err.Error())
	}
}
