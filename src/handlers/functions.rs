//! `POST /v1/functions/{name}`: a database function that airlock.toml declares.

use super::UserCall;
use crate::error::{Code, Problem};
use crate::platform::Platform;
use crate::postgrest::Function;
use crate::resources::Draft;
use crate::response::{Response, document, empty};
use crate::types::Object;

const CALL: Function = Function::new("airlock_call");

/// Runs it with the user's rights and answers with its result.
pub(crate) async fn call<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    let function = call.path.function.ok_or(Code::Internal.because("the route is not one of a function"))?;
    let draft = Draft::whole(&function.arguments, call.input.body)?;
    let arguments = Object::new().text("function", &*function.name).json("arguments", draft.json());
    let result = call.database.write(CALL, arguments, None).await?.result();
    Ok(result.map_or_else(|| empty(204), |json| document(200, "application/json", json.into_bytes())))
}
