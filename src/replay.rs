//! Replay: a signed write is good once.
//!
//! Promise: an [`Admitted`], without which the database can't be opened, is of a request whose nonce
//! was used up here and now, or that uses up none because it changes nothing or because its app is not
//! enforced. It refuses a second use, and everything while the nonce store can't be asked.

use crate::guard::GuardedRequest;
use crate::problem::{Code, Problem};
use crate::seam::{Edge, Millis, Verdict};

/// Proof that the nonce, if there was one to claim, is claimed. It stands whatever comes of the
/// request.
#[derive(Debug)]
pub(crate) struct Admitted(());

/// 409 for a nonce that was used before, 503 if the store gives no answer.
pub(crate) async fn claim(
    request: &GuardedRequest,
    timeout: Millis,
    edge: &impl Edge,
) -> Result<Admitted, Problem> {
    let Some(claim) = request.claim() else {
        return Ok(Admitted(()));
    };
    let deadline = edge.now().saturating_add(timeout);
    match edge.claim(claim, deadline).await {
        Ok(Verdict::Granted) => Ok(Admitted(())),
        Ok(Verdict::Refused) => Err(Problem::new(
            Code::RequestReplayed,
            "The nonce of this request was used before. What became of that request is not known \
             here; to try again, sign again.",
        )),
        Err(_) => Err(Problem::dependency("the nonce store gave no answer", 5)),
    }
}
