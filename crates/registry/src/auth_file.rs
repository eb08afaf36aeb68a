//! Credentials as container tools store them: `auths` of docker's config.json and of containers-auth.json(5).
//! Credential helpers are programs of a login session; a service has none, so they are not run.

use std::path::Path;

use base64::Engine as _;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;

use crate::error::RegistryError;

/// Entries of an auth file, most specific first.
#[derive(Clone, Default)]
pub(crate) struct AuthFile(Vec<(String, RegistryAuth)>);

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    auths: std::collections::BTreeMap<String, Entry>,
}

#[derive(Deserialize, Default)]
struct Entry {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default, rename = "registrytoken")]
    registry_token: Option<String>,
}

impl AuthFile {
    /// Reads the file. It must exist: a missing one would turn into anonymous access and a puzzling refusal later.
    pub(crate) fn read(path: &Path) -> Result<Self, RegistryError> {
        let text =
            std::fs::read(path).map_err(|source| RegistryError::ReadFile { what: "auth file", path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|reason| RegistryError::AuthFile { path: path.to_owned(), reason })
    }

    /// No part of the file's text appears in an error: it holds passwords.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let document: Document =
            serde_json::from_slice(text).map_err(|e| format!("it is no auth file: line {}, column {}", e.line(), e.column()))?;
        let mut entries = Vec::new();
        for (key, entry) in document.auths {
            if let Some(auth) = credentials(&key, entry)? {
                entries.push((normalized(&key), auth));
            }
        }
        entries.sort_by_key(|(key, _)| std::cmp::Reverse(key.len()));
        Ok(Self(entries))
    }

    /// The credentials for a repository and the entry they are from: the longest entry that is a path prefix, down to the host.
    pub(crate) fn lookup(&self, registry: &str, repository: &str) -> Option<(&str, &RegistryAuth)> {
        let name = format!("{registry}/{repository}");
        self.0
            .iter()
            .find(|(key, _)| name.strip_prefix(key.as_str()).is_some_and(|rest| rest.starts_with('/') || rest.is_empty()))
            .map(|(key, auth)| (key.as_str(), auth))
    }
}

impl std::fmt::Debug for AuthFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(key, _)| key)).finish()
    }
}

/// Docker writes old entries as URLs: `https://registry.example.com/v2/`.
fn normalized(key: &str) -> String {
    match key.split_once("://") {
        Some((_, rest)) => rest.split('/').next().unwrap_or_default().to_owned(),
        None => key.trim_end_matches('/').to_owned(),
    }
}

fn credentials(key: &str, entry: Entry) -> Result<Option<RegistryAuth>, String> {
    if let Some(token) = entry.registry_token.filter(|t| !t.is_empty()) {
        if !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!("the token for `{key}` holds characters no token has"));
        }
        return Ok(Some(RegistryAuth::Bearer(token)));
    }
    if let Some(auth) = entry.auth.filter(|a| !a.is_empty()) {
        let plain = base64::engine::general_purpose::STANDARD
            .decode(auth.trim())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| format!("`auth` of `{key}` is not base64 text"))?;
        let (user, password) = plain.split_once(':').ok_or_else(|| format!("`auth` of `{key}` is not user:password"))?;
        // Docker pads the password with NUL bytes.
        return Ok(Some(RegistryAuth::Basic(user.to_owned(), password.trim_end_matches('\0').to_owned())));
    }
    match (entry.username, entry.password) {
        (Some(user), Some(password)) if !user.is_empty() => Ok(Some(RegistryAuth::Basic(user, password))),
        // An empty entry says that a credential helper knows.
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> AuthFile {
        AuthFile::parse(text.as_bytes()).expect("an auth file")
    }

    fn user(file: &AuthFile, registry: &str, repository: &str) -> Option<String> {
        match file.lookup(registry, repository)? {
            (_, RegistryAuth::Basic(user, password)) => Some(format!("{user}/{password}")),
            (_, other) => Some(format!("{other:?}")),
        }
    }

    #[test]
    fn the_most_specific_entry_counts() {
        // a:1, b:2:x, c:3
        let file = parse(
            r#"{"auths": {"reg.example": {"auth": "YTox"}, "reg.example/f40": {"auth": "YjoyOng="},
                "https://old.example/v2/": {"auth": "Yzoz"}, "helper.example": {}}, "credsStore": "secretservice"}"#,
        );
        assert_eq!(user(&file, "reg.example", "web"), Some("a/1".into()));
        assert_eq!(user(&file, "reg.example", "f40/web"), Some("b/2:x".into()));
        assert_eq!(user(&file, "reg.example", "f400/web"), Some("a/1".into()));
        assert_eq!(user(&file, "old.example", "web"), Some("c/3".into()));
        assert_eq!(user(&file, "reg.example:5000", "web"), None);
        assert_eq!(user(&file, "helper.example", "web"), None);
    }

    #[test]
    fn mistakes_are_told_without_the_secret() {
        for text in [
            r#"{"auths": {"h": {"auth": "c2VjcmV0"}}}"#,
            r#"{"auths": {"h": {"auth": "secret!"}}}"#,
            r#"{"auths": {"h": {"registrytoken": "secret\n"}}}"#,
            r#"{"auths": {"h": {"auth": ["secret"]}}}"#,
        ] {
            let err = AuthFile::parse(text.as_bytes()).expect_err(text);
            assert!(!err.contains("secret") && !err.contains("c2Vj"), "{err}");
        }
        assert!(!format!("{:?}", parse(r#"{"auths": {"h": {"auth": "YTpzZWNyZXQ="}}}"#)).contains("secret"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<Vec<u8>>()) {
            let _ = AuthFile::parse(&text);
        }
    }
}
