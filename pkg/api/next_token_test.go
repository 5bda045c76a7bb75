package api_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

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

// No text but a token itself goes on with a list, and no token with another list: neither
// text that is made up nor a token with any byte changed.
func FuzzNextToken(f *testing.F) {
	room := localtest.New(f)
	for i := range 3 {
		if _, err := room.SDK.CreateSecret(f.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(fmt.Sprint("s", i))}); err != nil {
			f.Fatal(err)
		}
	}
	page, err := room.SDK.ListSecrets(f.Context(), &secretsmanager.ListSecretsInput{MaxResults: aws.Int32(2)})
	if err != nil {
		f.Fatal(err)
	}
	token := *page.NextToken
	for _, made := range []string{"", "x", "=", "_-8", strings.Repeat("A", 4096), strings.Repeat("A", len(token)), token + "A", token[1:], token + "\n"} {
		f.Add(made, uint16(0), "A")
		f.Add(made, uint16(len(token)-1), "A")
		f.Add(made, uint16(len(token)/2), token[len(token)/2:len(token)/2+1]+"\r")
	}
	list := func(t testing.TB, more, token string) int {
		t.Helper()
		in, err := json.Marshal(token)
		if err != nil {
			t.Fatal(err)
		}
		return answerTo(room, newCall(t.Context(), "ListSecrets", `{`+more+`"MaxResults":2,"NextToken":`+string(in)+`}`), theID, alice).Code
	}
	if got := list(f, "", token); got != http.StatusOK {
		f.Fatalf("got %d for the token itself", got)
	}
	f.Fuzz(func(t *testing.T, made string, at uint16, by string) {
		changed := token[:int(at)%len(token)] + by + token[int(at)%len(token)+1:]
		for _, text := range []string{made, changed} {
			if text == token || !utf8.ValidString(text) {
				continue
			}
			if got := list(t, "", text); got != http.StatusBadRequest {
				t.Errorf("got %d for %q, want 400", got, text)
			}
		}
		for _, more := range []string{`"SortOrder":"asc",`, `"Filters":[{"Key":"name","Values":["s"]}],`} {
			if got := list(t, more, token); got != http.StatusBadRequest {
				t.Errorf("got %d for the token of another list", got)
			}
		}
	})
}
