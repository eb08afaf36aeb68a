//! The logs of a task: local files that grow, and an uploader that sends what is new to the hub about every second.
//!
//! Two files: `build.log` (of a subtask: `ARCH-build.log`) tells the steps, `ARCH.log` holds what the Dockerfile's
//! instructions printed. Both end in `.log`, so `koji watch-logs` follows them (koji_cli/lib.py). Koji's own daemon uploads the same way
//! (koji/daemon.py, fast_incremental_upload). Local files stay until the worker has settled the task: when this
//! process is killed, the worker uploads the rest from them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use build_model::{Arch, TaskId};
use content_generator::LogFile;
use koji_session::Session;

use super::steps::output_file;

/// Bytes of one upload call; kojid uses the same order of size.
const CHUNK: usize = 1 << 20;
/// How often new lines are sent.
const INTERVAL: Duration = Duration::from_secs(1);
/// A line longer than this is cut: nobody reads it, and one line must not fill a disk.
const MAX_LINE: usize = 16 * 1024;

/// Name of the log that tells the steps.
const BUILD_LOG: &str = "build.log";

/// The logs of one task. Clones write to the same files.
#[derive(Clone)]
pub struct TaskLog {
    dir: Arc<PathBuf>,
    prefix: Arc<str>,
    files: Arc<Mutex<BTreeMap<String, File>>>,
}

impl TaskLog {
    /// Logs below `dir`, which is created; files of an earlier run of the task are started anew. `prefix` goes before the
    /// names of the task's own logs, where logs of several tasks come together.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn create(dir: &Path, prefix: &str) -> std::io::Result<Self> {
        match std::fs::remove_dir_all(dir) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
            _ => Self::reopen(dir, prefix),
        }
    }

    /// Logs below `dir`, going on with what is there: a task that has waited for its subtasks.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn reopen(dir: &Path, prefix: &str) -> std::io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        Ok(Self { dir: Arc::new(dir.to_owned()), prefix: prefix.into(), files: Arc::default() })
    }

    /// Appends one line to the log `name`. Control characters are shown as `\u{fffd}`; a full disk loses the line,
    /// not the build.
    pub fn line(&self, name: &str, text: &str) {
        let mut end = text.len().min(MAX_LINE);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut line: String = text[..end].chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect();
        if end < text.len() {
            line.push_str(" […]");
        }
        line.push('\n');
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if !files.contains_key(name) {
            match File::options().create(true).append(true).open(self.dir.join(name)) {
                Ok(file) => drop(files.insert(name.to_owned(), file)),
                Err(error) => return tracing::warn!(%error, name, "cannot open a task log"),
            }
        }
        if let Some(file) = files.get_mut(name)
            && let Err(error) = file.write_all(line.as_bytes())
        {
            tracing::warn!(%error, name, "cannot write a task log");
        }
    }

    /// Appends a line to the log of the steps, with the time of day.
    pub fn step(&self, text: &str) {
        let mut lines = text.lines();
        self.own_line(BUILD_LOG, &format!("{} {}", clock(), lines.next().unwrap_or_default()));
        for line in lines {
            self.own_line(BUILD_LOG, &format!("          {line}"));
        }
        tracing::info!("{text}");
    }

    /// Appends a line to one of the task's own logs, those with its prefix.
    pub fn own_line(&self, name: &str, text: &str) {
        self.line(&format!("{}{name}", self.prefix), text);
    }

    /// The log files written so far, by name.
    pub fn files(&self) -> Vec<(String, PathBuf)> {
        log_files(&self.dir)
    }

    /// Starts the uploader. It stops, after sending everything, when the returned handle is finished.
    pub fn upload(&self, session: Session, task: TaskId) -> LogUpload {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let dir = Arc::clone(&self.dir);
        let worker = tokio::spawn(async move {
            let mut sent = BTreeMap::new();
            let mut stopped = stopped;
            loop {
                let last = tokio::select! {
                    () = tokio::time::sleep(INTERVAL) => false,
                    _ = &mut stopped => true,
                };
                if let Err(error) = send_new(&session, task, &dir, &mut sent).await {
                    // The task may have been cancelled (1004), which the worker finds out by itself.
                    tracing::debug!(%error, "cannot upload task logs");
                }
                if last {
                    return sent;
                }
            }
        });
        LogUpload { stop, worker, dir: Arc::clone(&self.dir), task }
    }
}

/// A running log upload.
pub struct LogUpload {
    stop: tokio::sync::oneshot::Sender<()>,
    worker: tokio::task::JoinHandle<BTreeMap<String, u64>>,
    dir: Arc<PathBuf>,
    task: TaskId,
}

impl LogUpload {
    /// Sends the rest and stops. Describes the files that are at the hub as they are here, for the import of a build;
    /// nothing may be written to them any more.
    pub async fn finish(self, arch: &Arch) -> Vec<LogFile> {
        let _ = self.stop.send(()); // the uploader has ended only when it panicked; then nothing is known to be sent
        let sent = self.worker.await.unwrap_or_default();
        let remote = remote_dir(self.task);
        let described = log_files(&self.dir).into_iter().filter_map(|(name, path)| {
            let file = output_file(&path, &name, Some(&remote)).ok()?;
            (sent.get(&name) == Some(&file.size)).then(|| LogFile { file, arch: Some(arch.clone()) })
        });
        described.collect()
    }
}

/// Sends all logs below `dir` from their beginning: for tasks whose own process was killed.
pub async fn send_all(session: &Session, task: TaskId, dir: &Path) {
    if let Err(error) = send_new(session, task, dir, &mut BTreeMap::new()).await {
        tracing::debug!(%error, %task, "cannot upload the logs of an ended task");
    }
}

async fn send_new(
    session: &Session,
    task: TaskId,
    dir: &Path,
    sent: &mut BTreeMap<String, u64>,
) -> Result<(), koji_session::HubError> {
    let remote = remote_dir(task);
    for (name, path) in log_files(dir) {
        let offset = sent.entry(name.clone()).or_insert(0);
        while let Some(bytes) = read_chunk(&path, *offset) {
            session.append_log(&remote, &name, *offset, &bytes).await?;
            *offset += bytes.len() as u64;
        }
    }
    Ok(())
}

/// The hub's directory for the output of a task (koji.pathinfo.taskrelpath).
pub fn remote_dir(task: TaskId) -> String {
    format!("tasks/{}/{}", task.0 % 10_000, task.0)
}

fn read_chunk(path: &Path, offset: u64) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    file.seek(SeekFrom::Start(offset)).ok()?;
    let mut bytes = Vec::new();
    file.take(CHUNK as u64).read_to_end(&mut bytes).ok()?;
    (!bytes.is_empty()).then_some(bytes)
}

fn log_files(dir: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut files: Vec<_> = entries
        .flatten()
        .filter_map(|e| Some((e.file_name().into_string().ok()?, e.path())))
        .filter(|(name, _)| name.ends_with(".log"))
        .collect();
    files.sort();
    files
}

/// The time of day in UTC, `HH:MM:SS`.
fn clock() -> String {
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    format!("{:02}:{:02}:{:02}Z", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_and_cleaned_but_never_lost() {
        let dir = tempfile::tempdir().expect("tempdir");
        let log = TaskLog::create(&dir.path().join("logs"), "").expect("log");
        log.line("x86_64.log", "a\u{1b}[31mred");
        log.line("x86_64.log", &"ä".repeat(MAX_LINE));
        let text = std::fs::read_to_string(dir.path().join("logs/x86_64.log")).expect("read");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "a\u{fffd}[31mred");
        assert!(lines[1].ends_with(" […]") && lines[1].len() < MAX_LINE + 10);
        assert_eq!(log.files().len(), 1);
        let log = TaskLog::reopen(&dir.path().join("logs"), "aarch64-").expect("log");
        log.step("one\ntwo");
        let text = std::fs::read_to_string(dir.path().join("logs/aarch64-build.log")).expect("read");
        assert!(text.ends_with("Z one\n          two\n"), "{text}");
    }

    #[test]
    fn the_remote_directory_is_kojis() {
        assert_eq!(remote_dir(TaskId(12_345_678)), "tasks/5678/12345678");
    }
}
