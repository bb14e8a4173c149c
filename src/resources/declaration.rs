//! The declaration (airlock.toml as JSON), checked.
//!
//! A [`Declaration`] in hand contradicts neither itself nor PostgreSQL. Each refusal is one sentence
//! that names the section and the field and says how to fix it.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use super::grammar;
use super::kind::{Kind, Value, string};
use super::reader::{
    Read, Refusal, Within, boolean, check_form, column, is_identifier, keyed, kind_and_column, named, names,
    optional_column, places, refuse, refuse_if, table, word,
};

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
#[rustfmt::skip]
const OWN_NAMES: [&str; 15] = [
    "id", "user_id", "org_id", "version", "created_at", "updated_at", "deleted_at", "published_at", "airlock_search",
    "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid",
];

/// Reserved names that an adopted table may still have as fields.
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
    /// Resources, in the order of airlock.toml.
    pub(crate) resources: Vec<Resource>,
    /// Database functions, in the order of airlock.toml.
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
    /// Fields, in the order of airlock.toml.
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
    /// The name in `include`: the field that refers to one row, or the resource of many rows.
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
    /// Arguments, in the order of airlock.toml.
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
    pub(crate) column: String,
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

            /// The word in airlock.toml.
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
        /// The owner's rows, by a condition in addition to the policies.
        Owner = "owner",
        /// All rows that the policies show.
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
        Self::read(json.trim())
            .map_err(|Refusal(text)| if text.starts_with(':') { format!("airlock.toml{text}") } else { text })
    }

    fn read(json: &str) -> Read<Self> {
        let mut declaration = Self { organizations: true, resources: Vec::new(), functions: Vec::new() };
        keyed(json, "organizations, resources and functions", &mut |key, raw| {
            match key {
                "organizations" => declaration.organizations = boolean(raw)?,
                "resources" => named(raw, &mut |name, raw| {
                    declaration.resources.push(Resource::parse(name, raw)?);
                    Ok(())
                })?,
                "functions" => named(raw, &mut |name, raw| {
                    declaration.functions.push(DeclaredFunction::parse(name, raw)?);
                    Ok(())
                })?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let checks: [fn(&Self, &Resource) -> Read<()>; 3] =
            [Self::check_owner, Self::check_under, Self::check_references];
        for check in checks {
            for resource in &declaration.resources {
                check(&declaration, resource).within(&resource.name).within("resources")?;
            }
        }
        for function in &declaration.functions {
            declaration.check_arguments(function).within("arguments").within(&function.name).within("functions")?;
        }
        declaration.check_circles().within("resources")?;
        declaration.set_embeds()?;
        declaration.set_references();
        Ok(declaration)
    }

    /// The resource of this name.
    pub(crate) fn resource(&self, name: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.name == name)
    }

    fn check_owner(&self, resource: &Resource) -> Read<()> {
        let Resource { name, owner, .. } = resource;
        if owner.is_orgs() && matches!(name.as_str(), "members" | "invitations") {
            return refuse(format!("/v1/orgs/{{org_id}}/{name} is a path of organisations; choose another name."));
        }
        if owner.is_orgs() && !self.organizations {
            return refuse("there are no organisations with organizations = false; write owner = \"user\".")
                .within("owner");
        }
        Ok(())
    }

    fn check_references(&self, resource: &Resource) -> Read<()> {
        for (field, target) in resource.references() {
            let own = resource.owner.is_users() && field.nullable;
            let sentence = match self.resource(target) {
                None => format!("ref({target}) needs the name of a declared resource; declare it, or name another."),
                Some(above) if resource.owner.is_orgs() && !above.owner.is_orgs() && !own => format!(
                    "ref({target}) can never be set in an organisation's row; declare {target} with owner = \"both\" or \
                     \"org\"."
                ),
                Some(_) => continue,
            };
            return refuse(sentence).within(&field.name).within("fields");
        }
        Ok(())
    }

    fn check_arguments(&self, function: &DeclaredFunction) -> Read<()> {
        for field in &function.arguments {
            if let Some(target) = field.target()
                && self.resource(target).is_none()
            {
                let sentence = format!("ref({target}) needs the name of a declared resource.");
                return refuse(sentence).within(&field.name);
            }
        }
        Ok(())
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
    fn check_circles(&self) -> Read<()> {
        let mut possible: Vec<&str> = Vec::new();
        loop {
            let waits = |field: &Field, target: &str| {
                let may_wait = field.nullable || field.read_only || field.database_default;
                !may_wait && !possible.contains(&target)
            };
            let below = |one: &Resource| one.under.as_ref().is_some_and(|under| !possible.contains(&&*under.resource));
            let ready = |one: &&Resource| !below(one) && !one.references().any(|(field, target)| waits(field, target));
            let ready: Vec<&str> = self.resources.iter().filter(ready).map(|resource| resource.name.as_str()).collect();
            if ready.len() > possible.len() {
                possible = ready;
                continue;
            }
            for resource in &self.resources {
                if let Some((field, target)) = resource.references().find(|(field, target)| waits(field, target)) {
                    let sentence = format!(
                        "ref({target}) is required in a circle, so that no row could be the first; write ref({target})?."
                    );
                    return refuse(sentence).within(&field.name).within("fields").within(&resource.name);
                }
            }
            return match self.resources.iter().find(|one| below(one)) {
                None => Ok(()),
                Some(one) => refuse("the resources are under each other in a circle; leave out one under.")
                    .within("under")
                    .within(&one.name),
            };
        }
    }
}

impl Resource {
    fn parse(name: &str, raw: &str) -> Read<Self> {
        check_form(name)?;
        check_name(name)?;
        if OWN_NAMES.contains(&name) {
            return refuse(format!("{name} is a column of every table; choose another name."));
        }
        if matches!(name, "me" | "orgs" | "public" | "functions") || name.starts_with("airlock") {
            return refuse(format!("{name} is reserved by Airlock; choose another name."));
        }
        let (mut owner, mut scope, mut routes, mut raw_id) = (None, None, None, None);
        let mut resource = Self {
            name: name.to_owned(),
            table: Table { schema: "public".into(), name: name.to_owned() },
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
        let keys = "table, id, owner, scope, under, read, version, created, updated, deleted, routes, filters, sorts, \
                    count, search, publish, unique, embed and fields";
        keyed(raw, keys, &mut |key, raw| {
            match key {
                "table" => resource.table = Table::parse(raw)?,
                "owner" => owner = Some(Owned::parse(raw)?),
                "scope" => scope = Scope::at(word(raw, Scope::WORDS)?),
                "under" => resource.under = Some(Under::parse(raw)?),
                "read" => resource.read = Readers::at(word(raw, Readers::WORDS)?),
                "id" => {
                    let (kind, column) = kind_and_column(raw, IdKind::WORDS)?;
                    resource.id.kind = IdKind::at(kind).unwrap_or(IdKind::Uuid);
                    raw_id = column;
                }
                "version" => resource.version = VersionColumn::parse(raw)?,
                "created" => resource.created = optional_column(raw)?,
                "updated" => resource.updated = optional_column(raw)?,
                "deleted" => resource.deleted = optional_column(raw)?,
                "routes" => routes = Some(places(raw, Verb::WORDS)?.into_iter().filter_map(Verb::at).collect()),
                "filters" => named(raw, &mut |field, raw| {
                    let operators = places(raw, Operator::WORDS)?.into_iter().filter_map(Operator::at);
                    resource.filters.push((field.to_owned(), operators.collect()));
                    Ok(())
                })?,
                "sorts" => resource.sorts = names(raw)?,
                "count" => resource.count = boolean(raw)?,
                "search" => resource.search = names(raw)?,
                "publish" => resource.publish = Some(names(raw)?),
                "unique" => {
                    for (constraint, raw) in table(raw)? {
                        if !is_identifier(&constraint) {
                            return refuse("a constraint's name has 1 to 63 bytes.");
                        }
                        let fields = if raw.starts_with('[') {
                            names(raw)?
                        } else {
                            string(raw).into_iter().map(Cow::into_owned).collect()
                        };
                        if fields.is_empty() {
                            return refuse("must be the name of a field, or a list of names.").within(&constraint);
                        }
                        resource.unique.push((constraint.into_owned(), fields));
                    }
                }
                "embed" => named(raw, &mut |name, raw| {
                    resource.embed.push(Embed { name: name.to_owned(), fields: names(raw)?, json: String::new() });
                    Ok(())
                })?,
                "fields" => named(raw, &mut |name, raw| {
                    resource.fields.push(Field::parse(name, raw)?);
                    Ok(())
                })?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let owner = owner.ok_or("needs an owner: \"user\", \"org\" or \"both\".")?;
        let usual = matches!(owner, Owned::Usual(_));
        match owner {
            Owned::Usual(owner) => resource.owner = owner,
            Owned::Column(column) => resource.owner_column = column,
        }
        if resource.id.kind == IdKind::Owner {
            // One column is both; either key may name it.
            let named = if usual { None } else { resource.owner_column.column.take() };
            if raw_id.is_some() && named.is_some() && raw_id != named {
                let sentence =
                    "with id = \"owner\" the id is the owner; name the same column in both, or leave one out.";
                return refuse(sentence).within("owner");
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
        resource.check(usual)?;
        resource.sorts = resource.checked_sorts().within("sorts")?;
        resource.routes = resource.routes(routes).within("routes")?;
        resource.check_lists()?;
        Ok(resource)
    }

    /// Checks the fields, and the keys that name fields or exclude each other.
    fn check(&self, usual: bool) -> Read<()> {
        let owner = self.id.kind == IdKind::Owner;
        let own = usual || self.under.is_some() || self.scope == Scope::Owner || owner;
        refuse_if(
            self.read.is_some() && own,
            "read",
            "is for rows without an owner or shown to others; write owner = { set = \"none\" }, and leave scope, under \
             and id = \"owner\" out.",
        )?;
        refuse_if(self.fields.is_empty(), "fields", "needs at least one field, such as title = \"text(1..200)\".")?;
        let nothing = self.publish.as_ref().is_some_and(Vec::is_empty);
        refuse_if(nothing, "publish", "names no field; name at least one, or leave publish out.")?;
        let me = "is not for id = \"owner\", which is served as /me; leave it out.";
        refuse_if(self.publish.is_some() && owner, "publish", me)?;
        refuse_if(
            self.owner.is_orgs() && (self.id.kind != IdKind::Uuid || self.scope == Scope::Visible),
            "owner",
            "an organisation's rows have a UUID as id and scope = \"owner\"; write owner = \"user\", or leave id and \
             scope out.",
        )?;
        let nobody = self.scope == Scope::Owner && self.owner_column.column.is_none();
        refuse_if(nobody, "owner", "needs a column, unless scope = \"visible\".")?;
        for (at, field) in self.fields.iter().enumerate() {
            let before = self.fields.get(..at).unwrap_or_default();
            self.check_field(field, before, usual).within(&field.name).within("fields")?;
        }
        let search = self.search.iter().map(|name| ("search", name));
        let publish = self.publish.iter().flatten().map(|name| ("publish", name));
        let unique = self.unique.iter().flat_map(|(_, names)| names).map(|name| ("unique", name));
        let filters = self.filters.iter().map(|(name, _)| ("filters", name));
        for (key, name) in search.chain(publish).chain(unique).chain(filters) {
            let sentence = match self.field(name).map(|field| &field.kind) {
                None => format!("there is no field {name}; declare it or leave it out."),
                Some(Kind::Text { .. } | Kind::Verbatim { .. }) => continue,
                Some(_) if key == "search" => format!("{name} is not a text or verbatim field; leave it out."),
                Some(kind) if key == "filters" && !kind.is_scalar() => {
                    format!("{name} is a list or an object; leave it out.")
                }
                Some(_) => continue,
            };
            return refuse(sentence).within(key);
        }
        Ok(())
    }

    /// The sorts without the words `nulls last`, which one that may be null needs.
    fn checked_sorts(&self) -> Read<Vec<String>> {
        let mut sorts: Vec<String> = Vec::new();
        for sort in &self.sorts {
            let (name, nulls_last) = sort.strip_suffix(NULLS_LAST).map_or((&**sort, false), |name| (name, true));
            let column = match name {
                "created" => &self.created,
                "updated" => &self.updated,
                _ => &None,
            };
            let why = match (self.field(name), name) {
                (Some(Field { nullable: true, .. }), _) if !nulls_last => {
                    &format!("may be null; write \"{name}{NULLS_LAST}\"")
                }
                (Some(Field { nullable: false, .. }), _) | (None, "created") if nulls_last => {
                    "is never null; leave nulls last out"
                }
                (Some(Field { kind: Kind::Text { max, .. } | Kind::Verbatim { max, .. }, .. }), _)
                    if *max > SORTED_MAX =>
                {
                    "may be longer than 200 characters; leave it out"
                }
                (Some(field), _) if !field.kind.is_scalar() => "is a list or an object; leave it out",
                (None, _) if column.is_none() => {
                    "is not a field, and not created or updated of this resource; leave it out"
                }
                _ if sorts.iter().any(|one| one == name) => "is there twice; remove one",
                _ => {
                    sorts.push(name.to_owned());
                    continue;
                }
            };
            return refuse(format!("{name} {why}."));
        }
        Ok(sorts)
    }

    /// Checks the name and the column of a field. A table of new-resource has `usual` columns.
    fn check_field(&self, field: &Field, before: &[Field], usual: bool) -> Read<()> {
        let own = |own: Option<&String>| own == Some(&field.column);
        let Field { name, column, .. } = field;
        let taken = match name.as_str() {
            "created_at" => self.created.is_some(),
            "updated_at" => self.updated.is_some(),
            "deleted_at" => self.deleted.is_some(),
            "published_at" => usual || self.publish.is_some(),
            name => OWN_NAMES.contains(&name) && (usual || !FREE_NAMES.contains(&name)),
        };
        if taken {
            return refuse(format!("{name} is a column of every table; choose another name."));
        }
        if usual && name == column {
            check_name(name)?;
        }
        if before.iter().any(|other| other.column == *column) {
            return refuse(format!("another field has the column {column}; remove one."));
        }
        let written = *column == self.id.column
            || self.owner_column.set == Setter::Worker && own(self.owner_column.column.as_ref())
            || own(self.version.as_ref().map(|version| &version.column))
            || own(self.deleted.as_ref());
        if written && !field.read_only {
            return refuse(format!(
                "{column} is the column of the id, the owner, the version or deleted; add read_only = true, or leave \
                 the field out."
            ));
        }
        Ok(())
    }

    /// The routes: those that are `given`, or all that there can be; of rows with readers, those that read.
    fn routes(&self, given: Option<Vec<Verb>>) -> Read<Vec<Verb>> {
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
                return refuse(format!("{} {why}; leave it out.", verb.word()));
            }
        }
        if given.is_empty() {
            return refuse("names no route; name at least one, or leave routes out.");
        }
        Ok(given)
    }

    /// Checks that settings of lists stand only where the resource has a list.
    fn check_lists(&self) -> Read<()> {
        let keys = [
            ("filters", self.filters.is_empty()),
            ("sorts", self.sorts.is_empty()),
            ("count", !self.count),
            ("search", self.search.is_empty()),
        ];
        match keys.iter().find(|(_, absent)| !absent && !self.routes.contains(&Verb::List)) {
            Some((key, _)) => refuse("the resource has no list; leave it out.").within(key),
            None => Ok(()),
        }
    }

    /// Each field that refers to a resource, and the name of that resource.
    fn references(&self) -> impl Iterator<Item = (&Field, &str)> {
        self.fields.iter().filter_map(|field| Some((field, field.target()?)))
    }
}

impl Table {
    fn parse(raw: &str) -> Read<Self> {
        let text = string(raw).unwrap_or_default();
        let (schema, name) = text.split_once('.').unwrap_or(("public", &text));
        if !is_identifier(schema) || !is_identifier(name) {
            return refuse("must be a table's name, or its schema, a dot and its name, of at most 63 bytes each.");
        }
        Ok(Self { schema: schema.to_owned(), name: name.to_owned() })
    }
}

impl VersionColumn {
    fn parse(raw: &str) -> Read<Option<Self>> {
        if raw == "false" {
            return Ok(None);
        }
        if !raw.starts_with('{') {
            return Ok(Some(Self { column: column(raw)?, kind: VersionKind::Integer }));
        }
        let (kind, column) = kind_and_column(raw, VersionKind::WORDS)?;
        let column = column.ok_or("needs a column.")?;
        Ok(VersionKind::at(kind).map(|kind| Self { column, kind }))
    }
}

/// The value of the key `owner`.
enum Owned {
    /// The columns are those of a table of new-resource.
    Usual(Owner),
    Column(OwnerColumn),
}

impl Owned {
    fn parse(raw: &str) -> Read<Self> {
        if !raw.starts_with('{') {
            return word(raw, Owner::WORDS).map(|at| Self::Usual(Owner::at(at).unwrap_or(Owner::User)));
        }
        let (mut named, mut set) = (None, None);
        keyed(raw, "column and set", &mut |key, raw| {
            match key {
                "column" => named = Some(column(raw)?),
                "set" => set = Setter::at(word(raw, Setter::WORDS)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let set = set.ok_or("needs set: \"worker\", \"default\" or \"none\".")?;
        if named.is_none() && set != Setter::None {
            return refuse("needs a column, or set = \"none\".");
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
    pub(super) fn parse(name: &str, raw: &str) -> Read<Self> {
        check_form(name)?;
        let (mut text, mut own_column, mut read_only) = (raw, None, false);
        if raw.starts_with('{') {
            text = "";
            keyed(raw, "kind, column and read_only", &mut |key, raw| {
                match key {
                    "kind" => text = raw,
                    "column" => own_column = Some(column(raw)?),
                    "read_only" => read_only = boolean(raw)?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        let text = string(text).map_err(|_| "must be a kind of field in quotes, such as \"text(1..200)\".")?;
        let (kind, rest) = grammar::kind(text.trim())?;
        let after = rest.strip_prefix('?').map(str::trim_start);
        let mut field = Self {
            name: name.to_owned(),
            kind,
            nullable: after.is_some(),
            default: None,
            database_default: false,
            column: own_column.unwrap_or_else(|| name.to_owned()),
            read_only,
        };
        let after = after.unwrap_or(rest);
        match after.split_at_checked(1) {
            None if after.is_empty() => {}
            Some(("=", _)) if read_only => {
                return refuse("is read_only, and so never absent from a body; leave the default out.");
            }
            Some(("=", value)) if value.trim() == "default" => field.database_default = true,
            Some(("=", value)) => field.default = Some(grammar::default(&field.kind, value.trim())?),
            _ => {
                return refuse(format!(
                    "{rest} is not understood; after the kind write ? (may be null), = and a default, or nothing."
                ));
            }
        }
        Ok(field)
    }

    /// The resource that it refers to.
    pub(super) fn target(&self) -> Option<&str> {
        match &self.kind {
            Kind::Ref { resource, .. } => Some(resource),
            _ => None,
        }
    }
}

/// Pairs as the members of an object, in their order.
fn as_object<V: Serialize, S: Serializer>(pairs: &[(String, V)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

/// Checks that a table of new-resource can have this name for itself or a column.
fn check_name(name: &str) -> Read<()> {
    if RESERVED.binary_search(&name).is_ok() {
        return refuse(format!("{name} is a reserved word of PostgreSQL; choose another name."));
    }
    Ok(())
}

#[cfg(test)]
#[path = "tests/declaration.rs"]
mod tests;
