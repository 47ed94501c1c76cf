//go:build !wasm

package contract

import (
	"fmt"
	"os"
)

// Export makes a stage of this value where there is a host; tests of this machine have none.
func Export(Stage) {}

// Log writes a message; without a host, to the standard error.
func Log(level Level, format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
}
