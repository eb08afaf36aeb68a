//! How packages are installed in a Koji build: without a terminal, from repositories that the builder mounts.

use super::network::commands_of;
use crate::lint::checked::Checked;
use crate::lint::rule::{Broken, Found, Origin, Rule, Severity};
use crate::lint::shell::ShellCommand;
use crate::{Copy, CopySource, Instruction, InstructionKind, Stage};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "DnfWithoutYes",
        sentence: "dnf and yum get -y where they would ask",
        why: "There is nobody to answer: the question is taken as answered with no, and the step fails.",
        bad: image!("RUN dnf install nginx"),
        good: image!("RUN dnf -y install nginx"),
        ignore: "",
        severity: Severity::Warning,
        origin: Origin::Containerbuild,
        experimental: false,
        check: without_yes,
    },
    Rule {
        name: "RepoFilesMountedAway",
        sentence: "Package installation does not depend on changes to /etc/yum.repos.d",
        why: "While RUN runs, the builder's own repository files are mounted there. What RUN writes to the directory is thrown \
              away with the mount, and what COPY put there is not seen. A .repo file for the users of the image can be copied \
              after the last installation.",
        bad: image!("RUN rm -f /etc/yum.repos.d/*.repo", "RUN dnf -y install nginx"),
        good: image!("RUN dnf -y install nginx", "COPY nginx.repo /etc/yum.repos.d/"),
        ignore: "",
        severity: Severity::Warning,
        origin: Origin::Containerbuild,
        experimental: false,
        check: repo_files,
    },
];

const REPO_DIR: &str = "/etc/yum.repos.d";

fn is_dnf(command: &ShellCommand) -> bool {
    // microdnf never asks.
    matches!(command.program(), "dnf" | "dnf5" | "dnf-3" | "yum")
}

fn without_yes(checked: &Checked, broken: &mut Broken) {
    for (_, instruction) in checked.executed() {
        let InstructionKind::Run(run) = &instruction.kind else { continue };
        for command in commands_of(run) {
            if let Some(sub) = asks(&command) {
                let program = command.program();
                let message = format!("`{program} {sub}` without -y asks before it goes on");
                let word = command.words.first().cloned().unwrap_or_default();
                broken.push(Found::new(instruction.span, message).at(word).with_hint(format!("write {program} -y {sub}")));
            }
        }
    }
}

/// The subcommand, when it is one that asks and nothing answers.
fn asks(command: &ShellCommand) -> Option<&str> {
    const ASKING: [&str; 18] = [
        "install",
        "localinstall",
        "reinstall",
        "update",
        "upgrade",
        "downgrade",
        "distro-sync",
        "swap",
        "remove",
        "erase",
        "autoremove",
        "groupinstall",
        "groupupdate",
        "groupremove",
        "builddep",
        "module",
        "group",
        "system-upgrade",
    ];
    if !is_dnf(command) || command.piped {
        return None;
    }
    let sub = command.operands().find(|o| ASKING.contains(o))?;
    // `dnf group list` and the like only look.
    if matches!(sub, "module" | "group") && !command.operands().any(|o| matches!(o, "install" | "remove" | "update" | "enable")) {
        return None;
    }
    let answered = command.args().iter().any(|arg| {
        let short = arg.starts_with('-') && !arg.starts_with("--") && arg.contains('y');
        short
            || matches!(arg.as_str(), "--assumeyes" | "--assumeno" | "--downloadonly" | "--setopt=assumeyes=1")
            || arg == "--setopt=assumeyes=True"
    });
    (!answered).then_some(sub)
}

fn repo_files(checked: &Checked, broken: &mut Broken) {
    for (stage, instruction) in checked.executed() {
        match &instruction.kind {
            InstructionKind::Run(run) => {
                for command in commands_of(run) {
                    if let Some((word, message)) = edits_repos(&command) {
                        let hint = "the builder offers the repositories of the build; leave them as they are";
                        broken.push(Found::new(instruction.span, message).at(word).with_hint(hint));
                    }
                }
            }
            InstructionKind::Copy(copy) => copied(stage, instruction, copy, broken),
            InstructionKind::Add(add) => copied(stage, instruction, &add.copy, broken),
            _ => {}
        }
    }
}

fn copied(stage: &Stage, instruction: &Instruction, copy: &Copy, broken: &mut Broken) {
    let file = copy.sources.iter().any(|s| match s {
        CopySource::Path(path) => path.ends_with(".repo"),
        CopySource::Heredoc(heredoc) => heredoc.name.ends_with(".repo"),
    });
    if !(copy.dest.starts_with(REPO_DIR) || (file && copy.dest.trim_end_matches('/') == REPO_DIR)) {
        return;
    }
    let later = stage.instructions.iter().filter(|i| i.span.first_line > instruction.span.last_line);
    let installs = later.filter_map(|i| match &i.kind {
        InstructionKind::Run(run) => Some((i.span.first_line, commands_of(run))),
        _ => None,
    });
    let user = installs.into_iter().find(|(_, commands)| commands.iter().any(|c| is_dnf(c) || c.program() == "microdnf"));
    if let Some((line, _)) = user {
        let message =
            format!("the RUN on line {line} does not see what is copied to {REPO_DIR}: the builder's files are mounted there");
        let hint = "copy it after the last installation, if it is meant for the users of the image";
        broken.push(Found::new(instruction.span, message).at(REPO_DIR).with_hint(hint));
    }
}

/// The word to point at and what happens to the change.
fn edits_repos(command: &ShellCommand) -> Option<(String, String)> {
    let program = command.program();
    let inside = |word: &&String| word.starts_with(REPO_DIR);
    if (is_dnf(command) && command.operands().next() == Some("config-manager")) || program == "yum-config-manager" {
        let word = command.words.first().cloned().unwrap_or_default();
        return Some((word, "the change to the repositories is thrown away after this step".to_owned()));
    }
    let written = command.writes.iter().find(inside);
    let edited = match program {
        "rm" | "mv" | "cp" | "ln" | "install" | "tee" | "touch" | "chmod" | "truncate" | "rsync" | "find" => {
            command.args().iter().find(inside)
        }
        "sed" | "perl"
            if command.args().iter().any(|a| a.starts_with("-i") || a.starts_with("--in-place") || a.contains("pi")) =>
        {
            command.args().iter().find(inside)
        }
        "curl" | "wget" => command.args().iter().find(|a| a.contains(REPO_DIR)),
        _ => None,
    };
    // Looking is allowed.
    if program == "find" && !command.has_option(&["-delete", "-exec"]) {
        return None;
    }
    // Copying from there is, too.
    if program == "cp" && written.is_none() && !command.args().last().is_some_and(|last| last.starts_with(REPO_DIR)) {
        return None;
    }
    written.or(edited)?;
    let message = format!("the change to {REPO_DIR} is thrown away after this step: the builder's own files are mounted there");
    Some((REPO_DIR.to_owned(), message))
}
