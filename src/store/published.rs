//! The one statement for anybody.
//!
//! Promise: it goes without a token, so the database's policy for `anon` decides, and it is of a request that
//! came through the first door. It refuses to be asked for anything but one note.

use super::shape::Shape;
use super::statement::Values;
use super::{Database, rows};
use crate::guard::GuardedRequest;
use crate::note::NoteId;
use crate::problem::Problem;
use crate::seam::Edge;

impl Database {
    /// The row of a published note, in an array, or an empty one.
    pub(crate) async fn published(
        &self,
        _: &GuardedRequest,
        id: NoteId,
        edge: &impl Edge,
    ) -> Result<Vec<u8>, Problem> {
        let values = Values {
            id: Some(id.uuid()),
            ..Values::default()
        };
        let deadline = edge.now().saturating_add(self.timeout);
        rows(
            self.send(Shape::Published, &values, None, deadline, edge)
                .await?,
        )
    }
}
