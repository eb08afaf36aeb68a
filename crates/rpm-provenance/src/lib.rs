//! RPM provenance: header and rpmdb readers, the gate, the proof that every RPM is Koji's.
//!
//! Two independent answers to one question. The [`Gate`] is the only peer a build step can reach, and releases an RPM
//! only when Koji has it by digest. [`prove`] reads the rpmdb of the finished image and asks again; [`files`] then holds
//! the image's files against what the packages brought. Used by the worker;
//! knows nothing of Dockerfiles, and reaches the hub only through the trait [`KojiRpms`].

mod dependencies;
pub mod files;
pub mod gate;
mod header;
mod ident;
mod koji_rpms;
pub mod package_file;
pub mod policy;
mod proof;
pub mod query;
pub mod repodata;
pub mod report;
pub mod rpmdb;
mod rule;
mod verdict;

pub use dependencies::PackageDependencies;
pub use gate::{ContentSource, FetchError, Gate, GateError, GateOptions, HttpClients, Pin, Session};
pub use header::{HeaderDigests, HeaderError};
pub use ident::RpmIdent;
pub use koji_rpms::{KnownRpm, KnownSignature, KojiRpms, LookupError};
pub use proof::{Origin, PackageVerdict, Problem, Proof, ProofError, ProvenPackage, list_unchecked, prove, prove_again};
pub use report::{Provenance, Report};
pub use rpmdb::{RpmDb, RpmDbError, RpmDbFormat, UnreadableHeader};
pub use rule::{MatchedBy, Rule};
pub use verdict::{BuildStep, Verdict};
