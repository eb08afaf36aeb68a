//! docs/LINT.md, written from the rules. A test holds the file in the repository to it.

use std::fmt::Write as _;

use super::rule::{Origin, Rule};
use super::rules::rules;

const INTRODUCTION: &str = "\
# Lint rules

<!-- Written by `containerbuild lint --list --markdown`; change the rules in crates/dockerfile/src/lint/rules instead. -->

`containerbuild lint FILE|DIR…` reads Dockerfiles as a build would and applies the rules below. In a directory it takes
`Dockerfile`, else `Containerfile`. Nothing is built or fetched.

| exit status | meaning |
|---|---|
| 0 | valid, and no rule is broken |
| 1 | valid, and rules are broken |
| 2 | not a valid Dockerfile (every problem is shown), not readable, or rules are broken in a file with `# check=error=true` |

`--no-rules` looks only at whether the file is valid. `--json` prints the same as JSON, one object a file.

A comment at the top of the file switches rules off, or makes broken rules an error; right above an instruction it counts for
that one only:

```dockerfile
# check=skip=JSONArgsRecommended,DnfWithoutYes;error=true
```

`skip=all` switches all rules off. Experimental rules are off unless `experimental=NAME` (or `all`) asks for them.

*Refused* means that a Koji build of the file is refused, or fails, for this reason. Rules with the origin BuildKit have the
name and meaning of its [build checks](https://docs.docker.com/reference/build-checks/). One of those is not here:
InvalidBaseImagePlatform needs the image, and nothing is fetched; a build refuses an image for another platform.

";

/// The document: every rule with its reason and examples.
pub fn markdown() -> String {
    let mut out = INTRODUCTION.to_owned();
    out.push_str("| rule | asks for | severity | origin |\n|---|---|---|---|\n");
    for rule in rules() {
        let anchor = rule.name.to_ascii_lowercase();
        let row = format!("| [{}](#{anchor}) | {} | {} | {} |\n", rule.name, rule.sentence, severity(rule), origin(rule));
        out.push_str(&row);
    }
    for rule in rules() {
        // Writing to a String cannot fail.
        let _ = write!(out, "\n## {}\n\n{}. {}\n", rule.name, rule.sentence, rule.why);
        if !rule.ignore.is_empty() {
            let _ = write!(out, "\nWith this `.dockerignore`:\n\n```text\n{}```\n", rule.ignore);
        }
        let _ = write!(out, "\nBad:\n\n```dockerfile\n{}```\n\nGood:\n\n```dockerfile\n{}```\n", rule.bad, rule.good);
    }
    out
}

fn severity(rule: &Rule) -> &'static str {
    if rule.experimental { "experimental" } else { rule.severity.word() }
}

fn origin(rule: &Rule) -> &'static str {
    match rule.origin {
        Origin::BuildKit => "BuildKit",
        Origin::Containerbuild => "containerbuild",
    }
}
