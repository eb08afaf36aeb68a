//! Which files below a source root take part: `.dockerignore` (build context only), `--exclude`, and with `--parents` the
//! source itself, which is a pattern then. Patterns of the first are relative to the root; the others to the directory that
//! is copied (with `--parents` the root or the pivot), as in BuildKit, and for files named as sources to the root.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dockerfile::{IgnoreRules, check_pattern};

use super::{CopyError, FoundSource};

/// The filters of one COPY or ADD.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    ignore: Option<Arc<IgnoreRules>>,
    exclude: Option<Arc<IgnoreRules>>,
    /// What `exclude` is relative to.
    base: PathBuf,
    include: Option<Include>,
}

/// The source of a COPY with `--parents`: what matches it, and what is below a match, takes part.
#[derive(Debug, Clone)]
pub(crate) struct Include {
    pattern: String,
    rules: Arc<IgnoreRules>,
}

impl Include {
    /// `pattern` is clean and relative.
    pub(crate) fn parse(pattern: &str) -> Result<Self, CopyError> {
        check_pattern(pattern).map_err(|source| CopyError::Pattern { pattern: pattern.to_owned(), source })?;
        // The same matching as an ignore file that leaves everything out and brings this back. Its line must not be taken
        // for another kind of line.
        let rules = IgnoreRules::parse(&format!("**\n!{}", literal_start(pattern))).map_err(CopyError::Exclude)?;
        Ok(Self { pattern: pattern.to_owned(), rules: Arc::new(rules) })
    }

    /// The pattern.
    pub(crate) fn pattern(&self) -> &str {
        &self.pattern
    }
}

/// A pattern that begins with a character of its own, whatever that means in an ignore file.
fn literal_start(pattern: &str) -> String {
    if pattern.starts_with(['#', '!', ' ']) { format!("\\{pattern}") } else { pattern.to_owned() }
}

impl Selection {
    /// `ignore` applies to the build context, `exclude` are the values of `--exclude`.
    pub(crate) fn new(ignore: Option<&IgnoreRules>, exclude: &[String]) -> Result<Self, CopyError> {
        let exclude = if exclude.is_empty() {
            None
        } else {
            // A leading `#` would begin a comment in a file; in a flag it is part of a name.
            let lines: Vec<String> =
                exclude.iter().map(|e| if e.starts_with('#') { literal_start(e) } else { e.clone() }).collect();
            Some(Arc::new(IgnoreRules::parse(&lines.join("\n")).map_err(CopyError::Exclude)?))
        };
        Ok(Self { ignore: ignore.cloned().map(Arc::new), exclude, base: PathBuf::new(), include: None })
    }

    /// What takes part of one source.
    pub(crate) fn of(&self, source: &FoundSource) -> Self {
        Self { base: source.exclude_base.clone(), include: source.include.clone(), ..self.clone() }
    }

    /// `.dockerignore` alone: a directory named as a source is not hidden by `--exclude`, which speaks of what is in it.
    pub(crate) fn of_the_context(&self) -> Self {
        Self { ignore: self.ignore.clone(), ..Self::default() }
    }

    /// Whether `path` (relative to the source root) is left out.
    pub(crate) fn excludes(&self, path: &Path) -> bool {
        self.rules(path).any(|(rules, path)| rules.is_excluded(&path))
    }

    /// Whether something below the directory `path`, itself left out, may yet take part.
    pub(crate) fn may_bring_back(&self, path: &Path) -> bool {
        self.rules(path).all(|(rules, path)| !rules.is_excluded(&path) || rules.may_contain_included(&path))
    }

    /// Nothing is ever left out.
    pub(crate) fn is_everything(&self) -> bool {
        self.ignore.is_none() && self.exclude.is_none() && self.include.is_none()
    }

    /// The rules that know `path`, each with the path as its patterns see it.
    fn rules(&self, path: &Path) -> impl Iterator<Item = (&IgnoreRules, String)> {
        let ignore = self.ignore.as_deref().map(|rules| (rules, Some(path)));
        let relative = path.strip_prefix(&self.base).ok();
        let exclude = self.exclude.as_deref().map(|rules| (rules, relative));
        let include = self.include.as_ref().map(|include| (include.rules.as_ref(), relative));
        let text = |(rules, path): (_, Option<&Path>)| Some((rules, path?.to_string_lossy().into_owned()));
        ignore
            .into_iter()
            .chain(exclude)
            .chain(include)
            .filter_map(text)
            .filter(|(_, path)| !path.is_empty())
            .collect::<Vec<_>>()
            .into_iter()
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
        let below = Selection { base: "src".into(), ..selection };
        assert!(below.excludes(Path::new("src/a.o")) && below.excludes(Path::new("src/sub/x")));
        assert!(!below.excludes(Path::new("src")) && !below.excludes(Path::new("src/deep/a.o")));
    }

    #[test]
    fn a_source_with_parents_takes_what_it_matches_and_what_is_below() {
        let included = |pattern: &str, path: &str| {
            let include = Some(Include::parse(pattern).expect(pattern));
            let selection = Selection { base: "top".into(), include, ..Selection::default() };
            !selection.excludes(&Path::new("top").join(path))
        };
        assert!(included("a/*/c", "a/b/c") && included("a/*/c", "a/b/c/d/e") && !included("a/*/c", "a/b"));
        assert!(included("**/*.txt", "x.txt") && included("**/*.txt", "a/b/x.txt") && !included("**/*.txt", "a/b"));
        assert!(included("#x", "#x") && included("!x", "!x") && !included("!x", "y"));
    }
}
