//! The command line: one file a subcommand, each parsing its arguments and calling what does the work.
//!
//! Exit codes are part of the interface: 0 done, 1 the thing asked about is not right (a build failed, an image is not
//! proven), 2 it could not be told (wrong usage, unreachable hub).

mod build;
mod check_config;
mod drain;
mod explain;
mod hub_args;
mod image_source;
mod lint;
mod policy;
mod progress;
mod rpms;
mod sandbox_args;
mod upload_ahead;
mod verify;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use build_model::BoxedDiagnose;
use clap::{Parser, Subcommand};

use crate::config::Settings;
use crate::task::chain;
use crate::worker::Ending;

/// Layered-image builds for Koji: a builder worker, and the same engine on the command line.
#[derive(Parser)]
#[command(name = "containerbuild", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run as a Koji builder host: check in, take buildContainer tasks, build them.
    Worker {
        /// The site's configuration (TOML); `containerbuild check-config` explains it.
        #[arg(long, default_value = "/etc/containerbuild/worker.toml")]
        config: PathBuf,
    },
    /// Let the worker on this machine finish what it builds and take nothing more; then it stops, or restarts.
    Drain(drain::Args),
    /// Build an image from a directory with a Dockerfile, without a hub.
    Build(Box<build::Args>),
    /// Make the whole proof of an image again: RPMs, files and rules, against any Koji.
    Verify(verify::Args),
    /// Say what is wrong with a Dockerfile, without building it.
    Lint(lint::Args),
    /// Say why each RPM is in an image, and what the rules said: the report its build left in Koji.
    Explain(explain::Args),
    /// Try a site's policy on recorded or described images.
    Policy(policy::Args),
    /// List the RPMs of an image or an unpacked root, without running anything of it.
    Rpms(rpms::Args),
    /// Read a worker's configuration and print what it means, defaults included.
    CheckConfig {
        /// The configuration file.
        file: PathBuf,
    },
    /// One task of a worker; started by `worker` only.
    #[command(hide = true)]
    Task {
        #[arg(long)]
        config: PathBuf,
        #[arg(long)]
        dir: PathBuf,
    },
}

/// Something the person at the terminal asked about is not right.
const NOT_RIGHT: u8 = 1;
/// It could not be told.
const NOT_TOLD: u8 = 2;

/// Parses the command line and runs it.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Command::Worker { config } => {
            log_to_stderr("info");
            outcome(worker(config))
        }
        Command::Task { config, dir } => {
            log_to_stderr("info");
            outcome(crate::task::run(&config, &dir))
        }
        Command::Drain(args) => drain::main(&args),
        Command::Build(args) => {
            log_to_stderr("warn");
            build::main(&args)
        }
        Command::Verify(args) => {
            log_to_stderr("warn");
            verify::main(&args)
        }
        Command::Rpms(args) => {
            log_to_stderr("warn");
            rpms::main(&args)
        }
        Command::Explain(args) => {
            log_to_stderr("warn");
            explain::main(&args)
        }
        Command::Policy(args) => policy::main(&args),
        Command::Lint(args) => lint::main(&args),
        Command::CheckConfig { file } => check_config::main(&file),
    }
}

fn worker(config: PathBuf) -> anyhow::Result<()> {
    let settings = Settings::load(&config)?;
    let config = std::path::absolute(config)?;
    // Children are tied to the life of the thread that starts them (pdeathsig), so the loop stays on this one.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match runtime.block_on(crate::worker::run(settings, config))? {
        Ending::Stop => Ok(()),
        Ending::Restart => Err(crate::worker::again()).context("cannot start this program again"),
    }
}

/// Runs what a subcommand asks the hub and the registry. Two threads: one unpacks while the other one talks.
fn block_on<T>(asked: impl Future<Output = T>) -> Result<T, ExitCode> {
    match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => Ok(runtime.block_on(asked)),
        Err(error) => {
            eprintln!("containerbuild: cannot start: {error}");
            Err(ExitCode::from(NOT_TOLD))
        }
    }
}

fn outcome(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("containerbuild: {error:#}");
            if let Some(hint) = error.downcast_ref::<koji_session::HubError>().and_then(build_model::Diagnose::hint) {
                eprintln!("hint: {hint}");
            }
            ExitCode::from(NOT_TOLD)
        }
    }
}

/// Prints an error with its causes and what to do next, and gives the exit code for it.
fn fail(error: &BoxedDiagnose, code: u8) -> ExitCode {
    eprintln!("containerbuild: {}", chain(&**error));
    if let Some(hint) = error.hint() {
        eprintln!("hint: {hint}");
    }
    ExitCode::from(code)
}

/// Journald or a terminal reads standard error; `RUST_LOG` chooses what (tracing-subscriber's syntax).
fn log_to_stderr(default: &str) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        super::Cli::command().debug_assert();
    }
}
