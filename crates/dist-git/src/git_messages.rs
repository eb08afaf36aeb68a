//! What git's complaints mean. Git exits with 128 whatever happened, so its text is all there is; it runs with
//! `LC_ALL=C`, which keeps the text in English (seen with git 2.47). The only file that looks at it.

/// What a failed git command complained about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Complaint {
    /// The server does not give out this commit (alone), or has no such ref.
    NoSuchObject,
    /// No such repository, or not without a password.
    NoSuchRepository,
    /// The network or the server failed.
    Network,
    /// Anything else.
    Other,
}

/// Whether git, or what it started, was ended because a file grew beyond the limit (SIGXFSZ is 25 on Linux), or says so.
pub(crate) fn ended_at_file_limit(output: &[String]) -> bool {
    output.iter().any(|line| line.contains("signal 25") || line.to_ascii_lowercase().contains("file too large"))
}

/// Searched in this order: a server that refuses an object often hangs up as well, and git then reports both.
const PHRASES: [(Complaint, &[&str]); 3] = [
    (
        Complaint::NoSuchObject,
        &[
            "not our ref",
            "unadvertised object",
            "couldn't find remote ref",
            "could not find remote branch",
            "bad object",
            "does not support shallow",
        ],
    ),
    (
        Complaint::NoSuchRepository,
        &[
            "repository not found",
            "not found: did you run git update-server-info",
            "does not appear to be a git repository",
            "does not exist",
            "access denied or repository not exported",
            "repository not exported",
            "could not read username",
            "could not read password",
            "authentication failed",
            "permission denied",
            "returned error: 401",
            "returned error: 403",
            "returned error: 404",
            "' not found",
            "no such file or directory",
        ],
    ),
    (
        Complaint::Network,
        &[
            "could not resolve host",
            "unable to look up",
            "name or service not known",
            "temporary failure in name resolution",
            "connection refused",
            "connection reset",
            "connection timed out",
            "connection closed",
            "operation timed out",
            "failed to connect",
            "couldn't connect to server",
            "could not connect to server",
            "unable to connect to",
            "no route to host",
            "network is unreachable",
            "hung up unexpectedly",
            "early eof",
            "unexpected disconnect",
            "empty reply from server",
            "rpc failed",
            "returned error: 5",
            "returned error: 429",
            "operation too slow",
            "could not read from remote repository",
        ],
    ),
];

/// Reads git's standard error.
pub(crate) fn classify<S: AsRef<str>>(lines: &[S]) -> Complaint {
    let text: Vec<String> = lines.iter().map(|line| line.as_ref().to_ascii_lowercase()).collect();
    let said = |phrase: &&str| text.iter().any(|line| line.contains(*phrase));
    PHRASES.iter().find(|(_, phrases)| phrases.iter().any(said)).map_or(Complaint::Other, |(complaint, _)| *complaint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gits_complaints_are_understood() {
        use Complaint::{Network, NoSuchObject, NoSuchRepository, Other};
        for (expected, lines) in [
            (
                NoSuchObject,
                vec!["fatal: remote error: upload-pack: not our ref 0123", "fatal: the remote end hung up unexpectedly"],
            ),
            (NoSuchObject, vec!["error: Server does not allow request for unadvertised object 0123"]),
            (NoSuchObject, vec!["fatal: couldn't find remote ref refs/heads/nope"]),
            (NoSuchRepository, vec!["fatal: remote error: access denied or repository not exported: /nope"]),
            (NoSuchRepository, vec!["remote: Not Found", "fatal: repository 'https://h/nope/' not found"]),
            (NoSuchRepository, vec!["fatal: could not read Username for 'https://h': terminal prompts disabled"]),
            (
                NoSuchRepository,
                vec!["fatal: '/nope' does not appear to be a git repository", "fatal: Could not read from remote repository."],
            ),
            (Network, vec!["fatal: unable to access 'https://h/': Could not resolve host: h"]),
            (Network, vec!["fatal: unable to connect to 127.0.0.1:", "127.0.0.1[0: 127.0.0.1]: errno=Connection refused"]),
            (Network, vec!["ssh: connect to host h port 22: No route to host", "fatal: Could not read from remote repository."]),
            (Network, vec!["fatal: unable to access 'https://h/': The requested URL returned error: 502"]),
            (Other, vec!["fatal: unable to access 'https://h/': SSL certificate problem: self-signed certificate"]),
            (Other, vec!["error: unable to write file x: No space left on device"]),
            (Other, vec![]),
        ] {
            assert_eq!(classify(&lines), expected, "{lines:?}");
        }
    }
}
