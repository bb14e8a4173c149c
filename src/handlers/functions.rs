//! `POST /v1/functions/{name}`: a database function that airlock.toml declares.

use serde::Serialize;
use serde_json::value::RawValue;

use super::UserCall;
use crate::error::{Code, Problem};
use crate::platform::Platform;
use crate::postgrest::Function;
use crate::resources::Draft;
use crate::response::{Response, document, empty};

const CALL: Function = Function::new("airlock_call");

/// The draft is part of it byte for byte.
#[derive(Serialize)]
struct Arguments<'a> {
    function: &'a str,
    arguments: &'a RawValue,
}

/// Runs it with the user's rights and answers what it returns.
pub(crate) async fn call<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    let function = call.path.function.ok_or(Code::Internal.because("the route is not one of a function"))?;
    let draft = Draft::whole(&function.arguments, call.input.body)?;
    let arguments =
        serde_json::from_str(draft.json()).map_err(|_| Code::Internal.because("a draft that is not JSON"))?;
    let arguments = Arguments { function: &function.name, arguments };
    let result = call.database.write(CALL, &arguments, None).await?.result();
    Ok(result.map_or_else(|| empty(204), |json| document(200, "application/json", json.get().as_bytes().to_vec())))
}
