package localtest

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// rightsFile is where make rights has the tests write which rights each function used:
// lines such as "api dynamodb:Query index/due", and with "elsewhere" at the end for the
// table or key of another Region. Empty but then.
var rightsFile = os.Getenv("STRONGROOM_RIGHTS")

var written sync.Map

// note writes down the rights that a call needs, once for each function and test binary.
func note(in any, elsewhere bool) {
	if rightsFile == "" {
		return
	}
	function := functionOf(callers())
	if function == "" {
		return // the test itself
	}
	for _, right := range rights(in) {
		if elsewhere {
			right += " elsewhere"
		}
		line := function + " " + right + "\n"
		if _, known := written.LoadOrStore(line, true); known {
			continue
		}
		file, err := os.OpenFile(rightsFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = file.WriteString(line)
		}
		if err != nil || file.Close() != nil {
			panic(fmt.Sprintf("%s cannot be written: %v", rightsFile, err))
		}
	}
}

// functions are the packages of which each function consists.
var functions = map[string]string{
	"pkg/api.": "api", "pkg/prune.": "prune", "pkg/verify.": "prune", "pkg/rotate.": "rotate",
	"pkg/replicate.": "replicate",
}

// functionOf is the one whose package is nearest to a call; a package's test is none.
func functionOf(frames []runtime.Frame) string {
	for _, frame := range frames {
		if strings.HasSuffix(frame.File, "_test.go") {
			return ""
		}
		for name, function := range functions {
			if strings.Contains(frame.Function, name) {
				return function
			}
		}
	}
	return ""
}

func callers() []runtime.Frame {
	var all []runtime.Frame
	pcs := make([]uintptr, 100)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		frame, more := frames.Next()
		all = append(all, frame)
		if !more {
			return all
		}
	}
}

// rights are what IAM asks for a call, and of which part of the table.
func rights(in any) []string {
	switch in := in.(type) {
	case *dynamodb.GetItemInput:
		return []string{"dynamodb:GetItem table"}
	case *dynamodb.BatchGetItemInput:
		return []string{"dynamodb:BatchGetItem table"}
	case *dynamodb.UpdateItemInput:
		return []string{"dynamodb:UpdateItem table"}
	case *dynamodb.BatchWriteItemInput:
		return []string{"dynamodb:BatchWriteItem table"}
	case *dynamodb.QueryInput:
		if in.IndexName != nil {
			return []string{"dynamodb:Query index/" + *in.IndexName}
		}
		return []string{"dynamodb:Query table"}
	case *dynamodb.TransactWriteItemsInput:
		return ofTransaction(in)
	case *kms.GenerateDataKeyInput:
		return []string{"kms:GenerateDataKey key"}
	case *kms.DecryptInput:
		return []string{"kms:Decrypt key"}
	case *kms.ReEncryptInput:
		return []string{"kms:ReEncryptFrom key", "kms:ReEncryptTo key"}
	}
	panic(fmt.Sprintf("the rights of a %T are not known", in))
}

// ofTransaction are the rights to what the items of a transaction do.
func ofTransaction(in *dynamodb.TransactWriteItemsInput) []string {
	var all []string
	for _, item := range in.TransactItems {
		switch {
		case item.Put != nil:
			all = append(all, "dynamodb:PutItem table")
		case item.Update != nil:
			all = append(all, "dynamodb:UpdateItem table")
		case item.Delete != nil:
			all = append(all, "dynamodb:DeleteItem table")
		case item.ConditionCheck != nil:
			all = append(all, "dynamodb:ConditionCheckItem table")
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
