//! Reports of a build's provenance: `provenance.json` (docs/provenance-json.md) and a table for people.

use serde_json::{Value, json};

use crate::gate::Pin;
use crate::proof::{Origin, PackageVerdict, ProvenPackage};
use crate::{Proof, Verdict};

/// Version of the JSON form; raised when a reader of the older form would misread it.
pub const SCHEMA_VERSION: u32 = 1;

/// What a report is made of.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// Name-version-release of the image, or what else it is called.
    pub image: &'a str,
    /// Architecture.
    pub arch: &'a str,
    /// Digest of the manifest, once it is known.
    pub manifest_digest: Option<&'a str>,
    /// What the content sources were pinned to.
    pub pins: &'a [Pin],
    /// The gate's verdicts.
    pub verdicts: &'a [Verdict],
    /// The proof.
    pub proof: &'a Proof,
}

/// The report as `provenance.json` has it. Keys are sorted; the same build gives the same text but for `at`.
pub fn json(report: &Report<'_>) -> Value {
    let proof = report.proof;
    json!({
        "schema_version": SCHEMA_VERSION,
        "image": report.image,
        "arch": report.arch,
        "manifest_digest": report.manifest_digest,
        "all_proven": proof.all_proven(),
        "rpmdb": { "path": proof.rpmdb_path, "format": proof.rpmdb_format },
        "sources": report.pins,
        "packages": proof.packages.iter().map(package).collect::<Vec<_>>(),
        "public_keys": proof.public_keys.iter().map(|k| k.nvra.nvr.to_string()).collect::<Vec<_>>(),
        "removed": proof.removed.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "problems": proof.problems,
        "requests": report.verdicts.iter().map(request).collect::<Vec<_>>(),
    })
}

fn package(package: &ProvenPackage) -> Value {
    let ident = &package.ident;
    let (verdict, by) = match package.verdict {
        PackageVerdict::Proven(by) => ("proven", json!(by)),
        PackageVerdict::NotChecked => ("not-checked", Value::Null),
        PackageVerdict::Refused(rule) => ("refused", json!(rule)),
    };
    let koji = package.koji.as_ref().map(|k| json!({ "rpm_id": k.rpm_id, "build_id": k.build_id, "build_nvr": k.build_nvr }));
    json!({
        "nvra": ident.nvra.to_string(),
        "epoch": ident.epoch,
        "sigmd5": ident.sigmd5,
        "sha256header": ident.computed.sha256,
        "source_rpm": ident.source_rpm,
        "vendor": ident.vendor,
        "size": ident.size,
        "build_time": ident.build_time,
        "signing_key": ident.signing_key,
        "verdict": verdict,
        "by": by,
        "origin": package.origin,
        "released_as": package.released_as,
        "koji": koji,
    })
}

fn request(verdict: &Verdict) -> Value {
    json!({
        "at": verdict.at,
        "method": verdict.method,
        "url": verdict.url,
        "source": verdict.source,
        "rule": verdict.rule,
        "released": verdict.released,
        "evidence": verdict.evidence,
        "nvra": verdict.nvra.as_ref().map(ToString::to_string),
        "checksum": verdict.checksum,
        "step": verdict.step,
        "requests": verdict.requests,
        "remedy": verdict.remedy,
    })
}

/// The report for people: what is wrong first, then a line for each package, then what was refused on the way.
pub fn text(report: &Report<'_>) -> String {
    let proof = report.proof;
    let count = |origin| proof.packages.iter().filter(|p| p.origin == origin).count();
    let mut out = format!("RPM provenance of {} ({})\n", report.image, report.arch);
    let unchecked = proof.packages.iter().any(|p| p.verdict == PackageVerdict::NotChecked);
    out.push_str(&match (proof.all_proven(), proof.problems.len()) {
        (true, _) => "every RPM was built in this Koji\n".to_owned(),
        (false, 0) if unchecked => "the RPMs were not checked: no hub is set\n".to_owned(),
        (false, n) => format!("NOT PROVEN: {n} problems\n"),
    });
    for problem in &proof.problems {
        out.push_str(&format!("  {problem}\n"));
    }
    out.push_str(&format!(
        "{} RPMs: {} inherited, {} from the gate, {} from elsewhere; {} public keys; {} removed\n",
        proof.packages.len(),
        count(Origin::Inherited),
        count(Origin::Gate),
        count(Origin::Other),
        proof.public_keys.len(),
        proof.removed.len(),
    ));
    let claimed = proof.claimed_only().count();
    if claimed > 0 {
        out.push_str(&format!("{claimed} of them are matched by SIGMD5 alone, and did not come through the gate\n"));
    }
    for pin in report.pins {
        out.push_str(&format!("content source {}: {} (repomd.xml sha256:{})\n", pin.name, pin.base_url, pin.repomd_sha256));
    }
    let rows: Vec<[String; 5]> = proof.packages.iter().map(row).collect();
    let head = ["RPM", "VERDICT", "ORIGIN", "KOJI BUILD", "KEY"].map(str::to_owned);
    if !rows.is_empty() {
        out.push('\n');
        out.push_str(&table(std::iter::once(&head).chain(&rows)));
    }
    let refused: Vec<&Verdict> = report.verdicts.iter().filter(|v| v.refused()).collect();
    if !refused.is_empty() {
        out.push_str(&format!("\n{} requests refused:\n", refused.len()));
        for verdict in refused {
            out.push_str(&format!("  {verdict}\n"));
        }
    }
    out
}

fn row(package: &ProvenPackage) -> [String; 5] {
    let verdict = match package.verdict {
        PackageVerdict::Proven(by) => format!("proven by {}", by.describe()),
        PackageVerdict::NotChecked => "not checked".to_owned(),
        PackageVerdict::Refused(rule) => format!("REFUSED {rule}"),
    };
    let origin = match package.origin {
        Origin::Inherited => "inherited",
        Origin::Gate => "gate",
        Origin::Other => "other",
    };
    let build = package.koji.as_ref().map(|k| k.build_nvr.clone().unwrap_or_else(|| k.build_id.to_string()));
    let key = package.ident.sigkey().unwrap_or("unsigned");
    [package.ident.nevra(), verdict, origin.to_owned(), build.unwrap_or_else(|| "-".to_owned()), key.to_owned()]
}

/// Left-aligned columns.
fn table<'a>(rows: impl Iterator<Item = &'a [String; 5]> + Clone) -> String {
    let mut widths = [0usize; 5];
    for row in rows.clone() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}
