//! Over the network: the host's loopback, its sockets without a network, names, raw packets, new interfaces.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use image_build::SandboxNetwork;
use image_build::netns::IsolatedNetwork;

use super::kernel::this_program;
use super::{output, secret_place};
use crate::world::{Options, World};

pub const TESTS: &[crate::Test] = &[
    ("escape::sockets_of_the_host_without_a_network_are_out_of_reach", unix_sockets),
    ("escape::no_packet_leaves_and_no_name_is_found", packets),
    ("escape::the_network_cannot_be_changed_from_inside", interfaces),
];

fn unix_sockets() {
    let world = World::new();
    let name = format!("containerbuild-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let listener = UnixListener::bind_addr(&address).expect("bind");
    listener.set_nonblocking(true).expect("nonblocking");
    let (_dir, place) = secret_place();
    let at_path = UnixListener::bind(format!("{place}/socket")).expect("bind");
    at_path.set_nonblocking(true).expect("nonblocking");
    let options = Options { injected: this_program(), ..Options::default() };
    let text = format!(
        "FROM BASE\nRUN [\"/probe\", \"--probe\", \"abstract\", \"{name}\"]\nRUN nc local:{place}/socket </dev/null && echo CONNECTED; true\n"
    );
    let lines = output(&world, &text, &options);
    assert_eq!(lines[0], "abstract connection refused");
    assert!(!lines.iter().any(|l| l.contains("CONNECTED")), "{lines:?}");
    assert!(listener.accept().is_err() && at_path.accept().is_err());
}

fn packets() {
    let world = World::new();
    let network = IsolatedNetwork::new(world.dir.path(), Some(&world.user_namespace())).expect("network");
    let gated = Options { network: SandboxNetwork::Namespace(network.path().to_owned()), ..Options::default() };
    let text = "FROM BASE\nRUN ! busybox ping -c 1 -W 1 127.0.0.1 2>/dev/null\n\
                RUN ! busybox nslookup example.org 127.0.0.1 && ! busybox nslookup example.org 9.9.9.9\n\
                RUN ! busybox traceroute -I -w 1 -m 1 9.9.9.9 2>/dev/null\n\
                RUN ! busybox nc -w 2 9.9.9.9 53 </dev/null && ! busybox nc -w 2 169.254.169.254 80 </dev/null\n\
                RUN busybox route -n | tail -n +3 | wc -l\nRUN cat /etc/resolv.conf | grep -v '^#' | wc -l\n";
    for options in [Options::default(), gated] {
        let lines = world.build_at(&world.dir.path().join("work"), text, &options, &image_build::Silent);
        lines.unwrap_or_else(|e| panic!("{e}"));
    }
    drop(network);
    let last = output(&world, text, &Options::default());
    assert_eq!(last[last.len() - 2..], ["0", "0"], "no route and no name server: {last:?}");
}

fn interfaces() {
    let world = World::new();
    let text = "FROM BASE\nRUN ! ip link add type dummy 2>/dev/null && ! ip addr add 10.1.2.3/8 dev lo 2>/dev/null \
                && ! ip link set lo down 2>/dev/null && ! ip route add default dev lo 2>/dev/null && ! ip tuntap add mode tun 2>/dev/null\n\
                RUN test \"$(ls /sys/class/net)\" = lo && ! test -e /dev/net/tun && ! test -e /dev/vsock && ! test -e /dev/vhost-vsock\n";
    output(&world, text, &Options::default());
    let network = IsolatedNetwork::new(world.dir.path(), Some(&world.user_namespace())).expect("network");
    let options = Options { network: SandboxNetwork::Namespace(network.path().to_owned()), ..Options::default() };
    let built = world.build_at(&world.dir.path().join("work"), text, &options, &image_build::Silent);
    built.unwrap_or_else(|e| panic!("behind a gate: {e}"));
    drop(network);
    world.assert_nothing_left();
}
