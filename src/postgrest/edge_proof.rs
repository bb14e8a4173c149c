//! The edge proof: shows Postgres that a request comes from this Worker.
//!
//! A proof is good for its user, method and path, for 60 seconds. It does not cover query and body:
//! no policy can see them.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use crate::platform::{Millis, UpstreamRequest};

/// The prefix that Supabase's gateway removes from a path before PostgREST sees it.
const BASE: &str = "/rest/v1";

/// Makes proofs. Part of the configuration in edge-only mode.
pub(crate) struct Signer {
    mac: Hmac<Sha256>,
}

impl Signer {
    /// `secret` is the text as it stands in `airlock.edge_settings`. The error never quotes it.
    pub(crate) fn new(secret: &str) -> Result<Self, &'static str> {
        if secret.len() < 32 || !secret.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("must be 32 or more printable ASCII characters, none of them a space");
        }
        Hmac::new_from_slice(secret.as_bytes()).map(|mac| Self { mac }).map_err(|_| "is a key that HMAC cannot take")
    }

    /// Adds the header `X-Edge-Proof`. `user` is the user of the request's token, if it has one.
    pub(crate) fn sign(&self, request: &mut UpstreamRequest, user: Option<Uuid>, now: Millis) {
        let proof = self.proof(
            now.div_euclid(1000),
            &user.map(|id| id.to_string()).unwrap_or_default(),
            request.method(),
            path(request.url()),
        );
        for line in ["x-edge-proof", &proof] {
            request.head.push_str(line);
            request.head.push('\n');
        }
    }

    fn proof(&self, seconds: i64, sub: &str, method: &str, path: &str) -> String {
        let text = format!("v1\n{seconds}\n{sub}\n{method}\n{path}");
        let mac = self.mac.clone().chain_update(text).finalize().into_bytes();
        format!("v1.{seconds}.{}", base16ct::lower::encode_string(&mac))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(redacted)")
    }
}

/// The path as PostgREST has it in `request.path`. A URL of another kind has none, which no policy accepts.
fn path(url: &str) -> &str {
    let target = url.split_once(BASE).map_or("", |(_, target)| target);
    target.split('?').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    /// As other implementations have them.
    #[derive(Deserialize)]
    struct Vector {
        secret: String,
        seconds: i64,
        sub: String,
        method: String,
        path: String,
        header: String,
    }

    fn vectors() -> Vec<Vector> {
        serde_json::from_str(include_str!("../../tests/vectors/edge-proof.json")).unwrap()
    }

    #[test]
    fn proofs_are_those_of_the_vectors() {
        assert!(!vectors().is_empty());
        for vector in vectors() {
            let mut request = UpstreamRequest {
                head: format!(
                    "{}\nhttps://abc.supabase.co/rest/v1{}?select=id\naccept\n*/*\n",
                    vector.method, vector.path
                ),
                body: None,
            };
            let before = request.head.clone();
            let now = vector.seconds.saturating_mul(1000).saturating_add(999);
            Signer::new(&vector.secret).unwrap().sign(&mut request, Uuid::try_parse(&vector.sub).ok(), now);
            assert_eq!(request.head, format!("{before}x-edge-proof\n{}\n", vector.header));
        }
    }

    #[test]
    fn each_part_makes_another_proof() {
        let signer = Signer::new(&"k".repeat(32)).unwrap();
        let proofs = [
            signer.proof(1, "a", "GET", "/notes"),
            signer.proof(2, "a", "GET", "/notes"),
            signer.proof(1, "", "GET", "/notes"),
            signer.proof(1, "a", "POST", "/notes"),
            signer.proof(1, "a", "GET", "/rpc/notes"),
            Signer::new(&"l".repeat(32)).unwrap().proof(1, "a", "GET", "/notes"),
        ];
        for (at, one) in proofs.iter().enumerate() {
            let same = proofs.iter().position(|other| other == one);
            assert_eq!(same, Some(at));
        }
    }

    #[test]
    fn path_is_without_the_prefix_of_the_gateway() {
        for (url, expected) in [
            ("https://abc.supabase.co/rest/v1/notes?id=eq.1", "/notes"),
            ("http://127.0.0.1:1/rest/v1/rpc/f?", "/rpc/f"),
            ("http://127.0.0.1:1/rest/v1/notes", "/notes"),
            ("https://abc.supabase.co/auth/v1/user", ""),
        ] {
            assert_eq!(path(url), expected, "{url}");
        }
    }

    #[test]
    fn secret_is_long_printable_and_not_in_debug() {
        for bad in [
            "",
            &"k".repeat(31),
            &format!("{}\n", "k".repeat(32)),
            &format!("{} {}", "k".repeat(20), "k".repeat(20)),
            &"é".repeat(32),
        ] {
            assert!(Signer::new(bad).is_err(), "{bad:?}");
        }
        let signer = Signer::new(&"k".repeat(32)).unwrap();
        assert_eq!(format!("{signer:?}"), "Signer(redacted)");
    }
}
