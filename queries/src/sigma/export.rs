//! Exports the product's stateless rules as Sigma rules.

use crate::packs::rules::{Rule, Severity};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, SetExpr,
    Statement, UnaryOperator, Value,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use rsigma_parser::{
    ConditionExpr, Detection, DetectionItem, Detections, FieldSpec, Level, LogSource, Modifier,
    SigmaRule, SigmaString, SigmaValue, Status, emit_rule_yaml,
};
use std::collections::HashMap;

/// Columns that hold a field of the event unchanged, and the name of the field.
const FIELDS: [(&str, &str); 27] = [
    ("event_id", "eventId"),
    ("event_name", "eventName"),
    ("event_action", "eventName"),
    ("event_type", "eventType"),
    ("event_category", "eventCategory"),
    ("event_rw", "eventRW"),
    ("event_source", "eventSource"),
    ("service_name", "serviceName"),
    ("api_version", "apiVersion"),
    ("acs_region", "acsRegion"),
    ("recipient_account_id", "recipientAccountId"),
    ("vpc_id", "vpcId"),
    ("user_agent", "userAgent"),
    ("error_code", "errorCode"),
    ("error_message", "errorMessage"),
    ("resource_type", "resourceType"),
    ("resource_name", "resourceName"),
    ("request_parameters", "requestParameters"),
    ("response_elements", "responseElements"),
    ("additional_event_data", "additionalEventData"),
    ("user_type", "userIdentity.type"),
    ("principal_id", "userIdentity.principalId"),
    ("account_id", "userIdentity.accountId"),
    ("user_name", "userIdentity.userName"),
    ("access_key_id", "userIdentity.accessKeyId"),
    ("source_ip_address", "sourceIpAddress"),
    ("session_mfa", "userIdentity.sessionContext.attributes.mfaAuthenticated"),
];

/// Collects the selections of the exported rule.
#[derive(Default)]
struct Exporter {
    named: HashMap<String, Detection>,
    /// Notes on differences between the Sigma rule and the original, for its description.
    notes: Vec<&'static str>,
}

/// The result, or the reason why Sigma cannot express it.
type ExportResult<T> = Result<T, String>;

/// Exports `rule` as Sigma YAML.
///
/// # Errors
/// The reason why Sigma cannot express the rule.
pub fn export(rule: &Rule) -> ExportResult<String> {
    if !rule.lookback.is_zero() || rule.baseline.is_some() {
        return Err(format!("{} correlates several events", rule.id));
    }
    let condition = condition(&rule.sql).map_err(|reason| format!("{}: {reason}", rule.id))?;
    let mut exporter = Exporter::default();
    let condition =
        exporter.expression(&condition).map_err(|reason| format!("{}: {reason}", rule.id))?;
    let mut description = format!("{}.", rule.title.en);
    for note in &exporter.notes {
        description.push_str(&format!(" {note}"));
    }
    let sigma = SigmaRule {
        title: rule.title.en.clone(),
        logsource: LogSource {
            product: Some("alibaba".to_owned()),
            service: Some("actiontrail".to_owned()),
            ..LogSource::default()
        },
        detection: Detections {
            named: exporter.named,
            condition_strings: vec![condition.to_string()],
            conditions: vec![condition],
            timeframe: None,
        },
        sigma_version: None,
        id: Some(uuid_of(&rule.id)),
        name: Some(rule.id.to_lowercase().replace('-', "_")),
        related: Vec::new(),
        taxonomy: None,
        status: rule.status.parse::<Status>().ok(),
        description: Some(description),
        license: Some("Apache-2.0".to_owned()),
        author: Some("Trailhound".to_owned()),
        references: rule.references.clone(),
        date: None,
        modified: None,
        fields: Vec::new(),
        falsepositives: rule.false_positives.clone(),
        level: Some(level(rule.severity)),
        tags: rule
            .attack
            .iter()
            .map(|technique| format!("attack.{}", technique.to_lowercase()))
            .collect(),
        scope: Vec::new(),
        custom_attributes: HashMap::new(),
    };
    Ok(emit_rule_yaml(&sigma))
}

fn level(severity: Severity) -> Level {
    match severity {
        Severity::Info => Level::Informational,
        Severity::Low => Level::Low,
        Severity::Medium => Level::Medium,
        Severity::High => Level::High,
        Severity::Critical => Level::Critical,
    }
}

/// A UUID derived from the rule id. Sigma ids must be UUIDs.
fn uuid_of(id: &str) -> String {
    let hash = xxhash_rust::xxh3::xxh3_128(format!("trailhound {id}").as_bytes());
    // Version 8: RFC 9562 reserves it for custom layouts.
    let bits = hash & !(0xf << 76) & !(0x3 << 62) | (0x8 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// The WHERE condition of a query that is one plain SELECT over `events`.
fn condition(sql: &str) -> ExportResult<Expr> {
    let statements = Parser::parse_sql(&GenericDialect {}, sql).map_err(|e| e.to_string())?;
    let [Statement::Query(query)] = &statements[..] else {
        return Err("the query is not a single SELECT".to_owned());
    };
    if query.with.is_some() {
        return Err("the query has common table expressions".to_owned());
    }
    let SetExpr::Select(select) = query.body.as_ref() else {
        return Err("the query is not a plain SELECT".to_owned());
    };
    select.selection.clone().ok_or_else(|| "the query has no WHERE".to_owned())
}

impl Exporter {
    /// Translates `expr` to a condition that holds exactly where SQL evaluates `expr` to true.
    fn expression(&mut self, expr: &Expr) -> ExportResult<ConditionExpr> {
        match expr {
            Expr::Nested(inner) => self.expression(inner),
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => self.negation(expr),
            Expr::BinaryOp { left, op: op @ (BinaryOperator::And | BinaryOperator::Or), right } => {
                let mut parts = self.operands(left, op)?;
                parts.extend(self.operands(right, op)?);
                Ok(if *op == BinaryOperator::And {
                    ConditionExpr::And(parts)
                } else {
                    ConditionExpr::Or(parts)
                })
            }
            other => match without_null_default(other) {
                Some(inner) => self.expression(&inner),
                None => self.comparison(other),
            },
        }
    }

    /// A condition that holds exactly where SQL evaluates `expr` to false. SQL's NULL is neither
    /// true nor false, while a missing value never matches in Sigma.
    fn negation(&mut self, expr: &Expr) -> ExportResult<ConditionExpr> {
        match expr {
            Expr::Nested(inner) => self.negation(inner),
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => self.expression(expr),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                Ok(ConditionExpr::Or(vec![self.negation(left)?, self.negation(right)?]))
            }
            Expr::BinaryOp { left, op: BinaryOperator::Or, right } => {
                Ok(ConditionExpr::And(vec![self.negation(left)?, self.negation(right)?]))
            }
            other => match (without_null_default(other), opposite(other)) {
                (Some(inner), _) => Ok(not(self.expression(&inner)?)),
                (None, Some(opposite)) => self.comparison(&opposite),
                (None, None) => Err(inexpressible(other)),
            },
        }
    }

    /// The operands of a chain of the same operator, as one list.
    fn operands(&mut self, expr: &Expr, by: &BinaryOperator) -> ExportResult<Vec<ConditionExpr>> {
        match expr {
            Expr::BinaryOp { left, op, right } if op == by => {
                let mut parts = self.operands(left, by)?;
                parts.extend(self.operands(right, by)?);
                Ok(parts)
            }
            other => Ok(vec![self.expression(other)?]),
        }
    }

    /// Translates a comparison.
    fn comparison(&mut self, expr: &Expr) -> ExportResult<ConditionExpr> {
        match expr {
            Expr::BinaryOp {
                left,
                op: op @ (BinaryOperator::Eq | BinaryOperator::NotEq),
                right,
            } => {
                let value = text(right).ok_or_else(|| inexpressible(expr))?;
                let condition = self.equals(left, &[value])?;
                self.negated(*op == BinaryOperator::NotEq, left, condition)
            }
            Expr::InList { expr: left, list, negated } => {
                let values = list
                    .iter()
                    .map(text)
                    .collect::<Option<Vec<_>>>()
                    .ok_or_else(|| inexpressible(expr))?;
                let condition = self.equals(left, &values)?;
                self.negated(*negated, left, condition)
            }
            Expr::Like { expr: left, pattern, negated, .. } => {
                let pattern = text(pattern).ok_or_else(|| inexpressible(expr))?;
                let condition = self.select(
                    &field_of(left)?,
                    Vec::new(),
                    vec![SigmaValue::String(wildcards(&pattern))],
                );
                self.negated(*negated, left, condition)
            }
            Expr::IsNull(left) => {
                Ok(self.select(&field_of(left)?, Vec::new(), vec![SigmaValue::Null]))
            }
            Expr::IsNotNull(left) => Ok(self.exists(&field_of(left)?)),
            Expr::Function(function) if calls(function, "regexp_like") => {
                match &arguments(function)[..] {
                    [left, pattern] => {
                        let pattern = text(pattern).ok_or_else(|| inexpressible(expr))?;
                        let modifiers = if is_lowered(left) {
                            vec![Modifier::Re, Modifier::IgnoreCase]
                        } else {
                            vec![Modifier::Re]
                        };
                        Ok(self.select(
                            &field_of(left)?,
                            modifiers,
                            vec![SigmaValue::from_raw_string(&pattern)],
                        ))
                    }
                    _ => Err(inexpressible(expr)),
                }
            }
            other => Err(inexpressible(other)),
        }
    }

    /// Returns `condition`. If `negated`, returns the condition that `left` exists and `condition`
    /// is false.
    fn negated(
        &mut self,
        negated: bool,
        left: &Expr,
        condition: ConditionExpr,
    ) -> ExportResult<ConditionExpr> {
        if !negated {
            return Ok(condition);
        }
        // Derived columns and expressions with a default are never NULL.
        let is_known = is_empty_default(left)
            || column(left)
                .is_some_and(|name| ["outcome", "mfa", "credential_kind"].contains(&name.as_str()));
        if is_known {
            return Ok(not(condition));
        }
        Ok(ConditionExpr::And(vec![self.exists(&field_of(left)?), not(condition)]))
    }

    fn exists(&mut self, field: &str) -> ConditionExpr {
        self.select(field, vec![Modifier::Exists], vec![SigmaValue::Bool(true)])
    }

    fn equals(&mut self, left: &Expr, values: &[String]) -> ExportResult<ConditionExpr> {
        match column(left).as_deref() {
            Some("outcome") => return self.outcome(values),
            Some("mfa") => return self.mfa(values),
            Some("credential_kind") if values == ["long_term"] => return Ok(self.long_term()),
            _ => {}
        }
        let field = field_of(left)?;
        let value = |text: &String| SigmaValue::String(SigmaString::from_raw(text));
        let mut values: Vec<SigmaValue> = values.iter().map(value).collect();
        // `coalesce(field, '') = ''`: the field is missing or empty.
        if is_empty_default(left) && values.iter().any(|value| value.to_string().is_empty()) {
            values.push(SigmaValue::Null);
        }
        Ok(self.select(&field, Vec::new(), values))
    }

    /// The outcome is derived from error code, message and dry run; Sigma only sees the error code.
    fn outcome(&mut self, values: &[String]) -> ExportResult<ConditionExpr> {
        self.notes.push("Success and failure are told by errorCode alone; Trailhound looks at the message and at dry runs too.");
        self.notes.dedup();
        let failed =
            self.select("errorCode", vec![Modifier::Re], vec![SigmaValue::from_raw_string(".+")]);
        match values {
            [value] if value == "success" => Ok(not(failed)),
            [value] if value == "failure" => Ok(failed),
            _ => Err("Sigma cannot express outcomes other than success or failure".to_owned()),
        }
    }

    fn mfa(&mut self, values: &[String]) -> ExportResult<ConditionExpr> {
        let value = match values {
            [value] if value == "no" => "false",
            [value] if value == "yes" => "true",
            _ => return Err("Sigma cannot express unknown MFA".to_owned()),
        };
        let item = |name: &str| {
            Detection::AllOf(vec![DetectionItem {
                field: FieldSpec::new(Some(name.to_owned()), Vec::new()),
                values: vec![SigmaValue::String(SigmaString::from_raw(value))],
            }])
        };
        let fields = [
            "additionalEventData.mfaChecked",
            "additionalEventData.isMFAChecked",
            "requestParameters.MFAAuthenticated",
        ];
        Ok(self.named(Detection::AnyOf(fields.map(item).to_vec())))
    }

    fn long_term(&mut self) -> ConditionExpr {
        let there = self.select(
            "userIdentity.accessKeyId",
            vec![Modifier::Re],
            vec![SigmaValue::from_raw_string(".+")],
        );
        let texts = |texts: [&str; 2]| {
            texts.map(|text| SigmaValue::String(SigmaString::from_raw(text))).to_vec()
        };
        let temporary = self.select(
            "userIdentity.accessKeyId",
            vec![Modifier::StartsWith],
            texts(["STS.", "TMP."]),
        );
        // The platform writes `NULL` where there is no key.
        let none = self.select(
            "userIdentity.accessKeyId",
            Vec::new(),
            vec![SigmaValue::String(SigmaString::from_raw("NULL"))],
        );
        ConditionExpr::And(vec![there, not(temporary), not(none)])
    }

    fn select(
        &mut self,
        field: &str,
        modifiers: Vec<Modifier>,
        values: Vec<SigmaValue>,
    ) -> ConditionExpr {
        let item =
            DetectionItem { field: FieldSpec::new(Some(field.to_owned()), modifiers), values };
        self.named(Detection::AllOf(vec![item]))
    }

    /// Adds a selection under a new name, or reuses an equal one.
    fn named(&mut self, detection: Detection) -> ConditionExpr {
        let known =
            self.named.iter().find(|(_, known)| **known == detection).map(|(name, _)| name.clone());
        let name = known.unwrap_or_else(|| format!("selection_{}", self.named.len() + 1));
        self.named.insert(name.clone(), detection);
        ConditionExpr::Identifier(name)
    }
}

fn not(condition: ConditionExpr) -> ConditionExpr {
    ConditionExpr::Not(Box::new(condition))
}

/// The condition inside of `coalesce(condition, false)`.
fn without_null_default(expr: &Expr) -> Option<Expr> {
    let Expr::Function(function) = expr else { return None };
    match &arguments(function)[..] {
        [inner, otherwise]
            if calls(function, "coalesce") && text(otherwise).as_deref() == Some("false") =>
        {
            Some(inner.clone())
        }
        _ => None,
    }
}

/// The comparison that is true where `expr` is false; `None` where `expr` is not a comparison.
fn opposite(expr: &Expr) -> Option<Expr> {
    let mut opposite = expr.clone();
    match &mut opposite {
        Expr::BinaryOp { op: op @ BinaryOperator::Eq, .. } => *op = BinaryOperator::NotEq,
        Expr::BinaryOp { op: op @ BinaryOperator::NotEq, .. } => *op = BinaryOperator::Eq,
        Expr::InList { negated, .. } | Expr::Like { negated, .. } => *negated = !*negated,
        Expr::IsNull(inner) => opposite = Expr::IsNotNull(inner.clone()),
        Expr::IsNotNull(inner) => opposite = Expr::IsNull(inner.clone()),
        _ => return None,
    }
    Some(opposite)
}

fn inexpressible(expr: &Expr) -> String {
    format!("Sigma cannot express `{expr}`")
}

fn text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            Value::Boolean(is) => Some(is.to_string()),
            _ => None,
        },
        _ => None,
    }
}

fn calls(function: &Function, name: &str) -> bool {
    function.name.to_string().eq_ignore_ascii_case(name)
}

fn arguments(function: &Function) -> Vec<Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    let argument = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    list.args.iter().filter_map(argument).collect()
}

/// The column in `expr`, through functions that do not change the result of a comparison in Sigma:
/// case and blanks, which Sigma ignores, and `''` for NULL.
fn column(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Nested(inner) => column(inner),
        Expr::Identifier(name) => Some(name.value.to_lowercase()),
        Expr::CompoundIdentifier(names) => names.last().map(|name| name.value.to_lowercase()),
        Expr::Trim { expr, .. } => column(expr),
        Expr::Function(function) => column(&ignored_function_argument(function)?),
        _ => None,
    }
}

/// The argument of such a function.
fn ignored_function_argument(function: &Function) -> Option<Expr> {
    match &arguments(function)[..] {
        [inner] if ["lower", "upper", "trim"].iter().any(|name| calls(function, name)) => {
            Some(inner.clone())
        }
        [inner, otherwise]
            if calls(function, "coalesce")
                && text(otherwise).is_some_and(|text| text.is_empty()) =>
        {
            Some(inner.clone())
        }
        _ => None,
    }
}

/// True where the value is compared in lower case. This only matters to regular expressions.
fn is_lowered(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_lowered(inner),
        Expr::Function(function) if calls(function, "lower") => true,
        Expr::Function(function) => arguments(function).first().is_some_and(is_lowered),
        _ => false,
    }
}

fn is_empty_default(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_empty_default(inner),
        Expr::Function(function) if calls(function, "lower") => {
            arguments(function).first().is_some_and(is_empty_default)
        }
        Expr::Function(function) => calls(function, "coalesce"),
        _ => false,
    }
}

fn field_of(expr: &Expr) -> ExportResult<String> {
    if let Some(column) = column(expr) {
        let known =
            FIELDS.iter().find(|(known, _)| *known == column).map(|(_, field)| (*field).to_owned());
        return known.ok_or_else(|| {
            format!("`{column}` is derived by Trailhound and is not a field of ActionTrail")
        });
    }
    member(expr).ok_or_else(|| inexpressible(expr))
}

/// `param(request_parameters, 'Name')` as `requestParameters.Name`.
fn member(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Nested(inner) => member(inner),
        Expr::Function(function) if calls(function, "param") => match &arguments(function)[..] {
            [object, name] => {
                let object = column(object)?;
                let (_, field) = FIELDS.iter().find(|(known, _)| *known == object)?;
                Some(format!("{field}.{}", text(name)?))
            }
            _ => None,
        },
        Expr::Function(function) => member(&ignored_function_argument(function)?),
        _ => None,
    }
}

/// Translates a LIKE pattern to Sigma's wildcards.
fn wildcards(pattern: &str) -> SigmaString {
    let mut written = String::new();
    for c in pattern.chars() {
        match c {
            '%' => written.push('*'),
            '_' => written.push('?'),
            '*' | '?' | '\\' => written.extend(['\\', c]),
            other => written.push(other),
        }
    }
    SigmaString::new(&written)
}

/// Every field that an export names is known to the import.
#[cfg(test)]
mod tests {
    use super::super::fields::Dialect;
    use super::*;

    #[test]
    fn fields_are_known_both_ways() {
        for (_, field) in FIELDS {
            assert!(Dialect::ActionTrail.field(field).is_ok(), "{field}");
        }
    }
}
