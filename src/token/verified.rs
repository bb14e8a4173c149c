//! Tokens that were found good a while ago.
//!
//! Promise: what is remembered is that *this key* signed *these very bytes*, and what they say; both
//! stay true for ever. Whether the key still counts and whether the claims are still in time is
//! never remembered. It refuses to grow beyond twice [`GENERATION`] tokens, and keeps a token's
//! SHA-256 rather than the token.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::SigningKey;
use super::claims::Claims;
use super::jws::Named;
use crate::guard::TokenDigest;

/// Tokens in a generation; some 300 bytes each. When a generation is full, the one before it goes, so
/// what is in use stays without any bookkeeping on use.
const GENERATION: usize = 512;

type Tokens = BTreeMap<TokenDigest, Rc<Verified>>;

/// What was found out about a token.
#[derive(Debug)]
pub(super) struct Verified {
    named: Named,
    key: SigningKey,
    claims: Rc<Claims>,
}

impl Verified {
    pub(super) fn new(named: Named, key: SigningKey, claims: Rc<Claims>) -> Self {
        Self { named, key, claims }
    }

    /// Algorithm and key id of its header.
    pub(super) fn named(&self) -> &Named {
        &self.named
    }

    pub(super) fn claims(&self) -> Rc<Claims> {
        Rc::clone(&self.claims)
    }

    /// Whether it was this very key that signed it: a set may give its name to another one.
    pub(super) fn signed_by(&self, key: &SigningKey) -> bool {
        match (&self.key, key) {
            (SigningKey::Secret, SigningKey::Secret) => true,
            (SigningKey::Public(then), SigningKey::Public(now)) => then.jwk() == now.jwk(),
            _ => false,
        }
    }
}

/// The tokens of one isolate.
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
        let named = Named {
            alg: Alg::Hs256,
            kid: None,
        };
        Verified::new(named, SigningKey::Secret, Rc::new(Claims::of_nobody()))
    }

    #[test]
    fn what_is_in_use_stays_and_what_is_not_goes() {
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
    fn what_the_secret_signed_is_known_by_the_secret() {
        assert!(token().signed_by(&SigningKey::Secret));
    }

    #[test]
    fn what_was_found_good_a_generation_ago_is_still_known() {
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
