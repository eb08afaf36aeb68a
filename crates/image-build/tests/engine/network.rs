//! What RUN can reach: nothing, or what the builder listens on inside an isolated namespace.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use image_build::netns::IsolatedNetwork;
use image_build::{InjectedKind, InjectedMount, SandboxNetwork};

use crate::world::{Options, Recorder, World, text};

pub const TESTS: &[crate::Test] = &[
    ("network::a_run_reaches_nothing", nothing),
    ("network::a_run_reaches_the_builders_listener_alone", listener),
    ("network::sockets_that_know_no_namespace_are_refused", families),
    ("network::a_namespace_is_gone_on_drop", drop_removes),
    ("network::host_network_must_be_allowed", host),
];

fn host_listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    listener.set_nonblocking(true).expect("nonblocking");
    let port = listener.local_addr().expect("address").port();
    (listener, port)
}

fn nothing() {
    let world = World::new();
    let (listener, port) = host_listener();
    let recorder = Recorder::default();
    let text = format!(
        "FROM BASE\nRUN ip -o link | sed 's/^[0-9]*: \\([a-z0-9]*\\).*/\\1/'\nRUN wget -T 5 -O - http://127.0.0.1:{port}/ && exit 9; wget -T 5 -O - http://10.0.0.1/ && exit 9; wget -T 5 -O - http://example.org/ && exit 9; true\n"
    );
    world.build_watched(&text, &Options::default(), &recorder).expect("build");
    assert_eq!(recorder.output()[0], "lo");
    assert!(!recorder.output()[1].contains("eth"), "{:?}", recorder.output());
    assert!(listener.accept().is_err(), "the RUN reached a port of the builder");
}

fn listener() {
    let world = World::new();
    let (outside, outside_port) = host_listener();
    let network = IsolatedNetwork::new(world.dir.path(), Some(&world.user_namespace())).expect("network");
    let inside = network.listen(3128).expect("listen");
    let buffer = rustix::net::sockopt::socket_recv_buffer_size(&inside).expect("its receive buffer");
    assert!(buffer >= 4 << 20, "{buffer} bytes do not hold an RPM");
    let server = std::thread::spawn(move || {
        let (stream, _) = inside.accept().expect("accept");
        let mut lines = BufReader::new(stream.try_clone().expect("clone")).lines();
        let request = lines.next().expect("a line").expect("text");
        while lines.next().is_some_and(|l| l.is_ok_and(|l| !l.is_empty())) {}
        (&stream).write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\ngated\n").expect("answer");
        request
    });
    let options = Options { network: SandboxNetwork::Namespace(network.path().to_owned()), ..Options::default() };
    let dockerfile = format!(
        "FROM BASE\nRUN wget -q -O /got http://127.0.0.1:3128/x && ! wget -T 5 -O - http://127.0.0.1:{outside_port}/\n\
         RUN --network=none ! wget -T 5 -O - http://127.0.0.1:3128/\n"
    );
    let result = world.build_at(&world.dir.path().join("work"), &dockerfile, &options, &Recorder::default());
    let built = result.expect("build");
    assert_eq!(server.join().expect("server"), "GET /x HTTP/1.1");
    assert_eq!(text(&built, "/got"), "gated\n");
    assert!(outside.accept().is_err());
    drop(network);
    world.assert_nothing_left();
}

/// The argument that makes this program try to open sockets.
pub const PROBE: &str = "--probe";

const FAMILIES: [(&str, u16); 4] = [("unix", 1), ("inet", 2), ("alg", 38), ("vsock", 40)];

/// Says which kinds of sockets this process can have.
pub fn probe() {
    use rustix::net::{AddressFamily, SocketType, socket};
    for (name, number) in FAMILIES {
        let opened = socket(AddressFamily::from_raw(number), SocketType::SEQPACKET, None).err();
        let opened = opened.and_then(|_| socket(AddressFamily::from_raw(number), SocketType::STREAM, None).err());
        println!("{name} {}", opened.map_or("opened".to_owned(), |e| format!("error {}", e.raw_os_error())));
    }
}

/// Runs this very program in a container, on the builder's libraries.
fn families() {
    let world = World::new();
    let program = std::env::current_exe().expect("program");
    let read_only =
        |source: std::path::PathBuf, target: &str| InjectedMount { source, target: target.into(), kind: InjectedKind::ReadOnly };
    let mut injected = vec![read_only(program, "/probe"), read_only("/usr".into(), "/usr")];
    injected.extend(std::fs::canonicalize("/lib64").ok().map(|dir| read_only(dir, "/lib64")));
    let recorder = Recorder::default();
    let dockerfile = format!("FROM BASE\nRUN [\"/probe\", \"{PROBE}\"]\n");
    world.build_watched(&dockerfile, &Options { injected, ..Options::default() }, &recorder).expect("build");
    assert_eq!(recorder.output(), ["unix opened", "inet opened", "alg error 97", "vsock error 97"]);
}

fn drop_removes() {
    let world = World::new();
    let path = {
        let network = IsolatedNetwork::new(world.dir.path(), None).expect("network");
        assert!(network.path().exists());
        let (_first, taken) = (network.listen(5000).expect("listen"), network.listen(5000));
        assert!(taken.is_err(), "one port can be taken once");
        network.path().to_owned()
    };
    assert!(!path.exists());
    world.assert_nothing_left();
}

fn host() {
    let world = World::new();
    let err = world.build_with("FROM BASE\nRUN --network=host true\n", &Options::default()).expect_err("not allowed");
    assert!(err.to_string().contains("RUN --network=host is not allowed here"), "{err}");
    let (listener, port) = host_listener();
    let options = Options { network: SandboxNetwork::Host, ..Options::default() };
    let server = std::thread::spawn(move || {
        listener.set_nonblocking(false).expect("blocking");
        let (mut stream, _) = listener.accept().expect("accept");
        stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx").expect("answer");
    });
    world.build_with(&format!("FROM BASE\nRUN wget -q -O - http://127.0.0.1:{port}/\n"), &options).expect("build");
    server.join().expect("server");
}
