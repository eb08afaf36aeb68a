//! Images of a few layers with packages that rpm itself installed, and what the accounting says of them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use image_layers::MergedView;
use rpm_provenance::files::{
    Accounting, Class, Code, ConfigText, FileAccount, LayerDigests, LayerSource, NewLayer, PackageFiles, account,
};
use rpm_provenance::rpmdb::read_view_with_files;

use crate::support::{Recipe, install, rpmbuild, rpmbuild_spec};

/// Layers, bottom first; all but the first are new. The rpmdb is in the one it was last written in.
pub struct Image {
    pub dir: tempfile::TempDir,
    pub layers: Vec<PathBuf>,
    pub config: Vec<ConfigText>,
    /// What the packer is to have hashed, of the topmost layers.
    pub digests: Vec<LayerDigests>,
}

impl Image {
    /// A base with the packages `web` and `tool`.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("base");
        let rpms: Vec<PathBuf> = ["web", "tool"].map(|name| rpmbuild(dir.path(), &Recipe { name, ..Recipe::default() })).into();
        install(&base, &rpms.iter().map(PathBuf::as_path).collect::<Vec<_>>());
        Image { layers: vec![base], dir, config: Vec::new(), digests: Vec::new() }
    }

    /// A base with one package of these files (path, mode, content; links where the mode is 0) and ghosts.
    pub fn of_files(files: &[(&str, u32, &str)], ghosts: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut spec = "Name: suite\nVersion: 1\nRelease: 1\nSummary: s\nLicense: l\n%description\nd\n%install\n".to_owned();
        for (path, mode, content) in files {
            spec.push_str(&format!("mkdir -p $(dirname %{{buildroot}}{path})\n"));
            spec.push_str(&match mode {
                0 => format!("ln -s {content} %{{buildroot}}{path}\n"),
                _ => format!("printf '%%s' '{content}' > %{{buildroot}}{path}; chmod {mode:o} %{{buildroot}}{path}\n"),
            });
        }
        spec.push_str("%files\n");
        files.iter().for_each(|(path, ..)| spec.push_str(&format!("{path}\n")));
        ghosts.iter().for_each(|path| spec.push_str(&format!("%ghost {path}\n")));
        let rpm = rpmbuild_spec(dir.path(), "suite-1-1.noarch.rpm", "noarch", &spec);
        let base = dir.path().join("base");
        install(&base, &[&rpm]);
        Image { layers: vec![base], dir, config: Vec::new(), digests: Vec::new() }
    }

    pub fn layer(&mut self) -> PathBuf {
        let path = self.dir.path().join(format!("layer{}", self.layers.len()));
        fs::create_dir(&path).unwrap();
        self.layers.push(path.clone());
        path
    }

    pub fn packages(layers: &[PathBuf]) -> Vec<PackageFiles> {
        read_view_with_files(&MergedView::new(layers.iter().rev().cloned().collect())).unwrap().1
    }

    pub fn account(&self, source: LayerSource, commit: Option<&Path>) -> FileAccount {
        let layer = NewLayer { instruction: "RUN it".into(), source };
        account(&Accounting {
            layers: self.layers.iter().rev().cloned().collect(),
            new_layers: &vec![layer; self.layers.len() - 1],
            digests: &self.digests,
            packages: &Self::packages(&self.layers),
            parent: &Self::packages(&self.layers[..1]),
            elsewhere: &[],
            commit,
            config: &self.config,
            working_dir: "/",
        })
        .unwrap()
    }
}

pub fn write(root: &Path, path: &str, content: &str, mode: u32) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

pub fn gained(account: &FileAccount) -> Vec<(&str, Vec<&str>)> {
    account.privileges.iter().map(|p| (p.path.as_str(), p.gained.iter().map(String::as_str).collect())).collect()
}

pub fn runs<'a>(account: &'a FileAccount, path: &str) -> Option<&'a str> {
    account.records.iter().find(|r| r.path == path).and_then(|r| r.runs.as_deref())
}

pub fn class(account: &FileAccount, path: &str) -> (Class, Code) {
    let found = account.records.iter().find(|r| r.path == path);
    found.map(|r| (r.class, r.code)).unwrap_or_else(|| panic!("{path} is not in {:#?}", account.records))
}
