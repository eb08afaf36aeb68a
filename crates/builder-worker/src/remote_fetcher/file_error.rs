//! What an `ADD https://…` says when the file cannot be had. The instruction names the URL itself.

use build_model::{Blame, Diagnose};

use crate::download::{DownloadError, DownloadProblem, MAX_REDIRECTS};

/// A file cannot be had. The Dockerfile's URL may be wrong: then it is the packager's move, not the site's.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct AddFileError(DownloadProblem);

impl From<DownloadError> for AddFileError {
    fn from(error: DownloadError) -> Self {
        Self(error.into_problem())
    }
}

impl Diagnose for AddFileError {
    fn blame(&self) -> Blame {
        match &self.0 {
            DownloadProblem::Url(_) | DownloadProblem::TooLarge { .. } => Blame::Packager,
            DownloadProblem::Status { status, .. } if status.is_client_error() && !self.is_transient() => Blame::Packager,
            DownloadProblem::Transport(error) if error.is_redirect() => Blame::Packager,
            _ => Blame::Site,
        }
    }
    fn kind(&self) -> &'static str {
        match &self.0 {
            DownloadProblem::Url(_) => "add-source",
            DownloadProblem::Transport(_) => "add-unreachable",
            DownloadProblem::Status { .. } => "add-status",
            DownloadProblem::TooLarge { .. } => "add-too-large",
            DownloadProblem::Write { .. } => "add-write",
        }
    }
    fn hint(&self) -> Option<String> {
        match &self.0 {
            DownloadProblem::Transport(error) if error.is_redirect() => {
                Some(format!("more than {MAX_REDIRECTS} redirections are not followed: name the place they lead to"))
            }
            DownloadProblem::Status { status, .. } if matches!(status.as_u16(), 401 | 403) => {
                Some("`--secret id=HTTP_AUTH_TOKEN_HOST,src=FILE` gives ADD a token to show to HOST".to_owned())
            }
            _ => None,
        }
    }
    fn is_transient(&self) -> bool {
        self.0.is_transient()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::download::Downloads;
    use crate::download::tests::server;

    async fn refused(url: &str) -> AddFileError {
        let dir = tempfile::tempdir().expect("a directory");
        let downloads = Downloads::new(None).expect("a client");
        downloads.fetch(url, &dir.path().join("file"), 4).await.expect_err("refused").into()
    }

    async fn answered(answers: Vec<&'static str>) -> AddFileError {
        let (url, thread) = server(answers);
        let error = refused(&url).await;
        thread.join().expect("the server ended");
        error
    }

    #[tokio::test]
    async fn an_error_says_whose_move_it_is() {
        let told = |error: &AddFileError| (error.blame(), error.kind(), error.hint().unwrap_or_default());
        let nothing = String::new();
        let absent = answered(vec!["HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"]).await;
        assert_eq!(told(&absent), (Blame::Packager, "add-status", nothing.clone()), "{absent}");
        let forbidden = answered(vec!["HTTP/1.1 403 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"]).await;
        assert!(told(&forbidden).2.contains("HTTP_AUTH_TOKEN_HOST"), "{forbidden}");
        let large = answered(vec!["HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"]).await;
        assert_eq!(told(&large), (Blame::Packager, "add-too-large", nothing.clone()), "{large}");
        let moved = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\nLocation: /x\r\n\r\n";
        let circle = answered(vec![moved; MAX_REDIRECTS + 1]).await;
        assert_eq!((circle.blame(), circle.kind()), (Blame::Packager, "add-unreachable"), "{circle}");
        assert!(told(&circle).2.contains("redirections"));
        let status = reqwest::StatusCode::INTERNAL_SERVER_ERROR;
        let broken = AddFileError(DownloadProblem::Status { status, redirected: None });
        assert_eq!((told(&broken), broken.is_transient()), ((Blame::Site, "add-status", nothing.clone()), true), "{broken}");
        let no_url = refused("http://").await;
        assert_eq!(told(&no_url), (Blame::Packager, "add-source", nothing), "{no_url}");
    }
}
