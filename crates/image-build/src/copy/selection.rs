//! Which files below a source root take part: `.dockerignore` (build context only) and `--exclude`.

use std::path::Path;

use dockerfile::IgnoreRules;

use super::CopyError;

/// The filters of one COPY or ADD.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    rules: Vec<IgnoreRules>,
}

impl Selection {
    /// `ignore` applies to the build context, `exclude` are the values of `--exclude`.
    pub(crate) fn new(ignore: Option<&IgnoreRules>, exclude: &[String]) -> Result<Self, CopyError> {
        let mut rules: Vec<IgnoreRules> = ignore.cloned().into_iter().collect();
        if !exclude.is_empty() {
            // A leading `#` would begin a comment in a file; in a flag it is part of a name.
            let lines: Vec<String> =
                exclude.iter().map(|e| e.strip_prefix('#').map_or(e.clone(), |rest| format!("\\#{rest}"))).collect();
            rules.push(IgnoreRules::parse(&lines.join("\n")).map_err(CopyError::Exclude)?);
        }
        Ok(Self { rules })
    }

    /// Whether `path` (relative to the source root) is left out.
    pub(crate) fn excludes(&self, path: &Path) -> bool {
        let path = path.to_string_lossy();
        !path.is_empty() && self.rules.iter().any(|r| r.is_excluded(&path))
    }

    /// Whether something below the directory `path`, itself left out, may yet take part.
    pub(crate) fn may_bring_back(&self, path: &Path) -> bool {
        let path = path.to_string_lossy();
        self.rules.iter().all(|r| !r.is_excluded(&path) || r.may_contain_included(&path))
    }

    /// Nothing is ever left out.
    pub(crate) fn is_everything(&self) -> bool {
        self.rules.is_empty()
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
}
