//! The report for people: the answer first, then what matters, then everything.

use std::collections::HashSet;

use super::why::shortened;
use super::{Difference, Outcome, Package, Provenance, Reason};
use crate::Origin;
use crate::files;
use crate::policy::{RuleOutcome, Ruling};

/// Lines of a list that only few readers need; the JSON has them all.
const LINES: usize = 200;

/// The whole report.
pub fn text(document: &Provenance) -> String {
    let mut out = heading(document);
    out.push_str(&against(document));
    if let Some(previous) = &document.previous {
        out.push_str(&difference(previous, document));
    }
    out.push_str(&new_packages(document));
    if let Some(section) = &document.files {
        out.push_str(&files::report::text(section));
    }
    out.push_str(&inherited(document));
    out.push_str(&rules(document));
    out.push_str(&requests(document));
    out
}

fn heading(document: &Provenance) -> String {
    let word = match document.outcome {
        Outcome::Passed => "proven",
        Outcome::Warned => "proven, with warnings",
        Outcome::NotTold => "NOT TOLD",
        Outcome::Refused => "REFUSED",
    };
    let mut out = format!("{} ({}): {word}\n", document.image, document.arch);
    let count = |origin| document.packages.iter().filter(|p| p.origin == origin).count();
    let proven = document.packages.iter().filter(|p| p.verdict == "proven").count();
    let all = document.packages.len();
    out.push_str(&match (document.all_proven, proven) {
        (true, _) => format!("every RPM was built in this Koji: {all}"),
        (false, 0) if document.problems.is_empty() && all > 0 => format!("the RPMs were not checked: no hub was asked; {all}"),
        (false, _) => format!("NOT PROVEN: {} problems; of the RPMs, {proven} of {all} are Koji's", document.problems.len()),
    });
    out.push_str(&format!(
        " ({} inherited, {} from the gate, {} from elsewhere); {} public keys; {} removed\n",
        count(Origin::Inherited),
        count(Origin::Gate),
        count(Origin::Other),
        document.public_keys.len(),
        document.removed.len(),
    ));
    if let Some(size) = document.size {
        let than = document.previous.as_ref().and_then(|p| Some((p.size?, &p.nvr)));
        let than = than.map(|(before, nvr)| format!(", {} against {nvr}", signed(growth(before, size)))).unwrap_or_default();
        out.push_str(&format!("size {}{than}\n", megabytes(size)));
    }
    let lines = [
        ("manifest", document.manifest_digest.as_ref()),
        ("source", document.source.as_ref()),
        ("target", document.target.as_ref()),
    ];
    for (name, value) in lines {
        if let Some(value) = value {
            out.push_str(&format!("{name} {value}\n"));
        }
    }
    for parent in &document.parents {
        let build = match (&parent.build, &parent.foreign) {
            (Some(build), _) => format!("Koji build {}", build.nvr),
            (None, Some(why)) => format!("no Koji build: {why}"),
            (None, None) => "no Koji build".to_owned(),
        };
        let role = if parent.base { "base" } else { "parent" };
        out.push_str(&format!("{role} {}: {build}\n", parent.reference));
    }
    for pin in &document.sources {
        out.push_str(&format!("content source {}: {} (repomd.xml sha256:{})\n", pin.name, pin.base_url, pin.repomd_sha256));
    }
    out
}

/// What stands against the image, refusals first.
fn against(document: &Provenance) -> String {
    let mut out = String::new();
    for problem in &document.problems {
        out.push_str(&format!("  {problem}\n"));
    }
    for (ruling, word) in [(Ruling::Refused, "REFUSED"), (Ruling::NotTold, "not told"), (Ruling::Warned, "warning")] {
        for outcome in document.ruled(ruling) {
            out.push_str(&format!("  {word}: {}\n", outcome.line()));
            if ruling == Ruling::Refused {
                out.push_str(&format!("           {}\n", outcome.remedy));
            }
        }
    }
    for line in &document.not_told {
        out.push_str(&format!("  not told: {line}\n"));
    }
    if out.is_empty() { out } else { format!("\nWhat stands against it\n{out}") }
}

/// The differences to an earlier build.
pub(super) fn difference(previous: &Difference, document: &Provenance) -> String {
    let mut out = format!("\nSince {}\n", previous.nvr);
    if let Some(why) = &previous.unavailable {
        out.push_str(&format!("  cannot be compared: {why}\n"));
        return out;
    }
    if previous.is_empty() {
        out.push_str("  same RPMs, same labels\n");
        return out;
    }
    let installed = growth(previous.installed.before, previous.installed.after);
    let count = |f: fn(&super::PackageChange) -> bool| previous.packages.iter().filter(|p| f(p)).count();
    out.push_str(&format!(
        "  RPMs: {} added, {} removed, {} changed; {} installed\n",
        count(|p| p.before.is_none()),
        count(|p| p.after.is_none()),
        count(|p| p.before.is_some() && p.after.is_some()),
        signed(installed),
    ));
    let mut rows: Vec<Vec<String>> = Vec::new();
    for change in &previous.packages {
        let versions = match (&change.before, &change.after) {
            (None, Some(after)) => format!("+ {after}"),
            (Some(before), None) => format!("- {before}"),
            (Some(before), Some(_)) if change.content => format!("{before}, other content"),
            (before, after) => format!("{} → {}", before.as_deref().unwrap_or_default(), after.as_deref().unwrap_or_default()),
        };
        rows.push(vec![format!("  {}.{}", change.name, change.arch), versions, signed(change.growth())]);
    }
    out.push_str(&table(&rows));
    for label in &previous.labels {
        let value = |v: &Option<String>| v.as_ref().map_or("(none)".to_owned(), |v| format!("`{v}`"));
        out.push_str(&format!("  label {}: {} → {}\n", label.label, value(&label.before), value(&label.after)));
    }
    if document.size.is_none() {
        out.push_str("  the sizes of the images are not known\n");
    }
    out
}

fn new_packages(document: &Provenance) -> String {
    let new: Vec<&Package> = document.packages.iter().filter(|p| p.origin != Origin::Inherited).collect();
    if new.is_empty() {
        return String::new();
    }
    // By instruction, in the order of the layers as far as the packages tell, asked-for ones first.
    let mut instructions: Vec<Option<&str>> = Vec::new();
    for package in &new {
        let instruction = package.why.as_ref().and_then(|why| why.instruction.as_deref());
        if !instructions.contains(&instruction) {
            instructions.push(instruction);
        }
    }
    let mut out = "\nNew RPMs, and why each is there\n".to_owned();
    for instruction in instructions {
        let mut mine: Vec<&&Package> =
            new.iter().filter(|p| p.why.as_ref().and_then(|w| w.instruction.as_deref()) == instruction).collect();
        mine.sort_by_key(|p| (p.why.as_ref().is_none_or(|w| w.reason != Reason::Requested), &p.nvra));
        let title = instruction.map_or("(the instruction is not known)".to_owned(), shortened);
        out.push_str(&format!("{title}\n"));
        let mut rows = vec![head(&["  RPM", "WHY", "VERDICT", "SOURCE", "KOJI BUILD", "KEY"])];
        rows.extend(mine.into_iter().map(|p| row(p)));
        out.push_str(&table(&rows));
    }
    out
}

fn inherited(document: &Provenance) -> String {
    let rows: Vec<Vec<String>> = document.packages.iter().filter(|p| p.origin == Origin::Inherited).map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut all = vec![head(&["  RPM", "WHY", "VERDICT", "SOURCE", "KOJI BUILD", "KEY"])];
    all.extend(rows);
    format!("\nInherited RPMs\n{}", table(&all))
}

fn row(package: &Package) -> Vec<String> {
    use super::document::By;
    let verdict = match (package.verdict.as_str(), package.by) {
        ("proven", Some(By::Digest(by))) => format!("proven by {}", by.describe()),
        ("refused", Some(By::Rule(rule))) => format!("REFUSED {rule}"),
        (word, _) => word.to_owned(),
    };
    let why = match &package.why {
        None => "-".to_owned(),
        Some(why) => match why.reason {
            Reason::Inherited if why.by.is_empty() => "-".to_owned(),
            Reason::Inherited => format!("needed by {}", why.by.join(", ")),
            Reason::Requested => "requested".to_owned(),
            Reason::Required => format!("needed by {}", why.by.join(", ")),
            Reason::Recommended => format!("recommended by {}", why.by.join(", ")),
            Reason::Unknown => "nothing requires it".to_owned(),
        },
    };
    let build = package.koji.as_ref().map(|k| k.build_nvr.clone().unwrap_or_else(|| format!("build {}", k.build_id)));
    let name = match package.epoch {
        Some(_) => format!("  {}-{}.{}", package.name(), package.evr(), package.arch()),
        None => format!("  {}", package.nvra),
    };
    let source = package.content_source.clone().unwrap_or_else(|| match package.origin {
        Origin::Inherited => "parent".to_owned(),
        Origin::Gate => "gate".to_owned(),
        Origin::Other => "-".to_owned(),
    });
    let key = package.signing_key.as_deref().map_or("unsigned", |key| key.get(key.len().saturating_sub(8)..).unwrap_or(key));
    vec![name, why, verdict, source, build.unwrap_or_else(|| "-".to_owned()), key.to_owned()]
}

fn rules(document: &Provenance) -> String {
    if document.policy.is_empty() {
        return String::new();
    }
    let mut outcomes: Vec<&RuleOutcome> = document.policy.iter().collect();
    outcomes.sort_by_key(|o| (std::cmp::Reverse(o.ruling), o.id()));
    let rows: Vec<Vec<String>> =
        outcomes.iter().map(|o| vec![format!("  {}", o.ruling), o.id(), o.count.to_string(), o.reason.clone()]).collect();
    format!("\nRules\n{}", table(&rows))
}

fn requests(document: &Provenance) -> String {
    let refused: Vec<String> = document
        .requests
        .iter()
        .filter(|r| !r.released && r.rule != crate::Rule::NotFound)
        .map(|r| format!("  {} {} ({}): {}\n", r.method, r.url, r.rule, r.evidence))
        .collect();
    if refused.is_empty() {
        return String::new();
    }
    let more = refused.len().saturating_sub(LINES);
    let more = if more > 0 { format!("  … {more} more, see provenance.json\n") } else { String::new() };
    format!("\n{} requests refused at the gate\n{}{more}", refused.len(), refused.iter().take(LINES).cloned().collect::<String>())
}

/// Why one package is there: from it to what somebody asked for. `None` when the image has no such package.
pub fn explain_package(document: &Provenance, name: &str) -> Option<String> {
    let found: Vec<&Package> =
        document.packages.iter().filter(|p| p.name() == name || p.nvra == name || p.nvr() == name).collect();
    if found.is_empty() {
        return None;
    }
    let mut out = String::new();
    for package in found {
        out.push_str(&format!("{}\n", package.nvra));
        let details = row(package);
        for (label, value) in ["", "", "verdict", "source", "Koji build", "key"].iter().zip(&details).skip(2) {
            out.push_str(&format!("  {label}: {value}\n"));
        }
        chain(document, package, 1, &mut HashSet::new(), &mut out);
    }
    Some(out)
}

/// One line for a package, then what needs it, down to what was asked for.
fn chain<'a>(document: &'a Provenance, package: &'a Package, depth: usize, seen: &mut HashSet<&'a str>, out: &mut String) {
    seen.insert(package.name());
    let Some(why) = &package.why else { return out.push_str("  why it is there is not recorded\n") };
    let capability = why.capability.as_ref().map(|c| format!(" (it requires {c})")).unwrap_or_default();
    let needed = match why.reason {
        Reason::Inherited if !why.by.is_empty() => format!(", needed there by {}", why.by.join(", ")),
        _ => String::new(),
    };
    out.push_str(&format!("{:width$}{}: {}{needed}{capability}\n", "", package.name(), why.sentence(), width = depth * 2));
    let next = why.by.iter().find_map(|name| document.packages.iter().find(|p| p.name() == name && !seen.contains(p.name())));
    if let Some(next) = next {
        chain(document, next, depth + 1, seen, out);
    }
}

fn growth(before: u64, after: u64) -> i64 {
    i64::try_from(after).unwrap_or(i64::MAX).saturating_sub(i64::try_from(before).unwrap_or(i64::MAX))
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / f64::from(1 << 20))
}

fn signed(bytes: i64) -> String {
    let size = bytes.unsigned_abs();
    let text = if size >= 1 << 20 { megabytes(size) } else { format!("{} kB", size.div_ceil(1024)) };
    match bytes {
        0 => "same size".to_owned(),
        b if b < 0 => format!("-{text}"),
        _ => format!("+{text}"),
    }
}

fn head(titles: &[&str]) -> Vec<String> {
    titles.iter().map(|t| (*t).to_owned()).collect()
}

/// Left-aligned columns.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |at: usize| rows.iter().filter_map(|r| r.get(at)).map(|c| c.chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}
