//! Airlock: an edge API between a React Native app and Supabase.
//!
//! A request takes this path:
//!
//! 1. [`worker`]: Cloudflare hands over a request; the only place that names `worker`
//! 2. [`pipeline`]: the eleven steps of a request on one screen
//! 3. [`router`]: one table of routes
//! 4. [`limit`]: rate limits
//! 5. [`app_guard`]: the app signature proves which app asks: `GuardedRequest`
//! 6. [`auth`]: the user token proves which user asks: `Session`
//! 7. [`request`]: parameters, headers and body of the route
//! 8. [`handlers`]: validation by the declared [`resources`], and the work of a route
//! 9. [`postgrest`]: one call of a database function, with the user's own token
//! 10. [`response`], or [`error`]: the answer
//!
//! Beside the path: [`readiness`], [`config`] (read once), [`platform`] (the platform as the Worker
//! sees it), [`json`] (strict), [`log`], [`cors`], [`documents`], and [`jobs`], which a schedule
//! starts.
//!
//! Postgres Row Level Security is the boundary. The Worker makes attacks on it more expensive;
//! security never depends on the Worker alone.

mod app_guard;
mod auth;
mod config;
#[cfg(not(target_arch = "wasm32"))]
pub mod conformance;
mod cors;
mod documents;
mod error;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod handlers;
pub mod jobs;
mod json;
mod jwt;
mod limit;
mod log;
pub mod pipeline;
pub mod platform;
mod postgrest;
mod readiness;
mod request;
pub mod resources;
pub mod response;
mod router;
mod types;
mod worker;

pub use app_guard::Canonical;
pub use config::Misconfigured;
pub use error::{Code, Definition};
pub use jwt::TokenDigest;
