//! Values that look the same everywhere.

pub(crate) mod datetime;
mod id;
mod object;
mod version;

pub(crate) use id::{is_number, parse_uuid, random_uuid};
pub(crate) use object::{Object, spelled};
pub(crate) use version::Version;
