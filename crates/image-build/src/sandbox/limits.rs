//! Limits of one RUN, and how they are told of: what can be set here, what the kernel of this machine can keep, and
//! which of them ended a command.

use std::fmt;
use std::time::Duration;

use super::cgroup::CgroupHost;

/// Limits of one RUN; `None` is no limit of ours.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits {
    /// Bytes of memory of all its processes, files in memory and what is in swap included.
    pub memory_bytes: Option<u64>,
    /// Number of its processes and threads.
    pub pids: Option<i64>,
    /// Processors it may keep busy, 1.5 for one and a half.
    pub cpus: Option<f64>,
    /// Bytes it may have written to its layer and its writable mounts at any time.
    pub disk_bytes: Option<u64>,
    /// Seconds until it is killed.
    pub run_seconds: Option<u64>,
}

/// A limit that a command ran into, with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitHit {
    /// Processes were killed for want of memory.
    Memory {
        /// The limit.
        bytes: u64,
        /// How many processes were killed.
        killed: u64,
    },
    /// New processes were refused.
    Pids {
        /// The limit.
        limit: i64,
    },
    /// It was stopped because it wrote too much.
    Disk {
        /// The limit.
        bytes: u64,
    },
    /// It was stopped because it took too long.
    Time {
        /// The limit.
        seconds: u64,
    },
}

impl LimitHit {
    /// A stable word for logs and tests.
    pub fn kind(self) -> &'static str {
        match self {
            LimitHit::Memory { .. } => "run-memory-limit",
            LimitHit::Pids { .. } => "run-pids-limit",
            LimitHit::Disk { .. } => "run-disk-limit",
            LimitHit::Time { .. } => "run-timeout",
        }
    }

    /// Its value in the unit of the setting.
    pub fn value(self) -> String {
        match self {
            LimitHit::Memory { bytes, .. } | LimitHit::Disk { bytes } if bytes.is_multiple_of(1 << 20) => {
                (bytes >> 20).to_string()
            }
            LimitHit::Memory { bytes, .. } | LimitHit::Disk { bytes } => format!("{:.2}", bytes as f64 / f64::from(1 << 20)),
            LimitHit::Pids { limit } => limit.to_string(),
            LimitHit::Time { seconds } => seconds.to_string(),
        }
    }

    /// The setting that holds it, as the configuration calls it.
    pub fn setting(self) -> &'static str {
        match self {
            LimitHit::Memory { .. } => "memory_mb",
            LimitHit::Pids { .. } => "pids",
            LimitHit::Disk { .. } => "disk_mb",
            LimitHit::Time { .. } => "run_seconds",
        }
    }
}

impl fmt::Display for LimitHit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            LimitHit::Memory { bytes, killed } => {
                let (n, s) = (killed.max(1), if killed > 1 { "es" } else { "" });
                write!(f, "the kernel killed {n} process{s} at the memory limit of {} for one RUN", size(bytes))
            }
            LimitHit::Pids { limit } => write!(f, "the command reached the limit of {limit} processes for one RUN"),
            LimitHit::Disk { bytes } => {
                write!(f, "the command was stopped at the disk limit of {} for one RUN", size(bytes))
            }
            LimitHit::Time { seconds } => {
                write!(f, "the command was stopped at the time limit of {seconds} seconds for one RUN")
            }
        }
    }
}

/// A wait that nobody need be told of.
const SHORT_WAIT: Duration = Duration::from_secs(1);

/// What is said of a command that the limit on processors kept waiting: it ends nothing, but may be why all took so long.
pub(crate) fn held_back_note(cpus: Option<f64>, held_back: Duration) -> Option<String> {
    let cpus = cpus.filter(|_| held_back >= SHORT_WAIT)?;
    let seconds = held_back.as_secs();
    Some(format!("the command was kept waiting for {seconds} s by the limit of {cpus} processors for one RUN (cpus = {cpus})"))
}

/// Bytes in the unit a limit was most likely given in.
fn size(bytes: u64) -> String {
    if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) { format!("{} MiB", bytes >> 20) } else { format!("{bytes} bytes") }
}

impl Limits {
    /// What the runtime can be asked for on this machine, and a sentence for every limit that cannot be kept. `swaps` is
    /// whether the machine has swap.
    pub(crate) fn supported(&self, host: &CgroupHost, swaps: bool) -> (Limits, Vec<String>) {
        let mut kept = self.clone();
        let mut missing = Vec::new();
        let mut check = |controller: &str, wanted: bool, what: &str| {
            if wanted && !host.has(controller) {
                missing.push(format!(
                    "this machine has no `{controller}` cgroup controller: RUN steps have no limit on {what} (the configuration asks for one)"
                ));
            }
            !host.has(controller)
        };
        if check("memory", self.memory_bytes.is_some(), "memory") {
            kept.memory_bytes = None;
        }
        if check("pids", self.pids.is_some(), "the number of processes") {
            kept.pids = None;
        }
        if check("cpu", self.cpus.is_some(), "processor time") {
            kept.cpus = None;
        }
        if kept.memory_bytes.is_some() && swaps && !host.limits_swap() {
            missing.push(
                "this machine's kernel does not count swap by cgroup: RUN steps can use all its swap beyond their limit on memory"
                    .to_owned(),
            );
        }
        (kept, missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_named_with_its_value() {
        assert_eq!(
            LimitHit::Memory { bytes: 512 << 20, killed: 2 }.to_string(),
            "the kernel killed 2 processes at the memory limit of 512 MiB for one RUN"
        );
        assert_eq!(
            LimitHit::Disk { bytes: 1000 }.to_string(),
            "the command was stopped at the disk limit of 1000 bytes for one RUN"
        );
        assert_eq!(LimitHit::Pids { limit: 32 }.to_string(), "the command reached the limit of 32 processes for one RUN");
    }

    #[test]
    fn what_a_machine_cannot_limit_is_said_once_each() {
        let limits = Limits { memory_bytes: Some(1), pids: Some(2), cpus: None, disk_bytes: Some(3), run_seconds: Some(4) };
        let memory_only = CgroupHost::Split { controllers: vec![("memory".into(), "/x".into())], trees: Vec::new() };
        let (kept, missing) = limits.supported(&memory_only, false);
        assert_eq!(kept, Limits { pids: None, ..limits.clone() });
        assert!(matches!(missing.as_slice(), [one] if one.contains("`pids`")), "{missing:?}");
        let (_, missing) = limits.supported(&memory_only, true);
        assert!(matches!(missing.as_slice(), [_, one] if one.contains("swap")), "{missing:?}");
        let (kept, missing) = limits.supported(&CgroupHost::Absent, true);
        assert_eq!(kept, Limits { memory_bytes: None, pids: None, ..limits });
        assert_eq!(missing.len(), 2);
    }
}
