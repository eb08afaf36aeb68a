//! The images of all architectures must hold the same versions of the RPMs they share: an image that is patched on one
//! architecture and not on another is two images under one name. The site's rules `[[policy.same_versions]]` say what may
//! differ. Judged from the proven rpmdbs, before the index exists.

use build_model::{Blame, Diagnose, TargetName};
use rpm_provenance::policy::{ArchPackages, Policy, RuleOutcome, Ruling};

use crate::task::arch_result::ArchResult;

/// RPMs differ between architectures, and a rule refuses that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the architectures hold different versions of the same RPMs:\n{lines}")]
pub struct ArchesDiffer {
    /// One line a rule.
    lines: String,
    /// What to do, one sentence a rule.
    remedies: String,
}

impl Diagnose for ArchesDiffer {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "arches-differ"
    }
    fn hint(&self) -> Option<String> {
        Some(format!("{}; a site can except packages in [[policy.same_versions]]", self.remedies))
    }
}

/// Compares epoch, version and release of the RPMs of the same name; returns what the site wants told.
///
/// # Errors
/// [`ArchesDiffer`] with the RPMs that differ, where a rule refuses that.
pub fn compare_arches(results: &[ArchResult], policy: &Policy<'_>, target: &TargetName) -> Result<Vec<String>, ArchesDiffer> {
    let images: Vec<ArchPackages<'_>> = results.iter().map(packages).collect();
    let outcomes = policy.judge_arches(Some(&target.0), &images);
    let refused: Vec<&RuleOutcome> = outcomes.iter().filter(|o| o.ruling == Ruling::Refused).collect();
    if refused.is_empty() {
        return Ok(outcomes.iter().filter(|o| o.ruling == Ruling::Warned).map(RuleOutcome::line).collect());
    }
    let lines: Vec<String> = refused.iter().map(|outcome| format!("  {}", outcome.line())).collect();
    let remedies: Vec<&str> = refused.iter().map(|outcome| outcome.remedy.as_str()).collect();
    Err(ArchesDiffer { lines: lines.join("\n"), remedies: remedies.join("; ") })
}

fn packages(result: &ArchResult) -> ArchPackages<'_> {
    let evr = |rpm: &content_generator::RpmComponent| {
        let epoch = rpm.epoch.filter(|epoch| *epoch > 0).map(|epoch| format!("{epoch}:")).unwrap_or_default();
        format!("{epoch}{}-{}", rpm.nvra.nvr.version, rpm.nvra.nvr.release)
    };
    let packages = result.components.iter().map(|rpm| (rpm.nvra.nvr.name.as_str(), evr(rpm))).collect();
    ArchPackages { arch: result.arch.as_str(), packages }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PolicySettings;
    use crate::task::arch_result::tests::arch_result;

    fn compare(results: &[ArchResult], same_versions: serde_json::Value) -> Result<Vec<String>, ArchesDiffer> {
        let settings = match same_versions {
            serde_json::Value::Null => PolicySettings::default(),
            rules => PolicySettings { same_versions: serde_json::from_value(rules).expect("rules"), ..PolicySettings::default() },
        };
        compare_arches(results, &settings.rules(), &TargetName("f40".into()))
    }

    #[test]
    fn the_same_versions_pass_whatever_else_an_arch_has() {
        let results = [
            arch_result("x86_64", &["bash-5.2-1.x86_64", "tzdata-2024a-1.noarch", "grub2-2-1.x86_64"]),
            arch_result("aarch64", &["bash-5.2-1.aarch64", "tzdata-2024a-1.noarch"]),
        ];
        assert_eq!(compare(&results, serde_json::Value::Null), Ok(Vec::new()));
    }

    #[test]
    fn every_difference_is_named_with_versions_and_arches_unless_the_site_excepts_it() {
        let mut results = [
            arch_result("x86_64", &["bash-5.2-1.x86_64", "kernel-1-1.x86_64", "kernel-2-1.x86_64", "vim-9-1.x86_64"]),
            arch_result("aarch64", &["bash-5.2-2.aarch64", "kernel-2-1.aarch64", "vim-9-1.aarch64"]),
            arch_result("s390x", &["bash-5.2-1.s390x", "kernel-2-1.s390x", "vim-9-1.s390x"]),
        ];
        results[2].components[2].epoch = Some(1);
        let error = compare(&results, serde_json::Value::Null).expect_err("they differ");
        assert_eq!(
            error.lines,
            "  bash: 5.2-1 on x86_64, s390x; 5.2-2 on aarch64; kernel: 1-1 on x86_64; 2-1 on x86_64, aarch64, s390x; \
             vim: 1:9-1 on s390x; 9-1 on x86_64, aarch64 \
             (rule same_versions/equal-arches: one N-V-R is one content, whatever the machine)"
        );
        let rule = |decision: &str, except: &[&str], target: &str| serde_json::json!([{"name": "n", "reason": "r", "decision": decision, "except": except, "targets": [target]}]);
        assert_eq!(compare(&results, rule("refuse", &["ba*", "kernel", "vim"], "f40")), Ok(Vec::new()));
        assert_eq!(compare(&results, rule("refuse", &[], "eln")), Ok(Vec::new()));
        assert_eq!(compare(&results, rule("warn", &[], "f40")).expect("warned").len(), 1);
    }
}
