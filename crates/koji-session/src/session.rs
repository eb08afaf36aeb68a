//! The session: login, exclusive and subsessions, renewal, hand-over to another process, logout
//! (koji/__init__.py ClientSession, kojihub/auth.py). How one call is sent and repeated is in `call.rs`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use build_model::FaultCode;

use crate::answer::Row;
use crate::call::Route;
use crate::http::HubHttp;
use crate::questions::Questions;
use crate::ticket::SessionKeys;
use crate::{Credentials, HubConfig, HubError, SessionTicket, Value, encode_call, with_kwargs};

/// A connection to the hub, usually logged in. Clones share one session.
///
/// The hub numbers the calls of a session and locks its row during each, so calls of one session run one after the
/// other here too. For work at the same time take a [`Session::subsession`]. A call that is dropped half-way leaves
/// the session usable.
#[derive(Clone)]
pub struct Session {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub config: HubConfig,
    pub http: Arc<HubHttp>,
    /// Held for the length of a call, repeats and renewal included.
    pub turn: tokio::sync::Mutex<()>,
    pub state: Mutex<State>,
    pub calls: AtomicU64,
    /// What is asked at the same time.
    pub questions: Questions,
}

#[derive(Default)]
pub(crate) struct State {
    pub keys: Option<SessionKeys>,
    pub next_callnum: u64,
    pub exclusive: bool,
    pub hub_version: Option<String>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("url", &self.inner.config.url).field("id", &self.id()).finish_non_exhaustive()
    }
}

impl Session {
    /// Logs in with the configured credentials; anonymous ones log in as nobody and call nothing.
    ///
    /// # Errors
    /// When a certificate, key or CA file cannot be used, the hub cannot be reached within the retry policy, or it
    /// refuses the login.
    pub async fn login(config: &HubConfig) -> Result<Self, HubError> {
        let session = Self::make(config.clone(), Arc::new(HubHttp::new(config)?), State::default());
        if !matches!(config.credentials, Credentials::Anonymous) {
            let (method, params, route) = session.login_call(None);
            let answer = session.deliver(method, &encode_call(method, &params), route).await?.value;
            session.accept_keys(method, &answer)?;
            if answer.get("header-auth").and_then(Value::as_bool) != Some(true) {
                return Err(HubError::Answer {
                    method: method.to_owned(),
                    problem: "the hub does not take sessions in headers; Koji 1.31 or newer is needed".to_owned(),
                });
            }
        }
        Ok(session)
    }

    /// A session for queries that need no login, whatever the configured credentials.
    ///
    /// # Errors
    /// When the configuration cannot be used. Calls nothing.
    pub async fn anonymous(config: &HubConfig) -> Result<Self, HubError> {
        let config = HubConfig { credentials: Credentials::Anonymous, ..config.clone() };
        let http = Arc::new(HubHttp::new(&config)?);
        Ok(Self::make(config, http, State::default()))
    }

    /// Goes on with a session that another process exported. Calls nothing.
    ///
    /// # Errors
    /// When the configuration cannot be used, or names another hub than the ticket.
    pub fn resume(config: &HubConfig, ticket: &SessionTicket) -> Result<Self, HubError> {
        if ticket.url != config.url {
            return Err(HubError::Url { url: config.url.clone(), problem: "the session belongs to another hub" });
        }
        let state = State {
            keys: ticket.keys.clone(),
            next_callnum: ticket.next_callnum,
            exclusive: ticket.exclusive,
            hub_version: None,
        };
        Ok(Self::make(config.clone(), Arc::new(HubHttp::new(config)?), state))
    }

    /// What another process needs to go on with this session. After that, this one must not call any more: the
    /// numbers of the two would collide. Give a child process a [`Session::subsession`].
    pub fn export(&self) -> SessionTicket {
        let state = self.state();
        SessionTicket {
            url: self.inner.config.url.clone(),
            keys: state.keys.clone(),
            next_callnum: state.next_callnum,
            exclusive: state.exclusive,
        }
    }

    /// Makes this the user's only session (`exclusiveSession`), as builder hosts must. With `force` an older
    /// exclusive session of the same user is closed.
    ///
    /// # Errors
    /// Fault [`FaultCode::AuthLockError`] when another one exists and `force` is off.
    pub async fn exclusive(&self, force: bool) -> Result<(), HubError> {
        self.call_unit("exclusiveSession", vec![], vec![("force", Value::Bool(force))]).await?;
        self.state().exclusive = true;
        Ok(())
    }

    /// A session below this one, with its own call numbers: for one task. Log it out when done.
    ///
    /// # Errors
    /// When the hub refuses or cannot be reached.
    pub async fn subsession(&self) -> Result<Self, HubError> {
        let answer = match self.call("subsession", vec![]).await {
            // its key went with the answer; another one costs nothing, the lost one ends with this session
            Err(HubError::AnswerLost { .. }) => self.call("subsession", vec![]).await?,
            other => other?,
        };
        let child = Self::make(self.inner.config.clone(), Arc::clone(&self.inner.http), State::default());
        child.accept_keys("subsession", &answer)?;
        child.state().hub_version = self.state().hub_version.clone();
        Ok(child)
    }

    /// Ends the session at the hub, subsessions included. Does nothing when there is none. Afterwards calls are anonymous.
    ///
    /// # Errors
    /// When the hub cannot be reached; the session is then still forgotten here and expires there.
    pub async fn logout(&self) -> Result<(), HubError> {
        if self.id().is_none() {
            return Ok(());
        }
        let document = encode_call("logout", &[]);
        let turn = self.inner.turn.lock().await;
        let outcome = self.deliver("logout", &document, Route::Call).await;
        self.state().keys = None;
        drop(turn);
        match outcome {
            Ok(_) | Err(HubError::AnswerLost { .. }) => Ok(()),
            // already gone at the hub: what was wanted
            Err(e) if matches!(e.fault_code(), Some(FaultCode::AuthExpired | FaultCode::AuthError)) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Ends a sub-session of this one whose process is gone (`logoutChild`): what it had on the way then comes to nothing.
    ///
    /// # Errors
    /// As [`Session::call`]. A session that has ended already is none.
    pub async fn logout_child(&self, child: i64) -> Result<(), HubError> {
        self.call_unit("logoutChild", vec![Value::Int(child)], vec![]).await
    }

    /// The session's number at the hub; `None` when not logged in.
    pub fn id(&self) -> Option<i64> {
        self.state().keys.as_ref().map(|keys| keys.id)
    }

    /// HTTP requests sent by this session (not its subsessions), repeats included.
    pub fn calls_made(&self) -> u64 {
        self.inner.calls.load(Ordering::Relaxed)
    }

    /// The hub's version, like `1.35.3`: from the last answer's header, else asked for.
    ///
    /// # Errors
    /// When the hub has to be asked (before 1.35) and cannot be, or does not know (before 1.23).
    pub async fn hub_version(&self) -> Result<String, HubError> {
        if let Some(known) = self.state().hub_version.clone() {
            return Ok(known);
        }
        let answer = self.call("getKojiVersion", vec![]).await?;
        let version = Row::new("getKojiVersion", &answer).text()?;
        self.state().hub_version = Some(version.clone());
        Ok(version)
    }

    /// When this session began at the hub, in seconds since 1970 (`getSessionInfo`); what `restartVerify` compares.
    ///
    /// # Errors
    /// When not logged in, or the hub cannot be asked.
    pub async fn started_at(&self) -> Result<f64, HubError> {
        let answer = self.call("getSessionInfo", vec![]).await?;
        Row::new("getSessionInfo", &answer).float("start_ts")
    }

    /// Gets a new key for the expired session. The old headers go along, and call numbers go on:
    /// the hub keeps the number of the last call, so starting again at zero would make every call a SequenceError.
    pub(crate) async fn renew(&self) -> Result<(), HubError> {
        let exclusive = self.state().exclusive;
        tracing::info!(session.id = self.id(), "the hub session has expired; renewing it");
        let (method, params, route) = self.login_call(Some(exclusive));
        let answer = self.deliver(method, &encode_call(method, &params), route).await?.value;
        self.accept_keys(method, &answer)
    }

    /// Whether an expired session can be renewed: whoever has logged in can, nobody cannot.
    pub(crate) fn is_renewable(&self) -> bool {
        self.id().is_some() && !matches!(self.inner.config.credentials, Credentials::Anonymous)
    }

    /// The call that logs in, or with `renew` (holding whether the session is exclusive) the one that renews.
    fn login_call(&self, renew: Option<bool>) -> (&'static str, Vec<Value>, Route<'static>) {
        let kwargs = match renew {
            Some(exclusive) => vec![("renew", Value::Bool(true)), ("exclusive", Value::Bool(exclusive))],
            None => vec![],
        };
        match &self.inner.config.credentials {
            Credentials::Password { user, password } => {
                ("login", with_kwargs(vec![user.as_str().into(), password.as_str().into()], kwargs), Route::PasswordLogin)
            }
            Credentials::Certificate { .. } | Credentials::Kerberos(_) | Credentials::Anonymous => {
                ("sslLogin", with_kwargs(vec![], kwargs), Route::SslLogin)
            }
        }
    }

    fn accept_keys(&self, method: &'static str, answer: &Value) -> Result<(), HubError> {
        let row = Row::new(method, answer);
        let keys = SessionKeys { id: row.int("session-id")?, key: row.string("session-key")? };
        self.state().keys = Some(keys);
        Ok(())
    }

    fn make(config: HubConfig, http: Arc<HubHttp>, state: State) -> Self {
        let inner = Inner {
            config,
            http,
            turn: tokio::sync::Mutex::new(()),
            state: Mutex::new(state),
            calls: AtomicU64::new(0),
            questions: Questions::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The state, for an instant. A panic elsewhere cannot leave it half-written, so poison is ignored.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
