//! What packages require and provide, as their headers declare it (rpm's docs/manual/tags.md, "Dependencies").
//!
//! For the report alone: it explains why a package is in an image. Versions are left out, since rpm has solved them.

use std::collections::HashSet;

use build_model::Nvra;

use crate::RpmIdent;
use crate::files::PackageFiles;
use crate::header::{Header, HeaderError, tag};

/// Dependencies of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageDependencies {
    /// The package.
    pub nvra: Nvra,
    /// Capabilities it requires; of a rich dependency every name in it.
    pub requires: Vec<String>,
    /// Capabilities it recommends or suggests.
    pub recommends: Vec<String>,
    /// Capabilities whose presence makes it wanted.
    pub supplements: Vec<String>,
    /// Capabilities it provides, its name among them.
    pub provides: Vec<String>,
    /// Files of it that others require by path, and its commands.
    pub files: Vec<String>,
}

/// Directories whose files people ask for by path.
const COMMANDS: [&str; 4] = ["/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/"];

impl PackageDependencies {
    /// Reads the lists of a header.
    pub(crate) fn read(header: &Header, ident: &RpmIdent) -> Result<Self, HeaderError> {
        let names = |t: u32| -> Result<Vec<String>, HeaderError> {
            let list = header.strings(t)?;
            Ok(list.into_iter().flat_map(|raw| split(&String::from_utf8_lossy(raw))).collect())
        };
        let mut recommends = names(tag::RECOMMENDNAME)?;
        recommends.extend(names(tag::SUGGESTNAME)?);
        let mut provides = names(tag::PROVIDENAME)?;
        if !provides.contains(&ident.nvra.nvr.name) {
            provides.push(ident.nvra.nvr.name.clone());
        }
        Ok(Self {
            nvra: ident.nvra.clone(),
            requires: names(tag::REQUIRENAME)?,
            recommends,
            supplements: names(tag::SUPPLEMENTNAME)?,
            provides,
            files: Vec::new(),
        })
    }
}

/// Adds the files that dependencies or people name.
pub(crate) fn add_files(packages: &mut [PackageDependencies], files: &[PackageFiles]) {
    let wanted: HashSet<String> = packages
        .iter()
        .flat_map(|p| p.requires.iter().chain(&p.recommends))
        .filter(|name| name.starts_with('/'))
        .cloned()
        .collect();
    for package in packages {
        for owned in files.iter().filter(|f| f.nvra == package.nvra) {
            package.files.extend(
                owned
                    .paths()
                    .filter_map(|path| String::from_utf8(path).ok())
                    .filter(|path| wanted.contains(path) || COMMANDS.iter().any(|dir| path.starts_with(dir))),
            );
        }
    }
}

/// The names in one dependency: itself, or the operands of a rich one like `(a >= 1 or (b with c))`.
fn split(name: &str) -> Vec<String> {
    if !name.starts_with('(') {
        return vec![name.to_owned()];
    }
    const OPERATORS: [&str; 7] = ["and", "or", "if", "else", "with", "without", "unless"];
    let mut names = Vec::new();
    let mut after_comparison = false;
    for word in name.split_whitespace() {
        let word = word.trim_start_matches('(');
        // Brackets that belong to the name pair up in it: libc.so.6()(64bit).
        let mut word = word;
        while word.ends_with(')') && word.matches(')').count() > word.matches('(').count() {
            word = word.get(..word.len() - 1).unwrap_or_default();
        }
        let comparison = matches!(word, "<" | "<=" | "=" | ">=" | ">");
        if !word.is_empty() && !comparison && !after_comparison && !OPERATORS.contains(&word) {
            names.push(word.to_owned());
        }
        after_comparison = comparison;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn rich_dependencies_are_taken_apart() {
        assert_eq!(split("libc.so.6(GLIBC_2.34)(64bit)"), ["libc.so.6(GLIBC_2.34)(64bit)"]);
        assert_eq!(split("(a >= 1.0 or (b with c = 2))"), ["a", "b", "c"]);
        assert_eq!(split("(libc.so.6()(64bit) if glibc)"), ["libc.so.6()(64bit)", "glibc"]);
        assert!(split("(").is_empty());
    }
}
