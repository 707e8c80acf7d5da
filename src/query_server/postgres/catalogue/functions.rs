//! SQL functions with which PostgreSQL clients find out about the server and its catalogue.

use super::super::settings::{PG_CATALOG, SERVER_VERSION, SessionSettings, SettingScope};
use super::relations::{Relations, SCHEMAS, schema_oid};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};
use datafusion_postgres::pgwire::api::Type;
use datafusion_postgres::pgwire::error::PgWireError;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use trailhound_queries::session::Session;

/// OIDs of built-in types are below this.
const BUILT_IN_TYPES: u32 = 10_000;
/// Privileges that the user has on everything.
const PRIVILEGES: [&str; 4] = ["select", "usage", "connect", "execute"];

type Body = Arc<dyn Fn(&Arguments<'_>) -> Result<ColumnarValue> + Send + Sync>;

/// The arguments of a call.
struct Arguments<'a> {
    values: &'a [ColumnarValue],
    rows: usize,
}

impl Arguments<'_> {
    /// The argument as a column of `datatype`.
    fn column(&self, index: usize, datatype: &DataType) -> Result<ArrayRef> {
        let Some(value) = self.values.get(index) else {
            return exec_err!("an argument is missing");
        };
        Ok(cast(&value.to_array(self.rows)?, datatype)?)
    }

    /// Applies `function` to the first argument as texts; it returns OIDs.
    fn oids(&self, function: impl Fn(&str) -> Result<Option<i32>>) -> Result<ColumnarValue> {
        let texts = self.column(0, &DataType::Utf8)?;
        let found = texts.as_string::<i32>().iter().map(|text| match text {
            // PostgreSQL reads a number as the OID itself.
            Some(text) => match text.parse() {
                Ok(oid) => Ok(Some(oid)),
                Err(_) => function(text),
            },
            None => Ok(None),
        });
        Ok(ColumnarValue::Array(Arc::new(found.collect::<Result<Int32Array>>()?)))
    }

    /// Applies `function` to the first argument as OIDs; it returns names.
    fn names(&self, function: impl Fn(i32) -> Option<String>) -> Result<ColumnarValue> {
        let oids = self.column(0, &DataType::Int32)?;
        let found = oids.as_primitive::<Int32Type>().iter().map(|oid| function(oid?));
        Ok(ColumnarValue::Array(Arc::new(found.collect::<StringArray>())))
    }
}

/// A function of the catalogue.
struct CatalogueFunction {
    name: &'static str,
    returns: DataType,
    signature: Signature,
    body: Body,
}

impl fmt::Debug for CatalogueFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for CatalogueFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.body, &other.body)
    }
}

impl Eq for CatalogueFunction {}

impl Hash for CatalogueFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for CatalogueFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        (self.body)(&Arguments { values: &args.args, rows: args.number_rows })
    }
}

/// How a function may be called.
enum Takes {
    /// Without arguments.
    Nothing,
    /// With texts, as many as one of these numbers.
    Texts(&'static [usize]),
    /// With any arguments.
    Anything,
}

/// Registers functions.
struct Registry<'s> {
    session: &'s Session,
}

impl Registry<'_> {
    fn add(
        &self,
        name: &'static str,
        takes: &Takes,
        returns: DataType,
        body: impl Fn(&Arguments<'_>) -> Result<ColumnarValue> + Send + Sync + 'static,
    ) {
        let signature = match takes {
            Takes::Nothing => TypeSignature::Nullary,
            Takes::Texts(counts) => TypeSignature::OneOf(
                counts.iter().map(|count| TypeSignature::String(*count)).collect(),
            ),
            Takes::Anything => {
                TypeSignature::OneOf(vec![TypeSignature::Nullary, TypeSignature::VariadicAny])
            }
        };
        let function = CatalogueFunction {
            name,
            returns,
            signature: Signature::new(signature, Volatility::Stable),
            body: Arc::new(body),
        };
        self.session.context().register_udf(ScalarUDF::new_from_impl(function));
    }

    /// A function of any arguments that always returns the same value.
    fn constant(&self, name: &'static str, value: ScalarValue) {
        let returns = value.data_type();
        self.add(name, &Takes::Anything, returns, move |_| {
            Ok(ColumnarValue::Scalar(value.clone()))
        });
    }

    /// A function of no arguments that returns a text.
    fn text(&self, name: &'static str, value: impl Fn() -> String + Send + Sync + 'static) {
        self.add(name, &Takes::Nothing, DataType::Utf8, move |_| {
            Ok(ColumnarValue::Scalar(ScalarValue::from(value())))
        });
    }
}

/// Registers every function.
pub(super) fn register(
    session: &Session,
    relations: &Arc<Relations>,
    settings: &Arc<SessionSettings>,
) {
    let registry = Registry { session };
    constants(&registry);
    about_connection(&registry, settings);
    about_settings(&registry, settings);
    about_objects(&registry, relations, settings);
}

/// Functions whose answer never changes.
fn constants(registry: &Registry<'_>) {
    let none = || ScalarValue::Utf8(None);
    for name in [
        "col_description",
        "obj_description",
        "shobj_description",
        "pg_get_viewdef",
        "pg_get_indexdef",
        "pg_get_ruledef",
        "pg_get_triggerdef",
        "pg_get_constraintdef",
        "pg_get_functiondef",
        "pg_get_function_arguments",
        "pg_get_function_identity_arguments",
        "pg_get_function_result",
        "pg_get_partkeydef",
        "pg_get_serial_sequence",
        "pg_tablespace_location",
        "pg_size_pretty",
        "inet_client_addr",
        "inet_server_addr",
    ] {
        registry.constant(name, none());
    }
    // `void` is an empty text.
    for name in ["pg_advisory_unlock_all", "pg_stat_clear_snapshot"] {
        registry.constant(name, ScalarValue::from(""));
    }
    for (name, value) in [
        ("pg_advisory_unlock", false),
        ("pg_advisory_unlock_shared", false),
        ("pg_is_in_recovery", false),
        ("pg_is_other_temp_schema", false),
        ("pg_function_is_visible", true),
        ("pg_type_is_visible", true),
        ("pg_operator_is_visible", true),
        ("pg_collation_is_visible", true),
        ("pg_has_role", true),
        ("row_security_active", false),
    ] {
        registry.constant(name, ScalarValue::from(value));
    }
    registry.constant("pg_my_temp_schema", ScalarValue::from(0_i32));
    for name in ["pg_table_size", "pg_indexes_size", "pg_database_size"] {
        registry.constant(name, ScalarValue::Int64(None));
    }
    registry.constant("version", ScalarValue::from(format!("PostgreSQL {SERVER_VERSION}")));
    registry.constant("pg_client_encoding", ScalarValue::from("UTF8"));
    registry.constant("getdatabaseencoding", ScalarValue::from("UTF8"));
    registry.add("pg_encoding_to_char", &Takes::Anything, DataType::Utf8, |arguments| {
        arguments.names(|encoding| Some(if encoding == 6 { "UTF8" } else { "" }.to_owned()))
    });
    registry.add("pg_char_to_encoding", &Takes::Texts(&[1]), DataType::Int32, |arguments| {
        arguments.oids(|name| Ok(Some(if name.eq_ignore_ascii_case("utf8") { 6 } else { -1 })))
    });
}

/// Functions about who is connected, and to what.
fn about_connection(registry: &Registry<'_>, settings: &Arc<SessionSettings>) {
    let of = || Arc::clone(settings);
    let own = of();
    registry.text("session_user", move || own.user());
    let own = of();
    registry.text("current_database", move || own.database());
    let own = of();
    registry.add("pg_get_userbyid", &Takes::Anything, DataType::Utf8, move |arguments| {
        arguments.names(|_| Some(own.user()))
    });
    // Another connection reads the same snapshot after SET TRANSACTION SNAPSHOT.
    let own = of();
    registry.text("pg_export_snapshot", move || own.snapshot().unwrap_or_default().to_string());
    registry.constant("pg_backend_pid", ScalarValue::from(std::process::id().cast_signed()));
    let own = of();
    registry.add("current_schema", &Takes::Nothing, DataType::Utf8, move |_| {
        let first = own.search_path().into_iter().find(|schema| schema_oid(schema) != 0);
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(first)))
    });
    let own = of();
    let list = DataType::new_list(DataType::Utf8, true);
    registry.add("current_schemas", &Takes::Anything, list, move |arguments| {
        let implicit = arguments.column(0, &DataType::Boolean)?;
        let implicit = implicit.as_boolean();
        let mut schemas = own.search_path();
        schemas.retain(|schema| schema_oid(schema) != 0);
        let named = schemas.iter().any(|schema| schema == PG_CATALOG);
        if !implicit.is_empty() && implicit.is_valid(0) && implicit.value(0) && !named {
            schemas.insert(0, PG_CATALOG.to_owned());
        }
        let names: ArrayRef = Arc::new(schemas.into_iter().map(Some).collect::<StringArray>());
        let list = SingleRowListArrayBuilder::new(names).build_list_scalar();
        Ok(ColumnarValue::Scalar(list))
    });
    for name in [
        "has_table_privilege",
        "has_schema_privilege",
        "has_database_privilege",
        "has_any_column_privilege",
        "has_column_privilege",
        "has_function_privilege",
        "has_type_privilege",
        "has_language_privilege",
        "has_sequence_privilege",
        "has_server_privilege",
        "has_foreign_data_wrapper_privilege",
        "has_tablespace_privilege",
    ] {
        registry.add(name, &Takes::Anything, DataType::Boolean, has_privilege);
    }
}

/// True if the user has one of the privileges that the last argument lists. The user only reads.
fn has_privilege(arguments: &Arguments<'_>) -> Result<ColumnarValue> {
    let last = arguments.values.len().saturating_sub(1);
    let privileges = arguments.column(last, &DataType::Utf8)?;
    let has = |list: &str| {
        list.split(',').any(|one| PRIVILEGES.iter().any(|p| p.eq_ignore_ascii_case(one.trim())))
    };
    let found = privileges.as_string::<i32>().iter().map(|list| list.map(has));
    Ok(ColumnarValue::Array(Arc::new(found.collect::<BooleanArray>())))
}

/// An error of the protocol inside of the engine.
fn external(error: PgWireError) -> DataFusionError {
    match error {
        PgWireError::UserError(info) => DataFusionError::Execution(info.message),
        other => DataFusionError::Execution(other.to_string()),
    }
}

/// Functions about settings.
fn about_settings(registry: &Registry<'_>, settings: &Arc<SessionSettings>) {
    let own = Arc::clone(settings);
    registry.add("current_setting", &Takes::Anything, DataType::Utf8, move |arguments| {
        let names = arguments.column(0, &DataType::Utf8)?;
        let missing_ok = match arguments.values.get(1) {
            Some(_) => {
                let missing = arguments.column(1, &DataType::Boolean)?;
                let missing = missing.as_boolean();
                !missing.is_empty() && missing.is_valid(0) && missing.value(0)
            }
            None => false,
        };
        let found = names.as_string::<i32>().iter().map(|name| match name {
            Some(name) if missing_ok => Ok(own.get(name)),
            Some(name) => own.show(name).map(|(_, value)| Some(value)).map_err(external),
            None => Ok(None),
        });
        Ok(ColumnarValue::Array(Arc::new(found.collect::<Result<StringArray>>()?)))
    });
    let own = Arc::clone(settings);
    registry.add("set_config", &Takes::Anything, DataType::Utf8, move |arguments| {
        let (names, values) =
            (arguments.column(0, &DataType::Utf8)?, arguments.column(1, &DataType::Utf8)?);
        let local = arguments.column(2, &DataType::Boolean)?;
        let rows = names.as_string::<i32>().iter().zip(values.as_string::<i32>().iter());
        let set = rows.zip(local.as_boolean().iter()).map(|((name, value), local)| {
            let Some(name) = name else { return exec_err!("the name of a setting is NULL") };
            let scope = match local {
                Some(true) => SettingScope::Transaction,
                _ => SettingScope::Session,
            };
            own.set(name, value, scope).map_err(external)?;
            Ok(own.get(name))
        });
        Ok(ColumnarValue::Array(Arc::new(set.collect::<Result<StringArray>>()?)))
    });
}

/// The name of a built-in type, by its OID.
fn type_name(oid: i32) -> Option<String> {
    let known = Type::from_oid(u32::try_from(oid).ok()?)?;
    let name = known.name();
    Some(match name.strip_prefix('_') {
        Some(element) => format!("{}[]", sql_type_name(element)),
        None => sql_type_name(name).to_owned(),
    })
}

/// Names of types in `pg_type`, and in SQL.
const TYPE_NAMES: [(&str, &str); 14] = [
    ("bool", "boolean"),
    ("int2", "smallint"),
    ("int4", "integer"),
    ("int8", "bigint"),
    ("float4", "real"),
    ("float8", "double precision"),
    ("varchar", "character varying"),
    ("bpchar", "character"),
    ("char", "\"char\""),
    ("timestamp", "timestamp without time zone"),
    ("timestamptz", "timestamp with time zone"),
    ("time", "time without time zone"),
    ("timetz", "time with time zone"),
    ("varbit", "bit varying"),
];

fn sql_type_name(name: &str) -> &str {
    TYPE_NAMES.iter().find(|(known, _)| *known == name).map_or(name, |(_, sql)| sql)
}

/// The OID of a built-in type, by a name of `pg_type` or of SQL.
fn type_oid(written: &str) -> Option<i32> {
    let written = written.trim().to_lowercase();
    let written = written.strip_prefix("pg_catalog.").unwrap_or(&written).trim_matches('"');
    let (element, array) = match written.strip_suffix("[]") {
        Some(element) => (element, "_"),
        None => (written, ""),
    };
    let element = match element {
        "int" => "int4",
        "decimal" => "numeric",
        element => {
            TYPE_NAMES.iter().find(|(_, sql)| *sql == element).map_or(element, |(name, _)| name)
        }
    };
    let name = format!("{array}{element}");
    let has_name = |oid: &u32| Type::from_oid(*oid).is_some_and(|known| known.name() == name);
    (1..BUILT_IN_TYPES).find(has_name).and_then(|oid| i32::try_from(oid).ok())
}

/// The OID of a relation, by its name with or without its schema.
fn relation_oid(relations: &Relations, settings: &SessionSettings, written: &str) -> Option<i32> {
    let mut names = super::super::values::list(&written.replace('.', ","));
    let name = names.pop()?;
    match names.as_slice() {
        [] => {
            let path = settings.search_path();
            let schemas = std::iter::once(PG_CATALOG).chain(path.iter().map(String::as_str));
            schemas.into_iter().find_map(|schema| relations.oid(schema, &name))
        }
        [.., schema] => relations.oid(schema, &name),
    }
}

/// Functions about tables, types and schemas.
fn about_objects(
    registry: &Registry<'_>,
    relations: &Arc<Relations>,
    settings: &Arc<SessionSettings>,
) {
    let of = || (Arc::clone(relations), Arc::clone(settings));
    let (tables, own) = of();
    registry.add("to_regclass", &Takes::Texts(&[1]), DataType::Int32, move |arguments| {
        arguments.oids(|name| Ok(relation_oid(&tables, &own, name)))
    });
    let (tables, own) = of();
    registry.add("trailhound_regclass", &Takes::Texts(&[1]), DataType::Int32, move |arguments| {
        arguments.oids(|name| match relation_oid(&tables, &own, name) {
            Some(oid) => Ok(Some(oid)),
            None => exec_err!("there is no table `{name}`"),
        })
    });
    registry.add("to_regtype", &Takes::Texts(&[1]), DataType::Int32, |arguments| {
        arguments.oids(|name| Ok(type_oid(name)))
    });
    registry.add("trailhound_regtype", &Takes::Texts(&[1]), DataType::Int32, |arguments| {
        arguments.oids(|name| match type_oid(name) {
            Some(oid) => Ok(Some(oid)),
            None => exec_err!("there is no type `{name}`"),
        })
    });
    for name in ["to_regnamespace", "trailhound_regnamespace"] {
        registry.add(name, &Takes::Texts(&[1]), DataType::Int32, |arguments| {
            arguments.oids(|name| Ok(Some(schema_oid(name)).filter(|oid| *oid != 0)))
        });
    }
    for name in ["to_regrole", "trailhound_regrole"] {
        let own = Arc::clone(settings);
        registry.add(name, &Takes::Texts(&[1]), DataType::Int32, move |arguments| {
            arguments.oids(|name| Ok((name == own.user()).then_some(super::relations::OWNER)))
        });
    }
    names_of_objects(registry, relations, settings);
}

/// Functions that return the names of objects, or whether they are visible.
fn names_of_objects(
    registry: &Registry<'_>,
    relations: &Arc<Relations>,
    settings: &Arc<SessionSettings>,
) {
    let visible = |settings: &SessionSettings, schema: &str| {
        schema == PG_CATALOG || settings.search_path().iter().any(|one| one == schema)
    };
    let (tables, own) = (Arc::clone(relations), Arc::clone(settings));
    registry.add("trailhound_regclass_name", &Takes::Anything, DataType::Utf8, move |arguments| {
        arguments.names(|oid| match tables.name(oid) {
            Some((schema, name)) if visible(&own, schema) => Some(name.to_owned()),
            Some((schema, name)) => Some(format!("{schema}.{name}")),
            None => Some(if oid == 0 { "-".to_owned() } else { oid.to_string() }),
        })
    });
    registry.add("trailhound_regtype_name", &Takes::Anything, DataType::Utf8, |arguments| {
        arguments.names(|oid| type_name(oid).or_else(|| Some(oid.to_string())))
    });
    registry.add("format_type", &Takes::Anything, DataType::Utf8, |arguments| {
        // No column can be declared as a record. Records are texts to those who ask how to.
        arguments.names(|oid| match oid {
            2_249 => Some("text".to_owned()),
            2_287 => Some("text[]".to_owned()),
            oid => type_name(oid).or_else(|| Some("???".to_owned())),
        })
    });
    registry.add("trailhound_regnamespace_name", &Takes::Anything, DataType::Utf8, |arguments| {
        let name =
            |oid: i32| SCHEMAS.iter().find(|(_, known)| *known == oid).map(|(name, _)| *name);
        arguments.names(|oid| Some(name(oid).map_or_else(|| oid.to_string(), str::to_owned)))
    });
    let own = Arc::clone(settings);
    registry.add("trailhound_regrole_name", &Takes::Anything, DataType::Utf8, move |arguments| {
        arguments.names(|_| Some(own.user()))
    });
    let (tables, own) = (Arc::clone(relations), Arc::clone(settings));
    registry.add("pg_table_is_visible", &Takes::Anything, DataType::Boolean, move |arguments| {
        let oids = arguments.column(0, &DataType::Int32)?;
        let found = oids
            .as_primitive::<Int32Type>()
            .iter()
            .map(|oid| tables.name(oid?).map(|(schema, _)| visible(&own, schema)));
        Ok(ColumnarValue::Array(Arc::new(found.collect::<BooleanArray>())))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_their_names() {
        for (written, oid, name) in [
            ("text", 25, "text"),
            ("pg_catalog.int4", 23, "integer"),
            ("timestamp with time zone", 1184, "timestamp with time zone"),
            ("bigint[]", 1016, "bigint[]"),
            ("_text", 1009, "text[]"),
        ] {
            assert_eq!(type_oid(written), Some(oid), "{written}");
            assert_eq!(type_name(oid).as_deref(), Some(name));
        }
        assert_eq!(type_oid("hstore"), None);
    }
}
