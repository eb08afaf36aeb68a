//! The `# check=` directive itself.

use crate::lint::check_directive::{self, boolean, parts, place};
use crate::lint::checked::Checked;
use crate::lint::rule::{Broken, Found, Origin, Rule, Severity};
use crate::problem::did_you_mean;

pub(super) const RULES: &[Rule] = &[Rule {
    name: "CheckDirectiveInvalid",
    sentence: "A check directive names options and rules that exist",
    why: "A misspelt rule is not skipped, and nothing else says why.",
    bad: concat!("# check=skip=DnfWithoutYess\n", image!()),
    good: concat!("# check=skip=DnfWithoutYes\n", image!("RUN dnf install nginx")),
    ignore: "",
    severity: Severity::Warning,
    origin: Origin::Containerbuild,
    experimental: false,
    check: directive,
}];

/// BuildKit's, not ours: it compares the base image's platform, and a builder that pulls does that anyway.
const ELSEWHERE: &str = "InvalidBaseImagePlatform";

fn directive(checked: &Checked, broken: &mut Broken) {
    for line in check_directive::all_lines(checked) {
        for (key, value) in parts(&line.value) {
            let found = |text: &str, message: String| Found::new(place(checked, &line, text), message);
            match (key, value) {
                ("skip" | "experimental", Some(list)) => {
                    for name in list.split(',').map(str::trim).filter(|n| !n.is_empty() && *n != "all" && *n != ELSEWHERE) {
                        if !super::rules().any(|rule| rule.name == name) {
                            let hint = did_you_mean(name, super::rules().map(|rule| rule.name));
                            let known = "`containerbuild lint --list` prints them".to_owned();
                            broken.push(found(name, format!("there is no rule `{name}`")).with_hint(hint.unwrap_or(known)));
                        }
                    }
                }
                ("error", Some(value)) if boolean(value).is_some() => {}
                ("error", _) => broken.push(found(key, "`error` is true or false".to_owned())),
                _ => {
                    let hint = did_you_mean(key, ["skip", "experimental", "error"]);
                    let known = "they are skip=, experimental= and error=".to_owned();
                    broken.push(
                        found(key, format!("`{key}` is not an option of a check directive")).with_hint(hint.unwrap_or(known)),
                    );
                }
            }
        }
    }
}
