//! System calls a RUN may not make: what Docker's default profile refuses to a container without capabilities
//! (moby profiles/seccomp/default_linux.go), written as the list of what is refused. Docker lists what is allowed, and
//! package scriptlets of every age fail on what is newer than its list; the capabilities already stop most of the rest.
//!
//! Beyond Docker's: sockets that belong to no network namespace (VSOCK and kernel crypto), and io_uring on every version.

use serde_json::{Value, json};

const EPERM: u32 = 1;
const EAFNOSUPPORT: u32 = 97;
/// For calls whose users fall back to older ones when told that they do not exist.
const ENOSYS: u32 = 38;

const AF_ALG: u32 = 38;
const AF_VSOCK: u32 = 40;
/// Every kind of namespace that clone(2) and unshare(2) can make: CGROUP, UTS, IPC, USER, PID, NET, NS.
const NAMESPACES: [u32; 7] = [0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000, 0x0002_0000];
/// Number of socket(2) in the multiplexed socketcall(2) of 32-bit x86.
const SYS_SOCKET: u32 = 1;

const REFUSED: [&str; 57] = [
    "acct",
    "add_key",
    "bpf",
    "clock_adjtime",
    "clock_adjtime64",
    "clock_settime",
    "clock_settime64",
    "create_module",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "get_kernel_syms",
    "init_module",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "listmount",
    "lookup_dcookie",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "open_tree_attr",
    "perf_event_open",
    "pivot_root",
    "process_madvise",
    "query_module",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "setdomainname",
    "sethostname",
    "setns",
    "settimeofday",
    "statmount",
    "stime",
    "swapoff",
    "swapon",
    "syslog",
    "umount",
    "umount2",
    "uselib",
    "userfaultfd",
    "vhangup",
    "vm86",
    "vm86old",
];

const MISSING: [&str; 4] = ["clone3", "io_uring_enter", "io_uring_register", "io_uring_setup"];

/// The `linux.seccomp` object of the runtime configuration, for the machine this runs on.
pub(crate) fn profile() -> Value {
    let family = |number: u32| {
        json!({"names": ["socket", "socketpair"], "action": "SCMP_ACT_ERRNO", "errnoRet": EAFNOSUPPORT,
               "args": [{"index": 0, "value": number, "op": "SCMP_CMP_EQ"}]})
    };
    let new_namespace = |call: &str, index: u32, kind: u32| {
        json!({"names": [call], "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM,
               "args": [{"index": index, "value": kind, "valueTwo": kind, "op": "SCMP_CMP_MASKED_EQ"}]})
    };
    // s390x has the flags of clone second.
    let flags = if std::env::consts::ARCH == "s390x" { 1 } else { 0 };
    let namespaces =
        NAMESPACES.into_iter().flat_map(|kind| [new_namespace("unshare", 0, kind), new_namespace("clone", flags, kind)]);
    let mut rules = vec![
        json!({"names": REFUSED.as_slice(), "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM}),
        // clone3 hides its flags behind a pointer that a filter cannot follow; libc falls back to clone.
        json!({"names": MISSING, "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS}),
        family(AF_VSOCK),
        family(AF_ALG),
        // The address family is behind a pointer here too, so 32-bit programs that go this way get no sockets at all.
        json!({"names": ["socketcall"], "action": "SCMP_ACT_ERRNO", "errnoRet": EAFNOSUPPORT,
               "args": [{"index": 0, "value": SYS_SOCKET, "op": "SCMP_CMP_EQ"}]}),
    ];
    rules.extend(namespaces);
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": architectures(std::env::consts::ARCH),
        "syscalls": rules,
    })
}

/// The native architecture and the 32-bit ones its kernel also runs. Calls of any other end the process.
fn architectures(arch: &str) -> Vec<&'static str> {
    match arch {
        "x86_64" => vec!["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "aarch64" => vec!["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
        "s390x" => vec!["SCMP_ARCH_S390X", "SCMP_ARCH_S390"],
        "powerpc64" => vec!["SCMP_ARCH_PPC64LE"],
        "riscv64" => vec!["SCMP_ARCH_RISCV64"],
        "x86" => vec!["SCMP_ARCH_X86"],
        "arm" => vec!["SCMP_ARCH_ARM"],
        // The runtime then filters for the architecture it was built for.
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_that_know_no_network_namespace_are_refused() {
        let profile = profile();
        let rules = profile["syscalls"].as_array().expect("rules");
        let refuses = |family: u32| {
            rules.iter().any(|r| r["names"] == json!(["socket", "socketpair"]) && r["args"][0]["value"] == json!(family))
        };
        assert!(refuses(AF_VSOCK) && refuses(AF_ALG));
        assert!(!refuses(2), "IPv4 reaches the builder's own proxy");
    }

    #[test]
    fn lists_are_sorted_and_disjoint() {
        assert!(REFUSED.is_sorted() && MISSING.is_sorted());
        assert!(MISSING.iter().all(|m| !REFUSED.contains(m)));
    }
}
