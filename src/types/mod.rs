//! Values that look the same everywhere.

pub(crate) mod datetime;
mod id;
mod version;

pub(crate) use id::{parse_uuid, random_uuid};
pub(crate) use version::Version;
