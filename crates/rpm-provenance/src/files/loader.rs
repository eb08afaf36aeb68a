//! ldconfig's cache (`sysdeps/generic/dl-cache.h` of glibc): where the loader finds shared objects before it looks into any
//! directory. What it leads to is a program by itself, but it may lead out of the image.

use std::io;
use std::path::PathBuf;

use super::links;
use super::shown;
use super::tree::Tree;

/// Where the loader reads it.
const CACHE: &[u8] = b"/etc/ld.so.cache";
/// Largest one that is read; of a full desktop it has some 200 kB.
const MAX: u64 = 16 << 20;
const RUNS: &str = "the loader maps what it names into programs";
/// Below these only root writes, so that an object which is gone stays gone.
const LIBRARIES: [&[u8]; 6] = [b"/lib/", b"/lib64/", b"/usr/lib/", b"/usr/lib64/", b"/usr/local/lib/", b"/usr/local/lib64/"];

/// A cache that leads out of its image.
pub(super) struct Astray {
    /// The file, no link on the way.
    pub path: Vec<u8>,
    /// Who obeys it, and where it leads.
    pub runs: String,
}

/// Looks at the cache of an image, where this build has made it.
pub(super) fn astray(tree: &mut Tree) -> Result<Option<Astray>, (PathBuf, io::Error)> {
    let path = tree.canonical_dir(CACHE)?.to_vec();
    let Some(entry) = tree.entry(&path)?.filter(|entry| tree.is_new(entry.layer) && entry.meta.is_file()) else {
        return Ok(None);
    };
    let found = |problem: String| Ok(Some(Astray { path: path.clone(), runs: format!("{RUNS}; {problem}") }));
    if entry.meta.len() == 0 {
        return Ok(None);
    }
    let read = if entry.meta.len() > MAX { Vec::new() } else { std::fs::read(&entry.host).map_err(|e| (entry.host, e))? };
    let Some(objects) = objects(&read) else { return found("it is none of ldconfig's".to_owned()) };
    for object in objects {
        let target = tree.canonical_dir(&object)?;
        let why = if links::is_anybody_s(&target) {
            "where anybody may write"
        } else if tree.entry(&target)?.is_none() && !LIBRARIES.iter().any(|dir| target.starts_with(dir)) {
            "which is not in the image"
        } else {
            continue;
        };
        return found(format!("it leads to {}, {why}", shown(&object)));
    }
    Ok(None)
}

/// The objects that a cache names; `None` for a damaged one.
fn objects(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    // Numbers are in the order of bytes of the image's architecture.
    objects_of(bytes, u32::from_le_bytes).or_else(|| objects_of(bytes, u32::from_be_bytes))
}

fn objects_of(bytes: &[u8], order: fn([u8; 4]) -> u32) -> Option<Vec<Vec<u8>>> {
    let number = |bytes: &[u8], at: usize| -> Option<usize> {
        let word: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        usize::try_from(order(word)).ok()
    };
    const OLD: &[u8] = b"ld.so-1.7.0\0";
    const NEW: &[u8] = b"glibc-ld.so.cache1.1";
    const HEADER: usize = 48;
    const ENTRY: usize = 24;
    let mut cache = bytes;
    if let Some(rest) = bytes.strip_prefix(OLD) {
        // Entries of the format before glibc 2.2; the newer cache follows, on a multiple of eight bytes.
        let end = (number(rest, 0)?.checked_mul(12)?.checked_add(OLD.len() + 4)?).checked_next_multiple_of(8)?;
        cache = bytes.get(end..)?;
    }
    cache.starts_with(NEW).then_some(())?;
    let count = number(cache, NEW.len())?;
    let entries = cache.get(HEADER..HEADER.checked_add(count.checked_mul(ENTRY)?)?)?;
    let mut found = Vec::new();
    for entry in entries.chunks_exact(ENTRY) {
        let text = cache.get(number(entry, 8)?..)?;
        let end = memchr::memchr(0, text)?;
        found.push(text.get(..end)?.to_vec());
    }
    found.sort();
    found.dedup();
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(objects: &[&str]) -> Vec<u8> {
        let start = 48 + 24 * objects.len();
        let (mut entries, mut strings) = (Vec::new(), Vec::new());
        for object in objects {
            let at = u32::try_from(start + strings.len()).expect("short").to_le_bytes();
            entries.extend([[3, 0, 0, 0], at, at, [0; 4], [0; 4], [0; 4]].concat());
            strings.extend(object.bytes().chain([0]));
        }
        let count = u32::try_from(objects.len()).expect("few").to_le_bytes();
        [b"glibc-ld.so.cache1.1".as_slice(), &count, &[0; 24], &entries, &strings].concat()
    }

    #[test]
    fn objects_are_read_from_caches_of_both_ages() {
        let new = cache(&["/usr/lib/a.so", "/tmp/b.so"]);
        let expected = Some(vec![b"/tmp/b.so".to_vec(), b"/usr/lib/a.so".to_vec()]);
        assert_eq!(objects(&new), expected);
        let old = [b"ld.so-1.7.0\0".as_slice(), &1_u32.to_le_bytes(), &[0; 12], &[0; 4], &new].concat();
        assert_eq!(objects(&old), expected);
        assert_eq!(objects(b"glibc-ld.so.cache1.1"), None);
        assert_eq!(objects(new.get(..new.len() - 1).unwrap_or_default()), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(head in proptest::sample::select(vec![&b"ld.so-1.7.0\0"[..], b"glibc-ld.so.cache1.1"]), bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = objects(&[head, &bytes].concat());
        }
    }
}
