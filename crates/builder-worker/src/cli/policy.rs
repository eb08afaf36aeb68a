//! `containerbuild policy test DIR`: tries a site's policy on cases, without hub, registry or image.
//!
//! Exit 0: the policy says of every case what is expected. 1: of some it does not. 2: policy or cases cannot be read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use build_model::BoxedDiagnose;
use rpm_provenance::policy::Ruling;

use crate::config::{PolicySettings, Settings};
use crate::policy_cases::{Case, Judged, POLICY_FILE, read_cases};

/// Arguments of `containerbuild policy`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Try a policy on the cases in a directory; docs/POLICY.md tells how they are written.
    Test {
        /// Directory of cases: TOML or JSON files, each an image and what the policy must say about it.
        dir: PathBuf,
        /// A worker's configuration, or a file with [policy] alone [default: DIR/policy.toml when it is there, else
        /// /etc/containerbuild/worker.toml].
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Show what every rule says about every case.
        #[arg(long, short)]
        verbose: bool,
    },
}

/// Runs the subcommand.
pub fn main(args: &Args) -> ExitCode {
    let Command::Test { dir, config, verbose } = &args.command;
    let file = config.clone().unwrap_or_else(|| default_config(dir));
    match read(dir, &file) {
        Ok((policy, cases)) => test(&policy, &cases, &file, *verbose),
        Err(error) => super::fail(&error, super::NOT_TOLD),
    }
}

fn default_config(dir: &Path) -> PathBuf {
    let beside = dir.join(POLICY_FILE);
    if beside.is_file() { beside } else { "/etc/containerbuild/worker.toml".into() }
}

fn read(dir: &Path, config: &Path) -> Result<(PolicySettings, Vec<Case>), BoxedDiagnose> {
    // First, so that a directory that is not there is what is told.
    let cases = read_cases(dir)?;
    Ok((Settings::load_policy(config)?, cases))
}

fn test(policy: &PolicySettings, cases: &[Case], file: &Path, verbose: bool) -> ExitCode {
    let today = crate::task::today();
    let rules = policy.rules();
    println!("policy {}", file.display());
    let (mut failed, mut broken, mut known) = (0, BTreeSet::new(), BTreeSet::new());
    for case in cases {
        let judged = Judged::new(case, &rules, &today);
        known.extend(judged.outcomes.iter().map(|o| o.id()));
        broken.extend(judged.broken());
        let mark = if judged.differences.is_empty() { "ok  " } else { "FAIL" };
        println!("{mark}  {}: {}", case.name, case.about);
        for difference in &judged.differences {
            println!("        {difference}");
        }
        failed += usize::from(!judged.differences.is_empty());
        if verbose || !judged.differences.is_empty() {
            for outcome in judged.outcomes.iter().filter(|o| verbose || o.ruling != Ruling::Passed) {
                let line = if outcome.ruling == Ruling::Passed { String::new() } else { format!(": {}", outcome.line()) };
                println!("        {:<8} {}{line}", outcome.ruling.as_str(), outcome.id());
            }
        }
    }
    let untried: Vec<&String> = known.difference(&broken).collect();
    if !untried.is_empty() {
        println!("no case breaks: {}", untried.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(", "));
    }
    println!("{} cases, {} as expected, {failed} not", cases.len(), cases.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(super::NOT_RIGHT) }
}
