//! The public document: the API's description.

use crate::error::Problem;
use crate::platform::{Millis, Platform, Unanswered};
use crate::response::{self, Response};

/// How long the platform may take for an asset.
const TIMEOUT: Millis = 5_000;

/// `GET /openapi.json`, which may be cached. `npm run build` makes it from airlock.toml, as a static
/// asset beside the script.
pub(crate) async fn openapi<P: Platform>(platform: &P) -> Result<Response, Problem> {
    let deadline = platform.now().saturating_add(TIMEOUT);
    let document = platform.asset("/openapi.json", deadline).await;
    let document = document.map_err(|Unanswered| Problem::dependency("the asset openapi.json is missing", 5))?;
    Ok(response::document(200, "application/json", document).with("cache-control", "public, max-age=300"))
}
