//! WORKDIR, and what COPY takes from the build context.

use std::collections::BTreeSet;

use crate::lint::checked::Checked;
use crate::lint::rule::{Broken, Found, Origin, Rule, Severity};
use crate::lint::scope;
use crate::{CopySource, IgnoreRules, InstructionKind};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "WorkdirRelativePath",
        sentence: "The first WORKDIR of a stage is an absolute path",
        why: "A relative one begins at the working directory of the base image, which may change with the next base.",
        bad: image!("WORKDIR srv/www"),
        good: image!("WORKDIR /srv/www"),
        ignore: "",
        severity: Severity::Warning,
        origin: Origin::BuildKit,
        experimental: false,
        check: relative_workdir,
    },
    Rule {
        name: "CopyIgnoredFile",
        sentence: "COPY and ADD do not name files that the ignore file excludes",
        why: "Such files are not in the build context: the step fails.",
        bad: image!("COPY pages/draft.html /srv/www/"),
        good: image!("COPY pages/index.html /srv/www/"),
        ignore: "pages/draft*\n",
        severity: Severity::Warning,
        origin: Origin::BuildKit,
        experimental: false,
        check: ignored,
    },
];

fn relative_workdir(checked: &Checked, broken: &mut Broken) {
    // Stages, by position, in which a WORKDIR was seen, or in a stage they start from: the first one decides.
    let mut seen: BTreeSet<usize> = BTreeSet::new();
    scope::walk(checked, &mut |stage, instruction, scope| {
        let InstructionKind::Workdir(word) = &instruction.kind else { return };
        let inherited = scope::earlier(checked, stage, &stage.from.image).is_some_and(|base| seen.contains(&base));
        if !seen.insert(stage.index) || inherited {
            return;
        }
        let path = match scope.expand(word, checked.file.escape) {
            Some(path) => path,
            // What the base image's variables hold is not known.
            None if word.trim_start_matches('"').starts_with('$') => return,
            None => word.trim_start_matches(['"', '\'']).to_owned(),
        };
        if !path.starts_with('/') {
            let found =
                Found::new(instruction.span, format!("WORKDIR `{path}` depends on the working directory of the base image"));
            broken.push(found.at(word.as_str()).with_hint(format!("write /{path}, or the full path")));
        }
    });
}

fn ignored(checked: &Checked, broken: &mut Broken) {
    // A file that cannot be read as rules is reported by whoever brought it.
    let Some(text) = &checked.options.ignore else { return };
    let Ok(rules) = IgnoreRules::parse(text) else { return };
    scope::walk(checked, &mut |_, instruction, scope| {
        let copy = match &instruction.kind {
            InstructionKind::Copy(copy) if copy.from.is_none() => copy,
            InstructionKind::Add(add) => &add.copy,
            _ => return,
        };
        for source in &copy.sources {
            let CopySource::Path(word) = source else { continue };
            let Some(path) = scope.expand(word, checked.file.escape).filter(|p| crate::RemoteSource::of(p).is_none()) else {
                continue;
            };
            // A directory that keeps something inside is there.
            let gone =
                if is_root(&path) { ignores_all(text) } else { rules.is_excluded(&path) && !rules.may_contain_included(&path) };
            if gone {
                let name = instruction.kind.name();
                let found = Found::new(instruction.span, format!("{name} of `{path}`, which the ignore file excludes"));
                broken.push(found.at(word.as_str()).with_hint("it is not in the build context"));
            }
        }
    });
}

fn is_root(path: &str) -> bool {
    path.split('/').all(|part| matches!(part, "" | "."))
}

/// Whether the ignore file leaves nothing at all.
fn ignores_all(text: &str) -> bool {
    let lines = || text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines().any(|line| matches!(line, "*" | "**" | "**/*")) && !lines().any(|line| line.starts_with('!'))
}
