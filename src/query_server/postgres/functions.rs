//! SQL functions with which PostgreSQL clients find out about the server.

use super::information;
use super::query_handler::SERVER_VERSION;
use arrow::array::{ArrayRef, AsArray, Int32Array, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use datafusion_postgres::pgwire::api::Type;
use std::sync::Arc;

/// Schemas that are searched for tables named without a schema.
const SEARCH_PATH: &str = "\"$user\", public";
/// OIDs of built-in types are below this.
const BUILT_IN_TYPES: u32 = 10_000;

/// The functions to register.
pub(super) fn functions() -> [ScalarUDF; 4] {
    [version(), current_setting(), to_regtype(), sql_type()]
}

/// `version()`: name and version of the server.
fn version() -> ScalarUDF {
    let text = format!("PostgreSQL {SERVER_VERSION}");
    let body =
        move |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(ScalarValue::from(text.as_str())));
    create_udf("version", Vec::new(), DataType::Utf8, Volatility::Immutable, Arc::new(body))
}

/// `current_setting(name)`: the value of a setting; NULL for an unknown one.
fn current_setting() -> ScalarUDF {
    let body = |args: &[ColumnarValue]| {
        map_texts(args, |names| {
            Arc::new(names.iter().map(|name| setting(name?)).collect::<StringArray>())
        })
    };
    create_udf(
        "current_setting",
        vec![DataType::Utf8],
        DataType::Utf8,
        Volatility::Stable,
        Arc::new(body),
    )
}

fn setting(name: &str) -> Option<&'static str> {
    Some(match name.to_lowercase().as_str() {
        "server_version" => SERVER_VERSION,
        "server_version_num" => "160006",
        "search_path" => SEARCH_PATH,
        "timezone" => "UTC",
        "server_encoding" | "client_encoding" => "UTF8",
        "datestyle" => "ISO, MDY",
        "standard_conforming_strings" | "integer_datetimes" => "on",
        "transaction_read_only" | "default_transaction_read_only" => "on",
        "max_identifier_length" => "63",
        _ => return None,
    })
}

/// `to_regtype(name)`: the OID of a type; NULL for an unknown one, such as those of extensions.
fn to_regtype() -> ScalarUDF {
    let oid = |name: &str| {
        let has_name = |oid: &u32| Type::from_oid(*oid).is_some_and(|known| known.name() == name);
        (1..BUILT_IN_TYPES).find(has_name).and_then(|oid| i32::try_from(oid).ok())
    };
    let body = move |args: &[ColumnarValue]| {
        map_texts(args, |names| {
            Arc::new(names.iter().map(|name| oid(name?)).collect::<Int32Array>())
        })
    };
    create_udf(
        "to_regtype",
        vec![DataType::Utf8],
        DataType::Int32,
        Volatility::Stable,
        Arc::new(body),
    )
}

/// The SQL function that [`information`] wraps around names of types. It converts the query engine's
/// name of a type to PostgreSQL's.
fn sql_type() -> ScalarUDF {
    let body = |args: &[ColumnarValue]| {
        map_texts(args, |types| {
            Arc::new(
                types
                    .iter()
                    .map(|engine| Some(information::sql_type(engine?)))
                    .collect::<StringArray>(),
            )
        })
    };
    create_udf(
        information::SQL_TYPE,
        vec![DataType::Utf8],
        DataType::Utf8,
        Volatility::Immutable,
        Arc::new(body),
    )
}

/// Applies `function` to the first argument as a column of texts.
fn map_texts(
    args: &[ColumnarValue],
    function: impl Fn(&StringArray) -> ArrayRef,
) -> datafusion::error::Result<ColumnarValue> {
    let arrays = ColumnarValue::values_to_arrays(args)?;
    Ok(ColumnarValue::Array(function(arrays[0].as_string::<i32>())))
}
