//! Expansion of words and parsing: small against a RUN, but done for every line of every Dockerfile of a mass rebuild.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dockerfile::{expand, parse};

const WORDS: [&str; 6] = [
    "plain",
    "${release:-1}.${dist}",
    "\"quoted $name and ${name%%-*}\"",
    "${path//\\//-}",
    "${missing:+never}${version#v}",
    "/usr/share/${name}/${version}/${release:-${dist}}",
];

fn expansion(criterion: &mut Criterion) {
    let lookup = |name: &str| match name {
        "name" => Some("web-server-tools".to_owned()),
        "version" => Some("v1.2.3".to_owned()),
        "dist" => Some("fc40".to_owned()),
        "path" => Some("/usr/lib64/a/b/c/d".to_owned()),
        _ => None,
    };
    let mut group = criterion.benchmark_group("expand");
    group.throughput(Throughput::Elements(WORDS.len() as u64));
    group.bench_function("six words", |bench| {
        bench.iter(|| WORDS.iter().filter_map(|word| expand(word, '\\', &lookup).ok()).map(|text| text.len()).sum::<usize>());
    });
    group.finish();
}

fn parsing(criterion: &mut Criterion) {
    let mut text = String::from("FROM registry.example.org/base:40 AS base\n");
    for number in 0..200 {
        text.push_str(&format!("ARG v{number}=1\nENV name{number}=\"${{v{number}:-2}}\" other={number}\n"));
        text.push_str(&format!(
            "RUN dnf -y install a{number} \\\n    b{number} && \\\n    dnf clean all\nCOPY a b /srv/{number}/\n"
        ));
    }
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("800 instructions", |bench| bench.iter(|| parse(text.as_bytes(), "Dockerfile").expect("valid")));
    group.finish();
}

criterion_group!(benches, expansion, parsing);
criterion_main!(benches);
