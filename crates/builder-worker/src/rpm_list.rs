//! `rpmlist.jsonl` of a Koji repository: every RPM in it with its digest, one JSON object a line (kojihub.py repo_init,
//! since 1.34). One download answers nearly all look-ups of a build.

use std::collections::HashMap;

use build_model::{Nvr, Nvra};
use futures_util::StreamExt as _;
use rpm_provenance::KnownRpm;
use system_authorities::with_system_authorities;

/// The RPMs of the pinned repositories by name.
pub(crate) type RpmList = HashMap<Nvra, KnownRpm>;

/// Longest list that is read. A row has about 370 bytes; the largest tags have 100 000 RPMs.
const MAX_BYTES: usize = 512 << 20;
/// Longest line.
const MAX_LINE: usize = 1 << 20;

/// A line, as far as it is used.
#[derive(serde::Deserialize)]
struct Line {
    id: i64,
    name: String,
    version: String,
    release: String,
    arch: String,
    epoch: Option<u32>,
    #[serde(default)]
    payloadhash: Option<String>,
    build_id: Option<i64>,
    #[serde(default)]
    external_repo_id: Option<i64>,
    #[serde(default)]
    draft: Option<bool>,
    #[serde(default)]
    sha1header: Option<String>,
    #[serde(default)]
    sha256header: Option<String>,
    #[serde(default)]
    sha3_256header: Option<String>,
}

/// Reads the lists at `urls`. One that is not there (an older hub) or cannot be read costs look-ups at the hub, no more.
pub(crate) async fn fetch(urls: &[String]) -> RpmList {
    let mut all = RpmList::new();
    if urls.is_empty() {
        return all;
    }
    let client = reqwest::Client::builder().no_proxy().connect_timeout(std::time::Duration::from_secs(20));
    let client = match with_system_authorities(client).build() {
        Ok(client) => client,
        Err(error) => {
            tracing::warn!(%error, "no client for rpmlist.jsonl; the hub is asked instead");
            return all;
        }
    };
    for url in urls {
        match fetch_one(&client, url, &mut all).await {
            Ok(count) => tracing::debug!(url, count, "read the repository's RPM list"),
            Err(reason) => tracing::debug!(url, reason, "no RPM list of the repository; the hub is asked instead"),
        }
    }
    all
}

async fn fetch_one(client: &reqwest::Client, url: &str, all: &mut RpmList) -> Result<usize, String> {
    let response = client.get(url).send().await.and_then(reqwest::Response::error_for_status).map_err(|e| e.to_string())?;
    let mut reader = Reader::default();
    let mut body = response.bytes_stream();
    while let Some(chunk) = body.next().await {
        reader.feed(&chunk.map_err(|e| e.to_string())?)?;
    }
    reader.finish()?;
    // Only a whole list counts: what is missing in half of one would be asked for, but what is wrong in it believed.
    let count = reader.found.len();
    for (nvra, known) in reader.found {
        all.entry(nvra).or_insert(known);
    }
    Ok(count)
}

/// Lines out of pieces of any size.
#[derive(Default)]
struct Reader {
    /// The beginning of a line whose end has not come.
    open: Vec<u8>,
    read: usize,
    found: Vec<(Nvra, KnownRpm)>,
}

impl Reader {
    fn feed(&mut self, mut piece: &[u8]) -> Result<(), String> {
        self.read += piece.len();
        if self.read > MAX_BYTES {
            return Err(format!("it is longer than {MAX_BYTES} bytes"));
        }
        while let Some(end) = piece.iter().position(|b| *b == b'\n') {
            let (line, after) = piece.split_at(end);
            piece = after.get(1..).unwrap_or_default();
            if self.open.is_empty() {
                self.line(line)?;
            } else {
                self.open.extend_from_slice(line);
                let whole = std::mem::take(&mut self.open);
                self.line(&whole)?;
            }
        }
        if self.open.len() + piece.len() > MAX_LINE {
            return Err(format!("a line is longer than {MAX_LINE} bytes"));
        }
        self.open.extend_from_slice(piece);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), String> {
        let rest = std::mem::take(&mut self.open);
        self.line(&rest)
    }

    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let line: Line = serde_json::from_slice(line).map_err(|e| e.to_string())?;
        let nvra = Nvra { nvr: Nvr { name: line.name, version: line.version, release: line.release }, arch: line.arch };
        let known = KnownRpm {
            rpm_id: line.id,
            build_id: line.build_id.unwrap_or_default(),
            epoch: line.epoch,
            payloadhash: line.payloadhash.unwrap_or_default(),
            sha1header: line.sha1header,
            sha256header: line.sha256header,
            sha3_256header: line.sha3_256header,
            external_repo_id: line.external_repo_id.unwrap_or_default(),
            draft: line.draft.unwrap_or_default(),
            ..KnownRpm::default()
        };
        self.found.push((nvra, known));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &[u8] = br#"{"id": 5, "name": "web", "version": "1", "release": "2", "arch": "noarch", "epoch": null, "payloadhash": "aa", "build_id": 3, "draft": false, "size": 12, "extra": {"x": [1]}}
{"id": 6, "name": "tool", "version": "1", "release": "2", "arch": "x86_64", "epoch": 4, "payloadhash": "bb", "build_id": 3}
"#;

    #[test]
    fn lines_are_read_however_they_are_cut() {
        for size in [1, 7, 100, 4096] {
            let mut reader = Reader::default();
            LINES.chunks(size).for_each(|piece| reader.feed(piece).expect("a piece"));
            reader.finish().expect("whole lines");
            assert_eq!(reader.found.len(), 2, "{size}");
            let (nvra, known) = &reader.found[1];
            assert_eq!((nvra.to_string().as_str(), known.epoch, known.payloadhash.as_str()), ("tool-1-2.x86_64", Some(4), "bb"));
        }
    }

    #[test]
    fn half_a_list_is_none() {
        let mut reader = Reader::default();
        reader.feed(&LINES[..LINES.len() - 20]).expect("a piece");
        assert!(reader.finish().is_err());
        assert!(Reader::default().feed(&vec![b'x'; MAX_LINE + 1]).is_err());
    }
}
