package secret

import (
	"errors"
	"strings"
	"testing"
)

var (
	testARNs    = ARNs{Partition: "aws", Region: "eu-central-1", Account: "123456789012"}
	wantInvalid = Error{"ValidationException", "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"}
	wantUnknown = Error{"ResourceNotFoundException", "Secrets Manager can't find the specified secret."}
)

func TestCheckNewName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		want error
	}{
		{"a", nil},
		{"AZaz09/_+=.@-", nil},
		{"/prod/db/password", nil},
		{"Valid/_+=.@-Name-a1b2c3", nil},
		{"rds!cluster", wantInvalid},
		{"", wantInvalid},
		{"two words", wantInvalid},
		{"Invalid name?", wantInvalid},
		{"tab\t", wantInvalid},
		{"line\n", wantInvalid},
		{"nul\x00", wantInvalid},
		{"schlüssel", wantInvalid},
		{"a*", wantInvalid},
		{"a:b", wantInvalid},
		{"a#b", wantInvalid},
		{testARN, wantInvalid},
	} {
		if err := CheckNewName(tt.name); !errors.Is(err, tt.want) {
			t.Errorf("%q: got %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	const prefix = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:"
	longest := strings.Repeat("n", MaxName)
	for _, tt := range []struct {
		name, id string
		want     ID
		err      error
	}{
		{"name", "db/main", ID{Name: "db/main"}, nil},
		{"name of a service's secret", "rds!cluster-1", ID{Name: "rds!cluster-1"}, nil},
		{"name that ends like a suffix", "Valid/_+=.@-Name-a1b2c3", ID{Name: "Valid/_+=.@-Name-a1b2c3"}, nil},
		{"longest name", longest, ID{Name: longest}, nil},
		{"longer name", longest + "n", ID{}, wantUnknown},
		{"bad characters", "Invalid/_+=.@-Name?", ID{}, wantInvalid},
		{"bad characters, and too long", strings.Repeat("?", MaxName+1), ID{}, wantInvalid},
		{"empty", "", ID{}, wantInvalid},
		{"line break at the end", "db/main\n", ID{}, wantInvalid},

		{"ARN", prefix + "db/main-Ab3dE6", ID{"db/main", "Ab3dE6"}, nil},
		{"ARN of a name that ends like a suffix", prefix + "Name-a1b2c3-Ab3dE6", ID{"Name-a1b2c3", "Ab3dE6"}, nil},
		{"ARN of the longest name", prefix + longest + "-Ab3dE6", ID{longest, "Ab3dE6"}, nil},
		{"ARN of a longer name", prefix + longest + "n-Ab3dE6", ID{}, wantUnknown},
		{"ARN of a service's secret", prefix + "rds!cluster-Ab3dE6", ID{"rds!cluster", "Ab3dE6"}, nil},
		{"partial ARN", prefix + "db/main", ID{Name: "db/main"}, nil},
		{"partial ARN of a name that ends like a suffix", prefix + "Name-a1b2c3", ID{"Name", "a1b2c3"}, nil},
		{"four characters are no suffix", prefix + "Name-a1b2", ID{Name: "Name-a1b2"}, nil},
		{"seven characters are no suffix", prefix + "Name-a1b2c3d", ID{Name: "Name-a1b2c3d"}, nil},
		{"six and a hyphen are no suffix", prefix + "Name-a1b2c3-", ID{Name: "Name-a1b2c3-"}, nil},
		{"six with another character are no suffix", prefix + "Name-a1b2c_", ID{Name: "Name-a1b2c_"}, nil},
		{"a suffix without a name", prefix + "-a1b2c3", ID{Name: "-a1b2c3"}, nil},
		{"ARN without a name", prefix, ID{}, nil},
		{"bad characters in an ARN", prefix + "two words-Ab3dE6", ID{"two words", "Ab3dE6"}, nil},

		{"another account", strings.Replace(testARN, "123456789012", "210987654321", 1), ID{}, wantUnknown},
		{"another Region", strings.Replace(testARN, "eu-central-1", "eu-west-1", 1), ID{}, wantUnknown},
		{"another partition", strings.Replace(testARN, "arn:aws:", "arn:aws-cn:", 1), ID{}, wantUnknown},
		{"another service", "arn:aws:ssm:eu-central-1:123456789012:secret:db/main-Ab3dE6", ID{}, wantInvalid},
		{"another scheme", strings.Replace(testARN, "arn:", "urn:", 1), ID{}, wantInvalid},
		{"another kind of resource", strings.Replace(testARN, ":secret:", ":policy:", 1), ID{}, wantInvalid},
		{"another Region, with a colon in the name", strings.Replace(testARN, "eu-central-1", "eu-west-1", 1) + ":a:b", ID{}, wantUnknown},
		{"half an ARN", "arn:aws:secretsmanager", ID{}, wantInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := testARNs.Parse(tt.id)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %+v, %v, want %+v, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestARNRoundTrip(t *testing.T) {
	t.Parallel()
	if got := testARNs.Of("db/main", "Ab3dE6"); got != testARN {
		t.Errorf("got %s, want %s", got, testARN)
	}
	for _, name := range []string{"db/main", "Name-a1b2c3", "-", "a-b-c", strings.Repeat("n", MaxName)} {
		got, err := testARNs.Parse(testARNs.Of(name, "Ab3dE6"))
		if want := (ID{name, "Ab3dE6"}); got != want || err != nil {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

func TestIs(t *testing.T) {
	t.Parallel()
	s := New("db/main", testARN, "", born)
	if got, want := s.Suffix(), "Ab3dE6"; got != want {
		t.Errorf("got suffix %q, want %q", got, want)
	}
	if got := (Secret{}).Suffix(); got != "" {
		t.Errorf("got suffix %q of no secret, want none", got)
	}
	for _, tt := range []struct {
		id   ID
		want bool
	}{
		{ID{Name: "db/main"}, true},
		{ID{"db/main", "Ab3dE6"}, true},
		{ID{"db/main", "Zz9yX8"}, false},
		{ID{"db/main", "ab3de6"}, false},
		{ID{"db/mai", "Ab3dE6"}, false},
		{ID{Name: "db/main-Ab3dE6"}, false},
	} {
		if got := s.Is(tt.id); got != tt.want {
			t.Errorf("%+v: got %v, want %v", tt.id, got, tt.want)
		}
	}
}

// Recorded: a secret whose name ends in a hyphen and six characters is not
// found by its partial ARN, but by its name and its full ARN.
func TestNameThatEndsLikeASuffix(t *testing.T) {
	t.Parallel()
	const name = "Valid/_+=.@-Name-a1b2c3"
	s := New(name, testARNs.Of(name, "Ab3dE6"), "", born)
	for id, want := range map[string]bool{
		name:                             true,
		testARNs.Of(name, "Ab3dE6"):      true,
		testARNs.prefix() + name:         false,
		testARNs.prefix() + name + "-":   false,
		testARNs.prefix() + name + "-Ab": false,
	} {
		got, err := testARNs.Parse(id)
		if err != nil {
			t.Fatal(err)
		}
		if s.Is(got) != want {
			t.Errorf("%s: got %v, want %v", id, !want, want)
		}
	}
}
