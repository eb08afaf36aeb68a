//! `containerbuild lint FILE|DIR…`: what is wrong with Dockerfiles, without building (docs/LINT.md). The rules are dockerfile's;
//! this reads the files, prints the reports and gives the exit code.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use build_model::{Arch, BoxedDiagnose};
use dockerfile::{IgnoreRules, LintOptions, LintReport, Platform, lint, lint_markdown, lint_rules};
use rustix::io::Errno;
use serde_json::json;

use crate::build_context::{ContextError, platform};

/// Arguments of `containerbuild lint`.
#[derive(clap::Args)]
pub struct Args {
    /// Dockerfiles, or directories with a Dockerfile or Containerfile in them.
    #[arg(value_name = "FILE|DIR", required_unless_present = "list")]
    paths: Vec<PathBuf>,
    /// Look only at whether the file is a valid Dockerfile.
    #[arg(long)]
    no_rules: bool,
    /// What a base image is for, which its name does not tell; may be repeated.
    #[arg(long, value_name = "IMAGE=OS/ARCH", value_parser = base_platform)]
    base_platform: Vec<(String, Platform)>,
    /// Print the reports as JSON.
    #[arg(long)]
    json: bool,
    /// Print the rules instead.
    #[arg(long, conflicts_with_all = ["paths", "no_rules", "json"])]
    list: bool,
    /// With --list: the rules with reasons and examples, as docs/LINT.md has them.
    #[arg(long, requires = "list")]
    markdown: bool,
}

/// Rules are broken.
const WARNINGS: u8 = super::NOT_RIGHT;
/// Not a valid Dockerfile, or not readable, or the file itself says that broken rules are errors.
const NOT_VALID: u8 = super::NOT_TOLD;

/// A Dockerfile is text a person wrote; this is far beyond any.
const MAX_BYTES: u64 = 4 << 20;

/// Runs the subcommand. With several files, the worst exit code counts.
pub fn main(args: &Args) -> ExitCode {
    if args.list {
        print(if args.markdown { lint_markdown() } else { list() });
        return ExitCode::SUCCESS;
    }
    let mut worst = 0;
    let mut reports = Vec::new();
    for path in &args.paths {
        match lint_path(path, args) {
            Ok(report) => {
                worst = worst.max(exit_code(&report));
                if args.json {
                    reports.push(to_json(&report));
                } else {
                    print(report.show());
                }
            }
            Err(error) => {
                super::fail(&error, NOT_VALID);
                worst = NOT_VALID;
            }
        }
    }
    if args.json {
        print(format_args!("{}\n", json!({ "files": reports })));
    }
    ExitCode::from(worst)
}

/// A reader that has seen enough (`| head`) is no error.
fn print(text: impl std::fmt::Display) {
    let _ = write!(std::io::stdout(), "{text}");
}

fn exit_code(report: &LintReport) -> u8 {
    if !report.errors.is_empty() || report.fail_on_findings {
        NOT_VALID
    } else if report.findings.is_empty() {
        0
    } else {
        WARNINGS
    }
}

fn to_json(report: &LintReport) -> serde_json::Value {
    json!({
        "file": report.file,
        "valid": report.errors.is_empty(),
        "errors": report.errors,
        "findings": report.findings,
        "fail_on_findings": report.fail_on_findings,
    })
}

/// One rule a line: name, severity, sentence.
fn list() -> String {
    let mut out = String::new();
    for rule in lint_rules() {
        let severity = if rule.experimental { "experimental" } else { rule.severity.word() };
        out.push_str(&format!("{:<32} {severity:<12} {}\n", rule.name, rule.sentence));
    }
    out
}

fn lint_path(path: &Path, args: &Args) -> Result<LintReport, BoxedDiagnose> {
    let file = if path.is_dir() { dist_git::find_dockerfile(path)? } else { path.to_owned() };
    let text = read(&file)?.ok_or_else(|| ContextError::Read { path: file.clone(), source: Errno::NOENT.into() })?;
    let ignore = if args.no_rules { None } else { ignore_text(&file)? };
    let base_platforms: BTreeMap<_, _> = args.base_platform.iter().cloned().collect();
    let options = LintOptions { rules: !args.no_rules, ignore, base_platforms, ..LintOptions::default() };
    // Only where images are known does it matter what is built for.
    let options =
        if options.base_platforms.is_empty() { options } else { LintOptions { platform: platform(&Arch::host()), ..options } };
    Ok(lint(&text, &file.to_string_lossy(), &options))
}

/// `IMAGE=OS/ARCH`; an image's name may hold an equals sign as little as a platform does.
fn base_platform(text: &str) -> Result<(String, Platform), String> {
    let (image, platform) = text.split_once('=').ok_or_else(|| format!("`{text}` is not IMAGE=OS/ARCH"))?;
    Ok((image.to_owned(), platform.parse().map_err(|error: dockerfile::PlatformError| error.to_string())?))
}

/// The ignore file that belongs to a Dockerfile: `NAME.dockerignore`, else `.dockerignore` in the same directory.
fn ignore_text(file: &Path) -> Result<Option<String>, BoxedDiagnose> {
    let own = file.with_file_name(format!("{}.dockerignore", file.file_name().unwrap_or_default().to_string_lossy()));
    for candidate in [own, file.with_file_name(".dockerignore")] {
        if let Some(text) = read(&candidate)? {
            let text = String::from_utf8_lossy(&text).into_owned();
            IgnoreRules::parse(&text)?;
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// The file's bytes; `None` when there is no such file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, ContextError> {
    let failed = |source| ContextError::Read { path: path.to_owned(), source };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ContextError::TooLarge { path: path.to_owned(), limit: MAX_BYTES });
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAN: &str = "FROM registry.example.com/a:1\nLABEL com.redhat.component=web name=web version=1\n";

    fn code_of(files: &[(&str, &str)], no_rules: bool) -> u8 {
        let dir = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).expect("written");
        }
        let args = Args { paths: Vec::new(), no_rules, base_platform: Vec::new(), json: false, list: false, markdown: false };
        lint_path(dir.path(), &args).map_or(NOT_VALID, |report| exit_code(&report))
    }

    #[test]
    fn a_file_that_is_not_there_is_told_as_the_system_does() {
        let args =
            Args { paths: Vec::new(), no_rules: false, base_platform: Vec::new(), json: false, list: false, markdown: false };
        let error = lint_path(Path::new("/nowhere/Dockerfile"), &args).map(|_| ()).expect_err("nothing there");
        assert!(crate::task::chain(&*error).contains("No such file or directory"), "{error:?}");
    }

    #[test]
    fn the_exit_code_says_clean_warnings_or_not_valid() {
        let warning = format!("{CLEAN}MAINTAINER x\n");
        let strict = format!("# check=error=true\n{warning}");
        assert_eq!(code_of(&[("Dockerfile", CLEAN)], false), 0);
        assert_eq!(code_of(&[("Containerfile", &warning)], false), 1);
        assert_eq!(code_of(&[("Containerfile", &warning)], true), 0);
        assert_eq!(code_of(&[("Dockerfile", &strict)], false), 2);
        assert_eq!(code_of(&[("Dockerfile", "FROM a\nRUNN b\n")], true), 2);
        assert_eq!(code_of(&[], false), 2);
    }

    #[test]
    fn the_ignore_file_beside_the_dockerfile_is_read() {
        let copy = format!("{CLEAN}COPY secret /\n");
        assert_eq!(code_of(&[("Dockerfile", &copy)], false), 0);
        assert_eq!(code_of(&[("Dockerfile", &copy), (".dockerignore", "secret\n")], false), 1);
        let own = ("Dockerfile.dockerignore", "other\n");
        assert_eq!(code_of(&[("Dockerfile", &copy), (".dockerignore", "secret\n"), own], false), 0);
        assert_eq!(code_of(&[("Dockerfile", &copy), (".dockerignore", "[\n")], false), 2);
    }

    #[test]
    fn the_list_has_a_line_for_every_rule() {
        assert_eq!(list().lines().count(), lint_rules().count());
    }
}
