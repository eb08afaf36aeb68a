//! Reading the metadata of a repository the size of Fedora's: 60 000 packages, some 100 MB of primary.xml.
//!
//! `cargo bench -p rpm-provenance --bench primary`. What a warm build does instead is in the same table: taking the stored
//! list, and finding packages in it.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rpm_provenance::repodata::{Offer, primary};

const PACKAGES: usize = 60_000;

/// As createrepo_c writes it: summary, description, and the capabilities and files that make up most of it.
fn document() -> String {
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metadata xmlns=\"http://linux.duke.edu/metadata/common\" \
         xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\" packages=\"60000\">\n",
    );
    for n in 0..PACKAGES {
        write!(
            text,
            "<package type=\"rpm\">\n  <name>package{n}</name>\n  <arch>x86_64</arch>\n  <version epoch=\"0\" ver=\"1.{n}\" rel=\"1.fc44\"/>\n  \
             <checksum type=\"sha256\" pkgid=\"YES\">{n:064x}</checksum>\n  <summary>A package &amp; its number</summary>\n  \
             <description>Some sentences that say what the package is good for, and for whom.\nThey have two lines.</description>\n  \
             <packager>Project</packager>\n  <url>https://example.org/package{n}</url>\n  <time file=\"1700000000\" build=\"1699999999\"/>\n  \
             <size package=\"{}\" installed=\"20000\" archive=\"21000\"/>\n  <location href=\"Packages/p/package{n}-1.{n}-1.fc44.x86_64.rpm\"/>\n  \
             <format>\n    <rpm:license>MIT</rpm:license>\n    <rpm:vendor>Project</rpm:vendor>\n    <rpm:group>Unspecified</rpm:group>\n    \
             <rpm:sourcerpm>package{n}-1.{n}-1.fc44.src.rpm</rpm:sourcerpm>\n    <rpm:header-range start=\"4504\" end=\"12345\"/>\n    <rpm:provides>\n",
            n + 1
        )
        .unwrap();
        for k in 0..3 {
            writeln!(text, "      <rpm:entry name=\"package{n}({k})\" flags=\"EQ\" epoch=\"0\" ver=\"1.{n}\" rel=\"1.fc44\"/>")
                .unwrap();
        }
        text.push_str("    </rpm:provides>\n    <rpm:requires>\n");
        for k in 0..6 {
            writeln!(text, "      <rpm:entry name=\"libsomething{k}.so.1()(64bit)\"/>").unwrap();
        }
        writeln!(text, "    </rpm:requires>\n    <file>/usr/bin/package{n}</file>\n  </format>\n</package>").unwrap();
    }
    text.push_str("</metadata>\n");
    text
}

fn benches(criterion: &mut Criterion) {
    let text = document();
    let offer = primary::parse(text.as_bytes()).unwrap();
    assert_eq!(offer.packages(), PACKAGES);
    let mut group = criterion.benchmark_group("60 000 packages");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("primary.xml parsed", |b| b.iter(|| primary::parse(black_box(text.as_bytes())).unwrap()));
    group.throughput(Throughput::Elements(PACKAGES as u64));
    group.bench_function("stored list taken", |b| {
        b.iter_with_setup(|| offer.as_bytes().to_vec(), |bytes| Offer::from_bytes(bytes).unwrap());
    });
    let locations: Vec<String> =
        (0..PACKAGES).step_by(100).map(|n| format!("Packages/p/package{n}-1.{n}-1.fc44.x86_64.rpm")).collect();
    group.throughput(Throughput::Elements(locations.len() as u64));
    group.bench_function("600 packages found", |b| {
        b.iter(|| locations.iter().filter(|l| offer.get(black_box(l)).is_some()).count());
    });
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
