//! Credentials for ADD, from the build's secrets (Dockerfile reference, ADD, "Secrets"; Docker build documentation, "Git
//! authentication for remote contexts"): `HTTP_AUTH_TOKEN_HOST` and `HTTP_AUTH_HEADER_HOST` for files,
//! `GIT_AUTH_TOKEN[.HOST]` and `GIT_AUTH_HEADER[.HOST]` for repositories over http(s).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use build_model::{Blame, Diagnose};
use dist_git::Authorization;
use image_build::Secrets;
use url::Url;

/// A secret that cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("the secret `{id}` is not one line of ASCII text, as a header of HTTP is")]
pub(crate) struct CredentialError {
    id: String,
}

impl Diagnose for CredentialError {
    fn blame(&self) -> Blame {
        Blame::Site
    }
    fn kind(&self) -> &'static str {
        "add-credentials"
    }
}

/// What a secret with this name is.
enum Kind {
    /// The header's value.
    Header,
    /// A token that is sent so.
    Token(fn(&str) -> String),
}

/// For one file. The host is named without its port; where both are given the token counts, as in BuildKit.
pub(super) fn for_file(secrets: &Secrets, url: &str) -> Result<Option<Authorization>, CredentialError> {
    let Some(host) = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)) else { return Ok(None) };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let names = [
        (format!("HTTP_AUTH_TOKEN_{host}"), Kind::Token(|token| format!("Bearer {token}"))),
        (format!("HTTP_AUTH_HEADER_{host}"), Kind::Header),
    ];
    first(secrets, names)
}

/// For one repository. The host is named with its port, if it has one of its own; the nearest name counts.
pub(super) fn for_repository(secrets: &Secrets, remote: &str) -> Result<Option<Authorization>, CredentialError> {
    let Ok(url) = Url::parse(remote) else { return Ok(None) };
    let Some(host) = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https")) else { return Ok(None) };
    let host = url.port().map(|port| format!("{host}:{port}")).unwrap_or_else(|| host.to_owned());
    let basic = |token: &str| format!("basic {}", STANDARD.encode(format!("x-access-token:{token}")));
    let names = [
        (format!("GIT_AUTH_HEADER.{host}"), Kind::Header),
        (format!("GIT_AUTH_TOKEN.{host}"), Kind::Token(basic)),
        ("GIT_AUTH_HEADER".to_owned(), Kind::Header),
        ("GIT_AUTH_TOKEN".to_owned(), Kind::Token(basic)),
    ];
    first(secrets, names)
}

fn first<const N: usize>(secrets: &Secrets, names: [(String, Kind); N]) -> Result<Option<Authorization>, CredentialError> {
    for (id, kind) in names {
        let Some(secret) = secrets.get(&id) else { continue };
        let text = std::str::from_utf8(secret).map(str::trim).unwrap_or_default();
        let value = match kind {
            Kind::Header => text.to_owned(),
            Kind::Token(shape) if !text.is_empty() => shape(text),
            Kind::Token(_) => String::new(),
        };
        // A token of several lines would be hidden by its encoding, and is no less wrong.
        let one_line = !text.chars().any(char::is_control);
        return match Authorization::new(&value).filter(|_| one_line) {
            Some(value) => Ok(Some(value)),
            None => Err(CredentialError { id }),
        };
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(given: &[(&str, &str)]) -> Secrets {
        let mut secrets = Secrets::default();
        for (id, content) in given {
            secrets.add(id, content.as_bytes().to_vec()).expect("a secret");
        }
        secrets
    }

    #[test]
    fn files_are_asked_for_with_the_secret_of_their_host() {
        let asked = |given: &[(&str, &str)], url: &str| {
            for_file(&secrets(given), url).expect("usable").map(|value| value.as_str().to_owned())
        };
        let both = [("HTTP_AUTH_HEADER_h.example", "Basic x"), ("HTTP_AUTH_TOKEN_h.example", "t\n")];
        assert_eq!(asked(&both, "https://h.example:8443/x").as_deref(), Some("Bearer t"));
        assert_eq!(asked(&both[..1], "http://u@H.example/x").as_deref(), Some("Basic x"));
        assert_eq!(asked(&[("HTTP_AUTH_TOKEN_::1", "t")], "http://[::1]/x").as_deref(), Some("Bearer t"));
        for other in ["https://other.example/x", "https://h.example.org/x", "https://sub.h.example/x", "no url"] {
            assert_eq!(asked(&both, other), None, "{other}");
        }
    }

    #[test]
    fn repositories_are_asked_for_with_the_nearest_secret() {
        let asked = |given: &[(&str, &str)], url: &str| {
            for_repository(&secrets(given), url).expect("usable").map(|value| value.as_str().to_owned())
        };
        let given = [("GIT_AUTH_TOKEN", "any"), ("GIT_AUTH_TOKEN.h:81", "t"), ("GIT_AUTH_HEADER.g", "Basic g")];
        assert_eq!(asked(&given, "http://h:81/r.git").as_deref(), Some("basic eC1hY2Nlc3MtdG9rZW46dA=="));
        assert_eq!(asked(&given, "https://g/r.git").as_deref(), Some("Basic g"));
        assert_eq!(asked(&given, "https://h/r.git").as_deref(), Some("basic eC1hY2Nlc3MtdG9rZW46YW55"));
        assert_eq!((asked(&given, "ssh://g/r"), asked(&given, "git@g:r")), (None, None));
    }

    #[test]
    fn what_is_no_header_is_refused_by_its_name() {
        for bad in ["a\nb", "", "a\0"] {
            let err = for_file(&secrets(&[("HTTP_AUTH_TOKEN_h", bad)]), "http://h/x").expect_err(bad);
            assert!(err.to_string().contains("`HTTP_AUTH_TOKEN_h`") && (bad.is_empty() || !err.to_string().contains(bad)));
            assert!(for_repository(&secrets(&[("GIT_AUTH_TOKEN", bad)]), "http://h/r.git").is_err(), "{bad:?}");
        }
    }
}
