//! `containerbuild drain`: asks the worker of this machine to take nothing more and to end when its builds have.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::config::Settings;
use crate::worker::{Drain, DrainError, ask_to_drain, wait_until_gone};

/// Arguments of `drain`.
#[derive(clap::Args)]
pub struct Args {
    /// The worker's configuration.
    #[arg(long, default_value = "/etc/containerbuild/worker.toml")]
    config: PathBuf,
    /// Restart instead of stopping, as `koji restart-hosts` does: with the program and the configuration as they are then.
    #[arg(long)]
    restart: bool,
    /// Return only when the worker has stopped.
    #[arg(long, conflicts_with = "restart")]
    wait: bool,
    /// Longest time to wait, in seconds; exit code 1 when builds still run then. They go on.
    #[arg(long, requires = "wait")]
    timeout: Option<u64>,
}

/// Runs it.
pub fn main(args: &Args) -> ExitCode {
    let settings = match Settings::load(&args.config) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("containerbuild: {error:#}");
            return ExitCode::from(super::NOT_TOLD);
        }
    };
    match drain(args, &settings) {
        Ok(code) => code,
        Err(error) => {
            let error = anyhow::Error::from(error);
            eprintln!("containerbuild: {error:#}");
            ExitCode::from(super::NOT_TOLD)
        }
    }
}

fn drain(args: &Args, settings: &Settings) -> Result<ExitCode, DrainError> {
    let dir = &settings.worker.state_dir;
    let drain = if args.restart { Drain::ThenRestart } else { Drain::ThenStop };
    let pid = ask_to_drain(dir, drain)?;
    let then = if args.restart { "restarts" } else { "stops" };
    println!("the worker (process {pid}) takes nothing more, and {then} when its builds have ended");
    if args.wait && wait_until_gone(dir, args.timeout.map(Duration::from_secs))? {
        eprintln!("containerbuild: builds still run; the worker stops when they have ended");
        return Ok(ExitCode::from(super::NOT_RIGHT));
    }
    Ok(ExitCode::SUCCESS)
}
