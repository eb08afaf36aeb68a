//! The images of all architectures must hold the same versions of the RPMs they share: an image that is patched on one
//! architecture and not on another is two images under one name. Checked from the proven rpmdbs, before the index exists.

use std::collections::{BTreeMap, BTreeSet};

use build_model::{Blame, Diagnose};

use crate::task::arch_result::ArchResult;

/// RPMs differ between architectures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the architectures hold different versions of the same RPMs:\n{}", .0.join("\n"))]
pub struct ArchesDiffer(Vec<String>);

impl Diagnose for ArchesDiffer {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "arches-differ"
    }
    fn hint(&self) -> Option<String> {
        Some(
            "build again when the RPM is available in one version for all arches; a site can except packages with \
             policy.rpm_versions_may_differ"
                .into(),
        )
    }
}

/// Compares epoch, version and release of the RPMs of the same name. RPMs that only some architectures have are fine:
/// boot loaders and emulation libraries are like that.
///
/// # Errors
/// [`ArchesDiffer`] with every RPM that differs and is not among `excepted`.
pub fn compare_arches(results: &[ArchResult], excepted: &[String]) -> Result<(), ArchesDiffer> {
    // name → versions (several of one name can be installed) → the arches that have exactly these
    let mut found: BTreeMap<&str, BTreeMap<BTreeSet<String>, Vec<&str>>> = BTreeMap::new();
    for result in results {
        let mut versions: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for rpm in &result.components {
            let nvr = &rpm.nvra.nvr;
            let evr = format!("{}:{}-{}", rpm.epoch.unwrap_or(0), nvr.version, nvr.release);
            versions.entry(&nvr.name).or_default().insert(evr);
        }
        for (name, evrs) in versions {
            found.entry(name).or_default().entry(evrs).or_default().push(result.arch.as_str());
        }
    }
    let differing = found.iter().filter(|(name, sets)| sets.len() > 1 && !excepted.iter().any(|e| e == *name));
    let lines: Vec<_> = differing
        .map(|(name, sets)| {
            let sets = sets.iter().map(|(evrs, arches)| {
                let evrs: Vec<_> = evrs.iter().map(|evr| evr.strip_prefix("0:").unwrap_or(evr)).collect();
                format!("{} on {}", evrs.join(" and "), arches.join(" "))
            });
            format!("  {name}: {}", sets.collect::<Vec<_>>().join(", "))
        })
        .collect();
    if lines.is_empty() { Ok(()) } else { Err(ArchesDiffer(lines)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::arch_result::tests::arch_result;

    #[test]
    fn the_same_versions_pass_whatever_else_an_arch_has() {
        let results = [
            arch_result("x86_64", &["bash-5.2-1.x86_64", "tzdata-2024a-1.noarch", "grub2-2-1.x86_64"]),
            arch_result("aarch64", &["bash-5.2-1.aarch64", "tzdata-2024a-1.noarch"]),
        ];
        assert_eq!(compare_arches(&results, &[]), Ok(()));
    }

    #[test]
    fn every_difference_is_named_with_versions_and_arches() {
        let mut results = [
            arch_result("x86_64", &["bash-5.2-1.x86_64", "kernel-1-1.x86_64", "kernel-2-1.x86_64", "vim-9-1.x86_64"]),
            arch_result("aarch64", &["bash-5.2-2.aarch64", "kernel-2-1.aarch64", "vim-9-1.aarch64"]),
            arch_result("s390x", &["bash-5.2-1.s390x", "kernel-2-1.s390x", "vim-9-1.s390x"]),
        ];
        results[2].components[2].epoch = Some(1);
        let error = compare_arches(&results, &[]).expect_err("they differ");
        assert_eq!(
            error.0,
            [
                "  bash: 5.2-1 on x86_64 s390x, 5.2-2 on aarch64",
                "  kernel: 1-1 and 2-1 on x86_64, 2-1 on aarch64 s390x",
                "  vim: 9-1 on x86_64 aarch64, 1:9-1 on s390x",
            ]
        );
        let excepted = ["bash", "kernel", "vim"].map(str::to_owned);
        assert_eq!(compare_arches(&results, &excepted), Ok(()));
    }
}
