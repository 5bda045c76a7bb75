package localtest

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// The SDK's inputs and outputs in JSON, by the names of their fields. Times are
// seconds, bytes are base64, and values of DynamoDB have their type as the one key.

var attributeType = reflect.TypeFor[types.AttributeValue]()

// kinds are the types of DynamoDB's values by their key.
var kinds = map[string]func() types.AttributeValue{
	"S":    func() types.AttributeValue { return &types.AttributeValueMemberS{} },
	"N":    func() types.AttributeValue { return &types.AttributeValueMemberN{} },
	"B":    func() types.AttributeValue { return &types.AttributeValueMemberB{} },
	"BOOL": func() types.AttributeValue { return &types.AttributeValueMemberBOOL{} },
	"NULL": func() types.AttributeValue { return &types.AttributeValueMemberNULL{} },
	"L":    func() types.AttributeValue { return &types.AttributeValueMemberL{} },
	"M":    func() types.AttributeValue { return &types.AttributeValueMemberM{} },
}

// read sets into to what JSON has.
func read(into reflect.Value, from any) error {
	if from == nil {
		return nil
	}
	if into.Type() == attributeType {
		return readAttribute(into, from)
	}
	wrong := fmt.Errorf("%T for a %s", from, into.Type())
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		return read(into.Elem(), from)
	case reflect.Struct:
		members, ok := from.(map[string]any)
		if !ok {
			return wrong
		}
		for name, member := range members {
			field := into.FieldByName(name)
			if !field.IsValid() {
				return fmt.Errorf("%s has no member %s", into.Type(), name)
			}
			if err := read(field, member); err != nil {
				return err
			}
		}
		return nil
	case reflect.Map:
		members, ok := from.(map[string]any)
		if !ok {
			return wrong
		}
		into.Set(reflect.MakeMap(into.Type()))
		for name, member := range members {
			v := reflect.New(into.Type().Elem()).Elem()
			if err := read(v, member); err != nil {
				return err
			}
			into.SetMapIndex(reflect.ValueOf(name), v)
		}
		return nil
	case reflect.Slice:
		if text, ok := from.(string); ok {
			b, err := base64.StdEncoding.DecodeString(text)
			into.SetBytes(b)
			return err
		}
		list, ok := from.([]any)
		if !ok {
			return wrong
		}
		into.Set(reflect.MakeSlice(into.Type(), len(list), len(list)))
		for i, e := range list {
			if err := read(into.Index(i), e); err != nil {
				return err
			}
		}
		return nil
	}
	v := reflect.ValueOf(from)
	if !v.CanConvert(into.Type()) {
		return wrong
	}
	into.Set(v.Convert(into.Type()))
	return nil
}

func readAttribute(into reflect.Value, from any) error {
	members, _ := from.(map[string]any)
	for kind, value := range members {
		if made, ok := kinds[kind]; ok && len(members) == 1 {
			av := made()
			into.Set(reflect.ValueOf(av))
			return read(reflect.ValueOf(av).Elem().FieldByName("Value"), value)
		}
	}
	return fmt.Errorf("%v is no attribute value", from)
}

// write is a value as JSON has it. What has no value is left out.
func write(v reflect.Value) any {
	if t, ok := v.Interface().(time.Time); ok {
		return float64(t.UnixMilli()) / 1000
	}
	switch v.Kind() {
	case reflect.Pointer:
		return write(v.Elem())
	case reflect.Interface:
		for kind, made := range kinds {
			if v.Elem().Type() == reflect.TypeOf(made()) {
				return map[string]any{kind: write(v.Elem().Elem().FieldByName("Value"))}
			}
		}
		return nil
	case reflect.Struct:
		members := map[string]any{}
		for i := range v.NumField() {
			field := v.Type().Field(i)
			empty := (v.Field(i).Kind() == reflect.Pointer || v.Field(i).Kind() == reflect.Map || v.Field(i).Kind() == reflect.Slice) && v.Field(i).IsNil()
			if field.IsExported() && !empty && field.Name != "ResultMetadata" {
				members[field.Name] = write(v.Field(i))
			}
		}
		return members
	case reflect.Map:
		members := map[string]any{}
		for _, k := range v.MapKeys() {
			members[k.String()] = write(v.MapIndex(k))
		}
		return members
	case reflect.Slice:
		if b, ok := v.Interface().([]byte); ok {
			return base64.StdEncoding.EncodeToString(b)
		}
		list := make([]any, v.Len())
		for i := range list {
			list[i] = write(v.Index(i))
		}
		return list
	}
	return v.Interface()
}
