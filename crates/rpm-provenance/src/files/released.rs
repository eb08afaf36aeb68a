//! Files of RPMs that the gate released but the image does not list: what another stage installed.

use std::collections::HashSet;
use std::io::BufReader;
use std::path::Path;

use super::PackageFiles;
use crate::{RpmDb, Rule, Verdict, gate, package_file};

/// Reads the file lists of released RPMs that `installed` does not have, from the gate's cache.
///
/// What is no longer in the cache or cannot be read is left out: its files then stay unexplained, which is safe.
pub fn released_elsewhere(cache_dir: &Path, verdicts: &[Verdict], installed: &RpmDb) -> Vec<PackageFiles> {
    let mut seen: HashSet<&str> = installed.packages.iter().map(|p| p.computed.sha256.as_str()).collect();
    let mut found = Vec::new();
    for verdict in verdicts.iter().filter(|v| v.released && v.rule == Rule::KojiRpm) {
        let (Some(sum), Some(checksum)) = (&verdict.sha256header, &verdict.checksum) else { continue };
        if !seen.insert(sum) {
            continue;
        }
        let Some(path) = gate::cached_file(cache_dir, checksum) else { continue };
        let read = std::fs::File::open(&path)
            .map_err(|source| crate::HeaderError::Read { part: "lead", source })
            .and_then(|file| package_file::read_files(&mut BufReader::new(file)));
        match read {
            // The cache is a directory: what lies in it must be what the gate judged.
            Ok(files) if files.sha256header == *sum => found.push(files),
            Ok(_) => tracing::warn!(path = %path.display(), "the gate's cache holds another RPM than was released"),
            Err(error) => tracing::warn!(path = %path.display(), %error, "cannot read a released RPM again"),
        }
    }
    found
}
