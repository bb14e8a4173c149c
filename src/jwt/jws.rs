//! Compact JWS (RFC 7515 section 7.1), parsed before anything in it is believed.
//!
//! [`Jws::payload`] is the only way to the payload. Refused: more than 8 KiB, other than three
//! parts, base64url with padding or loose bits, JSON with repeated names, and every `alg` but
//! three. So is any `crit` or `b64` (section 4.1.11, RFC 7797), since no extension is supported.
//! `jku`, `jwk`, `x5u` and `x5c` are never read: a token does not bring its own key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::Rejected;
use crate::json;

/// The algorithms there are (RFC 7518 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alg {
    /// HMAC with SHA-256: the legacy secret, never a public key.
    Hs256,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl Alg {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "HS256" => Some(Self::Hs256),
            "ES256" => Some(Self::Es256),
            "RS256" => Some(Self::Rs256),
            _ => None,
        }
    }
}

/// A token that has the form of one. Nothing in it is trusted yet.
pub(crate) struct Jws<'a> {
    hint: KeyHint,
    typ: Option<String>,
    signing_input: &'a str,
    signature_text: &'a str,
    signature: Vec<u8>,
    payload: Vec<u8>,
}

/// The key that a token names. It tells where to look and proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyHint {
    pub(crate) alg: Alg,
    pub(crate) kid: Option<String>,
}

impl<'a> Jws<'a> {
    /// Bytes. A Supabase access token is about 1 KiB; large `app_metadata` makes it a few.
    pub(crate) const MAX_LEN: usize = 8 * 1024;

    pub(crate) fn parse(compact: &'a str) -> Result<Self, Rejected> {
        if compact.len() > Self::MAX_LEN {
            return Err(Rejected("longer than 8 KiB"));
        }
        let (signing_input, signature_text) = compact.rsplit_once('.').ok_or(Rejected("not three parts"))?;
        let (header, payload) = signing_input.split_once('.').ok_or(Rejected("not three parts"))?;
        // A fourth part leaves a dot in the payload, which base64url does not have.
        let payload = decode(payload)?;
        let signature = decode(signature_text)?;
        if signature.is_empty() {
            return Err(Rejected("no signature"));
        }

        let header = json::parse_object(&decode(header)?)
            .ok_or(Rejected("header is not a JSON object without repeated names"))?;
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(Rejected("crit or b64 in the header"));
        }
        let text = |name: &str| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(Rejected("a header parameter is not a string")),
        };
        Ok(Self {
            hint: KeyHint {
                alg: text("alg")?.and_then(Alg::parse).ok_or(Rejected("alg"))?,
                kid: text("kid")?.map(str::to_owned),
            },
            typ: text("typ")?.map(str::to_owned),
            signing_input,
            signature_text,
            signature,
            payload,
        })
    }

    /// Algorithm and key id, as the header names them.
    pub(crate) fn hint(&self) -> &KeyHint {
        &self.hint
    }

    /// The signed bytes.
    pub(crate) fn signing_input(&self) -> &[u8] {
        self.signing_input.as_bytes()
    }

    /// The signature as it came.
    pub(crate) fn signature_text(&self) -> &str {
        self.signature_text
    }

    /// The signature's bytes, of which there is at least one.
    pub(crate) fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Supabase writes `JWT`; the parameter is optional and compared without case (RFC 7519
    /// section 5.1).
    pub(crate) fn typ_is_jwt(&self) -> Result<(), Rejected> {
        match self.typ.as_deref() {
            None => Ok(()),
            Some(typ) if typ.eq_ignore_ascii_case("jwt") => Ok(()),
            Some(_) => Err(Rejected("typ")),
        }
    }

    /// The payload, of a token whose signature was found good.
    pub(crate) fn payload(&self, signature_is_good: bool) -> Result<&[u8], Rejected> {
        if signature_is_good { Ok(&self.payload) } else { Err(Rejected("signature")) }
    }
}

/// RFC 7515 section 2: no padding, no white space, no `+` or `/`; and no bits left over, so that a
/// token has one spelling.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, Rejected> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Rejected("not base64url"))
}

/// The one spelling that [`decode`] takes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
