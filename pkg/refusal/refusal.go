// Package refusal answers requests in the place of the API, as it would.
package refusal

import (
	"encoding/json"
	"net/http"

	"github.com/google/uuid"
)

// Write answers with an error of the framework, whose message has a small m.
func Write(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Requestid", uuid.NewString())
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct { // the caller has gone, if this fails
		Type    string `json:"__type"`
		Message string `json:"message"`
	}{code, message})
}
