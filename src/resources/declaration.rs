//! The declaration (airlock.toml as JSON), checked.
//!
//! A [`Declaration`] in hand contradicts neither itself nor PostgreSQL. Each refusal is one sentence
//! that names the section and the field and says how to fix it.

use serde::de::IgnoredAny;
use serde::{Serialize, Serializer};

use super::kind::{Errors, INTEGER_MAX, Kind, Value, finite, parts, spelled, string};

/// Greatest length or count in a declaration: PostgreSQL's `integer`.
const COUNT_MAX: u64 = 2_147_483_647;

/// `pg_get_keywords()` of PostgreSQL 17 with `catcode` R or T.
const RESERVED: &str = "all analyse analyze and any array as asc asymmetric authorization binary both \
    case cast check collate collation column concurrently constraint create cross current_catalog \
    current_date current_role current_schema current_time current_timestamp current_user default \
    deferrable desc distinct do else end except false fetch for foreign freeze from full grant group \
    having ilike in initially inner intersect into is isnull join lateral leading left like limit \
    localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing \
    primary references returning right select session_user similar some symmetric system_user table \
    tablesample then to trailing true union unique user using variadic verbose when where window with";

/// Columns of every resource's table, and PostgreSQL's system columns.
const OWN_NAMES: &str = "id user_id org_id version created_at updated_at deleted_at published_at \
    airlock_search tableoid xmin cmin xmax cmax ctid";

/// The kinds and what each needs.
const KINDS: &str = "\
text needs both limits, the lower one first, such as text(1..200)
verbatim needs both limits, the lower one first, such as verbatim(0..20000)
integer needs both limits, whole and within +-9007199254740991, such as integer(0..100)
number needs both limits, the lower one first, such as number(0..1.5)
boolean needs no limits; write boolean
uuid needs no limits; write uuid
date needs no limits; write date
timestamp needs no limits; write timestamp
one_of needs different values of A-Z a-z 0-9 _ . - or in single quotes, such as one_of(draft,final)
texts needs a number of items and a length, such as texts(20,50)
json needs the greatest size in bytes, 2 or more, such as json(4096)
ref needs the name of a resource, such as ref(projects)";

/// All that airlock.toml says. It serialises in the form that the tools read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Declaration {
    /// Whether there are organisations.
    pub(crate) organizations: bool,
    /// In the order of the file.
    pub(crate) resources: Vec<Resource>,
}

/// One section of airlock.toml: a table and what clients may do with its rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Resource {
    pub(crate) name: String,
    pub(crate) owner: Owner,
    /// Fields that a full-text search looks at.
    pub(crate) search: Vec<String>,
    /// Fields that a published row shows; `None` if rows cannot be published.
    pub(crate) publish: Option<Vec<String>>,
    /// Unique constraints, each with the field that an error names.
    #[serde(serialize_with = "as_object")]
    pub(crate) unique: Vec<(String, String)>,
    /// In the order of the file.
    pub(crate) fields: Vec<Field>,
}

/// Whose the rows of a resource may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Owner {
    User,
    Org,
    Both,
}

/// One field of a resource, or of a body that is declared in code.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Field {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) kind: Kind,
    /// Whether it may be null, which it is when absent.
    pub(crate) nullable: bool,
    /// The value when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) default: Option<Value>,
}

impl Declaration {
    /// Reads airlock.toml as JSON with its key order. The error is one sentence.
    pub(crate) fn parse(json: &str) -> Result<Self, String> {
        let mut declaration = Self { organizations: true, resources: Vec::new() };
        for (key, raw) in table(json.trim(), "airlock.toml")? {
            match (key.as_str(), raw) {
                ("organizations", "true" | "false") => declaration.organizations = raw == "true",
                ("organizations", _) => return Err("organizations: must be true or false.".into()),
                ("resources", _) => {
                    for (name, raw) in table(raw, "resources")? {
                        declaration.resources.push(Resource::parse(name, raw)?);
                    }
                }
                _ => return Err(unknown("airlock.toml", &key, "organizations and resources")),
            }
        }
        declaration.check_owners()?;
        declaration.check_references()?;
        Ok(declaration)
    }

    /// The resource of this name.
    pub(crate) fn resource(&self, name: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.name == name)
    }

    fn check_owners(&self) -> Result<(), String> {
        let fixed = |name: &str| matches!(name, "members" | "invitations");
        if let Some(Resource { name, .. }) = self.resources.iter().find(|one| one.owner.is_orgs() && fixed(&one.name)) {
            return Err(format!(
                "resources.{name}: /v1/orgs/{{org_id}}/{name} is a path of organisations; choose another name."
            ));
        }
        let mut resources = self.resources.iter();
        match resources.find(|resource| resource.owner.is_orgs() && !self.organizations) {
            None => Ok(()),
            Some(Resource { name, .. }) => Err(format!(
                "resources.{name}.owner: there are no organisations with organizations = false; write owner = \"user\"."
            )),
        }
    }

    fn check_references(&self) -> Result<(), String> {
        for (resource, field, target) in self.references() {
            let refused = |sentence: String| {
                let place = format!("resources.{}.fields.{}", resource.name, field.name);
                Err(format!("{place}: ref({target}) {sentence}"))
            };
            let Some(target) = self.resource(target) else {
                return refused("needs the name of a declared resource.".into());
            };
            let own = resource.owner.is_users() && field.nullable;
            if resource.owner.is_orgs() && !target.owner.is_orgs() && !own {
                return refused(format!(
                    "can never be set in an organisation's row; declare {} with owner = \"both\" or \"org\".",
                    target.name
                ));
            }
        }
        self.check_circles()
    }

    /// A resource can have a first row once all resources that its required fields refer to can.
    fn check_circles(&self) -> Result<(), String> {
        let mut possible: Vec<&str> = Vec::new();
        loop {
            let waits = |field: &Field| match &field.kind {
                Kind::Ref { resource } => !field.nullable && !possible.contains(&resource.as_str()),
                _ => false,
            };
            let ready = self.resources.iter().filter(|one| !one.fields.iter().any(waits));
            let ready: Vec<&str> = ready.map(|resource| resource.name.as_str()).collect();
            if ready.len() > possible.len() {
                possible = ready;
                continue;
            }
            let circle = self.references().find(|(_, field, _)| waits(field));
            return circle.map_or(Ok(()), |(resource, field, target)| {
                Err(format!(
                    "resources.{}.fields.{}: ref({target}) is required in a circle, so that no row could be the \
                     first; write ref({target})?.",
                    resource.name, field.name
                ))
            });
        }
    }

    /// Each field that refers to a resource, and the name of that resource.
    fn references(&self) -> impl Iterator<Item = (&Resource, &Field, &str)> {
        self.resources.iter().flat_map(|resource| {
            resource.fields.iter().filter_map(move |field| match &field.kind {
                Kind::Ref { resource: target } => Some((resource, field, target.as_str())),
                _ => None,
            })
        })
    }
}

impl Resource {
    fn parse(name: String, raw: &str) -> Result<Self, String> {
        let place = format!("resources.{name}");
        check_name(&place, &name)?;
        if matches!(name.as_str(), "me" | "orgs" | "public") || name.starts_with("airlock") {
            return Err(format!("{place}: {name} is reserved by Airlock; choose another name."));
        }
        let (mut owner, mut search, mut publish) = (None, Vec::new(), None);
        let (mut unique, mut fields) = (Vec::new(), Vec::new());
        for (key, raw) in table(raw, &place)? {
            let place = format!("{place}.{key}");
            match key.as_str() {
                "owner" => {
                    owner = Some(match raw {
                        r#""user""# => Owner::User,
                        r#""org""# => Owner::Org,
                        r#""both""# => Owner::Both,
                        _ => {
                            return Err(format!("{place}: must be \"user\", \"org\" or \"both\"."));
                        }
                    });
                }
                "search" => search = names(raw, &place)?,
                "publish" => publish = Some(names(raw, &place)?),
                "unique" => {
                    for (constraint, raw) in table(raw, &place)? {
                        if !(1..=63).contains(&constraint.len()) || constraint.contains('\0') {
                            return Err(format!("{place}: a constraint's name has 1 to 63 bytes."));
                        }
                        let field =
                            string(raw).map_err(|_| format!("{place}.{constraint}: must be the name of a field."))?;
                        unique.push((constraint, field));
                    }
                }
                "fields" => {
                    for (name, raw) in table(raw, &place)? {
                        fields.push(Field::parse(&place, name, raw)?);
                    }
                }
                _ => {
                    let keys = "owner, search, publish, unique and fields";
                    return Err(unknown(&format!("resources.{name}"), &key, keys));
                }
            }
        }
        let owner = owner.ok_or_else(|| format!("{place}: needs an owner: \"user\", \"org\" or \"both\"."))?;
        let resource = Self { name, owner, search, publish, unique, fields };
        resource.check(&place)?;
        Ok(resource)
    }

    /// Checks the fields that search, publish and unique name.
    fn check(&self, place: &str) -> Result<(), String> {
        if self.fields.is_empty() {
            let example = "title = \"text(1..200)\"";
            return Err(format!("{place}.fields: needs at least one field, such as {example}."));
        }
        if self.publish.as_ref().is_some_and(Vec::is_empty) {
            return Err(format!("{place}.publish: names no field; name at least one, or leave publish out."));
        }
        let search = self.search.iter().map(|name| ("search", name));
        let publish = self.publish.iter().flatten().map(|name| ("publish", name));
        let unique = self.unique.iter().map(|(_, name)| ("unique", name));
        for (key, name) in search.chain(publish).chain(unique) {
            let Some(field) = self.fields.iter().find(|field| field.name == *name) else {
                return Err(format!("{place}.{key}: there is no field {name}; declare it or leave it out."));
            };
            let text = matches!(field.kind, Kind::Text { .. } | Kind::Verbatim { .. });
            if key == "search" && !text {
                return Err(format!("{place}.search: {name} is not a text or verbatim field; leave it out."));
            }
        }
        Ok(())
    }
}

impl Owner {
    /// Whether a row may be a user's own.
    pub(crate) fn is_users(self) -> bool {
        self != Self::Org
    }

    /// Whether a row may be an organisation's.
    pub(crate) fn is_orgs(self) -> bool {
        self != Self::User
    }
}

impl Field {
    /// A kind, then `?` or `= value`.
    fn parse(place: &str, name: String, raw: &str) -> Result<Self, String> {
        let place = format!("{place}.{name}");
        check_name(&place, &name)?;
        let refused = |sentence: String| format!("{place}: {sentence}");
        let text =
            string(raw).map_err(|_| refused("must be a kind of field in quotes, such as \"text(1..200)\".".into()))?;
        let (kind, rest) = kind(text.trim()).map_err(refused)?;
        let mut field = Self { name, kind, nullable: false, default: None };
        match rest.split_at_checked(1) {
            None if rest.is_empty() => {}
            Some(("?", "")) => field.nullable = true,
            Some(("=", value)) => {
                field.default = Some(default(&field.kind, value.trim()).map_err(refused)?);
            }
            Some(("?", rest)) if rest.trim_start().starts_with('=') => {
                return Err(refused("choose between ? and a default; both is not supported.".into()));
            }
            _ => {
                return Err(refused(format!(
                    "{rest} is not understood; after the kind write ? (may be null), = and a default, or nothing."
                )));
            }
        }
        Ok(field)
    }
}

/// The kind at the beginning of a field's text, and the rest of the text.
fn kind(text: &str) -> Result<(Kind, &str), String> {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_lowercase() || c == '_');
    let word = text.strip_suffix(rest).unwrap_or_default();
    let rest = rest.trim_start();
    let (inner, rest) = match rest.strip_prefix('(') {
        None => (None, rest),
        Some(rest) => rest
            .split_once(outside_quotes(')'))
            .map(|(inner, rest)| (Some(inner.trim()), rest.trim_start()))
            .ok_or_else(|| format!("{text} needs a closing parenthesis."))?,
    };
    let mut kinds = KINDS.lines().filter_map(|line| line.split_once(' '));
    let Some((_, needs)) = kinds.find(|(kind, _)| *kind == word) else {
        let kinds = KINDS.lines().filter_map(|line| line.split(' ').next());
        let kinds = kinds.collect::<Vec<_>>().join(", ");
        let found =
            if text.is_empty() { "it has no kind".to_owned() } else { format!("{text} does not begin with a kind") };
        return Err(format!("{found}; the kinds are {kinds}."));
    };
    let kind = kind_of(word, inner).ok_or_else(|| {
        let limits = inner.map(|inner| format!("({inner})")).unwrap_or_default();
        format!("{word}{limits} {needs}.")
    })?;
    Ok((kind, rest))
}

/// The kind of this word, unless what is in its parentheses does not suit it.
fn kind_of(word: &str, inner: Option<&str>) -> Option<Kind> {
    let (min, max) = (INTEGER_MAX.saturating_neg(), INTEGER_MAX);
    let any_integer = Kind::Integer { min, max };
    let integer = |text: &str| match any_integer.check(text) {
        Ok(Value::Integer(value)) if is_json(text) => Some(value),
        _ => None,
    };
    let number = |text: &str| finite(text).ok().filter(|_| is_json(text));
    let length = |text: &str| count(text, 0);
    match (word, inner) {
        ("text", Some(inner)) => limits(inner, length).map(|(min, max)| Kind::Text { min, max }),
        ("verbatim", Some(inner)) => limits(inner, length).map(|(min, max)| Kind::Verbatim { min, max }),
        ("integer", Some(inner)) => limits(inner, integer).map(|(min, max)| Kind::Integer { min, max }),
        ("number", Some(inner)) => limits(inner, number).map(|(min, max)| Kind::Number { min, max }),
        ("boolean", None) => Some(Kind::Boolean),
        ("uuid", None) => Some(Kind::Uuid),
        ("date", None) => Some(Kind::Date),
        ("timestamp", None) => Some(Kind::Timestamp),
        ("one_of", Some(inner)) => one_of(inner).map(|values| Kind::OneOf { values }),
        ("texts", Some(inner)) => {
            let (items, length) = inner.split_once(',')?;
            let (items, length) = (count(items.trim(), 1)?, count(length.trim(), 1)?);
            Some(Kind::Texts { items, length })
        }
        ("json", Some(inner)) => count(inner, 2).map(|bytes| Kind::Json { bytes }),
        ("ref", Some(name)) if !name.is_empty() => Some(Kind::Ref { resource: name.to_owned() }),
        _ => None,
    }
}

/// `min..max`, the lower one first.
fn limits<T: PartialOrd>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<(T, T)> {
    let (min, max) = text.split_once("..")?;
    let limits = read(min.trim()).zip(read(max.trim()));
    limits.filter(|(min, max)| min <= max)
}

/// Different values, each bare or in single quotes.
fn one_of(inner: &str) -> Option<Vec<String>> {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let mut values = Vec::new();
    for text in inner.split(outside_quotes(',')).map(str::trim) {
        let is_bare = (1..=63).contains(&text.len()) && text.chars().all(bare);
        let value = unquoted(text).or_else(|| is_bare.then(|| text.to_owned()))?;
        if value.contains('\0') || values.contains(&value) {
            return None;
        }
        values.push(value);
    }
    Some(values)
}

/// The value after `=`: JSON, or text in single quotes.
fn default(kind: &Kind, text: &str) -> Result<Value, String> {
    let raw = unquoted(text).map_or_else(|| text.to_owned(), |text| spelled(&text));
    if !is_json(&raw) {
        let sentence = if text.is_empty() {
            "there is no default after =; write one, or leave = out. An empty text is = ''.".to_owned()
        } else {
            format!("the default {text} is not JSON; write text in single quotes, such as = 'a', and others as JSON.")
        };
        return Err(sentence);
    }
    if raw == "null" {
        return Err("null is not a default; write ? after the kind instead.".into());
    }
    let sentence = |errors: Errors| format!("the default {text} {}; change it.", errors.message());
    kind.check(&raw).map_err(sentence)
}

/// The text within single quotes, in which `''` is a quote.
fn unquoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    let paired = inner.split("''").all(|part| !part.contains('\''));
    paired.then(|| inner.replace("''", "'"))
}

/// Finds this character outside of single quotes.
fn outside_quotes(wanted: char) -> impl FnMut(char) -> bool {
    let mut quoted = false;
    move |c| {
        quoted ^= c == '\'';
        c == wanted && !quoted
    }
}

/// A whole number in digits, from `min` to [`COUNT_MAX`].
fn count(text: &str, min: u64) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.filter(|number| (min..=COUNT_MAX).contains(number))
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Pairs as the members of an object, in their order.
fn as_object<S: Serializer>(pairs: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

fn check_name(place: &str, name: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let first = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !first || name.len() > 40 || !name.chars().all(good) {
        return Err(format!("{place}: a name has 1 to 40 of a-z, 0-9 and _, and begins with a letter."));
    }
    let among = |names: &str| names.split_ascii_whitespace().any(|one| one == name);
    if among(RESERVED) {
        return Err(format!("{place}: {name} is a reserved word of PostgreSQL; choose another name."));
    }
    if among(OWN_NAMES) {
        return Err(format!("{place}: {name} is a column of every table; choose another name."));
    }
    Ok(())
}

/// The keys and values of a table, each key once.
fn table<'a>(raw: &'a str, place: &str) -> Result<Vec<(String, &'a str)>, String> {
    let members = parts(raw, '{').ok_or_else(|| format!("{place}: must be a table."))?;
    let mut table: Vec<(String, &str)> = Vec::new();
    for (key, raw) in members {
        let key = string(key).map_err(|_| format!("{place}: has a key that is not text."))?;
        if table.iter().any(|(one, _)| *one == key) {
            return Err(format!("{place}: has {key} twice; remove one."));
        }
        table.push((key, raw));
    }
    Ok(table)
}

/// A list of names, each once.
fn names(raw: &str, place: &str) -> Result<Vec<String>, String> {
    let no_list = || format!("{place}: must be a list of names of fields, such as [\"title\"].");
    let mut names = Vec::new();
    for (_, raw) in parts(raw, '[').ok_or_else(no_list)? {
        let name = string(raw).map_err(|_| no_list())?;
        if names.contains(&name) {
            return Err(format!("{place}: has {name} twice; remove one."));
        }
        names.push(name);
    }
    Ok(names)
}

fn unknown(place: &str, key: &str, keys: &str) -> String {
    format!("{place}: {key} is not a key; the keys are {keys}.")
}

#[cfg(test)]
#[path = "tests/declaration.rs"]
mod tests;
