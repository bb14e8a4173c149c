//! Values that look the same everywhere.

mod arguments;
pub(crate) mod datetime;
mod id;
mod version;

pub(crate) use arguments::Arguments;
pub(crate) use id::{is_number, parse_uuid, random_uuid};
pub(crate) use version::Version;
