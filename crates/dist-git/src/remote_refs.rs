//! The branches and tags a repository advertises (`git ls-remote`), and what a revision means among them.

use build_model::nearest;

/// Advertised refs in git's order. Annotated tags are peeled to their commit.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RemoteRefs {
    refs: Vec<RemoteRef>,
}

#[derive(Debug, PartialEq, Eq)]
struct RemoteRef {
    name: String,
    commit: String,
    /// The object of an annotated tag.
    tag: Option<String>,
}

/// What a revision turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// The full ref.
    pub name: String,
    /// The commit it names now.
    pub commit: String,
    /// The object of the annotated tag that it is.
    pub tag: Option<String>,
}

impl RemoteRefs {
    /// Reads `git ls-remote` output. A line of another form is an error, given back.
    pub fn parse(output: &str) -> Result<Self, String> {
        let mut refs: Vec<RemoteRef> = Vec::new();
        for line in output.lines() {
            let (id, name) = line.split_once('\t').filter(|(id, _)| is_object_id(id)).ok_or_else(|| line.to_owned())?;
            match (name.strip_suffix("^{}"), refs.last_mut()) {
                // the commit of the annotated tag on the line before
                (Some(tag), Some(last)) if tag == last.name => {
                    last.tag = Some(std::mem::replace(&mut last.commit, id.to_owned()));
                }
                _ => refs.push(RemoteRef { name: name.to_owned(), commit: id.to_owned(), tag: None }),
            }
        }
        Ok(Self { refs })
    }

    /// The branch or tag a revision names; branches first. `origin/NAME` is NAME, as people write it for kojid.
    pub fn resolve(&self, revision: &str) -> Option<Resolved> {
        let short = revision.strip_prefix("origin/").unwrap_or(revision);
        let candidates = [
            format!("refs/heads/{revision}"),
            format!("refs/heads/{short}"),
            format!("refs/tags/{revision}"),
            revision.to_owned(),
        ];
        candidates.into_iter().find_map(|name| {
            let found = self.refs.iter().find(|known| known.name == name)?;
            Some(Resolved { name, commit: found.commit.clone(), tag: found.tag.clone() })
        })
    }

    /// Names of the branches whose newest commit is `commit`.
    pub fn branches_at(&self, commit: &str) -> Vec<String> {
        self.branches().filter(|(_, id)| *id == commit).map(|(name, _)| name.to_owned()).collect()
    }

    /// Whether there is a branch of that name.
    pub fn has_branch(&self, branch: &str) -> bool {
        self.branches().any(|(name, _)| name == branch)
    }

    /// A branch with a name like `revision`.
    pub fn similar_branch(&self, revision: &str) -> Option<String> {
        nearest(revision, self.branches().map(|(name, _)| name)).map(str::to_owned)
    }

    fn branches(&self) -> impl Iterator<Item = (&str, &str)> {
        self.refs.iter().filter_map(|known| Some((known.name.strip_prefix("refs/heads/")?, known.commit.as_str())))
    }
}

/// Whether a text is a full SHA-1 or SHA-256 object id, as git writes it.
pub(crate) fn is_object_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    const C: &str = "cccccccccccccccccccccccccccccccccccccccc";

    fn refs() -> RemoteRefs {
        let text =
            format!("{A}\trefs/heads/f40\n{A}\trefs/heads/main\n{B}\trefs/tags/f40\n{C}\trefs/tags/v1\n{B}\trefs/tags/v1^{{}}\n");
        RemoteRefs::parse(&text).expect("refs")
    }

    #[test]
    fn branches_come_before_tags_and_tags_are_peeled() {
        let resolved = |revision: &str| refs().resolve(revision).map(|r| (r.name, r.commit));
        assert_eq!(resolved("f40"), Some(("refs/heads/f40".into(), A.into())));
        assert_eq!(resolved("origin/f40"), Some(("refs/heads/f40".into(), A.into())));
        assert_eq!(resolved("refs/tags/f40"), Some(("refs/tags/f40".into(), B.into())));
        assert_eq!(resolved("v1"), Some(("refs/tags/v1".into(), B.into())));
        assert_eq!(resolved("f4"), None);
        let tag = |revision: &str| refs().resolve(revision).and_then(|r| r.tag);
        assert_eq!((tag("v1"), tag("f40")), (Some(C.into()), None));
    }

    #[test]
    fn branches_are_found_by_commit_and_by_likeness() {
        assert_eq!(refs().branches_at(A), ["f40", "main"]);
        assert_eq!(refs().branches_at(B), Vec::<String>::new());
        assert_eq!(refs().similar_branch("mian"), Some("main".into()));
        assert!(refs().has_branch("f40") && !refs().has_branch("v1"));
    }

    #[test]
    fn lines_of_another_form_are_refused() {
        for bad in ["x", "aaaa\trefs/heads/x", "\t", &format!("{A} refs/heads/x")] {
            assert_eq!(RemoteRefs::parse(bad).expect_err(bad), bad);
        }
        assert_eq!(RemoteRefs::parse("").expect("no refs"), RemoteRefs::default());
    }

    proptest::proptest! {
        #[test]
        fn no_output_and_no_revision_can_cause_a_panic(output in "[0-9a-f]{39,41}[\\t ]refs/(heads|tags)/\\PC*\n?\\PC*", revision in "\\PC*") {
            if let Ok(refs) = RemoteRefs::parse(&output) {
                let _ = (refs.resolve(&revision), refs.similar_branch(&revision), refs.branches_at(&revision));
            }
        }
    }
}
