use serde_json::{Value, json};

use super::*;
use crate::resources::Declaration;

/// A resource with everything that a list can have, and with these keys too.
fn resource(keys: &str) -> Resource {
    let toml = format!(
        r#"{{"resources": {{"tasks": {{"owner": "user", "fields": {{
            "title": "text(1..9)", "done": "boolean = false", "rank": "integer(0..9)?", "score": "number(0..1) = 0",
            "due": "date?", "at": "timestamp?", "color": "one_of(red,'light, blue')?", "parent": "ref(tasks)?",
            "price": "decimal(5,2)?", "opens": "time?", "ranks": "integers(3,0..9) = []"
        }} {keys}}}}}}}"#
    );
    Declaration::parse(&toml).unwrap().resources.remove(0)
}

fn everything() -> Resource {
    resource(
        r#", "search": ["title"], "publish": ["title"], "sorts": ["created", "title"], "count": true, "filters": {
            "title": ["eq", "gte"], "done": ["eq"], "rank": ["in", "is"], "score": ["lt"], "due": ["lte"],
            "at": ["gt"], "color": ["in", "neq"], "parent": ["eq"], "price": ["gte", "in"], "opens": ["lt"]
        }"#,
    )
}

fn refused(query: &str) -> bool {
    ListQuery::parse(query, &everything()).is_err()
}

fn arguments(query: &str) -> Value {
    let resource = everything();
    let query = ListQuery::parse(query, &resource).unwrap();
    serde_json::from_str(&query.add_to(Object::new()).finish()).unwrap()
}

#[test]
fn first_page_has_twenty_active_rows() {
    assert_eq!(arguments(""), json!({"page_size": 20, "after": null, "state": "active", "words": null}));
}

#[test]
fn limit_is_a_canonical_number_from_1_to_100() {
    assert_eq!(arguments("limit=1")["page_size"], 1);
    assert_eq!(arguments("limit=%31%300")["page_size"], 100);
    for bad in ["0", "101", "-1", "1.0", "1e1", "+5", "020", "", "%20", "999999999999999999999", "a"] {
        assert!(refused(&format!("limit={bad}")), "{bad}");
    }
    assert!(refused("limit"));
}

#[test]
fn unknown_and_repeated_parameters_are_refused() {
    for query in ["Limit=1", "limit=1&limit=1", "limit[]=1", "=1", "state=x", "q=", "q=%00", "q=%ED%A0%BD", "q=a%FF"] {
        assert!(refused(query), "{query}");
    }
    assert!(refused(&format!("q={}", "a".repeat(201))));
    for query in ["q=a", "state=published", "sort=title", "count=exact", "done.eq=true"] {
        assert!(ListQuery::parse(query, &resource("")).is_err(), "{query}");
    }
    assert!(PageQuery::parse("state=active").is_err());
}

#[test]
fn state_and_words_are_passed_on() {
    let list = arguments("state=deleted&q=a+b%26");
    assert_eq!(list["state"], "deleted");
    assert_eq!(list["words"], "a b&");
}

#[test]
fn rows_that_are_deleted_for_good_have_no_state() {
    let hard = resource(r#", "deleted": false"#);
    assert!(ListQuery::parse("", &hard).is_ok());
    assert!(ListQuery::parse("state=active", &hard).is_err());
    let published = resource(r#", "deleted": false, "publish": ["title"]"#);
    assert!(ListQuery::parse("state=published", &published).is_ok());
    assert!(ListQuery::parse("state=deleted", &published).is_err());
}

#[test]
fn deleted_rows_that_were_meant_for_all_readers_are_not_listed() {
    for read in ["user", "app"] {
        let json = format!(
            r#"{{"resources": {{"posts": {{"owner": {{"set": "none"}}, "read": "{read}", "fields": {{"title": "text(1..9)"}}}}}}}}"#
        );
        let posts = Declaration::parse(&json).unwrap().resources.remove(0);
        assert!(posts.deleted.is_some());
        assert!(ListQuery::parse("", &posts).is_ok());
        assert!(ListQuery::parse("state=deleted", &posts).is_err());
    }
}

#[test]
fn cursor_is_passed_on_unread() {
    assert_eq!(arguments("cursor=AZaz09-_")["after"], "AZaz09-_");
    assert!(!refused(&format!("cursor={}", "a".repeat(2048))));
    for bad in [String::new(), "a=".into(), "a%2B".into(), "a b".into(), "%C3%A4".into(), "a".repeat(2049)] {
        assert!(refused(&format!("cursor={bad}")), "{bad}");
    }
}

#[test]
fn sort_is_a_declared_one_in_either_direction() {
    for sort in ["created", "-created", "title", "-title"] {
        assert_eq!(arguments(&format!("sort={sort}"))["sort"], sort);
    }
    for bad in ["", "-", "--title", "updated", "rank", "title,created", "Title"] {
        assert!(refused(&format!("sort={bad}")), "{bad}");
    }
}

#[test]
fn count_is_exact_or_absent() {
    assert_eq!(arguments("count=exact")["counted"], true);
    assert!(refused("count=planned") && refused("count="));
}

#[test]
fn filter_is_parsed_by_the_kind_of_its_field() {
    for (query, expected) in [
        ("title.eq=+a+", json!(["title", "eq", "a"])),
        ("title.gte=%22", json!(["title", "gte", "\""])),
        ("done.eq=true", json!(["done", "eq", "true"])),
        ("rank.in=1%2C2e0%2C0", json!(["rank", "in", ["1", "2", "0"]])),
        ("rank.is=null", json!(["rank", "is", "null"])),
        ("rank.is=not_null", json!(["rank", "is", "not_null"])),
        ("score.lt=0.25", json!(["score", "lt", "0.25"])),
        ("due.lte=2026-01-31", json!(["due", "lte", "2026-01-31"])),
        ("at.gt=2026-01-31T00%3A00%3A00%2B02%3A00", json!(["at", "gt", "2026-01-30T22:00:00.000000Z"])),
        ("price.gte=-1.5", json!(["price", "gte", "-1.50"])),
        ("price.in=1%2C2.50", json!(["price", "in", ["1.00", "2.50"]])),
        ("opens.lt=09%3A30%3A00.10", json!(["opens", "lt", "09:30:00.1"])),
        ("color.in=red%2Clight%5C%2C+blue", json!(["color", "in", ["red", "light, blue"]])),
        ("color.neq=red", json!(["color", "neq", "red"])),
        (
            "parent.eq=7efe3d84-2d6a-4174-899e-8ffddea7a39a",
            json!(["parent", "eq", "7efe3d84-2d6a-4174-899e-8ffddea7a39a"]),
        ),
    ] {
        assert_eq!(arguments(query)["filters"], json!([expected]), "{query}");
    }
}

#[test]
fn filter_with_another_operator_or_value_is_refused() {
    let many = format!("rank.in={}", ["1"; 101].join("%2C"));
    for query in [
        "title.eq=",
        "title.lt=a",
        "title=a",
        "title.eq=a&title.eq=b",
        "done.eq=1",
        "done.eq=TRUE",
        "done.eq=",
        "rank.eq=1",
        "rank.in=",
        "rank.in=1%2C",
        "rank.in=10",
        "rank.in=x",
        "rank.in=1.5",
        "rank.is=",
        "rank.is=true",
        "score.lt=NaN",
        "score.lt=%22",
        "due.lte=2026-02-30",
        "price.gte=1.234",
        "price.gte=1000",
        "price.gte=%221%22",
        "opens.lt=24%3A00%3A00",
        "at.gt=2026-01-31",
        "color.in=blue",
        "color.in=red%5C",
        "color.in=r%5Ced",
        "parent.eq=1",
        "title.eq=%00",
        "title.eq=a%FF",
        &many,
    ] {
        assert!(refused(query), "{query}");
    }
    assert!(!refused(&format!("rank.in={}", ["1"; 100].join("%2C"))));
}
