// Package endpoint reads from the URL of a Strongroom how its requests are signed.
//
// AWS checks signatures in front of a deployment, for the service that stands there:
// API Gateway or a function URL. SDKs sign for Secrets Manager.
package endpoint

import (
	"fmt"
	"net/url"
	"strings"
)

// Services that requests are signed for.
const (
	Gateway     = "execute-api" // API Gateway
	FunctionURL = "lambda"      // a Lambda function URL
)

// An Endpoint is where a Strongroom answers.
type Endpoint struct {
	URL *url.URL
	// Service and Region are what requests are signed for, as far as the host name says
	// so. That of a custom domain, or of this machine, says nothing.
	Service, Region string
}

// Parse reads a URL such as https://a1b2c3.execute-api.eu-central-1.amazonaws.com/v1.
func Parse(text string) (Endpoint, error) {
	at, err := url.Parse(text)
	switch {
	case err != nil, at.Host == "", at.Scheme != "http" && at.Scheme != "https":
		// What url.Parse objects to may be a password.
		return Endpoint{}, fmt.Errorf("%s is not a URL such as https://a1b2c3.execute-api.eu-central-1.amazonaws.com/v1 or http://127.0.0.1:4566", quoted(text))
	case at.User != nil, at.RawQuery != "", at.Fragment != "":
		return Endpoint{}, fmt.Errorf("the URL of an endpoint has a host and a path, and no user, query or fragment")
	}
	e := Endpoint{URL: at}
	for label, service := range map[string]string{".execute-api.": Gateway, ".lambda-url.": FunctionURL} {
		if _, after, ok := strings.Cut(strings.ToLower(at.Hostname()), label); ok {
			e.Service = service
			e.Region, _, _ = strings.Cut(after, ".")
		}
	}
	return e, nil
}

func quoted(text string) string {
	if strings.Contains(text, "@") {
		return "what is given"
	}
	return fmt.Sprintf("%q", text)
}
