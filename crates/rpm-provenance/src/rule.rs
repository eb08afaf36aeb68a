//! The rules by which an RPM or a request is let in or kept out, and the one judgement both the gate and the proof use.

use build_model::Blame;

use crate::{KnownRpm, RpmIdent};

/// Why something was released or refused. The words are stable: logs, reports and tests name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Released: pinned repository metadata.
    PinnedMetadata,
    /// Released: Koji has this RPM by digest.
    KojiRpm,
    /// Released without asking Koji, because no hub is set. Never in a Koji build.
    NotChecked,
    /// Koji has no RPM of this name.
    UnknownToKoji,
    /// Koji has an RPM of this name with other contents.
    DigestDiffers,
    /// Neither side has a digest that the other one has too.
    NoDigest,
    /// Koji has it with another epoch.
    EpochDiffers,
    /// Koji has only seen it in an external repository.
    External,
    /// A draft build.
    Draft,
    /// The build was deleted.
    DeletedBuild,
    /// It carries no signature, and the site allows only certain keys.
    Unsigned,
    /// It is not signed by a key the site allows, or not as Koji recorded it.
    WrongKey,
    /// The site does not allow this package in images.
    BlockedPackage,
    /// Its build is in none of the Koji tags the site allows.
    WrongTag,
    /// The RPM's own digests do not hold, or its header is damaged.
    BrokenRpm,
    /// The RPM inside is not the one the repository metadata names.
    NameDiffers,
    /// The file's checksum or size is not the one in the repository metadata.
    ChecksumDiffers,
    /// Metadata no longer has the checksum it had when the repository was pinned.
    MetadataChanged,
    /// The repository does not list this RPM.
    NotListed,
    /// The path leads out of the repository.
    PathEscapes,
    /// A request for anything but the gate's own repositories.
    HostNotAllowed,
    /// Neither GET nor HEAD.
    MethodNotAllowed,
    /// Not a request at all: another protocol, or one that is too long.
    MalformedRequest,
    /// No such repository or file; nothing was refused, there is nothing.
    NotFound,
    /// The repository's server failed.
    UpstreamFailed,
    /// The hub could not be asked.
    LookupFailed,
    /// The gate's own disk failed.
    CacheFailed,
    /// Proof only: made for another architecture than the image.
    WrongArchitecture,
    /// Proof only: the same RPM is installed twice under one name.
    Duplicate,
    /// Proof only: files, but no rpmdb.
    NoRpmdb,
    /// Proof only: the rpmdb cannot be read.
    UnreadableRpmdb,
    /// Proof only: rows of the rpmdb contradict rpm's own index over them.
    EditedRpmdb,
}

impl Rule {
    /// The stable word, as in `provenance.json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::PinnedMetadata => "pinned-metadata",
            Rule::KojiRpm => "koji-rpm",
            Rule::NotChecked => "not-checked",
            Rule::UnknownToKoji => "unknown-to-koji",
            Rule::DigestDiffers => "digest-differs",
            Rule::NoDigest => "no-digest",
            Rule::EpochDiffers => "epoch-differs",
            Rule::External => "external",
            Rule::Draft => "draft",
            Rule::DeletedBuild => "deleted-build",
            Rule::Unsigned => "unsigned",
            Rule::WrongKey => "wrong-key",
            Rule::BlockedPackage => "blocked-package",
            Rule::WrongTag => "wrong-tag",
            Rule::BrokenRpm => "broken-rpm",
            Rule::NameDiffers => "name-differs",
            Rule::ChecksumDiffers => "checksum-differs",
            Rule::MetadataChanged => "metadata-changed",
            Rule::NotListed => "not-listed",
            Rule::PathEscapes => "path-escapes",
            Rule::HostNotAllowed => "host-not-allowed",
            Rule::MethodNotAllowed => "method-not-allowed",
            Rule::MalformedRequest => "malformed-request",
            Rule::NotFound => "not-found",
            Rule::UpstreamFailed => "upstream-failed",
            Rule::LookupFailed => "lookup-failed",
            Rule::CacheFailed => "cache-failed",
            Rule::WrongArchitecture => "wrong-architecture",
            Rule::Duplicate => "duplicate",
            Rule::NoRpmdb => "no-rpmdb",
            Rule::UnreadableRpmdb => "unreadable-rpmdb",
            Rule::EditedRpmdb => "edited-rpmdb",
        }
    }

    /// Whether something is let in by it.
    pub fn releases(self) -> bool {
        matches!(self, Rule::PinnedMetadata | Rule::KojiRpm | Rule::NotChecked)
    }

    /// Who has to act when something is kept out by it.
    pub fn blame(self) -> Blame {
        match self {
            Rule::UpstreamFailed | Rule::CacheFailed | Rule::MetadataChanged | Rule::ChecksumDiffers => Blame::Site,
            Rule::LookupFailed => Blame::Hub,
            _ => Blame::Packager,
        }
    }

    /// What to do about it, one sentence.
    pub fn remedy(self) -> Option<&'static str> {
        Some(match self {
            Rule::PinnedMetadata | Rule::KojiRpm | Rule::NotChecked | Rule::NotFound => return None,
            Rule::UnknownToKoji => "build the package in this Koji, or take a package that was",
            Rule::DigestDiffers | Rule::EpochDiffers => {
                "somebody rebuilt this package outside of Koji; offer Koji's own file in the content source"
            }
            Rule::NoDigest => {
                "install it with dnf from the offered repositories, or ask the Koji administrators for its file: packages built \
                 before rpm 4.14 are compared with that"
            }
            Rule::External => "build the package in this Koji instead of taking it from an external repository",
            Rule::Draft => "promote the draft build in Koji, then build the image again",
            Rule::DeletedBuild => "its build was deleted from Koji; take another version",
            Rule::Unsigned | Rule::WrongKey => "wait until the build is signed, or offer the signed copies in the content source",
            Rule::BlockedPackage => "leave the package out, or ask the site's administrators",
            Rule::WrongTag => "use a version of the package that is in an allowed tag, or have its build tagged",
            Rule::BrokenRpm => "the file is damaged or was edited; offer Koji's own file in the content source",
            Rule::NameDiffers | Rule::ChecksumDiffers => "the repository's metadata does not fit its files; have it regenerated",
            Rule::MetadataChanged => "the repository changed during the build; build again",
            Rule::NotListed => "ask for packages by name, through dnf; only files the repository lists are handed out",
            Rule::PathEscapes => "the repository's metadata or the request holds a path with `..`; correct it",
            Rule::HostNotAllowed => "a build reaches only the content sources of its target; package what is needed as an RPM",
            Rule::MethodNotAllowed | Rule::MalformedRequest => "the gate only hands out files, over HTTP",
            Rule::UpstreamFailed => "the content source's server did not answer; tell the site's administrators",
            Rule::LookupFailed => "the hub did not answer; build again later",
            Rule::CacheFailed => "the builder's disk failed; tell the site's administrators",
            Rule::WrongArchitecture => "install the package of the image's own architecture",
            Rule::Duplicate => "remove one of the two in the Dockerfile",
            Rule::NoRpmdb => "start from an image with RPMs, and do not delete its rpmdb",
            Rule::UnreadableRpmdb | Rule::EditedRpmdb => {
                "find the instruction that changes the rpmdb other than through rpm, and take it out"
            }
        })
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How an RPM was matched with Koji's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MatchedBy {
    /// The header digest, recomputed here, is the one Koji recorded.
    HeaderDigest,
    /// The header digest, recomputed here, is that of Koji's own file: hubs before 1.36 record none.
    KojiFile,
    /// SIGMD5 equals Koji's `payloadhash`, and the gate computed it over the whole file.
    Sigmd5,
}

impl MatchedBy {
    pub(crate) fn describe(self) -> &'static str {
        match self {
            MatchedBy::HeaderDigest => "SHA-256 of the header",
            MatchedBy::KojiFile => "SHA-256 of the header of Koji's file",
            MatchedBy::Sigmd5 => "SIGMD5 of the whole file",
        }
    }
}

/// Compares an RPM with what Koji knows under its name.
/// Draft, deleted and external RPMs are refused whatever their digests.
pub(crate) fn judge(rpm: &RpmIdent, known: Option<&KnownRpm>) -> Result<MatchedBy, (Rule, String)> {
    if let Some(fault) = &rpm.fault {
        return Err((Rule::BrokenRpm, fault.clone()));
    }
    let Some(known) = known else {
        return Err((Rule::UnknownToKoji, format!("Koji has no RPM {}", rpm.nvra)));
    };
    if known.external_repo_id != 0 {
        let name = known.external_repo_name.clone().unwrap_or_else(|| format!("number {}", known.external_repo_id));
        return Err((Rule::External, format!("Koji knows it only from the external repository {name}")));
    }
    if known.draft {
        return Err((Rule::Draft, format!("{} belongs to a draft build", build_name(known))));
    }
    if known.build_deleted {
        return Err((Rule::DeletedBuild, format!("{} was deleted", build_name(known))));
    }
    let matched = match_digests(rpm, known)?;
    if known.epoch != rpm.epoch {
        let word = |e: Option<u32>| e.map_or("no epoch".to_owned(), |e| format!("epoch {e}"));
        return Err((Rule::EpochDiffers, format!("it has {}, Koji's has {}", word(rpm.epoch), word(known.epoch))));
    }
    Ok(matched)
}

fn match_digests(rpm: &RpmIdent, known: &KnownRpm) -> Result<MatchedBy, (Rule, String)> {
    let differs = |what: &str, here: &str, there: &str| {
        let evidence = format!("its {what} is {here}, but rpm {} of {} in Koji has {there}", known.rpm_id, build_name(known));
        Err((Rule::DigestDiffers, evidence))
    };
    // RPMs without SIGMD5 have `ALGORITHM::HEX` of the header there.
    let (hash_kind, hash) = known.payloadhash.split_once("::").unwrap_or(("md5", &known.payloadhash));
    let mut matched = None;
    let sha1_there = known.sha1header.as_deref().or((hash_kind == "sha1").then_some(hash));
    let sha256_there = known.sha256header.as_deref().or((hash_kind == "sha256").then_some(hash));
    let sha3_there = known.sha3_256header.as_deref().or((hash_kind == "sha3-256").then_some(hash));
    let sha3_here = rpm.computed.sha3_256.as_deref();
    // SHA-1 alone can be forged with an effort, so it may refuse but not release.
    for (what, releases, here, there) in [
        ("header SHA-256", true, Some(rpm.computed.sha256.as_str()), sha256_there),
        ("header SHA3-256", true, sha3_here, sha3_there),
        ("header SHA-1", false, Some(rpm.computed.sha1.as_str()), sha1_there),
    ] {
        match (here, there.filter(|t| !t.is_empty())) {
            (Some(here), Some(there)) if !there.eq_ignore_ascii_case(here) => return differs(what, here, there),
            (Some(_), Some(_)) if releases => {
                matched = Some(if known.header_from_file { MatchedBy::KojiFile } else { MatchedBy::HeaderDigest });
            }
            _ => {}
        }
    }
    match &rpm.sigmd5 {
        Some(here) if hash_kind == "md5" && !hash.is_empty() => {
            if !here.eq_ignore_ascii_case(hash) {
                return differs("SIGMD5", here, hash);
            }
            Ok(matched.unwrap_or(MatchedBy::Sigmd5))
        }
        _ => matched.ok_or_else(|| (Rule::NoDigest, "no digest of it can be compared with what Koji recorded".to_owned())),
    }
}

fn build_name(known: &KnownRpm) -> String {
    known.build_nvr.clone().unwrap_or_else(|| format!("build {}", known.build_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::HeaderDigests;

    fn rpm() -> RpmIdent {
        RpmIdent {
            nvra: "web-1-1.x86_64".parse().expect("an NVRA"),
            epoch: None,
            sigmd5: Some("aa".repeat(16)),
            sha1header: None,
            sha256header: None,
            sha3_256header: None,
            computed: HeaderDigests { sha1: "11".repeat(20), sha256: "22".repeat(32), sha3_256: None },
            payload_digests: Vec::new(),
            modularity_label: None,
            vendor: None,
            source_rpm: Some("web-1-1.src.rpm".into()),
            size: 0,
            build_time: None,
            signing_key: None,
            has_files: true,
            has_scriptlets: false,
            fault: None,
        }
    }

    fn known() -> KnownRpm {
        KnownRpm { rpm_id: 7, build_id: 3, payloadhash: "aa".repeat(16), ..KnownRpm::default() }
    }

    #[test]
    fn sigmd5_matches_where_the_hub_knows_no_header_digest() {
        assert_eq!(judge(&rpm(), Some(&known())), Ok(MatchedBy::Sigmd5));
        let with_digest = KnownRpm { sha256header: Some("22".repeat(32)), ..known() };
        assert_eq!(judge(&rpm(), Some(&with_digest)), Ok(MatchedBy::HeaderDigest));
    }

    #[test]
    fn a_header_digest_outweighs_an_equal_sigmd5() {
        let other = KnownRpm { sha256header: Some("33".repeat(32)), ..known() };
        assert_eq!(judge(&rpm(), Some(&other)).expect_err("differs").0, Rule::DigestDiffers);
        let other = KnownRpm { sha1header: Some("33".repeat(20)), ..known() };
        assert_eq!(judge(&rpm(), Some(&other)).expect_err("differs").0, Rule::DigestDiffers);
    }

    #[test]
    fn rpm_6_is_matched_by_the_prefixed_payloadhash() {
        let rpm = RpmIdent { sigmd5: None, ..rpm() };
        let six = KnownRpm { payloadhash: format!("sha256::{}", "22".repeat(32)), ..known() };
        assert_eq!(judge(&rpm, Some(&six)), Ok(MatchedBy::HeaderDigest));
        let with_sha3 =
            RpmIdent { computed: HeaderDigests { sha3_256: Some("44".repeat(32)), ..rpm.computed.clone() }, ..rpm.clone() };
        let same = KnownRpm { payloadhash: format!("sha3-256::{}", "44".repeat(32)), ..known() };
        assert_eq!(judge(&with_sha3, Some(&same)), Ok(MatchedBy::HeaderDigest));
        let other = KnownRpm { sha3_256header: Some("55".repeat(32)), payloadhash: six.payloadhash.clone(), ..known() };
        assert_eq!(judge(&with_sha3, Some(&other)).expect_err("differs").0, Rule::DigestDiffers);
        let sha3 = KnownRpm { payloadhash: "sha3-256::00".into(), ..known() };
        assert_eq!(judge(&rpm, Some(&sha3)).expect_err("nothing to compare").0, Rule::NoDigest);
        let sha1 = KnownRpm { payloadhash: format!("sha1::{}", "11".repeat(20)), ..known() };
        assert_eq!(judge(&rpm, Some(&sha1)).expect_err("too weak").0, Rule::NoDigest);
    }

    #[test]
    fn each_reason_to_refuse_has_its_rule() {
        let cases = [
            (None, Rule::UnknownToKoji),
            (Some(KnownRpm { external_repo_id: 4, ..known() }), Rule::External),
            (Some(KnownRpm { draft: true, ..known() }), Rule::Draft),
            (Some(KnownRpm { build_deleted: true, ..known() }), Rule::DeletedBuild),
            (Some(KnownRpm { payloadhash: "bb".repeat(16), ..known() }), Rule::DigestDiffers),
            (Some(KnownRpm { payloadhash: String::new(), ..known() }), Rule::NoDigest),
            (Some(KnownRpm { epoch: Some(1), ..known() }), Rule::EpochDiffers),
        ];
        for (known, rule) in cases {
            let (found, evidence) = judge(&rpm(), known.as_ref()).expect_err(rule.as_str());
            assert_eq!(found, rule);
            assert!(!evidence.is_empty() && rule.remedy().is_some());
        }
        let broken = RpmIdent { fault: Some("SHA256HEADER".into()), ..rpm() };
        assert_eq!(judge(&broken, Some(&known())).expect_err("broken").0, Rule::BrokenRpm);
    }
}
