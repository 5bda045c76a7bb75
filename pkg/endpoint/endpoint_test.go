package endpoint

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Endpoint{
		"http://127.0.0.1:4566":                                                  {},
		"https://strongroom.example/base":                                        {},
		"https://a1b2c3.execute-api.eu-central-1.amazonaws.com/v1":               {Service: Gateway, Region: "eu-central-1"},
		"https://A1B2C3.Execute-API.eu-central-1.amazonaws.com/v1/":              {Service: Gateway, Region: "eu-central-1"},
		"https://a1b2c3-vpce-0a.execute-api.us-east-1.amazonaws.com/v1":          {Service: Gateway, Region: "us-east-1"},
		"https://vpce-0a-1b.execute-api.us-east-1.vpce.amazonaws.com/v1":         {Service: Gateway, Region: "us-east-1"},
		"https://a1b2c3.execute-api.cn-north-1.amazonaws.com.cn/v1":              {Service: Gateway, Region: "cn-north-1"},
		"https://abcdefghijklmnopqrstuvwxyz012345.lambda-url.eu-west-1.on.aws":   {Service: FunctionURL, Region: "eu-west-1"},
		"https://abcdefghijklmnopqrstuvwxyz012345.lambda-url.eu-west-1.on.aws/":  {Service: FunctionURL, Region: "eu-west-1"},
		"https://secretsmanager.eu-central-1.amazonaws.com":                      {},
		"https://execute-api.example/.execute-api.eu-central-1.amazonaws.com/v1": {},
	} {
		got, err := Parse(text)
		if err != nil || got.Service != want.Service || got.Region != want.Region || got.URL.String() != text && !strings.Contains(text, "A1B2") {
			t.Errorf("%s: got %+v, %v, want %+v", text, got, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "127.0.0.1:4566", "ftp://127.0.0.1", "https://", "http://a\x00b", "http://u:EXAMPLE@host", "http://u:EXAMPLE@ho st", "http://host?a=EXAMPLE", "http://host#EXAMPLE"} {
		if got, err := Parse(text); err == nil || strings.Contains(err.Error(), "EXAMPLE") {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
}
