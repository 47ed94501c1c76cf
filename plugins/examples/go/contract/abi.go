package contract

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"unicode/utf8"
	"unsafe"
)

// The canonical ABI: how the contract's values lie in the memory that host and component share.
// A layout follows from a type, so that a field is added in types.go and nowhere else.

// held keeps what the host has a part in: the garbage collector cannot see that. An instance lives
// for one call, so nothing is ever let go.
var held []any

type layout struct{ size, align uint32 }

var layouts = map[reflect.Type]layout{}

// enum is a number with so many values.
type enum interface{ values() uint8 }

func up(at, align uint32) uint32 { return (at + align - 1) &^ (align - 1) }

func isVariant(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.NumField() > 0 && t.Field(0).Type == reflect.TypeOf(variant{})
}

func layoutOf(t reflect.Type) layout {
	if known, ok := layouts[t]; ok {
		return known
	}
	var found layout
	switch t.Kind() {
	case reflect.Bool, reflect.Uint8:
		found = layout{1, 1}
	case reflect.Uint16:
		found = layout{2, 2}
	case reflect.Uint32:
		found = layout{4, 4}
	case reflect.Int64, reflect.Uint64:
		found = layout{8, 8}
	case reflect.String, reflect.Slice:
		found = layout{8, 4}
	case reflect.Pointer:
		inner := layoutOf(t.Elem())
		found = choice(inner.size, inner.align)
	case reflect.Struct:
		if isVariant(t) {
			found = variantLayout(t)
			break
		}
		found.align = 1
		for i := range t.NumField() {
			field := layoutOf(t.Field(i).Type)
			found.size = up(found.size, field.align) + field.size
			found.align = max(found.align, field.align)
		}
		found.size = up(found.size, found.align)
	default:
		panic("the contract has no type like " + t.String())
	}
	layouts[t] = found
	return found
}

// choice is the layout of a number that says which case it is, before the largest of the cases.
func choice(size, align uint32) layout {
	align = max(align, 1)
	return layout{up(up(1, align)+size, align), align}
}

func variantLayout(t reflect.Type) layout {
	var size, align uint32
	for i := 1; i < t.NumField(); i++ {
		inner := layoutOf(t.Field(i).Type.Elem())
		size, align = max(size, inner.size), max(align, inner.align)
	}
	return choice(size, align)
}

// payload is where the value of a case lies behind its number.
func payload(t reflect.Type) uint32 {
	if t.Kind() == reflect.Pointer {
		return max(layoutOf(t.Elem()).align, 1)
	}
	return layoutOf(t).align
}

// allocate gives memory of the component to the host.
func allocate(size uint32) []byte {
	if size == 0 {
		size = 1
	}
	words := make([]uint64, (size+7)/8)
	held = append(held, words)
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), len(words)*8)
}

func address(memory *byte) uint32 { return uint32(uintptr(unsafe.Pointer(memory))) }

func at(address, size uint32) []byte {
	if size == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(uintptr(address))), size)
}

// lift reads a value that the host has written.
func lift(from []byte, into reflect.Value) {
	t := into.Type()
	switch t.Kind() {
	case reflect.Bool:
		into.SetBool(from[0] != 0)
	case reflect.Uint8:
		into.SetUint(uint64(from[0]))
	case reflect.Uint16:
		into.SetUint(uint64(binary.LittleEndian.Uint16(from)))
	case reflect.Uint32:
		into.SetUint(uint64(binary.LittleEndian.Uint32(from)))
	case reflect.Uint64:
		into.SetUint(binary.LittleEndian.Uint64(from))
	case reflect.Int64:
		into.SetInt(int64(binary.LittleEndian.Uint64(from)))
	case reflect.String:
		into.SetString(liftString(binary.LittleEndian.Uint32(from), binary.LittleEndian.Uint32(from[4:])))
	case reflect.Slice:
		count, size := binary.LittleEndian.Uint32(from[4:]), layoutOf(t.Elem()).size
		memory := at(binary.LittleEndian.Uint32(from), count*size)
		list := reflect.MakeSlice(t, int(count), int(count))
		for i := range count {
			lift(memory[i*size:(i+1)*size], list.Index(int(i)))
		}
		into.Set(list)
	case reflect.Pointer:
		if from[0] != 0 {
			into.Set(reflect.New(t.Elem()))
			lift(from[payload(t):], into.Elem())
		}
	case reflect.Struct:
		if isVariant(t) {
			field := into.Field(int(from[0]) + 1)
			field.Set(reflect.New(field.Type().Elem()))
			lift(from[payload(t):], field.Elem())
			return
		}
		var offset uint32
		for i := range t.NumField() {
			field := layoutOf(t.Field(i).Type)
			offset = up(offset, field.align)
			lift(from[offset:offset+field.size], into.Field(i))
			offset += field.size
		}
	}
}

func liftString(address, length uint32) string {
	if length == 0 {
		return ""
	}
	return unsafe.String((*byte)(unsafe.Pointer(uintptr(address))), length)
}

// lower writes a value for the host. Where it is none of the contract, it says which field it is.
func lower(value reflect.Value, into []byte, path string) {
	t := value.Type()
	switch t.Kind() {
	case reflect.Bool:
		if value.Bool() {
			into[0] = 1
		}
	case reflect.Uint8:
		if enum, ok := value.Interface().(enum); ok && value.Uint() >= uint64(enum.values()) {
			panic(fmt.Sprintf("%s: wanted is one of the %d values of %s, not %d", path, enum.values(), t, value.Uint()))
		}
		into[0] = byte(value.Uint())
	case reflect.Uint16:
		binary.LittleEndian.PutUint16(into, uint16(value.Uint()))
	case reflect.Uint32:
		binary.LittleEndian.PutUint32(into, uint32(value.Uint()))
	case reflect.Uint64:
		binary.LittleEndian.PutUint64(into, value.Uint())
	case reflect.Int64:
		binary.LittleEndian.PutUint64(into, uint64(value.Int()))
	case reflect.String:
		text := value.String()
		if !utf8.ValidString(text) {
			panic(fmt.Sprintf("%s: wanted is text in UTF-8, not %q", path, text))
		}
		held = append(held, text)
		binary.LittleEndian.PutUint32(into, address(unsafe.StringData(text)))
		binary.LittleEndian.PutUint32(into[4:], uint32(len(text)))
	case reflect.Slice:
		size := layoutOf(t.Elem()).size
		memory := allocate(uint32(value.Len()) * size)
		for i := range value.Len() {
			start := uint32(i) * size
			lower(value.Index(i), memory[start:start+size], fmt.Sprintf("%s[%d]", path, i))
		}
		binary.LittleEndian.PutUint32(into, address(&memory[0]))
		binary.LittleEndian.PutUint32(into[4:], uint32(value.Len()))
	case reflect.Pointer:
		if !value.IsNil() {
			into[0] = 1
			lower(value.Elem(), into[payload(t):], path)
		}
	case reflect.Struct:
		if isVariant(t) {
			lowerVariant(value, into, path)
			return
		}
		var offset uint32
		for i := range t.NumField() {
			field := layoutOf(t.Field(i).Type)
			offset = up(offset, field.align)
			lower(value.Field(i), into[offset:offset+field.size], path+"."+t.Field(i).Name)
			offset += field.size
		}
	}
}

func lowerVariant(value reflect.Value, into []byte, path string) {
	t := value.Type()
	set := 0
	for i := 1; i < t.NumField(); i++ {
		if value.Field(i).IsNil() {
			continue
		}
		if set != 0 {
			panic(fmt.Sprintf("%s: wanted is one of its fields, and %s and %s are set", path, t.Field(set).Name, t.Field(i).Name))
		}
		set = i
	}
	if set == 0 {
		panic(fmt.Sprintf("%s: wanted is one of its fields, and none is set", path))
	}
	into[0] = byte(set - 1)
	lower(value.Field(set).Elem(), into[payload(t):], path+"."+t.Field(set).Name)
}
