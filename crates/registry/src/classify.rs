//! Errors of `oci-client` → [`RegistryError`]: by type and HTTP status, never by the text of a message.

use std::error::Error as _;
use std::io;

use build_model::chain;
use oci_client::errors::{DigestError, OciDistributionError, OciEnvelope, OciErrorCode};

use crate::alias::Target;
use crate::error::{Action, RegistryError};

/// The error of a request about `target`.
pub(crate) fn classify(error: OciDistributionError, action: Action, target: &Target) -> RegistryError {
    let case = Case { action, target };
    match error {
        OciDistributionError::RequestError(ref request) => match request.status() {
            Some(status) => case.status(status.as_u16(), String::new()),
            None if request.is_connect() && !has_io_error(request) => case.tls(error),
            None if request.is_builder() || request.is_redirect() => case.protocol(shortened(&chain(request))),
            // No connection, a lost one, a time-out, a body cut short.
            None => case.unreachable(error),
        },
        OciDistributionError::ServerError { code, message, .. } => case.status(code, registry_message(&message)),
        OciDistributionError::RegistryError { envelope, .. } => case.envelope(&envelope),
        OciDistributionError::UnauthorizedError { .. } => case.unauthorized(String::new()),
        OciDistributionError::AuthenticationFailure(message) => case.unauthorized(shortened(&message)),
        OciDistributionError::ImageManifestNotFoundError(_) => case.not_found(String::new()),
        OciDistributionError::DigestError(source) => case.digest(source),
        OciDistributionError::IoError(source) => case.stream(source),
        other => case.protocol(shortened(&other.to_string())),
    }
}

/// The error of a blob stream: `oci-client` wraps what it is in an [`io::Error`].
pub(crate) fn classify_stream(error: io::Error, action: Action, target: &Target) -> RegistryError {
    Case { action, target }.stream(error)
}

/// `oci-client` panicked, which it does on some answers outside the specification (a token no header can hold).
pub(crate) fn panicked(action: Action, target: &Target) -> RegistryError {
    Case { action, target }.protocol("the client library gave up on it".to_owned())
}

struct Case<'a> {
    action: Action,
    target: &'a Target,
}

impl Case<'_> {
    fn name(&self) -> String {
        self.target.to_string()
    }

    fn registry(&self) -> String {
        self.target.location.registry.clone()
    }

    fn status(&self, status: u16, message: String) -> RegistryError {
        match status {
            401 | 403 => self.unauthorized(message),
            404 => self.not_found(message),
            408 | 429 | 500..=599 => {
                RegistryError::Busy { action: self.action, target: self.name(), registry: self.registry(), status, message }
            }
            _ if message.is_empty() => self.refused(format!("status {status}")),
            _ => self.refused(format!("status {status}, {message}")),
        }
    }

    fn envelope(&self, envelope: &OciEnvelope) -> RegistryError {
        let text = messages(envelope);
        let has = |codes: &[OciErrorCode]| envelope.errors.iter().any(|e| codes.contains(&e.code));
        if has(&[OciErrorCode::Unauthorized, OciErrorCode::Denied]) {
            self.unauthorized(text)
        } else if has(&[OciErrorCode::Toomanyrequests]) {
            self.status(429, text)
        } else if has(&[
            OciErrorCode::ManifestUnknown,
            OciErrorCode::NameUnknown,
            OciErrorCode::NotFound,
            OciErrorCode::BlobUnknown,
        ]) {
            self.not_found(text)
        } else {
            self.refused(text)
        }
    }

    /// While writing, "not found" is an answer to something else than the packager's image.
    fn not_found(&self, message: String) -> RegistryError {
        match self.action {
            Action::Resolve | Action::Pull => RegistryError::NotFound { target: self.name() },
            Action::Push | Action::Tag => self.refused(if message.is_empty() { "not found".to_owned() } else { message }),
        }
    }

    fn unauthorized(&self, message: String) -> RegistryError {
        RegistryError::Unauthorized { action: self.action, target: self.name(), registry: self.registry(), message }
    }

    fn refused(&self, message: String) -> RegistryError {
        RegistryError::Refused { action: self.action, target: self.name(), registry: self.registry(), message }
    }

    fn protocol(&self, message: String) -> RegistryError {
        RegistryError::Protocol { action: self.action, target: self.name(), registry: self.registry(), message }
    }

    fn unreachable(&self, source: OciDistributionError) -> RegistryError {
        let (target, registry) = (self.name(), self.registry());
        RegistryError::Unreachable { action: self.action, target, registry, source: Box::new(source) }
    }

    fn tls(&self, source: OciDistributionError) -> RegistryError {
        let (target, registry) = (self.name(), self.registry());
        RegistryError::Tls { action: self.action, target, registry, source: Box::new(source) }
    }

    fn digest(&self, source: DigestError) -> RegistryError {
        match source {
            DigestError::VerificationError { expected, actual } => {
                RegistryError::DigestMismatch { target: self.name(), registry: self.registry(), expected, found: actual }
            }
            other => self.protocol(other.to_string()),
        }
    }

    fn stream(&self, error: io::Error) -> RegistryError {
        if error.get_ref().is_some_and(|inner| inner.is::<DigestError>()) {
            return match error.into_inner().map(|inner| inner.downcast::<DigestError>()) {
                Some(Ok(digest)) => self.digest(*digest),
                _ => self.protocol("the digest could not be checked".to_owned()),
            };
        }
        self.unreachable(OciDistributionError::IoError(error))
    }
}

/// A refused or lost TCP connection and a failed name look-up have an [`io::Error`] among their causes;
/// a refused certificate has not.
fn has_io_error(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<io::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The text of an answer's body: the messages of an error document, else the body itself.
fn registry_message(body: &str) -> String {
    match serde_json::from_str::<OciEnvelope>(body) {
        Ok(envelope) if !messages(&envelope).is_empty() => messages(&envelope),
        _ => shortened(body),
    }
}

fn messages(envelope: &OciEnvelope) -> String {
    shortened(&envelope.errors.iter().map(|e| e.message.as_str()).filter(|m| !m.is_empty()).collect::<Vec<_>>().join("; "))
}

/// The start of a message, on one line: registries behind proxies answer with whole HTML pages.
fn shortened(message: &str) -> String {
    let words = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut text: String = words.chars().filter(|c| !c.is_control()).take(200).collect();
    if text.len() < words.len() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use build_model::{Blame, Diagnose};

    fn target() -> Target {
        let name: crate::ImageReference = "reg.example/web:1".parse().expect("a reference");
        Target { name: name.clone(), location: name }
    }

    fn server(code: u16) -> OciDistributionError {
        OciDistributionError::ServerError { code, url: "u".into(), message: "<html>\n busy".into() }
    }

    #[test]
    fn each_status_says_whose_move_it_is_and_whether_waiting_helps() {
        for (code, action, kind, blame, transient) in [
            (401, Action::Pull, "registry-unauthorized", Blame::Site, false),
            (403, Action::Push, "registry-unauthorized", Blame::Site, false),
            (404, Action::Resolve, "image-not-found", Blame::Packager, false),
            (404, Action::Push, "registry-refused", Blame::Site, false),
            (400, Action::Push, "registry-refused", Blame::Site, false),
            (429, Action::Pull, "registry-busy", Blame::Site, true),
            (503, Action::Tag, "registry-busy", Blame::Site, true),
        ] {
            let error = classify(server(code), action, &target());
            assert_eq!((error.kind(), error.blame(), error.is_transient()), (kind, blame, transient), "{code} {error}");
        }
    }

    #[test]
    fn error_documents_are_read_by_their_codes() {
        for (code, kind) in [
            ("MANIFEST_UNKNOWN", "image-not-found"),
            ("NAME_UNKNOWN", "image-not-found"),
            ("DENIED", "registry-unauthorized"),
            ("TOOMANYREQUESTS", "registry-busy"),
            ("MANIFEST_INVALID", "registry-refused"),
            ("SITE_SPECIAL", "registry-refused"),
        ] {
            let text = format!(r#"{{"errors":[{{"code":"{code}","message":"why"}}]}}"#);
            let envelope = serde_json::from_str(&text).expect("an envelope");
            let error = classify(OciDistributionError::RegistryError { envelope, url: "u".into() }, Action::Resolve, &target());
            assert_eq!(error.kind(), kind, "{error}");
        }
    }

    #[test]
    fn a_page_of_html_becomes_one_short_line() {
        let error = classify(server(500), Action::Pull, &target());
        assert_eq!(
            error.to_string(),
            "cannot pull reg.example/web:1: the registry reg.example answers with status 500: <html> busy"
        );
        assert_eq!(shortened(&"x".repeat(500)).chars().count(), 201);
    }

    #[test]
    fn a_digest_error_inside_a_stream_is_found() {
        let inner = DigestError::VerificationError { expected: "a".into(), actual: "b".into() };
        let error = classify_stream(io::Error::other(inner), Action::Pull, &target());
        assert_eq!((error.kind(), error.is_transient()), ("registry-digest", false));
        let error = classify_stream(io::Error::other("reset"), Action::Pull, &target());
        assert_eq!((error.kind(), error.is_transient()), ("registry-unreachable", true));
    }
}
