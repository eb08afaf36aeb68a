//! The files of source RPMs, from Koji's own store (koji.pathinfo.rpm, pathinfo.signed). Each is read whole and compared
//! with what the hub records of it before anything is made of it.
//!
//! Where the site's policy demands signing keys (`[[policy.signing_keys]]`), a copy signed with one of them is looked for:
//! the one Koji has written out (`koji write-signed-rpm`), or the file as it was imported.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use build_model::{Blame, BoxedDiagnose, Diagnose};
use futures_util::{StreamExt, TryStreamExt, stream};
use rpm_provenance::files::Decision;
use rpm_provenance::package_file::read_header;
use rpm_provenance::policy::SigningKeys;
use rpm_provenance::{HeaderError, RpmIdent};
use serde::Serialize;

use super::list_source_rpms::SourceRpm;
use super::output_file;
use crate::download::{DownloadError, Downloads, read_authority};
use crate::provenance::KojiFiles;
use crate::task::run::{TaskContext, WorkFileError};

/// Files under way at once.
const PARALLEL: usize = 4;

/// A source RPM on this machine, checked.
#[derive(Debug, Clone, Serialize)]
pub struct FetchedSource {
    /// File name, `NAME-VERSION-RELEASE.src.rpm`.
    pub name: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Size of the file in bytes.
    pub size: u64,
    /// What the hub calls its payload hash (SIGMD5).
    pub payloadhash: String,
    /// Key it is signed with.
    pub sigkey: Option<String>,
    /// Name of the build it belongs to.
    pub build: String,
    /// When it was built, seconds since 1970.
    pub build_time: i64,
    /// The file.
    #[serde(skip)]
    pub path: PathBuf,
}

/// Why a source RPM cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceFileError {
    /// It cannot be fetched.
    #[error("cannot fetch the source of {build}")]
    Fetch {
        /// The build.
        build: String,
        /// Why.
        source: DownloadError,
    },
    /// It is damaged.
    #[error("the hub's file {name} is damaged")]
    Damaged {
        /// The file.
        name: String,
        /// Where.
        source: HeaderError,
    },
    /// It is another package than the hub records.
    #[error("the hub's file {name} is not what the hub records: {problem}")]
    Other {
        /// The file.
        name: String,
        /// What differs.
        problem: String,
    },
    /// No copy has the right signature.
    #[error("Koji has no copy of {name} that is signed with a key that rule `{rule}` allows ({keys})")]
    NotSigned {
        /// The file.
        name: String,
        /// The rule.
        rule: String,
        /// Its keys.
        keys: String,
    },
}

impl Diagnose for SourceFileError {
    fn blame(&self) -> Blame {
        Blame::Hub
    }
    fn kind(&self) -> &'static str {
        match self {
            SourceFileError::Fetch { .. } => "source-fetch",
            SourceFileError::Damaged { .. } => "source-damaged",
            SourceFileError::Other { .. } => "source-differs",
            SourceFileError::NotSigned { .. } => "source-not-signed",
        }
    }
    fn hint(&self) -> Option<String> {
        Some(match self {
            SourceFileError::Fetch { source, .. } if source.is_not_found() => {
                "the hub lists the file and does not serve it: look for it below its topdir, and at hub.topurl".into()
            }
            SourceFileError::Fetch { .. } => "submit again when the hub's files are served again".into(),
            SourceFileError::Damaged { .. } | SourceFileError::Other { .. } => {
                "compare the file with a backup; nothing was made of it".into()
            }
            SourceFileError::NotSigned { keys, name, .. } => {
                format!("sign the package, import the signature and run `koji write-signed-rpm KEY` for {name}; keys: {keys}")
            }
        })
    }
    fn is_transient(&self) -> bool {
        matches!(self, SourceFileError::Fetch { source, .. } if source.is_transient())
    }
}

/// Fetches and checks the files into `dir`, in the order given. The second value are remarks for the packager.
///
/// # Errors
/// The hub's, or [`SourceFileError`].
pub async fn fetch_source_rpms(
    context: &TaskContext<'_>,
    target: &str,
    sources: &[SourceRpm],
    dir: &Path,
) -> Result<(Vec<FetchedSource>, Vec<String>), BoxedDiagnose> {
    std::fs::create_dir_all(dir).map_err(|source| WorkFileError { path: dir.to_owned(), source })?;
    let hub = &context.settings.hub;
    let ca = read_authority(hub.ca.as_deref())?;
    let (files, downloads) = (KojiFiles::new(&hub.topurl, ca.as_deref())?, Downloads::new(ca.as_deref())?);
    let rules = context.settings.policy.signing_keys.iter();
    let rules: Vec<&SigningKeys> = rules.filter(|rule| rule.is_for(Some(target)) && rule.decision != Decision::Allow).collect();
    let ids: Vec<i64> = sources.iter().map(|source| source.rpm.id).collect();
    let signatures = if rules.is_empty() { vec![Vec::new(); ids.len()] } else { context.session.query_rpm_sigs(&ids).await? };
    let fetching = sources.iter().zip(signatures).map(|(source, signatures)| {
        let signed: Vec<String> = signatures.into_iter().map(|s| s.sigkey).filter(|key| !key.is_empty()).collect();
        let (files, downloads, rules) = (&files, &downloads, &rules);
        async move { fetch_one(files, downloads, rules, source, &signed, dir).await }
    });
    let fetched: Vec<(FetchedSource, Option<String>)> = stream::iter(fetching).buffered(PARALLEL).try_collect::<Vec<_>>().await?;
    let (sources, remarks): (Vec<_>, Vec<_>) = fetched.into_iter().unzip();
    let bytes: u64 = sources.iter().map(|source: &FetchedSource| source.size).sum();
    context.log.step(&format!("fetched and checked {} source packages, {} MB", sources.len(), bytes >> 20));
    Ok((sources, remarks.into_iter().flatten().collect()))
}

/// Fetches one package: the first of its copies that the rules want, in the order signed, as imported.
async fn fetch_one(
    files: &KojiFiles,
    downloads: &Downloads,
    rules: &[&SigningKeys],
    source: &SourceRpm,
    signed: &[String],
    dir: &Path,
) -> Result<(FetchedSource, Option<String>), BoxedDiagnose> {
    let name = format!("{}.rpm", source.rpm.nvra);
    let package = &source.rpm.nvra.nvr.name;
    let rules: Vec<&SigningKeys> = rules.iter().copied().filter(|rule| !rule.excepts(package)).collect();
    let build = source.build.nvr.to_string();
    let base = files.build_url(&source.build);
    let path = dir.join(&name);
    let wanted: Vec<&String> = signed.iter().filter(|key| rules.iter().all(|rule| rule.allows(Some(key)))).collect();
    let mut urls: Vec<String> = wanted.iter().map(|key| format!("{base}/data/signed/{key}/src/{name}")).collect();
    urls.push(format!("{base}/src/{name}"));
    // A signed copy is larger than the file the hub has measured, by its signatures.
    let limit = source.rpm.size.and_then(|size| u64::try_from(size).ok()).map_or(MAX_SOURCE, |size| size + SIGNATURES);
    let last = urls.len() - 1;
    for (number, url) in urls.iter().enumerate() {
        match downloads.fetch(url, &path, limit).await {
            Ok(_) => {}
            Err(error) if error.is_not_found() && number < last => continue,
            Err(source) => return Err(SourceFileError::Fetch { build, source }.into()),
        }
        let ident = tokio::task::block_in_place(|| check(source, &name, &path))?;
        let sigkey = ident.sigkey().map(str::to_owned);
        let broken = rules.iter().find(|rule| !rule.allows(sigkey.as_deref()));
        if broken.is_some() && number < last {
            continue;
        }
        let remark = match broken {
            Some(rule) if rule.decision == Decision::Refuse => {
                let keys = rule.allowed.iter().map(|key| short_key(key)).collect::<Vec<_>>().join(", ");
                let rule = rule.name.clone();
                return Err(SourceFileError::NotSigned { name, rule, keys }.into());
            }
            Some(rule) => Some(format!("{name} is not signed with a key that rule `{}` allows", rule.name)),
            None => None,
        };
        let file = output_file(&path, &name, None)?;
        let fetched = FetchedSource {
            sha256: file.checksum.hex().to_owned(),
            size: file.size,
            payloadhash: source.rpm.payloadhash.clone(),
            sigkey,
            build,
            build_time: source.rpm.buildtime.unwrap_or_default(),
            name,
            path,
        };
        return Ok((fetched, remark));
    }
    Err(SourceFileError::Fetch { build, source: DownloadError::not_found(&base) }.into())
}

/// Largest source package when the hub does not know its size.
const MAX_SOURCE: u64 = 16 << 30;
/// Room for signatures.
const SIGNATURES: u64 = 1 << 20;

/// Koji's name of a key: the last eight digits.
fn short_key(key: &str) -> String {
    let start = key.len().saturating_sub(8);
    key.get(start..).unwrap_or(key).to_ascii_lowercase()
}

/// Reads the whole file: its own digests hold, and it is the package the hub records.
fn check(source: &SourceRpm, name: &str, path: &Path) -> Result<RpmIdent, BoxedDiagnose> {
    let file = std::fs::File::open(path).map_err(|source| WorkFileError { path: path.to_owned(), source })?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let damaged = |source| SourceFileError::Damaged { name: name.to_owned(), source };
    let header = read_header(&mut reader).map_err(damaged)?;
    let ident = header.verify_payload(&mut reader).map_err(damaged)?;
    match difference(source, &ident) {
        Some(problem) => Err(SourceFileError::Other { name: name.to_owned(), problem }.into()),
        None => Ok(ident),
    }
}

/// What of a file's header is not as the hub records it.
fn difference(source: &SourceRpm, ident: &RpmIdent) -> Option<String> {
    let rpm = &source.rpm;
    if ident.nvra.nvr != rpm.nvra.nvr {
        return Some(format!("it is {}", ident.nvra));
    }
    // `sha256::HEX` and the like for packages of rpm 6 (koji.make_rpm_ident).
    let own = match rpm.payloadhash.split_once("::") {
        None => ident.sigmd5.clone(),
        Some(("sha256", _)) => ident.sha256header.clone().map(|hex| format!("sha256::{hex}")),
        Some(("sha3-256", _)) => ident.sha3_256header.clone().map(|hex| format!("sha3-256::{hex}")),
        Some(("sha1", _)) => ident.sha1header.clone().map(|hex| format!("sha1::{hex}")),
        Some(_) => None,
    };
    if own.as_deref() != Some(rpm.payloadhash.as_str()) {
        return Some(format!("payload hash {} instead of {}", own.as_deref().unwrap_or("(none)"), rpm.payloadhash));
    }
    let declared = rpm.sha256header.as_ref().filter(|_| ident.sha256header.is_some());
    match declared {
        Some(recorded) if Some(recorded) != ident.sha256header.as_ref() => Some("the SHA-256 of its header".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_be_written_long_or_short_and_none_must_be_allowed() {
        let rule = |keys: &[&str]| -> SigningKeys {
            serde_json::from_value(serde_json::json!({"name": "r", "reason": "r", "allowed": keys})).expect("a rule")
        };
        assert!(rule(&["0123456789ABCDEF"]).allows(Some("89abcdef")));
        assert!(!rule(&["0123456789ABCDEF"]).allows(None));
        assert!(rule(&["89abcdef", ""]).allows(None));
        assert!(!rule(&["89abcdef", ""]).allows(Some("11111111")));
    }
}
