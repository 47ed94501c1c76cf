package contract

import (
	"fmt"
	"reflect"
	"unsafe"
)

var stage Stage

// Export makes a stage of this value; called once, in main's init.
func Export(value Stage) { stage = value }

// Why a wait cannot end. wasi.wat says it when a wait begins, and finds it here.
const waiting = "time.Sleep, or a wait for a timer or for what no goroutine will do: " +
	"the clock of a stage stands still, and a wait never ends"

func init() {
	note := (*[2]uint32)(unsafe.Pointer(uintptr(4096)))
	note[0], note[1] = address(unsafe.StringData(waiting)), uint32(len(waiting))
}

//go:wasmimport wharfinger:pipeline/logging@0.2.0 log
func hostLog(level uint32, text unsafe.Pointer, length uint32)

// Log writes a message to the daemon's log.
func Log(level Level, format string, values ...any) {
	text := fmt.Sprintf(format, values...)
	hostLog(uint32(level), unsafe.Pointer(unsafe.StringData(text)), uint32(len(text)))
}

//go:wasmexport cabi_realloc
func realloc(old unsafe.Pointer, oldSize, align, size uint32) unsafe.Pointer {
	memory := allocate(size)
	copy(memory, at(uint32(uintptr(old)), oldSize))
	return unsafe.Pointer(&memory[0])
}

// answer lowers a value behind a result's number: 0 if it is right, 1 if it is an error.
func answer(number byte, value any, path string) unsafe.Pointer {
	lowered := reflect.ValueOf(value)
	known := layoutOf(lowered.Type())
	// Texts and lists have the same alignment, so that the place is the same for either.
	offset := up(1, 4)
	memory := allocate(offset + known.size + 8)
	memory[0] = number
	lower(lowered, memory[offset:], path)
	return unsafe.Pointer(&memory[0])
}

//go:wasmexport wharfinger:pipeline/stage@0.2.0#describe
func describe() unsafe.Pointer {
	described := reflect.ValueOf(stage.Describe())
	memory := allocate(layoutOf(described.Type()).size)
	lower(described, memory, "Description")
	return unsafe.Pointer(&memory[0])
}

//go:wasmexport wharfinger:pipeline/stage@0.2.0#validate-settings
func validateSettings(settings unsafe.Pointer, length uint32) unsafe.Pointer {
	faults := stage.ValidateSettings(liftString(uint32(uintptr(settings)), length))
	if len(faults) == 0 {
		return unsafe.Pointer(&allocate(12)[0])
	}
	return answer(1, faults, "faults")
}

//go:wasmexport wharfinger:pipeline/stage@0.2.0#process
func process(arguments unsafe.Pointer) unsafe.Pointer {
	var given struct {
		Settings  string
		Container Container
		Host      HostFacts
		Services  []Service
	}
	into := reflect.ValueOf(&given).Elem()
	lift(at(uint32(uintptr(arguments)), layoutOf(into.Type()).size), into)
	outcome, err := stage.Process(given.Settings, &given.Container, &given.Host, given.Services)
	if err != nil {
		return answer(1, err.Error(), "error")
	}
	if outcome == nil {
		panic("Process: wanted is an outcome or an error, and both are nil")
	}
	if len(outcome.Verdicts) != len(given.Services) {
		panic(fmt.Sprintf("Outcome.Verdicts: wanted is one for each of %d services, not %d", len(given.Services), len(outcome.Verdicts)))
	}
	return answer(0, *outcome, "Outcome")
}
