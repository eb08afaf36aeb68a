//! The options of `buildContainer`, as one type for the hub's check, the worker and the CLI.
//!
//! The names and shapes are koji-containerbuild's (`PARAMS_SCHEMA` of its builder plugin): every key may be null,
//! `skip_build: false` is accepted because rpkg always sends it, unknown keys are refused with the nearest valid one.
//! Unlike there, everything is checked before a task exists.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::option_values::{boolean, check_keys, map_of, string, userdata, wrong};
use crate::{Arch, BuildKind, ParamsError};

/// Validated options of one build.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BuildContainerParams {
    /// Build and push under a unique tag only; no Koji build.
    pub scratch: bool,
    /// A build beside the main line: own release, no floating tags.
    pub isolated: bool,
    /// Branch of dist-git the commit belongs to. Required.
    pub git_branch: String,
    /// Architectures instead of the build tag's; scratch or isolated builds only.
    pub arch_override: Vec<Arch>,
    /// `.repo` files offered besides the target's content.
    pub yum_repourls: Vec<String>,
    /// NVR that replaces the parent image.
    pub koji_parent_build: Option<String>,
    /// Replaces the `release` label.
    pub release: Option<String>,
    /// Free data copied to `extra.custom_user_metadata` of the build.
    pub userdata: Option<Map<String, Value>>,
    /// Decide everything, tell it, and build nothing.
    pub dry_run: bool,
}

const KEYS: &[&str] = &[
    "scratch",
    "isolated",
    "git_branch",
    "arch_override",
    "yum_repourls",
    "koji_parent_build",
    "release",
    "userdata",
    "dry_run",
    "compose_ids",
    "signing_intent",
    "flatpak",
    "dependency_replacements",
    "operator_csv_modifications_url",
    "skip_build",
];

/// Keys that are accepted when they say nothing (null, false, empty) and refused otherwise.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("compose_ids", "there is no compose service; offer content through the target's content sources"),
    ("signing_intent", "signing keys are the site's policy, per content source"),
    ("flatpak", "flatpaks are built by koji-flatpak"),
    ("dependency_replacements", "images hold only RPMs built in this Koji"),
    ("operator_csv_modifications_url", "operator bundles are not built here"),
    ("skip_build", "a build is always built"),
];

impl BuildContainerParams {
    /// Checks the `opts` argument of `buildContainer`.
    ///
    /// # Errors
    /// The first problem found, in the order: shape, unknown keys, types, unsupported keys, rules between keys.
    pub fn from_opts(opts: &Value) -> Result<Self, ParamsError> {
        let map = &map_of(opts)?;
        check_keys(map, KEYS, UNSUPPORTED)?;
        let params = Self {
            scratch: boolean(map, "scratch")?,
            isolated: boolean(map, "isolated")?,
            git_branch: string(map, "git_branch")?.unwrap_or_default(),
            arch_override: arches(map)?,
            yum_repourls: urls(map)?,
            koji_parent_build: string(map, "koji_parent_build")?,
            release: string(map, "release")?,
            userdata: userdata(map)?,
            dry_run: boolean(map, "dry_run")?,
        };
        params.check_rules()?;
        Ok(params)
    }

    /// The options as they are stored in the task: only what says something.
    pub fn to_opts(&self) -> Value {
        let mut map = Map::new();
        map.insert("git_branch".into(), self.git_branch.clone().into());
        for (key, on) in [("scratch", self.scratch), ("isolated", self.isolated), ("dry_run", self.dry_run)] {
            if on {
                map.insert(key.into(), true.into());
            }
        }
        if !self.arch_override.is_empty() {
            // Space separated in the task, as pungi and the earlier builder split it.
            let names: Vec<&str> = self.arch_override.iter().map(Arch::as_str).collect();
            map.insert("arch_override".into(), names.join(" ").into());
        }
        if !self.yum_repourls.is_empty() {
            map.insert("yum_repourls".into(), self.yum_repourls.clone().into());
        }
        for (key, value) in [("koji_parent_build", &self.koji_parent_build), ("release", &self.release)] {
            if let Some(value) = value {
                map.insert(key.into(), value.clone().into());
            }
        }
        if let Some(userdata) = &self.userdata {
            map.insert("userdata".into(), Value::Object(userdata.clone()));
        }
        Value::Object(map)
    }

    /// Scratch, isolated or normal.
    pub fn kind(&self) -> BuildKind {
        match (self.scratch, self.isolated) {
            (true, _) => BuildKind::Scratch,
            (false, true) => BuildKind::Isolated,
            (false, false) => BuildKind::Normal,
        }
    }

    fn check_rules(&self) -> Result<(), ParamsError> {
        let invalid = |key, rule: &str| Err(ParamsError::Invalid { key, rule: rule.to_owned() });
        if self.git_branch.is_empty() {
            return invalid("git_branch", "the branch of the commit must be given (--git-branch)");
        }
        if self.git_branch.starts_with('-') || self.git_branch.contains("..") || self.git_branch.bytes().any(|b| b <= b' ') {
            return invalid("git_branch", "this cannot be the name of a branch");
        }
        if self.scratch && self.isolated {
            return invalid("isolated", "a build cannot be both isolated and scratch");
        }
        if !self.arch_override.is_empty() && self.kind() == BuildKind::Normal {
            return invalid("arch_override", "only scratch and isolated builds may choose their architectures");
        }
        match &self.release {
            Some(release) if !release_is_valid(release) => {
                return invalid(
                    "release",
                    "a release is digits, then optional parts of letters and digits after dots or underscores; no dash",
                );
            }
            Some(release) if self.isolated && !isolated_release_is_valid(release) => {
                return invalid("release", "the release of an isolated build has the form NUMBER.NUMBER or NUMBER.NUMBER.SUFFIX");
            }
            None if self.isolated => return invalid("release", "an isolated build needs an explicit release (--release)"),
            _ => {}
        }
        Ok(())
    }
}

fn release_is_valid(release: &str) -> bool {
    let mut parts = release.split(['.', '_']);
    let first_is_number = parts.next().is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    first_is_number && parts.all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric()))
}

fn isolated_release_is_valid(release: &str) -> bool {
    let number = |p: Option<&str>| p.is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    let mut parts = release.split('.');
    number(parts.next()) && number(parts.next())
}

fn arches(map: &Map<String, Value>) -> Result<Vec<Arch>, ParamsError> {
    let text = string(map, "arch_override")?.unwrap_or_default();
    text.split_ascii_whitespace()
        .map(|name| Arch::canonical(name).map_err(|e| ParamsError::Invalid { key: "arch_override", rule: e.to_string() }))
        .collect()
}

fn urls(map: &Map<String, Value>) -> Result<Vec<String>, ParamsError> {
    const KEY: &str = "yum_repourls";
    let items = match map.get(KEY) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(other) => return Err(wrong(KEY, "a list of URLs", other)),
    };
    items
        .iter()
        .map(|item| match item {
            Value::String(text) => match url::Url::parse(text) {
                Ok(url) if matches!(url.scheme(), "http" | "https") && url.password().is_none() => Ok(text.clone()),
                _ => Err(ParamsError::Invalid {
                    key: KEY,
                    rule: "each entry must be an http or https URL without a password".into(),
                }),
            },
            other => Err(wrong(KEY, "a list of URLs", other)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(opts: Value) -> String {
        BuildContainerParams::from_opts(&opts).expect_err("must be refused").to_string()
    }

    #[test]
    fn what_rpkg_sends_is_accepted_nulls_and_all() {
        let opts = json!({"scratch": false, "isolated": false, "release": null, "koji_parent_build": null, "git_branch": "f40",
            "signing_intent": null, "skip_build": false, "yum_repourls": null, "dependency_replacements": null, "compose_ids": null});
        let params = BuildContainerParams::from_opts(&opts).expect("rpkg's options");
        assert_eq!(params.kind(), BuildKind::Normal);
        assert_eq!(params.to_opts(), json!({"git_branch": "f40"}));
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_one() {
        assert_eq!(message(json!({"git_branch": "f40", "scrtach": true})), "unknown option `scrtach`; did you mean `scratch`?");
    }

    #[test]
    fn rules_between_keys_are_checked() {
        assert!(message(json!({})).contains("branch"));
        assert!(message(json!({"git_branch": "f40", "scratch": true, "isolated": true, "release": "1.1"})).contains("both"));
        assert!(message(json!({"git_branch": "f40", "arch_override": "x86_64"})).contains("only scratch and isolated"));
        assert!(message(json!({"git_branch": "f40", "isolated": true})).contains("explicit release"));
        assert!(message(json!({"git_branch": "f40", "isolated": true, "release": "7"})).contains("NUMBER.NUMBER"));
        assert!(message(json!({"git_branch": "f40", "release": "1-2"})).contains("no dash"));
        assert!(message(json!({"git_branch": "f40", "skip_build": true})).contains("always built"));
    }

    #[test]
    fn wrong_types_name_the_key_and_both_types() {
        assert_eq!(message(json!({"git_branch": 40})), "option `git_branch` must be a string, not a number");
        assert_eq!(message(json!(["scratch"])), "the options must be a struct, not a list");
    }

    #[test]
    fn arch_override_is_space_separated_and_canonical() {
        let params =
            BuildContainerParams::from_opts(&json!({"git_branch": "f40", "scratch": true, "arch_override": "x86_64  i686"}))
                .expect("params");
        assert_eq!(params.arch_override.iter().map(Arch::as_str).collect::<Vec<_>>(), ["x86_64", "i386"]);
    }
}
