//! Reports that builds have left in Koji: `data/logs/provenance-ARCH.json` of a build, read over http from the hub's files.

use build_model::{Arch, Blame, Diagnose, KojiTag, Nvra};
use koji_session::{Build, Session};
use rpm_provenance::report::Difference;
use rpm_provenance::{Provenance, package_file};

use crate::download::trusting;

/// Largest report that is read: an image of 5000 RPMs and as many files of each class has some 10 MB.
const MAX_REPORT: usize = 256 << 20;

/// Largest headers of an RPM that are read.
const MAX_HEAD: usize = 64 << 20;

/// The hub's files (`topurl`).
#[derive(Clone)]
pub struct KojiFiles {
    topurl: String,
    http: reqwest::Client,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ArchivedError {
    /// The build has none of that architecture.
    #[error("{nvr} has no report for {arch} ({url}); it was built by another service, or before reports were kept")]
    Absent {
        /// The build.
        nvr: String,
        /// The architecture.
        arch: Arch,
        /// Where it would be.
        url: String,
    },
    /// It cannot be fetched.
    #[error("cannot fetch {url}")]
    Fetch {
        /// The address.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The server's answer.
    #[error("cannot fetch {url}: the server says {status}")]
    Status {
        /// The address.
        url: String,
        /// The answer.
        status: reqwest::StatusCode,
    },
    /// It is no report.
    #[error("{url} is no provenance report")]
    Parse {
        /// The address.
        url: String,
        /// Why.
        source: serde_json::Error,
    },
    /// It is absurdly large.
    #[error("{url} has more than {MAX_REPORT} bytes")]
    TooLarge {
        /// The address.
        url: String,
    },
    /// No http client.
    #[error("cannot set up an HTTP client for the hub's files")]
    Client(#[source] reqwest::Error),
}

impl Diagnose for ArchivedError {
    fn blame(&self) -> Blame {
        match self {
            ArchivedError::Absent { .. } => Blame::Packager,
            ArchivedError::Client(_) => Blame::Site,
            _ => Blame::Hub,
        }
    }
    fn kind(&self) -> &'static str {
        match self {
            ArchivedError::Absent { .. } => "report-absent",
            ArchivedError::Fetch { .. } | ArchivedError::Status { .. } => "report-unreachable",
            ArchivedError::Parse { .. } | ArchivedError::TooLarge { .. } => "report-unreadable",
            ArchivedError::Client(_) => "http-client",
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            ArchivedError::Absent { .. } => Some("`containerbuild verify IMAGE --hub URL` makes a report for any image".into()),
            ArchivedError::Fetch { .. } | ArchivedError::Status { .. } => {
                Some("the hub's files are at the address Koji's configuration calls `topurl`".into())
            }
            _ => None,
        }
    }
}

impl KojiFiles {
    /// Reads below `topurl`. `ca` is an additional certificate authority in PEM form.
    ///
    /// # Errors
    /// When no client can be set up.
    pub fn new(topurl: &str, ca: Option<&[u8]>) -> Result<Self, ArchivedError> {
        let client = reqwest::Client::builder().timeout(std::time::Duration::from_secs(120));
        let http = trusting(client, ca).and_then(reqwest::ClientBuilder::build).map_err(ArchivedError::Client)?;
        Ok(Self { topurl: topurl.trim_end_matches('/').to_owned(), http })
    }

    /// Directory of a build, as koji.pathinfo.build has it.
    pub fn build_url(&self, build: &Build) -> String {
        let volume = build.volume_name.as_deref().filter(|v| *v != "DEFAULT").map(|v| format!("/vol/{v}")).unwrap_or_default();
        let nvr = &build.nvr;
        format!("{}{volume}/packages/{}/{}/{}", self.topurl, nvr.name, nvr.version, nvr.release)
    }

    /// The beginning of an RPM of a build: lead and headers, which hold its digests and its file list.
    ///
    /// # Errors
    /// [`ArchivedError`].
    pub async fn rpm_head(&self, build: &Build, rpm: &Nvra) -> Result<Vec<u8>, ArchivedError> {
        let url = format!("{}/{}/{rpm}.rpm", self.build_url(build), rpm.arch);
        let fetch = |source| ArchivedError::Fetch { url: url.clone(), source };
        let mut answer = self.http.get(&url).send().await.map_err(fetch)?;
        if !answer.status().is_success() {
            return Err(ArchivedError::Status { url, status: answer.status() });
        }
        let mut head = Vec::new();
        // The headers say themselves how long they are; the payload after them is not fetched.
        while head.len() < MAX_HEAD && package_file::read_files(&mut head.as_slice()).is_err() {
            match answer.chunk().await.map_err(|source| ArchivedError::Fetch { url: url.clone(), source })? {
                Some(chunk) => head.extend_from_slice(&chunk),
                None => break,
            }
        }
        Ok(head)
    }

    /// The report of a build for one architecture.
    ///
    /// # Errors
    /// [`ArchivedError`].
    pub async fn report(&self, build: &Build, arch: &Arch) -> Result<Provenance, ArchivedError> {
        let url = format!("{}/data/logs/provenance-{arch}.json", self.build_url(build));
        let fetch = |source| ArchivedError::Fetch { url: url.clone(), source };
        let mut answer = self.http.get(&url).send().await.map_err(fetch)?;
        match answer.status() {
            reqwest::StatusCode::NOT_FOUND => {
                return Err(ArchivedError::Absent { nvr: build.nvr.to_string(), arch: arch.clone(), url });
            }
            status if !status.is_success() => return Err(ArchivedError::Status { url, status }),
            _ => {}
        }
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|source| ArchivedError::Fetch { url: url.clone(), source })? {
            if text.len() + chunk.len() > MAX_REPORT {
                return Err(ArchivedError::TooLarge { url });
            }
            text.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&text).map_err(|source| ArchivedError::Parse { url, source })
    }
}

/// What changed since the newest build of the package in `tag`; `None` when there is none. That a comparison cannot be made
/// is in the answer: it never stands in the way of a build.
pub async fn previous_build(
    session: &Session,
    files: &KojiFiles,
    tag: &KojiTag,
    package: &str,
    document: &Provenance,
) -> Option<Difference> {
    let arch = Arch::canonical(&document.arch).ok()?;
    let unavailable = |nvr: &str, error: &dyn std::error::Error| Some(Difference::unavailable(nvr, crate::task::chain(error)));
    let id = match session.latest_build(tag, package).await {
        Ok(id) => id?,
        Err(error) => return unavailable(&format!("the newest {package} in {tag}"), &error),
    };
    let build = match session.get_build(id).await {
        Ok(build) => build?,
        Err(error) => return unavailable(&format!("build {id}"), &error),
    };
    match files.report(&build, &arch).await {
        Ok(report) => Some(Difference::between(&report, document)),
        Err(error) => unavailable(&build.nvr.to_string(), &error),
    }
}
