//! An image as Koji knows it: its build, its parents, and which of its layers are the base image's.

use std::collections::BTreeSet;

use build_model::{BoxedDiagnose, BuildId, ImageLabels, Nvr};
use image_layers::LocalImage;
use koji_session::{Build, BuildState};
use rpm_provenance::report::{ParentBuild, ParentImage};
use serde_json::Value;

use super::Verification;

/// An image that is a complete build of this Koji, by digest.
pub struct KojiImage {
    /// The build.
    pub build: Build,
    /// Its `extra`.
    extra: Value,
}

/// The N-V-R an image's labels name.
///
/// # Errors
/// A sentence about the label that is missing.
pub fn nvr_of(image: &LocalImage) -> Result<Nvr, String> {
    let labels = ImageLabels::from_labels(&image.config.config.labels).map_err(|e| e.to_string())?;
    let release = labels.release.ok_or("it has no label `release`")?;
    Ok(Nvr { name: labels.component, version: labels.version, release })
}

impl KojiImage {
    /// Finds the build of an image; the inner error says why it is none.
    pub async fn find(what: &Verification<'_>) -> Result<Result<Self, String>, BoxedDiagnose> {
        let nvr = match nvr_of(what.image) {
            Ok(nvr) => nvr,
            Err(why) => return Ok(Err(why)),
        };
        let Some(build) = what.session.get_build(&nvr).await?.filter(|build| build.state == BuildState::Complete) else {
            return Ok(Err(format!("it says it is {nvr}, which is not a complete build in this Koji")));
        };
        let extra = build.extra.to_json();
        let mut recorded = digests(&extra);
        for archive in what.session.list_archives(build.id, Some("image")).await? {
            recorded.extend(digests(&archive.extra.to_json()));
        }
        let found = what.image.manifest_digest.as_str();
        if !recorded.contains(found) {
            return Ok(Err(format!("it says it is {nvr}, but that build has other digests than {found}")));
        }
        Ok(Ok(Self { build, extra }))
    }

    /// The parents the build records.
    pub fn parents(&self) -> Vec<ParentImage> {
        let base = self.base();
        let builds = self.image().get("parent_image_builds").and_then(Value::as_object);
        let parent = |(reference, build): (&String, &Value)| {
            let id = build.get("id").and_then(Value::as_i64);
            let nvr = build.get("nvr").and_then(Value::as_str);
            ParentImage {
                reference: reference.clone(),
                build: id.zip(nvr).map(|(id, nvr)| ParentBuild { id, nvr: nvr.to_owned() }),
                base: id.is_some() && id == base.map(|b| b.0),
                ..ParentImage::default()
            }
        };
        builds.into_iter().flatten().map(parent).collect()
    }

    /// The build of the base image.
    fn base(&self) -> Option<BuildId> {
        self.image().get("parent_build_id").and_then(Value::as_i64).map(BuildId)
    }

    fn image(&self) -> &Value {
        let typed = self.extra.pointer("/typeinfo/image");
        self.extra.get("image").or(typed).unwrap_or(&Value::Null)
    }

    /// How many of the lowest layers are the base image's. They are compared one by one with what Koji recorded of it.
    pub async fn base_layers(&self, what: &Verification<'_>) -> Result<Result<usize, String>, BoxedDiagnose> {
        let Some(base) = self.base() else {
            let scratch = self.parents().is_empty();
            return Ok(if scratch { Ok(0) } else { Err(format!("{} does not record its base image", self.build.nvr)) });
        };
        for archive in what.session.list_archives(base, Some("image")).await? {
            let extra = archive.extra.to_json();
            if extra.pointer("/image/arch").and_then(Value::as_str).is_some_and(|arch| arch != what.arch.as_str()) {
                continue;
            }
            if let Some(count) = layers_of(&extra, what.image) {
                return Ok(Ok(count));
            }
        }
        Ok(Err(format!("Koji's record of the base image (build {base}) does not hold the lowest layers of this image")))
    }
}

/// How many layers a recorded base image has, when they are the lowest of `image`: by diff id, or by the digest of what was
/// pushed.
fn layers_of(extra: &Value, image: &LocalImage) -> Option<usize> {
    let texts = |list: Option<&Value>, key: Option<&str>| -> Vec<String> {
        let items = list.and_then(Value::as_array).into_iter().flatten();
        items.filter_map(|item| key.map_or(Some(item), |key| item.get(key))?.as_str().map(str::to_owned)).collect()
    };
    let sizes = extra.pointer("/docker/layer_sizes");
    let diff_ids: Vec<String> = image.config.rootfs.diff_ids.iter().map(ToString::to_string).collect();
    let blobs: Vec<String> = image.layers().iter().map(|layer| layer.digest.to_string()).collect();
    let candidates = [
        (texts(extra.pointer("/docker/config/rootfs/diff_ids"), None), &diff_ids),
        (texts(sizes, Some("diff_id")), &diff_ids),
        (texts(sizes, Some("digest")), &blobs),
    ];
    let fits = |(recorded, own): &(Vec<String>, &Vec<String>)| !recorded.is_empty() && own.starts_with(recorded);
    candidates.iter().find(|candidate| fits(candidate)).map(|(recorded, _)| recorded.len())
}

/// Every digest of a manifest that a build's or archive's `extra` records.
fn digests(extra: &Value) -> BTreeSet<String> {
    let maps = ["/image/index/digests", "/docker/digests", "/typeinfo/image/index/digests"];
    let lists = ["/image/index/pull", "/docker/repositories", "/typeinfo/image/index/pull"];
    let named = maps.iter().filter_map(|path| extra.pointer(path)?.as_object()).flat_map(|map| map.values());
    let pulled = lists.iter().filter_map(|path| extra.pointer(path)?.as_array()).flatten();
    let pulled = pulled.filter_map(Value::as_str).filter_map(|spec| spec.split_once('@')).map(|(_, digest)| digest.to_owned());
    named.filter_map(Value::as_str).map(str::to_owned).chain(pulled).collect()
}

/// Where an image of a build can be pulled from, by digest.
pub fn pull_spec(build: &Build) -> Option<String> {
    let extra = build.extra.to_json();
    let lists = ["/image/index/pull", "/typeinfo/image/index/pull"];
    let specs = lists.iter().filter_map(|path| extra.pointer(path)?.as_array()).flatten();
    specs.filter_map(Value::as_str).find(|spec| spec.contains('@')).map(str::to_owned)
}
