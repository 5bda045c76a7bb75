package secret

import "testing"

func TestFunctionARN(t *testing.T) {
	t.Parallel()
	arns := ARNs{"aws", "eu-central-1", "123456789012"}
	const arn = "arn:aws:lambda:eu-central-1:123456789012:function:rotate"
	for function, want := range map[string][2]string{
		"rotate":                            {arn, arn},
		"rotate:$LATEST":                    {arn, arn},
		"123456789012:function:rotate":      {arn, arn},
		"123456789012:function:rotate:prod": {arn, arn + ":prod"},
		arn:                                 {arn, arn},
		arn + ":$LATEST":                    {arn, arn},
		arn + ":12":                         {arn, arn + ":12"},
		arn + ":a_B-c":                      {arn, arn + ":a_B-c"},
		"210987654321:function:rotate":      {"arn:aws:lambda:eu-central-1:210987654321:function:rotate", "arn:aws:lambda:eu-central-1:210987654321:function:rotate"},
		"arn:aws-cn:lambda:cn-north-1:210987654321:function:f": {"arn:aws-cn:lambda:cn-north-1:210987654321:function:f", "arn:aws-cn:lambda:cn-north-1:210987654321:function:f"},

		// What Lambda may understand in another way, or not at all.
		"":                            {},
		"rotate:prod":                 {},
		"function:rotate":             {},
		"123456789012:rotate":         {},
		"eu-central-1:rotate":         {},
		"rotate:":                     {},
		arn + ":":                     {},
		arn + ":prod:x":               {},
		arn + ":$OLDEST":              {},
		"rotate\n":                    {},
		"12345678901:function:rotate": {},
		"arn:aws:lambda:eu-central-1:function:rotate":              {},
		"arn:aws:states:eu-central-1:123456789012:function:rotate": {},
	} {
		unqualified, qualified, ok := arns.FunctionARN(function)
		if got := [2]string{unqualified, qualified}; got != want || ok != (want[0] != "") {
			t.Errorf("%q: got %q, %v, want %q", function, got, ok, want)
		}
	}
}

func TestKeyARN(t *testing.T) {
	t.Parallel()
	arns := ARNs{"aws", "eu-central-1", "123456789012"}
	const prefix = "arn:aws:kms:eu-central-1:123456789012:key/"
	for key, want := range map[string]string{
		"7b9d1f0e-2c58-4b9e-8f2f-0d3f3b6c9a11":                                        prefix + "7b9d1f0e-2c58-4b9e-8f2f-0d3f3b6c9a11",
		"7B9D1F0E-2C58-4B9E-8F2F-0D3F3B6C9A11":                                        prefix + "7b9d1f0e-2c58-4b9e-8f2f-0d3f3b6c9a11",
		"mrk-1234abcd12ab34cd56ef1234567890ab":                                        prefix + "mrk-1234abcd12ab34cd56ef1234567890ab",
		prefix + "7B9D1F0E-2C58-4B9E-8F2F-0D3F3B6C9A11":                               prefix + "7b9d1f0e-2c58-4b9e-8f2f-0d3f3b6c9a11",
		"arn:aws:kms:eu-west-1:210987654321:key/mrk-1234abcd12ab34cd56ef1234567890ab": "arn:aws:kms:eu-west-1:210987654321:key/mrk-1234abcd12ab34cd56ef1234567890ab",
		"alias/mine": "",
		"arn:aws:kms:eu-central-1:123456789012:alias/mine":    "",
		"arn:aws:kms:eu-central-1:123456789012:alias/a:key/b": "",
		"": "", DefaultKey: "", "none": "", "x:key/y": "",
	} {
		if got, ok := arns.KeyARN(key); ok != (want != "") || ok && got != want {
			t.Errorf("%q: got %q, %v, want %q", key, got, ok, want)
		}
	}
}
