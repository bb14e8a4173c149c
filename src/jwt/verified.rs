//! A cache of verified tokens.
//!
//! An entry has a token's claims and the key that signed it. Neither can change. The key's validity
//! and the token's times are checked for each request. The cache holds at most twice [`GENERATION`]
//! tokens, each by its SHA-256.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use sha2::{Digest, Sha256};

use super::SigningKey;
use super::jws::KeyHint;

/// The SHA-256 of a token, which stands for it in a signature and where it is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenDigest(pub(crate) [u8; 32]);

impl TokenDigest {
    /// The digest of an access token (the characters after `Bearer `) or of an attestation token.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

/// Tokens in a generation, some 300 bytes each. A full generation replaces the one before it; a token in
/// use moves to the young one.
const GENERATION: usize = 512;

type Tokens = BTreeMap<TokenDigest, Rc<Verified>>;

/// A verified token.
#[derive(Debug)]
pub(super) struct Verified {
    hint: KeyHint,
    key: SigningKey,
    claims: Rc<dyn Any>,
}

impl Verified {
    pub(super) fn new(hint: KeyHint, key: SigningKey, claims: Rc<dyn Any>) -> Self {
        Self { hint, key, claims }
    }

    /// Algorithm and key id of its header.
    pub(super) fn hint(&self) -> &KeyHint {
        &self.hint
    }

    pub(super) fn claims(&self) -> Rc<dyn Any> {
        Rc::clone(&self.claims)
    }

    /// Whether this key signed it. A set may give the same `kid` to another key.
    pub(super) fn signed_by(&self, key: &SigningKey) -> bool {
        match (&self.key, key) {
            (SigningKey::Secret, SigningKey::Secret) => true,
            (SigningKey::Public(then), SigningKey::Public(now)) => then.jwk() == now.jwk(),
            _ => false,
        }
    }
}

/// The tokens of one source in one isolate.
#[derive(Debug, Default)]
pub(super) struct VerifiedTokens {
    generations: RefCell<(Tokens, Tokens)>,
}

impl VerifiedTokens {
    pub(super) fn get(&self, digest: &TokenDigest) -> Option<Rc<Verified>> {
        let (young, old) = &mut *self.generations.borrow_mut();
        if let Some(known) = young.get(digest) {
            return Some(Rc::clone(known));
        }
        let known = old.remove(digest)?;
        keep(young, old, *digest, Rc::clone(&known));
        Some(known)
    }

    pub(super) fn insert(&self, digest: TokenDigest, verified: Verified) {
        let (young, old) = &mut *self.generations.borrow_mut();
        keep(young, old, digest, Rc::new(verified));
    }
}

fn keep(young: &mut Tokens, old: &mut Tokens, digest: TokenDigest, verified: Rc<Verified>) {
    if young.len() >= GENERATION {
        *old = std::mem::take(young);
    }
    young.insert(digest, verified);
}

#[cfg(test)]
mod tests {
    use super::super::jws::Alg;
    use super::*;

    fn token() -> Verified {
        let hint = KeyHint { alg: Alg::Hs256, kid: None };
        Verified::new(hint, SigningKey::Secret, Rc::new(()))
    }

    #[test]
    fn token_in_use_stays_and_unused_token_goes() {
        let tokens = VerifiedTokens::default();
        let (used, unused) = (TokenDigest::of("used"), TokenDigest::of("unused"));
        tokens.insert(used, token());
        tokens.insert(unused, token());
        for n in 0..10 * GENERATION {
            tokens.insert(TokenDigest::of(&n.to_string()), token());
            assert!(tokens.get(&used).is_some(), "{n}");
            let (young, old) = &*tokens.generations.borrow();
            assert!(young.len() <= GENERATION && old.len() <= GENERATION);
        }
        assert!(tokens.get(&unused).is_none());
    }

    #[test]
    fn token_of_the_secret_is_signed_by_the_secret() {
        assert!(token().signed_by(&SigningKey::Secret));
    }

    #[test]
    fn token_of_the_last_generation_is_still_known() {
        let tokens = VerifiedTokens::default();
        let first = TokenDigest::of("first");
        tokens.insert(first, token());
        for n in 1..2 * GENERATION {
            tokens.insert(TokenDigest::of(&n.to_string()), token());
        }
        assert!(tokens.get(&first).is_some());
        assert!(tokens.get(&TokenDigest::of("never")).is_none());
    }
}
