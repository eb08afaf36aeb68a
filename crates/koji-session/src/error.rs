//! What can go wrong between the worker and the hub, and whose move it then is.

use std::path::PathBuf;

use build_model::{Blame, Diagnose, FaultCode};

use crate::{CodecError, KerberosError};

/// The hub ran the call and refused it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the hub refused {method} with fault {code}: {message}")]
pub struct Fault {
    /// Koji's number, see [`FaultCode`].
    pub code: i64,
    /// The hub's text.
    pub message: String,
    /// The method called.
    pub method: String,
}

impl Fault {
    /// Koji's name for the code, if it is one Koji defines.
    pub fn fault_code(&self) -> Option<FaultCode> {
        FaultCode::from_code(self.code)
    }

    /// What a plugin's callback said when it raised an exception: the hub wraps a traceback around it (koji/plugin.py,
    /// run_callbacks), which means something to its administrators alone.
    pub fn callback_refusal(&self) -> Option<CallbackRefusal<'_>> {
        if self.fault_code() != Some(FaultCode::CallbackError) {
            return None;
        }
        let (head, traceback) = self.message.split_once(":\n")?;
        let (callback, plugin) = head.strip_prefix("Error running ")?.split_once(" callback from ")?;
        // Frames are indented; the exception that got out is the last block that is not.
        let mut start = None;
        let (mut at, mut in_frames) = (0, true);
        for line in traceback.split_inclusive('\n') {
            let is_frame = line.starts_with(' ') || line.starts_with("Traceback (most recent call last):");
            if !is_frame && in_frames && !line.trim().is_empty() {
                start = Some(at);
            }
            in_frames = is_frame;
            at += line.len();
        }
        let raised = traceback.get(start?..)?.trim_end();
        let (exception, text) = raised.split_once(": ").unwrap_or((raised, ""));
        Some(CallbackRefusal { callback, plugin, exception, text })
    }
}

/// An exception of a plugin's callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallbackRefusal<'a> {
    /// `preImport` and the like.
    pub callback: &'a str,
    /// The plugin's module.
    pub plugin: &'a str,
    /// The exception's class.
    pub exception: &'a str,
    /// Its text.
    pub text: &'a str,
}

impl Diagnose for Fault {
    fn blame(&self) -> Blame {
        match self.fault_code() {
            Some(FaultCode::AuthError | FaultCode::AuthLockError | FaultCode::GssapiAuthError) => Blame::Site,
            _ => Blame::Hub,
        }
    }

    fn kind(&self) -> &'static str {
        match self.fault_code() {
            Some(FaultCode::ServerOffline) => "hub-offline",
            Some(FaultCode::LockError) => "hub-locked",
            Some(FaultCode::AuthLockError) => "hub-session-locked",
            Some(FaultCode::AuthExpired) => "hub-session-expired",
            Some(FaultCode::AuthError | FaultCode::SequenceError | FaultCode::RetryError | FaultCode::GssapiAuthError) => {
                "hub-auth"
            }
            Some(FaultCode::ActionNotAllowed) => "hub-not-allowed",
            Some(FaultCode::ParameterError) => "hub-parameter",
            Some(FaultCode::Unknown) | None => "hub-exception",
            Some(_) => "hub-fault",
        }
    }

    fn hint(&self) -> Option<String> {
        match self.fault_code()? {
            FaultCode::AuthLockError => {
                Some("another process holds the exclusive session of this user; give every worker its own identity".to_owned())
            }
            FaultCode::AuthError => Some(
                "check the certificate or password, that the host is known to the hub, and that its address did not change"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    fn is_transient(&self) -> bool {
        matches!(self.fault_code(), Some(FaultCode::ServerOffline | FaultCode::LockError))
    }
}

/// Why a call to the hub, or the preparation of one, failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The hub answered with a fault.
    #[error(transparent)]
    Fault(Fault),
    /// The call was carried out, but its answer was lost and the hub will not give it again (RetryError on a repeat).
    /// Look at what the call should have changed before doing anything else.
    #[error("the hub carried out {method} (call {callnum} of session {session_id}), but its answer was lost on the way")]
    AnswerLost {
        /// The method called.
        method: String,
        /// The call number that was repeated.
        callnum: u64,
        /// The session.
        session_id: i64,
    },
    /// No answer came: connection refused, reset, timed out.
    #[error("cannot call {method} at {url}")]
    Transport {
        /// The method called.
        method: String,
        /// The hub.
        url: String,
        /// The HTTP client's reason.
        #[source]
        source: reqwest::Error,
    },
    /// An HTTP status other than 200: a proxy, a wrong URL, or a request the hub could not read.
    #[error("calling {method} at {url}: HTTP status {status}{}", excerpt(.body))]
    Status {
        /// The method called.
        method: String,
        /// The hub.
        url: String,
        /// The status.
        status: u16,
        /// The beginning of the answer.
        body: String,
    },
    /// The encrypted connection was refused, by us or by the hub. Never repeated.
    #[error("cannot establish a trusted connection to {url}")]
    Tls {
        /// The hub.
        url: String,
        /// The TLS library's reason.
        #[source]
        source: reqwest::Error,
    },
    /// The answer is no XML-RPC.
    #[error("the answer to {method} cannot be read")]
    Decode {
        /// The method called.
        method: String,
        /// What is wrong with it.
        #[source]
        source: CodecError,
    },
    /// XML-RPC, but not what the method is documented to answer.
    #[error("the answer to {method} is not what Koji documents: {problem}")]
    Answer {
        /// The method called.
        method: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file could not be read.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A certificate, key or CA file is not usable.
    #[error("the file {} is not usable: {problem}", .path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no Kerberos ticket to log in with.
    #[error("cannot log in to {url} by Kerberos")]
    Kerberos {
        /// The hub.
        url: String,
        /// Why.
        #[source]
        source: KerberosError,
    },
    /// The hub's URL cannot be used.
    #[error("the hub URL `{url}` is not usable: {problem}")]
    Url {
        /// The URL as configured.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// What arrived at the hub is not what was sent.
    #[error(
        "uploading {path}: the hub holds other bytes at offset {offset} than were sent (adler32 {found}, expected {expected})"
    )]
    Upload {
        /// Directory and name on the hub.
        path: String,
        /// Where in the file.
        offset: u64,
        /// Checksum of what was sent.
        expected: String,
        /// Checksum the hub reports.
        found: String,
    },
}

fn excerpt(body: &str) -> String {
    if body.is_empty() { String::new() } else { format!(": {body}") }
}

impl HubError {
    /// The hub's fault code, when the hub answered with one that Koji defines.
    pub fn fault_code(&self) -> Option<FaultCode> {
        match self {
            HubError::Fault(fault) => fault.fault_code(),
            _ => None,
        }
    }

    /// Whether the same request may be sent again at once: nothing says that it failed for good.
    pub(crate) fn is_resendable(&self) -> bool {
        match self {
            HubError::Transport { .. } => true,
            HubError::Status { status, .. } => *status >= 500 || matches!(status, 408 | 425 | 429),
            _ => false,
        }
    }
}

impl Diagnose for HubError {
    fn blame(&self) -> Blame {
        match self {
            HubError::Fault(fault) => fault.blame(),
            HubError::Decode { .. } | HubError::Answer { .. } | HubError::AnswerLost { .. } | HubError::Upload { .. } => {
                Blame::Hub
            }
            HubError::Transport { .. }
            | HubError::Status { .. }
            | HubError::Tls { .. }
            | HubError::Io { .. }
            | HubError::Credentials { .. }
            | HubError::Kerberos { .. }
            | HubError::Url { .. } => Blame::Site,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            HubError::Fault(fault) => fault.kind(),
            HubError::AnswerLost { .. } => "hub-answer-lost",
            HubError::Transport { .. } => "hub-unreachable",
            HubError::Status { .. } => "hub-http-status",
            HubError::Tls { .. } => "hub-tls",
            HubError::Decode { .. } => "hub-answer-unreadable",
            HubError::Answer { .. } => "hub-answer-unexpected",
            HubError::Io { .. } => "hub-local-file",
            HubError::Credentials { .. } => "hub-credentials",
            HubError::Kerberos { .. } => "hub-kerberos",
            HubError::Url { .. } => "hub-url",
            HubError::Upload { .. } => "hub-upload-corrupt",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            HubError::Fault(fault) => fault.hint(),
            HubError::Tls { .. } => Some(
                "check that the configured CA signed the hub's certificate and that the client certificate is still valid"
                    .to_owned(),
            ),
            HubError::Kerberos { source, .. } => Some(source.hint()),
            HubError::Status { status: 401, .. } => Some(
                "the hub's httpd refused the login: it wants a Kerberos ticket, or did not accept the one it got; its error log says why"
                    .to_owned(),
            ),
            HubError::Status { status: 300..=399, .. } => {
                Some("redirections are not followed; configure the hub's final URL".to_owned())
            }
            HubError::Status { status: 403, method, .. } if method == "sslLogin" => Some(
                "a hub that asks for the client certificate at /ssllogin alone must offer TLS 1.2; with TLS 1.3 only, it has to ask for it on the whole virtual host".to_owned(),
            ),
            HubError::Status { status: 400, .. } => {
                Some("the hub could not read the request; it may be longer than its MaxRequestLength".to_owned())
            }
            _ => None,
        }
    }

    fn is_transient(&self) -> bool {
        match self {
            HubError::Fault(fault) => fault.is_transient(),
            HubError::Upload { .. } => true,
            other => other.is_resendable(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_s_exception_is_taken_out_of_the_traceback() {
        let fault = |code: i64, message: &str| Fault { code, message: message.into(), method: "CGImport".into() };
        let message = "Error running preImport callback from _koji_plugin__containerbuild:\nTraceback (most recent call last):\n  \
                       File \"/usr/lib/python3/koji/plugin.py\", line 223, in run_callbacks\n    func(cbtype, *cb_args)\n  File \
                       \"containerbuild.py\", line 112, in check_container_import\n    extension.check_import(claim)\n    \
                       ~~~~^^^\nkoji.ParameterError: The import of web-1-1 is not allowed: a: b. Do this.\n";
        let found = fault(1017, message);
        let refusal = found.callback_refusal().expect("a refusal");
        assert_eq!((refusal.callback, refusal.plugin), ("preImport", "_koji_plugin__containerbuild"));
        assert_eq!(refusal.exception, "koji.ParameterError");
        assert_eq!(refusal.text, "The import of web-1-1 is not allowed: a: b. Do this.");
        // one exception while another one was handled: the last one got out
        let chained = format!(
            "{message}\nDuring handling of the above exception, another exception occurred:\n\nTraceback \
                               (most recent call last):\n  File \"x\", line 1\nValueError: first\nsecond line\n"
        );
        let chained = fault(1017, &chained);
        let last = chained.callback_refusal().expect("a refusal");
        assert_eq!((last.exception, last.text), ("ValueError", "first\nsecond line"));
        assert_eq!(fault(1000, message).callback_refusal(), None);
        assert_eq!(fault(1017, "Error running preImport callback").callback_refusal(), None);
    }
}
