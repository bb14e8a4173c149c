//! Ids.

use std::cell::RefCell;

use uuid::Uuid;

/// A UUID in its one canonical spelling (RFC 9562 section 4, lower case). `None` for any other
/// spelling: a signed path names one thing, and a thing has one path.
pub(crate) fn parse_uuid(text: &str) -> Option<Uuid> {
    let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
    (text.len() == 36 && lower).then(|| Uuid::try_parse(text).ok()).flatten()
}

/// Whether this is the one spelling of an id that is a number, from 1 to 2^53 - 1.
pub(crate) fn is_number(text: &str) -> bool {
    let digits = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    digits && text.parse::<u64>().is_ok_and(|number| number < 1 << 53)
}

/// 128 random bits. Asking the platform for each by itself takes longer than signing a request.
pub(crate) fn random_uuid() -> Uuid {
    thread_local! {
        static BITS: RefCell<Vec<[u8; 16]>> = const { RefCell::new(Vec::new()) };
    }
    let bits = BITS.with_borrow_mut(|bits| {
        if bits.is_empty() {
            let mut fresh = [[0; 16]; 64];
            // Nothing but finding log lines rests on their being random.
            let _ = getrandom::fill(fresh.as_flattened_mut());
            bits.extend(fresh);
        }
        bits.pop().unwrap_or_default()
    });
    uuid::Builder::from_random_bytes(bits).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_has_one_spelling() {
        let good = "7efe3d84-2d6a-4174-899e-8ffddea7a39a";
        assert_eq!(parse_uuid(good).unwrap().to_string(), good);
        for bad in [
            "7EFE3D84-2D6A-4174-899E-8FFDDEA7A39A",
            "7efe3d842d6a4174899e8ffddea7a39a",
            "{7efe3d84-2d6a-4174-899e-8ffddea7a39a}",
            "urn:uuid:7efe3d84-2d6a-4174-899e-8ffddea7a39a",
            "7efe3d84-2d6a-4174-899e-8ffddea7a39",
            "7efe3d84-2d6a-4174-899e-8ffddea7a39a ",
            "7efe3d84+2d6a-4174-899e-8ffddea7a39a",
            "",
        ] {
            assert_eq!(parse_uuid(bad), None, "{bad}");
        }
    }

    #[test]
    fn number_has_one_spelling() {
        for good in ["1", "10", "9007199254740991"] {
            assert!(is_number(good), "{good}");
        }
        for bad in
            ["", "0", "01", "-1", "+1", "1.0", "1e2", " 1", "1a", "\u{661}", "9007199254740992", "99999999999999999999"]
        {
            assert!(!is_number(bad), "{bad}");
        }
    }

    #[test]
    fn each_byte_of_an_id_has_its_form() {
        let good = b"7efe3d84-2d6a-4174-899e-8ffddea7a39a";
        for at in 0..good.len() {
            for byte in 0..=127 {
                let mut bytes = *good;
                bytes[at] = byte;
                let fits = match good[at] {
                    b'-' => byte == b'-',
                    _ => b"0123456789abcdef".contains(&byte),
                };
                let text = std::str::from_utf8(&bytes).unwrap();
                assert_eq!(parse_uuid(text).is_some(), fits, "{byte} at {at}");
            }
        }
    }
}
