//! A Koji hub session: XML-RPC, login, call numbers, retries, multicall, chunked upload.
//!
//! The worker alone uses this crate. [`Session`] is the connection; the modules `host`, `task`, `tag`, `build`,
//! `content_generator`, `repo`, `rpm` and `policy` add one typed method per hub call, one module per area of
//! kojihub/kojihub.py. The codec ([`encode_call`], [`decode_response`], …) is pure and is also used for the
//! XML documents that task requests and task results are stored as.

mod adler32;
mod answer;
mod build;
mod call;
mod check_in;
mod config;
mod content_generator;
mod decode;
mod encode;
mod error;
mod host;
mod http;
mod json;
mod kerberos;
mod multicall;
mod policy;
mod private_key;
mod questions;
mod repo;
mod rpm;
mod session;
mod tag;
mod task;
mod text;
mod ticket;
mod upload;
mod value;

pub use adler32::Adler32;
pub use build::{Archive, Build, BuildKey, BuildState, User};
pub use check_in::{CheckIn, Dispatch, HostLoad, HostReport, LoadData, Offered};
pub use config::{Credentials, HubConfig, RetryPolicy};
pub use content_generator::Reservation;
pub use decode::{CodecError, DecodeLimits, MethodCall, WireFault, decode_call, decode_response};
pub use encode::{encode_call, encode_fault, encode_response, with_kwargs};
pub use error::{CallbackRefusal, Fault, HubError};
pub use host::{AssignedTask, HeldTask, HostInfo, Subtask};
pub use kerberos::{KerberosError, KerberosIdentity};
pub use repo::{Repo, RepoRequest, RepoState};
pub use rpm::{KojiRpm, RpmSignature};
pub use session::Session;
pub use tag::{BuildConfig, BuildTarget, PackageConfig, Tag};
pub use task::{TaskInfo, TaskState};
pub use text::{fault_text, wire_text};
pub use ticket::SessionTicket;
pub use upload::UploadSum;
pub use value::Value;
