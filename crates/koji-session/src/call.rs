//! One call: numbered, sent, repeated under the same number, and renewed when the session has expired
//! (ClientSession._callMethod; the hub's half is kojihub/auth.py Session.__init__).
//!
//! A repeat carries the number of the first try. The hub stores the number together with the call's changes, so it
//! can tell "this was done, only the answer was lost" (RetryError) from "this never happened". Hubs 1.31 to 1.35 look
//! for the number in `Koji-Callnum` instead of `Koji-Session-Callnum`; both are sent, which gives the protection on all.

use std::sync::atomic::Ordering;

use build_model::{Diagnose as _, FaultCode};

use crate::decode::{DecodeLimits, Document, decode};
use crate::http::{Answer, Post, blocking};
use crate::{CodecError, Fault, HubError, Session, Value, encode_call, with_kwargs};

/// Answers longer than this are decoded on a thread of their own.
const LONG_ANSWER: usize = 512 << 10;

/// Where a document goes.
#[derive(Clone, Copy)]
pub(crate) enum Route<'a> {
    Call,
    PasswordLogin,
    /// `<hub>/ssllogin`: by certificate or Kerberos ticket.
    SslLogin,
    /// A raw upload; the block is sent in place of the document.
    Upload {
        query: &'a [(&'a str, String)],
        block: &'a [u8],
    },
}

/// A value, and whether it took more than one try to get it.
pub(crate) struct Delivered {
    pub value: Value,
    pub repeated: bool,
}

impl Session {
    /// Calls a method.
    ///
    /// # Errors
    /// [`HubError::Fault`] when the hub refuses; [`HubError::AnswerLost`] when it did what was asked but the answer is
    /// gone; transport, TLS and status errors when the retry policy is used up.
    pub async fn call(&self, method: &str, params: Vec<Value>) -> Result<Value, HubError> {
        self.in_turn(method, &encode_call(method, &params), Route::Call).await.map(|d| d.value)
    }

    /// Calls a method with keyword arguments.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn call_kw(&self, method: &str, params: Vec<Value>, kwargs: Vec<(&str, Value)>) -> Result<Value, HubError> {
        self.call(method, with_kwargs(params, kwargs)).await
    }

    /// Calls a method whose answer says nothing: a lost answer is then as good as an answer.
    pub(crate) async fn call_unit(&self, method: &str, params: Vec<Value>, kwargs: Vec<(&str, Value)>) -> Result<(), HubError> {
        match self.call_kw(method, params, kwargs).await {
            Ok(_) | Err(HubError::AnswerLost { .. }) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Waits for the session's other calls, sends, and renews the session once when it has expired.
    pub(crate) async fn in_turn(&self, method: &str, document: &str, route: Route<'_>) -> Result<Delivered, HubError> {
        let _turn = self.inner.turn.lock().await;
        match self.deliver(method, document, route).await {
            Err(e) if e.fault_code() == Some(FaultCode::AuthExpired) && self.is_renewable() => {
                self.renew().await?;
                self.deliver(method, document, route).await
            }
            other => other,
        }
    }

    /// Sends one numbered call until it is answered or the retry policy is used up. The caller holds the turn.
    pub(crate) async fn deliver(&self, method: &str, document: &str, route: Route<'_>) -> Result<Delivered, HubError> {
        let policy = self.inner.config.retry;
        let (headers, callnum) = self.number_call();
        let mut failures = 0;
        let mut repeated = false;
        loop {
            self.inner.calls.fetch_add(1, Ordering::Relaxed);
            let outcome = match self.send(method, document, route, &headers).await {
                Ok(answer) => read_answer(method, answer).await,
                Err(e) => Err(e),
            };
            let error = match outcome {
                Ok(value) => return Ok(Delivered { value, repeated }),
                Err(e) => e,
            };
            let pause = match error.fault_code() {
                Some(FaultCode::RetryError) if repeated => {
                    let session_id = self.id().unwrap_or_default();
                    return Err(HubError::AnswerLost { method: method.to_owned(), callnum, session_id });
                }
                Some(FaultCode::ServerOffline) => {
                    failures = 0;
                    policy.offline_interval
                }
                _ if error.is_resendable() => {
                    failures += 1;
                    if failures >= policy.attempts {
                        return Err(error);
                    }
                    if failures == 1 { std::time::Duration::ZERO } else { policy.interval }
                }
                _ => return Err(error),
            };
            tracing::warn!(
                method,
                callnum,
                failures,
                pause_seconds = pause.as_secs_f64(),
                error.kind = error.kind(),
                error = &error as &dyn std::error::Error,
                "the hub did not answer; the call is repeated"
            );
            repeated = true;
            tokio::time::sleep(pause).await;
        }
    }

    /// The session headers of the next call, and its number.
    fn number_call(&self) -> (Vec<(&'static str, String)>, u64) {
        let mut state = self.state();
        let callnum = state.next_callnum;
        let Some(keys) = state.keys.clone() else { return (Vec::new(), callnum) };
        state.next_callnum += 1;
        let headers = vec![
            ("Koji-Session-Id", keys.id.to_string()),
            ("Koji-Session-Key", keys.key),
            ("Koji-Session-Callnum", callnum.to_string()),
            ("Koji-Callnum", callnum.to_string()),
        ];
        (headers, callnum)
    }

    async fn send(
        &self,
        method: &str,
        document: &str,
        route: Route<'_>,
        headers: &[(&'static str, String)],
    ) -> Result<Answer, HubError> {
        let http = &self.inner.http;
        let retry = &self.inner.config.retry;
        let mut post = Post { method, content_type: "text/xml", headers, body: document.as_bytes(), timeout: retry.call_timeout };
        let answer = match route {
            Route::Call => http.post(&http.url, &post).await?,
            Route::PasswordLogin => {
                post.timeout = retry.login_timeout;
                http.post(&http.url, &post).await?
            }
            Route::SslLogin => {
                post.timeout = retry.login_timeout;
                http.post_login(&post, &self.inner.config.credentials).await?
            }
            Route::Upload { query, block } => {
                post.content_type = "application/octet-stream";
                post.body = block;
                let mut url = http.url.clone();
                url.query_pairs_mut().extend_pairs(query);
                http.post(&url, &post).await?
            }
        };
        if answer.hub_version.is_some() {
            self.state().hub_version.clone_from(&answer.hub_version);
        }
        Ok(answer)
    }
}

/// Decodes an answer; a fault becomes an error.
async fn read_answer(method: &str, answer: Answer) -> Result<Value, HubError> {
    let long = answer.body.len() > LONG_ANSWER;
    let read = move || decode(&answer.body, DecodeLimits::default());
    let document = if long { blocking(read).await } else { read() };
    match document {
        Ok(Document::Response(Ok(value))) => Ok(value),
        Ok(Document::Response(Err(fault))) => {
            Err(HubError::Fault(Fault { code: fault.code, message: fault.message, method: method.to_owned() }))
        }
        Ok(Document::Call(_)) => {
            let source = CodecError::Structure { offset: 0, problem: "a method call in place of an answer".to_owned() };
            Err(HubError::Decode { method: method.to_owned(), source })
        }
        Err(source) => Err(HubError::Decode { method: method.to_owned(), source }),
    }
}
