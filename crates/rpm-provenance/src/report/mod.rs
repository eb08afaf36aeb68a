//! Reports of a build's provenance: one document ([`Provenance`], docs/provenance-json.md), and everything that is made of it.
//!
//! The document is written with every build, read again by `containerbuild explain` and `policy test`, and made anew by
//! `containerbuild verify`. The text for people, the differences to an earlier build and the site's policy look at nothing
//! else, so they say the same about a recorded document as about the image it was made of.

mod difference;
mod document;
mod make;
mod text;
mod why;

pub use difference::{Difference, LabelChange, PackageChange, PackageTotals};
pub use document::{
    FilesSection, KojiRpm, Outcome, Package, PackageTags, ParentBuild, ParentImage, Provenance, Request, RpmDbSection,
    SCHEMA_VERSION,
};
pub use make::{Report, provenance};
pub use text::{explain_package, text};
pub use why::{LayerPackages, Reason, Why, explain_packages};
