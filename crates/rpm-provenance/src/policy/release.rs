//! The site's rules about RPMs as the gate holds to them: the same tables as the proof's, asked before a RUN gets the file.
//!
//! The gate refuses early, with the RUN and the URL; the proof judges the finished image, so an RPM that was inherited or
//! copied in is found as well. What only one of both can see: the gate has the file's own signature header, the proof what
//! is installed in the end. Made by the worker for one build target, asked by `gate/release.rs`.

use std::collections::BTreeMap;

use build_model::Nvra;

use super::packages::same_key;
use super::rule::{Named, Scope};
use super::{ContentTags, ForbiddenPackages, Policy, SigningKeys};
use crate::files::Decision;
use crate::{KnownSignature, Rule};

/// The rules of one build target that a file is held to before it is handed out.
#[derive(Debug, Clone, Default)]
pub struct ReleaseRules {
    signing_keys: Vec<SigningKeys>,
    content_tags: Vec<ContentTags>,
    packages: Vec<ForbiddenPackages>,
}

/// A rule of the site that an RPM breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    /// The stable word of a refusal.
    pub rule: Rule,
    /// Whether the site refuses; else it only wants it told.
    pub refuses: bool,
    /// What was seen, and the site's rule by name and reason.
    pub evidence: String,
    /// What a packager can do.
    pub remedy: String,
}

impl Objection {
    fn new(named: &impl Named, kind: &str, rule: Rule, seen: &str) -> Option<Self> {
        let refuses = match named.decision() {
            Decision::Allow => return None,
            Decision::Warn => false,
            Decision::Refuse => true,
        };
        let evidence = format!("{seen} (rule {kind}/{}: {})", named.name(), named.reason());
        Some(Objection { rule, refuses, evidence, remedy: named.remedy() })
    }
}

fn objection<R: Named>(rule: &R, word: Rule, seen: Option<String>) -> Option<Objection> {
    Objection::new(rule, R::CHECK, word, &seen?)
}

impl ReleaseRules {
    /// Those of a policy that are for builds of a target and for more than the finished image.
    pub fn of(policy: &Policy<'_>, target: Option<&str>) -> Self {
        ReleaseRules {
            signing_keys: policy.signing_keys.iter().filter(|r| r.scope == Scope::Build && r.is_for(target)).cloned().collect(),
            content_tags: policy.content_tags.iter().filter(|r| r.scope == Scope::Build && r.is_for(target)).cloned().collect(),
            packages: policy.packages.iter().filter(|r| r.scope == Scope::Build && r.is_for(target)).cloned().collect(),
        }
    }

    /// Whether signatures matter.
    pub fn ask_for_keys(&self) -> bool {
        !self.signing_keys.is_empty()
    }

    /// The tags whose inheritance matters; `None` when tags do not matter at all.
    pub fn tags(&self) -> Option<Vec<String>> {
        let named = self.content_tags.iter().flat_map(ContentTags::plain_tags).cloned().collect();
        (!self.content_tags.is_empty()).then_some(named)
    }

    /// What stands against a package by its name.
    pub fn judge_name(&self, rpm: &Nvra) -> Vec<Objection> {
        let (name, nvr) = (rpm.nvr.name.as_str(), rpm.nvr.to_string());
        self.packages.iter().filter_map(|rule| objection(rule, Rule::BlockedPackage, rule.seen(name, &nvr))).collect()
    }

    /// What stands against a file by the key it names, whatever Koji recorded.
    pub fn judge_key(&self, rpm: &Nvra, key: Option<&str>) -> Vec<Objection> {
        self.judge_keys(rpm, key, |rule| rule.seen(key, None))
    }

    /// What stands against a file by its signature: the key must be allowed, and Koji must have recorded this very
    /// signature. `sighash` is the MD5 of the file's signature header, which is what Koji keeps (`rpmsigs.sighash`).
    pub fn judge_signature(&self, rpm: &Nvra, key: Option<&str>, sighash: &str, recorded: &[KnownSignature]) -> Vec<Objection> {
        let keys: Vec<String> = recorded.iter().map(|s| s.sigkey.clone()).filter(|key| !key.is_empty()).collect();
        let other = key.filter(|key| {
            let mut of_key = recorded.iter().filter(|s| same_key(&s.sigkey, key));
            !of_key.any(|s| s.sighash.eq_ignore_ascii_case(sighash))
        });
        let other = other.map(|key| format!("its signature of the key {key} is not the one that Koji recorded"));
        self.judge_keys(rpm, key, |rule| rule.seen(key, Some(&keys)).or_else(|| other.clone()))
    }

    /// What the rules about keys that hold for a package say of a file, by what each sees in it.
    fn judge_keys(&self, rpm: &Nvra, key: Option<&str>, seen: impl Fn(&SigningKeys) -> Option<String>) -> Vec<Objection> {
        let word = if key.is_none() { Rule::Unsigned } else { Rule::WrongKey };
        let rules = self.signing_keys.iter().filter(|rule| !rule.excepts(&rpm.nvr.name));
        rules.filter_map(|rule| objection(rule, word, seen(rule))).collect()
    }

    /// What stands against a package by the tags its build is in now. `inheritance` tells what the named tags inherit from.
    pub fn judge_tags(&self, rpm: &Nvra, now: &[String], inheritance: &BTreeMap<String, Vec<String>>) -> Vec<Objection> {
        let rules = self.content_tags.iter().filter(|rule| !rule.excepts(&rpm.nvr.name));
        rules.filter_map(|rule| objection(rule, Rule::WrongTag, rule.seen(now, &[], false, inheritance))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::FilePolicy;

    fn rules(json: serde_json::Value, target: &str) -> ReleaseRules {
        let list = |kind: &str| json.get(kind).cloned().unwrap_or_else(|| serde_json::json!([]));
        let signing_keys: Vec<SigningKeys> = serde_json::from_value(list("signing_keys")).expect("rules");
        let content_tags: Vec<ContentTags> = serde_json::from_value(list("content_tags")).expect("rules");
        let packages: Vec<ForbiddenPackages> = serde_json::from_value(list("packages")).expect("rules");
        let policy = Policy {
            signing_keys: &signing_keys,
            content_tags: &content_tags,
            packages: &packages,
            parent_images: &[],
            registries: &[],
            repositories: &[],
            labels: &[],
            same_versions: &[],
            size: &[],
            files: &FilePolicy::default(),
        };
        ReleaseRules::of(&policy, Some(target))
    }

    fn keys(allowed: &[&str]) -> ReleaseRules {
        rules(serde_json::json!({"signing_keys": [{"name": "ours", "reason": "r", "allowed": allowed}]}), "t")
    }

    fn web() -> Nvra {
        "web-1-1.x86_64".parse().expect("an NVRA")
    }

    fn known(sigkey: &str, sighash: &str) -> KnownSignature {
        KnownSignature { sigkey: sigkey.to_owned(), sighash: sighash.to_owned() }
    }

    #[test]
    fn an_allowed_key_counts_only_with_the_signature_koji_recorded() {
        let recorded = [known("", "00"), known("deadbeef", "aa"), known("12345678", "bb")];
        let judge = |rules: &ReleaseRules, key: Option<&str>, sighash: &str, recorded: &[KnownSignature]| {
            rules.judge_signature(&web(), key, sighash, recorded).first().map(|o| (o.rule, o.evidence.clone()))
        };
        let ours = keys(&["DEADBEEF"]);
        assert_eq!(judge(&ours, Some("00000000deadbeef"), "AA", &recorded), None);
        let (rule, evidence) = judge(&ours, Some("00000000deadbeef"), "bb", &recorded).expect("another signature");
        assert_eq!(rule, Rule::WrongKey);
        assert_eq!(
            evidence,
            "its signature of the key 00000000deadbeef is not the one that Koji recorded (rule signing_keys/ours: r)"
        );
        let claimed = judge(&ours, Some("00000000deadbeef"), "aa", &recorded[..1]).expect("not recorded").1;
        assert!(claimed.contains("Koji has no copy of it signed with that key"), "{claimed}");
        assert_eq!(judge(&ours, Some("0000000012345678"), "bb", &recorded).map(|o| o.0), Some(Rule::WrongKey));
        assert_eq!(judge(&ours, None, "00", &recorded).map(|o| o.0), Some(Rule::Unsigned));
        assert_eq!(judge(&keys(&["deadbeef", ""]), None, "00", &recorded), None, "unsigned ones are allowed");
        assert_eq!(judge(&ReleaseRules::default(), None, "", &[]), None);
    }

    #[test]
    fn what_is_forbidden_in_the_image_alone_may_be_used_on_the_way() {
        let rules = |scope: &str| {
            let rule = serde_json::json!({"name": "no-gcc", "reason": "r", "forbidden": ["gcc"], "scope": scope});
            rules(serde_json::json!({"packages": [rule]}), "t")
        };
        let gcc = "gcc-14-1.x86_64".parse().expect("an NVRA");
        let refused = rules("build").judge_name(&gcc);
        assert_eq!(refused.len(), 1);
        assert!(refused[0].refuses && refused[0].evidence == "`gcc` is forbidden (rule packages/no-gcc: r)", "{refused:?}");
        assert!(rules("build").judge_name(&web()).is_empty() && rules("image").judge_name(&gcc).is_empty());
    }

    #[test]
    fn rules_that_warn_are_told_and_rules_of_other_targets_are_not() {
        let rule =
            serde_json::json!({"name": "n", "reason": "r", "forbidden": ["web-1-*"], "decision": "warn", "targets": ["f4*"]});
        let told = rules(serde_json::json!({"packages": [rule.clone()]}), "f40").judge_name(&web());
        assert_eq!(told.iter().map(|o| o.refuses).collect::<Vec<_>>(), [false]);
        assert!(rules(serde_json::json!({"packages": [rule]}), "eln").judge_name(&web()).is_empty());
    }

    #[test]
    fn a_build_must_be_in_an_allowed_tag_now() {
        let rule = serde_json::json!({"name": "released", "reason": "r", "allowed": ["f40-updates"], "except": ["tz*"]});
        let rules = rules(serde_json::json!({"content_tags": [rule]}), "t");
        let inheritance = BTreeMap::from([("f40-updates".to_owned(), vec!["f40".to_owned()])]);
        let judge = |tags: &[&str]| {
            let tags: Vec<String> = tags.iter().map(|t| (*t).to_owned()).collect();
            rules.judge_tags(&web(), &tags, &inheritance).first().map(|o| (o.rule, o.evidence.clone()))
        };
        assert_eq!(rules.tags().expect("tags matter"), ["f40-updates"]);
        assert_eq!(judge(&["f40"]), None, "inherited");
        let (rule, evidence) = judge(&["f40-candidate"]).expect("another tag");
        assert_eq!(rule, Rule::WrongTag);
        assert_eq!(evidence, "its build is in f40-candidate, allowed are f40-updates (rule content_tags/released: r)");
        assert!(rules.judge_tags(&"tzdata-1-1.noarch".parse().expect("an NVRA"), &[], &inheritance).is_empty());
        assert_eq!(ReleaseRules::default().tags(), None);
    }
}
