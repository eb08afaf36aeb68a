//! The `containerbuild` program: parses the command line, sets up logging, runs, maps to an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    builder_worker::cli::main()
}
