//! Functions as the engine's planner sees them: by name, before their types decide what they mean. The calls are replaced
//! once the whole statement is planned.

use super::pg_type::PgType;
use super::resolve::{CAST, resolve, type_of_literal};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Expr, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A function of PostgreSQL by its name.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct PendingFunction {
    name: &'static str,
    signature: Signature,
}

impl PendingFunction {
    pub(super) fn new(name: &'static str) -> Self {
        let any = TypeSignature::OneOf(vec![TypeSignature::Nullary, TypeSignature::VariadicAny]);
        let volatility = if name == "random" { Volatility::Volatile } else { Volatility::Stable };
        Self { name, signature: Signature::new(any, volatility) }
    }
}

impl ScalarUDFImpl for PendingFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let names: Vec<String> = args.iter().map(|arg| arg.schema_name().to_string()).collect();
        Ok(match &names[..] {
            [value, ..] if self.name == CAST => match args.get(1) {
                Some(Expr::Literal(type_name, _)) => {
                    format!("{value}::{type_name}{}", names[2..].join(","))
                }
                _ => value.clone(),
            },
            [left, right] if !self.name.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                format!("{left} {} {right}", self.name)
            }
            names => format!("{}({})", self.name, names.join(",")),
        })
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("the type of {} depends on its arguments", self.name)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let literals: Vec<Option<ScalarValue>> =
            args.scalar_arguments.iter().map(|scalar| scalar.cloned()).collect();
        let types: Vec<PgType> = args
            .arg_fields
            .iter()
            .zip(&literals)
            .map(|(field, literal)| {
                literal.as_ref().map_or_else(|| PgType::of(field.data_type()), type_of_literal)
            })
            .collect();
        // The engine takes whole numbers in CASE for `bigint`; their type is only decided later.
        let smaller =
            |type_: &PgType| if *type_ == PgType::Int8 { PgType::Int4 } else { type_.clone() };
        let resolved = resolve(self.name, &types, &literals).or_else(|error| {
            let smaller: Vec<PgType> = types.iter().map(smaller).collect();
            resolve(self.name, &smaller, &literals).map_err(|_| error)
        });
        let returns = resolved?.returns;
        Ok(Arc::new(Field::new(self.name, returns.arrow(), true)))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("{} was not translated", self.name)
    }
}

/// An aggregate function of PostgreSQL whose result has another type than the engine's.
#[derive(Debug)]
pub(super) struct PendingAggregate {
    pub(super) inner: Arc<AggregateUDF>,
    signature: Signature,
}

impl PendingAggregate {
    pub(super) fn new(inner: Arc<AggregateUDF>) -> Self {
        let signature = Signature::new(TypeSignature::VariadicAny, Volatility::Immutable);
        Self { inner, signature }
    }

    /// The aggregate in `function`, where it is one of these.
    pub(super) fn of(function: &AggregateUDF) -> Option<&Self> {
        (function.inner().as_ref() as &dyn std::any::Any).downcast_ref()
    }

    /// The type that an argument of type `type_` is converted to. `None` where the aggregate does not take it.
    pub(super) fn argument(&self, type_: &PgType) -> Option<DataType> {
        match (self.inner.name(), type_) {
            ("sum", PgType::Int2 | PgType::Int4) => Some(DataType::Int64),
            ("sum", PgType::Int8) => Some(DataType::Decimal128(38, 0)),
            // The result of the engine has four digits more.
            ("avg", type_) if type_.is_integer() => Some(DataType::Decimal128(34, 12)),
            ("avg", PgType::Numeric { scale, .. }) => {
                Some(DataType::Decimal128(34, (*scale).max(12)))
            }
            ("sum", PgType::Numeric { .. } | PgType::Float8)
            | ("avg", PgType::Float8)
            | ("avg" | "sum", PgType::Unknown) => Some(type_.arrow()),
            ("avg", PgType::Float4) => Some(DataType::Float64),
            _ => None,
        }
    }

    fn result(&self, type_: &PgType) -> Result<DataType> {
        let Some(argument) = self.argument(type_) else {
            return plan_err!(
                "function {}({}) does not exist, or is not translated; cast its argument",
                self.inner.name(),
                type_.name()
            );
        };
        match (self.inner.name(), argument) {
            ("avg", DataType::Decimal128(_, scale)) => Ok(DataType::Decimal128(38, scale + 4)),
            (_, DataType::Decimal128(digits, scale)) => Ok(DataType::Decimal128(digits, scale)),
            (_, argument) => Ok(argument),
        }
    }
}

impl PartialEq for PendingAggregate {
    fn eq(&self, other: &Self) -> bool {
        self.inner.name() == other.inner.name()
    }
}

impl Eq for PendingAggregate {}

impl Hash for PendingAggregate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.name().hash(state);
    }
}

impl AggregateUDFImpl for PendingAggregate {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        match args {
            [argument] => self.result(&PgType::of(argument)),
            _ => plan_err!("function {} takes one argument", self.inner.name()),
        }
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        internal_err!("{} was not translated", self.inner.name())
    }

    fn state_fields(&self, _: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        internal_err!("{} was not translated", self.inner.name())
    }
}
