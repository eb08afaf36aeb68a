//! The OCI runtime configuration of one RUN (runtime-spec config.md, config-linux.md): own namespaces, Docker's default
//! capabilities without raw sockets, masked kernel files, limits. What a container may do is decided here alone.

use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};
use serde_json::{Value, json};

use super::limits::Limits;
use super::{IdShift, seccomp};
use crate::rootfs::ResolvedUser;

/// The name containers see, whatever builder they run on, unless the caller wants another.
pub(crate) const HOSTNAME: &str = "containerbuild";

/// Everything the runtime must know.
#[derive(Debug)]
pub(crate) struct Container<'a> {
    pub(crate) rootfs: &'a Path,
    pub(crate) args: &'a [String],
    /// `NAME=value`
    pub(crate) env: &'a [String],
    pub(crate) cwd: &'a str,
    pub(crate) user: &'a ResolvedUser,
    /// In the order they are mounted, after the kernel's own file systems.
    pub(crate) mounts: &'a [ContainerMount],
    pub(crate) network: ContainerNetwork<'a>,
    pub(crate) host_name: &'a str,
    /// What the machine can keep of the limits.
    pub(crate) limits: &'a Limits,
    /// Whether the limit on memory holds swap too.
    pub(crate) limits_swap: bool,
    /// The user namespace; without one the container's root is the host's.
    pub(crate) shift: Option<&'a IdShift>,
}

/// A mount beside `/proc`, `/sys` and `/dev`. Targets are absolute, without symlinks, and exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ContainerMount {
    Bind { source: PathBuf, target: String, read_only: bool },
    Tmpfs { target: String, size: Option<u64> },
}

/// The network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContainerNetwork<'a> {
    /// A new one, loopback only.
    New,
    /// The builder's.
    Host,
    /// The one mounted here.
    Existing(&'a Path),
}

/// Microseconds in which a share of the processors is measured, as Docker has it.
const CPU_PERIOD: u32 = 100_000;

/// Docker's default set but for CAP_NET_RAW: nothing in a build sends raw packets.
const CAPABILITIES: [&str; 13] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

impl Container<'_> {
    /// The text of `config.json`; `cgroup` is the container's own, directly below the root.
    pub(crate) fn config(&self, cgroup: &str) -> Value {
        let empty: [&str; 0] = [];
        // A process that is not root holds none of them, but may still gain them through setuid programs.
        let held: &[&str] = if self.user.uid == 0 { &CAPABILITIES } else { &empty };
        let mut config = json!({
            "ociVersion": "1.0.2",
            "hostname": self.host_name,
            "root": {"path": self.rootfs, "readonly": false},
            "process": {
                "terminal": false,
                "user": {"uid": self.user.uid, "gid": self.user.gid, "additionalGids": self.user.groups, "umask": 0o22},
                "args": self.args,
                "env": self.env,
                "cwd": self.cwd,
                "capabilities": {
                    "bounding": CAPABILITIES, "effective": held, "permitted": held, "inheritable": empty, "ambient": empty,
                },
                "rlimits": rlimits(),
                // Scriptlets use su and sudo.
                "noNewPrivileges": false,
            },
            "mounts": self.mounts(),
            "linux": {
                "namespaces": self.namespaces(),
                "cgroupsPath": format!("/{cgroup}"),
                "resources": self.resources(),
                "seccomp": seccomp::profile(),
                "maskedPaths": MASKED,
                "readonlyPaths": READ_ONLY,
                "rootfsPropagation": "private",
            },
        });
        if let Some(shift) = self.shift {
            // crun takes them from the namespace; runc wants to be told.
            let namespace = shift.namespace();
            let map = json!([{"containerID": 0, "hostID": namespace.host_root(), "size": namespace.size()}]);
            config["linux"]["uidMappings"] = map.clone();
            config["linux"]["gidMappings"] = map;
        }
        config
    }

    fn namespaces(&self) -> Vec<Value> {
        let mut namespaces: Vec<Value> = ["pid", "ipc", "uts", "mount", "cgroup"].iter().map(|t| json!({"type": t})).collect();
        if let Some(shift) = self.shift {
            namespaces.push(json!({"type": "user", "path": shift.file()}));
        }
        match self.network {
            ContainerNetwork::New => namespaces.push(json!({"type": "network"})),
            ContainerNetwork::Existing(path) => namespaces.push(json!({"type": "network", "path": path})),
            ContainerNetwork::Host => {}
        }
        namespaces
    }

    fn resources(&self) -> Value {
        let mut resources = json!({
            "devices": [
                {"allow": false, "access": "rwm"},
                // Packages ship device nodes: they may be made, not opened.
                {"allow": true, "type": "c", "access": "m"},
                {"allow": true, "type": "b", "access": "m"},
            ],
        });
        if let Some(bytes) = self.limits.memory_bytes {
            resources["memory"] = json!({"limit": bytes});
            if self.limits_swap {
                // Memory and swap together: none beyond.
                resources["memory"]["swap"] = json!(bytes);
            }
        }
        if let Some(pids) = self.limits.pids {
            resources["pids"] = json!({"limit": pids});
        }
        if let Some(cpus) = self.limits.cpus {
            // The kernel refuses less than a hundredth of a processor.
            let quota = (cpus.max(0.01) * f64::from(CPU_PERIOD)) as u64;
            resources["cpu"] = json!({"quota": quota, "period": CPU_PERIOD});
        }
        resources
    }

    fn mounts(&self) -> Vec<Value> {
        let kernel = |target: &str, kind: &str, options: &[&str]| json!({"destination": target, "type": kind, "source": kind, "options": options});
        let mut mounts = vec![
            kernel("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            kernel("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            kernel("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            kernel("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            kernel("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            kernel("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        ];
        mounts.extend(self.mounts.iter().map(|mount| match mount {
            ContainerMount::Bind { source, target, read_only } => {
                let access = if *read_only { "ro" } else { "rw" };
                json!({"destination": target, "type": "bind", "source": source, "options": ["bind", "rprivate", "nodev", access]})
            }
            ContainerMount::Tmpfs { target, size } => {
                let mut options = vec!["nosuid".to_owned(), "nodev".to_owned(), "mode=1777".to_owned()];
                options.extend(size.map(|bytes| format!("size={bytes}")));
                json!({"destination": target, "type": "tmpfs", "source": "tmpfs", "options": options})
            }
        }));
        mounts
    }
}

/// The usual soft limit on open files, a bounded hard one (old programs close every descriptor up to it), no core dumps.
/// Never above our own hard limit: raising that needs CAP_SYS_RESOURCE (engine: T5).
fn rlimits() -> Value {
    let own = getrlimit(Resource::Nofile).maximum;
    let hard = own.unwrap_or(u64::MAX).min(1 << 19);
    json!([
        {"type": "RLIMIT_NOFILE", "soft": hard.min(1024), "hard": hard},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(uid: u32, network: ContainerNetwork<'_>) -> Value {
        let user = ResolvedUser { uid, gid: 0, groups: vec![], home: None };
        let limits = Limits { memory_bytes: Some(1 << 30), pids: Some(64), cpus: Some(1.5), ..Limits::default() };
        let mounts = [ContainerMount::Bind { source: "/x".into(), target: "/etc/hosts".into(), read_only: true }];
        Container {
            rootfs: Path::new("/r"),
            args: &["true".to_owned()],
            env: &[],
            cwd: "/",
            user: &user,
            mounts: &mounts,
            network,
            limits: &limits,
            limits_swap: uid == 0,
            host_name: HOSTNAME,
            shift: None,
        }
        .config("containerbuild-1-x")
    }

    #[test]
    fn no_network_means_a_namespace_of_its_own() {
        let types = |v: &Value| {
            v["linux"]["namespaces"].as_array().expect("list").iter().map(|n| n["type"].to_string()).collect::<Vec<_>>()
        };
        assert!(types(&config(0, ContainerNetwork::New)).contains(&"\"network\"".to_owned()));
        assert!(!types(&config(0, ContainerNetwork::Host)).contains(&"\"network\"".to_owned()));
        let existing = config(0, ContainerNetwork::Existing(Path::new("/ns")));
        assert!(existing["linux"]["namespaces"].as_array().expect("list").contains(&json!({"type": "network", "path": "/ns"})));
    }

    #[test]
    fn only_root_holds_capabilities_and_never_the_dangerous_ones() {
        let root = config(0, ContainerNetwork::New);
        let text = root["process"]["capabilities"].to_string();
        for bad in ["SYS_ADMIN", "NET_ADMIN", "NET_RAW", "SYS_PTRACE", "SYS_MODULE"] {
            assert!(!text.contains(bad), "{bad}");
        }
        assert_eq!(config(1000, ContainerNetwork::New)["process"]["capabilities"]["effective"], json!([]));
    }

    #[test]
    fn limits_and_mounts_are_passed_on() {
        let config = config(0, ContainerNetwork::New);
        assert_eq!(config["linux"]["resources"]["memory"], json!({"limit": 1u64 << 30, "swap": 1u64 << 30}));
        assert_eq!(config["linux"]["resources"]["pids"]["limit"], json!(64));
        assert_eq!(config["linux"]["resources"]["cpu"], json!({"quota": 150_000, "period": 100_000}));
        assert_eq!(config["linux"]["cgroupsPath"], json!("/containerbuild-1-x"));
        let last = config["mounts"].as_array().and_then(|m| m.last()).cloned().expect("a mount");
        assert_eq!(last["destination"], json!("/etc/hosts"));
        assert!(last["options"].as_array().expect("options").contains(&json!("ro")));
    }
}
