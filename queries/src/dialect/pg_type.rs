//! PostgreSQL's types over those of Arrow: which type of PostgreSQL a column has, and in which Arrow type its values are
//! computed.

use datafusion::arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use std::sync::Arc;

/// The zone that points in time are stored in. The zone of a session only changes how they are read and shown.
pub(super) const STORED_ZONE: &str = "UTC";
/// Most digits of a `numeric`.
pub(super) const NUMERIC_DIGITS: u8 = 38;
/// Digits after the point of a `numeric` whose number of digits PostgreSQL decides per value, as that of a quotient.
pub(super) const OPEN_SCALE: i8 = 20;

/// A type of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd)]
pub(super) enum PgType {
    /// A text literal or NULL: takes the type that its place asks for.
    Unknown,
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    /// A decimal number. `exact` is false where PostgreSQL decides the number of digits per value: the value is the same, but
    /// its text is not known.
    Numeric {
        scale: i8,
        exact: bool,
    },
    Text,
    Bytea,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Interval,
    Array(Box<PgType>),
    /// A type that PostgreSQL does not have: structs, maps, durations.
    Engine,
}

impl PgType {
    /// The type of a column of Arrow type `data_type`.
    pub(super) fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Null => Self::Unknown,
            DataType::Boolean => Self::Bool,
            DataType::Int8 | DataType::Int16 | DataType::UInt8 => Self::Int2,
            DataType::Int32 | DataType::UInt16 => Self::Int4,
            DataType::Int64 | DataType::UInt32 | DataType::UInt64 => Self::Int8,
            DataType::Float16 | DataType::Float32 => Self::Float4,
            DataType::Float64 => Self::Float8,
            DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) => {
                Self::Numeric { scale: *scale, exact: true }
            }
            // The engine's own decimals are exact; the width of 37 digits marks those that are not.
            DataType::Decimal128(digits, scale) => {
                Self::Numeric { scale: *scale, exact: *digits != NUMERIC_DIGITS - 1 }
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Self::Bytea,
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Time32(_) | DataType::Time64(_) => Self::Time,
            DataType::Timestamp(_, None) => Self::Timestamp,
            DataType::Timestamp(_, Some(_)) => Self::TimestampTz,
            DataType::Interval(_) => Self::Interval,
            DataType::Dictionary(_, value) => Self::of(value),
            DataType::List(item) | DataType::LargeList(item) => match Self::of(item.data_type()) {
                Self::Engine | Self::Array(_) => Self::Engine,
                Self::Unknown => Self::Array(Box::new(Self::Text)),
                item => Self::Array(Box::new(item)),
            },
            _ => Self::Engine,
        }
    }

    /// The Arrow type in which values are computed.
    pub(super) fn arrow(&self) -> DataType {
        match self {
            Self::Unknown | Self::Text | Self::Engine => DataType::Utf8,
            Self::Bool => DataType::Boolean,
            Self::Int2 => DataType::Int16,
            Self::Int4 => DataType::Int32,
            Self::Int8 => DataType::Int64,
            Self::Float4 => DataType::Float32,
            Self::Float8 => DataType::Float64,
            Self::Numeric { scale, exact } => {
                DataType::Decimal128(NUMERIC_DIGITS - u8::from(!exact), *scale)
            }
            Self::Bytea => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampTz => {
                DataType::Timestamp(TimeUnit::Microsecond, Some(STORED_ZONE.into()))
            }
            Self::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
            Self::Array(item) => {
                DataType::List(Arc::new(Field::new_list_field(item.arrow(), true)))
            }
        }
    }

    /// The name that PostgreSQL's messages use.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Unknown => "unknown".to_owned(),
            Self::Bool => "boolean".to_owned(),
            Self::Int2 => "smallint".to_owned(),
            Self::Int4 => "integer".to_owned(),
            Self::Int8 => "bigint".to_owned(),
            Self::Float4 => "real".to_owned(),
            Self::Float8 => "double precision".to_owned(),
            Self::Numeric { .. } => "numeric".to_owned(),
            Self::Text => "text".to_owned(),
            Self::Bytea => "bytea".to_owned(),
            Self::Date => "date".to_owned(),
            Self::Time => "time without time zone".to_owned(),
            Self::Timestamp => "timestamp without time zone".to_owned(),
            Self::TimestampTz => "timestamp with time zone".to_owned(),
            Self::Interval => "interval".to_owned(),
            Self::Array(item) => format!("{}[]", item.name()),
            Self::Engine => "record".to_owned(),
        }
    }

    /// True for numbers.
    pub(super) fn is_number(&self) -> bool {
        self.number_rank().is_some()
    }

    /// True for whole numbers.
    pub(super) fn is_integer(&self) -> bool {
        matches!(self, Self::Int2 | Self::Int4 | Self::Int8)
    }

    /// Position among the numbers: a number converts implicitly to every type of a higher rank.
    pub(super) fn number_rank(&self) -> Option<u8> {
        Some(match self {
            Self::Int2 => 0,
            Self::Int4 => 1,
            Self::Int8 => 2,
            Self::Numeric { .. } => 3,
            Self::Float4 => 4,
            Self::Float8 => 5,
            _ => return None,
        })
    }

    /// Position among the times of day and calendar: as for numbers.
    pub(super) fn time_rank(&self) -> Option<u8> {
        Some(match self {
            Self::Date => 0,
            Self::Timestamp => 1,
            Self::TimestampTz => 2,
            _ => return None,
        })
    }

    /// True where a value of this type becomes `target` without being asked.
    pub(super) fn converts_to(&self, target: &Self) -> bool {
        if self == target || *self == Self::Unknown {
            return true;
        }
        let widens =
            |from: Option<u8>, to: Option<u8>| from.zip(to).is_some_and(|(from, to)| from <= to);
        widens(self.number_rank(), target.number_rank())
            || widens(self.time_rank(), target.time_rank())
            || matches!((self, target), (Self::Time, Self::Interval))
            || matches!((self, target), (Self::Array(from), Self::Array(to)) if from.converts_to(to))
    }

    /// The common type of both in comparisons, CASE, UNION and lists. `None` where they have none.
    pub(super) fn common(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Unknown, type_) | (type_, Self::Unknown) => Some(type_.clone()),
            (
                Self::Numeric { scale, exact },
                Self::Numeric { scale: other_scale, exact: other_exact },
            ) => Some(Self::Numeric {
                scale: *scale.max(other_scale),
                exact: *exact && *other_exact && scale == other_scale,
            }),
            (Self::Numeric { scale, .. }, integer) | (integer, Self::Numeric { scale, .. })
                if integer.is_integer() =>
            {
                Some(Self::Numeric { scale: *scale, exact: *scale == 0 })
            }
            // A number with digits after the point and a float compare as floats.
            (Self::Float4, number) | (number, Self::Float4)
                if number.is_number() && *number != Self::Float4 =>
            {
                Some(Self::Float8)
            }
            (one, two) if one.converts_to(two) => Some(two.clone()),
            (one, two) if two.converts_to(one) => Some(one.clone()),
            _ => None,
        }
    }
}
