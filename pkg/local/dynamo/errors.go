package dynamo

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

// validation is the code of most refusals.
const validation = "ValidationException"

// invalid is a ValidationException, as the SDK's client returns it.
func invalid(format string, args ...any) error {
	return &smithy.GenericAPIError{Code: validation, Message: fmt.Sprintf(format, args...)}
}

// A misplaced error is a refusal of one action. In a transaction it is the reason of
// that action, and the others are evaluated all the same.
type misplaced struct{ *smithy.GenericAPIError }

// Unwrap is the refusal as the SDK's client returns it.
func (m *misplaced) Unwrap() error { return m.GenericAPIError }

func misplacedf(format string, args ...any) error {
	return &misplaced{&smithy.GenericAPIError{Code: validation, Message: fmt.Sprintf(format, args...)}}
}

func noTable() error {
	return &types.ResourceNotFoundException{Message: aws.String("Requested resource not found")}
}

const failedCondition = "The conditional request failed"

// only refuses an input with members that are not supported here, so that none is
// passed over in silence.
func only(input any, supported ...string) error {
	v := reflect.ValueOf(input).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if !v.Field(i).IsZero() && v.Type().Field(i).IsExported() && !slices.Contains(supported, name) {
			return invalid("%s is not supported by the local DynamoDB", name)
		}
	}
	return nil
}
