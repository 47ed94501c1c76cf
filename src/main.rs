//! The program. All of it is in the library: what polls a future is compiled where it is called, and so
//! would be here, a second time and after all the rest.

use std::process::ExitCode;

fn main() -> ExitCode {
    wharfinger::program::main()
}
