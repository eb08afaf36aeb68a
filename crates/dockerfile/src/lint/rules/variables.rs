//! Variables: ARG and ENV, and the words that use them.

use std::collections::BTreeSet;

use crate::lint::checked::Checked;
use crate::lint::image_name::ImageName;
use crate::lint::rule::{Broken, Found, Origin, Rule, Severity};
use crate::lint::scope::{self, Scope};
use crate::problem::did_you_mean;
use crate::{Instruction, InstructionKind, Span};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "UndefinedArgInFrom",
        sentence: "FROM uses only ARGs declared before the first FROM",
        why: "Others are empty there: ARGs inside a stage and ENV do not reach a FROM line.",
        bad: lines!(
            "FROM registry.example.com/f40/base:40${FLAVOUR}",
            "LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\""
        ),
        good: lines!(
            "ARG FLAVOUR=-minimal",
            "FROM registry.example.com/f40/base:40${FLAVOUR}",
            "LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\""
        ),
        ignore: "",
        severity: Severity::Warning,
        origin: Origin::BuildKit,
        experimental: false,
        check: undefined_in_from,
    },
    Rule {
        name: "InvalidDefaultArgInFrom",
        sentence: "FROM names an image when no build arguments are given",
        why: "A Koji build passes no build arguments: an ARG in FROM needs a default that makes a usable reference.",
        bad: lines!(
            "ARG RELEASE",
            "FROM registry.example.com/f40/base:${RELEASE}",
            "LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\""
        ),
        good: lines!(
            "ARG RELEASE=40",
            "FROM registry.example.com/f40/base:${RELEASE}",
            "LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\""
        ),
        ignore: "",
        severity: Severity::Refused,
        origin: Origin::BuildKit,
        experimental: false,
        check: invalid_default,
    },
    Rule {
        name: "UndefinedVar",
        sentence: "Variables are defined before they are used",
        why: "An undefined variable is empty, and nothing says so. The environment of the base image is not known here: a name in \
              capitals that the file does not define may come from there, and is reported only when it is nearly a name of the \
              file, or one that the file defines elsewhere. Global ARGs and platform ARGs need an ARG line in the stage.",
        bad: lines!(
            "ARG PAGES=public",
            "FROM registry.example.com/f40/base:40",
            "LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\"",
            "COPY ${PAGES} /srv/www/"
        ),
        good: lines!(
            "ARG PAGES=public",
            "FROM registry.example.com/f40/base:40",
            "LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\"",
            "ARG PAGES",
            "COPY ${PAGES} /srv/www/"
        ),
        ignore: "",
        severity: Severity::Warning,
        origin: Origin::BuildKit,
        experimental: false,
        check: undefined,
    },
    Rule {
        name: "SecretsUsedInArgOrEnv",
        sentence: "Secrets are not given through ARG or ENV",
        why: "ENV is part of the image and ARG of its history: everyone who pulls the image can read both. The name is what tells: \
              a part of it, between underscores, is `password`, `token`, `key` and the like, and none is `public`, `file` or \
              `version`.",
        bad: image!("ARG DB_PASSWORD"),
        good: image!("RUN --mount=type=secret,id=db_password /usr/libexec/initdb --password-file /run/secrets/db_password"),
        ignore: "",
        severity: Severity::Warning,
        origin: Origin::BuildKit,
        experimental: false,
        check: secrets,
    },
    Rule {
        name: "ArgNameUnusable",
        sentence: "The name of an ARG is letters, digits and underscores",
        why: "No `$name` can reach another one, though every builder accepts it.",
        bad: image!("ARG web-root=/srv"),
        good: image!("ARG web_root=/srv"),
        ignore: "",
        severity: Severity::Warning,
        origin: Origin::Containerbuild,
        experimental: false,
        check: unusable_name,
    },
];

fn undefined_in_from(checked: &Checked, broken: &mut Broken) {
    let global = Scope::global(checked);
    for stage in &checked.file.stages {
        for word in std::iter::once(&stage.from.image).chain(&stage.from.platform) {
            for name in scope::names_in(word, checked.file.escape) {
                if global.defines(&name) || broken.is_full() {
                    continue;
                }
                let found = Found::new(stage.span, format!("FROM uses `${name}`, which no ARG before the first FROM declares"));
                let hint = did_you_mean(&name, global.names());
                broken.push(
                    pointed(checked, found, &name).with_hint(hint.unwrap_or_else(|| format!("add ARG {name}=… at the top"))),
                );
            }
        }
    }
}

fn invalid_default(checked: &Checked, broken: &mut Broken) {
    let global = Scope::global(checked);
    // That is the matter of UndefinedArgInFrom.
    let undeclared = |stage: &crate::Stage| {
        let names = stage.from.platform.iter().flat_map(|word| scope::names_in(word, checked.file.escape));
        names.into_iter().any(|name| !global.defines(&name))
    };
    for problem in checked.default_problems {
        if checked.file.stages.iter().any(|stage| stage.span == problem.span && undeclared(stage)) {
            continue;
        }
        let message = format!("without build arguments: {}", problem.message);
        broken.push(Found { hint: problem.hint.clone(), ..Found::new(problem.span, message) });
    }
    for stage in checked.file.stages.iter().filter(|s| s.from.image.contains('$')) {
        // A variable without a value is empty; `Scope` knows it as unknown.
        let lookup = |name: &str| global.expand(&format!("${{{name}}}"), checked.file.escape);
        let Ok(image) = crate::expand(&stage.from.image, checked.file.escape, &lookup) else { continue };
        let reported = checked.default_problems.iter().any(|p| p.span == stage.span);
        let names_stage = image == "scratch" || scope::earlier(checked, stage, &image).is_some();
        if !reported && !names_stage && ImageName::parse(&image).is_none() {
            let message = format!("without build arguments FROM names `{image}`, which is not an image");
            let found = Found::new(stage.span, message).at(stage.from.image.as_str());
            broken.push(found.with_hint("give the ARG a default before the first FROM"));
        }
    }
}

fn undefined(checked: &Checked, broken: &mut Broken) {
    let elsewhere = defined_anywhere(checked);
    scope::walk(checked, &mut |_, instruction, scope| {
        let escape = checked.file.escape;
        let mut report = |span: Span, name: &str, own: &[&str]| {
            if !broken.is_full() && !own.contains(&name) && !scope.defines(name) {
                let found = Found::new(span, format!("`${name}` is used and not defined"));
                match explain(checked, name, scope, &elsewhere) {
                    Some(hint) => broken.push(pointed(checked, found, name).with_hint(hint)),
                    None if scope.complete || name.chars().any(char::is_lowercase) => broken.push(pointed(checked, found, name)),
                    // The base image may well define it.
                    None => {}
                }
            }
        };
        for name in scope::names_of(instruction, escape) {
            report(instruction.span, &name, &[]);
        }
        if let InstructionKind::Arg(declarations) = &instruction.kind {
            let mut own: Vec<&str> = Vec::new();
            for declaration in declarations {
                for name in declaration.default.iter().flat_map(|word| scope::names_in(word, escape)) {
                    report(instruction.span, &name, &own);
                }
                own.push(&declaration.name);
            }
        }
    });
}

/// What an undefined name was probably meant to be, if something tells.
fn explain(checked: &Checked, name: &str, scope: &Scope, elsewhere: &BTreeSet<&str>) -> Option<String> {
    if checked.file.global_args.iter().any(|a| a.name == name) || scope::platform_args().contains_key(name) {
        return Some(format!("add ARG {name} in this stage"));
    }
    if elsewhere.contains(name) {
        return Some("it is defined further down, or in another stage".to_owned());
    }
    did_you_mean(name, scope.names().filter(|known| near_enough(name, known)))
}

/// Two short names one letter apart are two names.
fn near_enough(name: &str, known: &str) -> bool {
    name.len() >= 4 && known.len() >= 4
}

/// Names that any ARG or ENV of the stages defines.
fn defined_anywhere<'a>(checked: &Checked<'a>) -> BTreeSet<&'a str> {
    let names = |instruction: &'a Instruction| -> Vec<&'a str> {
        match &instruction.kind {
            InstructionKind::Arg(args) => args.iter().map(|a| a.name.as_str()).collect(),
            InstructionKind::Env(pairs) => pairs.iter().map(|p| p.key.as_str()).collect(),
            _ => Vec::new(),
        }
    };
    checked.instructions().flat_map(|(_, instruction)| names(instruction)).collect()
}

/// Points at `$name` or `${name`, whichever the instruction has.
fn pointed(checked: &Checked, found: Found, name: &str) -> Found {
    for form in [format!("${name}"), format!("${{{name}")] {
        if checked.locate(found.span, &form) != found.span {
            return found.at(form);
        }
    }
    found
}

fn secrets(checked: &Checked, broken: &mut Broken) {
    for (_, instruction) in checked.instructions() {
        let names: Vec<&str> = match &instruction.kind {
            InstructionKind::Arg(args) => args.iter().map(|a| a.name.as_str()).collect(),
            InstructionKind::Env(pairs) => pairs.iter().map(|p| p.key.as_str()).collect(),
            _ => continue,
        };
        for name in names.into_iter().filter(|n| names_a_secret(n)) {
            let message = format!("{} `{name}`: its value can be read by everyone who has the image", instruction.kind.name());
            let found = Found::new(instruction.span, message).at(name);
            broken.push(found.with_hint("use RUN --mount=type=secret, or a file that is mounted when the image is run"));
        }
    }
}

/// BuildKit's words, each between underscores.
fn names_a_secret(name: &str) -> bool {
    const SECRET: [&str; 10] =
        ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];
    const HARMLESS: [&str; 3] = ["public", "file", "version"];
    let has = |words: &[&str]| name.split('_').any(|part| words.iter().any(|word| part.eq_ignore_ascii_case(word)));
    has(&SECRET) && !has(&HARMLESS)
}

fn unusable_name(checked: &Checked, broken: &mut Broken) {
    for warning in checked.parser_warnings("is not a name that can be used as") {
        broken.push(Found { hint: warning.hint.clone(), ..Found::new(warning.span, warning.message.as_str()) });
    }
}
