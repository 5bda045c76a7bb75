package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/strongroom/strongroom/pkg/terminal"
)

// greet says where the server is and how to call it, in lines that work when they are
// pasted into a shell.
func greet(out io.Writer, addr net.Addr, url string, set settings) {
	data := "Its data is in " + terminal.Printable(set.data) + "."
	if set.data == "" {
		data = "Its data is in memory, and gone when it stops."
	}
	keys, how := "  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local\n", "In another terminal:"
	if set.credentials != "" {
		keys, how = "", fmt.Sprintf(`It checks signatures: callers need an access key of the file
%s.
In another terminal, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to one and:`, terminal.Printable(set.credentials))
	}
	_, _ = fmt.Fprintf(out, `Strongroom answers on http://%s, and Ctrl-C stops it.
%s

%s

  export AWS_ENDPOINT_URL_SECRETS_MANAGER=%s
  export AWS_REGION=%[5]s AWS_DEFAULT_REGION=%[5]s
%[6]s  aws secretsmanager create-secret --secret-string EXAMPLE-1 \
    --name "example-$(date +%%s)"
  aws secretsmanager list-secrets

`, addr, data, how, url, set.region, keys)
}

// urlOf is the URL by which programs on this machine reach an address.
func urlOf(addr net.Addr) string {
	at, err := netip.ParseAddrPort(addr.String())
	if err == nil && at.Addr().IsUnspecified() {
		return fmt.Sprintf("http://127.0.0.1:%d", at.Port())
	}
	return "http://" + addr.String()
}
