package runtimetest

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const own = "github.com/strongroom/strongroom/"

// unwanted are packages that no function may link, and those below them: each makes it
// larger and later, and is for what a function does not do.
var unwanted = []string{
	"github.com/aws/aws-sdk-go-v2/config", // finds credentials that Lambda never gives
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds",
	"github.com/aws/aws-sdk-go-v2/service/signin",
	"github.com/aws/aws-sdk-go-v2/service/sso",
	"github.com/aws/aws-sdk-go-v2/service/ssooidc",
	"github.com/aws/aws-sdk-go-v2/service/sts",
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs", // records go to the output
	"github.com/DeRuina/timberjack",
	"go.etcd.io/bbolt",
	"encoding/xml",
	"html/template", "text/template", // keep every method of every type in the program
	"net/http/pprof", "expvar", "testing",
	own + "pkg/local", own + "pkg/terminal",
}

// unpacked are what only the SDK may import: its clients take compressed answers.
var unpacked = []string{"compress/gzip", "compress/flate", "net/http/httptest"}

// WantLinked wants the function whose tests these are to link nothing unwanted, nor
// what is unwanted besides.
func WantLinked(t *testing.T, besides ...string) {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-tags", "lambda.norpc,nethttpomithttp2", "-f", `{{.ImportPath}} {{join .Imports " "}}`, ".")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("list what is linked: %v", err)
	}
	ours := 0
	for line := range strings.Lines(string(out)) {
		names := strings.Fields(line)
		for _, not := range slices.Concat(unwanted, besides) {
			if names[0] == not || strings.HasPrefix(names[0], not+"/") {
				t.Errorf("%s is linked", names[0])
			}
		}
		if !strings.HasPrefix(names[0], own) {
			continue
		}
		ours++
		for _, imported := range names[1:] {
			if slices.Contains(unpacked, imported) {
				t.Errorf("%s imports %s", names[0], imported)
			}
		}
	}
	if ours < 5 {
		t.Errorf("only %d packages of this repository are linked: the list is not that of the function", ours)
	}
}
