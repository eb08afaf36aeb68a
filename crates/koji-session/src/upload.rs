//! Files to the hub's work directory (`rawUpload`, kojihub.py handle_upload): blocks of 8 MiB, each verified by Adler-32.

use std::path::Path;

use tokio::io::AsyncReadExt as _;

use crate::answer::Row;
use crate::call::{Delivered, Route};
use crate::{Adler32, HubError, Session, Value};

/// Bytes per request. Koji's client sends 1 MiB; an image's archive would take a hundred requests, and the hub's limit on the
/// length of requests is not for these.
const BLOCK: usize = 8 << 20;
/// How often a block that arrived damaged is sent.
const BLOCK_TRIES: u32 = 3;

/// What was uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadSum {
    /// Bytes.
    pub size: u64,
    /// Adler-32 of the whole file, eight hex digits.
    pub adler32: String,
}

impl Session {
    /// Uploads a file as `<topdir>/work/<remote_dir>/<name>`, replacing what is there. `progress` hears the bytes
    /// sent and the bytes expected. An empty file is made with one empty block.
    ///
    /// # Errors
    /// When the file cannot be read, the hub refuses (ActionNotAllowed: the directory is another's, or the task is no
    /// longer ours), or what arrived is damaged after three tries. What was sent so far stays at the hub.
    pub async fn upload_file(
        &self,
        local: &Path,
        remote_dir: &str,
        name: &str,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<UploadSum, HubError> {
        let io = |action| move |source| HubError::Io { action, path: local.to_owned(), source };
        let mut file = tokio::fs::File::open(local).await.map_err(io("open for upload"))?;
        let expected = file.metadata().await.map_err(io("look at"))?.len();
        let mut whole = Adler32::default();
        let mut offset: u64 = 0;
        let mut repeated = false;
        let mut block = Vec::with_capacity(BLOCK);
        loop {
            block.clear();
            (&mut file).take(BLOCK as u64).read_to_end(&mut block).await.map_err(io("read for upload"))?;
            if block.is_empty() && offset > 0 {
                break;
            }
            whole.update(&block);
            repeated |= self.upload_block(remote_dir, name, offset, &block).await?;
            offset += block.len() as u64;
            progress(offset, expected.max(offset));
            if block.is_empty() {
                break;
            }
        }
        let sum = UploadSum { size: offset, adler32: whole.hex() };
        if repeated {
            // a block whose first try came through late could lie over a later one
            self.check_upload(remote_dir, name, &sum).await?;
        }
        Ok(sum)
    }

    /// Writes `bytes` at `offset` of `<topdir>/work/<remote_dir>/<name>` and cuts the file after them: a growing log.
    ///
    /// # Errors
    /// As [`Session::upload_file`]. More than 8 MiB is sent in several requests.
    pub async fn append_log(&self, remote_dir: &str, name: &str, offset: u64, bytes: &[u8]) -> Result<(), HubError> {
        let mut at = offset;
        for block in bytes.chunks(BLOCK) {
            self.upload_block(remote_dir, name, at, block).await?;
            at += block.len() as u64;
        }
        Ok(())
    }

    /// Sends one block until the hub's checksum agrees. Says whether it took more than one try.
    async fn upload_block(&self, remote_dir: &str, name: &str, offset: u64, block: &[u8]) -> Result<bool, HubError> {
        const METHOD: &str = "rawUpload";
        let expected = Adler32::of(block).hex();
        let query = [
            ("filename", name.to_owned()),
            ("filepath", remote_dir.to_owned()),
            ("fileverify", "adler32".to_owned()),
            ("offset", offset.to_string()),
            // also for later blocks: writing the same bytes again is then allowed, so every block can be repeated
            ("overwrite", "1".to_owned()),
        ];
        let mut tries = 0;
        loop {
            tries += 1;
            let delivered = match self.in_turn(METHOD, "", Route::Upload { query: &query, block }).await {
                // the block was written, only the answer was lost; writing it again does no harm and gets one
                Err(HubError::AnswerLost { .. }) if tries < BLOCK_TRIES => continue,
                other => other?,
            };
            let Delivered { value, repeated } = delivered;
            let answer = Row::new(METHOD, &value);
            let (size, found) = (answer.int("size")?, answer.string("hexdigest")?);
            if i64::try_from(block.len()) == Ok(size) && found == expected {
                return Ok(repeated || tries > 1);
            }
            let error = HubError::Upload { path: format!("{remote_dir}/{name}"), offset, expected: expected.clone(), found };
            if tries >= BLOCK_TRIES {
                return Err(error);
            }
            tracing::warn!(%error, tries, "a block arrived damaged; it is sent again");
        }
    }

    /// Compares the whole file at the hub with what was sent.
    async fn check_upload(&self, remote_dir: &str, name: &str, sum: &UploadSum) -> Result<(), HubError> {
        const METHOD: &str = "checkUpload";
        let answer = self.call_kw(METHOD, vec![remote_dir.into(), name.into()], vec![("verify", Value::from("adler32"))]).await?;
        let row = Row::new(METHOD, &answer);
        let (size, found) = (row.int("size")?, row.string("hexdigest")?);
        if i64::try_from(sum.size) == Ok(size) && found == sum.adler32 {
            return Ok(());
        }
        let path = format!("{remote_dir}/{name}");
        Err(HubError::Upload { path, offset: 0, expected: sum.adler32.clone(), found })
    }
}
