//! JWK Sets (RFC 7517): the public keys that may have signed the tokens of a source.
//!
//! Every key is public, strong enough, for signatures with exactly one algorithm, and has a `kid` of
//! its own. A malformed set and a set with a symmetric key are refused whole, since a project that publishes
//! one has published a signing secret. A single key that falls short is dropped.

use std::rc::Rc;

use serde_json::{Map, Value};

use super::Rejected;
use super::jws::{Alg, decode, encode};
use crate::json;

/// A project has two or three; more than this is not a key set of Supabase.
const KEYS_MAX: usize = 64;

/// RFC 7518 section 3.3 asks for at least 2048 bits; beyond 4096 a signature costs more than it is worth.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// The usable keys of a set.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeySet {
    keys: Vec<Rc<PublicKey>>,
}

/// One usable key.
#[derive(Debug)]
pub(crate) struct PublicKey {
    kid: Option<String>,
    alg: Alg,
    jwk: String,
}

impl KeySet {
    /// An empty set is a good one: a project that signs with the legacy secret has no public keys.
    /// A set that has keys but no usable one is refused.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Rejected> {
        let set = json::parse_object(text).ok_or(Rejected("key set is not a JSON object"))?;
        let Some(Value::Array(entries)) = set.get("keys") else {
            return Err(Rejected("key set without keys"));
        };
        Self::of(entries)
    }

    /// The usable keys among these.
    pub(crate) fn of(entries: &[Value]) -> Result<Self, Rejected> {
        let none = entries.is_empty();
        if entries.len() > KEYS_MAX {
            return Err(Rejected("key set with too many keys"));
        }
        let entries: Vec<&Map<String, Value>> = entries.iter().filter_map(Value::as_object).collect();
        if entries.iter().any(|jwk| text_of(jwk, "kty") == Some("oct")) {
            return Err(Rejected("key set with a symmetric key"));
        }
        let count = |kid: &str| {
            let same = entries.iter().filter(|jwk| text_of(jwk, "kid") == Some(kid));
            same.count()
        };
        let keys: Vec<Rc<PublicKey>> = entries
            .iter()
            .filter(|jwk| text_of(jwk, "kid").is_none_or(|kid| count(kid) == 1))
            .filter_map(|jwk| PublicKey::parse(jwk).map(Rc::new))
            .collect();
        if keys.is_empty() && !none {
            return Err(Rejected("key set without a usable key"));
        }
        Ok(Self { keys })
    }

    /// How many keys have a `kid`, by which tokens name theirs.
    pub(crate) fn named(&self) -> usize {
        self.keys.iter().filter(|key| key.kid.is_some()).count()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn first(&self) -> Option<&Rc<PublicKey>> {
        self.keys.first()
    }

    pub(crate) fn find(&self, kid: &str) -> Option<&Rc<PublicKey>> {
        self.keys.iter().find(|key| key.kid.as_deref() == Some(kid))
    }

    /// All keys of the set.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn keys(&self) -> &[Rc<PublicKey>] {
        &self.keys
    }

    #[cfg(any(fuzzing, test))]
    pub(super) fn jwks(&self) -> Vec<String> {
        self.keys.iter().map(|key| key.jwk.clone()).collect()
    }

    /// The key for tokens that name none: only if there is no choice. Tokens of Supabase name theirs.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn only(&self, alg: Alg) -> Option<&Rc<PublicKey>> {
        let mut fitting = self.keys.iter().filter(|key| key.alg == alg);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Some(key),
            _ => None,
        }
    }
}

impl PublicKey {
    /// The one algorithm that it is for.
    pub(crate) fn alg(&self) -> Alg {
        self.alg
    }

    /// The key as a JWK with only its required members, in the order of RFC 7638. Two keys are the
    /// same if these texts are.
    pub(crate) fn jwk(&self) -> &str {
        &self.jwk
    }

    fn parse(jwk: &Map<String, Value>) -> Option<Self> {
        let kid = match jwk.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return None,
        };
        let (alg, key) = match text_of(jwk, "kty")? {
            "EC" => (Alg::Es256, ec_key(jwk)?),
            "RSA" => (Alg::Rs256, rsa_key(jwk)?),
            _ => return None,
        };
        (is_for_signatures(jwk) && is_for(jwk, alg)).then_some(Self { kid, alg, jwk: key })
    }
}

/// `use` and `key_ops` (RFC 7517 sections 4.2 and 4.3): absent, or for verifying.
fn is_for_signatures(jwk: &Map<String, Value>) -> bool {
    let usage = match jwk.get("use") {
        None => true,
        Some(usage) => usage == "sig",
    };
    let operations = match jwk.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(|op| op == "verify"),
        Some(_) => false,
    };
    usage && operations
}

/// `alg` (section 4.4): absent, or the one that this key type is for here.
fn is_for(jwk: &Map<String, Value>, alg: Alg) -> bool {
    match jwk.get("alg") {
        None => true,
        Some(name) => name.as_str().and_then(Alg::parse) == Some(alg),
    }
}

/// P-256, coordinates of full length (RFC 7518 section 6.2.1.2), on the curve and not at infinity.
fn ec_key(jwk: &Map<String, Value>) -> Option<String> {
    if text_of(jwk, "crv")? != "P-256" {
        return None;
    }
    let (x, y) = (text_of(jwk, "x")?, text_of(jwk, "y")?);
    let mut point = vec![0x04];
    for coordinate in [x, y] {
        let bytes = decode(coordinate).ok()?;
        if bytes.len() != 32 {
            return None;
        }
        point.extend(bytes);
    }
    p256::PublicKey::from_sec1_bytes(&point).ok()?;
    Some(format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#))
}

/// An odd exponent of at least 3 and of 32 bits at most, and a modulus of [`RSA_BITS`].
fn rsa_key(jwk: &Map<String, Value>) -> Option<String> {
    let modulus = unsigned(text_of(jwk, "n")?)?;
    let exponent = unsigned(text_of(jwk, "e")?)?;
    let leading = usize::try_from(modulus.first()?.leading_zeros()).ok()?;
    let bits = modulus.len().checked_mul(8)?.checked_sub(leading)?;
    let small = exponent.len() <= 4 && exponent != [1];
    let odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
    let sound = RSA_BITS.contains(&bits) && odd(&modulus);
    (sound && small && odd(&exponent)).then(|| {
        let (e, n) = (encode(&exponent), encode(&modulus));
        format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)
    })
}

/// Base64urlUInt (RFC 7518 section 2), forgiving the leading zero octets that some libraries write.
fn unsigned(text: &str) -> Option<Vec<u8>> {
    let bytes = decode(text).ok()?;
    let first = bytes.iter().position(|byte| *byte != 0)?;
    bytes.get(first..).map(<[u8]>::to_vec)
}

fn text_of<'a>(jwk: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    jwk.get(name).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(modulus: &[u8]) -> Option<String> {
        let jwk = serde_json::json!({"kty": "RSA", "e": "AQAB", "n": encode(modulus)});
        rsa_key(jwk.as_object().unwrap())
    }

    #[test]
    fn modulus_has_2048_to_4096_bits() {
        for (bits, good) in [(2047, false), (2048, true), (4096, true), (4097, false)] {
            let mut modulus = vec![0; usize::div_ceil(bits, 8)];
            modulus[0] = 1 << ((bits - 1) % 8);
            *modulus.last_mut().unwrap() |= 1;
            assert_eq!(key(&modulus).is_some(), good, "{bits}");
            // Leading zero octets do not count.
            assert_eq!(key(&[&[0, 0], &modulus[..]].concat()).is_some(), good);
        }
    }

    #[test]
    fn exponent_is_odd_above_one_and_at_most_four_bytes() {
        let key = |exponent: &[u8], last: u8| {
            let mut modulus = vec![0xc5; 256];
            modulus[255] = last;
            let (e, n) = (encode(exponent), encode(&modulus));
            let jwk = serde_json::json!({"kty": "RSA", "e": e, "n": n});
            rsa_key(jwk.as_object().unwrap()).is_some()
        };
        for good in [&[3][..], &[17], &[1, 0, 1], &[0, 1, 0, 1], &[0, 0, 1, 0, 1], &[0xff; 4]] {
            assert!(key(good, 0xc5), "{good:?}");
            assert!(!key(good, 0xc4), "an even modulus");
        }
        for bad in [&[][..], &[0], &[1], &[0, 1], &[2], &[1, 0, 0], &[1, 0, 0, 0, 1], &[0xff; 8]] {
            assert!(!key(bad, 0xc5), "{bad:?}");
        }
    }

    #[test]
    fn set_has_at_most_64_keys() {
        let key = r#"{"kty":"EC","crv":"P-256","x":"ahk_Beg22MwAuka86RQ1ta3bzfBN8fWIp2z8W921t2M","y":"FtCowVaZ7B2Q4qyVQUvrGCUMzJyjfrnzCoj-KxH2q20"}"#;
        let set = |count: usize| format!(r#"{{"keys":[{}]}}"#, vec![key; count].join(","));
        assert!(KeySet::parse(set(64).as_bytes()).is_ok());
        assert!(KeySet::parse(set(65).as_bytes()).is_err());
        assert!(KeySet::parse(set(66).as_bytes()).is_err());
    }
}
