//! Airlock: an edge API between a React Native app and Supabase.
//!
//! Two doors, then the vault. A request walks through the modules in this order:
//!
//! 1. [`edge`]: the platform hands over a request; the only place that names `worker`
//! 2. [`gateway`]: the whole path on one screen
//! 3. [`route`]: what is asked for
//! 4. [`limit`]: how often
//! 5. [`guard`]: first door, which app: `GuardedRequest`
//! 6. [`token`]: second door, which user: `Session`
//! 7. [`command`]: validation, with [`query`], [`note`], [`org`] and [`precondition`]: `Command`
//! 8. [`replay`]: once: `Admitted`
//! 9. [`notes`], [`orgs`]: what a command does
//! 10. [`store`]: as PostgREST requests, with the user's own token, and a [`proof`] if there is to be one
//! 11. [`reply`], or [`problem`]: what goes back
//!
//! Beside the path: [`config`] (read once), [`seam`] (what the platform does for us), [`wire`]
//! (values as they are spelled), [`json`] (strict), [`cors`], [`openapi`]. Apart from it, by the clock:
//! [`job`].
//!
//! Postgres Row Level Security is the boundary. Everything here raises the price of getting to it,
//! and none of it is trusted to be the last line.

mod command;
mod config;
mod cors;
mod edge;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod gateway;
mod guard;
pub mod job;
mod json;
mod limit;
mod note;
mod notes;
pub mod openapi;
mod org;
mod orgs;
mod precondition;
mod problem;
mod proof;
mod query;
mod replay;
mod reply;
mod route;
pub mod seam;
mod store;
mod token;
mod wire;

pub use config::Misconfigured;
pub use guard::{Canonical, TokenDigest};
pub use problem::{Code, Row};
pub use reply::Response;
pub use token::Rejected;
#[cfg(not(target_arch = "wasm32"))]
pub use token::{verify_jws, verify_signature};
