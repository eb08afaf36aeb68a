//! Login by Kerberos (GSSAPI, SPNEGO in HTTP's Negotiate, RFC 4559), as ClientSession.gssapi_login of Koji's client does:
//! `sslLogin` at `<hub>/ssllogin`, with a ticket for `HTTP@host` in place of a client certificate. Called by http.rs.
//!
//! Credentials come from a keytab, from a credential cache, or from the system's defaults (`KRB5CCNAME`,
//! `KRB5_CLIENT_KTNAME`). A ticket is good for one request: a repeated login makes a new one.

mod library;

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use library::Initiator;

/// Who we are to the KDC. Everything left out is the system's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KerberosIdentity {
    /// The principal, like `compile/builder1.example.com@EXAMPLE.COM`; of several in a keytab or cache.
    pub principal: Option<String>,
    /// The keytab that holds its key.
    pub keytab: Option<PathBuf>,
    /// The cache its tickets are in; with a keytab, where they are kept. In memory when there is a keytab and no cache.
    pub ccache: Option<PathBuf>,
}

/// Why there is no ticket.
#[derive(Debug, thiserror::Error)]
pub enum KerberosError {
    /// The system has no GSSAPI library.
    #[error("logging in by Kerberos needs the GSSAPI library of MIT krb5: {problem}")]
    Library {
        /// The loader's words.
        problem: String,
    },
    /// It refuses.
    #[error("cannot {action}: {problem}")]
    Gssapi {
        /// What was attempted.
        action: &'static str,
        /// Its words.
        problem: String,
    },
    /// A path that the library cannot be given.
    #[error("{} cannot be the name of a keytab or a credential cache", .0.display())]
    Path(PathBuf),
    /// What the hub answered with the login is no answer to our ticket.
    #[error("the hub did not prove who it is: {problem}")]
    Hub {
        /// What is wrong.
        problem: String,
    },
}

impl KerberosError {
    /// What can be done about it.
    pub fn hint(&self) -> String {
        match self {
            KerberosError::Library { .. } => "install it: libgssapi-krb5-2 on Debian, krb5-libs on Fedora".to_owned(),
            KerberosError::Hub { .. } => "check that the hub's URL names the host the HTTP service's keytab is for".to_owned(),
            _ => "try it by hand as the worker's user: `kinit -k -t KEYTAB PRINCIPAL`, then `kvno HTTP/HUB_HOST`".to_owned(),
        }
    }
}

/// A handshake that has begun.
pub struct Handshake(Initiator);

impl Handshake {
    /// Gets a ticket for the hub; it may ask the KDC and take as long as that does. Gives the token for the request.
    ///
    /// # Errors
    /// [`KerberosError`]
    pub fn begin(identity: &KerberosIdentity, host: &str) -> Result<(Self, Vec<u8>), KerberosError> {
        let mut initiator = Initiator::new(identity.principal.as_deref(), &store(identity)?, &format!("HTTP@{host}"))?;
        let token = initiator.step(None)?;
        Ok((Self(initiator), token))
    }

    /// Checks the token in the hub's answer. Many hubs send none; the encrypted connection has proven the hub then.
    ///
    /// # Errors
    /// [`KerberosError::Hub`]
    pub fn finish(mut self, token: &[u8]) -> Result<(), KerberosError> {
        match self.0.step(Some(token)) {
            Ok(_) => Ok(()),
            Err(KerberosError::Gssapi { problem, .. }) => Err(KerberosError::Hub { problem }),
            Err(error) => Err(error),
        }
    }
}

/// MIT krb5's credential store (gss_acquire_cred_from): no environment variable of this process is changed.
fn store(identity: &KerberosIdentity) -> Result<Vec<(&'static CStr, CString)>, KerberosError> {
    let text = |path: &PathBuf| CString::new(path.as_os_str().as_bytes()).map_err(|_| KerberosError::Path(path.clone()));
    let mut store = Vec::new();
    if let Some(keytab) = &identity.keytab {
        store.push((c"client_keytab", text(keytab)?));
    }
    match (&identity.ccache, &identity.keytab) {
        (Some(ccache), _) => store.push((c"ccache", text(ccache)?)),
        (None, Some(_)) => store.push((c"ccache", c"MEMORY:containerbuild".to_owned())),
        (None, None) => {}
    }
    Ok(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keytab_without_a_cache_keeps_its_tickets_in_memory() {
        let places = |keytab: Option<&str>, ccache: Option<&str>| {
            let identity = KerberosIdentity { principal: None, keytab: keytab.map(Into::into), ccache: ccache.map(Into::into) };
            let store = store(&identity).expect("paths");
            store.into_iter().map(|(k, v)| format!("{}={}", k.to_string_lossy(), v.to_string_lossy())).collect::<Vec<_>>()
        };
        assert_eq!(places(Some("/k"), None), ["client_keytab=/k", "ccache=MEMORY:containerbuild"]);
        assert_eq!(places(Some("/k"), Some("/c")), ["client_keytab=/k", "ccache=/c"]);
        assert_eq!(places(None, Some("DIR:/c")), ["ccache=DIR:/c"]);
        assert!(places(None, None).is_empty());
        let bad = KerberosIdentity { keytab: Some("/a\0b".into()), ..KerberosIdentity::default() };
        assert!(matches!(store(&bad), Err(KerberosError::Path(_))));
    }

    #[test]
    fn a_keytab_that_is_not_there_is_told_in_the_librarys_words() {
        let identity = KerberosIdentity {
            principal: Some("nobody@NOWHERE.EXAMPLE".to_owned()),
            keytab: Some("/nonexistent/keytab".into()),
            ccache: None,
        };
        match Handshake::begin(&identity, "localhost").map(|_| ()) {
            Err(KerberosError::Gssapi { action, problem }) => {
                assert!(action.contains("Kerberos"), "{action}");
                assert!(!problem.is_empty());
            }
            Err(KerberosError::Library { problem }) => assert!(problem.contains("libgssapi"), "{problem}"),
            other => panic!("{other:?}"),
        }
    }
}
