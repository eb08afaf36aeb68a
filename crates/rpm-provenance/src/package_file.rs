//! RPM package files: lead, signature header, main header, payload (rpm's docs/manual/format_v4.md, format_v6.md).
//!
//! Reads forward only, so it works on a download as well as on a file. Called by the gate for every RPM it releases.

use std::io::Read;

use build_model::hex;
use md5::Md5;
use sha2::{Digest as _, Sha256};

use crate::RpmIdent;
use crate::files::PackageFiles;
use crate::header::{Header, HeaderError, MAX_DATA, MAX_ENTRIES, MAX_SIGNATURE_DATA, tag};

const LEAD: usize = 96;
const LEAD_MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];
const HEADER_MAGIC: [u8; 4] = [0x8e, 0xad, 0xe8, 0x01];
/// The magic with the four reserved bytes, which rpm writes as zeros.
const SIGNATURE_INTRO: [u8; 8] = [0x8e, 0xad, 0xe8, 0x01, 0, 0, 0, 0];

/// What the headers of a package file say.
#[derive(Debug)]
pub struct PackageHeader {
    /// The package.
    pub ident: RpmIdent,
    /// Bytes before the payload.
    pub payload_offset: u64,
    /// Major format version of the lead: 3 for all of rpm 3 and 4, 4 for rpm 6.
    pub lead_version: u8,
    /// Declared SHA-256 of the compressed payload, hex.
    pub payload_sha256: Option<String>,
    /// MD5 of the signature header with its padding: Koji's `sighash`.
    pub sighash: String,
    /// MD5 so far: over the main header as it stands in the file.
    md5: Md5,
}

/// Reads lead, signature header and main header; leaves `reader` at the payload.
///
/// The header digests are recomputed and compared; the payload is not read (see [`PackageHeader::verify_payload`]).
///
/// # Errors
/// When the bytes are no RPM, are cut off or damaged, declare absurd sizes, or a header digest does not hold.
pub fn read_header(reader: &mut impl Read) -> Result<PackageHeader, HeaderError> {
    read_headers(reader).map(|(header, _)| header)
}

/// Reads the headers as [`read_header`] does, and from them the files the package brings.
///
/// # Errors
/// As [`read_header`], and when the lists of files contradict each other.
pub fn read_files(reader: &mut impl Read) -> Result<PackageFiles, HeaderError> {
    let (header, main) = read_headers(reader)?;
    PackageFiles::read(&main, &header.ident)
}

fn read_headers(reader: &mut impl Read) -> Result<(PackageHeader, Header), HeaderError> {
    let mut lead = [0; LEAD];
    reader.read_exact(&mut lead).map_err(|source| HeaderError::Read { part: "lead", source })?;
    if !lead.starts_with(&LEAD_MAGIC) {
        return Err(HeaderError::NotRpm { part: "lead" });
    }
    let signatures = read_blob(reader, "signature header", MAX_SIGNATURE_DATA)?;
    let signatures_size = signatures.len() as u64 + 8;
    let padding = (8 - signatures_size % 8) % 8;
    // as koji.rip_rpm_sighdr takes it out: 8 bytes of magic, the header, the padding
    let mut sighash = Md5::new();
    sighash.update(SIGNATURE_INTRO);
    sighash.update(&signatures);
    let mut pad = [0; 8];
    for slot in pad.iter_mut().take(padding as usize) {
        reader.read_exact(std::slice::from_mut(slot)).map_err(|source| HeaderError::Read { part: "signature header", source })?;
        sighash.update([*slot]);
    }
    let blob = read_blob(reader, "header", MAX_DATA)?;
    let main_size = blob.len() as u64 + 8;
    let mut md5 = Md5::new();
    md5.update(HEADER_MAGIC);
    md5.update([0; 4]);
    md5.update(&blob);

    let signatures = Header::parse(signatures, tag::HEADER_SIGNATURES)?;
    let main = Header::parse(blob, tag::HEADER_IMMUTABLE)?;
    if main.region().is_some_and(|region| region != main.extent()) {
        return Err(HeaderError::damaged("the header of a package file holds entries outside its immutable region"));
    }
    let ident = RpmIdent::from_header(&main, &signatures)?;
    if let Some((digest, declared, computed)) = ident.declared_digests().find(|(_, declared, computed)| declared != computed) {
        return Err(differs(&ident, digest, declared, computed));
    }
    let algorithm_is_sha256 = matches!(main.number(tag::PAYLOADDIGESTALGO)?, None | Some(8));
    let payload_sha256 = if algorithm_is_sha256 { main.string(tag::PAYLOADDIGEST)? } else { None };
    let header = PackageHeader {
        ident,
        payload_offset: LEAD as u64 + signatures_size + padding + main_size,
        lead_version: lead[4],
        payload_sha256,
        sighash: hex(&sighash.finalize()),
        md5,
    };
    Ok((header, main))
}

impl PackageHeader {
    /// Reads the payload to its end and compares SIGMD5 and the payload digest, where the package declares them.
    ///
    /// # Errors
    /// When reading fails or a digest does not hold.
    pub fn verify_payload(self, reader: &mut impl Read) -> Result<RpmIdent, HeaderError> {
        let (mut md5, mut sha256) = (self.md5, Sha256::new());
        let mut buffer = vec![0; 128 << 10];
        loop {
            let n = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(HeaderError::Read { part: "payload", source }),
            };
            let piece = buffer.get(..n).unwrap_or_default();
            if self.ident.sigmd5.is_some() {
                md5.update(piece);
            }
            if self.payload_sha256.is_some() {
                sha256.update(piece);
            }
        }
        if let Some(declared) = &self.ident.sigmd5 {
            let computed = hex(&md5.finalize());
            if *declared != computed {
                return Err(differs(&self.ident, "SIGMD5", declared, &computed));
            }
        }
        if let Some(declared) = &self.payload_sha256 {
            let computed = hex(&sha256.finalize());
            if *declared != computed {
                return Err(differs(&self.ident, "PAYLOADDIGEST", declared, &computed));
            }
        }
        Ok(self.ident)
    }
}

fn differs(ident: &RpmIdent, digest: &'static str, declared: &str, computed: &str) -> HeaderError {
    let declared: String = declared.chars().take(128).collect();
    HeaderError::DigestDiffers { nvra: ident.nvra.to_string(), digest, declared, computed: computed.to_owned() }
}

/// One header with its magic: returns `il`, `dl`, index and data. Memory grows with what arrives, not with what is declared.
fn read_blob(reader: &mut impl Read, part: &'static str, max_data: u32) -> Result<Vec<u8>, HeaderError> {
    let mut intro = [0; 16];
    reader.read_exact(&mut intro).map_err(|source| HeaderError::Read { part, source })?;
    let [a, b, c, d, _, _, _, _, rest @ ..] = intro;
    if [a, b, c, d] != HEADER_MAGIC {
        return Err(HeaderError::NotRpm { part });
    }
    let [i0, i1, i2, i3, d0, d1, d2, d3] = rest;
    let (il, dl) = (u32::from_be_bytes([i0, i1, i2, i3]), u32::from_be_bytes([d0, d1, d2, d3]));
    for (unit, found, limit) in [("index entries", il, MAX_ENTRIES), ("data bytes", dl, max_data)] {
        if found > limit {
            return Err(HeaderError::TooLarge { part, unit, found: found.into(), limit: limit.into() });
        }
    }
    let body = u64::from(il) * 16 + u64::from(dl);
    let mut blob = rest.to_vec();
    reader.take(body).read_to_end(&mut blob).map_err(|source| HeaderError::Read { part, source })?;
    if blob.len() as u64 != body + 8 {
        let source = std::io::ErrorKind::UnexpectedEof.into();
        return Err(HeaderError::Read { part, source });
    }
    Ok(blob)
}
