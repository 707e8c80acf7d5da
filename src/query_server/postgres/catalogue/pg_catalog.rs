//! The schema `pg_catalog`: tables about the lake's own tables, about the connection, and those
//! that never have rows. All others are the compatibility layer's.

use super::super::cursors::{CursorOptions, OpenCursors};
use super::super::idle::lock;
use super::super::settings::{SETTINGS, SessionSettings};
use super::relations::{OWNER, Relation, SCHEMAS, column_type, schema_oid};
use super::rows::Rows;
use arrow::datatypes::{DataType, FieldRef, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::error::Result;
use datafusion_postgres::pgwire::api::Type;
use std::sync::Arc;

/// OID of the database.
const DATABASE: i32 = 16_383;
/// The encoding UTF-8.
const UTF8: i32 = 6;

/// Tables that never have rows here, with their columns of texts.
const EMPTY: [(&str, &[&str]); 14] = [
    ("pg_available_extensions", &["name", "default_version", "installed_version", "comment"]),
    ("pg_group", &["groname"]),
    ("pg_indexes", &["schemaname", "tablename", "indexname", "tablespace", "indexdef"]),
    ("pg_locks", &["locktype", "mode", "granted"]),
    ("pg_policies", &["schemaname", "tablename", "policyname", "permissive", "cmd", "qual"]),
    ("pg_prepared_xacts", &["gid", "owner", "database"]),
    ("pg_publication_tables", &["pubname", "schemaname", "tablename"]),
    ("pg_rules", &["schemaname", "tablename", "rulename", "definition"]),
    ("pg_seclabels", &["objtype", "objname", "provider", "label"]),
    ("pg_sequences", &["schemaname", "sequencename", "sequenceowner", "data_type"]),
    ("pg_shadow", &["usename"]),
    ("pg_stat_wal_receiver", &["status", "slot_name", "conninfo"]),
    ("pg_stats", &["schemaname", "tablename", "attname"]),
    ("pg_user_mappings", &["srvname", "usename"]),
];

/// Tables of the compatibility layer that have no rows here.
pub(super) const NOTHING: [&str; 16] = [
    "pg_attrdef",
    "pg_constraint",
    "pg_enum",
    "pg_event_trigger",
    "pg_foreign_server",
    "pg_foreign_table",
    "pg_index",
    "pg_inherits",
    "pg_partitioned_table",
    "pg_policy",
    "pg_publication",
    "pg_publication_rel",
    "pg_rewrite",
    "pg_sequence",
    "pg_statistic_ext",
    "pg_trigger",
];

/// Tables that are built here.
const FILLED: [&str; 13] = [
    "pg_attribute",
    "pg_class",
    "pg_cursors",
    "pg_database",
    "pg_namespace",
    "pg_prepared_statements",
    "pg_roles",
    "pg_authid",
    "pg_settings",
    "pg_stat_activity",
    "pg_tables",
    "pg_user",
    "pg_views",
];

/// The names of the tables that are built here.
pub(super) fn table_names() -> impl Iterator<Item = &'static str> {
    EMPTY.iter().map(|(name, _)| *name).chain(FILLED)
}

/// The objects that the tables describe.
pub(super) struct Described<'r> {
    /// Every table and view.
    pub(super) relations: &'r [Relation],
    /// The settings, with the names of the user and the database.
    pub(super) settings: &'r SessionSettings,
    /// The open cursors.
    pub(super) cursors: &'r OpenCursors,
}

/// A table; `None` if it is not built here.
///
/// # Errors
/// A table cannot be built.
pub(super) fn table(name: &str, of: &Described<'_>) -> Result<Option<Arc<dyn TableProvider>>> {
    if let Some((_, columns)) = EMPTY.iter().find(|(known, _)| *known == name) {
        return Rows::new(0).no_text(columns).table().map(Some);
    }
    let user = of.settings.user();
    let rows = match name {
        "pg_attribute" => attributes(of.relations),
        "pg_class" => classes(of.relations),
        "pg_namespace" => Rows::new(SCHEMAS.len())
            .oid("oid", SCHEMAS.iter().map(|(_, oid)| *oid))
            .text("nspname", SCHEMAS.iter().map(|(name, _)| Some(name)))
            .same_oid("nspowner", OWNER)
            .no_texts("nspacl"),
        "pg_database" => databases(&of.settings.database()),
        "pg_roles" | "pg_authid" | "pg_user" => roles(name, &user),
        "pg_settings" => settings(of.settings),
        "pg_cursors" => cursors(of.cursors),
        "pg_prepared_statements" => Rows::new(0)
            .no_text(&["name", "statement"])
            .none("prepare_time", &timestamptz())
            .same_boolean("from_sql", false),
        "pg_stat_activity" => Rows::new(1)
            .same_oid("datid", DATABASE)
            .same_text("datname", Some(&of.settings.database()))
            .same_int4("pid", i32::try_from(std::process::id()).ok())
            .same_oid("usesysid", OWNER)
            .same_text("usename", Some(&user))
            .same_text("application_name", of.settings.get("application_name").as_deref())
            .same_text("state", Some("active"))
            .no_text(&["query", "wait_event", "wait_event_type", "backend_type"]),
        "pg_tables" => tables(of.relations, &user),
        "pg_views" => {
            let views: Vec<&Relation> = of.relations.iter().filter(|one| one.is_view).collect();
            Rows::new(views.len())
                .text("schemaname", views.iter().map(|view| Some(view.schema)))
                .text("viewname", views.iter().map(|view| Some(&view.name)))
                .same_text("viewowner", Some(&user))
                .no_text(&["definition"])
        }
        _ => return Ok(None),
    };
    rows.table().map(Some)
}

fn timestamptz() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn tables(relations: &[Relation], user: &str) -> Rows {
    let tables: Vec<&Relation> = relations.iter().filter(|one| !one.is_view).collect();
    Rows::new(tables.len())
        .text("schemaname", tables.iter().map(|table| Some(table.schema)))
        .text("tablename", tables.iter().map(|table| Some(&table.name)))
        .same_text("tableowner", Some(user))
        .no_text(&["tablespace"])
        .same_boolean("hasindexes", false)
        .same_boolean("hasrules", false)
        .same_boolean("hastriggers", false)
        .same_boolean("rowsecurity", false)
}

fn classes(all: &[Relation]) -> Rows {
    let columns = all.iter().map(|one| i16::try_from(one.columns.fields().len()).unwrap_or(0));
    Rows::new(all.len())
        .oid("oid", all.iter().map(|one| one.oid))
        .text("relname", all.iter().map(|one| Some(&one.name)))
        .oid("relnamespace", all.iter().map(|one| schema_oid(one.schema)))
        .same_oid("reltype", 0)
        .same_oid("reloftype", 0)
        .same_oid("relowner", OWNER)
        .same_oid("relam", 0)
        .same_oid("relfilenode", 0)
        .same_oid("reltablespace", 0)
        .same_int4("relpages", Some(0))
        .same_float4("reltuples", -1.0)
        .same_int4("relallvisible", Some(0))
        .same_oid("reltoastrelid", 0)
        .same_boolean("relhasindex", false)
        .same_boolean("relisshared", false)
        .same_char("relpersistence", "p")
        .char("relkind", all.iter().map(|one| if one.is_view { "v" } else { "r" }))
        .int2("relnatts", columns)
        .int2("relchecks", std::iter::repeat_n(0, all.len()))
        .same_boolean("relhasrules", false)
        .same_boolean("relhastriggers", false)
        .same_boolean("relhassubclass", false)
        .same_boolean("relrowsecurity", false)
        .same_boolean("relforcerowsecurity", false)
        .same_boolean("relispopulated", true)
        .same_char("relreplident", "d")
        .same_boolean("relispartition", false)
        .same_oid("relrewrite", 0)
        .same_int4("relfrozenxid", Some(0))
        .same_int4("relminmxid", Some(0))
        .no_texts("relacl")
        .no_texts("reloptions")
        .no_text(&["relpartbound"])
}

/// Width, by-value and alignment of the values of a type.
fn storage(datatype: &Type) -> (i16, bool, &'static str) {
    match *datatype {
        Type::BOOL => (1, true, "c"),
        Type::INT2 => (2, true, "s"),
        Type::INT4 | Type::FLOAT4 | Type::DATE => (4, true, "i"),
        Type::INT8 | Type::FLOAT8 | Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::TIME => {
            (8, true, "d")
        }
        _ => (-1, false, "i"),
    }
}

fn attributes(relations: &[Relation]) -> Rows {
    let all: Vec<(&Relation, i16, &FieldRef)> = relations
        .iter()
        .flat_map(|one| (1..).zip(one.columns.fields()).map(move |(at, field)| (one, at, field)))
        .collect();
    let types: Vec<Type> = all.iter().map(|(_, _, field)| column_type(field)).collect();
    let is_list = |field: &FieldRef| matches!(field.data_type(), DataType::List(_));
    Rows::new(all.len())
        .oid("attrelid", all.iter().map(|(one, ..)| one.oid))
        .text("attname", all.iter().map(|(_, _, field)| Some(field.name())))
        .oid("atttypid", types.iter().map(|datatype| datatype.oid().cast_signed()))
        .same_int4("attstattarget", Some(-1))
        .int2("attlen", types.iter().map(|datatype| storage(datatype).0))
        .int2("attnum", all.iter().map(|(_, number, _)| *number))
        .int4("attndims", all.iter().map(|(_, _, field)| Some(i32::from(is_list(field)))))
        .same_int4("attcacheoff", Some(-1))
        .same_int4("atttypmod", Some(-1))
        .boolean("attbyval", types.iter().map(|datatype| storage(datatype).1))
        .char("attalign", types.iter().map(|datatype| storage(datatype).2))
        .char("attstorage", types.iter().map(|kind| if storage(kind).1 { "p" } else { "x" }))
        .same_char("attcompression", "")
        .boolean("attnotnull", all.iter().map(|(_, _, field)| !field.is_nullable()))
        .same_boolean("atthasdef", false)
        .same_boolean("atthasmissing", false)
        .same_char("attidentity", "")
        .same_char("attgenerated", "")
        .same_boolean("attisdropped", false)
        .same_boolean("attislocal", true)
        .same_int4("attinhcount", Some(0))
        .oid("attcollation", types.iter().map(|kind| if *kind == Type::TEXT { 100 } else { 0 }))
        .no_texts("attacl")
        .no_texts("attoptions")
        .no_texts("attfdwoptions")
        .no_text(&["attmissingval"])
}

fn databases(name: &str) -> Rows {
    Rows::new(1)
        .same_oid("oid", DATABASE)
        .same_text("datname", Some(name))
        .same_oid("datdba", OWNER)
        .same_int4("encoding", Some(UTF8))
        .same_char("datlocprovider", "c")
        .same_boolean("datistemplate", false)
        .same_boolean("datallowconn", true)
        .same_int4("datconnlimit", Some(-1))
        .same_int4("datfrozenxid", Some(0))
        .same_int4("datminmxid", Some(0))
        .same_oid("dattablespace", 1_663)
        .same_text("datcollate", Some("C"))
        .same_text("datctype", Some("C"))
        .no_text(&["daticulocale", "daticurules", "datcollversion"])
        .no_texts("datacl")
}

/// The one role: `pg_roles`, `pg_authid` or `pg_user`.
fn roles(table: &str, user: &str) -> Rows {
    if table == "pg_user" {
        return Rows::new(1)
            .same_text("usename", Some(user))
            .same_oid("usesysid", OWNER)
            .same_boolean("usecreatedb", false)
            .same_boolean("usesuper", false)
            .same_boolean("userepl", false)
            .same_boolean("usebypassrls", false)
            .same_text("passwd", Some("********"))
            .none("valuntil", &timestamptz())
            .no_texts("useconfig");
    }
    Rows::new(1)
        .same_oid("oid", OWNER)
        .same_text("rolname", Some(user))
        .same_boolean("rolsuper", false)
        .same_boolean("rolinherit", true)
        .same_boolean("rolcreaterole", false)
        .same_boolean("rolcreatedb", false)
        .same_boolean("rolcanlogin", true)
        .same_boolean("rolreplication", false)
        .same_int4("rolconnlimit", Some(-1))
        .same_text("rolpassword", Some("********"))
        .none("rolvaliduntil", &timestamptz())
        .same_boolean("rolbypassrls", false)
        .no_texts("rolconfig")
}

fn settings(settings: &SessionSettings) -> Rows {
    let values = || SETTINGS.iter().map(|setting| settings.get(setting.name));
    Rows::new(SETTINGS.len())
        .text("name", SETTINGS.iter().map(|setting| Some(setting.name)))
        .text("setting", values())
        .no_text(&["unit"])
        .same_text("category", Some("Client Connection Defaults"))
        .text("short_desc", SETTINGS.iter().map(|setting| Some(setting.meaning)))
        .no_text(&["extra_desc"])
        .same_text("context", Some("user"))
        .same_text("vartype", Some("string"))
        .same_text("source", Some("session"))
        .no_text(&["min_val", "max_val"])
        .no_texts("enumvals")
        .text("boot_val", SETTINGS.iter().map(|setting| Some(setting.default)))
        .text("reset_val", SETTINGS.iter().map(|setting| Some(setting.default)))
        .no_text(&["sourcefile"])
        .same_int4("sourceline", None)
        .same_boolean("pending_restart", false)
}

fn cursors(cursors: &OpenCursors) -> Rows {
    let open = lock(cursors);
    let of = |is: fn(&CursorOptions) -> bool| {
        open.values().map(|cursor| is(&cursor.options)).collect::<Vec<bool>>()
    };
    Rows::new(open.len())
        .text("name", open.keys().map(Some))
        .text("statement", open.values().map(|cursor| Some(&cursor.statement)))
        .boolean("is_holdable", of(|options| options.hold))
        .boolean("is_binary", of(|options| options.binary))
        .boolean("is_scrollable", of(|options| options.scroll))
        .none("creation_time", &timestamptz())
}

/// True if unqualified names of tables can mean this table of the catalogue.
pub(super) fn has_table(name: &str) -> bool {
    table_names().any(|known| known == name)
        || datafusion_postgres::datafusion_pg_catalog::pg_catalog::PG_CATALOG_TABLES.contains(&name)
}
