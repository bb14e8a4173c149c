//! What goes over the wire in the same form everywhere: ids, versions, times, pages, bodies.
//!
//! Promise: each value has one spelling, so that clients may compare texts and a signed path names one
//! thing. It refuses every other spelling.

pub(crate) mod body;
mod id;
pub(crate) mod page;
mod timestamp;
mod version;

pub(crate) use id::Id;
pub(crate) use timestamp::Timestamp;
pub(crate) use version::Version;
