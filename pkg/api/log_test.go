package api_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

// TestValuesStayInside makes calls of all sorts, good and bad, whose values have
// a mark, and looks for the mark in all that is logged and in all answers but
// those that give the value.
func TestValuesStayInside(t *testing.T) {
	t.Parallel()
	room, log := logged(t, localtest.New(t))
	const mark = "Zq7-mark-of-the-value-Xw3"
	inBase64 := base64.StdEncoding.EncodeToString([]byte(mark))
	create := func(name, version, value string) string {
		return `{"Name":"` + name + `","ClientRequestToken":"` + token(version) + `",` + value + `}`
	}
	put := func(version, value string) string {
		return `{"SecretId":"s","ClientRequestToken":"` + token(version) + `",` + value + `}`
	}
	text, blob := `"SecretString":"`+mark+`"`, `"SecretBinary":"`+inBase64+`"`
	bad := http.StatusBadRequest
	for _, test := range []struct {
		operation, body string
		status          int
		prepare         func()
	}{
		{"CreateSecret", create("s", "v1", text), 200, nil},
		{"CreateSecret", create("b", "v1", blob), 200, nil},
		{"CreateSecret", create("s", "v1", text), 200, nil},
		{"CreateSecret", create("s", "v1", blob), bad, nil},
		{"CreateSecret", create("s", "v2", text), bad, nil},
		{"CreateSecret", create("a b", "v1", text), bad, nil},
		{"CreateSecret", create("c", "v1", text+`,"KmsKeyId":"alias/none"`), bad, nil},
		{"PutSecretValue", put("v2", text), 200, nil},
		{"PutSecretValue", put("v3", blob), 200, nil},
		{"PutSecretValue", put("v2", text), 200, nil},
		{"PutSecretValue", put("v2", blob), bad, nil},
		{"PutSecretValue", put("v4", text+","+blob), bad, nil},
		{"PutSecretValue", put("short", text)[:60] + `","x":"` + mark, bad, nil},
		{"PutSecretValue", `{"SecretId":"s",` + text + `}`, bad, nil},
		{"PutSecretValue", `{"SecretId":"unknown",` + text + `}`, bad, nil},
		{"PutSecretValue", `{"SecretId":"s","ClientRequestToken":"short",` + text + `}`, bad, nil},
		{"PutSecretValue", put("v5", `"SecretString":{"user":"`+mark+`"}`), bad, nil},
		{"PutSecretValue", put("v5", `"SecretString":["`+mark+`"]`), bad, nil},
		{"PutSecretValue", put("v5", `"SecretBinary":"`+mark+`"`), bad, nil},
		{"PutSecretValue", put("v5", `"SecretString":"`+strings.Repeat(mark, 3000)+`"`), bad, nil},
		{"PutSecretValue", put("v5", `"SecretString":"`+mark+"\xff\""), bad, nil},
		{"PutSecretValue", put("v5", `"SecretString":"`+mark+`\ud800"`), bad, nil},
		{"PutSecretValue", put("v5", `"VersionStages":[],`+text), bad, nil},
		{"PutSecretValue", put("v5", `"RotationToken":"`+mark+`",`+text), bad, nil},
		{"PutSecretValue", put("v5", `"RotationToken":["`+mark+`"],`+text), bad, nil},
		{"PutSecretValue", put("v5", `"SecretString":"`+strings.Repeat(mark, 50_000)+`"`), http.StatusRequestEntityTooLarge, nil},
		{"PutSecretValue", mark, bad, nil},
		{"Unknown", put("v5", text), bad, nil},
		{"PutSecretValue", put("v6", text), 500, func() { room.Wire.Break("TransactWriteItems", times(attempts, localtest.LoseAnswer)...) }},
		{"PutSecretValue", put("v6", text), 200, nil},
		{"PutSecretValue", put("v7", text), 500, func() { room.Wire.Break("TransactWriteItems", times(attempts, localtest.Cut)...) }},
		{"PutSecretValue", put("v7", text), 500, func() { room.Wire.Break("GenerateDataKey", times(attempts, localtest.Cut)...) }},
		{"PutSecretValue", put("v7", text), bad, func() {
			room.Wire.Break("GenerateDataKey", times(2, localtest.Refuse(400, "AccessDeniedException"))...)
		}},
		{"PutSecretValue", put("v7", text), 500, func() {
			room.Wire.Break("TransactWriteItems", localtest.Refuse(400, "ValidationException"))
		}},
		{"PutSecretValue", put("v7", text), 500, func() { room.Server.Now = func() time.Time { panic(mark) } }},
		{"PutSecretValue", put("v7", text), 500, func() { room.Server.Now = func() time.Time { panic(errors.New(mark)) } }},
		{"GetSecretValue", `{"SecretId":"s"}`, 200, func() { room.Server.Now = nil }},
		{"GetSecretValue", `{"SecretId":"b"}`, 200, nil},
		{"GetSecretValue", `{"SecretId":"s","VersionStage":"none"}`, bad, nil},
		{"DescribeSecret", `{"SecretId":"s"}`, 200, nil},
		{"ListSecretVersionIds", `{"SecretId":"s"}`, 200, nil},
		{"DeleteSecret", `{"SecretId":"s"}`, 200, nil},
		{"PutSecretValue", put("v8", text), bad, nil},
	} {
		if test.prepare != nil {
			test.prepare()
		}
		lines := strings.Count(log.String(), "\n")
		answer := serve(room, test.operation, test.body)
		if answer.Code != test.status {
			t.Errorf("%s: got status %d and %s, want %d", test.operation, answer.Code, answer.Body, test.status)
		}
		if test.operation == "GetSecretValue" && test.status == 200 {
			if !strings.Contains(answer.Body.String(), mark) && !strings.Contains(answer.Body.String(), inBase64) {
				t.Errorf("got %s, want the value", answer.Body)
			}
		} else {
			checkUnmarked(t, "answer to "+test.operation, answer.Body.String(), mark)
		}
		if strings.Count(log.String(), "\n") == lines {
			t.Errorf("%s: got no line in the log", test.operation)
		}
	}
	checkUnmarked(t, "log", log.String(), mark)
	for key, item := range dump(t, room) {
		checkUnmarked(t, "item "+key, item, mark)
	}
}

// A rotation token, right or wrong, is in no answer, no log line and no item.
func TestRotationTokensStayInside(t *testing.T) {
	t.Parallel()
	room, log := logged(t, localtest.New(t))
	withRotator(room)
	now := withClock(room, noonInNovember)
	create(t, room, "s", "v1", "one")
	rotate(t, room, byFunction("s", "N"))
	lease(t, room, now.now, time.Minute)
	const wrong = "Zq7-mark-of-the-token-Xw3-0123456789-abcdef"
	body := func(version, rotationToken string) string {
		return `{"SecretId":"s","ClientRequestToken":"` + token(version) + `","SecretString":"x","VersionStages":["AWSPENDING"],"RotationToken":"` + rotationToken + `"}`
	}
	other := func(version, rotationToken string) string {
		return strings.Replace(body(version, rotationToken), `"x"`, `"y"`, 1)
	}
	for _, test := range []struct {
		body    string
		status  int
		prepare func()
	}{
		{body("N", rotationToken), 500, func() { room.Wire.Break("TransactWriteItems", times(attempts, localtest.Cut)...) }},
		{body("N", rotationToken), 200, nil},
		{body("M", rotationToken), 400, nil},
		{body("N", wrong), 200, nil}, // an exact repeat
		{other("N", wrong), 400, nil},
		{body("N", wrong+"_"), 400, nil},
		{strings.Replace(body("N", wrong), `"x"`, `1`, 1), 400, nil},
		{body("N", rotationToken), 500, func() { room.Server.Now = func() time.Time { panic(rotationToken) } }},
		{other("N", rotationToken), 400, func() { room.Server.Now = func() time.Time { return now.now.Add(time.Hour) } }},
	} {
		if test.prepare != nil {
			test.prepare()
		}
		lines := strings.Count(log.String(), "\n")
		answer := serve(room, "PutSecretValue", test.body)
		if answer.Code != test.status || strings.Count(log.String(), "\n") == lines {
			t.Errorf("%s: got status %d and %s, want %d and a line in the log", test.body, answer.Code, answer.Body, test.status)
		}
		for _, mark := range []string{rotationToken, wrong} {
			checkUnmarked(t, "answer", answer.Body.String(), mark)
		}
	}
	for _, mark := range []string{rotationToken, wrong} {
		checkUnmarked(t, "log", log.String(), mark)
		for key, item := range dump(t, room) {
			checkUnmarked(t, "item "+key, item, mark)
		}
	}
}

// checkUnmarked looks for a mark: plain, in hexadecimal, and in base64 wherever
// it begins.
func checkUnmarked(t testing.TB, what, text, mark string) {
	t.Helper()
	forms := []string{mark, fmt.Sprintf("%x", mark)}
	for before := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", before) + mark))
		encoded = encoded[(before*8+5)/6 : len(encoded)-1] // what depends on the mark alone
		forms = append(forms, encoded, strings.NewReplacer("+", "-", "/", "_").Replace(encoded))
	}
	for _, form := range forms {
		if strings.Contains(text, form) {
			t.Errorf("got the value as %s in the %s: %s", form, what, text)
		}
	}
}
