//! What FROM lines and importing ARGs see: the platform's ARGs, the global ARGs, the build arguments (engine notes S1, S2).

use std::collections::BTreeMap;

use super::{PlanOptions, PlannedStage, settings};
use crate::problem::did_you_mean;
use crate::{Dockerfile, InstructionKind, Platform, Problem, Span, expand};

/// Proxy variables: usable in RUN without an ARG, in either case.
const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// Whether a name is one of the proxy variables.
pub(crate) fn is_proxy(name: &str) -> bool {
    PROXIES.iter().any(|p| *p == name || p.to_ascii_lowercase() == name)
}

/// The global scope after all global ARGs. Build arguments are in it even where no global ARG declares them.
pub(super) fn evaluate(
    file: &Dockerfile,
    options: &PlanOptions,
    target: usize,
    problems: &mut Vec<Problem>,
) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let target_name = options.target.clone().or_else(|| file.stages.get(target).and_then(|s| s.name.clone()));
    let mut scope = platform_args(&options.platform, target_name.as_deref());
    for (name, value) in scope.iter_mut() {
        if let Some(given) = options.build_args.get(name) {
            value.clone_from(given);
        }
    }
    for arg in &file.global_args {
        let value = match (options.build_args.get(&arg.name), &arg.default) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(word)) => match expand(word, file.escape, &|name| scope.get(name).cloned()) {
                Ok(value) => Some(value),
                Err(error) => {
                    problems.push(super::references::expansion_problem(&error, arg.span, &format!("ARG {}={word}", arg.name)));
                    None
                }
            },
            (None, None) => None,
        };
        if let Some(value) = value {
            scope.insert(arg.name.clone(), value);
        }
    }
    let mut importable = scope.clone();
    importable.extend(options.build_args.iter().map(|(k, v)| (k.clone(), v.clone())));
    (scope, importable)
}

/// ARGs that every build has (reference, "Automatic platform ARGs in the global scope").
pub(crate) fn platform_args(platform: &Platform, target: Option<&str>) -> BTreeMap<String, String> {
    let mut args = BTreeMap::new();
    for side in ["TARGET", "BUILD"] {
        args.insert(format!("{side}PLATFORM"), platform.to_string());
        args.insert(format!("{side}OS"), platform.os.clone());
        args.insert(format!("{side}ARCH"), platform.architecture.clone());
        args.insert(format!("{side}VARIANT"), platform.variant.clone().unwrap_or_default());
    }
    args.insert("TARGETSTAGE".to_owned(), target.unwrap_or("default").to_owned());
    args
}

/// A warning for each build argument that nothing declares. ARGs in ONBUILD triggers count; those of base images are not known.
pub(super) fn unused_build_args(file: &Dockerfile, stages: &[PlannedStage], options: &PlanOptions) -> Vec<Problem> {
    let mut declared: Vec<&str> = file.global_args.iter().map(|a| a.name.as_str()).collect();
    for instruction in stages.iter().flat_map(|s| &s.instructions) {
        let kind = match &instruction.kind {
            InstructionKind::OnBuild(trigger) => &trigger.instruction.kind,
            kind => kind,
        };
        if let InstructionKind::Arg(args) = kind {
            declared.extend(args.iter().map(|a| a.name.as_str()));
        }
    }
    let platform = platform_args(&options.platform, None);
    let known =
        |name: &str| declared.contains(&name) || platform.contains_key(name) || is_proxy(name) || settings::is_followed(name);
    let unused = options.build_args.keys().filter(|name| !known(name));
    unused
        .map(|name| {
            let (message, hint) = match settings::is_setting(name) {
                true => (format!("the build argument `{name}` is a setting of BuildKit, and nothing follows from it here"), None),
                false => {
                    let near = did_you_mean(name, declared.iter().copied());
                    (format!("the build argument `{name}` is declared by no ARG"), near)
                }
            };
            let span = Span { first_line: 1, last_line: 1, column: 1 };
            Problem { span, message, source_line: String::new(), hint }
        })
        .collect()
}
