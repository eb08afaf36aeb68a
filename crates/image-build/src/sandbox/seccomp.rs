//! System calls a RUN may not make. A short list of what is dangerous on a shared builder, not Docker's list of what is
//! known: package scriptlets of every age must work, and capabilities already stop most of the rest.
//!
//! Two groups: doors out of the network namespace (VSOCK and kernel crypto sockets belong to no namespace), and kernel
//! interfaces that were the way out of containers before (keyrings, bpf, io_uring, userfaultfd, new user namespaces).

use serde_json::{Value, json};

const EPERM: u32 = 1;
const EAFNOSUPPORT: u32 = 97;
/// For calls whose users fall back to older ones when told that they do not exist.
const ENOSYS: u32 = 38;

const AF_ALG: u32 = 38;
const AF_VSOCK: u32 = 40;
const CLONE_NEWUSER: u32 = 0x1000_0000;
/// Number of socket(2) in the multiplexed socketcall(2) of 32-bit x86.
const SYS_SOCKET: u32 = 1;

const REFUSED: [&str; 27] = [
    "acct",
    "add_key",
    "bpf",
    "create_module",
    "delete_module",
    "finit_module",
    "init_module",
    "ioperm",
    "iopl",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "nfsservctl",
    "open_by_handle_at",
    "perf_event_open",
    "pivot_root",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "swapoff",
    "swapon",
    "uselib",
    "userfaultfd",
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
    let new_user = |call: &str, index: u32| {
        json!({"names": [call], "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM,
               "args": [{"index": index, "value": CLONE_NEWUSER, "valueTwo": CLONE_NEWUSER, "op": "SCMP_CMP_MASKED_EQ"}]})
    };
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": architectures(std::env::consts::ARCH),
        "syscalls": [
            {"names": REFUSED, "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM},
            // clone3 hides its flags behind a pointer that a filter cannot follow; libc falls back to clone.
            {"names": MISSING, "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS},
            family(AF_VSOCK),
            family(AF_ALG),
            // The address family is behind a pointer here too, so 32-bit programs that go this way get no sockets at all.
            {"names": ["socketcall"], "action": "SCMP_ACT_ERRNO", "errnoRet": EAFNOSUPPORT,
             "args": [{"index": 0, "value": SYS_SOCKET, "op": "SCMP_CMP_EQ"}]},
            new_user("unshare", 0),
            // s390x has the flags second.
            new_user("clone", if std::env::consts::ARCH == "s390x" { 1 } else { 0 }),
        ],
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
