//! The `containerbuild` program.
fn main() {}
