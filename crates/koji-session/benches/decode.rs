//! Decoding a hub's answer of 50 MB: as fast as what, and in how much memory.
//!
//! `cargo bench -p koji-session --bench decode` prints one line of JSON, which `make bench` puts on its page: megabytes a
//! second here and of Python's `xmlrpc.client` (what `koji` and kojid use) on the same bytes, in turn, the best of
//! several rounds; and the peak of resident memory, the answer itself included.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

use koji_session::decode_response;

const ROUNDS: usize = 5;
const BYTES: usize = 50 << 20;

/// Rows as `listTaggedRPMS` gives them, in the form Python's marshaller writes.
fn answer() -> String {
    let mut text = String::with_capacity(BYTES + 4096);
    text.push_str("<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n<value><array><data>\n");
    let mut n = 0;
    while text.len() < BYTES {
        n += 1;
        text.push_str("<value><struct>\n");
        for (name, value) in [
            ("id", format!("<int>{n}</int>")),
            ("name", format!("<string>package-{}-libs</string>", n % 7000)),
            ("version", format!("<string>1.{}.{}</string>", n % 10, n % 100)),
            ("release", "<string>4.fc44</string>".to_owned()),
            ("arch", "<string>x86_64</string>".to_owned()),
            ("epoch", "<nil/>".to_owned()),
            ("draft", "<boolean>0</boolean>".to_owned()),
            ("payloadhash", format!("<string>{n:032x}</string>")),
            ("size", format!("<i8>{}</i8>", 4_000_000_000_u64 + n)),
            ("buildtime", "<int>1770000000</int>".to_owned()),
            ("buildroot_id", format!("<int>{}</int>", n / 3)),
            ("build_id", format!("<int>{}</int>", n / 4)),
            ("external_repo_id", "<int>0</int>".to_owned()),
            ("external_repo_name", "<string>INTERNAL</string>".to_owned()),
            ("metadata_only", "<boolean>0</boolean>".to_owned()),
            ("summary", "<string>Tools &amp; libraries for &lt;packages&gt;</string>".to_owned()),
            ("vendor", "<string></string>".to_owned()),
            ("extra", "<nil/>".to_owned()),
            ("completion_ts", format!("<double>17700{n}.25</double>")),
            ("owner_name", "<string>packager</string>".to_owned()),
        ] {
            writeln!(text, "<member>\n<name>{name}</name>\n<value>{value}</value>\n</member>").unwrap();
        }
        text.push_str("</struct></value>\n");
    }
    text.push_str("</data></array></value>\n</param>\n</params>\n</methodResponse>\n");
    text
}

const PYTHON: &str = "
import sys, time, xmlrpc.client
data = open(sys.argv[1], 'rb').read()
began = time.perf_counter()
parser, unmarshaller = xmlrpc.client.getparser(use_builtin_types=True)
for at in range(0, len(data), 8192):
    parser.feed(data[at:at + 8192])
parser.close()
unmarshaller.close()
print(time.perf_counter() - began)
";

/// Peak of resident memory in bytes since it was last forgotten.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

fn main() {
    // `cargo test --benches` only wants to see that it runs.
    let quick = std::env::args().any(|argument| argument == "--test");
    let before = peak();
    let text = answer();
    let mut ours = f64::INFINITY;
    let mut python = f64::INFINITY;
    let file = std::env::temp_dir().join(format!("answer-{}.xml", std::process::id()));
    std::fs::write(&file, &text).unwrap();
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let mut most = 0;
    for _ in 0..if quick { 1 } else { ROUNDS } {
        let began = Instant::now();
        let value = decode_response(black_box(text.as_bytes())).unwrap().unwrap();
        ours = ours.min(began.elapsed().as_secs_f64());
        most = most.max(peak());
        drop(black_box(value));
        if !quick {
            let output = Command::new("/usr/bin/python3").args(["-c", PYTHON]).arg(&file).output().unwrap();
            python = python.min(String::from_utf8_lossy(&output.stdout).trim().parse().unwrap());
        }
    }
    std::fs::remove_file(&file).unwrap();
    let rate = |seconds: f64| text.len() as f64 / 1e6 / seconds;
    println!(
        "{{\"bytes\": {}, \"ours\": {:.0}, \"python\": {:.1}, \"factor\": {:.1}, \"memory\": {:.2}}}",
        text.len(),
        rate(ours),
        rate(python),
        python / ours,
        most.saturating_sub(before) as f64 / text.len() as f64,
    );
}
