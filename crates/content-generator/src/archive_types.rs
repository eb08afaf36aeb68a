//! File extensions a hub accepts for archives (table `archivetypes` of Koji's schema, 1.35), and the lookup
//! of `get_archive_type`: any dotted tail of the lower-cased name counts, the longest first.

/// Extensions every hub knows. Notably absent: `tar.zst`, `zst`, `md`, `spdx`, `gz`, `log`.
const EXTENSIONS: &[&str] = &[
    "aar",
    "apklib",
    "bat",
    "box",
    "cab",
    "cat",
    "cfg",
    "changes",
    "changes.xz",
    "dll",
    "dot",
    "dylib",
    "ear",
    "erofs",
    "erofs.gz",
    "erofs.xz",
    "exe",
    "gem",
    "groovy",
    "gv",
    "gvy",
    "img",
    "inf",
    "ini",
    "iso",
    "iso.gz",
    "iso.xz",
    "jar",
    "jdocbook",
    "jdocbook-style",
    "jnilib",
    "js",
    "json",
    "key",
    "ks",
    "ldif",
    "lib",
    "liveimg.squashfs",
    "manifest",
    "msi",
    "msm",
    "obr",
    "oem",
    "ova",
    "packages",
    "pdb",
    "pom",
    "properties",
    "qcow",
    "qcow2",
    "qcow2.gz",
    "qcow2.xz",
    "rar",
    "raw",
    "raw.gz",
    "raw.xz",
    "rc",
    "sar",
    "sh",
    "sha256",
    "sig",
    "signature",
    "so",
    "spec",
    "squashfs",
    "squashfs.gz",
    "squashfs.xz",
    "sys",
    "tar",
    "tar.bz2",
    "tar.gz",
    "tar.xz",
    "tgz",
    "tlb",
    "txt",
    "vdi",
    "verified",
    "vhd",
    "vhd.gz",
    "vhd.xz",
    "vhdx",
    "vhdx.gz",
    "vhdx.xz",
    "vmdk",
    "vmdk.gz",
    "vmdk.xz",
    "vmlinuz",
    "vmlinuz.gz",
    "vmlinuz.xz",
    "war",
    "wsdl",
    "wsf",
    "wsl",
    "xjb",
    "xml",
    "xml.bz2",
    "xml.gz",
    "xml.xz",
    "xsd",
    "yaml",
    "yml",
    "zip",
];

/// Whether the hub finds an archive type for `file`; `site` are extensions the site added.
pub fn has_known_extension(file: &str, site: &[String]) -> bool {
    let name = file.to_lowercase();
    let mut tail = name.as_str();
    loop {
        if EXTENSIONS.contains(&tail) || site.iter().any(|s| s.to_lowercase() == tail) {
            return true;
        }
        match tail.split_once('.') {
            Some((_, rest)) => tail = rest,
            None => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_archives_and_reports_are_known_and_zstd_is_not() {
        for good in ["docker-image-0a1b.x86_64.tar.gz", "sbom-x86_64.json", "Provenance.TXT", "a.b.c.yml"] {
            assert!(has_known_extension(good, &[]), "{good}");
        }
        for bad in ["docker-image-0a1b.x86_64.tar.zst", "help.md", "x86_64.log", "noextension", "", "."] {
            assert!(!has_known_extension(bad, &[]), "{bad}");
        }
        assert!(has_known_extension("image.tar.zst", &["tar.zst".to_owned()]));
    }

    #[test]
    fn the_table_is_sorted_so_that_a_missing_line_is_seen() {
        assert!(EXTENSIONS.is_sorted());
    }
}
