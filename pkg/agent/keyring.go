package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
)

const (
	// RefreshWindow is how long before their end credentials are replaced.
	RefreshWindow = 5 * time.Minute
	// lookAgain is how soon a source of credentials is asked again that had none, or none
	// that a caller signed with.
	lookAgain = 10 * time.Second
	// spareTime is what is left of credentials that are still used when no others are to
	// be had: time for a request to arrive.
	spareTime = 15 * time.Second
	// askFor is how long a request waits for a source.
	askFor = 5 * time.Second
	// remembered is how many credentials are known, the latest first: a client may sign
	// with the last ones for a while when the agent has new ones.
	remembered = 3
)

// A Source has credentials. [aws.CredentialsCache] is one.
type Source interface {
	aws.CredentialsProvider
	// Invalidate has the next Retrieve look for new ones.
	Invalidate()
}

// A Keyring holds the credentials of the agent: those to sign with, and the last ones, by
// which a client proves that it has them too. It may be used by many at once.
type Keyring struct {
	source Source
	// early is how much earlier than in truth the source's credentials say they end.
	early time.Duration

	mu     sync.Mutex
	known  []aws.Credentials // the latest first
	looked time.Time         // when the source was last asked out of turn, or failed
}

// NewKeyring makes a keyring of a source whose credentials are replaced so early before
// their end.
func NewKeyring(source Source, early time.Duration) *Keyring {
	return &Keyring{source: source, early: early}
}

// Retrieve is the credentials to sign with. When the source fails, those at hand are used
// to their end, and the source is not asked with every request.
func (k *Keyring) Retrieve(ctx context.Context) (aws.Credentials, error) {
	if last, ok := k.last(); ok && k.isTooSoon() && k.isGood(last) {
		return last, nil
	}
	creds, err := k.ask(ctx)
	if err == nil {
		return creds, nil
	}
	k.note()
	if last, ok := k.last(); ok && k.isGood(last) {
		return last, nil
	}
	return aws.Credentials{}, fmt.Errorf("%w: %w", errNoCredentials, withoutOutput(err))
}

// withoutOutput is an error without what a credential_process wrote: if that cannot be
// read, the SDK's error has all of it, and so perhaps a secret access key.
func withoutOutput(err error) error {
	failed, ok := errors.AsType[*processcreds.ProviderError](err)
	if !ok {
		return err
	}
	why := errors.Unwrap(failed.Err)
	if why == nil { // it says what is missing
		why = failed.Err
	}
	return fmt.Errorf("credential_process: %w", why)
}

// Renew looks for other credentials than those that were refused, and says whether there
// are any.
func (k *Keyring) Renew(ctx context.Context, refused aws.Credentials) (aws.Credentials, bool) {
	if last, ok := k.last(); ok && last.AccessKeyID != refused.AccessKeyID {
		return last, true // somebody else renewed them
	}
	k.lookOutOfTurn(ctx)
	last, ok := k.last()
	return last, ok && (last.AccessKeyID != refused.AccessKeyID || last.SessionToken != refused.SessionToken)
}

// Secret is the secret of an access key of the agent. For an unknown one the source is
// looked at, since a client may have new credentials before the agent has.
func (k *Keyring) Secret(ctx context.Context, accessKey string) (secret string, ok bool) {
	if _, err := k.Retrieve(ctx); err != nil {
		return "", false
	}
	if secret, ok = k.find(accessKey); !ok {
		k.lookOutOfTurn(ctx)
		secret, ok = k.find(accessKey)
	}
	return secret, ok
}

func (k *Keyring) find(accessKey string) (string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, creds := range k.known {
		if creds.AccessKeyID == accessKey && k.ends(creds).After(time.Now()) {
			return creds.SecretAccessKey, true
		}
	}
	return "", false
}

// lookOutOfTurn asks the source for new credentials, but not again and again.
func (k *Keyring) lookOutOfTurn(ctx context.Context) {
	if k.isTooSoon() {
		return
	}
	k.note()
	k.source.Invalidate()
	_, _ = k.ask(ctx) // what is not there now is there later
}

func (k *Keyring) ask(ctx context.Context) (aws.Credentials, error) {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	creds, err := k.source.Retrieve(ctx)
	if err != nil {
		return creds, err
	}
	k.remember(creds)
	return creds, nil
}

func (k *Keyring) note() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.looked = time.Now()
}

func (k *Keyring) isTooSoon() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.looked.IsZero() && time.Since(k.looked) < lookAgain
}

func (k *Keyring) last() (aws.Credentials, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.known) == 0 {
		return aws.Credentials{}, false
	}
	return k.known[0], true
}

func (k *Keyring) remember(creds aws.Credentials) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.known) > 0 && k.known[0].AccessKeyID == creds.AccessKeyID {
		k.known[0] = creds
		return
	}
	k.known = append([]aws.Credentials{creds}, k.known[:min(len(k.known), remembered-1)]...)
}

func (k *Keyring) isGood(creds aws.Credentials) bool {
	return k.ends(creds).After(time.Now().Add(spareTime))
}

// ends is when credentials end in truth.
func (k *Keyring) ends(creds aws.Credentials) time.Time {
	if !creds.CanExpire {
		return time.Now().Add(time.Hour)
	}
	return creds.Expires.Add(k.early)
}
