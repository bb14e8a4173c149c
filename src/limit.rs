//! Rate limits: per client address before anything is read, per user once one is known.
//!
//! Promise: a limiter that can't be asked stops the request; a limit that fails open is none. It
//! refuses to give everybody behind an IPv6 prefix, 2^64 addresses, a bucket for each.

use std::net::{IpAddr, Ipv6Addr};

use crate::problem::{Code, Problem};
use crate::seam::{Edge, Limiter, Millis, Verdict};

/// 429 over the limit, 503 if the limiter gives no answer.
pub(crate) async fn admit(
    limiter: Limiter,
    key: &str,
    timeout: Millis,
    edge: &impl Edge,
) -> Result<(), Problem> {
    let deadline = edge.now().saturating_add(timeout);
    match edge.throttle(limiter, key, deadline).await {
        Ok(Verdict::Granted) => Ok(()),
        Ok(Verdict::Refused) => Err(Problem::new(
            Code::RateLimited,
            match limiter {
                Limiter::Ip => "Too many requests from this address.",
                Limiter::User => "Too many requests of this user.",
            },
        )),
        Err(_) => Err(Problem::dependency("the rate limiter gave no answer", 5)),
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
                let prefix = u128::from(ip) & (u128::MAX << 64);
                format!("{}/64", Ipv6Addr::from(prefix))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_client_is_its_64_bit_prefix() {
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
}
