//! Makes the document of what a build or a verification found.

use std::collections::BTreeMap;

use super::document::{By, KojiRpm, Package, Provenance, Request, RpmDbSection, SCHEMA_VERSION};
use super::{ParentImage, Why};
use crate::gate::Pin;
use crate::proof::{PackageVerdict, ProvenPackage};
use crate::{Proof, Verdict};

/// What a document is made of. What is not here (files, policy, differences) is set on the document.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// Name-version-release of the image, or what else it is called.
    pub image: &'a str,
    /// Architecture.
    pub arch: &'a str,
    /// The build target, of a build.
    pub target: Option<&'a str>,
    /// The SCM URL with its commit.
    pub source: Option<&'a str>,
    /// Digest of the manifest, once it is known.
    pub manifest_digest: Option<&'a str>,
    /// Bytes of all layers as they are pushed.
    pub size: Option<u64>,
    /// Labels of the finished image.
    pub labels: Option<&'a BTreeMap<String, String>>,
    /// The images it is made from.
    pub parents: &'a [ParentImage],
    /// What the content sources were pinned to.
    pub pins: &'a [Pin],
    /// The gate's verdicts.
    pub verdicts: &'a [Verdict],
    /// The proof.
    pub proof: &'a Proof,
    /// Why each package of the proof is there, in its order; empty when nobody asked.
    pub why: &'a [Option<Why>],
}

impl<'a> Report<'a> {
    /// A report that knows only the proof.
    pub fn of(image: &'a str, arch: &'a str, proof: &'a Proof) -> Self {
        Self {
            image,
            arch,
            target: None,
            source: None,
            manifest_digest: None,
            size: None,
            labels: None,
            parents: &[],
            pins: &[],
            verdicts: &[],
            proof,
            why: &[],
        }
    }
}

/// The document, without files, policy and differences.
pub fn provenance(report: &Report<'_>) -> Provenance {
    let proof = report.proof;
    let sources: BTreeMap<&str, &str> =
        report.verdicts.iter().filter(|v| v.released).filter_map(|v| Some((v.url.as_str(), v.source.as_deref()?))).collect();
    let mut document = Provenance {
        schema_version: SCHEMA_VERSION,
        image: report.image.to_owned(),
        arch: report.arch.to_owned(),
        target: report.target.map(str::to_owned),
        source: report.source.map(str::to_owned),
        manifest_digest: report.manifest_digest.map(str::to_owned),
        size: report.size,
        labels: report.labels.cloned(),
        parents: report.parents.to_vec(),
        all_proven: proof.all_proven(),
        rpmdb: RpmDbSection { path: proof.rpmdb_path.clone(), format: proof.rpmdb_format },
        sources: report.pins.to_vec(),
        packages: proof
            .packages
            .iter()
            .enumerate()
            .map(|(at, p)| package(p, report.why.get(at).cloned().flatten(), &sources))
            .collect(),
        public_keys: proof.public_keys.iter().map(|k| k.nvra.nvr.to_string()).collect(),
        new_public_keys: proof.new_public_keys.iter().map(|key| key.nvr.to_string()).collect(),
        removed: proof.removed.iter().map(ToString::to_string).collect(),
        problems: proof.problems.clone(),
        requests: report.verdicts.iter().map(request).collect(),
        ..Provenance::default()
    };
    document.settle();
    document
}

fn package(package: &ProvenPackage, why: Option<Why>, sources: &BTreeMap<&str, &str>) -> Package {
    let ident = &package.ident;
    let (verdict, by) = match package.verdict {
        PackageVerdict::Proven(by) => ("proven", Some(By::Digest(by))),
        PackageVerdict::NotChecked => ("not-checked", None),
        PackageVerdict::Refused(rule) => ("refused", Some(By::Rule(rule))),
    };
    let koji = package.koji.as_ref();
    let source = package.released_as.as_deref().and_then(|url| sources.get(url));
    Package {
        nvra: ident.nvra.to_string(),
        epoch: ident.epoch,
        sigmd5: ident.sigmd5.clone(),
        sha256header: ident.computed.sha256.clone(),
        source_rpm: ident.source_rpm.clone(),
        vendor: ident.vendor.clone(),
        size: ident.size,
        build_time: ident.build_time,
        signing_key: ident.signing_key.clone(),
        verdict: verdict.to_owned(),
        by,
        origin: package.origin,
        released_as: package.released_as.clone(),
        koji: koji.map(|k| KojiRpm { rpm_id: k.rpm_id, build_id: k.build_id, build_nvr: k.build_nvr.clone() }),
        content_source: source.map(|s| (*s).to_owned()),
        why,
        tags: None,
        koji_keys: None,
    }
}

fn request(verdict: &Verdict) -> Request {
    Request {
        at: verdict.at,
        method: verdict.method.clone(),
        url: verdict.url.clone(),
        source: verdict.source.clone(),
        rule: verdict.rule,
        released: verdict.released,
        evidence: verdict.evidence.clone(),
        nvra: verdict.nvra.as_ref().map(ToString::to_string),
        checksum: verdict.checksum.clone(),
        sha256header: verdict.sha256header.clone(),
        step: verdict.step.clone(),
        requests: verdict.requests,
        remedy: verdict.remedy.clone(),
    }
}
