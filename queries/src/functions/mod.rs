//! SQL functions of the product. They read IP addresses and their locations, request parameters, the parameters of the
//! user (lists, settings, time windows), and mask AccessKey ids.
//!
//! A function returns NULL if an argument that it needs is NULL or is not an IP address, or if the user has not set the
//! IP list, business hours or database that it reads. `ip_class` returns `missing` or `garbage` instead of NULL. The
//! name of a list or setting that does not exist is an error.

mod arguments;
mod event_values;
mod regular_expressions;

use crate::dialect;
use crate::parameters::{ChangeAttributes, Parameters};
use arguments::{FunctionArguments, booleans, lists, texts, times};
use datafusion::arrow::array::{ArrayRef, Float64Array};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::SessionContext;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use trailhound_datasets::columns::text_item;
use trailhound_datasets::derive::{address, parameters as request};

pub(crate) use regular_expressions::register_regular_expressions;

/// Name, arguments and meaning of every function, as documented in `docs/vocabulary.md`.
pub const FUNCTIONS: &[(&str, &str, &str)] = &[
    ("ip_in_cidr", "(ip, cidr)", "True where the address (text or `source_ip`) lies in the range."),
    (
        "ip_in",
        "(ip, 'list', event_time)",
        "True where the address lies in a range of the parameter list that is valid at that time.",
    ),
    (
        "cidr_label",
        "(ip, 'list', event_time)",
        "Label of the longest such range; NULL where there is none.",
    ),
    ("ip_class", "(text)", "`ip`, `internal`, `service`, `missing` or `garbage`."),
    (
        "param",
        "(json, 'Name')",
        "A member of a JSON object as text. Supports any case, flattened arrays, dotted paths and JSON in JSON.",
    ),
    (
        "values_at",
        "(json, 'Name')",
        "All values at a path of a JSON object, as a list of text: elements of lists at any step, flattened arrays, JSON in JSON. NULL where the path leads nowhere.",
    ),
    (
        "any_is",
        "(texts, 'comparison', value)",
        "True where the comparison with the value holds for at least one text: `equals`, `contains`, `startswith`, `endswith`, `like` (in any case unless followed by ` cased`), `re`, `cidr`, `=`, `<`, `<=`, `>`, `>=` (numbers), `null`.",
    ),
    (
        "matches",
        "(text, 'list')",
        "True where the text matches a pattern of the parameter list, in any case.",
    ),
    (
        "any_matches",
        "(texts, 'list')",
        "True where at least one element matches a pattern of the parameter list.",
    ),
    (
        "change_window",
        "(event_time, account_id, acs_region, principal, instance_ids)",
        "Reason of the change window that covers the change; NULL where there is none.",
    ),
    ("off_hours", "(event_time)", "True outside `business_hours`; NULL where they are not set."),
    ("setting", "('name')", "A single-valued parameter as text."),
    (
        "geo_country",
        "(ip)",
        "ISO code of the address's country; NULL without the database `geo_city` or where it is unknown.",
    ),
    (
        "geo_asn",
        "(ip)",
        "Autonomous system of the address, such as `AS64496`; NULL without the database `geo_asn` or where it is unknown.",
    ),
    (
        "geo_km",
        "(ip, ip)",
        "Great-circle distance between the locations of two addresses, in kilometres; NULL without the database `geo_city` or where one is unknown.",
    ),
    (
        "mask_key",
        "(access_key_id)",
        "The key id with all but its first and last four characters hidden.",
    ),
];

/// Names of the functions of the query engine that a statement may use, one per line.
const ALLOWED: &str = include_str!("allowed.txt");

/// Names of functions, in lower case.
#[derive(Debug)]
pub(crate) struct FunctionNames {
    /// Every function of the query engine and of the product.
    pub(crate) all: BTreeSet<String>,
    /// The functions that a statement may use: those of the product, and those of the query engine
    /// that are listed in `allowed.txt`.
    pub(crate) allowed: BTreeSet<String>,
}

/// Names of the functions of `context`, on which [`register`] has been called. They are the same
/// for every context, so they are only computed once.
pub(crate) fn function_names(context: &SessionContext) -> &'static FunctionNames {
    static NAMES: OnceLock<FunctionNames> = OnceLock::new();
    NAMES.get_or_init(|| {
        let mut all = all_names(context);
        let listed: BTreeSet<&str> =
            ALLOWED.lines().chain(FUNCTIONS.iter().map(|(name, ..)| *name)).collect();
        let is_listed = |name: &&String| listed.contains(name.as_str());
        let mut allowed: BTreeSet<String> = all.iter().filter(is_listed).cloned().collect();
        let of_dialect: BTreeSet<String> = dialect::function_names().map(str::to_owned).collect();
        allowed.extend(of_dialect.iter().cloned());
        all.extend(of_dialect);
        FunctionNames { allowed, all }
    })
}

/// Names of the scalar, aggregate, window and higher-order functions of `context`, in lower case.
/// Table functions are left out.
pub(crate) fn all_names(context: &SessionContext) -> BTreeSet<String> {
    let state = context.state();
    let names = state
        .scalar_functions()
        .keys()
        .chain(state.aggregate_functions().keys())
        .chain(state.window_functions().keys());
    names.chain(state.higher_order_functions().keys()).cloned().collect()
}

type FunctionBody = fn(&FunctionArguments<'_>, &Parameters) -> Result<ArrayRef>;

/// Registers every function in `context`; they read `parameters`.
pub fn register(context: &SessionContext, parameters: &Arc<Parameters>) {
    let boolean = DataType::Boolean;
    let text = DataType::Utf8;
    let functions: [(&'static str, usize, DataType, FunctionBody); 16] = [
        ("ip_in_cidr", 2, boolean.clone(), ip_in_cidr),
        ("ip_in", 3, boolean.clone(), ip_in),
        ("cidr_label", 3, text.clone(), cidr_label),
        ("ip_class", 1, text.clone(), ip_class),
        ("param", 2, text.clone(), param),
        ("values_at", 2, DataType::List(text_item()), event_values::values_at),
        ("any_is", 3, boolean.clone(), event_values::any_is),
        ("matches", 2, boolean.clone(), matches_list),
        ("any_matches", 2, boolean.clone(), any_matches),
        ("change_window", 5, text.clone(), change_window),
        ("off_hours", 1, boolean, off_hours),
        ("setting", 1, text.clone(), setting),
        ("geo_country", 1, text.clone(), geo_country),
        ("geo_asn", 1, text.clone(), geo_asn),
        ("geo_km", 2, DataType::Float64, geo_km),
        ("mask_key", 1, text, mask_key),
    ];
    for (name, arity, returns, body) in functions {
        let function = ScalarFunction {
            name,
            returns,
            signature: Signature::any(arity, Volatility::Immutable),
            body,
            parameters: Arc::clone(parameters),
        };
        context.register_udf(ScalarUDF::new_from_impl(function));
    }
}

struct ScalarFunction {
    name: &'static str,
    returns: DataType,
    signature: Signature,
    body: FunctionBody,
    parameters: Arc<Parameters>,
}

impl std::fmt::Debug for ScalarFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for ScalarFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.parameters, &other.parameters)
    }
}

impl Eq for ScalarFunction {}

impl std::hash::Hash for ScalarFunction {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for ScalarFunction {
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
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let result = (self.body)(
            &FunctionArguments { name: self.name, values: &args.args, rows },
            &self.parameters,
        )?;
        if constant {
            return Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(
                &result, 0,
            )?));
        }
        Ok(ColumnarValue::Array(result))
    }
}

fn ip_in_cidr(args: &FunctionArguments<'_>, _: &Parameters) -> Result<ArrayRef> {
    let ips = args.addresses(0)?;
    let ranges = args.texts(1)?;
    // The range is nearly always one constant, so the last one parsed is reused.
    let mut last: Option<(String, ipnet::IpNet)> = None;
    booleans(args.rows, |row| {
        let Some(text) = ranges.get(row) else { return Ok(None) };
        if last.as_ref().is_none_or(|(have, _)| have != text) {
            let range = crate::parameters::parse_range(text).map_err(DataFusionError::Execution)?;
            last = Some((text.to_owned(), range));
        }
        Ok(ips.get(row).and_then(|ip| last.as_ref().map(|(_, range)| range.contains(&ip))))
    })
}

/// Label of `ip` in the IP list `list`, as [`CidrList::label`](crate::parameters::CidrList::label)
/// returns it. `None` also where the user has not set the list. Every `list` except
/// `corporate_cidrs` is an error.
fn label_at<'p>(
    args: &FunctionArguments<'_>,
    parameters: &'p Parameters,
    ip: IpAddr,
    list: &str,
    time: Option<i64>,
) -> Result<Option<Option<&'p str>>> {
    match list {
        "corporate_cidrs" => match &parameters.corporate_cidrs {
            Some(list) => Ok(list.label(ip, time)),
            None => Ok(None),
        },
        other => exec_err!(
            "{}: there is no IP list `{other}`; the only one is `corporate_cidrs`",
            args.name
        ),
    }
}

fn ip_in(args: &FunctionArguments<'_>, parameters: &Parameters) -> Result<ArrayRef> {
    let (ips, names, times) = (args.addresses(0)?, args.texts(1)?, times(args, 2)?);
    booleans(args.rows, |row| {
        let (Some(ip), Some(list)) = (ips.get(row), names.get(row)) else { return Ok(None) };
        Ok(label_at(args, parameters, ip, list, times.get(row))?.map(|label| label.is_some()))
    })
}

fn cidr_label(args: &FunctionArguments<'_>, parameters: &Parameters) -> Result<ArrayRef> {
    let (ips, names, times) = (args.addresses(0)?, args.texts(1)?, times(args, 2)?);
    texts(args.rows, |row| {
        let (Some(ip), Some(list)) = (ips.get(row), names.get(row)) else { return Ok(None) };
        Ok(label_at(args, parameters, ip, list, times.get(row))?.flatten().map(str::to_owned))
    })
}

fn ip_class(args: &FunctionArguments<'_>, _: &Parameters) -> Result<ArrayRef> {
    let values = args.texts(0)?;
    texts(args.rows, |row| {
        Ok(Some(address::SourceAddress::parse(values.get(row)).name().to_owned()))
    })
}

fn param(args: &FunctionArguments<'_>, _: &Parameters) -> Result<ArrayRef> {
    let (objects, names) = (args.texts(0)?, args.texts(1)?);
    texts(args.rows, |row| {
        let (Some(object), Some(name)) = (objects.get(row), names.get(row)) else {
            return Ok(None);
        };
        Ok(request::find_text(object, name).map(|value| value.into_owned()))
    })
}

fn matches_list(args: &FunctionArguments<'_>, parameters: &Parameters) -> Result<ArrayRef> {
    let (values, names) = (args.texts(0)?, args.texts(1)?);
    booleans(args.rows, |row| {
        let Some(list) = names.get(row) else { return Ok(None) };
        let globs = globs(args, parameters, list)?;
        Ok(values.get(row).map(|text| globs.matches(text)))
    })
}

fn any_matches(args: &FunctionArguments<'_>, parameters: &Parameters) -> Result<ArrayRef> {
    let (values, names) = (lists(args, 0)?, args.texts(1)?);
    booleans(args.rows, |row| {
        let Some(list) = names.get(row) else { return Ok(None) };
        let globs = globs(args, parameters, list)?;
        Ok(values.get(row).map(|texts| texts.iter().any(|text| globs.matches(text))))
    })
}

fn globs<'p>(
    args: &FunctionArguments<'_>,
    parameters: &'p Parameters,
    list: &str,
) -> Result<&'p crate::parameters::GlobList> {
    match parameters.globs(list) {
        Some(globs) => Ok(globs),
        None => exec_err!(
            "{}: there is no pattern list `{list}`; there are `automation_roles`, `critical_instances`, `approved_images`, `allowed_regions`",
            args.name
        ),
    }
}

fn change_window(args: &FunctionArguments<'_>, parameters: &Parameters) -> Result<ArrayRef> {
    let times = times(args, 0)?;
    let (accounts, regions, principals, instances) =
        (args.texts(1)?, args.texts(2)?, args.texts(3)?, lists(args, 4)?);
    texts(args.rows, |row| {
        let Some(time) = times.get(row) else { return Ok(None) };
        let named = instances.get(row).unwrap_or_default();
        let named: Vec<&str> = named.iter().map(String::as_str).collect();
        let change = ChangeAttributes {
            time,
            account: accounts.get(row),
            region: regions.get(row),
            principal: principals.get(row),
            instances: &named,
        };
        Ok(parameters
            .change_windows
            .iter()
            .find(|window| window.covers(&change))
            .map(|window| window.reason.clone()))
    })
}

fn off_hours(args: &FunctionArguments<'_>, parameters: &Parameters) -> Result<ArrayRef> {
    let times = times(args, 0)?;
    booleans(args.rows, |row| {
        Ok(parameters.business_hours.as_ref().and_then(|hours| hours.is_off_hours(times.get(row)?)))
    })
}

fn geo_country(args: &FunctionArguments<'_>, parameters: &Parameters) -> Result<ArrayRef> {
    let ips = args.addresses(0)?;
    texts(args.rows, |row| {
        Ok(ips
            .get(row)
            .zip(parameters.geo_city.as_ref())
            .and_then(|(ip, database)| database.country(ip)))
    })
}

fn geo_asn(args: &FunctionArguments<'_>, parameters: &Parameters) -> Result<ArrayRef> {
    let ips = args.addresses(0)?;
    let asn = |row| {
        ips.get(row).zip(parameters.geo_asn.as_ref()).and_then(|(ip, database)| database.asn(ip))
    };
    texts(args.rows, |row| Ok(asn(row).map(|number| format!("AS{number}"))))
}

fn geo_km(args: &FunctionArguments<'_>, parameters: &Parameters) -> Result<ArrayRef> {
    let (from, to) = (args.addresses(0)?, args.addresses(1)?);
    let distance_km =
        |row: usize| parameters.geo_city.as_ref()?.distance_km(from.get(row)?, to.get(row)?);
    Ok(Arc::new((0..args.rows).map(distance_km).collect::<Float64Array>()))
}

fn setting(args: &FunctionArguments<'_>, parameters: &Parameters) -> Result<ArrayRef> {
    let names = args.texts(0)?;
    texts(args.rows, |row| match names.get(row) {
        Some(name) => match parameters.setting(name) {
            Some(value) => Ok(Some(value)),
            None => exec_err!("setting: there is no single-valued parameter `{name}`"),
        },
        None => Ok(None),
    })
}

fn mask_key(args: &FunctionArguments<'_>, _: &Parameters) -> Result<ArrayRef> {
    let keys = args.texts(0)?;
    texts(args.rows, |row| Ok(keys.get(row).map(mask_access_key)))
}

/// Masks an AccessKey id: four asterisks replace everything between its first four and its last four
/// characters. In an id of fewer than twelve characters, an asterisk replaces each character.
#[must_use]
pub fn mask_access_key(key: &str) -> String {
    let characters: Vec<char> = key.chars().collect();
    if characters.len() < 12 {
        return "*".repeat(characters.len());
    }
    let (head, tail): (String, String) =
        (characters[..4].iter().collect(), characters[characters.len() - 4..].iter().collect());
    format!("{head}****{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Functions of the query engine that a statement may not use: they describe the query engine
    /// and its files, not the data of the lake.
    const DENIED: [&str; 4] = ["arrow_metadata", "file_row_index", "input_file_name", "version"];

    #[test]
    #[expect(clippy::disallowed_methods, reason = "golden files are written on demand")]
    fn every_function_of_the_engine_is_allowed_or_denied() {
        let context = SessionContext::new();
        register(&context, &Arc::new(Parameters::default()));
        let mut found: Vec<String> = all_names(&context)
            .into_iter()
            .filter(|name| !DENIED.contains(&name.as_str()))
            .collect();
        found.retain(|name| FUNCTIONS.iter().all(|(own, ..)| own != name));
        let found = found.join("\n") + "\n";
        if std::env::var_os("TRAILHOUND_WRITE_GOLDEN").is_some() {
            std::fs::write(
                concat!(env!("CARGO_MANIFEST_DIR"), "/src/functions/allowed.txt"),
                &found,
            )
            .expect("written");
        }
        assert!(
            found == ALLOWED,
            "the engine's functions differ from allowed.txt; TRAILHOUND_WRITE_GOLDEN=1 writes the list, to be reviewed"
        );
    }
}
