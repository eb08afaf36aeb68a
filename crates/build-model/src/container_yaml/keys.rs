//! The table of `container.yaml`: every key, what its value looks like, and what becomes of it.
//! [`super::check`], [`super::schema`] and docs/CONTAINER-YAML.md follow it; a key is added here and nowhere else first.

/// A key.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) fate: Fate,
    /// For the schema: what it does, one sentence.
    pub(super) about: &'static str,
}

/// What is done with a key that says something (null, false and empty values never do).
pub(super) enum Fate {
    /// It is followed.
    Kept,
    /// It is checked and kept with the build's settings; the sentence says what does not happen.
    Noted(&'static str),
    /// It is not looked at; the reason goes to the packager as a warning.
    Ignored(&'static str),
    /// The build is refused; the reason says what to do instead.
    Refused(&'static str),
}

/// What a value looks like.
pub(super) enum Shape {
    /// A string.
    Text,
    /// A list of strings.
    Texts,
    /// The name of an environment variable.
    EnvName,
    /// A list of registry tags.
    Tags,
    /// One architecture or a list of them.
    Arches,
    /// true or false.
    Flag,
    /// A whole number, not smaller than this.
    Whole(u64),
    /// A mapping with these keys and no others.
    Table(&'static [Key]),
    /// Not looked at.
    Anything,
}

const fn key(name: &'static str, shape: Shape, fate: Fate, about: &'static str) -> Key {
    Key { name, shape, fate, about }
}

const NOT_RPM: &str = "an image holds only RPMs of this Koji; package the dependencies as RPMs";
const NO_PULP: &str = "there is no Pulp service; content comes from the Koji tags of the target";
const NO_MODULES: &str = "there is no compose of modules; content comes from the Koji tags of the target";
const NO_REBUILD: &str = "nothing rebuilds this image by itself yet";

/// The file's own keys.
pub(super) const TOP: &[Key] = &[
    key("platforms", Shape::Table(PLATFORMS), Fate::Kept, "Architectures to build, out of those of the build tag."),
    key(
        "tags",
        Shape::Tags,
        Fate::Kept,
        "Floating tags in the registry, instead of `latest`, the version and `additional-tags`.",
    ),
    key(
        "buildtime_limit",
        Shape::Whole(0),
        Fate::Kept,
        "Seconds the build may take, from its checkout to the finished image; 0 means the site's limit, which always applies.",
    ),
    key("set_release_env", Shape::EnvName, Fate::Kept, "Environment variable that holds the release in every stage."),
    key(
        "submodules",
        Shape::Flag,
        Fate::Kept,
        "Also fetch the repository's git submodules, at the commits it records; the site must allow it.",
    ),
    key("autorebuild", Shape::Table(AUTOREBUILD), Fate::Kept, "How the image is rebuilt when its parent was."),
    key("compose", Shape::Table(COMPOSE), Fate::Kept, "What the build wants of its RPM content."),
    key("version", Shape::Whole(1), Fate::Kept, "Version of the file's format. Has no effect."),
    key(
        "image_build_method",
        Shape::Anything,
        Fate::Ignored("there is one way to build an image here"),
        "The earlier service's choice of a build tool.",
    ),
    key("go", Shape::Anything, Fate::Ignored("it was metadata only and is not recorded"), "Go modules in the image."),
    key(
        "remote_sources_version",
        Shape::Anything,
        Fate::Ignored("there are no remote sources"),
        "Which service fetches remote sources.",
    ),
    key("remote_source", Shape::Anything, Fate::Refused(NOT_RPM), "Source with language dependencies."),
    key("remote_sources", Shape::Anything, Fate::Refused(NOT_RPM), "Sources with language dependencies."),
    key("flatpak", Shape::Anything, Fate::Refused("flatpaks are built by koji-flatpak"), "A flatpak instead of an image."),
    key(
        "operator_manifests",
        Shape::Anything,
        Fate::Refused("operator bundles are not built here"),
        "Changes to operator manifests.",
    ),
];

const PLATFORMS: &[Key] = &[
    key("only", Shape::Arches, Fate::Kept, "Architectures to build for; all of the build tag's when empty."),
    key("not", Shape::Arches, Fate::Kept, "Architectures not to build for."),
    key("optional", Shape::Arches, Fate::Kept, "Architectures the image may lack: when one fails, the others are imported."),
];

const AUTOREBUILD: &[Key] = &[
    key("from_latest", Shape::Flag, Fate::Noted(NO_REBUILD), "Rebuild the newest commit of the branch, not the built one."),
    key("add_timestamp_to_release", Shape::Flag, Fate::Noted(NO_REBUILD), "Add a time stamp to an explicit release."),
    key("ignore_isolated_builds", Shape::Flag, Fate::Noted(NO_REBUILD), "Isolated builds of the parent start no rebuild."),
];

const COMPOSE: &[Key] = &[
    key(
        "packages",
        Shape::Texts,
        Fate::Noted("all packages of the target's content are offered, and what is installed is for the Dockerfile to say"),
        "Names of the RPMs the image needs.",
    ),
    key(
        "inherit",
        Shape::Flag,
        Fate::Noted("content comes from the target; nothing is taken over from the build of the parent image"),
        "Also use the content of the parent image's build.",
    ),
    key(
        "signing_intent",
        Shape::Text,
        Fate::Noted("which signatures are required is the site's policy for each content source"),
        "Name of a set of signing keys.",
    ),
    key("pulp_repos", Shape::Anything, Fate::Refused(NO_PULP), "Use content sets of Pulp."),
    key("build_only_content_sets", Shape::Anything, Fate::Refused(NO_PULP), "Content sets for the build alone."),
    key("modules", Shape::Anything, Fate::Refused(NO_MODULES), "Modules to offer."),
    key("modular_koji_tags", Shape::Anything, Fate::Refused(NO_MODULES), "Koji tags with modules to offer."),
    key("module_resolve_tags", Shape::Anything, Fate::Refused(NO_MODULES), "Koji tags for finding modules."),
    key("ignore_absent_pulp_repos", Shape::Anything, Fate::Ignored(NO_PULP), "Go on without a content set."),
    key("include_unpublished_pulp_repos", Shape::Anything, Fate::Ignored(NO_PULP), "Also use unpublished content sets."),
    key(
        "multilib_method",
        Shape::Anything,
        Fate::Ignored("the repositories are Koji's, as they are"),
        "Which packages are multilib.",
    ),
    key(
        "multilib_arches",
        Shape::Anything,
        Fate::Ignored("the repositories are Koji's, as they are"),
        "Architectures with multilib packages.",
    ),
];
