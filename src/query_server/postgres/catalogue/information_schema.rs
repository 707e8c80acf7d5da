//! The tables of the schema `information_schema`, as PostgreSQL clients query them.

use super::super::settings::PG_CATALOG;
use super::relations::{Relation, SCHEMAS, column_type};
use super::rows::Rows;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::catalog::TableProvider;
use datafusion::error::Result;
use datafusion_postgres::pgwire::api::Type;
use std::sync::Arc;

/// The tables that never have rows, with the names of their columns, which are all texts.
const EMPTY: [(&str, &[&str]); 12] = [
    ("applicable_roles", &["grantee", "role_name", "is_grantable"]),
    (
        "check_constraints",
        &["constraint_catalog", "constraint_schema", "constraint_name", "check_clause"],
    ),
    (
        "constraint_column_usage",
        &[
            "table_catalog",
            "table_schema",
            "table_name",
            "column_name",
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
        ],
    ),
    (
        "constraint_table_usage",
        &[
            "table_catalog",
            "table_schema",
            "table_name",
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
        ],
    ),
    ("domains", &["domain_catalog", "domain_schema", "domain_name", "data_type"]),
    (
        "key_column_usage",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "table_catalog",
            "table_schema",
            "table_name",
            "column_name",
            "ordinal_position",
            "position_in_unique_constraint",
        ],
    ),
    (
        "parameters",
        &[
            "specific_catalog",
            "specific_schema",
            "specific_name",
            "ordinal_position",
            "parameter_mode",
            "parameter_name",
            "data_type",
        ],
    ),
    (
        "referential_constraints",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "unique_constraint_catalog",
            "unique_constraint_schema",
            "unique_constraint_name",
            "match_option",
            "update_rule",
            "delete_rule",
        ],
    ),
    (
        "routines",
        &[
            "specific_catalog",
            "specific_schema",
            "specific_name",
            "routine_catalog",
            "routine_schema",
            "routine_name",
            "routine_type",
            "data_type",
            "routine_definition",
            "external_language",
        ],
    ),
    ("sequences", &["sequence_catalog", "sequence_schema", "sequence_name", "data_type"]),
    (
        "table_constraints",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "table_catalog",
            "table_schema",
            "table_name",
            "constraint_type",
            "is_deferrable",
            "initially_deferred",
            "enforced",
        ],
    ),
    (
        "triggers",
        &[
            "trigger_catalog",
            "trigger_schema",
            "trigger_name",
            "event_manipulation",
            "event_object_catalog",
            "event_object_schema",
            "event_object_table",
            "action_statement",
            "action_timing",
        ],
    ),
];

/// The tables that can have rows.
const FILLED: [&str; 12] = [
    "character_sets",
    "collations",
    "column_privileges",
    "columns",
    "element_types",
    "enabled_roles",
    "information_schema_catalog_name",
    "role_table_grants",
    "schemata",
    "table_privileges",
    "tables",
    "views",
];

/// The names of the tables.
pub(super) fn table_names() -> impl Iterator<Item = &'static str> {
    EMPTY.iter().map(|(name, _)| *name).chain(FILLED)
}

/// The objects that the tables describe.
pub(super) struct Described<'r> {
    /// Every table and view.
    pub(super) relations: &'r [Relation],
    /// Name of the database.
    pub(super) database: String,
    /// Name of the user.
    pub(super) user: String,
}

/// The table `name` over the objects in `of`; `None` if there is none of this name.
///
/// # Errors
/// A table cannot be built.
pub(super) fn table(name: &str, of: &Described<'_>) -> Result<Option<Arc<dyn TableProvider>>> {
    if let Some((_, columns)) = EMPTY.iter().find(|(known, _)| *known == name) {
        return Rows::new(0).no_text(columns).table().map(Some);
    }
    let database = Some(of.database.as_str());
    let rows = match name {
        "character_sets" => Rows::new(1)
            .no_text(&["character_set_catalog", "character_set_schema"])
            .same_text("character_set_name", Some("UTF8"))
            .same_text("character_repertoire", Some("UCS"))
            .same_text("form_of_use", Some("UTF8"))
            .same_text("default_collate_catalog", database)
            .same_text("default_collate_schema", Some(PG_CATALOG))
            .same_text("default_collate_name", Some("C")),
        "collations" => Rows::new(1)
            .same_text("collation_catalog", database)
            .same_text("collation_schema", Some(PG_CATALOG))
            .same_text("collation_name", Some("C"))
            .same_text("pad_attribute", Some("NO PAD")),
        "enabled_roles" => Rows::new(1).same_text("role_name", Some(&of.user)),
        "information_schema_catalog_name" => Rows::new(1).same_text("catalog_name", database),
        "schemata" => Rows::new(SCHEMAS.len())
            .same_text("catalog_name", database)
            .text("schema_name", SCHEMAS.iter().map(|(name, _)| Some(name)))
            .same_text("schema_owner", Some(&of.user))
            .no_text(&[
                "default_character_set_catalog",
                "default_character_set_schema",
                "default_character_set_name",
                "sql_path",
            ]),
        "tables" => tables(of),
        "views" => views(of),
        "columns" => columns(of),
        "element_types" => element_types(of),
        "table_privileges" | "role_table_grants" => privileges(of),
        "column_privileges" => column_privileges(of),
        _ => return Ok(None),
    };
    rows.table().map(Some)
}

fn yes_or_no(is: bool) -> &'static str {
    if is { "YES" } else { "NO" }
}

fn tables(of: &Described<'_>) -> Rows {
    let all = of.relations;
    Rows::new(all.len())
        .same_text("table_catalog", Some(&of.database))
        .text("table_schema", all.iter().map(|relation| Some(relation.schema)))
        .text("table_name", all.iter().map(|relation| Some(&relation.name)))
        .text(
            "table_type",
            all.iter().map(|relation| Some(if relation.is_view { "VIEW" } else { "BASE TABLE" })),
        )
        .no_text(&[
            "self_referencing_column_name",
            "reference_generation",
            "user_defined_type_catalog",
            "user_defined_type_schema",
            "user_defined_type_name",
        ])
        .same_text("is_insertable_into", Some("NO"))
        .same_text("is_typed", Some("NO"))
        .no_text(&["commit_action"])
}

fn views(of: &Described<'_>) -> Rows {
    let all: Vec<&Relation> = of.relations.iter().filter(|relation| relation.is_view).collect();
    Rows::new(all.len())
        .same_text("table_catalog", Some(&of.database))
        .text("table_schema", all.iter().map(|view| Some(view.schema)))
        .text("table_name", all.iter().map(|view| Some(&view.name)))
        .no_text(&["view_definition"])
        .same_text("check_option", Some("NONE"))
        .same_text("is_updatable", Some("NO"))
        .same_text("is_insertable_into", Some("NO"))
        .same_text("is_trigger_updatable", Some("NO"))
        .same_text("is_trigger_deletable", Some("NO"))
        .same_text("is_trigger_insertable_into", Some("NO"))
}

fn privileges(of: &Described<'_>) -> Rows {
    let all = of.relations;
    Rows::new(all.len())
        .same_text("grantor", Some(&of.user))
        .same_text("grantee", Some(&of.user))
        .same_text("table_catalog", Some(&of.database))
        .text("table_schema", all.iter().map(|relation| Some(relation.schema)))
        .text("table_name", all.iter().map(|relation| Some(&relation.name)))
        .same_text("privilege_type", Some("SELECT"))
        .same_text("is_grantable", Some("NO"))
        .same_text("with_hierarchy", Some("YES"))
}

/// Every column with its relation and its number, from 1.
fn all_columns<'r>(of: &Described<'r>) -> Vec<(&'r Relation, i32, &'r FieldRef)> {
    let columns = |relation: &'r Relation| {
        (1..).zip(relation.columns.fields()).map(move |(number, field)| (relation, number, field))
    };
    of.relations.iter().flat_map(columns).collect()
}

fn column_privileges(of: &Described<'_>) -> Rows {
    let all = all_columns(of);
    Rows::new(all.len())
        .same_text("grantor", Some(&of.user))
        .same_text("grantee", Some(&of.user))
        .same_text("table_catalog", Some(&of.database))
        .text("table_schema", all.iter().map(|(relation, ..)| Some(relation.schema)))
        .text("table_name", all.iter().map(|(relation, ..)| Some(&relation.name)))
        .text("column_name", all.iter().map(|(_, _, field)| Some(field.name())))
        .same_text("privilege_type", Some("SELECT"))
        .same_text("is_grantable", Some("NO"))
}

fn columns(of: &Described<'_>) -> Rows {
    let all = all_columns(of);
    let types: Vec<Type> = all.iter().map(|(_, _, field)| column_type(field)).collect();
    let bits = |datatype: &Type| match *datatype {
        Type::INT2 => Some(16),
        Type::INT4 => Some(32),
        Type::INT8 => Some(64),
        Type::FLOAT4 => Some(24),
        Type::FLOAT8 => Some(53),
        _ => None,
    };
    let whole = |datatype: &Type| matches!(*datatype, Type::INT2 | Type::INT4 | Type::INT8);
    let timed = |datatype: &Type| {
        matches!(*datatype, Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::TIME | Type::INTERVAL)
    };
    Rows::new(all.len())
        .same_text("table_catalog", Some(&of.database))
        .text("table_schema", all.iter().map(|(relation, ..)| Some(relation.schema)))
        .text("table_name", all.iter().map(|(relation, ..)| Some(&relation.name)))
        .text("column_name", all.iter().map(|(_, _, field)| Some(field.name())))
        .int4("ordinal_position", all.iter().map(|(_, number, _)| Some(*number)))
        .no_text(&["column_default"])
        .text("is_nullable", all.iter().map(|(_, _, field)| Some(yes_or_no(field.is_nullable()))))
        .text("data_type", types.iter().map(|datatype| Some(sql_type(datatype))))
        .same_int4("character_maximum_length", None)
        .int4(
            "character_octet_length",
            types.iter().map(|datatype| (*datatype == Type::TEXT).then_some(1 << 30)),
        )
        .int4("numeric_precision", types.iter().map(bits))
        .int4("numeric_precision_radix", types.iter().map(|datatype| bits(datatype).map(|_| 2)))
        .int4("numeric_scale", types.iter().map(|datatype| whole(datatype).then_some(0)))
        .int4("datetime_precision", types.iter().map(|datatype| timed(datatype).then_some(6)))
        .no_text(&["interval_type"])
        .same_int4("interval_precision", None)
        .no_text(&[
            "character_set_catalog",
            "character_set_schema",
            "character_set_name",
            "collation_catalog",
            "collation_schema",
            "collation_name",
            "domain_catalog",
            "domain_schema",
            "domain_name",
        ])
        .same_text("udt_catalog", Some(&of.database))
        .same_text("udt_schema", Some(PG_CATALOG))
        .text("udt_name", types.iter().map(|datatype| Some(datatype.name())))
        .no_text(&["scope_catalog", "scope_schema", "scope_name"])
        .same_int4("maximum_cardinality", None)
        .text("dtd_identifier", all.iter().map(|(_, number, _)| Some(number.to_string())))
        .same_text("is_self_referencing", Some("NO"))
        .same_text("is_identity", Some("NO"))
        .no_text(&[
            "identity_generation",
            "identity_start",
            "identity_increment",
            "identity_maximum",
            "identity_minimum",
        ])
        .same_text("identity_cycle", Some("NO"))
        .same_text("is_generated", Some("NEVER"))
        .no_text(&["generation_expression"])
        .same_text("is_updatable", Some("NO"))
}

fn element_types(of: &Described<'_>) -> Rows {
    let item = |field: &FieldRef| match field.data_type() {
        DataType::List(item) => Some(column_type(item)),
        _ => None,
    };
    let all: Vec<_> = all_columns(of)
        .into_iter()
        .filter_map(|(relation, number, field)| item(field).map(|item| (relation, number, item)))
        .collect();
    Rows::new(all.len())
        .same_text("object_catalog", Some(&of.database))
        .text("object_schema", all.iter().map(|(relation, ..)| Some(relation.schema)))
        .text("object_name", all.iter().map(|(relation, ..)| Some(&relation.name)))
        .text(
            "object_type",
            all.iter().map(|(relation, ..)| Some(if relation.is_view { "VIEW" } else { "TABLE" })),
        )
        .text(
            "collection_type_identifier",
            all.iter().map(|(_, number, _)| Some(number.to_string())),
        )
        .text("data_type", all.iter().map(|(.., item)| Some(sql_type(item))))
        .same_text("udt_catalog", Some(&of.database))
        .same_text("udt_schema", Some(PG_CATALOG))
        .text("udt_name", all.iter().map(|(.., item)| Some(item.name())))
}

/// The name that the SQL standard gives a type, or PostgreSQL's own where it has none.
fn sql_type(datatype: &Type) -> &str {
    match *datatype {
        Type::BOOL => "boolean",
        Type::INT2 => "smallint",
        Type::INT4 => "integer",
        Type::INT8 => "bigint",
        Type::FLOAT4 => "real",
        Type::FLOAT8 => "double precision",
        Type::TIMESTAMP => "timestamp without time zone",
        Type::TIMESTAMPTZ => "timestamp with time zone",
        Type::TIME => "time without time zone",
        ref other if other.name().starts_with('_') => "ARRAY",
        ref other => other.name(),
    }
}
