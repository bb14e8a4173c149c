use super::*;

/// The value as JSON, or the errors as `pointer code` each.
fn check(kind: &Kind, raw: &str) -> String {
    match kind.check(raw) {
        Ok(value) => spelled(&value),
        Err(errors) => {
            let list = errors.into_list();
            let lines = list.into_iter().map(|error| match error.at {
                At::Pointer(pointer) => format!("{pointer} {}", error.code),
                At::Parameter(name) => panic!("{name}"),
            });
            lines.collect::<Vec<_>>().join(";")
        }
    }
}

/// Each line: the JSON sent, then the JSON stored or the errors.
fn check_all(kind: &Kind, lines: &[(&str, &str)]) {
    for (raw, expected) in lines {
        assert_eq!(check(kind, raw), *expected, "{kind:?} {raw}");
    }
}

/// The same, and every value of these other types is an error.
fn check_kind(kind: &Kind, wrong: &[&[&str]], lines: &[(&str, &str)]) {
    check_types(kind, wrong);
    check_all(kind, lines);
}

/// JSON values of each type.
const STRINGS: &[&str] = &[r#""""#, r#""a""#];
const NUMBERS: &[&str] = &["0", "-7", "1.5", "1e2"];
const OTHERS: &[&str] = &["null", "true", "false", "[]", "[1]", "{}", r#"{"a":1}"#];

fn check_types(kind: &Kind, wrong: &[&[&str]]) {
    for raw in wrong.concat() {
        assert_eq!(check(kind, raw), " type", "{kind:?} {raw}");
    }
}

#[test]
fn text_is_trimmed_then_counted_in_characters() {
    let kind = Kind::Text { min: 1, max: 5 };
    check_kind(
        &kind,
        &[NUMBERS, OTHERS],
        &[
            (r#""a""#, r#""a""#),
            (r#""\u00a0 a b \u3000""#, r#""a b""#),
            (r#""  12345\n""#, r#""12345""#),
            (r#"" \t\u2003 ""#, " length"),
            (r#""""#, " length"),
            (r#""123456""#, " length"),
            (r#""\u200b""#, "\"\u{200b}\""),
            (r#""\ud83d\udc69👩👩👩👩""#, "\"👩👩👩👩👩\""),
            (r#""👩👩👩👩👩👩""#, " length"),
            ("\"e\u{301}e\u{301}e\"", "\"e\u{301}e\u{301}e\""),
            (r#""a\u0000b""#, " characters"),
            (r#""\u0000 12345""#, " length; characters"),
            (r#""\ud800""#, " value"),
            (r#""\udc00\ud800""#, " value"),
            (r#""\ud83d x""#, " value"),
        ],
    );
}

#[test]
fn verbatim_keeps_every_character() {
    let kind = Kind::Verbatim { min: 0, max: 3 };
    check_kind(
        &kind,
        &[NUMBERS, OTHERS],
        &[
            (r#""""#, r#""""#),
            (r#"" a ""#, r#"" a ""#),
            (r#""\u0041\/\n""#, r#""A/\n""#),
            (r#"" a  ""#, " length"),
            (r#""\u0000""#, " characters"),
            (r#""\ud800""#, " value"),
        ],
    );
    check_all(&Kind::Verbatim { min: 2, max: 2 }, &[(r#""a""#, " length"), (r#""ab""#, r#""ab""#)]);
}

#[test]
fn message_of_a_length_names_the_limits() {
    for (kind, raw, message) in [
        (Kind::Text { min: 1, max: 200 }, r#""""#, "must have 1 to 200 characters after trimming"),
        (Kind::Verbatim { min: 0, max: 1 }, r#""ab""#, "must have at most 1 character"),
        (Kind::Verbatim { min: 3, max: 3 }, r#""ab""#, "must have exactly 3 characters"),
        (Kind::Integer { min: 0, max: 9 }, "10", "must be a whole number from 0 to 9"),
        (Kind::Number { min: 0.0, max: 1.5 }, "2", "must be a number from 0 to 1.5"),
        (Kind::OneOf { values: vec!["a".into(), "b c".into()] }, r#""x""#, "must be one of a, b c"),
        (
            Kind::Decimal { precision: 5, scale: 2 },
            r#""x""#,
            "must be a number in digits, with at most 2 after the point",
        ),
        (Kind::Decimal { precision: 5, scale: 2 }, r#""1234""#, "must have at most 3 digits before the point"),
        (Kind::Integers { items: 1, min: 0, max: 9 }, "1", "must be a list of whole numbers"),
        (Kind::Uuids { items: 1 }, "[1]", "at /0 must be a string"),
        (Kind::Texts { items: 0, length: 1 }, "[1]", "must have at most 0 items"),
        (Kind::Json { bytes: 2 }, r#"{ }"#, "must have at most 2 bytes"),
    ] {
        assert_eq!(kind.check(raw).unwrap_err().message(), message);
    }
}

#[test]
fn integer_is_whole_and_never_rounded_into_its_range() {
    let kind = Kind::Integer { min: -INTEGER_MAX, max: INTEGER_MAX };
    check_types(&kind, &[STRINGS, OTHERS]);
    let zeros = "0".repeat(400);
    check_all(
        &kind,
        &[
            ("0", "0"),
            ("-0", "0"),
            ("-0.0e5", "0"),
            ("0e400", "0"),
            ("1.0", "1"),
            ("1e2", "100"),
            ("1.50E+1", "15"),
            ("-12.50e1", "-125"),
            ("100e-2", "1"),
            ("0.1e1", "1"),
            (&format!("1{zeros}e-400"), "1"),
            (&format!("0.{zeros}1e401"), "1"),
            ("1e00000000000000000000000002", "100"),
            ("9007199254740991", "9007199254740991"),
            ("9.007199254740991e15", "9007199254740991"),
            ("-9007199254740991.000", "-9007199254740991"),
            ("9007199254740992", " range"),
            ("9007199254740993", " range"),
            ("-9007199254740992", " range"),
            ("18446744073709551616", " range"),
            ("1e300", " range"),
            ("1e400", " range"),
            ("-1e400", " range"),
            ("1.5e400", " range"),
            ("1e99999999999999999999", " range"),
            ("1.5", " type"),
            ("-0.5", " type"),
            ("1e-1", " type"),
            ("10.01e1", " type"),
            ("1e-400", " type"),
            ("1e-99999999999999999999", " type"),
            ("9007199254740991.5", " type"),
            ("1.00000000000000000000000000001", " type"),
            (&format!("1.{zeros}1"), " type"),
        ],
    );
    check_all(
        &Kind::Integer { min: -1, max: 10 },
        &[("-2", " range"), ("-1", "-1"), ("10", "10"), ("1.1e1", " range"), ("11", " range")],
    );
}

#[test]
fn number_is_the_nearest_double() {
    let kind = Kind::Number { min: -f64::MAX, max: f64::MAX };
    check_kind(
        &kind,
        &[STRINGS, OTHERS],
        &[
            ("0", "0.0"),
            ("1e2", "100.0"),
            ("0.1", "0.1"),
            ("1e-400", "0.0"),
            ("123456789012345678901234567890", "1.2345678901234568e+29"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("1.7976931348623159e308", " value"),
            ("1e400", " value"),
            ("-1e400", " value"),
            ("5e-324", "5e-324"),
            ("9007199254740993", "9007199254740992.0"),
        ],
    );
    check_all(
        &Kind::Number { min: -0.5, max: 1.5 },
        &[("-0.5", "-0.5"), ("1.5", "1.5"), ("-0.5000000000000001", " range"), ("1.5000000000000002", " range")],
    );
}

#[test]
fn decimal_has_the_form_in_which_the_database_prints_it() {
    let kind = Kind::Decimal { precision: 5, scale: 2 };
    check_kind(
        &kind,
        &[NUMBERS, OTHERS],
        &[
            (r#""0""#, r#""0.00""#),
            (r#""-0.0""#, r#""0.00""#),
            (r#""1.5""#, r#""1.50""#),
            (r#""-0.05""#, r#""-0.05""#),
            (r#""999.99""#, r#""999.99""#),
            (r#""-999.99""#, r#""-999.99""#),
            (r#""\u0031""#, r#""1.00""#),
            (r#""1000""#, " range"),
            (r#""-1000.00""#, " range"),
            (r#""1.234""#, " format"),
            (r#""1.000""#, " format"),
            (r#""01""#, " format"),
            (r#""00""#, " format"),
            (r#""+1""#, " format"),
            (r#""--1""#, " format"),
            (r#""1.""#, " format"),
            (r#"".5""#, " format"),
            (r#""-""#, " format"),
            (r#""1.2.3""#, " format"),
            (r#""1e2""#, " format"),
            (r#""1,5""#, " format"),
            (r#"" 1""#, " format"),
            (r#""NaN""#, " format"),
            (r#""٣""#, " format"),
            (r#""""#, " format"),
            (r#""\ud800""#, " value"),
        ],
    );
    check_all(&Kind::Decimal { precision: 3, scale: 0 }, &[(r#""999""#, r#""999""#), (r#""1.0""#, " format")]);
    let small = Kind::Decimal { precision: 2, scale: 2 };
    check_all(&small, &[(r#""0.99""#, r#""0.99""#), (r#""-0.01""#, r#""-0.01""#), (r#""1""#, " range")]);
    let long = format!(r#""{}""#, "9".repeat(1000));
    check_all(&Kind::Decimal { precision: 1000, scale: 0 }, &[(&long, &long)]);
}

#[test]
fn boolean_is_true_or_false() {
    check_all(&Kind::Boolean, &[("true", "true"), ("false", "false")]);
    check_types(&Kind::Boolean, &[STRINGS, NUMBERS, &["null", "[]", "{}", "[true]"]]);
}

#[test]
fn uuid_and_reference_are_in_lower_case() {
    for kind in [Kind::Uuid, Kind::Ref { resource: "notes".into(), bigint: false }] {
        check_kind(
            &kind,
            &[NUMBERS, OTHERS],
            &[
                (r#""7efe3d84-2d6a-4174-899e-8ffddea7a39a""#, r#""7efe3d84-2d6a-4174-899e-8ffddea7a39a""#),
                (r#""\u0037efe3d84-2d6a-4174-899e-8ffddea7a39a""#, r#""7efe3d84-2d6a-4174-899e-8ffddea7a39a""#),
                (r#""7EFE3D84-2D6A-4174-899E-8FFDDEA7A39A""#, " format"),
                (r#""7efe3d84-2d6a-4174-899e-8ffddea7a39""#, " format"),
                (r#""7efe3d84-2d6a-4174-899e-8ffddea7a39aa""#, " format"),
                (r#""7efe3d842d6a4174899e8ffddea7a39a""#, " format"),
                (r#""""#, " format"),
                (r#""\ud800""#, " value"),
            ],
        );
    }
}

#[test]
fn date_and_time_have_one_form() {
    check_kind(
        &Kind::Date,
        &[NUMBERS, OTHERS],
        &[
            (r#""2024-02-29""#, r#""2024-02-29""#),
            (r#""2026-02-29""#, " format"),
            (r#""0000-12-31""#, " format"),
            (r#""2026-11-29T00:00:00Z""#, " format"),
            (r#""\u0000""#, " format"),
        ],
    );
    check_kind(
        &Kind::Time,
        &[NUMBERS, OTHERS],
        &[
            (r#""09:30:00""#, r#""09:30:00""#),
            (r#""23:59:59.120""#, r#""23:59:59.12""#),
            (r#""24:00:00""#, " format"),
            (r#""09:30""#, " format"),
            (r#""09:30:00Z""#, " format"),
        ],
    );
    check_kind(
        &Kind::Timestamp,
        &[NUMBERS, OTHERS],
        &[
            (r#""2026-11-22T13:45:40.76+01:30""#, r#""2026-11-22T12:15:40.760000Z""#),
            (r#""2026-11-22T12:15:60Z""#, " format"),
            (r#""2026-11-22T12:15:40.1234567Z""#, " format"),
            (r#""infinity""#, " format"),
        ],
    );
}

#[test]
fn one_of_takes_only_its_values() {
    let kind = Kind::OneOf { values: vec!["draft".into(), "it's, new".into(), String::new()] };
    check_kind(
        &kind,
        &[NUMBERS, OTHERS],
        &[
            (r#""draft""#, r#""draft""#),
            (r#""dr\u0061ft""#, r#""draft""#),
            (r#""it's, new""#, r#""it's, new""#),
            (r#""""#, r#""""#),
            (r#""Draft""#, " one_of"),
            (r#"" draft""#, " one_of"),
            (r#""draft\u0000""#, " one_of"),
            (r#""\ud800""#, " value"),
        ],
    );
}

#[test]
fn texts_are_counted_and_checked_one_by_one() {
    let kind = Kind::Texts { items: 3, length: 2 };
    check_kind(
        &kind,
        &[STRINGS, NUMBERS, &["null", "true", "{}", r#"{"a":"b"}"#]],
        &[
            ("[]", "[]"),
            (r#"[ "a" , " b" ]"#, r#"["a"," b"]"#),
            (r#"["a","a","\u0061"]"#, r#"["a","a","a"]"#),
            (r#"["a","b","c","d"]"#, " items"),
            (r#"[1,2,3,4]"#, " items"),
            (r#"["","ab","abc"]"#, "/0 length;/2 length"),
            (r#"[null,["a"],1]"#, "/0 type;/1 type;/2 type"),
            (r#"["\u0000","\ud800","\u0000ab"]"#, "/0 characters;/1 value;/2 length;/2 characters"),
        ],
    );
    let many = format!("[1{}]", ",1".repeat(30));
    let kind = Kind::Texts { items: 31, length: 1 };
    assert_eq!(kind.check(&many).unwrap_err().into_list().len(), ERRORS_MAX);
}

#[test]
fn numbers_and_uuids_of_a_list_are_checked_one_by_one() {
    let kind = Kind::Integers { items: 3, min: -1, max: 9 };
    check_kind(
        &kind,
        &[STRINGS, NUMBERS, &["null", "true", "{}"]],
        &[
            ("[]", "[]"),
            ("[ -1 , 9.0, 0e5 ]", "[-1,9,0]"),
            ("[1,2,3,4]", " items"),
            (r#"[10,1.5,"1"]"#, "/0 range;/1 type;/2 type"),
            ("[null,[1],1e400]", "/0 type;/1 type;/2 range"),
        ],
    );
    let kind = Kind::Uuids { items: 2 };
    check_types(&kind, &[STRINGS, NUMBERS, &["null", "true", "{}"]]);
    let uuid = "7efe3d84-2d6a-4174-899e-8ffddea7a39a";
    check_all(
        &kind,
        &[
            ("[]", "[]"),
            (&format!(r#"["{uuid}"]"#), &format!(r#"["{uuid}"]"#)),
            (&format!(r#"["{}",1]"#, uuid.to_uppercase()), "/0 format;/1 type"),
            ("[1,2,3]", " items"),
        ],
    );
}

/// `{"a":{"a":...{}}}` or with lists inside, this deep.
fn nested(depth: usize, open: &str, close: &str) -> String {
    let inner = depth.saturating_sub(1);
    format!("{{\"a\":{}0{}}}", open.repeat(inner), close.repeat(inner))
}

#[test]
fn json_is_kept_as_it_was_sent() {
    let kind = Kind::Json { bytes: 1000 };
    check_types(&kind, &[STRINGS, NUMBERS, &["null", "true", "[]", "[{}]"]]);
    let sent = [
        "{}",
        r#"{ "b" : [1e2, -0.0, {"b":null}] , "a":"\u00e9\\u0000" }"#,
        r#"{"a:{[\"":1,"a":{"a":2},"":3,"\ud83d\ude00":1e308}"#,
        r#"{"123456789012345678901234567890":123456789012345678901234567890}"#,
        r#"{"a":[1.7976931348623157e308,-1.7976931348623157e308,5e-324,1e-400,0e400]}"#,
    ];
    for raw in sent {
        assert_eq!(check(&kind, raw), raw);
    }
    let deepest = [nested(32, "[", "]"), nested(32, "{\"a\":", "}")];
    for raw in &deepest {
        assert_eq!(check(&kind, raw), *raw);
    }
}

#[test]
fn json_cannot_grow_where_the_database_writes_its_numbers_out() {
    let kind = Kind::Json { bytes: 65_536 };
    let zeros = format!(r#"{{"a":-0.{}1,"b":"1e-9999"}}"#, "0".repeat(1000));
    check_all(
        &kind,
        &[
            (
                r#"{"1e-9999":[1e-16383,-1e-99999999999,0e20000,"\"1e-9999"]}"#,
                r#"{"1e-9999":[0.0,-0.0,0.0,"\"1e-9999"]}"#,
            ),
            (&zeros, r#"{"a":-0.0,"b":"1e-9999"}"#),
            (r#"{"a":[true,false,1E-990]}"#, r#"{"a":[true,false,1E-990]}"#),
        ],
    );
    let many = |number: &str, count: usize| format!(r#"{{"a":[{}]}}"#, vec![number; count].join(","));
    // 211 numbers of 310 digits are 65,410 bytes.
    assert_eq!(check(&kind, &many("1e308", 211)), many("1e308", 211));
    assert_eq!(check(&kind, &many("1e308", 212)), " size");
    let small = Kind::Json { bytes: 400 };
    assert_eq!(check(&small, &many("1e308", 52)), many("1e308", 52));
    assert_eq!(check(&small, &many("1e308", 53)), " size");
}

#[test]
fn json_that_would_change_on_its_way_is_refused() {
    let kind = Kind::Json { bytes: 300_000 };
    check_all(
        &kind,
        &[
            (r#"{"a":1,"a":1}"#, " duplicate"),
            (r#"{"a":1,"\u0061":2}"#, " duplicate"),
            (r#"{"x":[{"b":1,"c":{},"b":2}]}"#, " duplicate"),
            (r#"{"a":{"b":1},"a":{"c":1}}"#, " duplicate"),
            (r#"{"a":"\u0000"}"#, " characters"),
            (r#"{"a":["\\\u0000"]}"#, " characters"),
            (r#"{"a\u0000":1}"#, " characters"),
            (r#"{"a":"\ud800"}"#, " value"),
            (r#"{"\udc00":1}"#, " value"),
            (r#"{"a":[1e400]}"#, " value"),
            (&nested(33, "[", "]"), " depth"),
            (&nested(33, "{\"a\":", "}"), " depth"),
            (&nested(100_000, "[", "]"), " depth"),
            (&nested(40_000, "{\"a\":", "}"), " depth"),
        ],
    );
    let small = Kind::Json { bytes: 9 };
    check_all(
        &small,
        &[
            (r#"{"é":12}"#, r#"{"é":12}"#),
            (r#"{"é":123}"#, " size"),
            (r#"{ "a":1 }"#, r#"{ "a":1 }"#),
            (r#"{ "a":1  }"#, " size"),
        ],
    );
}

#[test]
fn canonical_json_is_the_same_for_every_spelling() {
    let canonical = |raw: &str| Value::Json(raw.to_owned()).canonical();
    let expected = r#"{"a":[1.0,100.0,null],"b":{"c":"é","d":true}}"#;
    for raw in
        [r#"{"a":[1,100,null],"b":{"c":"é","d":true}}"#, r#"{ "b":{"d":true, "c":"\u00e9"}, "\u0061":[1.0,1E2,null] }"#]
    {
        assert_eq!(canonical(raw), expected, "{raw}");
    }
    assert_ne!(canonical(r#"{"a":1}"#), canonical(r#"{"a":"1"}"#));
    assert_ne!(canonical(r#"{"a":[1,2]}"#), canonical(r#"{"a":[2,1]}"#));
    assert!(Value::Json(r#"{"a":1}"#.into()).means(&Value::Json(r#"{ "a":1.0}"#.into())));
    assert!(!Value::Json("{}".into()).means(&Value::Null));
}

#[test]
fn parts_are_those_of_one_object_or_list() {
    assert_eq!(parts(r#"{ "a" : [1] ,"a":2}"#, '{'), Some(vec![("\"a\"", "[1]"), ("\"a\"", "2")]));
    assert_eq!(parts(r#"[ 1 , "b"]"#, '['), Some(vec![("", "1"), ("", "\"b\"")]));
    assert_eq!(parts("[]", '['), Some(vec![]));
    for raw in ["[]", "1", "", "null", "{", "{}x", r#""{}""#] {
        assert_eq!(parts(raw, '{'), None, "{raw}");
    }
}

#[expect(clippy::arithmetic_side_effects, reason = "test code")]
mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..Default::default() })]

        #[test]
        fn integer_is_taken_in_every_spelling(value in -INTEGER_MAX..=INTEGER_MAX, zeros in 0..5_usize, shift in 0..20_i32) {
            let kind = Kind::Integer { min: -INTEGER_MAX, max: INTEGER_MAX };
            let expected = value.to_string();
            let digits = value.unsigned_abs().to_string();
            let (before, after) = digits.split_at(1);
            let sign = if value < 0 { "-" } else { "" };
            let places = after.len();
            for raw in [
                format!("{value}"),
                format!("{value}.{}", "0".repeat(zeros + 1)),
                format!("{value}{}e-{zeros}", "0".repeat(zeros)),
                format!("{sign}{before}.{after}0e{places}"),
                format!("{sign}0.{}{digits}E+{}", "0".repeat(zeros), digits.len() + zeros),
            ] {
                prop_assert_eq!(check(&kind, &raw), expected.as_str(), "{}", raw);
            }
            // A digit behind the point makes it a fraction, however small.
            let raw = format!("{value}.{}1", "0".repeat(usize::try_from(shift).unwrap()));
            prop_assert_eq!(check(&kind, &raw), " type", "{}", raw);
        }

        #[test]
        fn decimal_keeps_each_digit(value in any::<i64>(), scale in 0..18_u32, cut in 0..5_usize) {
            let power = 10_i128.pow(scale);
            let (sign, value) = (if value < 0 { "-" } else { "" }, i128::from(value).abs());
            let point = if scale == 0 { "" } else { "." };
            let fraction = if scale == 0 { String::new() } else { format!("{:0width$}", value % power, width = scale as usize) };
            let expected = format!("\"{sign}{}{point}{fraction}\"", value / power);
            let kind = Kind::Decimal { precision: 38, scale: scale.into() };
            prop_assert_eq!(check(&kind, &expected), expected.as_str());
            // Without the zeros at the end it is the same number.
            let zeros = fraction.len() - fraction.trim_end_matches('0').len();
            let shorter = fraction.get(..fraction.len() - zeros.min(cut)).unwrap();
            let point = if shorter.is_empty() { "" } else { "." };
            prop_assert_eq!(check(&kind, &format!("\"{sign}{}{point}{shorter}\"", value / power)), expected.as_str());
        }

        #[test]
        fn number_comes_back_as_the_same_double(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let kind = Kind::Number { min: -f64::MAX, max: f64::MAX };
            for raw in [spelled(&value), format!("{value:.800e}"), format!("{value:e}")] {
                let checked = kind.check(&raw).unwrap();
                prop_assert_eq!(&checked, &Value::Number(value));
                prop_assert_eq!(check(&kind, &raw).parse::<f64>().unwrap().to_bits(), bits);
            }
        }

        #[test]
        fn no_json_makes_a_check_panic(raw in "[-0-9.eE+\\[\\]{}\",:a\\\\u]{0,30}") {
            for kind in [
                Kind::Text { min: 0, max: 9 },
                Kind::Integer { min: 0, max: 9 },
                Kind::Number { min: 0.0, max: 9.0 },
                Kind::Timestamp,
                Kind::Date,
                Kind::Decimal { precision: 9, scale: 4 },
                Kind::Time,
                Kind::Texts { items: 9, length: 9 },
                Kind::Integers { items: 9, min: 0, max: 9 },
                Kind::Json { bytes: 99 },
            ] {
                let _ = kind.check(&raw);
            }
        }
    }
}
