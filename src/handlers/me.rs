//! `GET /v1/me`

use serde::Serialize;

use super::UserCall;
use crate::auth::Claims;
use crate::error::Problem;
use crate::platform::Platform;
use crate::response::{Response, json};

/// The token's claims about the session.
pub(crate) async fn read<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Me<'a> {
        #[serde(flatten)]
        claims: &'a Claims,
        app_id: Option<&'a str>,
    }

    Ok(json(200, &Me { claims: call.session.claims(), app_id: call.app_id }))
}
