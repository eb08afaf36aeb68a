//! Reading headers and databases: one header, and the databases of the tests in both formats that are one file.
//!
//! `cargo bench -p rpm-provenance --bench rpmdb`. The whole process beside `rpm -qa` is a row of `make bench`.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::io::Read as _;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rpm_provenance::query::QueryFormat;
use rpm_provenance::rpmdb::read_bytes;
use rpm_provenance::{RpmDbFormat, package_file};

const PACKAGE: &[u8] = include_bytes!("../tests/data/zero-epoch-3-1.noarch.rpm");

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

fn headers(c: &mut Criterion) {
    let mut group = c.benchmark_group("header");
    group.bench_function("read and hash", |b| b.iter(|| package_file::read_header(&mut black_box(PACKAGE)).unwrap()));
    group.bench_function("with file lists", |b| b.iter(|| package_file::read_files(&mut black_box(PACKAGE)).unwrap()));
    group.finish();
}

fn databases(c: &mut Criterion) {
    let format = QueryFormat::parse("%{name} %{epoch} %{version} %{release} %{arch} %{sigmd5}").unwrap();
    let mut group = c.benchmark_group("rpmdb");
    for (name, kind, packed) in [
        ("ndb", RpmDbFormat::Ndb, &include_bytes!("../tests/data/ndb-Packages.db.gz")[..]),
        ("Berkeley DB", RpmDbFormat::BdbHash, &include_bytes!("../tests/data/bdb-hash-Packages.gz")[..]),
    ] {
        let bytes = gunzip(packed);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |b| b.iter(|| read_bytes(kind, black_box(&bytes), &format).unwrap()));
    }
    group.finish();
}

criterion_group!(benches, headers, databases);
criterion_main!(benches);
