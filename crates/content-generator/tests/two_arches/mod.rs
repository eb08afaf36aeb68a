//! A complete two-architecture build, as the worker would hand it in.

use std::collections::BTreeMap;

use build_model::{Arch, BuildId, Digest, ImageTag, TaskId};
use content_generator::{
    ArchOutput, BuildrootHost, Checksum, ContentGenerator, DockerInfo, ExtraFile, ImageIndex, ImageInfo, ImportInput, LayerSize,
    LogFile, OsbsBuild, OutputFile, ParentBuild, ParentImage, RpmComponent, Tool,
};
use serde_json::{Map, json};

pub const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

pub fn digest(n: u8) -> Digest {
    Digest::from_sha256(&[n; 32])
}

pub fn file(name: &str, n: u8) -> OutputFile {
    OutputFile { name: name.into(), dir: None, size: 1000 + u64::from(n), checksum: Checksum::Sha256(digest(n).hex().into()) }
}

pub fn rpm(nvra: &str, epoch: Option<u32>) -> RpmComponent {
    RpmComponent {
        nvra: nvra.parse().expect("an NVRA"),
        epoch,
        sigmd5: Some("0123456789abcdef0123456789abcdef".into()),
        sha256header: Some("0f".repeat(32)),
        signature: Some("a15b79cc".into()),
    }
}

fn tag(text: &str) -> ImageTag {
    ImageTag::new(text).expect("a tag")
}

fn arch(name: &str, n: u8) -> ArchOutput {
    let arch = Arch::canonical(name).expect("an arch");
    ArchOutput {
        host: BuildrootHost { os: "Fedora Linux 40".into(), arch: arch.clone() },
        tools: vec![
            Tool { name: "containerbuild".into(), version: "0.1.0".into() },
            Tool { name: "crun".into(), version: "1.14".into() },
        ],
        host_components: vec![],
        archive: file(&format!("docker-image-{}.{name}.tar.gz", digest(n).short()), n),
        docker: DockerInfo {
            id: digest(n),
            parent_id: Some(digest(n + 1)),
            layer_sizes: vec![
                LayerSize::Compressed { digest: digest(n + 2), size: 4096 },
                LayerSize::Uncompressed { diff_id: digest(n + 3), size: 10240 },
            ],
            repositories: vec![
                "registry.example.org/f40/web:1.2-3".into(),
                format!("registry.example.org/f40/web@{}", digest(n + 4)),
            ],
            tags: vec![tag("1.2-3")],
            digests: BTreeMap::from([(MANIFEST_TYPE.into(), digest(n + 4))]),
            config: json!({
                "architecture": arch.oci(),
                "os": "linux",
                "config": {"Env": ["PATH=/usr/bin", "PS1=\u{1b}[1m\u{0}> "], "Labels": {"name": "f40/web"}},
                "container_config": {"Hostname": "left-out"},
            }),
        },
        components: vec![
            rpm("zlib-1.3.1-1.fc40.x86_64", None),
            rpm("bash-5.2.26-3.fc40.x86_64", None),
            rpm("openssl-libs-3.2.1-2.fc40.x86_64", Some(1)),
            rpm("bash-5.2.26-3.fc40.x86_64", None),
        ],
        arch,
    }
}

pub fn two_arches() -> ImportInput {
    let x86 = Arch::canonical("x86_64").expect("an arch");
    let mut userdata = Map::new();
    userdata.insert("ticket".into(), 42.into());
    ImportInput {
        generator: ContentGenerator { name: "containerbuild".into(), version: "0.1.0".into() },
        nvr: "web-container-1.2-3".parse().expect("an NVR"),
        source: Some("git+https://src.example.org/container/web.git#0123456789012345678901234567890123456789".into()),
        start_time: 1_700_000_000,
        end_time: 1_700_000_600,
        owner: Some("packager".into()),
        submitter: Some("packager".into()),
        build_id: Some(BuildId(77)),
        task_id: Some(TaskId(4711)),
        image: ImageInfo {
            isolated: false,
            parents: vec![
                ParentImage { pull_spec: "registry.example.org/builder:1".into(), build: None },
                ParentImage {
                    pull_spec: "registry.example.org/f40/base:latest".into(),
                    build: Some(ParentBuild { id: BuildId(70), nvr: "base-container-40-9".parse().expect("an NVR") }),
                },
                ParentImage { pull_spec: "scratch".into(), build: None },
            ],
            parent_build_id: Some(BuildId(70)),
            yum_repourls: vec!["https://repos.example.org/extra.repo".into()],
            media_types: vec![INDEX_TYPE.into(), MANIFEST_TYPE.into()],
            index: Some(ImageIndex {
                tags: vec![tag("1.2-3")],
                floating_tags: vec![tag("latest"), tag("1.2")],
                unique_tags: vec![tag("f40-candidate-4711")],
                pull: vec![format!("registry.example.org/f40/web@{}", digest(9)), "registry.example.org/f40/web:1.2-3".into()],
                digests: BTreeMap::from([(INDEX_TYPE.into(), digest(9))]),
            }),
            help: Some("help.md".into()),
            sources_for_nvr: None,
        },
        osbs_build: OsbsBuild::default(),
        userdata: Some(userdata),
        extra: Map::new(),
        arches: vec![arch("x86_64", 16), arch("aarch64", 32)],
        logs: vec![
            LogFile { file: file("containerbuild.log", 60), arch: None },
            LogFile { file: file("x86_64.log", 61), arch: Some(x86.clone()) },
        ],
        files: vec![
            ExtraFile { file: file("provenance-x86_64.json", 62), btype: "image".into(), arch: Some(x86), type_info: Map::new() },
            ExtraFile { file: file("icm.json", 63), btype: "icm".into(), arch: None, type_info: Map::new() },
        ],
        site_extensions: vec![],
    }
}
