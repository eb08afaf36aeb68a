//! Step 11, second part: every file of the new layers is accounted for. The site's policy decides over it afterwards.

use build_model::BoxedDiagnose;
use dockerfile::{CopySource, InstructionKind};
use image_build::BuiltImage;
use image_layers::{ContainerConfig, LocalImage, MergedView, Store, UnpackLimits};
use rpm_provenance::files::{
    self, Accounting, ConfigText, FileAccount, LayerDigests, LayerSource, NewLayer, PackageFiles, released_elsewhere,
};
use rpm_provenance::{PackageDependencies, RpmDb, Verdict, rpmdb};

use super::{Fetched, Parents, add_record};
use crate::build_context::BuildContext;
use crate::layer_digests;
use crate::task::run::TaskContext;

/// The rpmdbs an account needs, as the proof has read them.
pub struct Databases {
    /// The image's.
    pub db: RpmDb,
    /// The files of its packages.
    pub files: Vec<PackageFiles>,
    /// The base image's, where there is one.
    pub parent: Option<(RpmDb, Vec<PackageFiles>)>,
    /// What the image's packages require and provide.
    pub dependencies: Vec<PackageDependencies>,
}

/// Accounts for the files of the new layers.
///
/// # Errors
/// When a layer cannot be read. What is wrong with the image is in the account.
#[allow(clippy::too_many_arguments)] // all that is known of the build comes together here
pub fn account_files(
    context: &TaskContext<'_>,
    store: &Store,
    fetched: &Fetched,
    read: &BuildContext,
    parents: &Parents,
    built: &BuiltImage,
    verdicts: &[Verdict],
    databases: &Databases,
) -> Result<FileAccount, BoxedDiagnose> {
    let new_layers = new_layers(built, read);
    let mut elsewhere =
        vec![("another stage".to_owned(), released_elsewhere(&context.settings.gate_cache_dir(), verdicts, &databases.db))];
    for (name, parent) in parents {
        if built.base.as_ref().is_none_or(|base| base.manifest_digest != parent.manifest_digest) {
            elsewhere.push((name.clone(), packages_of(store, parent)?));
        }
    }
    let digests = packed_digests(store, built)?;
    Ok(files::account(&Accounting {
        layers: built.layer_dirs.iter().rev().cloned().collect(),
        new_layers: &new_layers,
        digests: &digests,
        packages: &databases.files,
        parent: databases.parent.as_ref().map(|(_, files)| files.as_slice()).unwrap_or_default(),
        elsewhere: &elsewhere,
        commit: Some(&fetched.tree.root),
        config: &config_texts(&built.image.config.config),
        working_dir: &built.image.config.config.working_dir,
    })?)
}

/// What was hashed when the new layers were packed, top first. A layer without such a list is read again.
fn packed_digests(store: &Store, built: &BuiltImage) -> Result<Vec<LayerDigests>, BoxedDiagnose> {
    let mut all = Vec::with_capacity(built.new_layers);
    if built.image.config.rootfs.diff_ids.len() != built.layer_dirs.len() {
        return Ok(all); // which list is whose could not be told
    }
    for diff_id in built.image.config.rootfs.diff_ids.iter().rev().take(built.new_layers) {
        all.push(layer_digests::of_packed(store, diff_id)?);
    }
    Ok(all)
}

/// What of the image's configuration is run: commands, and variables by which programs load code.
pub fn config_texts(config: &ContainerConfig) -> Vec<ConfigText> {
    let mut texts = Vec::new();
    let mut add = |what: &str, words: &[String]| {
        if !words.is_empty() {
            texts.push(ConfigText { what: what.to_owned(), words: words.to_vec() });
        }
    };
    add("ENTRYPOINT", config.entrypoint.as_deref().unwrap_or_default());
    add("CMD", config.cmd.as_deref().unwrap_or_default());
    add("SHELL", config.shell.as_deref().unwrap_or_default());
    add("HEALTHCHECK", config.healthcheck.as_ref().and_then(|check| check.test.get(1..)).unwrap_or_default());
    for trigger in &config.on_build {
        add("ONBUILD", std::slice::from_ref(trigger));
    }
    for (name, value) in config.env.iter().filter_map(|variable| variable.split_once('=')) {
        if ConfigText::is_run(name) {
            add(&format!("ENV {name}"), &[value.to_owned()]);
        }
    }
    texts
}

/// The files of another image's packages. A rpmdb that cannot be read explains nothing.
fn packages_of(store: &Store, image: &LocalImage) -> Result<Vec<PackageFiles>, BoxedDiagnose> {
    let layers = store.unpack_image(image, &UnpackLimits::default())?;
    let view = MergedView::new(layers.into_iter().rev().map(|l| l.dir).collect());
    Ok(rpmdb::read_view_with_files(&view).map(|(_, files)| files).unwrap_or_default())
}

/// The instructions that made the new layers, top first. The engine writes them into the image's history; where the two
/// do not fit, a layer may hold anything.
pub fn new_layers(built: &BuiltImage, read: &BuildContext) -> Vec<NewLayer> {
    let inherited = built.base.as_ref().map_or(0, |base| base.config.history.len());
    let lines: Vec<&str> = built
        .image
        .config
        .history
        .iter()
        .skip(inherited)
        .filter(|line| !line.empty_layer)
        .map(|line| line.created_by.as_deref().unwrap_or_default())
        .collect();
    let known = lines.len() == built.new_layers;
    let layer = |at: usize| {
        let instruction = lines.get(at).copied().filter(|_| known).unwrap_or_default();
        NewLayer { instruction: instruction.to_owned(), source: layer_source(instruction, Some(read)) }
    };
    (0..built.new_layers).rev().map(layer).collect()
}

/// What an instruction could put into its layer, by its text in the image's history: where the Dockerfile is not known, anything.
pub fn layer_source(text: &str, read: Option<&BuildContext>) -> LayerSource {
    // No instruction reads so.
    if text == add_record::INSTRUCTION {
        return LayerSource::Builder;
    }
    let all = read.into_iter().flat_map(|read| &read.plan.stages).flat_map(|stage| &stage.instructions);
    let mut sources = all.filter(|i| i.source == text).map(|i| match &i.kind {
        InstructionKind::Copy(copy) => match &copy.from {
            Some(from) => LayerSource::Stage(from.clone()),
            None => LayerSource::Commit,
        },
        InstructionKind::Add(add) if add.copy.sources.iter().all(is_local) => LayerSource::Commit,
        _ => LayerSource::Any,
    });
    sources.next().unwrap_or(LayerSource::Any)
}

/// Whether a source of ADD is in the commit: no URL, and nothing that may expand to one.
fn is_local(source: &CopySource) -> bool {
    match source {
        CopySource::Path(path) => !path.contains("://") && !path.starts_with("git@") && !path.contains('$'),
        CopySource::Heredoc(_) => true,
    }
}
