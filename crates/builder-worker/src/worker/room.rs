//! Whether this machine has room for one more build: kojid's checks of disk space and load (koji/daemon.py checkSpace,
//! readyForTask). kojid has none of memory; what a RUN may take is limited by `[sandbox]`. Called by worker/poll.rs.

use std::path::Path;

use crate::config::WorkerSettings;

/// Why no more work is welcome.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NoRoom {
    /// Too little disk.
    #[error("{free} MB are free in the state directory, {needed} are needed (worker.min_free_mb)")]
    Disk {
        /// Free, in MB.
        free: u64,
        /// Wanted, in MB.
        needed: u64,
    },
    /// Too many processes run or wait for the disk.
    #[error("the load average is {load:.2}, the limit {limit:.2} ({cpus} processors, worker.max_load_per_cpu)")]
    Load {
        /// Of the last minute.
        load: f64,
        /// The most there may be.
        limit: f64,
        /// Processors of the machine.
        cpus: u32,
    },
    /// The machine does not say.
    #[error("cannot look at {what}: {why}")]
    Unknown {
        /// At what.
        what: String,
        /// The system's words.
        why: String,
    },
}

/// Looks at the machine.
///
/// # Errors
/// What there is too little of.
pub fn check(settings: &WorkerSettings) -> Result<(), NoRoom> {
    let free = free_megabytes(&settings.state_dir)
        .map_err(|error| NoRoom::Unknown { what: settings.state_dir.display().to_string(), why: error.to_string() })?;
    if free < settings.min_free_mb {
        return Err(NoRoom::Disk { free, needed: settings.min_free_mb });
    }
    if settings.max_load_per_cpu <= 0.0 {
        return Ok(());
    }
    let load = read("/proc/loadavg", last_minute)?;
    judge_load(load, read("/sys/devices/system/cpu/online", count_of_list)?, settings.max_load_per_cpu)
}

fn judge_load(load: f64, cpus: u32, per_cpu: f64) -> Result<(), NoRoom> {
    let limit = per_cpu * f64::from(cpus);
    if load > limit { Err(NoRoom::Load { load, limit, cpus }) } else { Ok(()) }
}

fn read<T>(file: &str, parse: fn(&str) -> Option<T>) -> Result<T, NoRoom> {
    let unknown = |why: String| NoRoom::Unknown { what: file.into(), why };
    let text = std::fs::read_to_string(file).map_err(|error| unknown(error.to_string()))?;
    parse(&text).ok_or_else(|| unknown(format!("it says `{}`", text.trim())))
}

fn free_megabytes(dir: &Path) -> std::io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize) >> 20)
}

/// The first number of `/proc/loadavg`.
fn last_minute(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

/// How many numbers a list like `0-3,8` of the kernel holds.
fn count_of_list(text: &str) -> Option<u32> {
    let mut count = 0;
    for range in text.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        count += last.checked_sub(first)? + 1;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(min_free_mb: u64, max_load_per_cpu: f64) -> WorkerSettings {
        let text = format!("state_dir = \"/\"\nmin_free_mb = {min_free_mb}\nmax_load_per_cpu = {max_load_per_cpu}\n");
        toml::from_str(&text).expect("settings")
    }

    #[test]
    fn a_full_disk_and_a_busy_machine_are_told_apart() {
        let full = check(&settings(u64::MAX, 4.0)).expect_err("no disk is that large");
        assert!(matches!(full, NoRoom::Disk { needed: u64::MAX, .. }), "{full}");
        let busy = judge_load(17.25, 2, 4.0).expect_err("more than eight");
        assert_eq!(busy, NoRoom::Load { load: 17.25, limit: 8.0, cpus: 2 });
        assert_eq!(judge_load(8.0, 2, 4.0), Ok(()), "as kojid: more than the limit, not the limit");
        assert_eq!(check(&settings(0, 0.0)), Ok(()), "zero looks at no load");
    }

    #[test]
    fn the_kernels_files_are_read_and_others_are_not() {
        assert_eq!(last_minute("12.50 3.00 1.00 2/300 4711\n"), Some(12.5));
        assert_eq!(last_minute(""), None);
        for (text, count) in [("0\n", Some(1)), ("0-3\n", Some(4)), ("0-1,4,6-7", Some(5)), ("", None), ("3-1", None)] {
            assert_eq!(count_of_list(text), count, "{text}");
        }
        let words = judge_load(17.25, 2, 4.0).expect_err("too much").to_string();
        assert_eq!(words, "the load average is 17.25, the limit 8.00 (2 processors, worker.max_load_per_cpu)");
    }
}
