//! `[sandbox]`: how RUN steps are confined on this builder.

use std::collections::BTreeMap;
use std::path::PathBuf;

use image_build::{Limits, SandboxOptions, SecretError, Secrets, SubordinateIds};
use serde::{Deserialize, Serialize};

use crate::gated_build::UserNamespaces;

/// How RUN steps run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SandboxSettings {
    /// The OCI runtime: a program with crun's command line (crun, runc, runsc, kata-runtime).
    pub runtime: PathBuf,
    /// Memory limit of one RUN step in MB; none when absent.
    pub memory_mb: Option<u64>,
    /// Process limit of one RUN step.
    pub pids: Option<i64>,
    /// Processors one RUN step may keep busy, fractions allowed; all of them when absent.
    pub cpus: Option<f64>,
    /// What one RUN step may have on disk beyond what it began with, in MB; no limit when absent.
    pub disk_mb: Option<u64>,
    /// Longest a RUN step may take, in seconds.
    pub run_seconds: u64,
    /// Whether root in a RUN is nobody on this machine.
    pub user_namespace: UserNamespaceSetting,
    /// Where the ids of such RUN steps come from.
    pub subordinate_ids: SubordinateIdSettings,
    /// Secrets for `RUN --mount=type=secret`, by id.
    pub secrets: BTreeMap<String, SecretSettings>,
}

/// `user_namespace`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserNamespaceSetting {
    /// Where the kernel and the file system can do it; else the task's log says why not.
    Auto,
    /// Builds fail where it cannot be done.
    Required,
    /// Root in a RUN is root on the machine. For images whose packages make device nodes.
    Off,
}

/// `[sandbox.subordinate_ids]`: host ids that nothing else on this machine uses.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SubordinateIdSettings {
    /// The first.
    pub first: u32,
    /// How many one build gets.
    pub per_build: u32,
    /// How many builds can run at once.
    pub builds: u32,
}

/// `[sandbox.secrets.ID]`: a file that RUN steps of some targets may read.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretSettings {
    /// The file.
    pub file: PathBuf,
    /// The build targets it is for.
    pub targets: Vec<String>,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self {
            runtime: "crun".into(),
            memory_mb: None,
            pids: Some(4096),
            cpus: None,
            disk_mb: None,
            run_seconds: 2 * 3600,
            user_namespace: UserNamespaceSetting::Auto,
            subordinate_ids: SubordinateIdSettings::default(),
            secrets: BTreeMap::new(),
        }
    }
}

impl Default for SubordinateIdSettings {
    fn default() -> Self {
        let SubordinateIds { first, per_build, builds } = SubordinateIds::default();
        Self { first, per_build, builds }
    }
}

impl SandboxSettings {
    /// What cannot be, with the key.
    ///
    /// # Errors
    /// The first such key.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        self.ids().check().map_err(|problem| ("sandbox.subordinate_ids", format!("cannot be used: {problem}")))?;
        if self.cpus.is_some_and(|cpus| !(0.01..=4096.0).contains(&cpus)) {
            return Err(("sandbox.cpus", "must be between 0.01 and 4096".to_owned()));
        }
        if self.pids.is_some_and(|pids| pids < 1) {
            return Err(("sandbox.pids", "must be at least 1; leave it out for no limit".to_owned()));
        }
        Ok(())
    }

    /// The engine's options for a build for `target`; network, mounts and namespace are the build's own.
    ///
    /// # Errors
    /// A secret of the target cannot be read.
    pub fn options(&self, target: &str) -> Result<SandboxOptions, SecretError> {
        let mut secrets = Secrets::default();
        for (id, secret) in self.secrets.iter().filter(|(_, secret)| secret.targets.iter().any(|t| t == target)) {
            secrets.add_file(id, &secret.file)?;
        }
        Ok(SandboxOptions { limits: self.limits(), secrets, ..SandboxOptions::new(&self.runtime) })
    }

    fn limits(&self) -> Limits {
        let bytes = |mb: u64| mb.saturating_mul(1 << 20);
        Limits {
            memory_bytes: self.memory_mb.map(bytes),
            pids: self.pids,
            cpus: self.cpus,
            disk_bytes: self.disk_mb.map(bytes),
            run_seconds: Some(self.run_seconds),
        }
    }

    /// Whether builds get a user namespace, and from which ids.
    pub fn user_namespaces(&self) -> UserNamespaces {
        match self.user_namespace {
            UserNamespaceSetting::Auto => UserNamespaces::WherePossible(self.ids()),
            UserNamespaceSetting::Required => UserNamespaces::Required(self.ids()),
            UserNamespaceSetting::Off => UserNamespaces::Off,
        }
    }

    fn ids(&self) -> SubordinateIds {
        let SubordinateIdSettings { first, per_build, builds } = self.subordinate_ids;
        SubordinateIds { first, per_build, builds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> SandboxSettings {
        toml::from_str(text).expect("settings")
    }

    #[test]
    fn limits_are_in_the_units_of_their_names() {
        let limits = settings("memory_mb = 512\ncpus = 1.5\ndisk_mb = 100\nrun_seconds = 60\n").limits();
        let expected = Limits {
            memory_bytes: Some(512 << 20),
            pids: Some(4096),
            cpus: Some(1.5),
            disk_bytes: Some(100 << 20),
            run_seconds: Some(60),
        };
        assert_eq!(limits, expected);
    }

    #[test]
    fn a_secret_is_read_for_its_targets_alone() {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("token");
        let text = format!("[secrets.token]\nfile = {file:?}\ntargets = [\"f40\"]\n");
        assert!(settings(&text).options("f41").is_ok(), "not even looked for");
        assert!(settings(&text).options("f40").expect_err("no file").to_string().contains("`token`"));
        std::fs::write(&file, "x").expect("write");
        assert_eq!(format!("{:?}", settings(&text).options("f40").expect("options").secrets), r#"{"token"}"#);
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_key() {
        assert_eq!(SandboxSettings::default().check(), Ok(()));
        let key = |text: &str| settings(text).check().expect_err(text).0;
        assert_eq!(key("cpus = 0.0"), "sandbox.cpus");
        assert_eq!(key("pids = 0"), "sandbox.pids");
        assert_eq!(key("[subordinate_ids]\nfirst = 0\n"), "sandbox.subordinate_ids");
        assert_eq!(settings("user_namespace = \"off\"").user_namespaces(), UserNamespaces::Off);
    }
}
