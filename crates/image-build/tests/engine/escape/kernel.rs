//! System calls that were ways out of containers before, made by this very program inside a RUN.

use std::fs;

use image_build::{InjectedKind, InjectedMount};

use super::output;
use crate::world::{Options, World};

pub const TESTS: &[crate::Test] = &[
    ("escape::kernel_interfaces_that_led_out_before_are_refused", refused),
    ("escape::a_chroot_within_the_root_leads_no_further_than_the_root", chroot),
];

/// This program with the builder's libraries, to be run in a container.
pub fn this_program() -> Vec<InjectedMount> {
    let program = std::env::current_exe().expect("program");
    let read_only =
        |source: std::path::PathBuf, target: &str| InjectedMount { source, target: target.into(), kind: InjectedKind::ReadOnly };
    let mut injected = vec![read_only(program, "/probe"), read_only("/usr".into(), "/usr")];
    injected.extend(fs::canonicalize("/lib64").ok().map(|dir| read_only(dir, "/lib64")));
    injected
}

/// What is tried inside, by its name in a Dockerfile of these tests.
pub fn probe(what: &[String]) {
    match what {
        [what] if what == "calls" => calls(),
        [what] if what == "chroot" => break_chroot(),
        [what] if what == "agent" => crate::mounts::ask_agent(),
        [what, name] if what == "abstract" => abstract_socket(name),
        [what, file] if what == "capability" => set_capability(file),
        other => panic!("no such probe: {other:?}"),
    }
}

/// One call: its name, its number, arguments that would do something if it were allowed.
struct Call(&'static str, libc::c_long, [libc::c_long; 6]);

const NEW_USER: libc::c_long = 0x1000_0000;
const NEW_MOUNT: libc::c_long = 0x0002_0000;
const NEW_NET: libc::c_long = 0x4000_0000;

fn calls() {
    let root = c"/".as_ptr() as libc::c_long;
    let tmpfs = c"tmpfs".as_ptr() as libc::c_long;
    let zero = [0; 6];
    let mut area = [0_u64; 64];
    let area = area.as_mut_ptr() as libc::c_long;
    let calls = [
        Call("unshare-user", libc::SYS_unshare, [NEW_USER, 0, 0, 0, 0, 0]),
        Call("unshare-user-and-mount", libc::SYS_unshare, [NEW_USER | NEW_MOUNT, 0, 0, 0, 0, 0]),
        Call("unshare-mount", libc::SYS_unshare, [NEW_MOUNT, 0, 0, 0, 0, 0]),
        Call("unshare-net", libc::SYS_unshare, [NEW_NET, 0, 0, 0, 0, 0]),
        Call("clone3", libc::SYS_clone3, [area, 64, 0, 0, 0, 0]),
        Call("setns", libc::SYS_setns, [0, 0, 0, 0, 0, 0]),
        Call("mount", libc::SYS_mount, [tmpfs, root, tmpfs, 0, 0, 0]),
        Call("umount2", libc::SYS_umount2, [c"/proc".as_ptr() as libc::c_long, 2, 0, 0, 0, 0]),
        Call("fsopen", libc::SYS_fsopen, [tmpfs, 0, 0, 0, 0, 0]),
        Call("open_tree", libc::SYS_open_tree, [-100, root, 1, 0, 0, 0]),
        Call("pivot_root", libc::SYS_pivot_root, [root, root, 0, 0, 0, 0]),
        Call("open_by_handle_at", libc::SYS_open_by_handle_at, [-100, area, 0, 0, 0, 0]),
        Call("bpf", libc::SYS_bpf, [0, area, 64, 0, 0, 0]),
        Call("perf_event_open", libc::SYS_perf_event_open, [area, 0, -1, -1, 0, 0]),
        Call("userfaultfd", libc::SYS_userfaultfd, [1, 0, 0, 0, 0, 0]),
        Call("io_uring_setup", libc::SYS_io_uring_setup, [1, area, 0, 0, 0, 0]),
        Call("keyctl", libc::SYS_keyctl, [0, -3, 0, 0, 0, 0]),
        Call("add_key", libc::SYS_add_key, [tmpfs, tmpfs, area, 1, -3, 0]),
        Call("init_module", libc::SYS_init_module, [area, 64, tmpfs, 0, 0, 0]),
        Call("kexec_load", libc::SYS_kexec_load, zero),
        Call("reboot", libc::SYS_reboot, [0, 0, 0, 0, 0, 0]),
        Call("swapon", libc::SYS_swapon, [root, 0, 0, 0, 0, 0]),
        Call("sethostname", libc::SYS_sethostname, [tmpfs, 5, 0, 0, 0, 0]),
        Call("settimeofday", libc::SYS_settimeofday, [area, 0, 0, 0, 0, 0]),
        Call("syslog", libc::SYS_syslog, [3, area, 64, 0, 0, 0]),
        Call("quotactl", libc::SYS_quotactl, [0, root, 0, area, 0, 0]),
        Call("fanotify_init", libc::SYS_fanotify_init, [0, 0, 0, 0, 0, 0]),
        Call("acct", libc::SYS_acct, [0, 0, 0, 0, 0, 0]),
    ];
    for Call(name, number, [a, b, c, d, e, f]) in calls {
        println!("{name} {}", syscall(number, [a, b, c, d, e, f]));
    }
    let sockets = [
        ("vsock", 40, libc::SOCK_STREAM),
        ("alg", 38, libc::SOCK_SEQPACKET),
        ("packet", 17, libc::SOCK_RAW),
        ("inet-raw", 2, libc::SOCK_RAW),
        ("inet6-raw", 10, libc::SOCK_RAW),
    ];
    for (name, family, kind) in sockets {
        println!("{name} {}", syscall(libc::SYS_socket, [family, kind.into(), 1, 0, 0, 0]));
    }
}

/// The error number of a call, or `ALLOWED`.
#[allow(unsafe_code)]
fn syscall(number: libc::c_long, [a, b, c, d, e, f]: [libc::c_long; 6]) -> String {
    // SAFETY: pointers among the arguments lead to constants or to a buffer larger than what any of the calls writes.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result >= 0 { "ALLOWED".to_owned() } else { std::io::Error::last_os_error().raw_os_error().unwrap_or(0).to_string() }
}

fn refused() {
    for user_namespace in [true, false] {
        let world = World::new();
        let options = Options { injected: this_program(), user_namespace, ..Options::default() };
        let lines = output(&world, "FROM BASE\nRUN [\"/probe\", \"--probe\", \"calls\"]\n", &options);
        assert!(lines.len() > 30, "{lines:?}");
        // EPERM, ENOSYS or EAFNOSUPPORT: refused. Anything else came as far as looking at the arguments.
        let not_refused: Vec<&String> =
            lines.iter().filter(|l| !matches!(l.rsplit(' ').next(), Some("1" | "38" | "97"))).collect();
        assert!(not_refused.is_empty(), "with a user namespace: {user_namespace}: {not_refused:?}");
    }
}

/// The old way out: a directory held open from before a second chroot.
#[allow(unsafe_code)]
fn break_chroot() {
    fs::create_dir_all("/tmp/inner").expect("mkdir");
    let outside = fs::File::open("/").expect("open");
    std::os::unix::fs::chroot("/tmp/inner").expect("chroot is allowed");
    // SAFETY: fchdir and chdir take a descriptor and a constant string.
    unsafe {
        assert_eq!(libc::fchdir(std::os::fd::AsRawFd::as_raw_fd(&outside)), 0);
        for _ in 0..64 {
            libc::chdir(c"..".as_ptr());
        }
    }
    std::os::unix::fs::chroot(".").expect("chroot");
    let mut names: Vec<String> =
        fs::read_dir("/").expect("list").flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    println!("{}", names.join(" "));
}

fn chroot() {
    let world = World::new();
    let options = Options { injected: this_program(), ..Options::default() };
    let lines = output(&world, "FROM BASE\nRUN [\"/probe\", \"--probe\", \"chroot\"]\n", &options);
    let expected = "bin dev etc home lib lib64 probe proc root sys tmp usr";
    assert_eq!(lines, [expected], "only what the image and the mounts have");
}

/// Connects to an abstract socket.
fn abstract_socket(name: &str) {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixStream};
    let address = SocketAddr::from_abstract_name(name).expect("a name");
    println!("abstract {}", UnixStream::connect_addr(&address).map_or_else(|e| e.kind().to_string(), |_| "CONNECTED".to_owned()));
}

/// Gives a file the capability to bind low ports, as setcap(8) and rpm do.
fn set_capability(file: &str) {
    // struct vfs_cap_data, version 2, effective; CAP_NET_BIND_SERVICE is number 10.
    let mut value = [0_u8; 20];
    value[..8].copy_from_slice(&[1, 0, 0, 2, 0, 4, 0, 0]);
    xattr::set(file, "security.capability", &value).expect("set the capability");
    let mut read = xattr::get(file, "security.capability").expect("read").expect("it is there");
    read.truncate(8);
    println!("{read:?}");
}
