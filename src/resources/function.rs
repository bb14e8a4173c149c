//! Database functions that clients may call.

use super::declaration::{DeclaredFunction, Field};
use super::reader::{Read, check_form, keyed, named, refuse};

impl DeclaredFunction {
    pub(super) fn parse(name: &str, raw: &str) -> Read<Self> {
        check_form(name)?;
        let mut function = Self { name: name.to_owned(), arguments: Vec::new() };
        keyed(raw, "arguments alone", &mut |key, raw| {
            if key != "arguments" {
                return Ok(false);
            }
            named(raw, &mut |name, raw| {
                let field = Field::parse(name, raw)?;
                if field.read_only || field.column != field.name {
                    return refuse("an argument is text, such as \"text(1..200)\".");
                }
                function.arguments.push(field);
                Ok(())
            })?;
            Ok(true)
        })?;
        Ok(function)
    }
}

#[cfg(test)]
mod tests {
    use crate::resources::Declaration;

    fn refused(json: &str) -> String {
        Declaration::parse(&format!(r#"{{"functions":{{{json}}}}}"#)).unwrap_err()
    }

    #[test]
    fn function_has_arguments_like_fields() {
        let json = r#"{"functions":{"nothing":{},"create_team":{"arguments":{"name":"text(1..9)","team":"ref(teams)?","seats":"integer(1..9) = default"}}},
            "resources":{"teams":{"id":"bigint","owner":"user","fields":{"name":"text(1..9)"}}}}"#;
        let functions = Declaration::parse(json).unwrap().functions;
        let names: Vec<_> =
            functions.iter().map(|function| (function.name.as_str(), function.arguments.len())).collect();
        assert_eq!(names, [("nothing", 0), ("create_team", 3)]);
        let team = functions[1].arguments[1].filtered("7");
        assert_eq!(team.as_deref(), Ok("7"), "the id of a team is a number");
    }

    #[test]
    fn function_that_cannot_be_is_refused_with_a_sentence() {
        let name = "a name has 1 to 40 of a-z, 0-9 and _, and begins with a letter.";
        for wrong in ["", "Create", "public.create", "a b", "é", "a\\\""] {
            assert!(refused(&format!(r#""{wrong}":{{}}"#)).ends_with(name), "{wrong}");
        }
        assert!(refused(r#""a":{"arguments":{"Name":"date"}}"#).ends_with(name));
        for (json, sentence) in [
            (r#""a":[]"#, "functions.a: must be a table."),
            (r#""a":{},"a":{}"#, "functions: has a twice; remove one."),
            (r#""a":{"args":{}}"#, "functions.a: args is not a key; the keys are arguments alone."),
            (r#""a":{"arguments":["x"]}"#, "functions.a.arguments: must be a table."),
            (
                r#""a":{"arguments":{"x":{"kind":"date","read_only":true}}}"#,
                "functions.a.arguments.x: an argument is text, such as \"text(1..200)\".",
            ),
            (
                r#""a":{"arguments":{"x":"ref(teams)"}}"#,
                "functions.a.arguments.x: ref(teams) needs the name of a declared resource.",
            ),
        ] {
            assert_eq!(refused(json), sentence, "{json}");
        }
        let taken = r#"{"resources":{"functions":{"owner":"user","fields":{"x":"date"}}}}"#;
        assert!(Declaration::parse(taken).unwrap_err().contains("functions is reserved by Airlock"));
    }
}
