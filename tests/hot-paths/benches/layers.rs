//! The tar writer, packing with every compression (files → tar → digest → codec → digest → blob), and unpacking.

use criterion::{BatchSize, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use hot_paths::{Scratch, bytes_below, content, layer, lowers, tar};
use image_layers::tar_format::{TarEntry, TarReader, TarWriter};
use image_layers::{Compression, FileDigestAlgorithm, PackOptions, UnpackLimits, decoder, pack_layer};

fn tar_writer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tar");
    let body = content(4096, 1);
    let paths: Vec<String> = (0..1000).map(|n| format!("usr/share/doc/package-{}/file-{n}", n / 16)).collect();
    group.throughput(Throughput::Elements(paths.len() as u64));
    group.bench_function("write 1000 entries of 4 KiB", |bench| {
        bench.iter_batched(
            || Vec::with_capacity(6 << 20),
            |out| {
                let mut writer = TarWriter::new(out);
                for path in &paths {
                    writer.append_file(&TarEntry::file(path.as_str(), body.len() as u64), body.as_slice()).expect("appended");
                }
                writer.finish().expect("finished")
            },
            BatchSize::LargeInput,
        );
    });
    let plain = tar(1000, 4096);
    group.bench_function("read 1000 entries of 4 KiB", |bench| {
        bench.iter(|| {
            let mut reader = TarReader::new(plain.as_slice(), 1 << 20);
            let mut entries = 0;
            while reader.next_entry().expect("readable").is_some() {
                entries += 1;
            }
            entries
        });
    });
    group.finish();
}

fn pack(criterion: &mut Criterion) {
    let scratch = Scratch::new();
    let mut group = criterion.benchmark_group("pack");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for (name, tree) in [("4 files of 8 MiB", scratch.tree(4, 8 << 20)), ("2000 files of 16 KiB", scratch.tree(2000, 16 << 10))] {
        group.throughput(Throughput::Bytes(bytes_below(&tree)));
        for compression in ["none", "gzip:1", "gzip:6", "zstd:1", "zstd:3"] {
            let compression: Compression = compression.parse().expect("a compression");
            let options = PackOptions { compression, clamp_mtime: Some(1), ..PackOptions::default() };
            group.bench_function(format!("{name}, {compression}"), |bench| {
                bench.iter(|| pack_layer(&scratch.store, &tree, &lowers(), &options).expect("packed"));
            });
        }
        let digests = vec![FileDigestAlgorithm::Sha256];
        let options = PackOptions { file_digests: digests, clamp_mtime: Some(1), ..PackOptions::default() };
        group.bench_function(format!("{name}, gzip:6 and digests of files"), |bench| {
            bench.iter(|| pack_layer(&scratch.store, &tree, &lowers(), &options).expect("packed"));
        });
    }
    group.finish();
}

fn unpack(criterion: &mut Criterion) {
    let scratch = Scratch::new();
    let mut group = criterion.benchmark_group("unpack");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for (name, plain) in [("2000 files of 16 KiB", tar(2000, 16 << 10)), ("4 files of 8 MiB", tar(4, 8 << 20))] {
        let (blob, diff_id) = layer(&scratch.store, &plain);
        group.throughput(Throughput::Bytes(plain.len() as u64));
        group.bench_function(name, |bench| {
            bench.iter_batched(
                || scratch.forget_layers(),
                |()| scratch.store.unpack_layer(&blob, &diff_id, None, &UnpackLimits::default()).expect("unpacked"),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn inflate(criterion: &mut Criterion) {
    let scratch = Scratch::new();
    let tree = scratch.tree(4, 8 << 20);
    let mut group = criterion.benchmark_group("inflate");
    group.sample_size(10).throughput(Throughput::Bytes(bytes_below(&tree)));
    for compression in ["gzip:6", "zstd:3"] {
        let compression: Compression = compression.parse().expect("a compression");
        let options = PackOptions { compression, ..PackOptions::default() };
        let packed = pack_layer(&scratch.store, &tree, &lowers(), &options).expect("packed");
        let blob = scratch.store.read_blob(&packed.descriptor.digest, 1 << 30).expect("a blob");
        group.bench_function(compression.to_string(), |bench| {
            bench.iter(|| {
                std::io::copy(&mut decoder(blob.as_slice()).expect("a decoder"), &mut std::io::sink()).expect("inflated")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, tar_writer, pack, unpack, inflate);
criterion_main!(benches);
