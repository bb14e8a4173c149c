//! The cryptography of `jsonwebtoken` in the Worker: HMAC with SHA-256, for the legacy secret.
//!
//! It verifies HS256 and nothing else. The library's own provider would add RSA, P-384 and Ed25519, two
//! thirds of the module's size; the platform verifies signatures of public keys.

use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use sha2::Sha256;

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes this the provider of the isolate. Only the first call counts.
#[cfg(target_arch = "wasm32")]
pub(super) fn install() {
    // It fails if there is one already, and then it is this one.
    let _ = PROVIDER.install_default();
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    match (algorithm, key.kind()) {
        (Algorithm::HS256, DecodingKeyKind::SecretOrDer(secret)) => {
            let mac = Hmac::new_from_slice(secret).map_err(|_| ErrorKind::InvalidKeyFormat)?;
            Ok(Box::new(Hs256(mac)))
        }
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

struct Hs256(Hmac<Sha256>);

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        // Compares in constant time.
        let mac = self.0.clone().chain_update(message);
        mac.verify_slice(signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

/// Whether the library accepts this tag with this provider.
#[cfg(test)]
pub(super) fn hs256(key: &DecodingKey, message: &[u8], tag: &[u8]) -> bool {
    verifier(&Algorithm::HS256, key).is_ok_and(|hs256| hs256.verify(message, &tag.to_vec()).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{EncodingKey, crypto};

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    #[test]
    fn provider_agrees_with_that_of_the_library() {
        let key = EncodingKey::from_secret(SECRET);
        let signature = crypto::sign(b"header.payload", &key, Algorithm::HS256).unwrap();
        let bytes = super::super::jws::decode(&signature).unwrap();
        let hs256 = verifier(&Algorithm::HS256, &DecodingKey::from_secret(SECRET)).unwrap();
        assert_eq!(hs256.algorithm(), Algorithm::HS256);
        assert!(hs256.verify(b"header.payload", &bytes).is_ok());
        assert!(hs256.verify(b"header.Payload", &bytes).is_err());
        for length in 0..bytes.len() {
            let part = bytes.get(..length).unwrap().to_vec();
            assert!(hs256.verify(b"header.payload", &part).is_err(), "{length}");
        }
    }

    #[test]
    fn provider_verifies_hs256_only() {
        let secret = DecodingKey::from_secret(SECRET);
        for algorithm in [Algorithm::HS384, Algorithm::HS512, Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA] {
            assert!(verifier(&algorithm, &secret).is_err(), "{algorithm:?}");
        }
        let rsa = DecodingKey::from_rsa_raw_components(&[1], &[3]);
        assert!(verifier(&Algorithm::HS256, &rsa).is_err());
        let sign = PROVIDER.signer_factory;
        assert!(sign(&Algorithm::HS256, &EncodingKey::from_secret(SECRET)).is_err());
    }
}
