// Package settings reads the environment of a function, and gathers what is
// wrong with it, so that a start that fails says all of it at once.
package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/strongroom/strongroom/pkg/secret"
)

// A Reader reads settings. A setting that is wrong reads as its zero value.
type Reader struct {
	// Get is os.Getenv, or what stands for it in a test.
	Get func(name string) string

	wrong []error
}

// Err says which settings are wrong and why, a line for each; nil for none.
func (r *Reader) Err() error { return errors.Join(r.wrong...) }

var (
	tableName = regexp.MustCompile(`^[A-Za-z0-9_.-]{3,}$`)
	partition = regexp.MustCompile(`^aws(-[a-z]+)*$`)
	region    = regexp.MustCompile(`^[a-z]+(-[a-z]+)+-[0-9]+$`)
	account   = regexp.MustCompile(`^[0-9]{12}$`)
)

// IsRegion says whether a text has the form of the name of a Region.
func IsRegion(text string) bool { return region.MatchString(text) }

// IsTable says whether a text has the form of the name of a DynamoDB table.
func IsTable(text string) bool { return tableName.MatchString(text) }

// Table is the name of the DynamoDB table, in TABLE_NAME.
func (r *Reader) Table() string {
	return r.Text("TABLE_NAME", "", tableName, "the name of a DynamoDB table")
}

// ARNs are what secrets are called, from PARTITION, AWS_REGION and ACCOUNT_ID.
func (r *Reader) ARNs() secret.ARNs {
	return secret.ARNs{
		Partition: r.Text("PARTITION", "aws", partition, "a partition such as aws or aws-cn"),
		Region:    r.Region(),
		Account:   r.Text("ACCOUNT_ID", "", account, "the 12 digits of an AWS account"),
	}
}

// Region is where the function runs, in AWS_REGION.
func (r *Reader) Region() string {
	return r.Text("AWS_REGION", "", region, "a Region such as eu-central-1")
}

// Retention is which versions without a label a secret keeps, from MAX_VERSIONS
// and MIN_AGE.
func (r *Reader) Retention() secret.Retention {
	return secret.Retention{
		MaxVersions: r.Number("MAX_VERSIONS", secret.DefaultRetention.MaxVersions, 0, 1_000_000, "versions"),
		MinAge:      r.Duration("MIN_AGE", secret.DefaultRetention.MinAge),
	}
}

// Text is a setting of a certain form, or unset when there is none.
func (r *Reader) Text(name, unset string, like *regexp.Regexp, what string) string {
	v := r.value(name, unset)
	if !like.MatchString(v) {
		r.refuse(name, v, what)
		return ""
	}
	return v
}

// Number is a number of things, from least to most.
func (r *Reader) Number(name string, unset, least, most int, things string) int {
	v := r.value(name, strconv.Itoa(unset))
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		r.refuse(name, v, fmt.Sprintf("a number of %s from %d to %d", things, least, most))
		return 0
	}
	return n
}

// Duration is a length of time, as [secret.ParseDuration] reads it.
func (r *Reader) Duration(name string, unset time.Duration) time.Duration {
	v := r.value(name, unset.String())
	d, err := secret.ParseDuration(v)
	if err != nil || d < 0 {
		r.refuse(name, v, "a duration such as 7d, 24h or 90m")
		return 0
	}
	return d
}

// Yes is true or false.
func (r *Reader) Yes(name string, unset bool) bool {
	v := r.value(name, strconv.FormatBool(unset))
	if v != "true" && v != "false" {
		r.refuse(name, v, "true or false")
	}
	return v == "true"
}

// Optional is a text of a certain form, or empty.
func (r *Reader) Optional(name string, like *regexp.Regexp, what string) string {
	if r.Get(name) == "" {
		return ""
	}
	return r.Text(name, "", like, what)
}

// Object is a JSON object that v points to a place for. It is refused when it has members
// that v has not, or valid says no.
func (r *Reader) Object(name string, v any, valid func() bool, what string) {
	text := r.Get(name)
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if d.Decode(v) != nil || d.More() || !valid() {
		r.refuse(name, text, what)
	}
}

// Between is a duration within limits.
func (r *Reader) Between(name string, unset, least, most time.Duration) time.Duration {
	wrong := len(r.wrong)
	d := r.Duration(name, unset)
	if r.Get(name) != "" && len(r.wrong) == wrong && (d < least || d > most) {
		r.refuse(name, r.Get(name), fmt.Sprintf("a duration from %s to %s", least, most))
	}
	return d
}

func (r *Reader) value(name, unset string) string {
	if v := r.Get(name); v != "" {
		return v
	}
	return unset
}

func (r *Reader) refuse(name, v, what string) {
	is := strconv.Quote(v)
	if v == "" {
		is = "not set"
	}
	r.wrong = append(r.wrong, fmt.Errorf("%s is %s, and must be %s", name, is, what))
}
