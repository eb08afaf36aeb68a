//! Many calls in one request (`multiCall`): one transaction at the hub, a savepoint per call.

use crate::{Fault, HubError, Session, Value};

impl Session {
    /// Sends all calls at once and gives their outcomes in order. A failing call does not undo the others.
    /// Batches of 100 to 1000 are good: the hub holds one transaction open for the whole of it.
    ///
    /// # Errors
    /// When the request as a whole fails; faults of single calls are inside the list.
    pub async fn multicall(&self, calls: Vec<(String, Vec<Value>)>) -> Result<Vec<Result<Value, Fault>>, HubError> {
        const METHOD: &str = "multiCall";
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let mut methods = Vec::with_capacity(calls.len());
        let mut list = Vec::with_capacity(calls.len());
        for (method, params) in calls {
            list.push(Value::from_pairs([("methodName", Value::String(method.clone())), ("params", Value::Array(params))]));
            methods.push(method);
        }
        let wrong = |problem: String| HubError::Answer { method: METHOD.to_owned(), problem };
        let Value::Array(answers) = self.call(METHOD, vec![Value::Array(list)]).await? else {
            return Err(wrong("it is no list".to_owned()));
        };
        if answers.len() != methods.len() {
            return Err(wrong(format!("{} outcomes for {} calls", answers.len(), methods.len())));
        }
        methods
            .into_iter()
            .zip(answers)
            .map(|(method, answer)| match answer {
                Value::Array(one) => {
                    let [value] = <[Value; 1]>::try_from(one).map_err(|v| wrong(format!("{method}: {} values", v.len())))?;
                    Ok(Ok(value))
                }
                other => {
                    let code = other.get("faultCode").and_then(Value::as_i64);
                    let message = other.get("faultString").and_then(Value::as_str);
                    match (code, message) {
                        (Some(code), Some(message)) => Ok(Err(Fault { code, message: message.to_owned(), method })),
                        _ => Err(wrong(format!("{method}: neither a value nor a fault"))),
                    }
                }
            })
            .collect()
    }
}
