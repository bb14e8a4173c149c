use super::*;
use hmac::KeyInit as _;

const SECRET: &[u8] = &[
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30,
    31,
];
const OTHER: &[u8] = &[7; 32];
const NOW: i64 = 1_795_348_800;

fn apps(mode: &str) -> Apps {
    use base64::Engine as _;
    let encode = |secret| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(secret);
    Apps::parse(&format!(
        r#"{{"apps":{{"rn-ios":{{"mode":"{mode}","keys":[{{"id":"old","secret":"{}"}},{{"id":"new","secret":"{}"}}]}}}}}}"#,
        encode(SECRET),
        encode(OTHER),
    ))
    .unwrap()
}

fn head() -> Head {
    Head {
        method: "POST".into(),
        target: "/v1/notes".into(),
        app_id: Some("rn-ios".into()),
        timestamp: Some(NOW.to_string()),
        nonce: Some("Zm9vYmFyYmF6cXV4MTIzNA".into()),
        signature: None,
        authorization: Some("Bearer header.payload.signature".into()),
        idempotency_key: Some("order-0001".into()),
        if_match: None,
        if_none_match: None,
        content_type: None,
        content_encoding: None,
    }
}

fn signed_with(secret: &[u8], mut head: Head, body: &[u8]) -> Head {
    head.signature = Some(format!("v1={}", "0".repeat(64)));
    let signed = Signed::read(&head).unwrap();
    let text = signed.canonical(&head, head.if_none_match.as_deref(), head.token_digest(), body).unwrap();
    let mac = sign(&Hmac::new_from_slice(secret).unwrap(), &text);
    head.signature = Some(format!("v1={}", base16ct::lower::encode_string(&mac)));
    head
}

/// A change and its name.
type Change = (&'static str, fn(&mut Head));

fn signed(head: Head) -> Head {
    signed_with(SECRET, head, b"{}")
}

fn verify(head: Head) -> (Finding, Result<SignedRequest, Problem>) {
    check(&apps("enforce"), head, b"{}".to_vec(), NOW)
}

fn refused(head: Head) -> Finding {
    let (finding, result) = verify(head);
    assert_eq!(result.unwrap_err().code(), Code::AppGuardRejected);
    finding
}

#[test]
fn signatures_are_those_of_the_vectors() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../../tests/vectors/app-guard.json")).unwrap();
    let vectors = vectors.as_array().unwrap();
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        let text = |name: &str| vector[name].as_str().map(str::to_owned);
        let head = Head {
            method: text("method").unwrap(),
            target: text("target").unwrap(),
            app_id: text("app_id"),
            timestamp: Some(vector["timestamp"].to_string()),
            nonce: text("nonce"),
            signature: text("signature"),
            authorization: text("token").map(|token| format!("Bearer {token}")),
            idempotency_key: text("idempotency_key"),
            if_match: text("if_match"),
            if_none_match: text("if_none_match"),
            content_type: None,
            content_encoding: None,
        };
        let body = text("body").unwrap_or_default().into_bytes();
        let canonical = Signed::read(&head).unwrap();
        let canonical = canonical.canonical(&head, head.if_none_match.as_deref(), head.token_digest(), &body);
        assert_eq!(canonical, text("canonical"), "{vector}");
        let (finding, result) = check(&apps("enforce"), head, body, NOW);
        assert_eq!(finding, Finding::Verified { key: "old".into() }, "{vector}");
        assert_eq!(result.unwrap().app_id(), Some("rn-ios"));
    }
}

#[test]
fn any_live_key_and_any_of_four_signatures_is_accepted() {
    let (finding, _) = verify(signed_with(OTHER, head(), b"{}"));
    assert_eq!(finding, Finding::Verified { key: "new".into() });

    let mut four = signed(head());
    let good = four.signature.unwrap();
    let bad = format!("v1={}", "0".repeat(64));
    four.signature = Some(format!("{bad} {bad} {bad} {good}"));
    assert!(verify(four).1.is_ok());

    let mut five = signed(head());
    five.signature = Some(format!("{good} {bad} {bad} {bad} {bad}"));
    assert_eq!(refused(five), Finding::Incomplete);
}

#[test]
fn change_to_any_signed_part_is_refused() {
    let changes: [Change; 11] = [
        ("app id", |h| h.app_id = Some("rn-ioS".into())),
        ("timestamp", |h| h.timestamp = Some((NOW + 1).to_string())),
        ("nonce", |h| h.nonce = Some("Zm9vYmFyYmF6cXV4MTIzNB".into())),
        ("method", |h| h.method = "PUT".into()),
        ("target", |h| h.target = "/v1/notes?".into()),
        ("token", |h| h.authorization = Some("Bearer header.payload.signaturf".into())),
        ("token removed", |h| h.authorization = None),
        ("idempotency key", |h| h.idempotency_key = Some("order-0002".into())),
        ("idempotency key removed", |h| h.idempotency_key = None),
        ("if-match added", |h| h.if_match = Some("*".into())),
        ("if-none-match added", |h| h.if_none_match = Some("*".into())),
    ];
    for (what, change) in changes {
        let mut head = signed(head());
        change(&mut head);
        let finding = refused(head);
        assert!(matches!(finding, Finding::BadSignature | Finding::UnknownApp), "{what}: {finding:?}");
    }
    let (_, result) = check(&apps("enforce"), signed(head()), b"{} ".to_vec(), NOW);
    assert!(result.is_err(), "body");
}

#[test]
fn missing_and_malformed_headers_get_the_same_answer() {
    let forms: [Change; 20] = [
        ("no app id", |h| h.app_id = None),
        ("empty app id", |h| h.app_id = Some(String::new())),
        ("long app id", |h| h.app_id = Some("a".repeat(65))),
        ("repeated app id", |h| h.app_id = Some("rn-ios, rn-ios".into())),
        ("no timestamp", |h| h.timestamp = None),
        ("negative", |h| h.timestamp = Some("-1795348800".into())),
        ("float", |h| h.timestamp = Some("1795348800.0".into())),
        ("leading zero", |h| h.timestamp = Some("01795348800".into())),
        ("plus", |h| h.timestamp = Some("+1795348800".into())),
        ("too long", |h| h.timestamp = Some("179534880000".into())),
        ("no nonce", |h| h.nonce = None),
        ("short nonce", |h| h.nonce = Some("Zm9vYmFyYmF6cXV4MTIzN".into())),
        ("nonce with padding", |h| h.nonce = Some("Zm9vYmFyYmF6cXV4MTIzNA==".into())),
        ("no signature", |h| h.signature = None),
        ("upper-case hex", |h| h.signature = h.signature.as_ref().map(|s| s.to_uppercase().replace("V1", "v1"))),
        ("63 digits", |h| h.signature.as_mut().unwrap().truncate(66)),
        ("v2", |h| h.signature = h.signature.as_ref().map(|s| s.replace("v1", "v2"))),
        ("two spaces", |h| h.signature = h.signature.as_ref().map(|s| format!("{s}  {s}"))),
        ("comma", |h| h.signature = h.signature.as_ref().map(|s| format!("{s}, {s}"))),
        ("two tokens", |h| h.authorization = Some("Bearer a.b.c, Bearer a.b.c".into())),
    ];
    for (what, change) in forms {
        let mut head = signed(head());
        change(&mut head);
        assert_eq!(refused(head), Finding::Incomplete, "{what}");
    }
}

#[test]
fn header_that_reads_like_an_absent_one_is_refused() {
    for set in [
        (|h: &mut Head| h.idempotency_key = Some("-".into())) as fn(&mut Head),
        |h| h.if_match = Some("-".into()),
        |h| h.if_none_match = Some("-".into()),
        |h| h.if_match = Some("\"\u{e9}\"".into()),
    ] {
        let mut plain = head();
        plain.idempotency_key = None;
        let mut head = signed(plain);
        set(&mut head);
        assert_eq!(refused(head), Finding::Incomplete);
    }
}

#[test]
fn window_is_300_seconds_and_comes_after_the_signature() {
    for (offset, inside) in [(-301, false), (-300, true), (300, true), (301, false)] {
        let mut late = head();
        late.timestamp = Some((NOW + offset).to_string());
        let (finding, result) = verify(signed(late));
        if inside {
            assert!(result.is_ok(), "{offset}");
        } else {
            assert_eq!(finding, Finding::Skewed, "{offset}");
            assert_eq!(result.unwrap_err(), Problem::clock_skew(NOW));
        }
    }
    let mut forged = head();
    forged.timestamp = Some("1".into());
    forged.signature = Some(format!("v1={}", "0".repeat(64)));
    assert_eq!(refused(forged), Finding::BadSignature);
}

#[test]
fn unknown_app_gets_the_answer_of_a_bad_signature() {
    let mut unknown = head();
    unknown.app_id = Some("unknown".into());
    let (finding, unknown) = verify(signed(unknown));
    assert_eq!(finding, Finding::UnknownApp);
    let mut bad = signed(head());
    bad.nonce = Some("A".repeat(22));
    let (finding, bad) = verify(bad);
    assert_eq!(finding, Finding::BadSignature);
    assert_eq!(unknown.unwrap_err(), bad.unwrap_err());
}

#[test]
fn dummy_keys_of_an_app_verify_nothing() {
    let one_key = Apps::parse(&format!(
        r#"{{"apps":{{"rn-ios":{{"keys":[{{"id":"k","secret":"{s}"}}]}},"b":{{"keys":[{{"id":"k","secret":"{s}"}},{{"id":"l","secret":"{s}"}}]}}}}}}"#,
        s = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"
    ))
    .unwrap();
    let head = signed_with(&[0; 32], head(), b"{}");
    let (finding, result) = check(&one_key, head, b"{}".to_vec(), NOW);
    assert_eq!(finding, Finding::BadSignature);
    assert!(result.is_err());
}

#[test]
fn only_writes_of_an_enforced_app_have_a_nonce() {
    let admitted = |mode: &str, method: &str| {
        let mut head = head();
        head.method = method.into();
        let (_, result) = check(&apps(mode), signed(head), b"{}".to_vec(), NOW);
        let SignedRequest { request, .. } = result.unwrap();
        assert_eq!(request.app_id().is_some(), mode != "off");
        request
    };
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let request = admitted("enforce", method);
        let nonce = request.nonce().expect(method);
        assert_eq!(nonce.key, "rn-ios:Zm9vYmFyYmF6cXV4MTIzNA");
        assert_eq!(nonce.keep_until, NOW + 360);
    }
    for (mode, method) in [("enforce", "GET"), ("enforce", "HEAD"), ("report", "POST"), ("off", "POST")] {
        assert!(admitted(mode, method).nonce().is_none(), "{mode} {method}");
    }
}

#[test]
fn report_admits_every_request_and_logs_its_finding() {
    let mut unsigned = head();
    unsigned.signature = None;
    let (finding, result) = check(&apps("report"), unsigned, vec![], NOW);
    assert_eq!(finding, Finding::Incomplete);
    assert_eq!(result.unwrap().app_id(), None);

    let mut skewed = head();
    skewed.timestamp = Some((NOW - 301).to_string());
    let (finding, result) = check(&apps("report"), signed(skewed), b"{}".to_vec(), NOW);
    assert_eq!(finding, Finding::Skewed);
    assert_eq!(result.unwrap().app_id(), None);
}

#[test]
fn retired_key_is_refused_after_signature_and_clock() {
    let retiring = |mode: &str| {
        use base64::Engine as _;
        let encode = |secret| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(secret);
        Apps::parse(&format!(
            r#"{{"apps":{{"rn-ios":{{"mode":"{mode}","keys":[
                {{"id":"new","secret":"{}"}},
                {{"id":"old","secret":"{}","retired":true,"message":"Update the app."}}]}}}}}}"#,
            encode(OTHER),
            encode(SECRET),
        ))
        .unwrap()
    };
    let check = |mode, head| check(&retiring(mode), head, b"{}".to_vec(), NOW);
    let retired = Finding::Retired { key: "old".into() };

    let (finding, result) = check("enforce", signed(head()));
    assert_eq!(finding, retired);
    assert_eq!(result.unwrap_err(), Problem::upgrade_required(Some("Update the app.".into())));
    let (finding, _) = check("enforce", signed_with(OTHER, head(), b"{}"));
    let live = Finding::Verified { key: "new".into() };
    assert_eq!(finding, live);
    let mut both = signed(head());
    let other = signed_with(OTHER, head(), b"{}").signature;
    both.signature = both.signature.zip(other).map(|(old, new)| format!("{new} {old}"));
    assert_eq!(check("enforce", both).0, live);

    let mut late = head();
    late.timestamp = Some((NOW - 301).to_string());
    assert_eq!(check("enforce", signed(late)).1.unwrap_err(), Problem::clock_skew(NOW));
    let mut forged = signed(head());
    forged.target = "/v1/notes?".into();
    assert_eq!(check("enforce", forged).1.unwrap_err().code(), Code::AppGuardRejected);
    assert!(check("report", signed(head())).1.is_ok());
    assert!(check("off", signed(head())).1.is_ok());
}

#[test]
fn only_a_read_may_have_an_unsigned_if_none_match() {
    for (method, added) in [("GET", true), ("HEAD", true), ("PUT", false), ("POST", false)] {
        let mut plain = head();
        plain.method = method.into();
        let signed_plain = signed(plain);
        for value in ["\"3\"", "*", "-", "\u{e9}"] {
            let sent = Head { if_none_match: Some(value.into()), signature: signed_plain.signature.clone(), ..head() };
            let (_, result) = verify(Head { method: method.into(), ..sent });
            assert_eq!(result.is_ok(), added, "{method} {value}");
            assert!(!result.is_ok_and(|signed| !signed.request.condition_is_unsigned()));
        }
        // A signed header is not to be changed or removed.
        let mut with = head();
        with.method = method.into();
        with.if_none_match = Some("\"3\"".into());
        let signed_with_header = signed(with);
        for value in [None, Some("\"4\"".to_owned())] {
            let sent = Head { if_none_match: value, signature: signed_with_header.signature.clone(), ..head() };
            assert_eq!(refused(Head { method: method.into(), ..sent }), Finding::BadSignature);
        }
        let (_, result) = verify(signed_with_header);
        assert!(result.is_ok_and(|signed| !signed.request.condition_is_unsigned()));
    }
}

#[test]
fn headers_are_required_where_the_app_is_enforced() {
    let mut incomplete = signed(head());
    incomplete.nonce = None;
    let required = |mode: &str| require_headers(&apps(mode), &incomplete);
    assert_eq!(required("enforce").unwrap_err(), rejected());
    assert!(required("report").is_ok() && required("off").is_ok());
    assert!(require_headers(&apps("enforce"), &signed(head())).is_ok());
}

#[test]
fn debug_shows_no_token_no_signature_and_no_body() {
    let body = b"{\"title\":\"private\"}";
    let head = signed_with(SECRET, head(), body);
    let (_, result) = check(&apps("enforce"), head, body.to_vec(), NOW);
    let shown = format!("{:?}", result.unwrap());
    assert!(shown.contains("POST") && shown.contains("rn-ios"));
    for hidden in ["header.payload", "v1=", "private", "order-0001", "123, 34, 116"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

#[test]
fn bearer_scheme_is_read_in_any_case_with_one_space() {
    let read = |value: Option<&str>| {
        let mut head = head();
        head.authorization = value.map(str::to_owned);
        match head.bearer() {
            Bearer::Absent => "absent".to_owned(),
            Bearer::Other => "other".to_owned(),
            Bearer::Token(token) => format!("<{token}>"),
        }
    };
    assert_eq!(read(None), "absent");
    assert_eq!(read(Some("bEARER x")), "<x>");
    assert_eq!(read(Some("Bearer  x")), "< x>");
    for other in ["", "Bearer", "Bearer ", "Basic x", "Bearerx y", "Béarer x"] {
        assert_eq!(read(Some(other)), "other", "{other}");
    }
}

/// A request with something in every signed part.
fn full_head() -> Head {
    let mut head = head();
    head.method = "PATCH".into();
    head.target = "/v1/notes/7efe3d84-2d6a-4174-899e-8ffddea7a39a?a=%2F&b".into();
    head.if_match = Some("W/\"3\"".into());
    head.if_none_match = Some("*".into());
    head
}

/// The signed parts that are text, to be changed in place.
fn text_parts(head: &mut Head) -> [(&'static str, &mut String); 9] {
    [
        ("app id", head.app_id.as_mut().unwrap()),
        ("timestamp", head.timestamp.as_mut().unwrap()),
        ("nonce", head.nonce.as_mut().unwrap()),
        ("method", &mut head.method),
        ("target", &mut head.target),
        ("token", head.authorization.as_mut().unwrap()),
        ("idempotency key", head.idempotency_key.as_mut().unwrap()),
        ("if-match", head.if_match.as_mut().unwrap()),
        ("if-none-match", head.if_none_match.as_mut().unwrap()),
    ]
}

/// Each text with one byte changed to any of `with`, with one byte removed, and some with one added.
fn one_byte_off(bytes: &[u8], with: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for place in 0..=bytes.len() {
        for byte in b"-0a \n\0" {
            let mut added = bytes.to_vec();
            added.insert(place, *byte);
            all.push(added);
        }
        if place < bytes.len() {
            let mut removed = bytes.to_vec();
            removed.remove(place);
            all.push(removed);
            for byte in with {
                let mut changed = bytes.to_vec();
                changed[place] = *byte;
                all.push(changed);
            }
        }
    }
    all.retain(|other| other != bytes);
    all
}

#[test]
fn changed_byte_of_any_signed_part_is_refused() {
    let apps = apps("enforce");
    let body = b"{\"title\":\"\xc3\xa9\"}";
    let good = signed_with(SECRET, full_head(), body);
    let copy = || Head { signature: good.signature.clone(), ..full_head() };
    let verdict = |head: Head, body: &[u8]| check(&apps, head, body.to_vec(), NOW);
    assert!(verdict(copy(), body).1.is_ok());

    let ascii: Vec<u8> = (0..0x80).collect();
    let mut changes = 0;
    for part in 0..9 {
        let mut original = copy();
        let (name, text) = &text_parts(&mut original)[part];
        let (name, text) = (*name, (*text).clone());
        // The scheme is not signed, and read in any case.
        let (scheme, signed) = text.split_at(if name == "token" { 7 } else { 0 });
        for other in one_byte_off(signed.as_bytes(), &ascii) {
            let mut head = copy();
            let other = format!("{scheme}{}", String::from_utf8(other).unwrap());
            *text_parts(&mut head)[part].1 = other.clone();
            assert!(verdict(head, body).1.is_err(), "{name}: {other:?}");
            changes += 1;
        }
        // Characters beyond ASCII.
        for place in 0..=signed.len() {
            let mut head = copy();
            text_parts(&mut head)[part].1.insert(scheme.len() + place, '\u{e9}');
            assert!(verdict(head, body).1.is_err(), "{name} at {place}");
            changes += 1;
        }
    }
    let any: Vec<u8> = (0..=255).collect();
    for other in one_byte_off(body, &any) {
        assert!(verdict(copy(), &other).1.is_err(), "body: {other:?}");
        changes += 1;
    }
    // The signature itself.
    for other in one_byte_off(good.signature.as_ref().unwrap().as_bytes(), &ascii) {
        let mut head = copy();
        head.signature = Some(String::from_utf8(other).unwrap());
        let sent = head.signature.clone();
        assert!(verdict(head, body).1.is_err(), "signature: {sent:?}");
        changes += 1;
    }
    assert!(changes > 30_000, "{changes}");
}

#[test]
fn signed_part_that_is_removed_or_moved_is_refused() {
    let good = signed(full_head());
    for part in ["authorization", "idempotency key", "if-match", "if-none-match"] {
        let mut head = Head { signature: good.signature.clone(), ..full_head() };
        let slot = match part {
            "authorization" => &mut head.authorization,
            "idempotency key" => &mut head.idempotency_key,
            "if-match" => &mut head.if_match,
            _ => &mut head.if_none_match,
        };
        *slot = None;
        assert_eq!(refused(head), Finding::BadSignature, "{part}");
    }
    let mut swapped = Head { signature: good.signature.clone(), ..full_head() };
    std::mem::swap(&mut swapped.if_match, &mut swapped.if_none_match);
    assert_eq!(refused(swapped), Finding::BadSignature);
}

#[test]
fn each_spelling_of_a_path_has_its_own_signature() {
    let id = "/v1/notes/7efe3d84-2d6a-4174-899e-8ffddea7a39a";
    let targets = [
        "/v1/notes",
        "//v1/notes",
        "/v1//notes",
        "/v1/notes/",
        "/v1/./notes",
        "/v1/x/../notes",
        "/v1/%2e/notes",
        "/v1/%2E/notes",
        "/v1%2Fnotes",
        "/v1%2fnotes",
        "/v1/%6eotes",
        "/v1/%6Eotes",
        "/V1/notes",
        "/v1/notes;",
        "/v1/notes;x=1",
        "/v1/notes?",
        "/v1/notes??",
        "/v1/notes#",
        "/v1/notes%23",
        "/v1/notes%3F",
        "/v1/caf\u{e9}",
        "/v1/caf%C3%A9",
        "/v1/caf%c3%a9",
        "/v1/cafe\u{301}",
        "/v1/notes?a=1&b=2",
        "/v1/notes?b=2&a=1",
        "/v1/notes?a=1&a=1",
        "/v1/notes?a=1",
        "/v1/notes?a=1&",
        "/v1/notes?a",
        "/v1/notes?a=",
        "/v1/notes?a=%20",
        "/v1/notes?a=+",
        id,
        "/v1/notes/7EFE3D84-2D6A-4174-899E-8FFDDEA7A39A",
    ];
    for one in targets {
        let mut head = head();
        head.target = one.into();
        let head = signed(head);
        for other in targets {
            let mut sent = Head { target: other.into(), ..self::head() };
            sent.signature.clone_from(&head.signature);
            assert_eq!(verify(sent).1.is_ok(), one == other, "{one} as {other}");
        }
    }
}

#[test]
fn bodies_that_look_alike_have_their_own_signatures() {
    let bodies: [&[u8]; 7] = [b"", b"{}", b"\xef\xbb\xbf{}", b"{} ", b"{}\n", b"{}\r\n", b"\0"];
    for one in bodies {
        let head = signed_with(SECRET, head(), one);
        for other in bodies {
            let sent = Head { signature: head.signature.clone(), ..self::head() };
            let (_, result) = check(&apps("enforce"), sent, other.to_vec(), NOW);
            assert_eq!(result.is_ok(), one == other, "{one:?} as {other:?}");
        }
    }
}

#[expect(clippy::arithmetic_side_effects, reason = "test code")]
mod canonical_text {
    use std::cell::Cell;

    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;

    use super::*;

    /// The signed parts before hashing.
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Parts {
        /// App id, timestamp, nonce, method, target.
        lines: [String; 5],
        token: Option<String>,
        body: Vec<u8>,
        /// `Idempotency-Key`, `If-Match`, `If-None-Match`.
        headers: [Option<String>; 3],
    }

    impl Parts {
        fn text(&self) -> Option<String> {
            let [app_id, timestamp, nonce, method, target] = &self.lines;
            let [idempotency_key, if_match, if_none_match] = &self.headers;
            Canonical {
                app_id,
                timestamp,
                nonce,
                method,
                target,
                token_digest: self.token.as_deref().map(TokenDigest::of),
                body: &self.body,
                idempotency_key: idempotency_key.as_deref(),
                if_match: if_match.as_deref(),
                if_none_match: if_none_match.as_deref(),
            }
            .text()
        }
    }

    /// Few characters, so that parts are often equal; some could be taken for structure.
    fn part() -> impl Strategy<Value = String> {
        prop_oneof![
            24 => "[-a1]{0,3}",
            1 => "[-a1\n]{0,3}",
            2 => Just("-".to_owned()),
            2 => Just(String::new()),
            2 => Just("v1".to_owned()),
            // The hash of an empty body.
            2 => Just("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".to_owned()),
            1 => any::<String>(),
        ]
    }

    fn parts() -> impl Strategy<Value = Parts> {
        (
            prop::array::uniform5(part()),
            prop::option::of(part()),
            part(),
            prop::array::uniform3(prop::option::of(part())),
        )
            .prop_map(|(lines, token, body, headers)| Parts { lines, token, body: body.into_bytes(), headers })
    }

    /// Requests that differ little from `one`.
    fn near(one: &Parts, other: &Parts) -> Vec<Parts> {
        let mut all = vec![other.clone()];
        let mut with = |change: &dyn Fn(&mut Parts)| {
            let mut near = one.clone();
            change(&mut near);
            all.push(near);
        };
        for place in 0..5 {
            let next = (place + 1) % 5;
            with(&|near| near.lines[place].clone_from(&other.lines[place]));
            with(&|near| near.lines.swap(place, next));
            with(&|near| near.lines.rotate_left(place));
            with(&|near| near.lines[place].insert(0, '-'));
            with(&|near| {
                let line = std::mem::take(&mut near.lines[place]);
                near.lines[next] = format!("{line}\n{}", near.lines[next]);
            });
            with(&|near| near.token = Some(near.lines[place].clone()));
        }
        for place in 0..3 {
            with(&|near| near.headers[place].clone_from(&other.headers[place]));
            with(&|near| near.headers.swap(place, (place + 1) % 3));
            with(&|near| near.headers[place] = None);
            with(&|near| near.headers[place] = Some("-".to_owned()));
            with(&|near| near.headers[place].clone_from(&near.token));
        }
        with(&|near| near.token.clone_from(&other.token));
        with(&|near| near.token = None);
        with(&|near| near.body.clone_from(&other.body));
        with(&|near| near.body.clear());
        all
    }

    #[test]
    fn different_requests_have_different_texts() {
        let config = ProptestConfig { cases: 6_000, failure_persistence: None, ..ProptestConfig::default() };
        let compared = Cell::new(0);
        let compare = |(one, other): (Parts, Parts)| {
            let Some(text) = one.text() else {
                return Ok(());
            };
            prop_assert_eq!(text.split('\n').count(), 11);
            for near in near(&one, &other) {
                if let (true, Some(other)) = (one != near, near.text()) {
                    prop_assert_ne!(&text, &other);
                    compared.set(compared.get() + 1);
                }
            }
            Ok(())
        };
        TestRunner::new(config).run(&(parts(), parts()), compare).unwrap();
        assert!(compared.get() > 100_000, "{}", compared.get());
    }
}

// Attestation.

/// An app whose signatures and attestation have these modes, with this vendor.
fn attesting(guard: &str, mode: &str, vendor: &str) -> Result<Apps, String> {
    let secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    Apps::parse(&format!(
        r#"{{"apps":{{"a":{{"mode":"{guard}","attest":{{"mode":"{mode}"{vendor}}},"keys":[{{"id":"k","secret":"{secret}"}}]}}}}}}"#
    ))
}

const FIREBASE: &str = r#","firebase":{"project":"123456789012","app_ids":["1:123456789012:ios:0a1b2c3d"]}"#;
const JWK: &str = r#"{"kty":"EC","crv":"P-256","kid":"a","x":"ahk_Beg22MwAuka86RQ1ta3bzfBN8fWIp2z8W921t2M","y":"FtCowVaZ7B2Q4qyVQUvrGCUMzJyjfrnzCoj-KxH2q20"}"#;

#[test]
fn attestation_is_configured_for_an_app() {
    let secret = r#","approov":{"secret":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8","bind":true}"#;
    let keys = format!(r#","approov":{{"keys":[{JWK}]}}"#);
    for vendor in [FIREBASE.to_owned(), secret.to_owned(), keys, format!("{FIREBASE}{secret}")] {
        for (guard, mode) in [("enforce", "enforce"), ("enforce", "report"), ("report", "report"), ("off", "off")] {
            assert!(attesting(guard, mode, &vendor).unwrap().attest(), "{guard} {mode} {vendor}");
        }
    }
    assert!(attesting("enforce", "off", "").is_ok());
    assert!(!apps("enforce").attest());
}

#[test]
fn unclear_attestation_is_refused_with_a_sentence() {
    let firebase = |project: &str, ids: &str| format!(r#","firebase":{{"project":{project},"app_ids":{ids}}}"#);
    let id = r#""1:123456789012:ios:0a1b2c3d""#;
    let nine = format!("[{}]", [id; 9].join(","));
    let unnamed = JWK.replace(r#""kid":"a","#, "");
    let approov = |approov: &str| format!(r#","approov":{{{approov}}}"#);
    for (mode, vendor, says) in [
        ("enforced", FIREBASE.to_owned(), "mode is not off, report or enforce"),
        ("enforce", String::new(), "without firebase and approov"),
        ("report", r#","other":{}"#.to_owned(), "other members"),
        ("report", r#","firebase":{"project":"1"}"#.to_owned(), "1 to 8 app_ids"),
        ("report", firebase(r#""my-project-id""#, &format!("[{id}]")), "not its number"),
        ("report", firebase("123456789012", &format!("[{id}]")), "not its number as a text"),
        ("report", firebase(r#""""#, &format!("[{id}]")), "not its number"),
        ("report", firebase(r#""123456789012""#, "[]"), "1 to 8 app_ids"),
        ("report", firebase(r#""123456789012""#, &nine), "1 to 8 app_ids"),
        ("report", firebase(r#""12345678901""#, &format!("[{id}]")), "such as 1:<project>:ios"),
        ("report", firebase(r#""123456789012""#, r#"["1:123456789012:ios:"]"#), "such as 1:<project>:ios"),
        ("report", firebase(r#""123456789012""#, "[1]"), "such as 1:<project>:ios"),
        ("report", approov(""), "either a secret or a list of keys"),
        ("report", approov(&format!(r#""secret":"{}","keys":[{JWK}]"#, "A".repeat(43))), "either a secret"),
        ("report", approov(&format!(r#""secret":"{}""#, "A".repeat(42))), "32 bytes"),
        ("report", approov(&format!(r#""secret":"{}=""#, "A".repeat(43))), "without padding"),
        ("report", approov(&format!(r#""secret":"{}","bind":1"#, "A".repeat(43))), "bind is not true or false"),
        ("report", approov(r#""keys":[]"#), "no public JWK"),
        ("report", approov(&format!(r#""keys":[{unnamed}]"#)), "with a kid"),
        ("report", approov(&format!(r#""keys":[{JWK},{JWK}]"#)), "no public JWK"),
        ("report", approov(r#""keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0"}]"#), "no public JWK"),
    ] {
        let error = attesting("enforce", mode, &vendor).err().unwrap_or_else(|| panic!("accepted: {mode} {vendor}"));
        assert!(error.starts_with("app a ") && error.contains(says), "{mode} {vendor}: {error}");
        assert!(!error.contains("AAAA"), "{error}");
    }
    for guard in ["off", "report"] {
        let error = attesting(guard, "enforce", FIREBASE).err().unwrap();
        assert_eq!(error, "app a enforces attest, but not signatures: set its mode to enforce as well");
    }
}

#[test]
fn weakest_app_and_key_are_named() {
    let attest = |mode: &str| format!(r#""attest":{{"mode":"{mode}"{FIREBASE}}}"#);
    let key = |id: &str, more: &str| format!(r#"{{"id":"{id}","secret":"{}"{more}}}"#, "A".repeat(43));
    let apps = |apps: &[(&str, &str, &[String])]| {
        let app =
            |(id, attest, keys): &(&str, &str, &[String])| format!(r#""{id}":{{{attest}"keys":[{}]}}"#, keys.join(","));
        let apps: Vec<String> = apps.iter().map(app).collect();
        Apps::parse(&format!(r#"{{"apps":{{{}}}}}"#, apps.join(","))).unwrap().not_attested()
    };
    let (enforce, report) = (format!("{},", attest("enforce")), format!("{},", attest("report")));
    let plain = [key("k", "")];
    assert_eq!(apps(&[("a", &enforce, &plain)]), [""; 0]);
    assert_eq!(apps(&[("a", &report, &plain), ("b", "", &plain)]), [""; 0], "none is enforced yet");
    assert_eq!(
        apps(&[("a", &enforce, &plain), ("b", "", &plain), ("c", &report, &plain)]),
        ["app b with key k", "app c with key k"]
    );
    let own = format!(",{}", attest("enforce"));
    assert_eq!(apps(&[("a", "", &[key("old", ""), key("new", &own)])]), ["app a with key old"]);
    assert_eq!(apps(&[("a", "", &[key("old", r#","retired":true"#), key("new", &own)])]), [""; 0]);
    let off = format!(",{}", attest("off"));
    assert_eq!(apps(&[("a", &enforce, &[key("k", &off), key("l", "")])]), ["app a with key k"]);
}
