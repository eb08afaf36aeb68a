//! `containerbuild check-config FILE`: what a worker would read from the file, defaults filled in.

use std::path::Path;
use std::process::ExitCode;

use crate::config::Settings;

/// Prints the settings as TOML; exit 1 when the file cannot be used.
pub fn main(file: &Path) -> ExitCode {
    let settings = match Settings::load(file) {
        Ok(settings) => settings,
        Err(error) => return super::fail(&error.into(), super::NOT_RIGHT),
    };
    match toml::to_string_pretty(&settings) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("containerbuild: cannot print the configuration: {error}");
            ExitCode::from(super::NOT_TOLD)
        }
    }
}
