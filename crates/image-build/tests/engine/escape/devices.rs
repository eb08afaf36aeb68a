//! To the host's devices.

use super::output;
use crate::world::{Options, World};

pub const TESTS: &[crate::Test] = &[("escape::only_the_harmless_devices_are_there", devices)];

fn devices() {
    for user_namespace in [true, false] {
        let world = World::new();
        let text = "FROM BASE\nRUN find /dev -type c -o -type b | sort | tr '\\n' ' '\n\
                    RUN for device in mem kmem port kmsg fuse loop-control loop0 vda sda nvme0n1 kvm vhost-net; do ! test -e /dev/$device || exit 9; done\n";
        let lines = output(&world, text, &Options { user_namespace, ..Options::default() });
        let found: Vec<&str> = lines[0].split_whitespace().filter(|d| !d.starts_with("/dev/pts/")).collect();
        let harmless = ["/dev/full", "/dev/null", "/dev/random", "/dev/tty", "/dev/urandom", "/dev/zero"];
        assert_eq!(found, harmless, "user namespace: {user_namespace}");
    }
}
