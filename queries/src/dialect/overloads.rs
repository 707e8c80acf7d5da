//! PostgreSQL's functions and operators with their types, and which of them a call means.
//!
//! A function of PostgreSQL that is not in the list is refused: the engine may have another one of the same name. What is in
//! no PostgreSQL at all (`array_has`, `approx_distinct`, `date_format`) stays the engine's.

use super::function::Body;
use super::pg_type::PgType;
use super::{array_functions as arrays, number_functions as numbers};
use super::{text_functions as texts, time_functions as times};
use datafusion::common::{Result, plan_err};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// How a function is computed.
#[derive(Clone, Copy)]
pub(super) enum Computation {
    /// NULL for a NULL argument.
    Strict(Body),
    /// NULL is an argument like others.
    WithNull(Body),
    /// The function of the engine with this name does the same.
    Engine(&'static str),
    /// PostgreSQL has the function, and it is not translated.
    Refused,
}

use Computation::{Engine, Refused, Strict, WithNull};

type Listed = (&'static str, &'static str, Computation);

const OPERATORS: &[Listed] = &[
    ("+", "int2,int2->int2", Strict(numbers::int_add)),
    ("+", "int4,int4->int4", Strict(numbers::int_add)),
    ("+", "int8,int8->int8", Strict(numbers::int_add)),
    ("+", "numeric,numeric->sum", Strict(numbers::number_add)),
    ("+", "float4,float4->float4", Strict(numbers::float_add)),
    ("+", "float8,float8->float8", Strict(numbers::float_add)),
    ("+", "date,int4->date", Strict(times::date_plus_days)),
    ("+", "date,time->timestamp", Strict(times::date_plus_time)),
    ("+", "date,interval->timestamp", Strict(times::date_plus_interval)),
    ("+", "timestamp,interval->timestamp", Strict(times::wall_plus)),
    ("+", "timestamptz,interval->timestamptz", Strict(times::point_plus)),
    ("+", "time,interval->time", Strict(times::time_plus)),
    ("+", "interval,interval->interval", Strict(times::interval_plus)),
    ("-", "int2,int2->int2", Strict(numbers::int_subtract)),
    ("-", "int4,int4->int4", Strict(numbers::int_subtract)),
    ("-", "int8,int8->int8", Strict(numbers::int_subtract)),
    ("-", "numeric,numeric->sum", Strict(numbers::number_subtract)),
    ("-", "float4,float4->float4", Strict(numbers::float_subtract)),
    ("-", "float8,float8->float8", Strict(numbers::float_subtract)),
    ("-", "date,date->int4", Strict(times::date_minus_date)),
    ("-", "date,int4->date", Strict(times::date_minus_days)),
    ("-", "timestamp,timestamp->interval", Strict(times::minus_time)),
    ("-", "timestamptz,timestamptz->interval", Strict(times::minus_time)),
    ("-", "date,interval->timestamp", Strict(times::date_minus_interval)),
    ("-", "timestamp,interval->timestamp", Strict(times::wall_minus)),
    ("-", "timestamptz,interval->timestamptz", Strict(times::point_minus)),
    ("-", "time,interval->time", Strict(times::time_minus)),
    ("-", "time,time->interval", Strict(times::time_minus_time)),
    ("-", "interval,interval->interval", Strict(times::interval_minus)),
    ("*", "int2,int2->int2", Strict(numbers::int_multiply)),
    ("*", "int4,int4->int4", Strict(numbers::int_multiply)),
    ("*", "int8,int8->int8", Strict(numbers::int_multiply)),
    ("*", "numeric,numeric->product", Strict(numbers::number_multiply)),
    ("*", "float4,float4->float4", Strict(numbers::float_multiply)),
    ("*", "float8,float8->float8", Strict(numbers::float_multiply)),
    ("*", "interval,float8->interval", Strict(times::interval_times)),
    ("/", "int2,int2->int2", Strict(numbers::int_divide)),
    ("/", "int4,int4->int4", Strict(numbers::int_divide)),
    ("/", "int8,int8->int8", Strict(numbers::int_divide)),
    ("/", "numeric,numeric->quotient", Strict(numbers::number_divide)),
    ("/", "float4,float4->float4", Strict(numbers::float_divide)),
    ("/", "float8,float8->float8", Strict(numbers::float_divide)),
    ("/", "interval,float8->interval", Strict(times::interval_divided)),
    ("%", "int2,int2->int2", Strict(numbers::int_modulo)),
    ("%", "int4,int4->int4", Strict(numbers::int_modulo)),
    ("%", "int8,int8->int8", Strict(numbers::int_modulo)),
    ("%", "numeric,numeric->sum", Strict(numbers::number_modulo)),
    ("^", "float8,float8->float8", Strict(numbers::power)),
    ("^", "numeric,numeric->open", Strict(numbers::number_power)),
    ("&", "int4,int4->int4", Strict(numbers::int_and)),
    ("&", "int8,int8->int8", Strict(numbers::int_and)),
    ("|", "int4,int4->int4", Strict(numbers::int_or)),
    ("|", "int8,int8->int8", Strict(numbers::int_or)),
    ("#", "int4,int4->int4", Strict(numbers::int_xor)),
    ("#", "int8,int8->int8", Strict(numbers::int_xor)),
    ("~", "text,text->bool", Strict(texts::regexp_match_op)),
    ("~*", "text,text->bool", Strict(texts::regexp_imatch_op)),
    ("&&", "anyarray,anyarray->bool", Strict(arrays::overlap)),
    ("@>", "anyarray,anyarray->bool", Strict(arrays::contains)),
];

const TEXTS: &[Listed] = &[
    ("ascii", "text->int4", Strict(texts::ascii)),
    ("bit_length", "text->int4", Strict(texts::bit_length)),
    ("btrim", "text->text", Strict(texts::trim_both)),
    ("btrim", "text,text->text", Strict(texts::trim_both)),
    ("trim", "text->text", Strict(texts::trim_both)),
    ("trim", "text,text->text", Strict(texts::trim_both)),
    ("char_length", "text->int4", Strict(texts::length)),
    ("character_length", "text->int4", Strict(texts::length)),
    ("chr", "int4->text", Strict(texts::chr)),
    ("concat", "any*->text", WithNull(texts::concat)),
    ("concat_ws", "text,any*->text", WithNull(texts::concat_ws)),
    ("convert_from", "bytea,text->text", Strict(texts::convert_from)),
    ("convert_to", "text,text->bytea", Strict(texts::convert_to)),
    ("decode", "text,text->bytea", Strict(texts::decode)),
    ("encode", "bytea,text->text", Strict(texts::encode)),
    ("format", "text,any*->text", WithNull(texts::format)),
    ("initcap", "text->text", Strict(texts::initcap)),
    ("left", "text,int4->text", Strict(texts::left)),
    ("length", "text->int4", Strict(texts::length)),
    ("length", "bytea->int4", Strict(texts::byte_length)),
    ("lower", "text->text", Engine("lower")),
    ("lpad", "text,int4->text", Strict(texts::lpad)),
    ("lpad", "text,int4,text->text", Strict(texts::lpad)),
    ("ltrim", "text->text", Strict(texts::trim_left)),
    ("ltrim", "text,text->text", Strict(texts::trim_left)),
    ("md5", "text->text", Engine("md5")),
    ("md5", "bytea->text", Engine("md5")),
    ("octet_length", "text->int4", Strict(texts::byte_length)),
    ("octet_length", "bytea->int4", Strict(texts::byte_length)),
    ("overlay", "text,text,int4->text", Strict(texts::overlay)),
    ("overlay", "text,text,int4,int4->text", Strict(texts::overlay)),
    ("quote_literal", "text->text", Strict(texts::quote_literal)),
    ("regexp_count", "text,text->int4", Strict(texts::regexp_count)),
    ("regexp_count", "text,text,int4->int4", Strict(texts::regexp_count)),
    ("regexp_count", "text,text,int4,text->int4", Strict(texts::regexp_count)),
    ("regexp_like", "text,text->bool", Strict(texts::regexp_like)),
    ("regexp_like", "text,text,text->bool", Strict(texts::regexp_like)),
    ("regexp_match", "text,text->text[]", Strict(texts::regexp_match)),
    ("regexp_match", "text,text,text->text[]", Strict(texts::regexp_match)),
    ("regexp_replace", "text,text,text->text", Strict(texts::regexp_replace)),
    ("regexp_replace", "text,text,text,text->text", Strict(texts::regexp_replace)),
    ("regexp_split_to_array", "text,text->text[]", Strict(texts::regexp_split_to_array)),
    ("regexp_split_to_array", "text,text,text->text[]", Strict(texts::regexp_split_to_array)),
    ("regexp_substr", "text,text->text", Strict(texts::regexp_substr)),
    ("repeat", "text,int4->text", Strict(texts::repeat)),
    ("replace", "text,text,text->text", Strict(texts::replace)),
    ("reverse", "text->text", Strict(texts::reverse)),
    ("right", "text,int4->text", Strict(texts::right)),
    ("rpad", "text,int4->text", Strict(texts::rpad)),
    ("rpad", "text,int4,text->text", Strict(texts::rpad)),
    ("rtrim", "text->text", Strict(texts::trim_right)),
    ("rtrim", "text,text->text", Strict(texts::trim_right)),
    ("sha224", "bytea->bytea", Engine("sha224")),
    ("sha256", "bytea->bytea", Engine("sha256")),
    ("sha384", "bytea->bytea", Engine("sha384")),
    ("sha512", "bytea->bytea", Engine("sha512")),
    ("split_part", "text,text,int4->text", Strict(texts::split_part)),
    ("starts_with", "text,text->bool", Strict(texts::starts_with)),
    ("strpos", "text,text->int4", Strict(texts::position)),
    ("substr", "text,int4->text", Strict(texts::substring)),
    ("substr", "text,int4,int4->text", Strict(texts::substring)),
    ("substring", "text,int4->text", Strict(texts::substring)),
    ("substring", "text,int4,int4->text", Strict(texts::substring)),
    ("substring", "text,text->text", Strict(texts::regexp_substring)),
    ("to_hex", "int4->text", Strict(texts::to_hex4)),
    ("to_hex", "int8->text", Strict(texts::to_hex8)),
    ("translate", "text,text,text->text", Strict(texts::translate)),
    ("upper", "text->text", Engine("upper")),
    ("like_escape", "text,text,text->bool", Strict(texts::like)),
    ("ilike_escape", "text,text,text->bool", Strict(texts::ilike)),
    ("similar_to", "text,text->bool", Strict(texts::similar_to)),
    ("similar_to", "text,text,text->bool", Strict(texts::similar_to)),
];

const NUMBERS: &[Listed] = &[
    ("abs", "int2->int2", Strict(numbers::int_abs)),
    ("abs", "int4->int4", Strict(numbers::int_abs)),
    ("abs", "int8->int8", Strict(numbers::int_abs)),
    ("abs", "numeric->arg0", Strict(numbers::number_abs)),
    ("abs", "float4->float4", Strict(numbers::abs)),
    ("abs", "float8->float8", Strict(numbers::abs)),
    ("acos", "float8->float8", Strict(numbers::acos)),
    ("asin", "float8->float8", Strict(numbers::asin)),
    ("asinh", "float8->float8", Strict(numbers::asinh)),
    ("atan", "float8->float8", Strict(numbers::atan)),
    ("atan2", "float8,float8->float8", Strict(numbers::atan2)),
    ("cbrt", "float8->float8", Strict(numbers::cbrt)),
    ("ceil", "numeric->whole", Strict(numbers::number_ceil)),
    ("ceil", "float8->float8", Strict(numbers::ceil)),
    ("ceiling", "numeric->whole", Strict(numbers::number_ceil)),
    ("ceiling", "float8->float8", Strict(numbers::ceil)),
    ("cos", "float8->float8", Strict(numbers::cos)),
    ("cosh", "float8->float8", Strict(numbers::cosh)),
    ("degrees", "float8->float8", Strict(numbers::degrees)),
    ("div", "numeric,numeric->whole", Strict(numbers::number_div)),
    ("exp", "float8->float8", Strict(numbers::exp)),
    ("exp", "numeric->numeric", Refused),
    ("factorial", "int8->whole", Strict(numbers::factorial)),
    ("floor", "numeric->whole", Strict(numbers::number_floor)),
    ("floor", "float8->float8", Strict(numbers::floor)),
    ("gcd", "int4,int4->int4", Strict(numbers::gcd)),
    ("gcd", "int8,int8->int8", Strict(numbers::gcd)),
    ("lcm", "int4,int4->int4", Strict(numbers::lcm)),
    ("lcm", "int8,int8->int8", Strict(numbers::lcm)),
    ("ln", "float8->float8", Strict(numbers::ln)),
    ("ln", "numeric->numeric", Refused),
    ("log", "float8->float8", Strict(numbers::log10)),
    ("log", "numeric->numeric", Refused),
    ("log10", "float8->float8", Strict(numbers::log10)),
    ("log10", "numeric->numeric", Refused),
    ("mod", "int2,int2->int2", Strict(numbers::int_modulo)),
    ("mod", "int4,int4->int4", Strict(numbers::int_modulo)),
    ("mod", "int8,int8->int8", Strict(numbers::int_modulo)),
    ("mod", "numeric,numeric->sum", Strict(numbers::number_modulo)),
    ("pi", "->float8", Strict(numbers::pi)),
    ("pow", "float8,float8->float8", Strict(numbers::power)),
    ("pow", "numeric,numeric->open", Strict(numbers::number_power)),
    ("power", "float8,float8->float8", Strict(numbers::power)),
    ("power", "numeric,numeric->open", Strict(numbers::number_power)),
    ("radians", "float8->float8", Strict(numbers::radians)),
    ("round", "float8->float8", Strict(numbers::round)),
    ("round", "numeric->whole", Strict(numbers::number_round)),
    ("round", "numeric,int4->rounded", Strict(numbers::number_round)),
    ("sign", "float8->float8", Strict(numbers::sign)),
    ("sign", "numeric->whole", Strict(numbers::number_sign)),
    ("sin", "float8->float8", Strict(numbers::sin)),
    ("sinh", "float8->float8", Strict(numbers::sinh)),
    ("sqrt", "float8->float8", Strict(numbers::sqrt)),
    ("sqrt", "numeric->open", Strict(numbers::number_sqrt)),
    ("tan", "float8->float8", Strict(numbers::tan)),
    ("tanh", "float8->float8", Strict(numbers::tanh)),
    ("trunc", "float8->float8", Strict(numbers::trunc)),
    ("trunc", "numeric->whole", Strict(numbers::number_trunc)),
    ("trunc", "numeric,int4->rounded", Strict(numbers::number_trunc)),
    ("width_bucket", "float8,float8,float8,int4->int4", Strict(numbers::width_bucket)),
    ("width_bucket", "numeric,numeric,numeric,int4->int4", Strict(numbers::number_width_bucket)),
    ("random", "->float8", Engine("random")),
];

const TIMES: &[Listed] = &[
    ("age", "timestamp,timestamp->interval", Strict(times::age)),
    ("age", "timestamptz,timestamptz->interval", Strict(times::age_in_session)),
    ("date_bin", "interval,timestamp->timestamp", Engine("date_bin")),
    ("date_bin", "interval,timestamptz->timestamptz", Engine("date_bin")),
    ("date_bin", "interval,timestamp,timestamp->timestamp", Strict(times::date_bin)),
    ("date_bin", "interval,timestamptz,timestamptz->timestamptz", Strict(times::date_bin)),
    ("date_part", "text,date->float8", Strict(times::date_part)),
    ("date_part", "text,time->float8", Strict(times::date_part)),
    ("date_part", "text,timestamp->float8", Strict(times::date_part)),
    ("date_part", "text,timestamptz->float8", Strict(times::date_part)),
    ("date_part", "text,interval->float8", Strict(times::date_part)),
    ("extract", "text,date->field", Strict(times::extract)),
    ("extract", "text,time->field", Strict(times::extract)),
    ("extract", "text,timestamp->field", Strict(times::extract)),
    ("extract", "text,timestamptz->field", Strict(times::extract)),
    ("extract", "text,interval->field", Strict(times::extract)),
    ("date_trunc", "text,timestamp->timestamp", Strict(times::date_trunc)),
    ("date_trunc", "text,timestamptz->timestamptz", Strict(times::date_trunc_in_session)),
    ("date_trunc", "text,timestamptz,text->timestamptz", Strict(times::date_trunc_in_zone)),
    ("date_trunc", "text,interval->interval", Strict(times::date_trunc_interval)),
    ("interval_compare", "interval,interval->int4", Strict(times::interval_compare)),
    ("interval_negative", "interval->interval", Strict(times::interval_negative)),
    ("justify_days", "interval->interval", Strict(times::justify_days)),
    ("justify_hours", "interval->interval", Strict(times::justify_hours)),
    ("make_date", "int4,int4,int4->date", Strict(times::make_date)),
    ("make_time", "int4,int4,float8->time", Strict(times::make_time)),
    ("make_timestamp", "int4,int4,int4,int4,int4,float8->timestamp", Strict(times::make_timestamp)),
    (
        "make_timestamptz",
        "int4,int4,int4,int4,int4,float8->timestamptz",
        Strict(times::make_timestamptz),
    ),
    (
        "make_timestamptz",
        "int4,int4,int4,int4,int4,float8,text->timestamptz",
        Strict(times::make_timestamptz),
    ),
    ("timezone", "text,timestamptz->timestamp", Strict(times::timezone_wall)),
    ("timezone", "text,timestamp->timestamptz", Strict(times::timezone_point)),
    ("to_char", "timestamp,text->text", Strict(times::to_char_wall)),
    ("to_char", "timestamptz,text->text", Strict(times::to_char_point)),
    ("to_char", "interval,text->text", Strict(times::to_char_interval)),
    ("to_char", "int4,text->text", Strict(numbers::to_char_int)),
    ("to_char", "int8,text->text", Strict(numbers::to_char_int)),
    ("to_char", "numeric,text->text", Strict(numbers::to_char_number)),
    ("to_char", "float4,text->text", Strict(numbers::to_char_float)),
    ("to_char", "float8,text->text", Strict(numbers::to_char_float)),
    ("to_date", "text,text->date", Strict(times::to_date)),
    ("to_timestamp", "text,text->timestamptz", Strict(times::to_timestamp_text)),
    ("to_timestamp", "float8->timestamptz", Strict(times::to_timestamp_epoch)),
];

const ARRAYS: &[Listed] = &[
    ("any", "text,anyelement,anyarray->bool", WithNull(arrays::any)),
    ("all", "text,anyelement,anyarray->bool", WithNull(arrays::all)),
    ("array_append", "anyarray,anyelement->arg0", WithNull(arrays::array_append)),
    ("array_prepend", "anyelement,anyarray->arg1", WithNull(arrays::array_prepend)),
    ("array_cat", "anyarray,anyarray->arg0", WithNull(arrays::array_cat)),
    ("array_dims", "anyarray->text", Strict(arrays::array_dims)),
    ("array_length", "anyarray,int4->int4", Strict(arrays::array_length)),
    ("array_upper", "anyarray,int4->int4", Strict(arrays::array_length)),
    ("array_lower", "anyarray,int4->int4", Strict(arrays::array_lower)),
    ("array_ndims", "anyarray->int4", Strict(arrays::array_ndims)),
    ("array_position", "anyarray,anyelement->int4", WithNull(arrays::array_position)),
    ("array_positions", "anyarray,anyelement->int4[]", WithNull(arrays::array_positions)),
    ("array_remove", "anyarray,anyelement->arg0", WithNull(arrays::array_remove)),
    ("array_replace", "anyarray,anyelement,anyelement->arg0", WithNull(arrays::array_replace)),
    ("array_to_string", "anyarray,text->text", WithNull(arrays::array_to_string)),
    ("array_to_string", "anyarray,text,text->text", WithNull(arrays::array_to_string)),
    ("cardinality", "anyarray->int4", Strict(arrays::cardinality)),
    ("element", "anyarray,int4->item", Strict(arrays::element)),
    ("slice", "anyarray,int4,int4->arg0", Strict(arrays::slice)),
    ("string_to_array", "text,text->text[]", WithNull(arrays::string_to_array)),
    ("string_to_array", "text,text,text->text[]", WithNull(arrays::string_to_array)),
    ("series", "int4,int4->int4[]", Strict(times::series_int)),
    ("series", "int4,int4,int4->int4[]", Strict(times::series_int)),
    ("series", "int8,int8->int8[]", Strict(times::series_int)),
    ("series", "int8,int8,int8->int8[]", Strict(times::series_int)),
    ("series", "timestamp,timestamp,interval->timestamp[]", Strict(times::series_wall)),
    ("series", "timestamptz,timestamptz,interval->timestamptz[]", Strict(times::series_point)),
    ("coalesce", "anyelement*->arg0", Engine("coalesce")),
    ("nullif", "anyelement,anyelement->arg0", Engine("nullif")),
    ("greatest", "anyelement*->arg0", WithNull(arrays::greatest)),
    ("least", "anyelement*->arg0", WithNull(arrays::least)),
];

/// Functions of the engine that are refused, because PostgreSQL has another one of that name or because they would not obey
/// the zone of the session, and what to use.
pub(super) const REFUSED: &[(&str, &str)] = &[
    ("acosh", "ln(x + sqrt(x * x - 1))"),
    ("atanh", "ln((1 + x) / (1 - x)) / 2"),
    ("cot", "1 / tan(x)"),
    ("current_time", "now()::time"),
    ("datepart", "date_part"),
    ("datetrunc", "date_trunc"),
    ("levenshtein", "a comparison of texts"),
    ("position", "strpos(text, part)"),
    ("regexp_instr", "strpos(text, regexp_substr(text, expression))"),
    ("to_time", "text::time"),
    ("today", "current_date"),
];

/// Functions of the engine that read or write times as those of UTC: refused in a session of another zone, and what to use.
pub(super) const OF_UTC: &[(&str, &str)] = &[
    ("date_format", "to_char"),
    ("from_unixtime", "to_timestamp"),
    ("to_local_time", "AT TIME ZONE"),
    ("to_timestamp_micros", "a cast to timestamptz"),
    ("to_timestamp_millis", "a cast to timestamptz"),
    ("to_timestamp_nanos", "a cast to timestamptz"),
    ("to_timestamp_seconds", "a cast to timestamptz"),
    ("to_unixtime", "extract(epoch FROM ...)"),
    ("arrow_cast", "a cast"),
    ("arrow_try_cast", "a cast"),
];

/// A parameter of a function.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Parameter {
    Of(PgType),
    Any,
    AnyArray,
    AnyElement,
}

/// A function with one list of parameters.
pub(super) struct Overload {
    parameters: Vec<Parameter>,
    /// The last parameter may repeat.
    variadic: bool,
    pub(super) returns: &'static str,
    pub(super) computation: Computation,
}

static OVERLOADS: LazyLock<BTreeMap<&'static str, Vec<Overload>>> = LazyLock::new(|| {
    let mut overloads: BTreeMap<&'static str, Vec<Overload>> = BTreeMap::new();
    for (name, signature, computation) in
        [OPERATORS, TEXTS, NUMBERS, TIMES, ARRAYS].into_iter().flatten()
    {
        overloads.entry(name).or_default().push(overload(signature, *computation));
    }
    overloads
});

fn overload(signature: &'static str, computation: Computation) -> Overload {
    let (parameters, returns) = signature.split_once("->").unwrap_or((signature, "text"));
    let variadic = parameters.ends_with('*');
    let names = parameters.trim_end_matches('*').split(',').filter(|name| !name.is_empty());
    let parameter = |name: &str| match name {
        "any" => Parameter::Any,
        "anyarray" => Parameter::AnyArray,
        "anyelement" => Parameter::AnyElement,
        name => Parameter::Of(type_named(name).unwrap_or(PgType::Text)),
    };
    Overload { parameters: names.map(parameter).collect(), variadic, returns, computation }
}

/// The type with this short name.
pub(super) fn type_named(name: &str) -> Option<PgType> {
    if let Some(item) = name.strip_suffix("[]") {
        return type_named(item).map(|item| PgType::Array(Box::new(item)));
    }
    Some(match name {
        "bool" => PgType::Bool,
        "int2" => PgType::Int2,
        "int4" => PgType::Int4,
        "int8" => PgType::Int8,
        "float4" => PgType::Float4,
        "float8" => PgType::Float8,
        "numeric" | "whole" => PgType::Numeric { scale: 0, exact: true },
        "text" => PgType::Text,
        "bytea" => PgType::Bytea,
        "date" => PgType::Date,
        "time" => PgType::Time,
        "timestamp" => PgType::Timestamp,
        "timestamptz" => PgType::TimestampTz,
        "interval" => PgType::Interval,
        _ => return None,
    })
}

/// Functions of the list that stand for a syntax of their own.
pub(super) const OF_SYNTAX: &[&str] = &[
    "all",
    "any",
    "element",
    "extract",
    "ilike_escape",
    "interval_compare",
    "like_escape",
    "series",
    "similar_to",
    "slice",
    "substring",
];

/// Names of all functions of the list; operators are left out.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    OVERLOADS.keys().copied().filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// The function that a call of `name` with arguments of the types `args` means, and the types its arguments become.
///
/// # Errors
/// An error where there is none, or where several fit equally well.
pub(super) fn choose(name: &str, args: &[PgType]) -> Result<(&'static Overload, Vec<PgType>)> {
    let candidates = OVERLOADS.get(name).map(Vec::as_slice).unwrap_or_default();
    let mut best: Option<(Score, &Overload, Vec<PgType>)> = None;
    let mut tied = false;
    for candidate in candidates {
        let Some(types) = candidate.types(args) else { continue };
        let score = score(args, &types);
        match &best {
            Some((found, ..)) if *found > score => {}
            Some((found, ..)) if *found == score => tied = true,
            _ => (best, tied) = (Some((score, candidate, types)), false),
        }
    }
    match best {
        Some((_, overload, types)) if !tied => Ok((overload, types)),
        Some(_) => {
            plan_err!("{} is not unique; cast an argument to say which is meant", shown(name, args))
        }
        None => plan_err!(
            "{} does not exist; cast its arguments, or see the documentation for what is translated",
            shown(name, args)
        ),
    }
}

fn shown(name: &str, args: &[PgType]) -> String {
    let types: Vec<String> = args.iter().map(PgType::name).collect();
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return format!("function {name}({})", types.join(", "));
    }
    format!("operator {}", types.join(&format!(" {name} ")))
}

/// How well a function fits: exact types first, then preferred ones; texts for literals, then preferred types.
type Score = (usize, usize, usize, usize);

fn score(args: &[PgType], types: &[PgType]) -> Score {
    let preferred =
        |type_: &PgType| matches!(type_, PgType::Float8 | PgType::TimestampTz | PgType::Text);
    let mut score = (0, 0, 0, 0);
    for (arg, type_) in args.iter().zip(types) {
        let same = arg == type_
            || matches!((arg, type_), (PgType::Numeric { .. }, PgType::Numeric { .. }));
        if *arg == PgType::Unknown {
            score.2 += usize::from(*type_ == PgType::Text);
            score.3 += usize::from(preferred(type_));
        } else if same {
            score.0 += 1;
        } else {
            score.1 += usize::from(preferred(type_));
        }
    }
    score
}

impl Overload {
    fn parameter(&self, at: usize) -> Option<&Parameter> {
        self.parameters.get(at).or_else(|| self.parameters.last().filter(|_| self.variadic))
    }

    /// The types that arguments of the types `args` become; `None` where they do not fit.
    fn types(&self, args: &[PgType]) -> Option<Vec<PgType>> {
        let count = args.len();
        let fits = if self.variadic {
            count + 1 > self.parameters.len()
        } else {
            count == self.parameters.len()
        };
        if !fits || (self.variadic && count == 0) {
            return None;
        }
        let item = self.item_type(args)?;
        let mut types = Vec::with_capacity(count);
        for (at, arg) in args.iter().enumerate() {
            types.push(match self.parameter(at)? {
                Parameter::Any if *arg == PgType::Unknown => PgType::Text,
                Parameter::Any if *arg == PgType::Engine => return None,
                Parameter::Any => arg.clone(),
                Parameter::AnyElement => item.clone()?,
                Parameter::AnyArray => PgType::Array(Box::new(item.clone()?)),
                Parameter::Of(numeric @ PgType::Numeric { .. }) => match arg {
                    PgType::Numeric { .. } => arg.clone(),
                    arg if arg.converts_to(numeric) && *arg != PgType::Unknown => numeric.clone(),
                    PgType::Unknown => super::casts::open_numeric(),
                    _ => return None,
                },
                Parameter::Of(type_) if arg.converts_to(type_) => type_.clone(),
                Parameter::Of(_) => return None,
            });
        }
        Some(types)
    }

    /// The common type of all items: `Some(None)` where no parameter asks for one.
    fn item_type(&self, args: &[PgType]) -> Option<Option<PgType>> {
        let (mut common, mut asked) = (PgType::Unknown, false);
        for (at, arg) in args.iter().enumerate() {
            let item = match (self.parameter(at)?, arg) {
                (Parameter::AnyArray, PgType::Array(item)) => item.as_ref(),
                (Parameter::AnyArray, PgType::Unknown) => &PgType::Unknown,
                (Parameter::AnyArray, _) => return None,
                (Parameter::AnyElement, PgType::Engine) => return None,
                (Parameter::AnyElement, arg) => arg,
                _ => continue,
            };
            asked = true;
            common = common.common(item)?;
        }
        if common == PgType::Unknown {
            common = PgType::Text;
        }
        Some(asked.then_some(common))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_mean_the_functions_that_postgresql_chooses() {
        use PgType as T;
        let numeric = T::Numeric { scale: 1, exact: true };
        for (name, args, expected) in [
            ("+", vec![T::Int2, T::Int4], "int4"),
            ("+", vec![T::Int4, numeric.clone()], "sum"),
            ("+", vec![numeric.clone(), T::Float8], "float8"),
            ("-", vec![T::Date, T::Timestamp], "interval"),
            ("+", vec![T::TimestampTz, T::Unknown], "timestamptz"),
            ("round", vec![T::Int4], "float8"),
            ("round", vec![numeric], "whole"),
            ("to_char", vec![T::Date, T::Unknown], "text"),
            ("substring", vec![T::Text, T::Unknown], "text"),
        ] {
            let chosen = choose(name, &args).map(|(overload, _)| overload.returns);
            assert_eq!(chosen.ok(), Some(expected), "{name} {args:?}");
        }
        assert!(choose("+", &[T::Text, T::Int4]).is_err());
        assert!(choose("left", &[T::Int4, T::Int4]).is_err());
    }
}
