//! RPMs that Koji knows: the ground truth of provenance (kojihub.py get_rpm, query_rpm_sigs).

use build_model::{BuildId, Nvra};

use crate::answer::Row;
use crate::{HubError, Session, Value, with_kwargs};

/// Queries in one request. Each request is one transaction at the hub; a row is about 1.4 KB.
const BATCH: usize = 500;

/// An RPM as the hub knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KojiRpm {
    /// RPM id.
    pub id: i64,
    /// Name, version, release, architecture.
    pub nvra: Nvra,
    /// Epoch.
    pub epoch: Option<u32>,
    /// The build it came from; `None` for packages only seen in an external repository.
    pub build_id: Option<BuildId>,
    /// SIGMD5 in lower-case hex for RPM v4; `sha256::…` and the like for newer formats. Empty when the hub has none.
    pub payloadhash: String,
    /// 0 for this Koji's own packages, else the external repository it was seen in.
    pub external_repo_id: i64,
    /// Whether it belongs to a draft build.
    pub draft: bool,
    /// File size in bytes.
    pub size: Option<i64>,
    /// Seconds since 1970 when it was built.
    pub buildtime: Option<i64>,
    /// SIGMD5, on hubs since 1.36.
    pub sigmd5: Option<String>,
    /// SHA-1 of the header, on hubs since 1.36.
    pub sha1header: Option<String>,
    /// SHA-256 of the header, on hubs since 1.36.
    pub sha256header: Option<String>,
    /// SHA3-256 of the header, on hubs since 1.36 and for packages of rpm 6.
    pub sha3_256header: Option<String>,
}

/// A signed copy of an RPM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpmSignature {
    /// Key id in lower-case hex; empty for the unsigned copy.
    pub sigkey: String,
    /// MD5 of the signature header.
    pub sighash: String,
}

impl Session {
    /// Looks RPMs up by name, in the order given; `None` for those the hub does not know. Of several packages with one
    /// name the hub prefers its own over drafts and over external ones.
    ///
    /// # Errors
    /// As [`Session::call`]; the fault of the first look-up that failed.
    pub async fn get_rpms(&self, rpms: &[Nvra]) -> Result<Vec<Option<KojiRpm>>, HubError> {
        const METHOD: &str = "getRPM";
        let mut found = Vec::with_capacity(rpms.len());
        for batch in rpms.chunks(BATCH) {
            let calls = batch.iter().map(|rpm| (METHOD.to_owned(), vec![nvra_struct(rpm)])).collect();
            for answer in self.ask(calls).await? {
                let answer = answer.map_err(HubError::Fault)?;
                found.push(Row::new(METHOD, &answer).some().map(|row| read_rpm(&row)).transpose()?);
            }
        }
        Ok(found)
    }

    /// The RPMs that image archives hold, in the order given (`listRPMs`, by `imageID`).
    ///
    /// # Errors
    /// As [`Session::get_rpms`].
    pub async fn rpms_of_images(&self, archives: &[i64]) -> Result<Vec<Vec<KojiRpm>>, HubError> {
        self.list_rpms(archives.iter().map(|id| vec![("imageID", Value::Int(*id))]).collect()).await
    }

    /// The source RPMs of builds, in the order given (`listRPMs`, by `buildID`).
    ///
    /// # Errors
    /// As [`Session::get_rpms`].
    pub async fn source_rpms_of_builds(&self, builds: &[BuildId]) -> Result<Vec<Vec<KojiRpm>>, HubError> {
        let of = |id: &BuildId| vec![("buildID", Value::from(*id)), ("arches", Value::Array(vec!["src".into()]))];
        self.list_rpms(builds.iter().map(of).collect()).await
    }

    async fn list_rpms(&self, queries: Vec<Vec<(&'static str, Value)>>) -> Result<Vec<Vec<KojiRpm>>, HubError> {
        const METHOD: &str = "listRPMs";
        let mut found = Vec::with_capacity(queries.len());
        let calls: Vec<_> = queries.into_iter().map(|query| (METHOD.to_owned(), with_kwargs(vec![], query))).collect();
        for batch in calls.chunks(BATCH) {
            for answer in self.ask(batch.to_vec()).await? {
                let answer = answer.map_err(HubError::Fault)?;
                let rows = Row::new(METHOD, &answer).rows()?;
                found.push(rows.map(|row| read_rpm(&row)).collect::<Result<_, HubError>>()?);
            }
        }
        Ok(found)
    }

    /// `SHA256HEADER` of the hub's own files (`getRPMHeaders`), in the order given; `None` where there is no file, where its
    /// header has no such digest (built before rpm 4.14), or where the hub cannot read it.
    ///
    /// # Errors
    /// As [`Session::call`]; a fault of a single look-up is a `None`.
    pub async fn rpm_file_digests(&self, rpm_ids: &[i64]) -> Result<Vec<Option<String>>, HubError> {
        const METHOD: &str = "getRPMHeaders";
        const FIELD: &str = "sha256header";
        let mut found = Vec::with_capacity(rpm_ids.len());
        for batch in rpm_ids.chunks(BATCH) {
            let call = |id: &i64| {
                let fields = Value::Array(vec![FIELD.into()]);
                (METHOD.to_owned(), with_kwargs(vec![], vec![("rpmID", Value::Int(*id)), ("headers", fields)]))
            };
            for (id, answer) in batch.iter().zip(self.ask(batch.iter().map(call).collect()).await?) {
                found.push(match answer {
                    Ok(fields) => fields.get(FIELD).and_then(Value::as_str).filter(|s| !s.is_empty()).map(str::to_owned),
                    Err(fault) => {
                        tracing::debug!(rpm_id = id, %fault, "the hub cannot read the header of its file");
                        None
                    }
                });
            }
        }
        Ok(found)
    }

    /// The signed copies the hub has of RPMs, in the order given.
    ///
    /// # Errors
    /// As [`Session::get_rpms`].
    pub async fn query_rpm_sigs(&self, rpm_ids: &[i64]) -> Result<Vec<Vec<RpmSignature>>, HubError> {
        const METHOD: &str = "queryRPMSigs";
        let mut found = Vec::with_capacity(rpm_ids.len());
        for batch in rpm_ids.chunks(BATCH) {
            let call = |id: &i64| (METHOD.to_owned(), with_kwargs(vec![], vec![("rpm_id", Value::Int(*id))]));
            for answer in self.ask(batch.iter().map(call).collect()).await? {
                let answer = answer.map_err(HubError::Fault)?;
                let signatures = Row::new(METHOD, &answer).rows()?.map(|row| {
                    Ok(RpmSignature { sigkey: row.string("sigkey")?, sighash: row.opt_string("sighash")?.unwrap_or_default() })
                });
                found.push(signatures.collect::<Result<_, HubError>>()?);
            }
        }
        Ok(found)
    }
}

/// An NVRA in the form that cannot be misread.
fn nvra_struct(rpm: &Nvra) -> Value {
    Value::from_pairs([
        ("name", Value::from(rpm.nvr.name.as_str())),
        ("version", rpm.nvr.version.as_str().into()),
        ("release", rpm.nvr.release.as_str().into()),
        ("arch", rpm.arch.as_str().into()),
    ])
}

fn read_rpm(row: &Row<'_>) -> Result<KojiRpm, HubError> {
    let nvr = build_model::Nvr { name: row.string("name")?, version: row.string("version")?, release: row.string("release")? };
    let epoch = match row.opt_int("epoch")? {
        Some(number) => Some(u32::try_from(number).map_err(|_| row.wrong(format!("{number} is no epoch")))?),
        None => None,
    };
    Ok(KojiRpm {
        id: row.int("id")?,
        nvra: Nvra { nvr, arch: row.string("arch")? },
        epoch,
        build_id: row.opt_int("build_id")?.map(BuildId),
        payloadhash: row.opt_string("payloadhash")?.unwrap_or_default(),
        external_repo_id: row.opt_int("external_repo_id")?.unwrap_or_default(),
        draft: row.flag("draft")?,
        size: row.opt_int("size")?,
        buildtime: row.opt_int("buildtime")?,
        sigmd5: row.opt_string("sigmd5")?,
        sha1header: row.opt_string("sha1header")?,
        sha256header: row.opt_string("sha256header")?,
        sha3_256header: row.opt_string("sha3_256header")?,
    })
}
