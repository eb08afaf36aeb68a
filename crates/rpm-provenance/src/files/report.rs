//! The account for people. provenance.json holds the same (docs/provenance-json.md).

use super::{Class, FileAccount, Record};
use crate::report::FilesSection;

/// Lines of one class in the text report; provenance.json has them all.
const TEXT_LINES: usize = 200;

/// One line for the log.
pub fn summary(account: &FileAccount) -> String {
    let parts: Vec<String> = account.counts.iter().map(|(class, count)| format!("{} {}", count.paths, class.as_str())).collect();
    format!("files of the new layers: {}", if parts.is_empty() { "none".to_owned() } else { parts.join(", ") })
}

/// Counts, then what is unexplained, altered, or from packages that are not listed.
pub(crate) fn text(account: &FilesSection) -> String {
    let mut out = "\nFiles of the new layers\n".to_owned();
    for (class, count) in &account.counts {
        out.push_str(&format!("{:>8}  {} ({} kB)\n", count.paths, class.describe(), count.bytes.div_ceil(1024)));
    }
    if account.hidden > 0 {
        out.push_str(&format!("{:>8}  hidden by a later layer\n", account.hidden));
    }
    for privilege in &account.privileges {
        out.push_str(&format!("  {}: {}\n", privilege.path, privilege.gained.join(", ")));
    }
    for finding in &account.packages {
        out.push_str(&format!("  {finding}\n"));
    }
    for class in [Class::Unexplained, Class::Altered, Class::ModeChanged, Class::Elsewhere, Class::Stage, Class::Configured] {
        let records: Vec<&Record> = account.paths.iter().filter(|r| r.class == class).collect();
        if records.is_empty() {
            continue;
        }
        out.push_str(&format!("\n{}:\n", class.describe()));
        for record in records.iter().take(TEXT_LINES) {
            out.push_str(&format!("  {}\n", line(record)));
        }
        if records.len() > TEXT_LINES {
            out.push_str(&format!("  … {} more, see provenance.json\n", records.len() - TEXT_LINES));
        }
    }
    out
}

fn line(record: &Record) -> String {
    let mut line = record.path.clone();
    if !record.differs.is_empty() {
        line.push_str(&format!("  other {}", record.differs.join(", ")));
    }
    for text in [&record.owner, &record.source].into_iter().flatten() {
        line.push_str(&format!("  {text}"));
    }
    line
}
