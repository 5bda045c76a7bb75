package dynamo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// item is what a table holds.
type item = map[string]types.AttributeValue

// Stored items: the number of attributes, then for each in order of the names its
// name and its value. A value is a tag and what the tag says; all lengths are
// uvarints. The order makes equal items equal bytes.
const (
	tagString = 'S'
	tagNumber = 'N'
	tagBinary = 'B'
	tagTrue   = 'T'
	tagFalse  = 'F'
	tagNull   = '0'
	tagList   = 'L'
	tagMap    = 'M'
)

var errStored = errors.New("a stored item cannot be read")

func encode(it item) ([]byte, error) { return appendMap(nil, it) }

func appendMap(b []byte, m item) ([]byte, error) {
	b = binary.AppendUvarint(b, uint64(len(m)))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		var err error
		if b, err = appendValue(appendText(b, name), m[name]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func appendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func appendValue(b []byte, av types.AttributeValue) ([]byte, error) {
	switch av := av.(type) {
	case *types.AttributeValueMemberS:
		return appendText(append(b, tagString), av.Value), nil
	case *types.AttributeValueMemberN:
		return appendText(append(b, tagNumber), av.Value), nil
	case *types.AttributeValueMemberB:
		return appendText(append(b, tagBinary), av.Value), nil
	case *types.AttributeValueMemberBOOL:
		if av.Value {
			return append(b, tagTrue), nil
		}
		return append(b, tagFalse), nil
	case *types.AttributeValueMemberNULL:
		return append(b, tagNull), nil
	case *types.AttributeValueMemberM:
		return appendMap(append(b, tagMap), av.Value)
	case *types.AttributeValueMemberL:
		b = binary.AppendUvarint(append(b, tagList), uint64(len(av.Value)))
		for _, e := range av.Value {
			var err error
			if b, err = appendValue(b, e); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	return nil, fmt.Errorf("an attribute of type %T", av)
}

func decode(b []byte) (item, error) {
	d := decoder{b}
	it := d.mapping()
	if it == nil || len(d.b) > 0 {
		return nil, errStored
	}
	return it, nil
}

// A decoder reads what appendMap writes. It gives nil for what it cannot read.
type decoder struct{ b []byte }

func (d *decoder) count() int {
	n, size := binary.Uvarint(d.b)
	if size <= 0 || n > uint64(len(d.b)) {
		d.b = nil
		return -1
	}
	d.b = d.b[size:]
	return int(n) //nolint:gosec // no longer than the item
}

func (d *decoder) text() ([]byte, bool) {
	n := d.count()
	if n < 0 || n > len(d.b) {
		return nil, false
	}
	text := d.b[:n]
	d.b = d.b[n:]
	return text, true
}

func (d *decoder) mapping() item {
	n := d.count()
	if n < 0 {
		return nil
	}
	it := make(item, n)
	for range n {
		name, ok := d.text()
		if !ok {
			return nil
		}
		av := d.value()
		if av == nil {
			return nil
		}
		it[string(name)] = av
	}
	return it
}

func (d *decoder) value() types.AttributeValue {
	if len(d.b) == 0 {
		return nil
	}
	tag := d.b[0]
	d.b = d.b[1:]
	switch tag {
	case tagTrue, tagFalse:
		return &types.AttributeValueMemberBOOL{Value: tag == tagTrue}
	case tagNull:
		return &types.AttributeValueMemberNULL{Value: true}
	case tagMap:
		if m := d.mapping(); m != nil {
			return &types.AttributeValueMemberM{Value: m}
		}
		return nil
	case tagList:
		return d.list()
	}
	text, ok := d.text()
	switch {
	case !ok:
		return nil
	case tag == tagString:
		return &types.AttributeValueMemberS{Value: string(text)}
	case tag == tagNumber:
		return &types.AttributeValueMemberN{Value: string(text)}
	case tag == tagBinary:
		return &types.AttributeValueMemberB{Value: append([]byte{}, text...)}
	}
	return nil
}

func (d *decoder) list() types.AttributeValue {
	n := d.count()
	if n < 0 {
		return nil
	}
	list := make([]types.AttributeValue, 0, n)
	for range n {
		av := d.value()
		if av == nil {
			return nil
		}
		list = append(list, av)
	}
	return &types.AttributeValueMemberL{Value: list}
}

// Keys of the kv. Each begins with what it is for; the parts of those that have
// several are in an order in which the bytes sort as DynamoDB sorts.
//
//	D <table>                                       the definition of a table, in JSON
//	I <table> 0 <pk> <sk>                           an item
//	X <table> 0 <index> 0 <hash> <range> <pk> <sk>  a row of an index
//	T <minute> <token>                              a token of a transaction
//
// Parts of items and rows end with 0 1, and a 0 in them is 0 255: so a part sorts
// before every longer one that begins with it.
const (
	spaceTable = 'D'
	spaceItem  = 'I'
	spaceIndex = 'X'
	spaceToken = 'T'
)

func appendPart(b []byte, part string) []byte {
	for i := range len(part) {
		if b = append(b, part[i]); part[i] == 0 {
			b = append(b, 255)
		}
	}
	return append(b, 0, 1)
}

func tableKey(table string) []byte { return append([]byte{spaceTable}, table...) }

// rows is what the keys of a table's items, or of an index's rows, begin with.
func rows(table, index string) []byte {
	if index == "" {
		return append(append([]byte{spaceItem}, table...), 0)
	}
	return append(append(append(append([]byte{spaceIndex}, table...), 0), index...), 0)
}
