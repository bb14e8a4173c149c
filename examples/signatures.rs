//! Writes the vectors of signatures to stdout as JSON, for the tests that ask Web Crypto.

#![allow(clippy::allow_attributes, clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::io::{Write, stdout};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

#[path = "../tests/support/signatures.rs"]
mod signatures;

fn main() {
    let all: Vec<Value> = signatures::signatures()
        .into_iter()
        .map(|vector| {
            json!({
                "name": vector.name,
                "jwk": vector.jwk,
                "message": STANDARD.encode(vector.message),
                "signature": STANDARD.encode(vector.signature),
                "good": vector.good,
            })
        })
        .collect();
    serde_json::to_writer(stdout(), &all).unwrap();
    stdout().flush().unwrap();
}
