//! What a site asks of RPMs besides being Koji's: signatures of certain keys, and packages that may not be used.
//! Data of the site's configuration (`[policy.rpms]`), held to by the gate and by the proof.

use serde::{Deserialize, Serialize};

use crate::{KnownSignature, RpmIdent, Rule};

/// The site's rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReleasePolicy {
    /// Key ids (8 or 16 hex digits) or fingerprints; an RPM must be signed by one of them. Empty asks for no signature.
    pub allowed_keys: Vec<String>,
    /// Packages that may not be installed.
    pub blocked: Vec<BlockedPackage>,
}

/// A package that may not be used in images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockedPackage {
    /// The package's name; `*` and `?` stand for any characters.
    pub name: String,
    /// Why, shown to the packager.
    pub reason: String,
}

impl ReleasePolicy {
    /// What is wrong with it: key, and a sentence for the configuration's author.
    pub fn check(&self) -> Option<(String, String)> {
        for (at, key) in self.allowed_keys.iter().enumerate() {
            let hex = key.bytes().all(|b| b.is_ascii_hexdigit());
            if !hex || !matches!(key.len(), 8 | 16 | 40 | 64) {
                let problem = "must be a key id of 8 or 16 hex digits, or a fingerprint".to_owned();
                return Some((format!("allowed_keys[{at}]"), problem));
            }
        }
        let bad = self.blocked.iter().position(|b| b.name.is_empty() || b.reason.trim().is_empty());
        bad.map(|at| (format!("blocked[{at}]"), "needs a `name` and a `reason`".to_owned()))
    }

    /// Whether signatures matter.
    pub fn asks_for_keys(&self) -> bool {
        !self.allowed_keys.is_empty()
    }

    /// Whether a package may be used by its name.
    ///
    /// # Errors
    /// The rule and the evidence when it may not.
    pub fn judge_name(&self, name: &str) -> Result<(), (Rule, String)> {
        match self.blocked.iter().find(|b| crate::files::name_matches(&b.name, name)) {
            Some(BlockedPackage { name: pattern, reason }) => {
                Err((Rule::BlockedPackage, format!("this site blocks `{pattern}`: {reason}")))
            }
            None => Ok(()),
        }
    }

    /// Whether a package claims a signature of an allowed key. All that can be said of an installed package: the rpmdb
    /// does not keep the signature header as it was.
    ///
    /// # Errors
    /// The rule and the evidence when it does not.
    pub fn judge_claimed_key(&self, rpm: &RpmIdent) -> Result<(), (Rule, String)> {
        if !self.asks_for_keys() {
            return Ok(());
        }
        let Some(key) = &rpm.signing_key else {
            return Err((Rule::Unsigned, format!("it carries no signature; allowed are {}", self.allowed_keys.join(", "))));
        };
        if self.allowed_keys.iter().any(|allowed| same_key(allowed, key)) {
            return Ok(());
        }
        Err((Rule::WrongKey, format!("it is signed by the key {key}; allowed are {}", self.allowed_keys.join(", "))))
    }

    /// Whether a package file is signed by an allowed key: it claims so, and Koji has recorded this very signature.
    /// `sighash` is the MD5 of the file's signature header, which is what Koji keeps (`rpmsigs.sighash`).
    ///
    /// # Errors
    /// The rule and the evidence when it is not.
    pub fn judge_signature(&self, rpm: &RpmIdent, sighash: &str, known: &[KnownSignature]) -> Result<(), (Rule, String)> {
        self.judge_claimed_key(rpm)?;
        let Some(key) = rpm.signing_key.as_deref().filter(|_| self.asks_for_keys()) else { return Ok(()) };
        let of_key: Vec<&KnownSignature> = known.iter().filter(|s| same_key(&s.sigkey, key)).collect();
        if of_key.is_empty() {
            return Err((Rule::WrongKey, format!("it claims the key {key}, but Koji has no signature of that key for it")));
        }
        if of_key.iter().any(|s| s.sighash.eq_ignore_ascii_case(sighash)) {
            return Ok(());
        }
        Err((Rule::WrongKey, format!("its signature of the key {key} is not the one that Koji recorded")))
    }
}

/// Key ids are the ends of fingerprints; Koji keeps the last 8 digits.
fn same_key(a: &str, b: &str) -> bool {
    let length = a.len().min(b.len());
    let end = |key: &str| key.get(key.len() - length..).unwrap_or_default().to_ascii_lowercase();
    length >= 8 && end(a) == end(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::HeaderDigests;

    fn rpm(key: Option<&str>) -> RpmIdent {
        RpmIdent {
            nvra: "web-1-1.x86_64".parse().expect("an NVRA"),
            epoch: None,
            sigmd5: None,
            sha1header: None,
            sha256header: None,
            sha3_256header: None,
            payload_digests: Vec::new(),
            modularity_label: None,
            computed: HeaderDigests { sha1: String::new(), sha256: String::new(), sha3_256: None },
            vendor: None,
            source_rpm: None,
            size: 0,
            build_time: None,
            signing_key: key.map(str::to_owned),
            has_files: true,
            has_scriptlets: false,
            fault: None,
        }
    }

    fn known(sigkey: &str, sighash: &str) -> KnownSignature {
        KnownSignature { sigkey: sigkey.to_owned(), sighash: sighash.to_owned() }
    }

    #[test]
    fn an_allowed_key_counts_only_with_the_signature_koji_recorded() {
        let policy = ReleasePolicy { allowed_keys: vec!["DEADBEEF".into()], ..ReleasePolicy::default() };
        let ours = rpm(Some("00000000deadbeef"));
        let sigs = [known("", "00"), known("deadbeef", "aa"), known("12345678", "bb")];
        assert_eq!(policy.judge_signature(&ours, "AA", &sigs), Ok(()));
        let rule = |r: Result<(), (Rule, String)>| r.expect_err("refused").0;
        assert_eq!(rule(policy.judge_signature(&ours, "bb", &sigs)), Rule::WrongKey);
        assert_eq!(rule(policy.judge_signature(&ours, "aa", &sigs[..1])), Rule::WrongKey);
        assert_eq!(rule(policy.judge_signature(&rpm(Some("0000000012345678")), "bb", &sigs)), Rule::WrongKey);
        assert_eq!(rule(policy.judge_signature(&rpm(None), "00", &sigs)), Rule::Unsigned);
        assert_eq!(ReleasePolicy::default().judge_signature(&rpm(None), "", &[]), Ok(()));
    }

    #[test]
    fn a_longer_key_id_must_fit_as_far_as_both_go() {
        let policy = ReleasePolicy { allowed_keys: vec!["11111111deadbeef".into()], ..ReleasePolicy::default() };
        assert!(policy.judge_claimed_key(&rpm(Some("11111111deadbeef"))).is_ok());
        assert!(policy.judge_claimed_key(&rpm(Some("22222222deadbeef"))).is_err());
    }

    #[test]
    fn blocked_packages_are_named_with_the_reason() {
        let block = |name: &str| BlockedPackage { name: name.into(), reason: "not supported".into() };
        let policy = ReleasePolicy { blocked: vec![block("telnet*"), block("rsh")], ..ReleasePolicy::default() };
        let (rule, evidence) = policy.judge_name("telnet-server").expect_err("blocked");
        assert_eq!((rule, evidence.as_str()), (Rule::BlockedPackage, "this site blocks `telnet*`: not supported"));
        assert!(policy.judge_name("rsh-server").is_ok());
    }

    #[test]
    fn nonsense_in_the_configuration_is_named() {
        let keys = |k: &str| ReleasePolicy { allowed_keys: vec![k.into()], ..ReleasePolicy::default() };
        assert_eq!(keys("beef").check().expect("bad").0, "allowed_keys[0]");
        assert_eq!(keys("deadbeef").check(), None);
        let blocked = vec![BlockedPackage { name: "a".into(), reason: " ".into() }];
        assert!(ReleasePolicy { blocked, ..ReleasePolicy::default() }.check().is_some());
    }
}
