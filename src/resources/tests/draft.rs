use super::super::declaration::Declaration;
use super::super::kind::Kind;
use super::*;
use crate::response::Body;

/// The errors of a problem as `pointer code` each, as a client reads them.
fn errors<T>(result: Result<T, Problem>) -> Vec<String> {
    let Err(problem) = result else {
        panic!("the body was accepted");
    };
    assert_eq!(problem.code(), Code::ValidationFailed);
    listed(problem)
}

fn listed(problem: Problem) -> Vec<String> {
    let Body::Bytes(body) = problem.into_response("-").body else {
        panic!("a problem is not streamed");
    };
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let errors = body["errors"].as_array().unwrap().iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    errors.map(|error| format!("{} {}", text(&error["pointer"]), text(&error["code"]))).collect()
}

fn fields(json: &str) -> Vec<Field> {
    let json = format!(r#"{{"resources":{{"things":{{"owner":"user","fields":{{{json}}}}}}}}}"#);
    Declaration::parse(&json).unwrap().resources.remove(0).fields
}

fn note() -> Vec<Field> {
    fields(r#""title":"text(1..200)","body":"verbatim(0..20000) = ''""#)
}

fn every_kind() -> Vec<Field> {
    fields(
        r#""a":"text(1..9)","b":"verbatim(0..9)=''","c":"integer(0..9)?","d":"number(0..9)=1","e":"boolean=false",
           "f":"uuid?","g":"date?","h":"timestamp?","i":"one_of(x,y)='x'","j":"texts(3,3)=[]","k":"json(99)={}","l":"ref(things)?",
           "m":"decimal(5,2)='0.5'","n":"time?","o":"integers(3,0..9)=[]","p":"uuids(2)=[]""#,
    )
}

fn whole(fields: &[Field], body: &str) -> Result<Draft, Problem> {
    Draft::whole(fields, body.as_bytes())
}

fn patch(fields: &[Field], body: &str) -> Result<Draft, Problem> {
    Draft::patch(fields, body.as_bytes())
}

#[test]
fn absent_field_has_its_default() {
    let draft = whole(&note(), r#"{"title":" t "}"#).unwrap();
    assert_eq!(draft.json(), r#"{"title":"t","body":""}"#);
    assert_eq!(draft.text("title"), Some("t"));
    assert_eq!(draft.text("body"), Some(""));
    assert_eq!(draft.text("x"), None);
    assert_eq!(errors(whole(&note(), "{}")), ["/title required"]);
    assert_eq!(
        whole(&every_kind(), r#"{"a":"t"}"#).unwrap().json(),
        concat!(
            r#"{"a":"t","b":"","c":null,"d":1.0,"e":false,"f":null,"g":null,"h":null,"i":"x","j":[],"k":{},"#,
            r#""l":null,"m":"0.50","n":null,"o":[],"p":[]}"#
        )
    );
}

#[test]
fn parsed_values_are_sent_in_the_order_of_the_declaration() {
    let body = r#" { "l":"7efe3d84-2d6a-4174-899e-8ffddea7a39a", "k": { "z" : 1e2 } ,"j":["\u0061"],"i":"y",
        "p":["7efe3d84-2d6a-4174-899e-8ffddea7a39a"],"o":[ 1.0 ],"n":"09:30:00.10","m":"-1.5",
        "h":"2026-11-29T13:00:00+01:00","g":"2026-11-29","f":null,"e":true,"d":1e0,"c":5.0,"b":" \u00e9","a":" t " } "#;
    let draft = whole(&every_kind(), body).unwrap();
    assert_eq!(
        draft.json(),
        concat!(
            r#"{"a":"t","b":" é","c":5,"d":1.0,"e":true,"f":null,"g":"2026-11-29","#,
            r#""h":"2026-11-29T12:00:00.000000Z","i":"y","j":["a"],"k":{ "z" : 1e2 },"#,
            r#""l":"7efe3d84-2d6a-4174-899e-8ffddea7a39a","m":"-1.50","n":"09:30:00.1","o":[1],"#,
            r#""p":["7efe3d84-2d6a-4174-899e-8ffddea7a39a"]}"#
        )
    );
    assert_eq!(draft.text("i"), Some("y"));
    assert_eq!(draft.text("c"), None);
}

#[test]
fn patch_has_the_given_fields_and_at_least_one() {
    assert_eq!(patch(&note(), r#"{"body":""}"#).unwrap().json(), r#"{"body":""}"#);
    assert_eq!(patch(&every_kind(), r#"{"l":null,"c":1}"#).unwrap().json(), r#"{"c":1,"l":null}"#);
    assert_eq!(errors(patch(&note(), " { } ")), [" required"]);
    assert_eq!(errors(patch(&note(), r#"{"body":null}"#)), ["/body type"]);
    assert_eq!(errors(patch(&note(), r#"{"title":""}"#)), ["/title length"]);
    assert_eq!(errors(patch(&note(), r#"{"x":""}"#)), ["/x unknown"]);
}

#[test]
fn errors_come_all_at_once_in_the_order_of_the_declaration() {
    let body = r#"{"x":1,"l":"x","k":[],"j":[1,"","abcd"],"i":"z","h":"now","g":"today","f":1,"e":0,"d":"1","c":10,"b":"0123456789\u0000","id":2}"#;
    assert_eq!(
        errors(whole(&every_kind(), body)),
        [
            "/a required",
            "/b length",
            "/b characters",
            "/c range",
            "/d type",
            "/e type",
            "/f type",
            "/g format",
            "/h format",
            "/i one_of",
            "/j/0 type",
            "/j/1 length",
            "/j/2 length",
            "/k type",
            "/l format",
            "/x unknown",
        ]
    );
}

#[test]
fn member_that_is_given_twice_is_one_error() {
    assert_eq!(
        errors(whole(&note(), r#"{"title":null,"body":7,"title":"x","\u0074itle":"y","x":{}}"#)),
        ["/title duplicate", "/body type", "/x unknown"]
    );
    assert_eq!(errors(patch(&note(), r#"{"body":"","body":""}"#)), ["/body duplicate"]);
    assert_eq!(errors(whole(&note(), r#"{"title":"t","x":1,"y":1,"x":2}"#)), ["/x unknown", "/y unknown"]);
}

#[test]
fn members_that_are_not_the_clients_to_write_are_refused() {
    for name in ["user_id", "org_id", "id", "version", "created_at", "updated_at", "deleted_at", "Title", "title "] {
        let body = format!(r#"{{"title":"t","{name}":"x"}}"#);
        assert_eq!(errors(whole(&note(), &body)), [format!("/{name} unknown")]);
        assert_eq!(errors(patch(&note(), &body)), [format!("/{name} unknown")]);
    }
}

#[test]
fn pointer_escapes_and_shortens_names() {
    assert_eq!(errors(whole(&note(), r#"{"title":"t","a/b~c":[[1]]}"#)), ["/a~1b~0c unknown"]);
    let body = format!(r#"{{"title":"t","{}":1}}"#, "é".repeat(10_000));
    assert_eq!(errors(whole(&note(), &body)), [format!("/{} unknown", "é".repeat(64))]);
    let many: String = (0..1000).map(|i| format!(",\"{i}\":1")).collect();
    let all = errors(whole(&note(), &format!(r#"{{"title":1{many}}}"#)));
    assert_eq!(all.len(), 16);
    assert_eq!(all[..2], ["/title type", "/0 unknown"]);
}

#[test]
fn value_of_any_other_type_is_an_error() {
    for value in ["null", "true", "0", "-7", "1.5", "[]", "[[1],{}]", "{}", r#"{"a":{"a":[]}}"#] {
        let body = format!(r#"{{"title":{value}}}"#);
        assert_eq!(errors(whole(&note(), &body)), ["/title type"], "{value}");
        assert_eq!(errors(patch(&note(), &body)), ["/title type"], "{value}");
    }
    for body in ["[]", "1", "\"title\"", "null", "true", "-1.5", "[{}]", "1e400", r#""\ud800""#] {
        assert_eq!(errors(whole(&note(), body)), [" type"], "{body}");
    }
}

#[test]
fn text_that_is_not_json_is_malformed_wherever_its_fault_lies() {
    for body in [
        "",
        " ",
        "{",
        "[1,",
        "{\"title\":\"t\"",
        "{\"title\":\"t\"} x",
        "\u{feff}{}",
        "\u{a0}{}",
        "{title:1}",
        "{\"title\":\"\u{1}\"}",
        "[01]",
        "[1.]",
        "nul",
        "{\"x\":\"\\x\"}",
        "[\"a\" 1]",
        "{\"title\":1,}",
    ] {
        let problem = whole(&note(), body).unwrap_err();
        assert_eq!(problem.code(), Code::MalformedJson, "{body}");
    }
    let invalid = Draft::whole(&note(), b"{\"x\":\"\xc3\x28\"}").unwrap_err();
    assert_eq!(invalid.code(), Code::MalformedJson);
}

#[test]
fn extremes_are_refused_without_a_crash() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(errors(whole(&note(), &deep)), [" type"]);
    for field in ["a", "k", "j", "x"] {
        let body = format!(r#"{{"a":"t","{field}":{deep}}}"#);
        assert_eq!(errors(patch(&every_kind(), &body)).len(), 1, "{field}");
    }
    assert_eq!(
        errors(whole(&every_kind(), r#"{"a":"\ud800","c":1e400,"d":-1e400,"\udc00":1}"#)),
        ["/a value", "/c range", "/d value", " value"]
    );
    assert_eq!(errors(whole(&note(), r#"{"title":1e999}"#)), ["/title type"]);
}

#[test]
fn digest_is_of_the_meaning() {
    let kinds = every_kind();
    let digest = |body: &str| whole(&kinds, body).unwrap().digest();
    let plain = digest(r#"{"a":"t"}"#);
    assert_eq!(plain.len(), 64);
    for same in [
        r#"{"a":" t\n"}"#,
        r#"{"b":"","a":"\u0074"}"#,
        r#"{"a":"t","c":null,"d":1.00,"e":false,"f":null,"g":null,"h":null,"i":"x","j":[ ],"k":{ },"l":null}"#,
        r#"{"a":"t","m":"0.50","n":null,"o":[ ],"p":[ ]}"#,
    ] {
        assert_eq!(digest(same), plain, "{same}");
    }
    let mut all = vec![plain];
    for other in [
        r#"{"a":"u"}"#,
        r#"{"a":"t","b":"t"}"#,
        r#"{"a":"t","c":0}"#,
        r#"{"a":"t","d":0}"#,
        r#"{"a":"t","e":true}"#,
        r#"{"a":"t","i":"y"}"#,
        r#"{"a":"t","j":["a"]}"#,
        r#"{"a":"t","j":["a","b"]}"#,
        r#"{"a":"t","j":["a,b"]}"#,
        r#"{"a":"t","k":{"a":1}}"#,
        r#"{"a":"t","k":{"a":"1"}}"#,
        r#"{"a":"t","m":"0"}"#,
        r#"{"a":"t","m":"0.05"}"#,
        r#"{"a":"t","n":"09:30:00"}"#,
        r#"{"a":"t","o":[1,2]}"#,
        r#"{"a":"t","o":[2,1]}"#,
        r#"{"a":"t","p":["7efe3d84-2d6a-4174-899e-8ffddea7a39a"]}"#,
    ] {
        all.push(digest(other));
    }
    assert_eq!(digest(r#"{"a":"t","k":{"a":{"y":1,"x":2e0}}}"#), digest(r#"{"k":{"a":{"x":2,"y":1.0}},"a":"t"}"#));
    assert_eq!(
        digest(r#"{"a":"t","h":"2026-11-29T12:00:00Z"}"#),
        digest(r#"{"a":"t","h":"2026-11-29T13:00:00.000+01:00"}"#)
    );
    assert_eq!(digest(r#"{"a":"t","m":"1.5","n":"09:30:00"}"#), digest(r#"{"a":"t","m":"1.50","n":"09:30:00.000"}"#));
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[test]
fn digest_does_not_depend_on_the_order_of_the_declaration() {
    let one = fields(r#""a":"date?","b":"date?""#);
    let other = fields(r#""new":"integer(0..9)=3","b":"date?","a":"date?""#);
    let body = r#"{"a":"2026-11-29","b":"2026-11-30"}"#;
    assert_eq!(whole(&one, body).unwrap().digest(), whole(&other, body).unwrap().digest());
}

#[test]
fn fields_may_be_declared_in_code() {
    let values = ["owner", "editor", "viewer"].map(String::from).into();
    let role = Field::required("role", Kind::OneOf { values });
    let fields = [role];
    assert_eq!(whole(&fields, r#"{"role":"editor"}"#).unwrap().text("role"), Some("editor"));
    assert_eq!(errors(whole(&fields, r#"{"role":"Owner"}"#)), ["/role one_of"]);
}

#[expect(clippy::arithmetic_side_effects, reason = "test code")]
mod properties {
    use proptest::prelude::*;

    use super::*;

    /// A JSON string that means `text`, some of its characters escaped where that is allowed.
    fn spelled(text: &str, escape: &[bool]) -> String {
        let mut json = String::from("\"");
        for (place, character) in text.chars().enumerate() {
            let must = character < ' ' || matches!(character, '"' | '\\');
            if must || escape.get(place % escape.len().max(1)) == Some(&true) {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    json.push_str(&format!("\\u{unit:04X}"));
                }
            } else {
                json.push(character);
            }
        }
        json.push('"');
        json
    }

    /// Texts around a limit: of any characters, of one character only, with space around them.
    fn text(limit: usize) -> impl Strategy<Value = String> {
        let one = prop_oneof![any::<char>(), Just('\u{1f469}'), Just('\u{301}'), Just('\u{200b}')];
        prop_oneof![
            3 => any::<String>(),
            3 => prop::collection::vec(any::<char>(), 0..40).prop_map(String::from_iter),
            2 => (one, limit - 1..=limit + 1).prop_map(|(one, count)| one.to_string().repeat(count)),
            1 => "[ \t\u{a0}\u{2003}\u{3000}]{0,3}[a\0]{0,2}[ \n\u{85}\u{2028}]{0,3}",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..Default::default() })]

        #[test]
        fn texts_within_their_limits_are_not_changed(
            title in text(200), body in text(20_000), escape in prop::collection::vec(any::<bool>(), 0..4)
        ) {
            let json = format!(
                r#"{{"title":{},"body":{}}}"#,
                spelled(&title, &escape),
                spelled(&body, &escape)
            );
            let trimmed = title.trim_matches(char::is_whitespace);
            let good = (1..=200).contains(&trimmed.chars().count())
                && body.chars().count() <= 20_000
                && !trimmed.contains('\0')
                && !body.contains('\0');
            match whole(&note(), &json) {
                Ok(draft) => {
                    prop_assert!(good, "{}", json);
                    prop_assert_eq!(draft.text("title"), Some(trimmed));
                    let written: serde_json::Value = serde_json::from_str(draft.json()).unwrap();
                    prop_assert_eq!(written, serde_json::json!({"title": trimmed, "body": body}));
                }
                Err(problem) => {
                    prop_assert!(!good, "{}", json);
                    prop_assert_eq!(problem.code(), Code::ValidationFailed);
                }
            }
            prop_assert_eq!(patch(&note(), &json).is_ok(), good);
        }

        #[test]
        fn body_is_malformed_exactly_when_it_is_not_json(
            title in "\\PC{0,20}", cut in any::<prop::sample::Index>(),
            bytes in prop::collection::vec(any::<u8>(), 0..3), skip in 0..3_usize
        ) {
            let mut json = serde_json::json!({"title": title, "body": [null, 1.5, {"x": true}]})
                .to_string()
                .into_bytes();
            let from = cut.index(json.len() + 1);
            let to = (from + skip).min(json.len());
            json.splice(from..to, bytes);
            // `Value` also refuses half of a surrogate pair, which two bytes cannot make of this text.
            let is_json = serde_json::from_slice::<serde_json::Value>(&json).is_ok();
            let code = Draft::whole(&note(), &json).unwrap_err().code();
            prop_assert_eq!(code == Code::MalformedJson, !is_json, "{:?}", json);
        }

        #[test]
        fn draft_is_json_that_checks_to_itself(
            a in "[a-c ]{0,10}", c in -2..12_i32, d in any::<f64>(), j in prop::collection::vec("[a-c]{0,4}", 0..4),
            k in "\\{(\"[ab]\":([0-9]|\\{\\}|\"\\\\\\\\u0000\"),?){0,2}\\}"
        ) {
            let body = format!(r#"{{"a":"{a}","c":{c},"d":{},"j":{},"k":{k}}}"#, serde_json::json!(d), serde_json::json!(j));
            if let Ok(draft) = whole(&every_kind(), &body) {
                let again = whole(&every_kind(), draft.json()).unwrap();
                prop_assert_eq!(again.json(), draft.json());
                prop_assert_eq!(again.digest(), draft.digest());
            }
        }
    }
}

#[test]
fn field_that_the_database_fills_is_left_to_it() {
    let fields = fields(
        r#""a":"boolean? = false","b":"integer(0..9) = default","c":{"kind":"text(0..9)","read_only":true},
           "d":{"kind":"date?","column":"Due Date"}"#,
    );
    let draft = whole(&fields, "{}").unwrap();
    assert_eq!(draft.json(), r#"{"a":false,"d":null}"#);
    let given = whole(&fields, r#"{"a":null,"b":3,"d":"2026-01-31"}"#).unwrap();
    assert_eq!(given.json(), r#"{"a":null,"b":3,"d":"2026-01-31"}"#);
    assert_ne!(given.digest(), draft.digest());
    assert_eq!(whole(&fields, r#"{"a":false,"d":null}"#).unwrap().digest(), draft.digest());
    assert_ne!(whole(&fields, r#"{"a":null}"#).unwrap().digest(), draft.digest());
    assert_eq!(errors(whole(&fields, r#"{"c":"x","Due Date":null}"#)), ["/c unknown", "/Due Date unknown"]);
    assert_eq!(errors(patch(&fields, r#"{"c":"x"}"#)), ["/c unknown"]);
    assert_eq!(errors(whole(&fields, r#"{"b":null}"#)), ["/b type"]);
}
