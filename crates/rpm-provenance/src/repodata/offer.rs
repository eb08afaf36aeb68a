//! What a repository offers, in one block of memory: sorted by location, found by bisection. The same bytes are kept in
//! the gate's cache, so that a build of a repository seen before does not parse primary.xml again.
//!
//! Layout: magic, two u32 (entries, unusable ones), one u32 offset an entry, the entries; all little-endian.

use std::collections::HashMap;

use build_model::{Nvr, Nvra};

use super::checksum::Checksum;

/// Names the layout; another number is another file name in the cache.
pub const OFFER_VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"rpmoffr\x01";
const HEAD: usize = 16;

/// One RPM on offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// Name, version, release, architecture.
    pub nvra: Nvra,
    /// The epoch; metadata does not tell 0 from none.
    pub epoch: Option<u32>,
    /// Of the file.
    pub checksum: Checksum,
    /// Bytes of the file.
    pub size: Option<u64>,
    /// Modification time of the file, for `Last-Modified`.
    pub file_time: Option<u64>,
}

/// What the metadata lists at a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// An RPM that may be asked for.
    Offered(Offered),
    /// Something that is never handed out, and why.
    Unusable(String),
}

impl Listed {
    /// What to call it in a message.
    pub(super) fn name(&self) -> String {
        match self {
            Listed::Offered(offered) => offered.nvra.to_string(),
            Listed::Unusable(reason) => format!("one that is unusable ({reason})"),
        }
    }
}

/// A stored offer is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored list of packages is damaged")]
pub struct OfferDamaged;

/// All RPMs of a repository by location.
#[derive(Clone, PartialEq, Eq)]
pub struct Offer {
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Offer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offer").field("packages", &self.packages()).field("unusable", &self.unusable()).finish()
    }
}

impl Offer {
    /// Sorts and packs what was read.
    pub(super) fn new(listed: HashMap<String, Listed>) -> Self {
        let mut listed: Vec<(String, Listed)> = listed.into_iter().collect();
        listed.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let unusable = listed.iter().filter(|(_, l)| matches!(l, Listed::Unusable(_))).count();
        let mut bytes = MAGIC.to_vec();
        for number in [listed.len(), unusable] {
            // both are bounded by MAX_PACKAGES of primary.rs
            bytes.extend((number as u32).to_le_bytes());
        }
        let table = bytes.len();
        bytes.resize(table + 4 * listed.len(), 0);
        for (index, (location, entry)) in listed.iter().enumerate() {
            // 2 million entries of at most 4 texts of 256 bytes stay below 4 GB but for absurd reasons, which are cut
            let offset = (bytes.len() as u32).to_le_bytes();
            if let Some(slot) = bytes.get_mut(table + 4 * index..table + 4 * index + 4) {
                slot.copy_from_slice(&offset);
            }
            put_text(&mut bytes, location);
            put_entry(&mut bytes, entry);
        }
        Offer { bytes }
    }

    /// The block, to be stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// From a stored block. Entries are read when they are asked for; damage there reads as nothing listed.
    ///
    /// # Errors
    /// When the block is not of this layout.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, OfferDamaged> {
        let offer = Offer { bytes };
        let table = HEAD as u64 + 4 * u64::from(offer.word(8));
        if !offer.bytes.starts_with(&MAGIC) || (offer.bytes.len() as u64) < table || offer.word(12) > offer.word(8) {
            return Err(OfferDamaged);
        }
        Ok(offer)
    }

    /// RPMs that may be asked for.
    pub fn packages(&self) -> usize {
        self.word(8).saturating_sub(self.word(12)) as usize
    }

    /// Entries that are never handed out.
    pub fn unusable(&self) -> usize {
        self.word(12) as usize
    }

    /// What the metadata lists at a location.
    pub fn get(&self, location: &str) -> Option<Listed> {
        let (mut low, mut high) = (0usize, self.word(8) as usize);
        while low < high {
            let middle = low + (high - low) / 2;
            let mut entry = self.entry(middle)?;
            match entry.text()?.cmp(location) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return entry.listed(),
            }
        }
        None
    }

    /// Everything listed, by location.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Listed)> {
        (0..self.word(8) as usize).filter_map(|index| {
            let mut entry = self.entry(index)?;
            Some((entry.text()?, entry.listed()?))
        })
    }

    fn word(&self, at: usize) -> u32 {
        let word = self.bytes.get(at..at + 4).and_then(|w| w.try_into().ok());
        word.map_or(0, u32::from_le_bytes)
    }

    fn entry(&self, index: usize) -> Option<Cursor<'_>> {
        let offset = self.word(HEAD + 4 * index) as usize;
        self.bytes.get(offset..).map(Cursor)
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let length = text.len().min(u16::MAX.into());
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(&text.as_bytes()[..length]);
}

fn put_number(bytes: &mut Vec<u8>, number: Option<u64>) {
    bytes.push(number.is_some().into());
    bytes.extend(number.unwrap_or_default().to_le_bytes());
}

fn put_entry(bytes: &mut Vec<u8>, entry: &Listed) {
    match entry {
        Listed::Unusable(reason) => {
            bytes.push(0);
            put_text(bytes, &reason.chars().take(1024).collect::<String>());
        }
        Listed::Offered(offered) => {
            bytes.push(1);
            let Nvr { name, version, release } = &offered.nvra.nvr;
            for text in [name, version, release, &offered.nvra.arch] {
                put_text(bytes, text);
            }
            put_text(bytes, offered.checksum.algorithm());
            put_text(bytes, offered.checksum.hex());
            put_number(bytes, offered.epoch.map(u64::from));
            put_number(bytes, offered.size);
            put_number(bytes, offered.file_time);
        }
    }
}

/// The rest of the block from some entry on.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = u16::from_le_bytes(self.take(2)?.try_into().ok()?);
        std::str::from_utf8(self.take(length.into())?).ok()
    }

    fn number(&mut self) -> Option<Option<u64>> {
        let there = *self.take(1)?.first()? != 0;
        let number = u64::from_le_bytes(self.take(8)?.try_into().ok()?);
        Some(there.then_some(number))
    }

    fn listed(&mut self) -> Option<Listed> {
        if *self.take(1)?.first()? == 0 {
            return Some(Listed::Unusable(self.text()?.to_owned()));
        }
        let [name, version, release, arch] = [self.text()?, self.text()?, self.text()?, self.text()?].map(str::to_owned);
        let checksum = Checksum::new(self.text()?, self.text()?)?;
        let epoch = self.number()?.map(u32::try_from).transpose().ok()?;
        let nvra = Nvra { nvr: Nvr { name, version, release }, arch };
        Some(Listed::Offered(Offered { nvra, epoch, checksum, size: self.number()?, file_time: self.number()? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(n: usize) -> Listed {
        Listed::Offered(Offered {
            nvra: format!("name{n}-1.{n}-1.x86_64").parse().expect("an NVRA"),
            epoch: n.is_multiple_of(3).then_some(n as u32),
            checksum: Checksum::new("sha512", &"ab".repeat(64)).expect("a checksum"),
            size: Some(n as u64 + 1),
            file_time: None,
        })
    }

    #[test]
    fn what_was_put_in_is_found_again_after_storing() {
        let mut listed: HashMap<String, Listed> = (0..500).map(|n| (format!("p/{n}.rpm"), offered(n))).collect();
        listed.insert("../x.rpm".into(), Listed::Unusable("it leads out".into()));
        let offer = Offer::new(listed.clone());
        let again = Offer::from_bytes(offer.as_bytes().to_vec()).expect("an offer");
        assert_eq!((again.packages(), again.unusable()), (500, 1));
        for (location, entry) in &listed {
            assert_eq!(again.get(location).as_ref(), Some(entry), "{location}");
        }
        assert_eq!((again.get("p/500.rpm"), again.get(""), again.get("zzz")), (None, None, None));
        assert_eq!(again.iter().count(), 501);
        assert_eq!(Offer::new(HashMap::new()).get("a"), None);
    }

    #[test]
    fn damaged_blocks_are_refused_or_list_nothing_but_never_panic() {
        let offer = Offer::new((0..20).map(|n| (format!("{n}"), offered(n))).collect());
        let whole = offer.as_bytes().to_vec();
        for end in 0..whole.len() {
            if let Ok(cut) = Offer::from_bytes(whole[..end].to_vec()) {
                let _ = (cut.get("7"), cut.iter().count());
            }
        }
        for at in 0..whole.len() {
            let mut bent = whole.clone();
            bent[at] ^= 0xff;
            if let Ok(bent) = Offer::from_bytes(bent) {
                let _ = (bent.get("7"), bent.iter().take(1000).count());
            }
        }
    }
}
