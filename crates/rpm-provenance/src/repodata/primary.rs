//! `primary.xml`: every RPM a repository offers, with location, checksum and size. Parsed as a stream; only what the
//! gate needs is kept ([`Offer`], about 200 bytes a package).

use std::collections::HashMap;
use std::io::BufRead;

use build_model::{Nvr, Nvra};

use super::checksum::Checksum;
use super::offer::{Listed, Offer, Offered};
use super::xml::{Attributes, Visitor, walk};
use super::{MetadataError, location};

/// Packages allowed in one repository; Fedora's everything has about 80 000.
const MAX_PACKAGES: usize = 2_000_000;
/// Largest RPM; rpm itself takes more, no repository does.
const MAX_RPM: u64 = 64 << 30;
/// Longest name, version, release, architecture; rpm's own readers stop at 256.
const MAX_WORD: usize = 256;

/// Reads a decompressed primary.xml.
///
/// Packages that can never be handed out (they lie elsewhere, nothing pins them, the description contradicts itself)
/// are kept with the reason, so that a request for one can be answered.
///
/// # Errors
/// When it is no primary.xml, is damaged, or holds more than anybody's repository.
pub fn parse(reader: impl BufRead) -> Result<Offer, MetadataError> {
    let mut visitor = Primary::default();
    walk(reader, &mut visitor)?;
    Ok(Offer::new(visitor.listed))
}

#[derive(Default)]
struct Primary {
    listed: HashMap<String, Listed>,
    package: Package,
}

#[derive(Default)]
struct Package {
    name: Once,
    arch: Once,
    version: Once,
    checksum: Once,
    location: Once,
    epoch: String,
    release: String,
    algorithm: String,
    size: Once,
    file_time: Option<u64>,
    base: Option<String>,
    /// The element that is there twice; whichever a client reads, it may be the other one.
    twice: Option<&'static str>,
}

/// A text that may be said once.
#[derive(Default)]
struct Once(Option<String>);

impl Once {
    fn set(&mut self, value: Option<String>) -> bool {
        self.0.replace(value.unwrap_or_default()).is_some()
    }
    fn take(self) -> String {
        self.0.unwrap_or_default()
    }
}

impl Visitor for Primary {
    fn start(&mut self, depth: usize, name: &str, attributes: &Attributes<'_>) -> Result<(), String> {
        let package = &mut self.package;
        match (depth, name) {
            (1, "metadata") => {}
            (1, other) => return Err(format!("the root element is `{other}`, not `metadata`")),
            (2, "package") => *package = Package::default(),
            (3, "version") => {
                if package.version.set(attributes.get("ver")?) {
                    package.twice = Some("version");
                }
                package.epoch = attributes.get("epoch")?.unwrap_or_default();
                package.release = attributes.get("rel")?.unwrap_or_default();
            }
            (3, "checksum") => package.algorithm = attributes.get("type")?.unwrap_or_default(),
            (3, "size") => {
                if let Some(size) = attributes.get("package")?
                    && package.size.set(Some(size))
                {
                    package.twice = Some("size");
                }
            }
            (3, "time") => package.file_time = attributes.get("file")?.and_then(|n| n.parse().ok()),
            (3, "location") => {
                if package.location.set(attributes.get("href")?) {
                    package.twice = Some("location");
                }
                package.base = attributes.get("xml:base")?;
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, depth: usize, name: &str, text: &str) -> Result<(), String> {
        let package = &mut self.package;
        let (slot, word) = match (depth, name) {
            (3, "name") => (&mut package.name, "name"),
            (3, "arch") => (&mut package.arch, "arch"),
            (3, "checksum") => (&mut package.checksum, "checksum"),
            (2, "package") => return self.package_ends(),
            _ => return Ok(()),
        };
        if slot.set(Some(text.to_owned())) {
            package.twice = Some(word);
        }
        Ok(())
    }
}

impl Primary {
    fn package_ends(&mut self) -> Result<(), String> {
        let mut package = std::mem::take(&mut self.package);
        if self.listed.len() >= MAX_PACKAGES {
            return Err(format!("more than {MAX_PACKAGES} packages"));
        }
        // A name no request can have; the reason is for whoever asks for it.
        let location: String = package.location.0.take().unwrap_or_default().chars().take(4096).collect();
        let now = match package.offered(&location) {
            Ok(offered) => Listed::Offered(offered),
            Err(reason) => Listed::Unusable(reason),
        };
        let entry = match (self.listed.remove(&location), now) {
            (None, now) => now,
            // createrepo lists a file twice when it is given twice; the same words mean the same file.
            (Some(before), now) if before == now => now,
            (Some(before), now) => {
                Listed::Unusable(format!("the metadata lists two packages there, {} and {}", before.name(), now.name()))
            }
        };
        self.listed.insert(location, entry);
        Ok(())
    }
}

impl Package {
    fn offered(self, location: &str) -> Result<Offered, String> {
        if let Some(element) = self.twice {
            return Err(format!("the metadata gives its {element} twice"));
        }
        if !location::is_inside(location) {
            return Err("its location leads out of the repository".to_owned());
        }
        if let Some(base) = self.base.filter(|b| !b.is_empty()) {
            return Err(format!("the metadata says it lies in another place, {}", shown(&base)));
        }
        let epoch = match self.epoch.as_str() {
            "" | "0" => None,
            text => Some(text.parse().map_err(|_| format!("its epoch is `{}`", shown(text)))?),
        };
        let checksum = Checksum::new(&self.algorithm, &self.checksum.take())
            .ok_or_else(|| format!("its checksum is of the kind `{}`, which proves nothing", shown(&self.algorithm)))?;
        let size = match self.size.0 {
            None => None,
            Some(text) => {
                let size = text.parse().ok().filter(|n| (1..=MAX_RPM).contains(n));
                Some(size.ok_or_else(|| format!("its size is `{}`", shown(&text)))?)
            }
        };
        let nvr = Nvr {
            name: word(self.name.take(), "name")?,
            version: word(self.version.take(), "version")?,
            release: word(self.release, "release")?,
        };
        let nvra = Nvra { nvr, arch: word(self.arch.take(), "architecture")? };
        Ok(Offered { nvra, epoch, checksum, size, file_time: self.file_time })
    }
}

/// As in [`crate::RpmIdent`]: what cannot stand in an RPM's header is not looked up.
fn word(value: String, what: &str) -> Result<String, String> {
    if value.is_empty() || value.len() > MAX_WORD || value.bytes().any(|b| b <= b' ' || b == b'/' || b == 0x7f) {
        return Err(format!("its {what} is `{}`", shown(&value)));
    }
    Ok(value)
}

fn shown(text: &str) -> String {
    text.chars().take(200).flat_map(char::escape_debug).collect()
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
        let Some(Listed::Offered(found)) = offer.get("p/a.rpm") else { panic!("{offer:?}") };
        assert_eq!(found.nvra.to_string(), "a&b-1-2.noarch");
        assert_eq!((found.epoch, found.size, found.file_time), (None, Some(5), Some(99)));
        assert_eq!(found.checksum.hex(), sum);
        assert_eq!((offer.packages(), offer.unusable()), (1, 0));
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
            package("f", r#"href="f.rpm""#, &sum),
            package("g", r#"href="f.rpm""#, &sum),
        ]);
        assert_eq!(offer.packages(), 0, "{offer:?}");
        for (location, word) in [
            ("../../a.rpm", "leads out"),
            ("b.rpm", "mirror.example.org"),
            ("c.rpm", "proves nothing"),
            ("d.rpm", "two packages"),
            ("f.rpm", "two packages there, f-1-2.noarch and g-1-2.noarch"),
        ] {
            let Some(Listed::Unusable(reason)) = offer.get(location) else { panic!("{location}") };
            assert!(reason.contains(word), "{location}: {reason}");
        }
    }

    #[test]
    fn contradictions_and_nonsense_are_kept_out_with_the_reason() {
        let sum = "cd".repeat(32);
        let good = package("a", r#"href="a.rpm""#, &sum);
        for (from, to, word) in [
            ("package=\"5\"", "package=\"-5\"", "its size is `-5`"),
            ("package=\"5\"", "package=\"0\"", "its size is `0`"),
            ("package=\"5\"", "package=\"18446744073709551616\"", "its size is `1844"),
            ("epoch=\"0\"", "epoch=\"-1\"", "its epoch is `-1`"),
            ("<name>a</name>", "<name>a</name><name>b</name>", "name twice"),
            ("<name>a</name>", "<name>a<b/>c</name>", "its name is ``"),
            ("<name>a</name>", "<name>a/../b</name>", "its name is `a/../b`"),
            ("<arch>noarch</arch>", "<arch>no arch</arch>", "its architecture is"),
            ("<location", "<location href=\"b.rpm\"/><location", "location twice"),
            ("<size", "<size package=\"7\"/><size", "size twice"),
            ("<version", "<version epoch=\"0\" ver=\"9\" rel=\"9\"/><version", "version twice"),
            ("<checksum", "<checksum type=\"sha256\">ee</checksum><checksum", "checksum twice"),
        ] {
            let offer = offer(&[good.replace(from, to)]);
            let listed = offer.get("a.rpm").or_else(|| offer.get("b.rpm"));
            let Some(Listed::Unusable(reason)) = listed else { panic!("{to}: {listed:?}") };
            assert!(reason.contains(word), "{to}: {reason}");
        }
        // the very same lines twice are one package
        assert_eq!(offer(&[good.clone(), good]).packages(), 1);
    }

    #[test]
    fn one_endless_text_is_an_error_and_not_memory() {
        let text = format!("<metadata><package><name>{}</name></package></metadata>", "a".repeat(3 << 20));
        assert!(parse(text.as_bytes()).expect_err("too long").reason.contains("more than"));
    }
}
