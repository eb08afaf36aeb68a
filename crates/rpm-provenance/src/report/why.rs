//! Why a package is in an image: the instruction that brought it, and whether it was asked for or is needed by another.
//!
//! dnf's history may be removed or was never there (microdnf), so nothing of it is used. The instruction is the one whose
//! layer is the first with the package in its rpmdb. Asked for is what the instruction names; the rest is explained by the
//! requirements that the packages' own headers declare.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::dependencies::PackageDependencies;
use crate::{Origin, Proof, RpmDb};

/// Why a package is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// The kind of reason.
    pub reason: Reason,
    /// The instruction that brought it; null for inherited packages and when layers were squashed.
    pub instruction: Option<String>,
    /// Packages that need it, those of the same instruction first; at most [`Why::NAMED`].
    pub by: Vec<String>,
    /// What they need: the capability of the first.
    pub capability: Option<String>,
}

/// The kind of reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The parent image has it.
    Inherited,
    /// The instruction names it.
    Requested,
    /// Another package requires it.
    Required,
    /// Another package recommends it, or it supplements another.
    Recommended,
    /// Neither: it came with a group, or what required it is gone.
    Unknown,
}

/// What the rpmdb held after one instruction.
#[derive(Debug, Clone)]
pub struct LayerPackages {
    /// The instruction.
    pub instruction: String,
    /// The rpmdb as it was then.
    pub db: RpmDb,
}

impl Why {
    /// Packages named.
    pub const NAMED: usize = 5;

    /// For people: `requested in RUN dnf -y install nginx`.
    pub fn sentence(&self) -> String {
        let mut text = match self.reason {
            Reason::Inherited => "from the parent image".to_owned(),
            Reason::Requested => "requested".to_owned(),
            Reason::Required => format!("needed by {}", self.by.join(", ")),
            Reason::Recommended => format!("recommended by {}", self.by.join(", ")),
            Reason::Unknown => "nothing in the image requires it".to_owned(),
        };
        if let Some(instruction) = &self.instruction {
            text.push_str(&format!(" in `{}`", shortened(instruction)));
        }
        text
    }
}

/// The first line of an instruction, cut where it is long.
pub(super) fn shortened(instruction: &str) -> String {
    let line = instruction.lines().next().unwrap_or_default().trim_end_matches('\\').trim_end();
    let cut: String = line.chars().take(90).collect();
    if cut.len() < line.len() || instruction.lines().count() > 1 { format!("{cut} …") } else { cut }
}

/// Explains every package of a proof, in its order. `layers` are the new layers whose rpmdb differs from the one before,
/// the lowest first; `dependencies` those of all installed packages.
pub fn explain_packages(proof: &Proof, layers: &[LayerPackages], dependencies: &[PackageDependencies]) -> Vec<Option<Why>> {
    let index = Index::new(dependencies);
    let arrived = arrivals(layers);
    let instructions: Vec<Option<&str>> = proof
        .packages
        .iter()
        .map(|p| {
            arrived
                .get(&(p.ident.nvra.to_string(), p.ident.computed.sha256.as_str()))
                .and_then(|at| Some(layers.get(*at)?.instruction.as_str()))
        })
        .collect();
    let came_with: HashMap<String, Option<&str>> =
        proof.packages.iter().zip(&instructions).map(|(p, i)| (p.ident.nvra.to_string(), *i)).collect();
    proof
        .packages
        .iter()
        .zip(&instructions)
        .map(|(package, instruction)| {
            let nvra = package.ident.nvra.to_string();
            if package.origin == Origin::Inherited {
                let (by, capability) = index.needed(&nvra, &came_with, None, Kind::Requires);
                return Some(Why { reason: Reason::Inherited, instruction: None, by, capability });
            }
            let told = instruction.map(str::to_owned);
            if instruction.is_some_and(|text| index.is_named(&nvra, text)) {
                return Some(Why { reason: Reason::Requested, instruction: told, by: Vec::new(), capability: None });
            }
            for (kind, reason) in [(Kind::Requires, Reason::Required), (Kind::Recommends, Reason::Recommended)] {
                let (by, capability) = index.needed(&nvra, &came_with, *instruction, kind);
                if !by.is_empty() {
                    return Some(Why { reason, instruction: told, by, capability });
                }
            }
            Some(Why { reason: Reason::Unknown, instruction: told, by: Vec::new(), capability: None })
        })
        .collect()
}

/// The layer each package first appears in.
fn arrivals(layers: &[LayerPackages]) -> HashMap<(String, &str), usize> {
    let mut arrived = HashMap::new();
    for (at, layer) in layers.iter().enumerate() {
        for rpm in &layer.db.packages {
            arrived.entry((rpm.nvra.to_string(), rpm.computed.sha256.as_str())).or_insert(at);
        }
    }
    arrived
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Requires,
    Recommends,
}

/// Who needs what.
struct Index<'a> {
    by_nvra: HashMap<String, &'a PackageDependencies>,
    requirers: HashMap<&'a str, Vec<&'a PackageDependencies>>,
    recommenders: HashMap<&'a str, Vec<&'a PackageDependencies>>,
    providers: HashMap<&'a str, Vec<&'a PackageDependencies>>,
}

impl<'a> Index<'a> {
    fn new(packages: &'a [PackageDependencies]) -> Self {
        let mut index = Self {
            by_nvra: packages.iter().map(|p| (p.nvra.to_string(), p)).collect(),
            requirers: HashMap::new(),
            recommenders: HashMap::new(),
            providers: HashMap::new(),
        };
        for package in packages {
            for capability in &package.requires {
                index.requirers.entry(capability).or_default().push(package);
            }
            for capability in &package.recommends {
                index.recommenders.entry(capability).or_default().push(package);
            }
            for capability in &package.provides {
                index.providers.entry(capability).or_default().push(package);
            }
        }
        index
    }

    /// Packages that need `nvra`, those that came with the same instruction first, and the capability the first asks for.
    fn needed(
        &self,
        nvra: &str,
        came_with: &HashMap<String, Option<&str>>,
        instruction: Option<&str>,
        kind: Kind,
    ) -> (Vec<String>, Option<String>) {
        let Some(package) = self.by_nvra.get(nvra) else { return (Vec::new(), None) };
        let own = package.nvra.nvr.name.as_str();
        let needs = if kind == Kind::Requires { &self.requirers } else { &self.recommenders };
        let mut found: BTreeSet<(bool, &str, &str)> = BTreeSet::new();
        for capability in package.provides.iter().map(String::as_str).chain(package.files.iter().map(String::as_str)) {
            for other in needs.get(capability).into_iter().flatten() {
                if other.nvra != package.nvra {
                    let together = came_with.get(&other.nvra.to_string()).copied().flatten() == instruction;
                    found.insert((!together, &other.nvra.nvr.name, capability));
                }
            }
        }
        if kind == Kind::Recommends {
            for supplemented in &package.supplements {
                for other in self.providers.get(supplemented.as_str()).into_iter().flatten().filter(|o| o.nvra != package.nvra) {
                    found.insert((false, &other.nvra.nvr.name, supplemented));
                }
            }
        }
        let mut names: Vec<String> = Vec::new();
        for (_, name, _) in &found {
            if *name != own && !names.iter().any(|n| n == name) && names.len() < Why::NAMED {
                names.push((*name).to_owned());
            }
        }
        let capability =
            found.iter().find(|(_, name, _)| names.first().is_some_and(|n| n == name)).map(|(_, _, c)| (*c).to_owned());
        (names, capability)
    }

    /// Whether an instruction's text names a package: by name, with version or arch, by a file of it, or by a pattern.
    fn is_named(&self, nvra: &str, instruction: &str) -> bool {
        let Some(package) = self.by_nvra.get(nvra) else { return false };
        let nvr = &package.nvra.nvr;
        let (name, arch) = (nvr.name.as_str(), package.nvra.arch.as_str());
        let forms =
            [name.to_owned(), format!("{name}.{arch}"), format!("{name}-{}", nvr.version), nvr.to_string(), nvra.to_owned()];
        words(instruction).any(|word| {
            let word = word.rsplit('/').next().filter(|_| word.ends_with(".rpm")).unwrap_or(word);
            let word = word.strip_suffix(".rpm").unwrap_or(word);
            forms.iter().any(|form| form == word)
                || (word.contains(['*', '?']) && word != "*" && crate::policy::glob_matches(word, name))
                || (word.starts_with('/') && package.files.iter().any(|file| file == word))
                // A virtual name; plain words of a shell line are no capabilities of anything by accident.
                || (word.len() > 2 && word != name && package.provides.iter().any(|p| p == word) && word.contains(['(', '-', '.']))
        })
    }
}

/// Words of a shell line: options, quotes and separators are taken off.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || matches!(c, ';' | '&' | '|' | '"' | '\'' | ',' | '[' | ']' | '\\'))
        .filter(|word| !word.is_empty() && !word.starts_with('-'))
}
