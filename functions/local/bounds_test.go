//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/functions/internal/loadtest"
	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
)

const (
	attackers = 64
	// mostMemory is what SECURITY.md promises, in bytes of resident memory.
	mostMemory = 128 << 20

	attackedRegions = 40
)

// However bad the requests of many clients are, the server keeps within its memory, and
// one that means well gets its answers.
func TestMemoryUnderAttack(t *testing.T) {
	r := start(t, "--data", t.TempDir()+"/data", "--rate", "0")
	fill(t, r.url)
	ctx, stop := context.WithCancel(t.Context())
	beside := make(chan error, 1)
	go func() { beside <- useBeside(ctx, r.url) }()
	// largest is a body of as many elements as fit.
	largest := func(begin, element, end string) string {
		return begin + strings.TrimSuffix(strings.Repeat(element, (512<<10-8-len(begin)-len(end))/len(element)), ",") + end
	}
	for _, attack := range []struct{ name, operation, body string }{
		{"empty tags", "TagResource", largest(`{"SecretId":"s","Tags":[`, `{},`, `]}`)},
		{"tag keys", "UntagResource", largest(`{"SecretId":"s","TagKeys":[`, `"",`, `]}`)},
		{"filter values", "ListSecrets", largest(`{"Filters":[{"Key":"name","Values":[`, `"",`, `]}]}`)},
		{"nulls", "BatchGetSecretValue", largest(`{"SecretIdList":[`, `null,`, `]}`)},
		{"unknown members", "DescribeSecret", `{` + manyMembers(500_000) + `}`},
		{"unknown members of elements", "CreateSecret", largest(`{"Tags":[`, `{"":0,"a":0,"b":0,"c":0},`, `]}`)},
		{"nested too deeply", "DescribeSecret", `{"a":` + strings.Repeat(`[`, 250_000) + strings.Repeat(`]`, 250_000) + `}`},
		{"nested", "DescribeSecret", largest(`{"a":[`, strings.Repeat(`[`, 1000)+strings.Repeat(`]`, 1000)+`,`, `]}`)},
		{"escapes", "PutSecretValue", largest(`{"SecretId":"s","SecretString":"`, `\u0001`, `"}`)},
		{"a long blob", "PutSecretValue", largest(`{"SecretId":"s","SecretBinary":"`, `eHh4`, `"}`)},
		{"a long name", "CreateSecret", largest(`{"SecretString":"v","Name":"`, `x`, `"}`)},
		{"a long member name", "CreateSecret", largest(`{"`, `x`, `":1}`)},
		{"a policy", "PutResourcePolicy", largest(`{"SecretId":"s","ResourcePolicy":"`, `[[[[{},`, `"}`)},
		{"large values", "BatchGetSecretValue", `{"Filters":[{"Key":"name","Values":["large-"]}]}`},
		{"a large value", "GetSecretValue", `{"SecretId":"large-1"}`},
		{"policies", "DescribeSecret", `{"SecretId":"policed-#"}`},
		{"policies of other actions", "GetSecretValue", `{"SecretId":"policed-#"}`},
		{"a list by policies", "ListSecrets", `{"Filters":[{"Key":"name","Values":["policed-"]}]}`},
		{"large errors", "ListSecrets", `{"Filters":[` + strings.TrimSuffix(strings.Repeat(`{"Key":"name","Values":[`+strings.TrimSuffix(strings.Repeat(`"`+strings.Repeat(`\u0001`, 800)+`",`, 10), ",")+`]},`, 10), ",") + `]}`},
		{"large secrets", "ListSecrets", `{"Filters":[{"Key":"name","Values":["tagged-"]}]}`},
	} {
		began := time.Now()
		attackWith(r.url, attack.operation, attack.body, "")
		t.Logf("%-28s %6d bytes each: %5d ms, %3d MB", attack.name, len(attack.body), time.Since(began).Milliseconds(), loadtest.PeakMemory(t, r.Process.Pid)>>20)
	}
	began := time.Now()
	for range 2 {
		attackWith(r.url, "BatchGetSecretValue", `{"Filters":[{"Key":"name","Values":["large-"]}]}`, "eu-west-#")
		attackWith(r.url, "GetSecretValue", `{"SecretId":"large-1"}`, "eu-west-#")
	}
	t.Logf("%-28s %6d Regions: %5d ms, %3d MB", "large values of all Regions", attackedRegions, time.Since(began).Milliseconds(), loadtest.PeakMemory(t, r.Process.Pid)>>20)
	address := strings.TrimPrefix(r.url, "http://")
	const head = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Target: secretsmanager.ListSecrets\r\n"
	for _, attack := range []struct {
		name  string
		conns int
		text  string
	}{
		{"idle connections", 2000, ""},
		{"half a request", 2000, "POST / HTTP/1.1\r\nHost: 127"},
		{"a slow body", attackers, head + "Content-Length: 500000\r\n\r\n{"},
		{"a body that stops", attackers, head + "Content-Length: 500001\r\n\r\n" + strings.Repeat("x", 500_000)},
		{"a body in chunks that stops", attackers, head + "Transfer-Encoding: chunked\r\n\r\n7A11F\r\n" + strings.Repeat("x", 499_999)},
		{"a body that is too large", attackers, head + "Content-Length: 100000000\r\n\r\n" + strings.Repeat("x", 1_000_000)},
		{"a long header", attackers, head + "X-A: " + strings.Repeat("x", 1_000_000)},
		{"many headers", 500, head + manyHeaders(9_900) + "Content-Length: 10\r\n\r\n"},
		{"answers that nobody reads", 200, strings.Replace(head, "ListSecrets", "BatchGetSecretValue", 1) + "Content-Length: 48\r\n\r\n" + `{"Filters":[{"Key":"name","Values":["large-"]}]}`},
	} {
		began := time.Now()
		closeAll := loadtest.Hold(address, attack.conns, attack.text)
		time.Sleep(200 * time.Millisecond)
		t.Logf("%-28s %6d connections: %5d ms, %3d MB", attack.name, attack.conns, time.Since(began).Milliseconds(), loadtest.PeakMemory(t, r.Process.Pid)>>20)
		closeAll()
	}
	stop()
	if err := <-beside; err != nil {
		t.Errorf("the client that means well: %v", err)
	}
	if peak := loadtest.PeakMemory(t, r.Process.Pid); peak > mostMemory {
		t.Errorf("%d MB, want at most %d", peak>>20, mostMemory>>20)
	}
	r.interrupt(t)
	if strings.Contains(r.errors.String(), "goroutine ") {
		t.Errorf("it said %s", r.errors)
	}
}

func fill(t *testing.T, url string) {
	t.Helper()
	client := localtest.Client(url)
	for i := range attackedRegions {
		createIn(t, url, fmt.Sprint("eu-west-", i), "large-1", strings.Repeat("\x01", secret.MaxValue))
	}
	var tags []types.Tag
	for i := range secret.MaxTags {
		tags = append(tags, types.Tag{Key: aws.String(fmt.Sprintf("%03d", i) + strings.Repeat("k", 125)), Value: aws.String(strings.Repeat("ä", 256))})
	}
	for i := range 10 {
		create(t, url, fmt.Sprint("large-", i), strings.Repeat("\x01", secret.MaxValue))
	}
	for i := range attackers {
		name := fmt.Sprint("policed-", i)
		create(t, url, name, "v")
		_, err := client.PutResourcePolicy(t.Context(), &secretsmanager.PutResourcePolicyInput{SecretId: &name, ResourcePolicy: aws.String(largePolicy(i))})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 50 {
		_, err := client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(fmt.Sprint("tagged-", i)), Tags: tags, Description: aws.String(strings.Repeat("\x01", 2048))})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// largePolicy takes as much memory as a policy can, and is another for each number.
func largePolicy(i int) string {
	const begin, end = `{"Statement":{"Effect":"Deny","Principal":"*","Action":["secretsmanager:CancelRotateSecret"],"Resource":"arn:aws:secretsmanager:*:*:secret:%d`, `"}}`
	resource := fmt.Sprintf(begin, i)
	return resource + strings.Repeat("*?", (20_480-len(resource)-len(end))/2) + end
}

func manyMembers(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, `"%s":0,`, strconv.FormatInt(int64(i), 36))
	}
	return strings.TrimSuffix(b.String(), ",")
}

func manyHeaders(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "%s:\n", strconv.FormatInt(int64(i), 36))
	}
	return b.String()
}

// attackWith sends one body from all attackers at once, whatever is answered, for a Region
// where one is named. A # in either is the number of the attacker.
func attackWith(url, operation, body, region string) {
	var all sync.WaitGroup
	for i := range attackers {
		all.Go(func() {
			numbered := func(text string) string { return strings.ReplaceAll(text, "#", strconv.Itoa(i)) }
			req, _ := http.NewRequest(http.MethodPost, url, strings.NewReader(numbered(body)))
			if region != "" {
				req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=local/1/"+numbered(region)+"/secretsmanager/aws4_request")
			}
			req.Header.Set("Content-Type", "application/x-amz-json-1.1")
			req.Header.Set("X-Amz-Target", "secretsmanager."+operation)
			if answer, err := keepAlive.Do(req); err == nil {
				_, _ = io.Copy(io.Discard, answer.Body)
				_ = answer.Body.Close()
			}
		})
	}
	all.Wait()
}

// useBeside puts and gets a large value until the context ends.
func useBeside(ctx context.Context, url string) error {
	client := localtest.Client(url)
	// It tries again as SDKs do by themselves: while thousands of connections come at once, those
	// of one that tries three times in a moment may all have to give way to them.
	waits := func(o *secretsmanager.Options) { o.Retryer = retry.NewStandard() }
	for i := 0; ctx.Err() == nil; i++ {
		value := strings.Repeat(strconv.Itoa(i%10), secret.MaxValue)
		put := &secretsmanager.PutSecretValueInput{SecretId: aws.String("large-0"), SecretString: &value}
		if _, err := client.PutSecretValue(context.WithoutCancel(ctx), put, waits); err != nil {
			return fmt.Errorf("put %d: %w", i, err)
		}
		out, err := client.GetSecretValue(context.WithoutCancel(ctx), &secretsmanager.GetSecretValueInput{SecretId: put.SecretId}, waits)
		if err != nil {
			return fmt.Errorf("get %d: %w", i, err)
		}
		if aws.ToString(out.SecretString) != value {
			return fmt.Errorf("get %d: got another value", i)
		}
	}
	return nil
}
