//! A function or operator of the dialect as a function of the engine: its argument types are decided when the statement is
//! planned, and its values are computed row by row.

use super::clock;
use super::pg_type::PgType;
use super::regex::{PgRegex, RegexCache};
use super::template::Template;
use super::value::{Value, array_of, canonical, value_at};
use chrono_tz::Tz;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What a function computes from the values of one row.
pub(super) type Body = for<'e, 'v> fn(&Env<'e>, &[Value<'v>]) -> Result<Value<'v>>;

/// What a function knows beside its values.
pub(super) struct Env<'e> {
    /// The zone of the session.
    pub(super) zone: Tz,
    pub(super) arg_types: &'e [PgType],
    pub(super) returns: &'e PgType,
    pub(super) modifier: Modifier,
    /// Templates of times that were read, by their text.
    pub(super) templates: &'e RefCell<HashMap<String, Arc<Template>>>,
    regexes: &'e RefCell<RegexCache>,
}

impl Env<'_> {
    /// The regular expression `pattern`, compiled once for many rows.
    ///
    /// # Errors
    /// As [`RegexCache::get`].
    pub(super) fn regex(&self, pattern: &str, ignore_case: bool) -> Result<Arc<PgRegex>> {
        self.regexes.borrow_mut().get(pattern, ignore_case)
    }
}

/// What follows the name of a type in a cast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Modifier {
    None,
    /// `varchar(n)`: characters that are kept.
    Length(usize),
    /// `numeric(n, ...)`: digits at most.
    Digits(u8),
    /// `timestamp(n)`: digits of a second.
    Seconds(u8),
}

/// What the name of a cast begins with; the type follows. Two casts of one value must not share their names.
pub(super) const CAST_NAME: &str = "cast to ";

/// A function with its types.
#[derive(Clone)]
pub(super) struct DialectFunction {
    pub(super) name: String,
    pub(super) body: Body,
    pub(super) arg_types: Vec<PgType>,
    pub(super) returns: PgType,
    /// NULL for a NULL argument, without computing.
    pub(super) strict: bool,
    pub(super) modifier: Modifier,
    pub(super) signature: Signature,
}

impl DialectFunction {
    pub(super) fn new(
        name: impl Into<String>,
        body: Body,
        arg_types: Vec<PgType>,
        returns: PgType,
        strict: bool,
    ) -> Self {
        let volatility = Volatility::Stable;
        let signature = match arg_types.len() {
            0 => Signature::nullary(volatility),
            count => Signature::any(count, volatility),
        };
        let name = name.into();
        Self { name, body, arg_types, returns, strict, modifier: Modifier::None, signature }
    }

    fn is_operator(&self) -> bool {
        self.arg_types.len() == 2 && !self.name.starts_with(|c: char| c.is_alphabetic())
    }

    /// Computes `rows` rows.
    fn compute(&self, arrays: &[ArrayRef], rows: usize, zone: Tz) -> Result<ArrayRef> {
        let (templates, regexes) = (RefCell::default(), RefCell::default());
        let env = Env {
            zone,
            arg_types: &self.arg_types,
            returns: &self.returns,
            modifier: self.modifier,
            templates: &templates,
            regexes: &regexes,
        };
        let mut results = Vec::with_capacity(rows);
        let mut values = Vec::with_capacity(arrays.len());
        for row in 0..rows {
            values.clear();
            for array in arrays {
                values.push(value_at(array, if array.len() == 1 { 0 } else { row })?);
            }
            let unknown = self.strict && values.iter().any(Value::is_null);
            results.push(if unknown { Value::Null } else { (self.body)(&env, &values)? });
        }
        array_of(&self.returns, &results)
    }
}

/// The session's zone in the engine's settings.
pub(super) fn session_zone(options: &ConfigOptions) -> Result<Tz> {
    options.execution.time_zone.as_deref().map_or(Ok(Tz::UTC), clock::zone)
}

impl std::fmt::Debug for DialectFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl PartialEq for DialectFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.arg_types == other.arg_types
            && self.returns == other.returns
            && self.modifier == other.modifier
    }
}

impl Eq for DialectFunction {}

impl Hash for DialectFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The engine takes two calls of one name and hash for the same, whatever else differs.
        self.name.hash(state);
        self.arg_types.hash(state);
        self.returns.hash(state);
        self.modifier.hash(state);
    }
}

impl ScalarUDFImpl for DialectFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let names: Vec<String> = args.iter().map(|arg| arg.schema_name().to_string()).collect();
        Ok(match &names[..] {
            [left, right] if self.is_operator() => format!("{left} {} {right}", self.name),
            [value] if self.name.starts_with(CAST_NAME) => {
                format!("{value}::{}", &self.name[CAST_NAME.len()..])
            }
            names => format!("{}({})", self.name, names.join(",")),
        })
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.returns.arrow())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let zone = session_zone(&args.config_options)?;
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let arrays = args.args.iter().zip(&self.arg_types).map(|(arg, type_)| match arg {
            ColumnarValue::Array(array) => canonical(array, type_),
            ColumnarValue::Scalar(scalar) => canonical(&scalar.to_array()?, type_),
        });
        let result = self.compute(&arrays.collect::<Result<Vec<_>>>()?, rows, zone)?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}
