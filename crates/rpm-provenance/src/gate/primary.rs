//! `primary.xml`: every RPM a repository offers, with location, checksum and size. Parsed as a stream; only what the
//! gate needs is kept (about 300 bytes a package).

use std::collections::HashMap;
use std::io::BufRead;

use build_model::{Nvr, Nvra};

use super::checksum::Checksum;
use super::location;
use super::xml::{Visitor, walk};

/// One RPM on offer.
#[derive(Debug, Clone)]
pub(super) struct Offered {
    pub nvra: Nvra,
    pub epoch: Option<u32>,
    pub checksum: Checksum,
    pub size: Option<u64>,
    /// Modification time of the file, for `Last-Modified`.
    pub file_time: Option<u64>,
}

/// What a repository offers.
#[derive(Debug, Default)]
pub(super) struct Offer {
    pub packages: HashMap<String, Offered>,
    /// Locations listed, but not to be handed out, and why.
    pub unusable: HashMap<String, String>,
}

/// Packages allowed in one repository; Fedora's everything has about 80 000.
const MAX_PACKAGES: usize = 2_000_000;

/// Reads a decompressed primary.xml.
pub(super) fn parse(reader: impl BufRead) -> Result<Offer, String> {
    let mut visitor = Primary::default();
    walk(reader, &mut visitor)?;
    Ok(visitor.offer)
}

#[derive(Default)]
struct Primary {
    offer: Offer,
    package: Package,
}

#[derive(Default)]
struct Package {
    name: String,
    arch: String,
    epoch: String,
    version: String,
    release: String,
    algorithm: String,
    checksum: String,
    size: Option<u64>,
    file_time: Option<u64>,
    location: String,
    base: Option<String>,
}

impl Visitor for Primary {
    fn start(&mut self, depth: usize, name: &str, attribute: &dyn Fn(&str) -> Option<String>) -> Result<(), String> {
        let package = &mut self.package;
        match (depth, name) {
            (1, "metadata") => {}
            (1, other) => return Err(format!("the root element is `{other}`, not `metadata`")),
            (2, "package") => *package = Package::default(),
            (3, "version") => {
                package.epoch = attribute("epoch").unwrap_or_default();
                package.version = attribute("ver").unwrap_or_default();
                package.release = attribute("rel").unwrap_or_default();
            }
            (3, "checksum") => package.algorithm = attribute("type").unwrap_or_default(),
            (3, "size") => package.size = attribute("package").and_then(|n| n.parse().ok()),
            (3, "time") => package.file_time = attribute("file").and_then(|n| n.parse().ok()),
            (3, "location") => {
                package.location = attribute("href").unwrap_or_default();
                package.base = attribute("xml:base");
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, depth: usize, name: &str, text: &str) -> Result<(), String> {
        match (depth, name) {
            (3, "name") => text.clone_into(&mut self.package.name),
            (3, "arch") => text.clone_into(&mut self.package.arch),
            (3, "checksum") => text.clone_into(&mut self.package.checksum),
            (2, "package") => {
                let package = std::mem::take(&mut self.package);
                if self.offer.packages.len() + self.offer.unusable.len() >= MAX_PACKAGES {
                    return Err(format!("more than {MAX_PACKAGES} packages"));
                }
                let location = package.location.clone();
                match package.offered() {
                    Ok(offered) => {
                        // Two packages under one location: the file can be only one of them.
                        if let Some(other) = self.offer.packages.insert(location.clone(), offered) {
                            let now = &self.offer.packages[&location];
                            if other.checksum != now.checksum {
                                let reason = format!("the metadata lists two packages there, {} and {}", other.nvra, now.nvra);
                                self.offer.packages.remove(&location);
                                self.offer.unusable.insert(location, reason);
                            }
                        }
                    }
                    Err(reason) => {
                        self.offer.unusable.insert(location, reason);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Package {
    fn offered(self) -> Result<Offered, String> {
        if !location::is_inside(&self.location) {
            return Err("its location leads out of the repository".to_owned());
        }
        if let Some(base) = self.base.filter(|b| !b.is_empty()) {
            return Err(format!("the metadata says it lies in another place, {base}"));
        }
        let epoch = match self.epoch.as_str() {
            "" | "0" => None,
            text => Some(text.parse().map_err(|_| format!("its epoch is `{text}`"))?),
        };
        let checksum = Checksum::new(&self.algorithm, &self.checksum)
            .ok_or_else(|| format!("its checksum is of the kind `{}`, which proves nothing", self.algorithm))?;
        let nvr = Nvr { name: self.name, version: self.version, release: self.release };
        Ok(Offered { nvra: Nvra { nvr, arch: self.arch }, epoch, checksum, size: self.size, file_time: self.file_time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, location: &str, sum: &str) -> String {
        format!(
            r#"<package type="rpm"><name>{name}</name><arch>noarch</arch><version epoch="0" ver="1" rel="2"/>
            <checksum type="sha256" pkgid="YES">{sum}</checksum><time file="99" build="98"/><size package="5" installed="6"/>
            <location {location}/><format><rpm:provides xmlns:rpm="r"><rpm:entry name="x"/></rpm:provides><file>/a</file></format></package>"#
        )
    }

    fn offer(packages: &[String]) -> Offer {
        let text = format!("<metadata packages=\"1\">{}</metadata>", packages.concat());
        parse(text.as_bytes()).expect("primary")
    }

    #[test]
    fn a_package_is_found_by_its_location() {
        let sum = "cd".repeat(32);
        let offer = offer(&[package("a&amp;b", r#"href="p/a.rpm""#, &sum)]);
        let found = &offer.packages["p/a.rpm"];
        assert_eq!(found.nvra.to_string(), "a&b-1-2.noarch");
        assert_eq!((found.epoch, found.size, found.file_time), (None, Some(5), Some(99)));
        assert_eq!(found.checksum.hex, sum);
    }

    #[test]
    fn packages_that_lie_elsewhere_or_are_weakly_pinned_are_listed_but_unusable() {
        let sum = "cd".repeat(32);
        let offer = offer(&[
            package("a", r#"href="../../a.rpm""#, &sum),
            package("b", r#"xml:base="https://mirror.example.org/" href="b.rpm""#, &sum),
            package("c", r#"href="c.rpm""#, "cdcd"),
            package("d", r#"href="d.rpm""#, &sum),
            package("e", r#"href="d.rpm""#, &"ef".repeat(32)),
        ]);
        assert!(offer.packages.is_empty(), "{:?}", offer.packages);
        for (location, word) in [
            ("../../a.rpm", "leads out"),
            ("b.rpm", "mirror.example.org"),
            ("c.rpm", "proves nothing"),
            ("d.rpm", "two packages"),
        ] {
            assert!(offer.unusable[location].contains(word), "{location}");
        }
    }

    #[test]
    fn one_endless_text_is_an_error_and_not_memory() {
        let text = format!("<metadata><package><name>{}</name></package></metadata>", "a".repeat(3 << 20));
        assert!(parse(text.as_bytes()).expect_err("too long").contains("more than"));
    }
}
