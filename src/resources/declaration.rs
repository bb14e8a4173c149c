//! The declaration (airlock.toml as JSON), checked.
//!
//! A [`Declaration`] in hand contradicts neither itself nor PostgreSQL. Each refusal is one sentence
//! that names the section and the field and says how to fix it.

use serde::{Serialize, Serializer};

use super::grammar;
use super::kind::{Kind, Value, string};
use crate::json::parts;

/// `pg_get_keywords()` of PostgreSQL 17 with `catcode` R or T, in order: each isolate looks up all names.
#[rustfmt::skip]
const RESERVED: [&str; 101] = [
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization", "binary",
    "both", "case", "cast", "check", "collate", "collation", "column", "concurrently", "constraint", "create",
    "cross", "current_catalog", "current_date", "current_role", "current_schema", "current_time",
    "current_timestamp", "current_user", "default", "deferrable", "desc", "distinct", "do", "else", "end",
    "except", "false", "fetch", "for", "foreign", "freeze", "from", "full", "grant", "group", "having", "ilike",
    "in", "initially", "inner", "intersect", "into", "is", "isnull", "join", "lateral", "leading", "left",
    "like", "limit", "localtime", "localtimestamp", "natural", "not", "notnull", "null", "offset", "on", "only",
    "or", "order", "outer", "overlaps", "placing", "primary", "references", "returning", "right", "select",
    "session_user", "similar", "some", "symmetric", "system_user", "table", "tablesample", "then", "to",
    "trailing", "true", "union", "unique", "user", "using", "variadic", "verbose", "when", "where", "window",
    "with",
];

/// Columns of every resource's table, and PostgreSQL's system columns.
const OWN_NAMES: [&str; 15] = [
    "id",
    "user_id",
    "org_id",
    "version",
    "created_at",
    "updated_at",
    "deleted_at",
    "published_at",
    "airlock_search",
    "tableoid",
    "xmin",
    "cmin",
    "xmax",
    "cmax",
    "ctid",
];

/// Those of them that a table that was there before may have as fields.
const FREE_NAMES: [&str; 3] = ["user_id", "org_id", "airlock_search"];

/// Longest text that a list can be sorted by: a cursor holds it.
const SORTED_MAX: u64 = 200;

/// The end of a sort by a field that may be null.
const NULLS_LAST: &str = " nulls last";

/// All that airlock.toml says. It serialises in the form that the tools read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Declaration {
    /// Whether there are organisations.
    pub(crate) organizations: bool,
    /// In the order of the file.
    pub(crate) resources: Vec<Resource>,
    /// In the order of the file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) functions: Vec<DeclaredFunction>,
}

/// One section of airlock.toml: a table and the rights of clients on its rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Resource {
    pub(crate) name: String,
    pub(crate) table: Table,
    pub(crate) owner: Owner,
    pub(crate) owner_column: OwnerColumn,
    pub(crate) scope: Scope,
    /// The resource below whose rows these are served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) under: Option<Under>,
    /// The readers of all rows that the policies show, for rows without an owner or shown to
    /// others.
    pub(crate) read: Option<Readers>,
    pub(crate) id: Id,
    /// Without a version there are no entity tags.
    pub(crate) version: Option<VersionColumn>,
    /// The column of the page order; without it pages go by the id.
    pub(crate) created: Option<String>,
    /// The column that rows show as `updated_at`.
    pub(crate) updated: Option<String>,
    /// The column of the soft delete; without it DELETE deletes for good.
    pub(crate) deleted: Option<String>,
    pub(crate) routes: Vec<Verb>,
    /// Fields that lists can be filtered by.
    #[serde(serialize_with = "as_object")]
    pub(crate) filters: Vec<(String, Vec<Operator>)>,
    /// Fields, `created` and `updated`, that lists can be sorted by.
    pub(crate) sorts: Vec<String>,
    /// Whether lists can be counted.
    pub(crate) count: bool,
    /// Fields that a full-text search looks at.
    pub(crate) search: Vec<String>,
    /// Fields that a published row shows; `None` if rows cannot be published.
    pub(crate) publish: Option<Vec<String>>,
    /// Unique constraints, each with the fields that errors name.
    #[serde(serialize_with = "as_object")]
    pub(crate) unique: Vec<(String, Vec<String>)>,
    /// The rows that can be embedded in an answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) embed: Vec<Embed>,
    /// In the order of the file.
    pub(crate) fields: Vec<Field>,
}

/// Where rows are served that belong to a row of another resource, their parent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Under {
    /// The parent's resource.
    pub(crate) resource: String,
    /// The column that holds the parent's id.
    pub(crate) column: String,
}

/// Rows of another resource that a row can be answered with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Embed {
    /// As a request calls it: the field that refers to the one row, or the resource of many rows.
    pub(crate) name: String,
    /// The fields of a row that are shown.
    pub(super) fields: Vec<String>,
    /// Read as JSON by the database and the tools. It has the name, the fields and the resource.
    /// `many`: its rows refer to this one. The field is the one that refers, null if the rows are
    /// below this one.
    pub(crate) json: String,
}

/// A database function, as `[functions.<name>]` declares it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct DeclaredFunction {
    pub(crate) name: String,
    /// In the order of the file.
    pub(crate) arguments: Vec<Field>,
}

/// A table's name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Table {
    schema: String,
    pub(crate) name: String,
}

/// The column that says whose a user's row is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct OwnerColumn {
    pub(crate) column: Option<String>,
    set: Setter,
}

/// The id of a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Id {
    pub(crate) kind: IdKind,
    pub(super) column: String,
}

/// The version of a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct VersionColumn {
    column: String,
    kind: VersionKind,
}

/// An enum with a word for each of its variants.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name {
            $($(#[$of])* $variant,)+
        }

        impl $name {
            const ALL: &[Self] = &[$(Self::$variant),+];
            const WORDS: &[&str] = &[$($word),+];

            /// Its word.
            pub(crate) fn word(self) -> &'static str {
                Self::WORDS.get(self as usize).copied().unwrap_or_default()
            }

            /// The variant of this place in the list of words.
            fn at(place: usize) -> Option<Self> {
                Self::ALL.get(place).copied()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }
    };
}

words! {
    /// The owners that rows of a resource may have.
    Owner { User = "user", Org = "org", Both = "both", }
}
words! {
    /// The setter of the owner's column in a new row.
    Setter { Worker = "worker", Default = "default", None = "none", }
}
words! {
    /// Which rows are served.
    Scope {
        /// Those of the owner, by a condition beside the policies.
        Owner = "owner",
        /// All that the policies show.
        Visible = "visible",
    }
}
words! {
    /// The readers of rows that are not their own.
    Readers {
        /// Every user.
        User = "user",
        /// Every app, without a user.
        App = "app",
    }
}
words! {
    /// The kinds of ids.
    IdKind {
        Uuid = "uuid",
        /// The database makes it.
        Bigint = "bigint",
        /// The user's id: one row for each user.
        Owner = "owner",
    }
}
words! {
    /// The kinds of versions.
    VersionKind { Integer = "integer", Timestamp = "timestamp", }
}
words! {
    /// The operations on rows.
    Verb {
        List = "list", Read = "read", Create = "create", Put = "put", Patch = "patch", Delete = "delete",
        Restore = "restore", Publish = "publish",
    }
}
words! {
    /// How a filter compares.
    Operator {
        Eq = "eq", Neq = "neq", Lt = "lt", Lte = "lte", Gt = "gt", Gte = "gte", In = "in", Is = "is",
    }
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
    /// Whether the database has the value when absent.
    pub(crate) database_default: bool,
    pub(crate) column: String,
    /// Whether it is answered and never written.
    pub(crate) read_only: bool,
}

impl Declaration {
    /// Reads airlock.toml as JSON with its key order. The error is one sentence.
    pub(crate) fn parse(json: &str) -> Result<Self, String> {
        let mut declaration = Self { organizations: true, resources: Vec::new(), functions: Vec::new() };
        for (key, raw) in table(json.trim(), "airlock.toml")? {
            match (key.as_str(), raw) {
                ("organizations", _) => declaration.organizations = boolean(raw, &key)?,
                ("resources", _) => {
                    for (name, raw) in table(raw, "resources")? {
                        declaration.resources.push(Resource::parse(name, raw)?);
                    }
                }
                ("functions", _) => {
                    for (name, raw) in table(raw, "functions")? {
                        declaration.functions.push(DeclaredFunction::parse(name, raw)?);
                    }
                }
                _ => return Err(unknown("airlock.toml", &key, "organizations, resources and functions")),
            }
        }
        declaration.check_owners()?;
        declaration.check_under()?;
        declaration.check_references()?;
        declaration.set_embeds()?;
        declaration.set_references();
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
                return refused("needs the name of a declared resource; declare it, or name another.".into());
            };
            let own = resource.owner.is_users() && field.nullable;
            if resource.owner.is_orgs() && !target.owner.is_orgs() && !own {
                return refused(format!(
                    "can never be set in an organisation's row; declare {} with owner = \"both\" or \"org\".",
                    target.name
                ));
            }
        }
        for function in &self.functions {
            for Field { name, kind, .. } in &function.arguments {
                if let Kind::Ref { resource, .. } = kind
                    && self.resource(resource).is_none()
                {
                    return Err(format!(
                        "functions.{}.arguments.{name}: ref({resource}) needs the name of a declared resource.",
                        function.name
                    ));
                }
            }
        }
        self.check_circles()
    }

    /// Gives each ref the kind of its target's id.
    fn set_references(&mut self) {
        let bigint = |one: &&Resource| one.id.kind == IdKind::Bigint;
        let numbers: Vec<String> = self.resources.iter().filter(bigint).map(|one| one.name.clone()).collect();
        let arguments = self.functions.iter_mut().flat_map(|function| &mut function.arguments);
        for field in self.resources.iter_mut().flat_map(|resource| &mut resource.fields).chain(arguments) {
            if let Kind::Ref { resource, bigint } = &mut field.kind {
                *bigint = numbers.contains(resource);
            }
        }
    }

    /// A resource can have a first row once all resources that its required fields refer to can.
    fn check_circles(&self) -> Result<(), String> {
        let mut possible: Vec<&str> = Vec::new();
        loop {
            let waits = |field: &Field| match &field.kind {
                Kind::Ref { resource, .. } => {
                    let may_wait = field.nullable || field.read_only || field.database_default;
                    !may_wait && !possible.contains(&resource.as_str())
                }
                _ => false,
            };
            let below = |one: &Resource| one.under.as_ref().is_some_and(|under| !possible.contains(&&*under.resource));
            let ready = self.resources.iter().filter(|one| !below(one) && !one.fields.iter().any(waits));
            let ready: Vec<&str> = ready.map(|resource| resource.name.as_str()).collect();
            if ready.len() > possible.len() {
                possible = ready;
                continue;
            }
            let circle = self.references().find(|(_, field, _)| waits(field));
            if let Some((resource, field, target)) = circle {
                return Err(format!(
                    "resources.{}.fields.{}: ref({target}) is required in a circle, so that no row could be the \
                     first; write ref({target})?.",
                    resource.name, field.name
                ));
            }
            return match self.resources.iter().find(|one| below(one)) {
                None => Ok(()),
                Some(Resource { name, .. }) => Err(format!(
                    "resources.{name}.under: the resources are under each other in a circle; leave out one under."
                )),
            };
        }
    }

    /// Each field that refers to a resource, and the name of that resource.
    fn references(&self) -> impl Iterator<Item = (&Resource, &Field, &str)> {
        self.resources.iter().flat_map(|resource| {
            resource.fields.iter().filter_map(move |field| match &field.kind {
                Kind::Ref { resource: target, .. } => Some((resource, field, target.as_str())),
                _ => None,
            })
        })
    }
}

impl Resource {
    fn parse(name: String, raw: &str) -> Result<Self, String> {
        let place = format!("resources.{name}");
        check_name(&place, &name)?;
        if matches!(name.as_str(), "me" | "orgs" | "public" | "functions") || name.starts_with("airlock") {
            return Err(format!("{place}: {name} is reserved by Airlock; choose another name."));
        }
        let mut owner = None;
        let mut scope = None;
        let mut routes = None;
        let mut raw_id = None;
        let mut resource = Self {
            table: Table { schema: "public".into(), name: name.clone() },
            name,
            owner: Owner::User,
            owner_column: OwnerColumn { column: Some("user_id".into()), set: Setter::Default },
            scope: Scope::Owner,
            under: None,
            read: None,
            id: Id { kind: IdKind::Uuid, column: "id".into() },
            version: Some(VersionColumn { column: "version".into(), kind: VersionKind::Integer }),
            created: Some("created_at".into()),
            updated: Some("updated_at".into()),
            deleted: Some("deleted_at".into()),
            routes: Vec::new(),
            filters: Vec::new(),
            sorts: Vec::new(),
            count: false,
            search: Vec::new(),
            publish: None,
            unique: Vec::new(),
            embed: Vec::new(),
            fields: Vec::new(),
        };
        for (key, raw) in table(raw, &place)? {
            let place = format!("{place}.{key}");
            match key.as_str() {
                "table" => {
                    let text = string(raw).unwrap_or_default();
                    let (schema, name) = text.split_once('.').unwrap_or(("public", &text));
                    if !is_identifier(schema) || !is_identifier(name) {
                        return Err(format!(
                            "{place}: must be a table's name, or its schema, a dot and its name, of at most 63 bytes each."
                        ));
                    }
                    resource.table = Table { schema: schema.to_owned(), name: name.to_owned() };
                }
                "owner" => owner = Some(Owned::parse(raw, &place)?),
                "scope" => scope = Scope::at(word(raw, &place, Scope::WORDS)?),
                "under" => resource.under = Some(Under::parse(raw, &place)?),
                "read" => resource.read = Readers::at(word(raw, &place, Readers::WORDS)?),
                "id" => {
                    let (kind, column) = kind_and_column(raw, &place, IdKind::WORDS)?;
                    resource.id.kind = IdKind::at(kind).unwrap_or(IdKind::Uuid);
                    raw_id = column;
                }
                "version" => {
                    resource.version = match raw {
                        "false" => None,
                        _ if raw.starts_with('{') => {
                            let (kind, column) = kind_and_column(raw, &place, VersionKind::WORDS)?;
                            let column = column.ok_or_else(|| format!("{place}: needs a column."))?;
                            VersionKind::at(kind).map(|kind| VersionColumn { column, kind })
                        }
                        _ => Some(VersionColumn { column: column(raw, &place)?, kind: VersionKind::Integer }),
                    };
                }
                "created" => resource.created = optional_column(raw, &place)?,
                "updated" => resource.updated = optional_column(raw, &place)?,
                "deleted" => resource.deleted = optional_column(raw, &place)?,
                "routes" => routes = Some(places(raw, &place, Verb::WORDS)?.into_iter().filter_map(Verb::at).collect()),
                "filters" => {
                    for (field, raw) in table(raw, &place)? {
                        let operators = places(raw, &format!("{place}.{field}"), Operator::WORDS)?;
                        resource.filters.push((field, operators.into_iter().filter_map(Operator::at).collect()));
                    }
                }
                "sorts" => resource.sorts = names(raw, &place)?,
                "count" => resource.count = boolean(raw, &place)?,
                "search" => resource.search = names(raw, &place)?,
                "publish" => resource.publish = Some(names(raw, &place)?),
                "unique" => {
                    for (constraint, raw) in table(raw, &place)? {
                        if !is_identifier(&constraint) {
                            return Err(format!("{place}: a constraint's name has 1 to 63 bytes."));
                        }
                        let fields =
                            if raw.starts_with('[') { names(raw, &place)? } else { string(raw).into_iter().collect() };
                        if fields.is_empty() {
                            return Err(format!(
                                "{place}.{constraint}: must be the name of a field, or a list of names."
                            ));
                        }
                        resource.unique.push((constraint, fields));
                    }
                }
                "embed" => {
                    for (name, raw) in table(raw, &place)? {
                        let fields = names(raw, &format!("{place}.{name}"))?;
                        resource.embed.push(Embed { name, fields, json: String::new() });
                    }
                }
                "fields" => {
                    for (name, raw) in table(raw, &place)? {
                        resource.fields.push(Field::parse(&place, name, raw)?);
                    }
                }
                _ => {
                    let keys = "table, id, owner, scope, under, read, version, created, updated, deleted, routes, filters, sorts, \
                        count, search, publish, unique, embed and fields";
                    return Err(unknown(&format!("resources.{}", resource.name), &key, keys));
                }
            }
        }
        let owner = owner.ok_or_else(|| format!("{place}: needs an owner: \"user\", \"org\" or \"both\"."))?;
        let usual = matches!(owner, Owned::Usual(_));
        match owner {
            Owned::Usual(owner) => resource.owner = owner,
            Owned::Column(column) => resource.owner_column = column,
        }
        if resource.id.kind == IdKind::Owner {
            // One column is both; either key may name it.
            let named = if usual { None } else { resource.owner_column.column.take() };
            if raw_id.is_some() && named.is_some() && raw_id != named {
                return Err(format!(
                    "{place}.owner: with id = \"owner\" the id is the owner; name the same column in both, or leave one out."
                ));
            }
            raw_id = raw_id.or(named);
        }
        resource.id.column = raw_id.unwrap_or(resource.id.column);
        if resource.id.kind == IdKind::Owner {
            resource.owner_column.column = Some(resource.id.column.clone());
        }
        // In a table that was there before, the rows of a parent may be other users' as well.
        let visible = resource.read.is_some() || resource.under.is_some() && !usual;
        resource.scope = scope.unwrap_or(if visible { Scope::Visible } else { Scope::Owner });
        resource.check_readers(&place, usual)?;
        resource.check(&place, usual)?;
        resource.sorts = resource.checked_sorts(&format!("{place}.sorts"))?;
        resource.routes = resource.routes(&place, routes)?;
        resource.check_lists(&place)?;
        Ok(resource)
    }

    /// Checks the fields, and the keys that name fields or exclude each other.
    fn check(&self, place: &str, usual: bool) -> Result<(), String> {
        if self.fields.is_empty() {
            let example = "title = \"text(1..200)\"";
            return Err(format!("{place}.fields: needs at least one field, such as {example}."));
        }
        if self.publish.as_ref().is_some_and(Vec::is_empty) {
            return Err(format!("{place}.publish: names no field; name at least one, or leave publish out."));
        }
        if self.publish.is_some() && self.id.kind == IdKind::Owner {
            return Err(format!("{place}.publish: is not for id = \"owner\", which is served as /me; leave it out."));
        }
        if self.owner.is_orgs() && (self.id.kind != IdKind::Uuid || self.scope == Scope::Visible) {
            return Err(format!(
                "{place}.owner: an organisation's rows have a UUID as id and scope = \"owner\"; write owner = \"user\", \
                 or leave id and scope out."
            ));
        }
        if self.scope == Scope::Owner && self.owner_column.column.is_none() {
            return Err(format!("{place}.owner: needs a column, unless scope = \"visible\"."));
        }
        self.check_fields(&format!("{place}.fields"), usual)?;
        let search = self.search.iter().map(|name| ("search", name));
        let publish = self.publish.iter().flatten().map(|name| ("publish", name));
        let unique = self.unique.iter().flat_map(|(_, names)| names).map(|name| ("unique", name));
        let filters = self.filters.iter().map(|(name, _)| ("filters", name));
        for (key, name) in search.chain(publish).chain(unique).chain(filters) {
            let Some(field) = self.field(name) else {
                return Err(format!("{place}.{key}: there is no field {name}; declare it or leave it out."));
            };
            let text = matches!(field.kind, Kind::Text { .. } | Kind::Verbatim { .. });
            if key == "search" && !text {
                return Err(format!("{place}.search: {name} is not a text or verbatim field; leave it out."));
            }
            if key == "filters" && !field.kind.is_scalar() {
                return Err(format!("{place}.filters: {name} is a list or an object; leave it out."));
            }
        }
        Ok(())
    }

    /// The sorts without the words `nulls last`, which one that may be null needs.
    fn checked_sorts(&self, place: &str) -> Result<Vec<String>, String> {
        let mut sorts: Vec<String> = Vec::new();
        for sort in &self.sorts {
            let (name, nulls_last) = sort.strip_suffix(NULLS_LAST).map_or((&**sort, false), |name| (name, true));
            let refused = |why: &str| Err(format!("{place}: {name} {why}."));
            match (self.field(name), name) {
                (Some(Field { nullable: true, .. }), _) if !nulls_last => {
                    return refused(&format!("may be null; write \"{name}{NULLS_LAST}\""));
                }
                (Some(Field { nullable: false, .. }), _) | (None, "created") if nulls_last => {
                    return refused("is never null; leave nulls last out");
                }
                (Some(Field { kind: Kind::Text { max, .. } | Kind::Verbatim { max, .. }, .. }), _)
                    if *max > SORTED_MAX =>
                {
                    return refused("may be longer than 200 characters; leave it out");
                }
                (Some(field), _) if !field.kind.is_scalar() => {
                    return refused("is a list or an object; leave it out");
                }
                (Some(_), _) => {}
                (None, "created") if self.created.is_some() => {}
                (None, "updated") if self.updated.is_some() => {}
                (None, _) => {
                    return refused("is not a field, and not created or updated of this resource; leave it out");
                }
            }
            if sorts.iter().any(|one| one == name) {
                return refused("is there twice; remove one");
            }
            sorts.push(name.to_owned());
        }
        Ok(sorts)
    }

    /// Checks the names and the columns of the fields. A table of new-resource has `usual` columns.
    fn check_fields(&self, place: &str, usual: bool) -> Result<(), String> {
        let own = |column: &Option<String>, name: &str| column.as_deref() == Some(name);
        let version = self.version.as_ref().map(|version| version.column.clone());
        let set = self.owner_column.set == Setter::Worker;
        for (at, field) in self.fields.iter().enumerate() {
            let Field { name, column, .. } = field;
            let place = format!("{place}.{name}");
            let taken = match name.as_str() {
                "created_at" => self.created.is_some(),
                "updated_at" => self.updated.is_some(),
                "deleted_at" => self.deleted.is_some(),
                "published_at" => usual || self.publish.is_some(),
                name => OWN_NAMES.contains(&name) && (usual || !FREE_NAMES.contains(&name)),
            };
            if taken {
                return Err(format!("{place}: {name} is a column of every table; choose another name."));
            }
            if usual && name == column && RESERVED.binary_search(&name.as_str()).is_ok() {
                return Err(format!("{place}: {name} is a reserved word of PostgreSQL; choose another name."));
            }
            if self.fields.iter().take(at).any(|other| other.column == *column) {
                return Err(format!("{place}: another field has the column {column}; remove one."));
            }
            let written = *column == self.id.column
                || set && own(&self.owner_column.column, column)
                || own(&version, column)
                || own(&self.deleted, column);
            if written && !field.read_only {
                return Err(format!(
                    "{place}: {column} is the column of the id, the owner, the version or deleted; add read_only = true, \
                     or leave the field out."
                ));
            }
        }
        Ok(())
    }

    /// Checks that rows with readers are not limited to their owners.
    fn check_readers(&self, place: &str, usual: bool) -> Result<(), String> {
        if self.read.is_some()
            && (usual || self.under.is_some() || self.scope == Scope::Owner || self.id.kind == IdKind::Owner)
        {
            return Err(format!(
                "{place}.read: is for rows that are nobody's or shown to others; write owner = {{ set = \"none\" }}, and \
                 leave scope, under and id = \"owner\" out."
            ));
        }
        Ok(())
    }

    /// The routes: those that are `given`, or all that there can be; of rows with readers, those that read.
    fn routes(&self, place: &str, given: Option<Vec<Verb>>) -> Result<Vec<Verb>, String> {
        let place = format!("{place}.routes");
        let writable = self.fields.iter().any(|field| !field.read_only);
        let owner = self.id.kind == IdKind::Owner;
        let reads = |verb: &Verb| matches!(verb, Verb::List | Verb::Read);
        let lacks = |verb: &Verb| match verb {
            Verb::List | Verb::Create | Verb::Restore | Verb::Publish if owner => {
                Some("is not for id = \"owner\", which has read, put, patch and delete")
            }
            verb if self.read == Some(Readers::App) && !reads(verb) => {
                Some("is not for read = \"app\", where nobody is signed in")
            }
            Verb::Put | Verb::Patch if !writable => Some("needs a field that is not read_only"),
            Verb::Restore if self.deleted.is_none() => Some("needs a column deleted"),
            Verb::Publish if self.publish.is_none() => Some("needs the key publish"),
            _ => None,
        };
        let Some(given) = given else {
            let all = Verb::ALL.iter().copied().filter(|verb| self.read.is_none() || reads(verb));
            return Ok(all.filter(|verb| lacks(verb).is_none() && !(owner && *verb == Verb::Delete)).collect());
        };
        for verb in &given {
            if let Some(why) = lacks(verb) {
                return Err(format!("{place}: {} {why}; leave it out.", verb.word()));
            }
        }
        if given.is_empty() {
            return Err(format!("{place}: names no route; name at least one, or leave routes out."));
        }
        Ok(given)
    }

    /// Checks that settings of lists stand only where the resource has a list.
    fn check_lists(&self, place: &str) -> Result<(), String> {
        let keys = [
            ("filters", self.filters.is_empty()),
            ("sorts", self.sorts.is_empty()),
            ("count", !self.count),
            ("search", self.search.is_empty()),
        ];
        match keys.iter().find(|(_, absent)| !absent && !self.routes.contains(&Verb::List)) {
            Some((key, _)) => Err(format!("{place}.{key}: the resource has no list; leave it out.")),
            None => Ok(()),
        }
    }
}

/// The value of the key `owner`.
enum Owned {
    /// The columns are those of a table of new-resource.
    Usual(Owner),
    Column(OwnerColumn),
}

impl Owned {
    fn parse(raw: &str, place: &str) -> Result<Self, String> {
        if !raw.starts_with('{') {
            return word(raw, place, Owner::WORDS).map(|at| Self::Usual(Owner::at(at).unwrap_or(Owner::User)));
        }
        let (mut named, mut set) = (None, None);
        for (key, raw) in table(raw, place)? {
            match key.as_str() {
                "column" => named = Some(column(raw, &format!("{place}.column"))?),
                "set" => set = Setter::at(word(raw, &format!("{place}.set"), Setter::WORDS)?),
                _ => return Err(unknown(place, &key, "column and set")),
            }
        }
        let set = set.ok_or_else(|| format!("{place}: needs set: \"worker\", \"default\" or \"none\"."))?;
        if named.is_none() && set != Setter::None {
            return Err(format!("{place}: needs a column, or set = \"none\"."));
        }
        Ok(Self::Column(OwnerColumn { column: named, set }))
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
    /// A kind, then `?`, `= value` or both; or a table with that text as `kind`.
    pub(super) fn parse(place: &str, name: String, raw: &str) -> Result<Self, String> {
        let place = format!("{place}.{name}");
        check_form(&place, &name)?;
        let refused = |sentence: String| format!("{place}: {sentence}");
        let (mut text, mut named, mut read_only) = (raw, None, false);
        if raw.starts_with('{') {
            text = "";
            for (key, raw) in table(raw, &place)? {
                match key.as_str() {
                    "kind" => text = raw,
                    "column" => named = Some(column(raw, &format!("{place}.column"))?),
                    "read_only" => read_only = boolean(raw, &format!("{place}.read_only"))?,
                    _ => return Err(unknown(&place, &key, "kind, column and read_only")),
                }
            }
        }
        let text =
            string(text).map_err(|_| refused("must be a kind of field in quotes, such as \"text(1..200)\".".into()))?;
        let (kind, rest) = grammar::kind(text.trim()).map_err(refused)?;
        let column = named.unwrap_or_else(|| name.clone());
        let mut field = Self { name, kind, nullable: false, default: None, database_default: false, column, read_only };
        let after = rest.strip_prefix('?').map(str::trim_start);
        field.nullable = after.is_some();
        let after = after.unwrap_or(rest);
        match after.split_at_checked(1) {
            None if after.is_empty() => {}
            Some(("=", _)) if read_only => {
                return Err(refused("is read_only, and so never absent from a body; leave the default out.".into()));
            }
            Some(("=", value)) if value.trim() == "default" => field.database_default = true,
            Some(("=", value)) => {
                field.default = Some(grammar::default(&field.kind, value.trim()).map_err(refused)?);
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

/// Pairs as the members of an object, in their order.
fn as_object<V: Serialize, S: Serializer>(pairs: &[(String, V)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

/// Checks the form of a name of the API.
pub(super) fn check_form(place: &str, name: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let first = name.starts_with(|c: char| c.is_ascii_lowercase());
    if first && name.len() <= 40 && name.chars().all(good) {
        Ok(())
    } else {
        Err(format!("{place}: a name has 1 to 40 of a-z, 0-9 and _, and begins with a letter."))
    }
}

/// Checks the name of a resource.
fn check_name(place: &str, name: &str) -> Result<(), String> {
    check_form(place, name)?;
    if RESERVED.binary_search(&name).is_ok() {
        return Err(format!("{place}: {name} is a reserved word of PostgreSQL; choose another name."));
    }
    if OWN_NAMES.contains(&name) {
        return Err(format!("{place}: {name} is a column of every table; choose another name."));
    }
    Ok(())
}

/// Whether PostgreSQL allows this as a name.
pub(super) fn is_identifier(name: &str) -> bool {
    (1..=63).contains(&name.len()) && !name.contains('\0')
}

/// The name of a column.
fn column(raw: &str, place: &str) -> Result<String, String> {
    let name = string(raw).ok().filter(|name| is_identifier(name));
    name.ok_or_else(|| format!("{place}: must be the name of a column, of 1 to 63 bytes."))
}

/// The name of a column, or `false` for none.
fn optional_column(raw: &str, place: &str) -> Result<Option<String>, String> {
    if raw == "false" { Ok(None) } else { column(raw, place).map(Some) }
}

fn boolean(raw: &str, place: &str) -> Result<bool, String> {
    if matches!(raw, "true" | "false") { Ok(raw == "true") } else { Err(format!("{place}: must be true or false.")) }
}

/// The place of a word in this list.
fn word(raw: &str, place: &str, words: &[&str]) -> Result<usize, String> {
    let text = string(raw).unwrap_or_default();
    words.iter().position(|word| *word == text).ok_or_else(|| {
        let (last, first) = words.split_last().unwrap_or((&"", &[]));
        format!("{place}: must be \"{}\" or \"{last}\".", first.join("\", \""))
    })
}

/// The places of words in this list, each once.
fn places(raw: &str, place: &str, words: &[&str]) -> Result<Vec<usize>, String> {
    let mut found = Vec::new();
    for (_, raw) in parts(raw, '[').ok_or_else(|| format!("{place}: must be a list."))? {
        let value = word(raw, place, words)?;
        if found.contains(&value) {
            return Err(format!("{place}: has {raw} twice; remove one."));
        }
        found.push(value);
    }
    Ok(found)
}

/// The place of a kind among these, in quotes or in a table with a column.
fn kind_and_column(raw: &str, place: &str, kinds: &[&str]) -> Result<(usize, Option<String>), String> {
    let (mut kind, mut named) = (None, None);
    if !raw.starts_with('{') {
        return Ok((word(raw, place, kinds)?, None));
    }
    for (key, raw) in table(raw, place)? {
        let inner = format!("{place}.{key}");
        match key.as_str() {
            "kind" => kind = Some(word(raw, &inner, kinds)?),
            "column" => named = Some(column(raw, &inner)?),
            _ => return Err(unknown(place, &key, "kind and column")),
        }
    }
    let kind = kind.ok_or_else(|| format!("{place}: needs a kind."))?;
    Ok((kind, named))
}

/// The keys and values of a table, each key once.
pub(super) fn table<'a>(raw: &'a str, place: &str) -> Result<Vec<(String, &'a str)>, String> {
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

pub(super) fn unknown(place: &str, key: &str, keys: &str) -> String {
    format!("{place}: {key} is not a key; the keys are {keys}.")
}

#[cfg(test)]
#[path = "tests/declaration.rs"]
mod tests;
