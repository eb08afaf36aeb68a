//! What one RPM is: name, digests, origin. Read from a package file or from a rpmdb by the same code.

use build_model::{Nvr, Nvra, hex};

use crate::header::{Header, HeaderDigests, HeaderError, signing_key_id, tag};

/// One RPM, as its header describes it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RpmIdent {
    /// Name, version, release and architecture. The architecture is `src` for source packages and `(none)`,
    /// as rpm prints it, for headers without one (public keys).
    pub nvra: Nvra,
    /// The epoch; `None` where rpm prints `(none)`.
    pub epoch: Option<u32>,
    /// MD5 of header and payload, hex, as declared: nothing in a rpmdb proves it. rpm 6 packages have none.
    pub sigmd5: Option<String>,
    /// Declared SHA-1 of the header, hex.
    pub sha1header: Option<String>,
    /// Declared SHA-256 of the header, hex.
    pub sha256header: Option<String>,
    /// Declared SHA3-256 of the header, hex; rpm 6.
    #[serde(default)]
    pub sha3_256header: Option<String>,
    /// The header digests recomputed over the bytes.
    pub computed: HeaderDigests,
    /// The vendor.
    pub vendor: Option<String>,
    /// File name of the source package it was built from; `None` for source packages and keys.
    pub source_rpm: Option<String>,
    /// Installed size in bytes.
    pub size: u64,
    /// Build time, seconds since 1970.
    pub build_time: Option<u64>,
    /// Key id of the signature, 16 hex digits; a claim, not verified here.
    pub signing_key: Option<String>,
    /// Declared digests of the compressed payload, `sha256:HEX` and the like; part of what the header digests cover.
    #[serde(default)]
    pub payload_digests: Vec<String>,
    /// `name:stream:version:context` of a module's package.
    #[serde(default)]
    pub modularity_label: Option<String>,
    /// Whether the header lists files.
    pub has_files: bool,
    /// Whether the header holds scriptlets.
    pub has_scriptlets: bool,
    /// Why the header contradicts itself: a declared digest that does not hold, or an identity tag set again
    /// outside of what the digests cover. `None` for an honest header.
    pub fault: Option<String>,
}

impl RpmIdent {
    /// Whether this is a public key that rpm keeps among the packages. A package of that name with files,
    /// scriptlets, an architecture or a source package is not one.
    pub fn is_public_key(&self) -> bool {
        let carries_nothing = !self.has_files && !self.has_scriptlets && self.source_rpm.is_none();
        self.nvra.nvr.name == "gpg-pubkey" && self.nvra.arch == "(none)" && carries_nothing
    }

    /// The last 8 digits of the signing key id: Koji's `sigkey`.
    pub fn sigkey(&self) -> Option<&str> {
        self.signing_key.as_deref().map(|id| id.get(id.len().saturating_sub(8)..).unwrap_or(id))
    }

    /// `name-epoch:version-release.arch`, the epoch only where there is one.
    pub fn nevra(&self) -> String {
        let Nvr { name, version, release } = &self.nvra.nvr;
        let epoch = self.epoch.map(|e| format!("{e}:")).unwrap_or_default();
        format!("{name}-{epoch}{version}-{release}.{}", self.nvra.arch)
    }

    /// Reads the identity from a main header; `signatures` is the signature header of a package file, and the same
    /// header again for a rpmdb, where rpm has merged the two.
    pub(crate) fn from_header(header: &Header, signatures: &Header) -> Result<Self, HeaderError> {
        let text = |t: u32, what: &'static str| -> Result<String, HeaderError> {
            let value = header.string(t)?.unwrap_or_default();
            if value.is_empty() {
                return Err(HeaderError::BadName { reason: format!("it has no {what}") });
            }
            if value.len() > 256 || value.bytes().any(|b| b <= b' ' || b == b'/' || b == 0x7f) {
                return Err(HeaderError::BadName { reason: format!("its {what} is `{}`", value.escape_debug()) });
            }
            if t != tag::NAME && value.contains('-') {
                return Err(HeaderError::BadName { reason: format!("its {what} `{value}` holds a dash") });
            }
            Ok(value)
        };
        let nvr = Nvr {
            name: text(tag::NAME, "name")?,
            version: text(tag::VERSION, "version")?,
            release: text(tag::RELEASE, "release")?,
        };
        // rpm writes the text `(none)` there for the keys it makes packages of.
        let source_rpm = header.string(tag::SOURCERPM)?.filter(|s| s != "(none)");
        let is_key = nvr.name == "gpg-pubkey";
        // rpm's own rule: no SOURCERPM means a source package; its ARCH is the one it was built on, not what Koji calls it.
        let arch = match (header.has(tag::ARCH), &source_rpm) {
            (true, None) if !is_key || header.has(tag::SOURCEPACKAGE) => "src".to_owned(),
            (true, _) => text(tag::ARCH, "architecture")?,
            (false, _) => "(none)".to_owned(),
        };
        let epoch = match header.number(tag::EPOCH)? {
            None => None,
            Some(n) => Some(u32::try_from(n).map_err(|_| HeaderError::damaged(format!("the epoch {n} is too large")))?),
        };
        let size = match header.number(tag::LONGSIZE)? {
            Some(size) => size,
            None => header.number(tag::SIZE)?.unwrap_or_default(),
        };
        // In a signature header the number 1004 is SIGMD5; in a main header it is the summary.
        let sigmd5 = match signatures.binary(tag::SIGMD5)? {
            Some(sum) => Some(hex(sum)),
            None if !std::ptr::eq(header, signatures) => signatures.binary(tag::SIGTAG_MD5)?.map(hex),
            None => None,
        };
        let sha3_256header = signatures.string(tag::SHA3_256HEADER)?;
        let mut ident = RpmIdent {
            nvra: Nvra { nvr, arch },
            epoch,
            sigmd5,
            sha1header: signatures.string(tag::SHA1HEADER)?,
            sha256header: signatures.string(tag::SHA256HEADER)?,
            computed: HeaderDigests::of(header, sha3_256header.is_some()),
            sha3_256header,
            vendor: header.string(tag::VENDOR)?,
            source_rpm,
            size,
            build_time: header.number(tag::BUILDTIME)?,
            signing_key: signing_key_id(signatures),
            payload_digests: payload_digests(header)?,
            modularity_label: header.string(tag::MODULARITYLABEL)?,
            has_files: header.has(tag::BASENAMES) || header.has(tag::DIRINDEXES) || header.has(tag::OLDFILENAMES),
            has_scriptlets: tag::SCRIPTLETS.iter().any(|t| header.has(*t)),
            fault: None,
        };
        ident.fault = ident.find_fault(header);
        Ok(ident)
    }

    fn find_fault(&self, header: &Header) -> Option<String> {
        if let Some(number) = header.overridden_identity() {
            return Some(format!("tag {number} is set again outside the part of the header that its digests cover"));
        }
        for (name, declared, computed) in self.declared_digests() {
            if declared != computed {
                return Some(format!("{name} declares {declared}, the header's bytes give {computed}"));
            }
        }
        None
    }

    /// The header digests the package declares, each with what its bytes give.
    pub(crate) fn declared_digests(&self) -> impl Iterator<Item = (&'static str, &str, &str)> {
        let computed = self.computed.sha3_256.as_deref().unwrap_or_default();
        [
            ("SHA256HEADER", &self.sha256header, self.computed.sha256.as_str()),
            ("SHA3_256HEADER", &self.sha3_256header, computed),
            ("SHA1HEADER", &self.sha1header, self.computed.sha1.as_str()),
        ]
        .into_iter()
        .filter_map(|(name, declared, computed)| Some((name, declared.as_deref()?, computed)))
    }
}

/// The digests of the compressed payload that a header declares.
fn payload_digests(header: &Header) -> Result<Vec<String>, HeaderError> {
    let mut all = Vec::new();
    if let Some(digest) = header.string(tag::PAYLOADDIGEST)? {
        let algorithm = match header.number(tag::PAYLOADDIGESTALGO)? {
            None | Some(8) => "sha256".to_owned(),
            Some(10) => "sha512".to_owned(),
            Some(other) => format!("algorithm-{other}"),
        };
        all.push(format!("{algorithm}:{digest}"));
    }
    for (number, algorithm) in [(tag::PAYLOADSHA512, "sha512"), (tag::PAYLOADSHA3_256, "sha3-256")] {
        if let Some(digest) = header.string(number)? {
            all.push(format!("{algorithm}:{digest}"));
        }
    }
    Ok(all)
}
