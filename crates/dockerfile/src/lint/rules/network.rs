//! Steps that want a network. In a Koji build RUN reaches the RPM repositories of the build and nothing else.

use crate::lint::checked::Checked;
use crate::lint::rule::{Broken, Found, Origin, Rule, Severity};
use crate::lint::shell::{ShellCommand, commands};
use crate::{CommandForm, CopySource, InstructionKind, RemoteSource, Run, RunScript};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "RunNeedsNetwork",
        sentence: "RUN does not fetch from the network",
        why: "RUN steps reach the RPM repositories of the build and nothing else: what is in the image must come from Koji. \
              The step fails, or takes another way than on a laptop.",
        bad: image!("RUN curl -o /usr/bin/tool https://example.com/tool"),
        good: image!("RUN dnf -y install tool"),
        ignore: "",
        severity: Severity::Warning,
        origin: Origin::Containerbuild,
        experimental: false,
        check: run_needs_network,
    },
    Rule {
        name: "AddFromUrl",
        sentence: "ADD does not fetch from a URL or a git repository",
        why: "The builder has no network for it, with or without a checksum. What a build uses is in dist-git, in its lookaside \
              cache, or in an RPM.",
        bad: image!("ADD https://example.com/site.tar.gz /srv/"),
        good: image!("ADD site.tar.gz /srv/"),
        ignore: "",
        severity: Severity::Refused,
        origin: Origin::Containerbuild,
        experimental: false,
        check: add_from_url,
    },
];

/// The commands of a RUN, those of a script in a heredoc included.
pub(super) fn commands_of(run: &Run) -> Vec<ShellCommand> {
    match run.script() {
        RunScript::Exec(words) => {
            // `RUN ["sh", "-c", "…"]`
            let quoted: Vec<String> = words.iter().map(|w| format!("'{}'", w.replace('\'', "'\\''"))).collect();
            commands(&quoted.join(" "))
        }
        RunScript::Shell(script) if run.heredocs.is_empty() => commands(&script),
        RunScript::Shell(script) => match &run.command {
            // The body is the script; otherwise it is the input of a command, and only that is looked at.
            CommandForm::Shell(line) if line.trim_start().starts_with("<<") => commands(&script),
            CommandForm::Shell(line) => {
                let mut found = commands(line);
                if found.first().is_some_and(|c| matches!(c.program(), "sh" | "bash")) {
                    found.extend(run.heredocs.iter().flat_map(|h| commands(&h.body)));
                }
                found
            }
            CommandForm::Exec(_) => Vec::new(),
        },
        RunScript::File { body, .. } => {
            let shell = body.lines().next().is_some_and(|l| l.trim_end().ends_with("sh") || l.contains("sh "));
            if shell { commands(&body) } else { Vec::new() }
        }
    }
}

fn run_needs_network(checked: &Checked, broken: &mut Broken) {
    for (_, instruction) in checked.executed() {
        let InstructionKind::Run(run) = &instruction.kind else { continue };
        for command in commands_of(run) {
            if let Some(what) = fetches(&command) {
                let found =
                    Found::new(instruction.span, format!("`{what}` needs a network, and RUN reaches only RPM repositories"));
                let word = command.words.first().cloned().unwrap_or_default();
                broken.push(found.at(word).with_hint("install it from an RPM, or add the file to the sources and COPY it"));
            }
        }
    }
}

/// What a command would fetch with, if it does.
fn fetches(command: &ShellCommand) -> Option<String> {
    let program = command.program();
    let sub = command.operands().next().unwrap_or_default();
    let with_sub = || Some(format!("{program} {sub}"));
    match program {
        "curl" | "wget" => (command.operands().next().is_some() && !only_local(command)).then(|| program.to_owned()),
        "npm" | "pnpm" if matches!(sub, "install" | "i" | "ci" | "add" | "update" | "exec") && !offline(command) => with_sub(),
        "yarn" if matches!(sub, "" | "install" | "add") && !offline(command) => Some(program.to_owned()),
        "npx" if !offline(command) => Some(program.to_owned()),
        "gem" if sub == "install" && !command.has_option(&["--local", "-l"]) => with_sub(),
        "git" if matches!(sub, "clone" | "fetch" | "pull" | "submodule") && !only_local(command) => with_sub(),
        "go" if sub == "get" || (sub == "install" && command.operands().any(|o| o.contains('@'))) => with_sub(),
        "go" if sub == "mod" && command.operands().nth(1) == Some("download") => Some("go mod download".to_owned()),
        "cargo" if matches!(sub, "install" | "fetch") && !command.has_option(&["--offline", "--path"]) => with_sub(),
        "apt" | "apt-get" if matches!(sub, "update" | "install" | "upgrade" | "dist-upgrade") => with_sub(),
        "apk" if matches!(sub, "add" | "update" | "upgrade") && !command.has_option(&["--no-network"]) => with_sub(),
        "dnf" | "dnf5" | "yum" | "microdnf" | "rpm" if command.args().iter().any(|a| is_url(a)) && !adds_repo(command) => {
            Some(format!("{program} with a URL"))
        }
        _ => pip(command),
    }
}

/// That is the matter of RepoFilesMountedAway.
fn adds_repo(command: &ShellCommand) -> bool {
    command.operands().next() == Some("config-manager")
}

fn pip(command: &ShellCommand) -> Option<String> {
    let program = command.program();
    let is_pip = |name: &str| name.strip_prefix("pip").is_some_and(|v| v.bytes().all(|b| b.is_ascii_digit() || b == b'.'));
    let mut args = command.args().iter().map(String::as_str);
    if program.starts_with("python") {
        let _ = args.find(|a| *a == "-m").and_then(|_| args.next()).filter(|module| is_pip(module))?;
    } else if !is_pip(program) {
        return None;
    }
    let operands: Vec<&str> = args.filter(|a| !a.starts_with('-')).collect();
    let (sub, names) = operands.split_first()?;
    let local = |name: &&str| name.starts_with(['/', '.']) || name.ends_with(".whl") || name.ends_with(".tar.gz");
    let without_index = command.has_option(&["--no-index"])
        || (command.has_option(&["--no-deps"]) && !command.has_option(&["-r", "--requirement"]) && names.iter().all(local));
    (matches!(*sub, "install" | "download" | "wheel") && !without_index).then(|| format!("pip {sub}"))
}

fn offline(command: &ShellCommand) -> bool {
    command.has_option(&["--offline", "--prefer-offline"])
}

fn is_url(text: &str) -> bool {
    ["http://", "https://", "ftp://"].iter().any(|s| text.to_ascii_lowercase().starts_with(s))
}

/// All places named are on this machine.
fn only_local(command: &ShellCommand) -> bool {
    let local = |text: &str| {
        let after_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
        text.starts_with("file://")
            || ["localhost", "127.", "[::1]"].iter().any(|host| after_scheme.starts_with(host))
            || (!text.contains("://") && text.starts_with(['/', '.']))
    };
    let places: Vec<&str> = command.operands().filter(|o| o.contains("://") || o.contains("localhost") || local(o)).collect();
    let remote = command.operands().any(|o| is_url(o) && !local(o));
    !remote && places.iter().any(|p| local(p))
}

fn add_from_url(checked: &Checked, broken: &mut Broken) {
    for (_, instruction) in checked.executed() {
        let InstructionKind::Add(add) = &instruction.kind else { continue };
        for source in &add.copy.sources {
            if let CopySource::Path(path) = source
                && RemoteSource::of(path).is_some()
            {
                let found =
                    Found::new(instruction.span, format!("ADD would fetch `{path}`, and the builder has no network for it"));
                broken.push(found.at(path.as_str()).with_hint("put the file into the sources and use COPY"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetching(script: &str) -> Vec<String> {
        commands(script).iter().filter_map(fetches).collect()
    }

    #[test]
    fn commands_that_fetch_are_known() {
        for script in [
            "curl -fsSL https://x.org/y | tar xz",
            "wget $URL",
            "pip3.11 install flask",
            "python3 -m pip install -r r.txt",
            "npm ci",
            "yarn",
            "git clone https://x.org/y.git",
            "cd /x && go mod download",
            "apt-get -y install x",
            "gem install x",
            "bash -c 'curl x.org'",
            "V=\"$(curl -s https://x.org)\"",
            "dnf -y install https://x.org/a.rpm",
            "rpm --import https://x.org/key",
        ] {
            assert_eq!(fetching(script).len(), 1, "{script}");
        }
    }

    #[test]
    fn commands_that_only_look_like_it_are_left_alone() {
        for script in [
            "dnf -y install curl wget python3-pip npm",
            "curl --version",
            "curl -f http://localhost:8080/health",
            "wget -q http://127.0.0.1/x",
            "curl -o /x file:///y",
            "pip install --no-index --find-links /wheels flask",
            "pip install --no-deps ./dist/x.whl",
            "python3 -m venv /x",
            "python3 setup.py install",
            "npm ci --offline",
            "git clone /srv/x /y",
            "git config --global x y",
            "go build ./...",
            "echo 'curl https://x.org'",
            "rm /usr/bin/wget",
            "rpm -qa",
        ] {
            assert_eq!(fetching(script), [""; 0], "{script}");
        }
    }
}
