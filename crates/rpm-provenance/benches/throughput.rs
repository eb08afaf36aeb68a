//! How fast the gate hands out a cached RPM over loopback, beside what the kernel gives: one thread in a loop of
//! sendfile(2), no HTTP, no verdicts. Same client, same file, in turn.
//!
//! `cargo bench -p rpm-provenance --bench throughput`; needs rpmbuild and createrepo_c. Prints one line of JSON as well,
//! for `tests/bench`.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use build_model::Nvra;
use futures_util::future::BoxFuture;
use rpm_provenance::policy::ReleaseRules;
use rpm_provenance::{ContentSource, Gate, GateOptions, HttpClients, KnownRpm, KojiRpms, LookupError, package_file};

const ROUNDS: usize = 7;
const MEGABYTES: usize = 512;
const RPM: &str = "big-1-1.noarch.rpm";

/// One package of half a gigabyte, not compressed.
fn make(repo: &Path) {
    let spec = repo.join("big.spec");
    std::fs::write(
        &spec,
        format!(
            "Name: big\nVersion: 1\nRelease: 1\nSummary: Bytes\nLicense: MIT\nBuildArch: noarch\n%global _binary_payload w.ufdio\n\
             %global __os_install_post %{{nil}}\n%description\nBytes.\n%install\nmkdir -p %{{buildroot}}/srv\n\
             head -c {MEGABYTES}M /dev/urandom > %{{buildroot}}/srv/bytes\n%files\n/srv/bytes\n"
        ),
    )
    .unwrap();
    let top = repo.join("top");
    let define = |text: String| ["--define".to_owned(), text];
    run(Command::new("rpmbuild")
        .args(["-bb", "--quiet"])
        .args(define(format!("_topdir {}", top.display())))
        .args(define(format!("_rpmdir {}", repo.display())))
        .args(define("_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm".into()))
        .arg(&spec));
    std::fs::remove_dir_all(top).unwrap();
    run(Command::new("createrepo_c").arg("--quiet").arg(repo));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Koji that built it.
struct Koji(KnownRpm);

impl KojiRpms for Koji {
    fn lookup<'a>(&'a self, rpms: &'a [Nvra]) -> BoxFuture<'a, Result<Vec<Option<KnownRpm>>, LookupError>> {
        Box::pin(async { Ok(rpms.iter().map(|_| Some(self.0.clone())).collect()) })
    }
}

/// Reads `size` bytes of body; GB/s.
fn fetch(port: u16, size: u64, buffer: &mut [u8]) -> f64 {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = format!("GET /repo/koji/{RPM} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut got = 0u64;
    loop {
        match stream.read(buffer).unwrap() {
            0 => break,
            n => got += n as u64,
        }
    }
    assert!(got >= size && got < size + 4096, "{got} of {size}");
    size as f64 / begun.elapsed().as_secs_f64() / 1e9
}

/// The bare kernel: accepts, reads the request away, sends the file.
fn bare_server(file: std::fs::File, size: u64) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            let mut at = 0;
            while at < size {
                rustix::fs::sendfile(&stream, &file, Some(&mut at), 1 << 20).unwrap();
            }
        }
    });
    port
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn main() {
    let dir = tempfile::tempdir_in(std::env::var_os("TMPDIR").unwrap_or_else(|| "/var/tmp".into())).unwrap();
    let repo = dir.path().join("repo");
    std::fs::create_dir(&repo).unwrap();
    make(&repo);
    let rpm = repo.join(RPM);
    let size = rpm.metadata().unwrap().len();
    let header = package_file::read_header(&mut std::io::BufReader::new(std::fs::File::open(&rpm).unwrap())).unwrap();
    let known = KnownRpm {
        rpm_id: 1,
        build_id: 1,
        payloadhash: header.ident.sigmd5.clone().unwrap(),
        sha256header: header.ident.sha256header.clone(),
        ..KnownRpm::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = GateOptions {
        sources: vec![ContentSource {
            name: "koji".into(),
            base_url: format!("file://{}", repo.display()),
            repomd_sha256: None,
            gpgkeys: Vec::new(),
            of_request: false,
        }],
        cache_dir: dir.path().join("cache"),
        cache_limit: None,
        lookup: Some(Arc::new(Koji(known))),
        rules: ReleaseRules::default(),
        http: HttpClients::new().unwrap(),
    };
    let gate = runtime.block_on(Gate::start(vec![listener], options)).unwrap();
    let bare = bare_server(std::fs::File::open(&rpm).unwrap(), size);
    let mut buffer = vec![0; 1 << 20];
    let cold = fetch(port, size, &mut buffer);
    let (mut ours, mut kernel) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(fetch(port, size, &mut buffer));
        kernel.push(fetch(bare, size, &mut buffer));
    }
    runtime.block_on(gate.settle());
    assert!(gate.refusals_since(0).is_empty());
    runtime.block_on(gate.stop());
    let (ours, kernel) = (median(ours), median(kernel));
    println!("first request, while it is copied and verified: {cold:.2} GB/s");
    println!("cached: {ours:.2} GB/s; bare sendfile: {kernel:.2} GB/s");
    println!("{{\"cold\":{cold:.3},\"cached\":{ours:.3},\"bare\":{kernel:.3}}}");
}
