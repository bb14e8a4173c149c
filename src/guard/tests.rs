use super::*;

const SECRET: &[u8] = &[
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
    26, 27, 28, 29, 30, 31,
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
    let text = signed.canonical(&head, head.token_digest(), body).unwrap();
    let mac = sign(&Hmac::new_from_slice(secret).unwrap(), &text);
    head.signature = Some(format!("v1={}", base16ct::lower::encode_string(&mac)));
    head
}

/// What is changed, and how.
type Change = (&'static str, fn(&mut Head));

fn signed(head: Head) -> Head {
    signed_with(SECRET, head, b"{}")
}

fn knock(head: Head) -> (Finding, Result<GuardedRequest, Problem>) {
    check(&apps("enforce"), head, b"{}".to_vec(), NOW)
}

fn refused(head: Head) -> Finding {
    let (finding, result) = knock(head);
    assert_eq!(result.unwrap_err().code(), Code::AppGuardRejected);
    finding
}

#[test]
fn the_vectors_hold() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/vectors/app-guard.json")).unwrap();
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
        let canonical = Signed::read(&head)
            .unwrap()
            .canonical(&head, head.token_digest(), &body);
        assert_eq!(canonical, text("canonical"), "{vector}");
        let (finding, result) = check(&apps("enforce"), head, body, NOW);
        assert_eq!(finding, Finding::Verified { key: "old".into() }, "{vector}");
        assert_eq!(result.unwrap().app_id(), Some("rn-ios"));
    }
}

#[test]
fn either_key_of_a_rotation_is_good_and_so_is_any_one_of_four_signatures() {
    let (finding, _) = knock(signed_with(OTHER, head(), b"{}"));
    assert_eq!(finding, Finding::Verified { key: "new".into() });

    let mut four = signed(head());
    let good = four.signature.unwrap();
    let bad = format!("v1={}", "0".repeat(64));
    four.signature = Some(format!("{bad} {bad} {bad} {good}"));
    assert!(knock(four).1.is_ok());

    let mut five = signed(head());
    five.signature = Some(format!("{good} {bad} {bad} {bad} {bad}"));
    assert_eq!(refused(five), Finding::Incomplete);
}

#[test]
fn a_change_to_any_signed_part_is_refused() {
    let changes: [Change; 11] = [
        ("app id", |h| h.app_id = Some("rn-ioS".into())),
        ("timestamp", |h| h.timestamp = Some((NOW + 1).to_string())),
        ("nonce", |h| h.nonce = Some("Zm9vYmFyYmF6cXV4MTIzNB".into())),
        ("method", |h| h.method = "PUT".into()),
        ("target", |h| h.target = "/v1/notes?".into()),
        ("token", |h| {
            h.authorization = Some("Bearer header.payload.signaturf".into())
        }),
        ("token removed", |h| h.authorization = None),
        ("idempotency key", |h| {
            h.idempotency_key = Some("order-0002".into())
        }),
        ("idempotency key removed", |h| h.idempotency_key = None),
        ("if-match added", |h| h.if_match = Some("*".into())),
        ("if-none-match added", |h| {
            h.if_none_match = Some("*".into())
        }),
    ];
    for (what, change) in changes {
        let mut head = signed(head());
        change(&mut head);
        let finding = refused(head);
        assert!(
            matches!(finding, Finding::BadSignature | Finding::UnknownApp),
            "{what}: {finding:?}"
        );
    }
    let (_, result) = check(&apps("enforce"), signed(head()), b"{} ".to_vec(), NOW);
    assert!(result.is_err(), "body");
}

#[test]
fn headers_that_are_missing_or_not_of_their_form_are_refused_alike() {
    let forms: [Change; 20] = [
        ("no app id", |h| h.app_id = None),
        ("empty app id", |h| h.app_id = Some(String::new())),
        ("long app id", |h| h.app_id = Some("a".repeat(65))),
        ("repeated app id", |h| {
            h.app_id = Some("rn-ios, rn-ios".into())
        }),
        ("no timestamp", |h| h.timestamp = None),
        ("negative", |h| h.timestamp = Some("-1795348800".into())),
        ("float", |h| h.timestamp = Some("1795348800.0".into())),
        ("leading zero", |h| h.timestamp = Some("01795348800".into())),
        ("plus", |h| h.timestamp = Some("+1795348800".into())),
        ("too long", |h| h.timestamp = Some("179534880000".into())),
        ("no nonce", |h| h.nonce = None),
        ("short nonce", |h| {
            h.nonce = Some("Zm9vYmFyYmF6cXV4MTIzN".into())
        }),
        ("nonce with padding", |h| {
            h.nonce = Some("Zm9vYmFyYmF6cXV4MTIzNA==".into())
        }),
        ("no signature", |h| h.signature = None),
        ("upper-case hex", |h| {
            h.signature = h
                .signature
                .as_ref()
                .map(|s| s.to_uppercase().replace("V1", "v1"))
        }),
        ("63 digits", |h| h.signature.as_mut().unwrap().truncate(66)),
        ("v2", |h| {
            h.signature = h.signature.as_ref().map(|s| s.replace("v1", "v2"))
        }),
        ("two spaces", |h| {
            h.signature = h.signature.as_ref().map(|s| format!("{s}  {s}"))
        }),
        ("comma", |h| {
            h.signature = h.signature.as_ref().map(|s| format!("{s}, {s}"))
        }),
        ("two tokens", |h| {
            h.authorization = Some("Bearer a.b.c, Bearer a.b.c".into())
        }),
    ];
    for (what, change) in forms {
        let mut head = signed(head());
        change(&mut head);
        assert_eq!(refused(head), Finding::Incomplete, "{what}");
    }
}

#[test]
fn a_header_that_reads_like_an_absent_one_cannot_be_signed() {
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
fn the_window_is_300_seconds_either_way_and_comes_after_the_signature() {
    for (offset, inside) in [(-301, false), (-300, true), (300, true), (301, false)] {
        let mut late = head();
        late.timestamp = Some((NOW + offset).to_string());
        let (finding, result) = knock(signed(late));
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
fn an_unknown_app_gets_the_answer_of_a_bad_signature() {
    let mut unknown = head();
    unknown.app_id = Some("nobody".into());
    let (finding, unknown) = knock(signed(unknown));
    assert_eq!(finding, Finding::UnknownApp);
    let mut bad = signed(head());
    bad.nonce = Some("A".repeat(22));
    let (finding, bad) = knock(bad);
    assert_eq!(finding, Finding::BadSignature);
    assert_eq!(unknown.unwrap_err(), bad.unwrap_err());
}

#[test]
fn the_padding_keys_of_an_app_sign_nothing() {
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
fn nonces_are_claimed_for_enforced_mutations_only() {
    for (mode, method, claims) in [
        ("enforce", "POST", true),
        ("enforce", "PUT", true),
        ("enforce", "PATCH", true),
        ("enforce", "DELETE", true),
        ("enforce", "GET", false),
        ("enforce", "HEAD", false),
        ("report", "POST", false),
        ("off", "POST", false),
    ] {
        let mut head = head();
        head.method = method.into();
        let head = signed(head);
        let (_, result) = check(&apps(mode), head, b"{}".to_vec(), NOW);
        let request = result.unwrap();
        assert_eq!(request.claim().is_some(), claims, "{mode} {method}");
        assert_eq!(request.app_id().is_some(), mode != "off");
        if let Some(claim) = request.claim() {
            assert_eq!(claim.key, "rn-ios:Zm9vYmFyYmF6cXV4MTIzNA");
            assert_eq!(claim.keep_until, NOW + 360);
        }
    }
}

#[test]
fn report_lets_everything_pass_and_names_what_it_saw() {
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
fn debug_shows_no_token_no_signature_and_nothing_that_a_user_wrote() {
    let body = b"{\"title\":\"private\"}";
    let head = signed_with(SECRET, head(), body);
    let (_, result) = check(&apps("enforce"), head, body.to_vec(), NOW);
    let shown = format!("{:?}", result.unwrap());
    assert!(shown.contains("POST") && shown.contains("rn-ios"));
    for hidden in [
        "header.payload",
        "v1=",
        "private",
        "order-0001",
        "123, 34, 116",
    ] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

#[test]
fn the_bearer_scheme_is_read_in_any_case_with_one_space() {
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
