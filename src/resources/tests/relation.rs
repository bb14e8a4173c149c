use super::*;
use crate::resources::declaration::Scope;

const TEAMS: &str = r#""teams":{"id":"bigint","owner":"user","fields":{"name":"text(1..9)"}}"#;

/// A declaration of teams and of projects with this inside.
fn projects(json: &str) -> String {
    format!(r#"{{"resources":{{{TEAMS},"projects":{{{json}}}}}}}"#)
}

/// Projects under this, of users and with a name.
fn under(text: &str) -> String {
    projects(&format!(r#""owner":"user","under":"{text}","fields":{{"name":"text(1..9)"}}"#))
}

fn refused(json: &str) -> String {
    Declaration::parse(json).unwrap_err()
}

#[test]
fn parent_is_a_resource_and_its_column() {
    let declaration = Declaration::parse(&under("teams.Team Id.x")).unwrap();
    let projects = declaration.resource("projects").unwrap();
    let expected = Under { resource: "teams".into(), column: "Team Id.x".into() };
    assert_eq!((projects.under.as_ref(), projects.scope), (Some(&expected), Scope::Owner));
    assert_eq!(declaration.resource("teams").unwrap().under, None);
    for wrong in [r#""teams""#, r#""teams.""#, "7", "false", r#"{"resource":"teams"}"#] {
        assert_eq!(
            refused(&projects_with(wrong)),
            "resources.projects.under: must be a resource, a dot and the column that has its id, such as \"teams.team_id\".",
            "{wrong}"
        );
    }
}

fn projects_with(raw: &str) -> String {
    projects(&format!(r#""owner":"user","under":{raw},"fields":{{"name":"text(1..9)"}}"#))
}

#[test]
fn rows_of_a_table_that_was_there_before_are_all_of_the_parents() {
    let of = |more: &str| {
        let json = projects(&format!(
            r#""owner":{{"column":"made_by","set":"default"}},{more}"under":"teams.team","fields":{{"name":"text(1..9)"}}"#
        ));
        Declaration::parse(&json).unwrap().resources[1].scope
    };
    assert_eq!(of(""), Scope::Visible);
    assert_eq!(of(r#""scope":"owner","#), Scope::Owner);
}

#[test]
fn parents_that_cannot_be_are_refused() {
    let place = "resources.projects.under: ";
    assert_eq!(
        refused(&under("groups.team")),
        format!("{place}there is no resource groups; declare it, or leave under out.")
    );
    let of = |json: &str| refused(&projects(json));
    let organizations = format!(
        "{place}rows of organisations cannot have or be parents; write owner = \"user\" for teams and projects, or \
         leave under out."
    );
    let fields = r#""fields":{"name":"text(1..9)"}"#;
    assert_eq!(of(&format!(r#""owner":"both","under":"teams.team",{fields}"#)), organizations);
    let parent = format!(
        r#"{{"resources":{{"teams":{{"owner":"org",{fields}}},"projects":{{"owner":"user","under":"teams.team",{fields}}}}}}}"#
    );
    assert_eq!(refused(&parent), organizations);
    let one = format!(
        "{place}a resource with id = \"owner\" has one row for each user, which cannot have or be a parent; leave under out."
    );
    assert_eq!(of(&format!(r#""owner":"user","id":"owner","under":"teams.team",{fields}"#)), one);
    let parent = format!(
        r#"{{"resources":{{"teams":{{"id":"owner","owner":"user",{fields}}},"projects":{{"owner":"user","under":"teams.team",{fields}}}}}}}"#
    );
    assert_eq!(refused(&parent), one);
    assert_eq!(
        of(&format!(r#""owner":"user","publish":["name"],"under":"teams.team",{fields}"#)),
        format!("{place}rows that have a parent cannot be published; leave publish or under out.")
    );
    assert_eq!(
        of(r#""owner":"user","under":"teams.team","fields":{"team":"integer(1..9)"}"#),
        format!("{place}the path has the value of team; add read_only = true to the field, or leave the field out.")
    );
    let shown = r#""owner":"user","under":"teams.team","fields":{"name":"text(1..9)","team":{"kind":"ref(teams)","read_only":true}}"#;
    assert!(Declaration::parse(&projects(shown)).is_ok());
    for column in ["id", "user_id"] {
        assert_eq!(
            refused(&under(&format!("teams.{column}"))),
            format!("{place}{column} is the column of the id or the owner; name the parent's column.")
        );
    }
    let action = format!(r#"{{"resources":{{{TEAMS},"restore":{{"owner":"user","under":"teams.team",{fields}}}}}}}"#);
    assert_eq!(
        refused(&action),
        "resources.restore.under: restore is what can be done with a row of teams; choose another name."
    );
}

#[test]
fn circles_of_parents_are_refused() {
    let circle = |name: &str| {
        format!("resources.{name}.under: the resources are under each other in a circle; leave out one under.")
    };
    assert_eq!(refused(&under("projects.parent")), circle("projects"));
    let fields = r#""fields":{"name":"text(1..9)"}"#;
    let two = format!(
        r#"{{"resources":{{"a":{{"owner":"user","under":"b.x",{fields}}},"b":{{"owner":"user","under":"a.x",{fields}}}}}}}"#
    );
    assert_eq!(refused(&two), circle("a"));
    // A first team needs a project, and that a team.
    let mixed = r#"{"resources":{
        "a":{"owner":"user","fields":{"b":"ref(b)"}},
        "b":{"owner":"user","under":"a.x","fields":{"name":"text(1..9)"}}}}"#;
    assert!(refused(mixed).contains("is required in a circle"));
}

/// Teams, projects under them, tasks and notes, with this for teams.
fn embedding(json: &str) -> String {
    let fields = r#""fields":{"name":"text(1..9)"}"#;
    format!(
        r#"{{"resources":{{
            "teams":{{"id":"bigint","owner":"user",{json},"fields":{{"name":"text(1..9)","lead":"ref(people)?"}}}},
            "people":{{"owner":"both",{fields}}},
            "projects":{{"owner":"user","under":"teams.team",{fields}}},
            "tasks":{{"owner":"user","fields":{{"name":"text(1..9)","team":"ref(teams)"}}}},
            "steps":{{"owner":"user","under":"tasks.task","fields":{{"team":{{"kind":"ref(teams)","read_only":true}}}}}},
            "matches":{{"owner":"user","fields":{{"home":"ref(teams)","away":"ref(teams)"}}}},
            "plans":{{"owner":"both","fields":{{"name":"text(1..9)","team":"ref(teams)?"}}}}}}}}"#
    )
}

#[test]
fn embedded_rows_are_those_that_refer_or_are_referred_to() {
    let json = embedding(r#""embed":{"lead":["name"],"projects":["id","name"],"tasks":["team"],"plans":["id"]}"#);
    let teams = Declaration::parse(&json).unwrap().resources.remove(0);
    let found: Vec<&str> = teams.embed.iter().map(|embed| embed.json.as_str()).collect();
    assert_eq!(
        found,
        [
            r#"{"name":"lead","resource":"people","many":false,"field":"lead","fields":["name"]}"#,
            r#"{"name":"projects","resource":"projects","many":true,"field":null,"fields":["id","name"]}"#,
            r#"{"name":"tasks","resource":"tasks","many":true,"field":"team","fields":["team"]}"#,
            r#"{"name":"plans","resource":"plans","many":true,"field":"team","fields":["id"]}"#,
        ]
    );
    assert!(crate::types::spelled(&teams).contains(&format!(r#""embed":[{}]"#, found.join(","))));
}

#[test]
fn embedded_rows_that_cannot_be_are_refused() {
    for (embed, name) in [
        (r#""people":["name"]"#, "people"),
        (r#""nothing":["name"]"#, "nothing"),
        (r#""name":["id"]"#, "name"),
        (r#""steps":["id"]"#, "steps"),
        (r#""matches":["id"]"#, "matches"),
        (r#""tasks":["nothing"]"#, "tasks"),
        (r#""tasks":["user_id"]"#, "tasks"),
        (r#""tasks":["name","created_at"]"#, "tasks"),
        (r#""tasks":[]"#, "tasks"),
        (r#""lead":["name"],"lead x":["name"]"#, "lead x"),
    ] {
        let sentence = refused(&embedding(&format!(r#""embed":{{{embed}}}"#)));
        let start = format!("resources.teams.embed.{name}: must be named after a field that is a ref to a resource");
        assert!(sentence.starts_with(&start), "{embed}: {sentence}");
    }
    for (owner, refusal) in [("user", false), ("org", true), ("both", false)] {
        let json = format!(
            r#"{{"resources":{{
                "a":{{"owner":"user","embed":{{"b":["id"]}},"fields":{{"name":"text(1..9)"}}}},
                "b":{{"owner":"{owner}","fields":{{"a":"ref(a)?"}}}}}}}}"#
        );
        assert_eq!(Declaration::parse(&json).is_err(), refusal, "{owner}");
    }
    let taken = r#"{"resources":{"a":{"owner":"user","embed":{"parent":["id"]},
        "fields":{"parent":"ref(a)?","included":"text(1..9)"}}}}"#;
    assert!(refused(taken).ends_with("No field of this resource can be called included then."));
    assert_eq!(
        refused(&embedding(r#""embed":{"tasks":"name"}"#)),
        "resources.teams.embed.tasks: must be a list of names of fields, such as [\"title\"]."
    );
    assert_eq!(refused(&embedding(r#""embed":["tasks"]"#)), "resources.teams.embed: must be a table.");
}
