package api_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"golang.org/x/sync/errgroup"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

// A page may end with a secret that its caller must not know of, so a token tells
// nothing; every process takes those of the others.
func TestNextTokenIsSealed(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for i := range 4 {
		createEmpty(t, room, fmt.Sprintf("hidden-name-%d", i))
	}
	var tokens [8]string
	var g errgroup.Group
	for i := range tokens { // each is the first to need the key
		other := room.Another(t)
		g.Go(func() error {
			page, err := other.SDK.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{MaxResults: aws.Int32(2)})
			if err == nil {
				tokens[i] = aws.ToString(page.NextToken)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	reader := room.Another(t)
	for _, token := range tokens {
		raw, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || strings.Contains(string(raw), "hidden") {
			t.Errorf("got token %q and error %v, want one that tells nothing", raw, err)
		}
		page := must(reader.SDK.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{NextToken: &token, MaxResults: aws.Int32(2)}))(t)
		if len(page.SecretList) != 2 || page.NextToken != nil || *page.SecretList[0].Name != "hidden-name-2" {
			t.Errorf("got page %+v, want the other two", page)
		}
	}
	calls, _, _ := reader.Wire.Took()
	if got := strings.Count(" "+calls, " GetItem"); got != 1 {
		t.Errorf("got calls %s, want the key read once", calls)
	}
}
