//! Which files below a source root take part: `.dockerignore` (build context only) and `--exclude`. Patterns of the first
//! are relative to the root. Those of the second are relative to the directory that is copied, as in BuildKit; for files
//! named as sources themselves, and with `--parents`, they are relative to the root or the pivot.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dockerfile::IgnoreRules;

use super::CopyError;

/// The filters of one COPY or ADD.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    ignore: Option<Arc<IgnoreRules>>,
    exclude: Option<Arc<IgnoreRules>>,
    /// What `exclude` is relative to.
    base: PathBuf,
}

impl Selection {
    /// `ignore` applies to the build context, `exclude` are the values of `--exclude`.
    pub(crate) fn new(ignore: Option<&IgnoreRules>, exclude: &[String]) -> Result<Self, CopyError> {
        let exclude = if exclude.is_empty() {
            None
        } else {
            // A leading `#` would begin a comment in a file; in a flag it is part of a name.
            let lines: Vec<String> =
                exclude.iter().map(|e| e.strip_prefix('#').map_or(e.clone(), |rest| format!("\\#{rest}"))).collect();
            Some(Arc::new(IgnoreRules::parse(&lines.join("\n")).map_err(CopyError::Exclude)?))
        };
        Ok(Self { ignore: ignore.cloned().map(Arc::new), exclude, base: PathBuf::new() })
    }

    /// The same with `--exclude` relative to the directory `base`.
    pub(crate) fn below(&self, base: &Path) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    /// Whether `path` (relative to the source root) is left out.
    pub(crate) fn excludes(&self, path: &Path) -> bool {
        self.rules(path).any(|(rules, path)| rules.is_excluded(&path))
    }

    /// Whether something below the directory `path`, itself left out, may yet take part.
    pub(crate) fn may_bring_back(&self, path: &Path) -> bool {
        self.rules(path).all(|(rules, path)| !rules.is_excluded(&path) || rules.may_contain_included(&path))
    }

    /// Whether `path` is no source. A directory named as one is hidden by `.dockerignore` alone: `--exclude` speaks of what
    /// is in it.
    pub(crate) fn hides_source(&self, path: &Path, is_dir: bool) -> bool {
        if !is_dir {
            return self.excludes(path);
        }
        let ignored = Self { exclude: None, ..self.clone() };
        ignored.excludes(path) && !ignored.may_bring_back(path)
    }

    /// Nothing is ever left out.
    pub(crate) fn is_everything(&self) -> bool {
        self.ignore.is_none() && self.exclude.is_none()
    }

    /// The rules that know `path`, each with the path as its patterns see it.
    fn rules(&self, path: &Path) -> impl Iterator<Item = (&IgnoreRules, String)> {
        let ignore = self.ignore.as_deref().map(|rules| (rules, Some(path)));
        let exclude = self.exclude.as_deref().map(|rules| (rules, path.strip_prefix(&self.base).ok()));
        let text = |(rules, path): (_, Option<&Path>)| Some((rules, path?.to_string_lossy().into_owned()));
        ignore.into_iter().chain(exclude).filter_map(text).filter(|(_, path)| !path.is_empty()).collect::<Vec<_>>().into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_filters_apply() {
        let ignore = IgnoreRules::parse("docs\n!docs/README.md\n").expect("rules");
        let selection = Selection::new(Some(&ignore), &["*.o".to_owned()]).expect("selection");
        assert!(selection.excludes(Path::new("docs/x")) && selection.excludes(Path::new("a.o")));
        assert!(!selection.excludes(Path::new("docs/README.md")) && !selection.excludes(Path::new("")));
        assert!(selection.may_bring_back(Path::new("docs")));
        assert!(!selection.may_bring_back(Path::new("b.o")));
    }

    #[test]
    fn excludes_are_relative_to_the_copied_directory() {
        let selection = Selection::new(None, &["*.o".to_owned(), "sub".to_owned()]).expect("selection");
        assert!(selection.excludes(Path::new("a.o")) && !selection.excludes(Path::new("src/a.o")));
        let below = selection.below(Path::new("src"));
        assert!(below.excludes(Path::new("src/a.o")) && below.excludes(Path::new("src/sub/x")));
        assert!(!below.excludes(Path::new("src")) && !below.excludes(Path::new("src/deep/a.o")));
        assert!(!selection.hides_source(Path::new("sub"), true) && selection.hides_source(Path::new("sub"), false));
    }
}
