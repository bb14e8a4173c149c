use super::super::grammar::COUNT_MAX;
use super::super::kind::INTEGER_MAX;
use super::*;
use crate::types::spelled;

/// A declaration of one resource with this inside.
fn resource(json: &str) -> String {
    format!(r#"{{"resources":{{"notes":{{{json}}}}}}}"#)
}

/// A declaration of one resource, of users, with these fields.
fn fields(json: &str) -> String {
    resource(&format!(r#""owner":"user","fields":{{{json}}}"#))
}

/// A declaration of one field, `title`.
fn field(text: &str) -> String {
    fields(&format!(r#""title":{}"#, spelled(text)))
}

fn parsed(text: &str) -> Field {
    let declaration = Declaration::parse(&field(text)).unwrap();
    declaration.resources[0].fields[0].clone()
}

fn refused(json: &str) -> String {
    Declaration::parse(json).unwrap_err()
}

const NOTES: &str = r#"{
  "resources": {
    "notes": {
      "owner": "both",
      "search": ["title", "body"],
      "publish": ["title", "body"],
      "fields": {"title": "text(1..200)", "body": "verbatim(0..20000) = ''"}
    }
  }
}"#;

#[test]
fn declaration_is_answered_in_the_form_of_the_tools() {
    assert_eq!(
        spelled(&Declaration::parse(NOTES).unwrap()),
        concat!(
            r#"{"organizations":true,"resources":[{"name":"notes","table":{"schema":"public","name":"notes"},"#,
            r#""owner":"both","owner_column":{"column":"user_id","set":"default"},"scope":"owner","read":null,"#,
            r#""id":{"kind":"uuid","column":"id"},"version":{"column":"version","kind":"integer"},"#,
            r#""created":"created_at","updated":"updated_at","deleted":"deleted_at","#,
            r#""routes":["list","read","create","put","patch","delete","restore","publish"],"#,
            r#""filters":{},"sorts":[],"count":false,"#,
            r#""search":["title","body"],"publish":["title","body"],"unique":{},"#,
            r#""fields":[{"name":"title","kind":"text","min":1,"max":200,"nullable":false,"#,
            r#""database_default":false,"column":"title","read_only":false},"#,
            r#"{"name":"body","kind":"verbatim","min":0,"max":20000,"nullable":false,"default":"","#,
            r#""database_default":false,"column":"body","read_only":false}]}]}"#
        )
    );
}

#[test]
fn every_kind_is_answered_in_the_form_of_the_tools() {
    let json = r#"{"organizations":false,"resources":{"zoo":{"owner":"user","unique":{"zoo_Key":"n","pair":["d","z"]},"fields":{
        "z":"text(0..9)?", "n":"integer(-5..1e2) = 5.0", "d":"number(-1.5..2e3)=0.5", "b":"boolean=false",
        "u":"uuid?", "day":"date = '2026-11-29'", "t":"timestamp = \"2026-11-29T13:00:00+01:00\"",
        "o":"one_of( a , 'b, (c)', 'it''s') = 'it''s'", "l":"texts( 3 , 9 ) = [ \"a\" ]", "j":"json( 99 ) = { \"b\" : 1e2 }",
        "r":"ref( zoo )?", "m":"decimal( 10 , 2 ) = '1.5'", "h":"time = '09:30:00.50'", "i":"integers( 3 , -1 .. 9 )?",
        "g":"uuids( 2 ) = []"}}}}"#;
    let checked = spelled(&Declaration::parse(json).unwrap());
    let (_, fields) = checked.split_once(r#""unique":{"zoo_Key":["n"],"pair":["d","z"]},"fields":"#).unwrap();
    let expected = [
        ("z", r#""kind":"text","min":0,"max":9,"nullable":true"#),
        ("n", r#""kind":"integer","min":-5,"max":100,"nullable":false,"default":5"#),
        ("d", r#""kind":"number","min":-1.5,"max":2000.0,"nullable":false,"default":0.5"#),
        ("b", r#""kind":"boolean","nullable":false,"default":false"#),
        ("u", r#""kind":"uuid","nullable":true"#),
        ("day", r#""kind":"date","nullable":false,"default":"2026-11-29""#),
        ("t", r#""kind":"timestamp","nullable":false,"default":"2026-11-29T12:00:00.000000Z""#),
        ("o", r#""kind":"one_of","values":["a","b, (c)","it's"],"nullable":false,"default":"it's""#),
        ("l", r#""kind":"texts","items":3,"length":9,"nullable":false,"default":["a"]"#),
        ("j", r#""kind":"json","bytes":99,"nullable":false,"default":{ "b" : 1e2 }"#),
        ("r", r#""kind":"ref","resource":"zoo","nullable":true"#),
        ("m", r#""kind":"decimal","precision":10,"scale":2,"nullable":false,"default":"1.50""#),
        ("h", r#""kind":"time","nullable":false,"default":"09:30:00.5""#),
        ("i", r#""kind":"integers","items":3,"min":-1,"max":9,"nullable":true"#),
        ("g", r#""kind":"uuids","items":2,"nullable":false,"default":[]"#),
    ]
    .map(|(name, kind)| {
        format!(r#"{{"name":"{name}",{kind},"database_default":false,"column":"{name}","read_only":false}}"#)
    });
    assert_eq!(fields, format!("[{}]}}]}}", expected.join(",")));
    assert!(serde_json::from_str::<serde_json::Value>(&checked).is_ok());
}

#[test]
fn absent_keys_have_a_meaning() {
    let declaration = Declaration::parse("{}").unwrap();
    assert!(declaration.organizations && declaration.resources.is_empty());
    assert_eq!(Declaration::parse(r#" {"resources":{}} "#).unwrap(), declaration);

    let declaration = Declaration::parse(&field("boolean")).unwrap();
    let notes = declaration.resource("notes").unwrap();
    assert_eq!(notes.name, "notes");
    assert_eq!((notes.search.len(), &notes.publish, notes.unique.len()), (0, &None, 0));
    assert!(declaration.resource("note").is_none());
}

#[test]
fn owner_tells_whose_rows_there_are() {
    for (owner, users, orgs) in [(Owner::User, true, false), (Owner::Org, false, true), (Owner::Both, true, true)] {
        let name = spelled(&owner);
        let json = resource(&format!(r#""owner":{name},"fields":{{"a":"boolean"}}"#));
        let parsed = Declaration::parse(&json).unwrap().resources[0].owner;
        assert_eq!(parsed, owner);
        assert_eq!((parsed.is_users(), parsed.is_orgs()), (users, orgs));
    }
}

#[test]
fn blanks_are_allowed_around_the_parts_of_a_field() {
    for text in ["text(1..200)='a'", " text ( 1 .. 200 )  =  'a' ", "text(1..200) =\t\"a\""] {
        let field = parsed(text);
        assert_eq!(field.kind, Kind::Text { min: 1, max: 200 }, "{text}");
        assert_eq!(field.default, Some(Value::Text("a".into())), "{text}");
        assert!(!field.nullable);
    }
    for text in ["date?", "date ?", " date  ? "] {
        assert!(parsed(text).nullable, "{text}");
    }
}

#[test]
fn limits_are_taken_to_their_extremes() {
    for (text, kind) in [
        ("text(0..0)", Kind::Text { min: 0, max: 0 }),
        ("verbatim(5..5)", Kind::Verbatim { min: 5, max: 5 }),
        ("text(0..2147483647)", Kind::Text { min: 0, max: COUNT_MAX }),
        ("integer(-9007199254740991..9007199254740991)", Kind::Integer { min: -INTEGER_MAX, max: INTEGER_MAX }),
        ("integer(-5..-5)", Kind::Integer { min: -5, max: -5 }),
        ("number(-1e308..1e308)", Kind::Number { min: -1e308, max: 1e308 }),
        ("number(1.5..2.5)", Kind::Number { min: 1.5, max: 2.5 }),
        ("decimal(1,0)", Kind::Decimal { precision: 1, scale: 0 }),
        ("decimal(1000,1000)", Kind::Decimal { precision: 1000, scale: 1000 }),
        ("time", Kind::Time),
        ("texts(1,1)", Kind::Texts { items: 1, length: 1 }),
        ("integers(1,0..0)", Kind::Integers { items: 1, min: 0, max: 0 }),
        ("uuids(2147483647)", Kind::Uuids { items: COUNT_MAX }),
        ("json(2)", Kind::Json { bytes: 2 }),
        ("one_of(a)", Kind::OneOf { values: vec!["a".into()] }),
        ("one_of(A-1_.,'')", Kind::OneOf { values: vec!["A-1_.".into(), String::new()] }),
    ] {
        assert_eq!(parsed(text).kind, kind, "{text}");
    }
    let longest = "v".repeat(63);
    assert_eq!(parsed(&format!("one_of({longest})")).kind, Kind::OneOf { values: vec![longest] });
}

#[test]
fn names_are_taken_to_their_extremes() {
    for name in ["a", "a_1", &"x".repeat(40), "mes", "org", "publish", "name", "text", "date", "data"] {
        let json = format!(r#"{{"resources":{{"{name}":{{"owner":"user","fields":{{"{name}":"date"}}}}}}}}"#);
        assert!(Declaration::parse(&json).is_ok(), "{name}");
    }
}

#[test]
fn file_that_is_wrong_is_refused_with_a_sentence() {
    for (json, sentence) in [
        ("", "airlock.toml: must be a table."),
        ("[]", "airlock.toml: must be a table."),
        ("{} {}", "airlock.toml: must be a table."),
        (
            r#"{"organisations":true}"#,
            "airlock.toml: organisations is not a key; the keys are organizations, resources and functions.",
        ),
        (r#"{"organizations":"yes"}"#, "organizations: must be true or false."),
        (r#"{"organizations":true,"organizations":true}"#, "airlock.toml: has organizations twice; remove one."),
        (r#"{"resources":[]}"#, "resources: must be a table."),
        (r#"{"\ud800":1}"#, "airlock.toml: has a key that is not text."),
        (r#"{"resources":{"notes":1}}"#, "resources.notes: must be a table."),
        (
            r#"{"resources":{"notes":{"owner":"user","fields":{"a":"date"}},"notes":{}}}"#,
            "resources: has notes twice; remove one.",
        ),
        (
            r#"{"organizations":false,"resources":{"notes":{"owner":"both","fields":{"a":"date"}}}}"#,
            "resources.notes.owner: there are no organisations with organizations = false; write owner = \"user\".",
        ),
        (
            r#"{"resources":{"notes":{"owner":"org","fields":{"a":"date"}}},"organizations":false}"#,
            "resources.notes.owner: there are no organisations with organizations = false; write owner = \"user\".",
        ),
    ] {
        assert_eq!(refused(json), sentence, "{json}");
    }
}

#[test]
fn section_that_is_wrong_is_refused_with_a_sentence() {
    let rest = r#""owner":"user","fields":{"title":"text(1..200)","day":"date"}"#;
    for (json, sentence) in [
        ("", "resources.notes: needs an owner: \"user\", \"org\" or \"both\"."),
        (r#""owner":"team""#, "resources.notes.owner: must be \"user\", \"org\" or \"both\"."),
        (r#""owner":1"#, "resources.notes.owner: must be \"user\", \"org\" or \"both\"."),
        (r#""owner":"user""#, "resources.notes.fields: needs at least one field, such as title = \"text(1..200)\"."),
        (
            r#""owner":"user","fields":{}"#,
            "resources.notes.fields: needs at least one field, such as title = \"text(1..200)\".",
        ),
        (r#""owner":"user","fields":["a"]"#, "resources.notes.fields: must be a table."),
        (r#""owner":"user","owner":"user""#, "resources.notes: has owner twice; remove one."),
        (
            r#""above":"teams""#,
            "resources.notes: above is not a key; the keys are table, id, owner, scope, under, read, version, created, updated, \
             deleted, routes, filters, sorts, count, search, publish, unique, embed and fields.",
        ),
        (
            &format!(r#""search":"title",{rest}"#),
            "resources.notes.search: must be a list of names of fields, such as [\"title\"].",
        ),
        (
            &format!(r#""search":[1],{rest}"#),
            "resources.notes.search: must be a list of names of fields, such as [\"title\"].",
        ),
        (&format!(r#""search":["title","title"],{rest}"#), "resources.notes.search: has title twice; remove one."),
        (
            &format!(r#""search":["titel"],{rest}"#),
            "resources.notes.search: there is no field titel; declare it or leave it out.",
        ),
        (
            &format!(r#""search":["day"],{rest}"#),
            "resources.notes.search: day is not a text or verbatim field; leave it out.",
        ),
        (
            &format!(r#""publish":[],{rest}"#),
            "resources.notes.publish: names no field; name at least one, or leave publish out.",
        ),
        (&format!(r#""publish":["day","day"],{rest}"#), "resources.notes.publish: has day twice; remove one."),
        (
            &format!(r#""publish":["id"],{rest}"#),
            "resources.notes.publish: there is no field id; declare it or leave it out.",
        ),
        (&format!(r#""unique":["title"],{rest}"#), "resources.notes.unique: must be a table."),
        (
            &format!(r#""unique":{{"notes_key":[]}},{rest}"#),
            "resources.notes.unique.notes_key: must be the name of a field, or a list of names.",
        ),
        (
            &format!(r#""unique":{{"notes_key":7}},{rest}"#),
            "resources.notes.unique.notes_key: must be the name of a field, or a list of names.",
        ),
        (
            &format!(r#""unique":{{"notes_key":["title","title"]}},{rest}"#),
            "resources.notes.unique: has title twice; remove one.",
        ),
        (
            &format!(r#""unique":{{"notes_key":["title","titel"]}},{rest}"#),
            "resources.notes.unique: there is no field titel; declare it or leave it out.",
        ),
        (
            &format!(r#""unique":{{"notes_key":"titel"}},{rest}"#),
            "resources.notes.unique: there is no field titel; declare it or leave it out.",
        ),
        (
            &format!(r#""unique":{{"":"title"}},{rest}"#),
            "resources.notes.unique: a constraint's name has 1 to 63 bytes.",
        ),
        (
            &format!(r#""unique":{{"{}":"title"}},{rest}"#, "k".repeat(64)),
            "resources.notes.unique: a constraint's name has 1 to 63 bytes.",
        ),
    ] {
        assert_eq!(refused(&resource(json)), sentence, "{json}");
    }
}

#[test]
fn name_that_cannot_be_is_refused_with_a_sentence() {
    let form = "a name has 1 to 40 of a-z, 0-9 and _, and begins with a letter.";
    let long = "x".repeat(41);
    for name in ["", "Notes", "1a", "_a", "a-b", "a b", "é", "a\\u0000", long.as_str()] {
        let json = format!(r#"{{"resources":{{"{name}":{{}}}}}}"#);
        assert!(refused(&json).ends_with(form), "{name}");
        assert!(refused(&fields(&format!(r#""{name}":"date""#))).ends_with(form), "{name}");
    }
    for (name, sentence) in [
        ("order", "order is a reserved word of PostgreSQL; choose another name."),
        ("user", "user is a reserved word of PostgreSQL; choose another name."),
        ("left", "left is a reserved word of PostgreSQL; choose another name."),
        ("version", "version is a column of every table; choose another name."),
        ("airlock_search", "airlock_search is a column of every table; choose another name."),
        ("ctid", "ctid is a column of every table; choose another name."),
    ] {
        let json = format!(r#"{{"resources":{{"{name}":{{}}}}}}"#);
        assert_eq!(refused(&json), format!("resources.{name}: {sentence}"));
        let json = fields(&format!(r#""{name}":"date""#));
        assert_eq!(refused(&json), format!("resources.notes.fields.{name}: {sentence}"));
    }
    for name in ["me", "orgs", "public", "airlock", "airlock_things", "airlocks"] {
        let json = format!(r#"{{"resources":{{"{name}":{{}}}}}}"#);
        let sentence = format!("resources.{name}: {name} is reserved by Airlock; choose another name.");
        assert_eq!(refused(&json), sentence);
    }
    assert!(RESERVED.is_sorted());
    for name in ["members", "invitations"] {
        let json =
            |owner: &str| format!(r#"{{"resources":{{"{name}":{{"owner":"{owner}","fields":{{"a":"date"}}}}}}}}"#);
        let sentence = format!("/v1/orgs/{{org_id}}/{name} is a path of organisations; choose another name.");
        assert_eq!(refused(&json("both")), format!("resources.{name}: {sentence}"));
        assert!(Declaration::parse(&json("user")).is_ok());
    }
}

#[test]
fn field_that_is_wrong_is_refused_with_a_sentence() {
    let text = "needs both limits, the lower one first, such as text(1..200).";
    let integer = "needs both limits, whole and within +-9007199254740991, such as integer(0..100).";
    let number = "needs both limits, the lower one first, such as number(0..1.5).";
    let one_of = "needs different values of A-Z a-z 0-9 _ . - or in single quotes, such as one_of(draft,final).";
    let texts = "needs a number of items and a length, such as texts(20,50).";
    let decimal = "needs 1 to 1000 digits and how many of them are after the point, such as decimal(10,2).";
    let integers = "needs a number of items and both limits, such as integers(20,0..100).";
    let uuids = "needs a number of items, such as uuids(20).";
    let json = "needs the greatest size in bytes, 2 or more, such as json(4096).";
    let long = format!("one_of({})", "v".repeat(64));
    for (field_text, start, rest) in [
        ("text", "text", text),
        ("text()", "text()", text),
        ("text(0..)", "text(0..)", text),
        ("text(..5)", "text(..5)", text),
        ("text(5)", "text(5)", text),
        ("text(5..1)?", "text(5..1)", text),
        ("text(-1..5)", "text(-1..5)", text),
        ("text(+1..5)", "text(+1..5)", text),
        ("text(1..5.0)", "text(1..5.0)", text),
        ("text( a..b )", "text(a..b)", text),
        ("text(0..2147483648)", "text(0..2147483648)", text),
        ("verbatim(1,5)", "verbatim(1,5)", "needs both limits, the lower one first, such as verbatim(0..20000)."),
        ("integer", "integer", integer),
        ("integer(1..0)", "integer(1..0)", integer),
        ("integer(0..1.5)", "integer(0..1.5)", integer),
        ("integer(0..9007199254740992)", "integer(0..9007199254740992)", integer),
        ("integer(-9007199254740992..0)", "integer(-9007199254740992..0)", integer),
        ("integer(0..0x10)", "integer(0..0x10)", integer),
        ("integer(00..10)", "integer(00..10)", integer),
        ("number(0..inf)", "number(0..inf)", number),
        ("number(nan..1)", "number(nan..1)", number),
        ("number(0..1e400)", "number(0..1e400)", number),
        ("number(0....5)", "number(0....5)", number),
        ("number(1.5..1.4)", "number(1.5..1.4)", number),
        ("decimal", "decimal", decimal),
        ("decimal()", "decimal()", decimal),
        ("decimal(10)", "decimal(10)", decimal),
        ("decimal(0,0)", "decimal(0,0)", decimal),
        ("decimal(2,3)", "decimal(2,3)", decimal),
        ("decimal(10,-2)", "decimal(10,-2)", decimal),
        ("decimal(1001,0)", "decimal(1001,0)", decimal),
        ("decimal(0..9)", "decimal(0..9)", decimal),
        ("time(6)", "time(6)", "needs no limits; write time."),
        ("integers(5)", "integers(5)", integers),
        ("integers(0,0..9)", "integers(0,0..9)", integers),
        ("integers(5,9..0)", "integers(5,9..0)", integers),
        ("integers(5,0.5..9)", "integers(5,0.5..9)", integers),
        ("uuids", "uuids", uuids),
        ("uuids(0)", "uuids(0)", uuids),
        ("uuids(1,2)", "uuids(1,2)", uuids),
        ("decimal(5,2) = 1.5", "the default 1.5", "must be a string; change it."),
        (
            "decimal(5,2) = '1.234'",
            "the default '1.234'",
            "must be a number in digits, with at most 2 after the point; change it.",
        ),
        (
            "time = '9:30'",
            "the default '9:30'",
            "must be a time of day with at most six fraction digits, such as 09:30:00; change it.",
        ),
        ("boolean()", "boolean()", "needs no limits; write boolean."),
        ("uuid(4)", "uuid(4)", "needs no limits; write uuid."),
        ("date(1..2)", "date(1..2)", "needs no limits; write date."),
        ("timestamp(6)", "timestamp(6)", "needs no limits; write timestamp."),
        ("one_of", "one_of", one_of),
        ("one_of()", "one_of()", one_of),
        ("one_of(a,)", "one_of(a,)", one_of),
        ("one_of(a,a)", "one_of(a,a)", one_of),
        ("one_of(a,'a')", "one_of(a,'a')", one_of),
        ("one_of(a b)", "one_of(a b)", one_of),
        ("one_of('it's)')", "one_of('it's)", one_of),
        ("one_of('a\0')", "one_of('a\0')", one_of),
        (&long, &long, one_of),
        ("texts(5)", "texts(5)", texts),
        ("texts(0,5)", "texts(0,5)", texts),
        ("texts(5,0)", "texts(5,0)", texts),
        ("texts(5,5,5)", "texts(5,5,5)", texts),
        ("json", "json", json),
        ("json(1)", "json(1)", json),
        ("json(2..9)", "json(2..9)", json),
        ("ref", "ref", "needs the name of a resource, such as ref(projects)."),
        ("ref()", "ref()", "needs the name of a resource, such as ref(projects)."),
        ("ref(books)", "ref(books)", "needs the name of a declared resource; declare it, or name another."),
        ("text(1..5", "text(1..5", "needs a closing parenthesis."),
        ("one_of('a)", "one_of('a)", "needs a closing parenthesis."),
        (
            "string(1..5)",
            "string(1..5)",
            "does not begin with a kind; the kinds are text, verbatim, integer, number, decimal, boolean, uuid, date, \
             time, timestamp, one_of, texts, integers, uuids, json, ref.",
        ),
        (
            "",
            "it has no kind;",
            "the kinds are text, verbatim, integer, number, decimal, boolean, uuid, date, time, timestamp, one_of, texts, \
             integers, uuids, json, ref.",
        ),
        ("date!", "!", "is not understood; after the kind write ? (may be null), = and a default, or nothing."),
        ("date??", "??", "is not understood; after the kind write ? (may be null), = and a default, or nothing."),
        ("text(1..5)é", "é", "is not understood; after the kind write ? (may be null), = and a default, or nothing."),
        (
            "text(1..5) = a",
            "the default a is not JSON;",
            "write text in single quotes, such as = 'a', and others as JSON.",
        ),
        (
            "text(1..5) = 'it's'",
            "the default 'it's' is not JSON;",
            "write text in single quotes, such as = 'a', and others as JSON.",
        ),
        (
            "boolean = True",
            "the default True is not JSON;",
            "write text in single quotes, such as = 'a', and others as JSON.",
        ),
        ("date = null", "null is not a default;", "write ? after the kind instead."),
        ("text(1..5) = ' '", "the default ' '", "must have 1 to 5 characters after trimming; change it."),
        ("text(1..5) = 5", "the default 5", "must be a string; change it."),
        ("integer(0..5) = 6", "the default 6", "must be a whole number from 0 to 5; change it."),
        ("one_of(a,b) = 'c'", "the default 'c'", "must be one of a, b; change it."),
        (
            "texts(1,5) = ['']",
            "the default [''] is not JSON;",
            "write text in single quotes, such as = 'a', and others as JSON.",
        ),
        ("text(1..5) =", "there is no default after =;", "write one, or leave = out. An empty text is = ''."),
        (r#"texts(1,5) = [""]"#, r#"the default [""]"#, "at /0 must have 1 to 5 characters; change it."),
        ("json(9) = []", "the default []", "must be an object; change it."),
    ] {
        let sentence = format!("resources.notes.fields.title: {start} {rest}");
        assert_eq!(refused(&field(field_text)), sentence, "{field_text}");
    }
    for raw in ["1", "{}", "null", r#""\ud800""#] {
        assert_eq!(
            refused(&fields(&format!(r#""title":{raw}"#))),
            "resources.notes.fields.title: must be a kind of field in quotes, such as \"text(1..200)\"."
        );
    }
    assert_eq!(
        refused(&fields(r#""title":"date","title":"date""#)),
        "resources.notes.fields: has title twice; remove one."
    );
}

/// Two resources, `from` with a reference to `to`.
fn reference(from: &str, to: &str, kind: &str) -> Result<Declaration, String> {
    Declaration::parse(&format!(
        r#"{{"resources":{{"a":{{"owner":"{from}","fields":{{"link":"{kind}"}}}},"b":{{"owner":"{to}","fields":{{"x":"date"}}}}}}}}"#
    ))
}

#[test]
fn reference_goes_to_rows_that_a_row_of_this_owner_may_name() {
    for (from, to, kind) in [
        ("user", "user", "ref(b)"),
        ("user", "org", "ref(b)"),
        ("user", "both", "ref(b)"),
        ("org", "org", "ref(b)"),
        ("org", "both", "ref(b)"),
        ("both", "both", "ref(b)"),
        ("both", "org", "ref(b)"),
        ("both", "user", "ref(b)?"),
    ] {
        assert!(reference(from, to, kind).is_ok(), "{from} {to} {kind}");
    }
    for (from, to, kind) in [("org", "user", "ref(b)"), ("org", "user", "ref(b)?"), ("both", "user", "ref(b)")] {
        assert_eq!(
            reference(from, to, kind).unwrap_err(),
            "resources.a.fields.link: ref(b) can never be set in an organisation's row; \
             declare b with owner = \"both\" or \"org\".",
            "{from} {to} {kind}"
        );
    }
}

#[test]
fn required_references_form_no_circle() {
    let declare = |a: &str, b: &str, c: &str| {
        Declaration::parse(&format!(
            r#"{{"resources":{{"a":{{"owner":"user","fields":{{"x":"{a}"}}}},"b":{{"owner":"user","fields":{{"y":"{b}"}}}},"c":{{"owner":"user","fields":{{"z":"{c}"}}}}}}}}"#
        ))
    };
    assert!(declare("ref(a)?", "ref(c)", "ref(a)").is_ok());
    assert!(declare("ref(b)", "ref(c)", "ref(a)?").is_ok());
    let circle = "is required in a circle, so that no row could be the first;";
    for (a, b, c, sentence) in [
        ("ref(a)", "date", "date", format!("resources.a.fields.x: ref(a) {circle} write ref(a)?.")),
        ("date", "ref(c)", "ref(b)", format!("resources.b.fields.y: ref(c) {circle} write ref(c)?.")),
        ("ref(b)", "ref(c)", "ref(a)", format!("resources.a.fields.x: ref(b) {circle} write ref(b)?.")),
    ] {
        assert_eq!(declare(a, b, c).unwrap_err(), sentence);
    }
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_text_as_a_field_is_a_field_or_a_sentence(
            text in "(text|integer|number|one_of|texts|json|ref|date)?[ (]{0,2}[0-9a.,'e-]{0,8}[ )]{0,2}[?=]?\\PC{0,6}"
        ) {
            match Declaration::parse(&field(&text)) {
                Ok(declaration) => {
                    let checked = spelled(&declaration);
                    prop_assert!(serde_json::from_str::<serde_json::Value>(&checked).is_ok(), "{}", checked);
                }
                Err(sentence) => {
                    prop_assert!(sentence.starts_with("resources.notes.fields.title: "), "{}", sentence);
                    prop_assert!(sentence.ends_with('.'), "{}", sentence);
                }
            }
        }

        #[test]
        fn quoted_text_is_read_as_it_was_meant(text in "[^\0]{0,20}", values in prop::collection::btree_set("[^\0]{0,8}", 1..4)) {
            let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
            let field = parsed(&format!("verbatim(0..99) = {}", quoted(&text)));
            prop_assert_eq!(field.default, Some(Value::Text(text)));
            let list: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            let field = parsed(&format!("one_of({})?", list.join(" , ")));
            prop_assert_eq!(field.kind, Kind::OneOf { values: values.into_iter().collect() });
        }

        #[test]
        fn any_text_is_a_declaration_or_a_sentence(text in "\\PC{0,40}") {
            prop_assert_eq!(Declaration::parse(&text).is_ok(), text.trim() == "{}");
        }
    }
}

// Tables that were there before.

const TODOS: &str = r#"{"resources":{"todos":{
    "table": "app.To Dos", "id": {"kind": "bigint", "column": "todo id"}, "owner": {"column": "user_id", "set": "worker"},
    "scope": "visible", "version": {"column": "changed", "kind": "timestamp"}, "created": "inserted_at", "updated": false,
    "deleted": false, "routes": ["list", "read", "create", "patch", "delete"], "unique": {"todos_task_key": "task"},
    "filters": {"done": ["eq"], "due": ["gte", "lt", "is"]}, "sorts": ["created", "rank"], "count": true,
    "fields": {
        "task": "text(4..100)?", "done": {"kind": "boolean? = false", "column": "isDone"}, "rank": "integer(0..10) = default",
        "due": "date?", "status": {"kind": "text(0..100)", "read_only": true}, "order": "integer(0..9)?",
        "user_id": {"kind": "uuid", "read_only": true}, "updated_at": "timestamp?", "parent": "ref(todos)?"
    }
}}}"#;

#[test]
fn table_that_was_there_is_declared_by_its_columns() {
    let declaration = Declaration::parse(TODOS).unwrap();
    let todos = &declaration.resources[0];
    let json = spelled(todos);
    let start = concat!(
        r#"{"name":"todos","table":{"schema":"app","name":"To Dos"},"owner":"user","#,
        r#""owner_column":{"column":"user_id","set":"worker"},"scope":"visible","read":null,"#,
        r#""id":{"kind":"bigint","column":"todo id"},"version":{"column":"changed","kind":"timestamp"},"#,
        r#""created":"inserted_at","updated":null,"deleted":null,"#,
        r#""routes":["list","read","create","patch","delete"],"#,
        r#""filters":{"done":["eq"],"due":["gte","lt","is"]},"sorts":["created","rank"],"count":true,"#
    );
    assert!(json.starts_with(start), "{json}");
    let field = |name| todos.field(name).unwrap();
    assert!(field("done").nullable);
    assert_eq!(field("done").default, Some(Value::Boolean(false)));
    assert_eq!((field("done").column.as_str(), field("task").column.as_str()), ("isDone", "task"));
    assert!(field("rank").database_default && field("rank").default.is_none());
    assert!(field("status").read_only);
    assert_eq!(field("parent").kind, Kind::Ref { resource: "todos".into(), bigint: true });
}

#[test]
fn absent_routes_are_all_that_there_can_be() {
    let routes = |keys: &str| {
        let json = resource(&format!(r#"{keys},"fields":{{"a":"date"}}"#));
        Declaration::parse(&json).unwrap().resources[0].routes.clone()
    };
    let all = [Verb::List, Verb::Read, Verb::Create, Verb::Put, Verb::Patch, Verb::Delete, Verb::Restore];
    assert_eq!(routes(r#""owner":"user""#), all);
    assert_eq!(routes(r#""owner":"user","deleted":false"#), all[..6]);
    assert_eq!(routes(r#""owner":"user","id":"owner""#), [Verb::Read, Verb::Put, Verb::Patch]);
    let listed = routes(r#""owner":"user","id":"owner","routes":["read","delete"]"#);
    assert_eq!(listed, [Verb::Read, Verb::Delete]);
    let json = resource(r#""owner":"user","fields":{"a":{"kind":"date","read_only":true}}"#);
    let reading = [Verb::List, Verb::Read, Verb::Create, Verb::Delete, Verb::Restore];
    assert_eq!(Declaration::parse(&json).unwrap().resources[0].routes, reading);
}

#[test]
fn id_that_is_the_owner_is_one_column() {
    let column = |keys: &str| {
        let json = resource(&format!(r#"{keys},"fields":{{"a":"date"}}"#));
        let Resource { id, owner_column, .. } = Declaration::parse(&json).unwrap().resources.remove(0);
        assert_eq!(owner_column.column.as_deref(), Some(id.column.as_str()), "{keys}");
        id.column
    };
    assert_eq!(column(r#""owner":"user","id":"owner""#), "id");
    assert_eq!(column(r#""owner":{"column":"uid","set":"worker"},"id":"owner""#), "uid");
    assert_eq!(column(r#""owner":"user","id":{"kind":"owner","column":"uid"}"#), "uid");
    assert_eq!(column(r#""owner":{"column":"uid","set":"default"},"id":{"kind":"owner","column":"uid"}"#), "uid");
}

#[test]
fn sort_by_something_that_may_be_null_says_where_null_comes() {
    let json = resource(
        r#""owner":"user","sorts":["a nulls last","updated nulls last","b"],"fields":{"a":"date?","b":"date"}"#,
    );
    assert_eq!(Declaration::parse(&json).unwrap().resources[0].sorts, ["a", "updated", "b"]);
}

#[test]
fn rows_with_readers_are_only_read_unless_routes_say_more() {
    let routes = |keys: &str| {
        let json = resource(&format!(r#"{keys},"deleted":false,"fields":{{"a":"date"}}"#));
        let Resource { routes, scope, .. } = Declaration::parse(&json).unwrap().resources.remove(0);
        assert_eq!(scope, Scope::Visible, "{keys}");
        routes
    };
    for readers in ["user", "app"] {
        let keys = format!(r#""owner":{{"set":"none"}},"read":"{readers}""#);
        assert_eq!(routes(&keys), [Verb::List, Verb::Read]);
    }
    let author = r#""owner":{"column":"author","set":"worker"},"scope":"visible","read":"user""#;
    assert_eq!(routes(author), [Verb::List, Verb::Read]);
    assert_eq!(routes(&format!(r#"{author},"routes":["list","create"]"#)), [Verb::List, Verb::Create]);
}

const READ: &str = "read: is for rows without an owner or shown to others; write owner = { set = \"none\" }, and leave scope, \
                    under and id = \"owner\" out.";

#[test]
fn keys_that_contradict_each_other_are_refused_with_a_sentence() {
    let own = r#""owner":{"column":"user_id","set":"worker"}"#;
    for (keys, sentence) in [
        (r#""owner":{"column":"user_id"}"#, "owner: needs set: \"worker\", \"default\" or \"none\"."),
        (r#""owner":{"set":"worker"}"#, "owner: needs a column, or set = \"none\"."),
        (r#""owner":{"set":"none"}"#, "owner: needs a column, unless scope = \"visible\"."),
        (r#""owner":{"set":"nobody"}"#, "owner.set: must be \"worker\", \"default\" or \"none\"."),
        (r#""owner":{"by":"user_id"}"#, "owner: by is not a key; the keys are column and set."),
        (
            r#""owner":"both","id":"bigint""#,
            "owner: an organisation's rows have a UUID as id and scope = \"owner\"; write owner = \"user\", or leave id \
             and scope out.",
        ),
        (
            r#""owner":"org","scope":"visible""#,
            "owner: an organisation's rows have a UUID as id and scope = \"owner\"; write owner = \"user\", or leave id \
             and scope out.",
        ),
        (
            r#""owner":{"column":"user_id","set":"worker"},"id":{"kind":"owner","column":"id"}"#,
            "owner: with id = \"owner\" the id is the owner; name the same column in both, or leave one out.",
        ),
        (r#""owner":"user","read":"app""#, READ),
        (r#""owner":{"set":"none"},"scope":"owner","read":"user""#, READ),
        (r#""owner":{"column":"id","set":"none"},"id":"owner","read":"user""#, READ),
        (r#""owner":{"set":"none"},"read":"all""#, "read: must be \"user\" or \"app\"."),
        (
            r#""owner":{"set":"none"},"read":"app","routes":["list","patch"]"#,
            "routes: patch is not for read = \"app\", where nobody is signed in; leave it out.",
        ),
        (r#""owner":"user","scope":"mine""#, "scope: must be \"owner\" or \"visible\"."),
        (r#""owner":"user","id":"serial""#, "id: must be \"uuid\", \"bigint\" or \"owner\"."),
        (r#""owner":"user","id":{"column":"n"}"#, "id: needs a kind."),
        (r#""owner":"user","id":{"kind":"uuid","name":"n"}"#, "id: name is not a key; the keys are kind and column."),
        (
            r#""owner":"user","id":{"kind":"uuid","column":""}"#,
            "id.column: must be the name of a column, of 1 to 63 bytes.",
        ),
        (r#""owner":"user","version":true"#, "version: must be the name of a column, of 1 to 63 bytes."),
        (r#""owner":"user","version":{"kind":"timestamp"}"#, "version: needs a column."),
        (
            r#""owner":"user","version":{"kind":"text","column":"v"}"#,
            "version.kind: must be \"integer\" or \"timestamp\".",
        ),
        (r#""owner":"user","created":1"#, "created: must be the name of a column, of 1 to 63 bytes."),
        (
            r#""owner":"user","table":"a.""#,
            "table: must be a table's name, or its schema, a dot and its name, of at most 63 bytes each.",
        ),
        (
            r#""owner":"user","table":7"#,
            "table: must be a table's name, or its schema, a dot and its name, of at most 63 bytes each.",
        ),
        (r#""owner":"user","routes":[]"#, "routes: names no route; name at least one, or leave routes out."),
        (r#""owner":"user","routes":["list","list"]"#, "routes: has \"list\" twice; remove one."),
        (
            r#""owner":"user","routes":["drop"]"#,
            "routes: must be \"list\", \"read\", \"create\", \"put\", \"patch\", \"delete\", \"restore\" or \"publish\".",
        ),
        (r#""owner":"user","routes":["publish"]"#, "routes: publish needs the key publish; leave it out."),
        (
            r#""owner":"user","deleted":false,"routes":["restore"]"#,
            "routes: restore needs a column deleted; leave it out.",
        ),
        (
            r#""owner":"user","id":"owner","routes":["list"]"#,
            "routes: list is not for id = \"owner\", which has read, put, patch and delete; leave it out.",
        ),
        (
            r#""owner":"user","id":"owner","routes":["read","restore"]"#,
            "routes: restore is not for id = \"owner\", which has read, put, patch and delete; leave it out.",
        ),
        (
            r#""owner":"user","id":"owner","publish":["n"]"#,
            "publish: is not for id = \"owner\", which is served as /me; leave it out.",
        ),
        (r#""owner":"user","id":"owner","count":true"#, "count: the resource has no list; leave it out."),
        (r#""owner":"user","routes":["read"],"sorts":["n"]"#, "sorts: the resource has no list; leave it out."),
        (r#""owner":"user","count":1"#, "count: must be true or false."),
        (r#""owner":"user","filters":{"x":["eq"]}"#, "filters: there is no field x; declare it or leave it out."),
        (r#""owner":"user","filters":{"tags":["eq"]}"#, "filters: tags is a list or an object; leave it out."),
        (
            r#""owner":"user","filters":{"n":["like"]}"#,
            "filters.n: must be \"eq\", \"neq\", \"lt\", \"lte\", \"gt\", \"gte\", \"in\" or \"is\".",
        ),
        (r#""owner":"user","sorts":["maybe"]"#, "sorts: maybe may be null; write \"maybe nulls last\"."),
        (r#""owner":"user","sorts":["n nulls last"]"#, "sorts: n is never null; leave nulls last out."),
        (r#""owner":"user","sorts":["created nulls last"]"#, "sorts: created is never null; leave nulls last out."),
        (r#""owner":"user","sorts":["updated","updated nulls last"]"#, "sorts: updated is there twice; remove one."),
        (
            r#""owner":"user","sorts":["maybe nulls first"]"#,
            "sorts: maybe nulls first is not a field, and not created or updated of this resource; leave it out.",
        ),
        (r#""owner":"user","sorts":["long"]"#, "sorts: long may be longer than 200 characters; leave it out."),
        (r#""owner":"user","sorts":["tags"]"#, "sorts: tags is a list or an object; leave it out."),
        (
            r#""owner":"user","created":false,"sorts":["created"]"#,
            "sorts: created is not a field, and not created or updated of this resource; leave it out.",
        ),
        (&format!(r#"{own},"unique":{{"k":"x"}}"#), "unique: there is no field x; declare it or leave it out."),
    ] {
        let json = resource(&format!(
            r#"{keys},"fields":{{"n":"integer(0..9)","maybe":"date?","long":"text(0..201)","tags":"texts(1,1)"}}"#
        ));
        assert_eq!(refused(&json), format!("resources.notes.{sentence}"), "{keys}");
    }
}

#[test]
fn field_that_contradicts_its_table_is_refused_with_a_sentence() {
    let own = r#""owner":{"column":"Owner","set":"worker"},"id":{"kind":"bigint","column":"No"},"deleted":"gone""#;
    let written =
        "is the column of the id, the owner, the version or deleted; add read_only = true, or leave the field out.";
    for (field, sentence) in [
        (
            r#""a":{"kind":"date","colum":"b"}"#,
            "a: colum is not a key; the keys are kind, column and read_only.".to_owned(),
        ),
        (r#""a":{"column":"b"}"#, "a: must be a kind of field in quotes, such as \"text(1..200)\".".to_owned()),
        (r#""a":{"kind":"date","read_only":"yes"}"#, "a.read_only: must be true or false.".to_owned()),
        (
            r#""a":{"kind":"boolean = false","read_only":true}"#,
            "a: is read_only, and so never absent from a body; leave the default out.".to_owned(),
        ),
        (r#""a":"date","b":{"kind":"date","column":"a"}"#, "b: another field has the column a; remove one.".to_owned()),
        (r#""a":{"kind":"uuid","column":"Owner"}"#, format!("a: Owner {written}")),
        (r#""a":{"kind":"integer(0..9)","column":"No"}"#, format!("a: No {written}")),
        (r#""a":{"kind":"integer(0..9)","column":"version"}"#, format!("a: version {written}")),
        (r#""a":{"kind":"timestamp","column":"gone"}"#, format!("a: gone {written}")),
        (
            r#""created_at":"timestamp""#,
            "created_at: created_at is a column of every table; choose another name.".to_owned(),
        ),
        (r#""id":"integer(0..9)""#, "id: id is a column of every table; choose another name.".to_owned()),
        (
            r#""version":"integer(0..9)""#,
            "version: version is a column of every table; choose another name.".to_owned(),
        ),
    ] {
        let json = resource(&format!(r#"{own},"fields":{{{field}}}"#));
        assert_eq!(refused(&json), format!("resources.notes.fields.{sentence}"), "{field}");
    }
    let readable =
        r#""a":{"kind":"uuid","column":"Owner","read_only":true},"user_id":"uuid?","published_at":"timestamp?""#;
    assert!(Declaration::parse(&resource(&format!(r#"{own},"fields":{{{readable}}}"#))).is_ok());
}
