//! A session on paper: what a child process needs to go on with it. Made by [`crate::Session::export`].

/// Identity and position of a session. Holds its key: keep it from logs and from other users.
///
/// One process at a time may use a session, because its calls are numbered: whoever exports it stops using it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SessionTicket {
    /// The hub the session belongs to.
    pub url: String,
    pub(crate) keys: Option<SessionKeys>,
    /// The number of the next call.
    pub next_callnum: u64,
    /// Whether the session was made exclusive.
    pub exclusive: bool,
}

impl SessionTicket {
    /// The session's number at the hub; `None` for an anonymous session.
    pub fn session_id(&self) -> Option<i64> {
        self.keys.as_ref().map(|keys| keys.id)
    }
}

/// What the hub gave at login.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct SessionKeys {
    pub id: i64,
    pub key: String,
}

impl std::fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionKeys").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_travels_but_is_never_shown() {
        let keys = Some(SessionKeys { id: 7, key: "5-topsecret".to_owned() });
        let ticket = SessionTicket { url: "https://hub/kojihub".to_owned(), keys, next_callnum: 9, exclusive: true };
        let shown = format!("{ticket:?} {ticket:#?}");
        assert!(shown.contains('7') && !shown.contains("topsecret"), "{shown}");
        let text = serde_json::to_string(&ticket).expect("JSON");
        assert_eq!(serde_json::from_str::<SessionTicket>(&text).expect("a ticket"), ticket);
    }
}
