//! Rate limits: refusals per client address, requests per user.
//!
//! Thousands of honest phones share an address behind a carrier, so an address counts only refusals
//! that an attacker causes. The binding cannot be asked without counting, so an isolate remembers the
//! addresses that are over their limit. A user's limiter that gives no answer refuses the request.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::IpAddr;

use crate::error::{Code, Problem};
use crate::platform::{Limiter, Millis, Platform};

/// The period of the limits.
const PERIOD: Millis = 60_000;

/// Addresses that an isolate remembers at most; the oldest goes first.
const ADDRESSES_MAX: usize = 1024;

/// The addresses that are over their limit, with the end of the period.
#[derive(Debug, Default)]
pub(crate) struct Addresses(RefCell<VecDeque<(String, Millis)>>);

impl Addresses {
    /// 429 for an address that is over its limit.
    pub(crate) fn admit(&self, address: &str, now: Millis) -> Result<(), Problem> {
        let mut addresses = self.0.borrow_mut();
        while addresses.front().is_some_and(|(_, until)| *until <= now) {
            addresses.pop_front();
        }
        if addresses.iter().any(|(one, _)| one == address) {
            Err(Problem::new(Code::RateLimited, "Too many refused requests of this address.").because("LIMIT_IP"))
        } else {
            Ok(())
        }
    }

    /// Counts a refusal against an address, unless it is over its limit already: then the binding's
    /// call would only add to the cost. A limiter that gives no answer remembers nothing.
    pub(crate) async fn count(&self, address: String, timeout: Millis, platform: &impl Platform) {
        if self.admit(&address, platform.now()).is_err() {
            return;
        }
        let deadline = platform.now().saturating_add(timeout);
        if platform.throttle(Limiter::Ip, &address, deadline).await == Ok(false) {
            self.remember(address, platform.now().saturating_add(PERIOD));
        }
    }

    fn remember(&self, address: String, until: Millis) {
        let mut addresses = self.0.borrow_mut();
        addresses.retain(|(one, _)| *one != address);
        if addresses.len() >= ADDRESSES_MAX {
            addresses.pop_front();
        }
        addresses.push_back((address, until));
    }
}

/// Counts a request of `key`: 429 over the limit, 503 if the limiter gives no answer.
pub(crate) async fn admit_user(key: &str, timeout: Millis, platform: &impl Platform) -> Result<(), Problem> {
    let deadline = platform.now().saturating_add(timeout);
    match platform.throttle(Limiter::User, key, deadline).await {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err(Problem::new(Code::RateLimited, "Too many requests. Try again after Retry-After.")
                .because("LIMIT_USER"))
        }
        Err(_) => Err(Problem::dependency("LIMIT_USER gave no answer", 5)),
    }
}

/// The bucket of a `CF-Connecting-IP`: the address, or its /64 for IPv6. Without a usable address
/// (only possible when the platform in front is not Cloudflare's) there is one bucket for all.
pub(crate) fn address_key(header: Option<&str>) -> String {
    match header.and_then(|text| text.parse::<IpAddr>().ok()) {
        None => "unknown".to_owned(),
        Some(IpAddr::V4(ip)) => ip.to_string(),
        Some(IpAddr::V6(ip)) => match ip.to_ipv4_mapped() {
            Some(ip) => ip.to_string(),
            None => {
                let [a, b, c, d, ..] = ip.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_client_is_its_64_bit_prefix() {
        for (header, key) in [
            (Some("203.0.113.7"), "203.0.113.7"),
            (Some("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64"),
            (Some("2001:db8:1:2:ffff::"), "2001:db8:1:2::/64"),
            (Some("::ffff:203.0.113.7"), "203.0.113.7"),
            (Some("203.0.113.7, 203.0.113.8"), "unknown"),
            (Some(""), "unknown"),
            (None, "unknown"),
        ] {
            assert_eq!(address_key(header), key, "{header:?}");
        }
    }

    #[test]
    fn oldest_address_is_forgotten_when_the_list_is_full() {
        let addresses = Addresses::default();
        for n in 0..=ADDRESSES_MAX {
            addresses.remember(n.to_string(), 1);
            // Two refusals at once remember the address twice.
            addresses.remember(n.to_string(), 1);
        }
        assert_eq!(addresses.0.borrow().len(), ADDRESSES_MAX);
        assert!(addresses.admit("0", 0).is_ok());
        assert!(addresses.admit("1", 0).is_err());
        assert!(addresses.admit("1", 1).is_ok(), "the period is over");
        assert!(addresses.0.borrow().is_empty());
    }
}
