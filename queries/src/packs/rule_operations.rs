//! The operations and parameters that a rule names: the texts that its query and prefilter compare with the action of an
//! event, with the services that hold where they are compared, and the parameters that it reads there.

use crate::packs::operations::{Operation, Operations, is_same_parameter};
use crate::packs::rule_statements::{self, Context, Named};
use crate::packs::rules::{EvidenceMark, Rule};
use std::collections::{BTreeMap, BTreeSet};

/// What a rule names.
#[derive(Debug)]
pub struct RuleOperations<'r> {
    rule: &'r Rule,
    /// The actions, each with its context.
    actions: Vec<Named>,
    /// The parameters, each with its context.
    parameters: Vec<Named>,
}

/// An operation that a rule looks at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WatchedOperation {
    /// The service in lower case; empty where neither the metadata nor a mark has the operation.
    pub service: String,
    /// The name as the metadata or the mark spells it, else the action in lower case.
    pub name: String,
    /// How the operation is known; `None` where it is not.
    pub mark: Option<EvidenceMark>,
}

/// A mark of a rule, taken apart.
struct Mark<'r> {
    key: &'r str,
    service: &'r str,
    operation: &'r str,
    parameter: Option<&'r str>,
    mark: EvidenceMark,
}

impl<'r> RuleOperations<'r> {
    /// What `rule` names. Texts that cannot be parsed name nothing; planning the rule tells why.
    #[must_use]
    pub fn of(rule: &'r Rule) -> Self {
        let (actions, parameters) = rule_statements::named(rule);
        Self { rule, actions, parameters }
    }

    /// The actions and patterns that the rule looks at, and whether each is a pattern.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, bool)> {
        let looked_at = self.actions.iter().filter(|named| !named.excluded);
        looked_at.map(|named| (named.text.as_str(), named.is_pattern()))
    }

    /// True where the rule looks at some operations only, and not at every event of a kind.
    #[must_use]
    pub fn names_operations(&self) -> bool {
        self.actions.iter().any(|named| !named.excluded)
    }

    /// True where the rule looks at the operation of `service` with the name `action`: `Some(true)` where it names it,
    /// `Some(false)` where only a pattern of it does.
    #[must_use]
    pub fn looks_at(&self, service: &str, action: &str) -> Option<bool> {
        let mut by_pattern = None;
        for named in self.actions.iter().filter(|named| !named.excluded) {
            if matches(&named.text, action) && named.context.allows(service) {
                if !named.is_pattern() {
                    return Some(true);
                }
                by_pattern = Some(false);
            }
        }
        by_pattern
    }

    /// The operations that the rule names, sorted, and the patterns, such as `delete%`, each for its services.
    #[must_use]
    pub fn watched(&self) -> Vec<WatchedOperation> {
        let mut found = BTreeSet::new();
        for named in self.actions.iter().filter(|named| !named.excluded) {
            let known = self.known(named);
            let by_metadata = Some(EvidenceMark::Metadata);
            if known.is_empty() {
                let (service, name) = (String::new(), named.text.clone());
                found.insert(WatchedOperation { service, name, mark: None });
            } else if !named.is_pattern() {
                found.extend(known);
            } else {
                let (in_metadata, marked): (Vec<_>, Vec<_>) =
                    known.into_iter().partition(|known| known.mark == by_metadata);
                found.extend(marked);
                if !in_metadata.is_empty() {
                    let service = named.context.services_text("*");
                    let name = named.text.replace('%', "*");
                    found.insert(WatchedOperation { service, name, mark: by_metadata });
                }
            }
        }
        found.into_iter().collect()
    }

    /// The operations that an action can be, by the metadata and the marks.
    fn known(&self, named: &Named) -> Vec<WatchedOperation> {
        let mut found: BTreeMap<(String, String), WatchedOperation> = BTreeMap::new();
        for (service, operation) in operations_of(&named.context, &named.text) {
            let key = (service.clone(), operation.name.to_lowercase());
            let (name, mark) = (operation.name.to_owned(), Some(EvidenceMark::Metadata));
            found.insert(key, WatchedOperation { service, name, mark });
        }
        let marks = self.marks().filter(|mark| mark.parameter.is_none());
        for mark in marks.filter(|mark| mark.is_of(named)) {
            let key = (mark.service.to_lowercase(), mark.operation.to_lowercase());
            let service = key.0.clone();
            let name = mark.operation.to_owned();
            found.insert(key, WatchedOperation { service, name, mark: Some(mark.mark) });
        }
        found.into_values().collect()
    }

    /// The parameters that the rule reads, but for those that it marks: the metadata does not know them.
    #[must_use]
    pub fn parameters_read(&self) -> BTreeSet<&str> {
        let is_marked = |name: &str| self.marks().any(|mark| mark.parameter == Some(name));
        let names = self.parameters.iter().map(|named| named.text.as_str());
        names.filter(|name| !is_marked(name)).collect()
    }

    fn marks(&self) -> impl Iterator<Item = Mark<'r>> {
        self.rule.evidence.iter().map(|(key, &mark)| Mark::new(key, mark))
    }

    /// What the metadata and the marks say otherwise: operations and parameters that neither has, and marks of nothing.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut found: BTreeSet<String> = BTreeSet::new();
        for named in &self.actions {
            if self.known(named).is_empty() {
                found.insert(unknown_operation(named));
            }
        }
        for named in &self.parameters {
            if !self.has_parameter(named) {
                found.insert(self.unknown_parameter(named));
            }
        }
        found.extend(self.marks().filter_map(|mark| self.mark_problem(&mark)));
        found.into_iter().collect()
    }

    /// The actions that events can have where the parameter is read: those compared there, else all of the rule.
    fn actions_at(&self, parameter: &Named) -> Vec<Named> {
        let context = &parameter.context;
        if context.actions.is_empty() {
            let is_possible = |named: &&Named| {
                !named.excluded && (context.services.is_empty() || context.overlaps(&named.context))
            };
            return self.actions.iter().filter(is_possible).cloned().collect();
        }
        let at = |text: &String| {
            // The place may say nothing about the service, where another place has said it.
            let elsewhere = self.actions.iter().filter(|named| named.text == *text);
            let mut found: Vec<Named> = elsewhere.cloned().collect();
            if !context.services.is_empty() {
                found = vec![Named { text: text.clone(), ..parameter.clone() }];
            }
            found
        };
        context.actions.iter().flat_map(at).collect()
    }

    /// True where an operation has the parameter, by the metadata or by a mark.
    fn has_parameter(&self, parameter: &Named) -> bool {
        let actions = self.actions_at(parameter);
        let is_marked = |named: &Named| {
            self.marks().any(|mark| mark.is_of(named) && mark.is_parameter(&parameter.text))
        };
        if actions.is_empty() {
            let any = Named { text: "%".to_owned(), ..parameter.clone() };
            return is_marked(&any)
                || operations_of(&any.context, "%")
                    .iter()
                    .any(|(_, operation)| operation.has_parameter(&parameter.text));
        }
        actions.iter().any(|named| {
            is_marked(named)
                || operations_of(&named.context, &named.text)
                    .iter()
                    .any(|(_, operation)| operation.has_parameter(&parameter.text))
        })
    }

    fn unknown_parameter(&self, parameter: &Named) -> String {
        let actions = self.actions_at(parameter);
        let mut names: BTreeSet<&str> = BTreeSet::new();
        let mut example = None;
        for named in &actions {
            let written = || {
                let service = named.context.services.first().map_or("service", String::as_str);
                format!("{service}:{}", named.text)
            };
            let known = self.known(named).into_iter().next();
            let known = known.map(|known| format!("{}:{}", known.service, known.name));
            example.get_or_insert_with(|| known.unwrap_or_else(written));
            for (_, operation) in operations_of(&named.context, &named.text) {
                names.extend(operation.parameters());
            }
        }
        let text = &parameter.text;
        let example = example.unwrap_or_else(|| "service:Operation".to_owned());
        let hint = crate::suggestion::did_you_mean(text, names, "");
        format!(
            "no operation that the query names where it reads the parameter `{text}` has it in the vendor's API metadata, and no mark in `[evidence]` such as `\"{example}.{text}\"`{hint}"
        )
    }

    /// What is wrong with a mark.
    fn mark_problem(&self, mark: &Mark<'_>) -> Option<String> {
        let key = mark.key;
        if mark.service.is_empty() || mark.operation.is_empty() {
            return Some(format!(
                "`[evidence]` marks `{key}`; write `service:Operation` or `service:Operation.Parameter`"
            ));
        }
        if !self.actions.iter().any(|named| mark.is_of(named)) && !self.actions.is_empty() {
            return Some(format!(
                "`[evidence]` marks `{key}`, but the query does not name this operation"
            ));
        }
        let operations = Operations::built_in();
        let known = match mark.parameter {
            None => operations.find(mark.service, mark.operation).next().is_some(),
            Some(name) => {
                if !self.parameters.iter().any(|read| mark.is_parameter(&read.text)) {
                    return Some(format!(
                        "`[evidence]` marks `{key}`, but the query does not read this parameter"
                    ));
                }
                operations.has_parameter(mark.service, mark.operation, name) == Some(true)
            }
        };
        match mark.mark {
            EvidenceMark::Unverified if known => Some(format!(
                "`[evidence]` marks `{key}` as unverified, but it is in the vendor's API metadata and needs no mark"
            )),
            EvidenceMark::Metadata if !known => Some(format!(
                "`[evidence]` marks `{key}` as in the vendor's API metadata, which lacks it"
            )),
            _ => None,
        }
    }
}

impl<'r> Mark<'r> {
    fn new(key: &'r str, mark: EvidenceMark) -> Self {
        let (service, rest) = key.split_once(':').unwrap_or(("", key));
        let (operation, parameter) = match rest.split_once('.') {
            Some((operation, parameter)) => (operation, Some(parameter)),
            None => (rest, None),
        };
        Self { key, service, operation, parameter, mark }
    }

    /// True where the mark is of an operation that `named` can be, or of its parameter.
    fn is_of(&self, named: &Named) -> bool {
        matches(&named.text, &self.operation.to_lowercase()) && named.context.allows(self.service)
    }

    fn is_parameter(&self, read: &str) -> bool {
        self.parameter.is_some_and(|own| is_same_parameter(own, read))
    }
}

/// True where the action in lower case is `text`, or fits it where it is a pattern of LIKE.
pub(super) fn matches(text: &str, action: &str) -> bool {
    if !text.contains('%') {
        return text.eq_ignore_ascii_case(action);
    }
    let action = action.to_lowercase();
    let mut rest = action.as_str();
    let mut parts = text.split('%');
    let Some(after) = rest.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    rest = after;
    let last = text.rsplit('%').next().unwrap_or_default();
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = if part == last && rest.ends_with(last) { "" } else { &rest[at + part.len()..] };
    }
    rest.is_empty() || last.is_empty()
}

/// The operations of the metadata that events with this action can be in this context, each with its service.
fn operations_of(context: &Context, text: &str) -> Vec<(String, Operation)> {
    let operations = Operations::built_in();
    let is_it = |operation: &Operation| matches(text, operation.name);
    if context.services.is_empty() {
        let all = operations.all().filter(is_it);
        let allowed = all.filter(|operation| context.allows(operation.product));
        return allowed.map(|operation| (operation.product.to_lowercase(), operation)).collect();
    }
    let of_service = |service: &String| {
        let found: Vec<Operation> = if text.contains('%') {
            operations.of_service(service).filter(is_it).collect()
        } else {
            operations.find(service, text).collect()
        };
        found.into_iter().map(|operation| (service.clone(), operation)).collect::<Vec<_>>()
    };
    context.services.iter().flat_map(of_service).collect()
}

fn unknown_operation(named: &Named) -> String {
    let text = &named.text;
    let operations = Operations::built_in();
    let (written, known): (String, Vec<String>) = match named.context.services.first() {
        Some(first) => {
            let names = named.context.services.iter().flat_map(|service| {
                let names = operations.of_service(service);
                names.map(move |operation| format!("{service}:{}", operation.name))
            });
            (format!("{first}:{text}"), names.collect())
        }
        None => {
            let names = operations.all();
            (text.clone(), names.map(|operation| operation.name.to_owned()).collect())
        }
    };
    let services = named.context.services_text("any service");
    let hint = crate::suggestion::did_you_mean(&written, known.iter().map(String::as_str), "");
    format!(
        "the operation `{text}` of {services} is neither in the vendor's API metadata nor marked in `[evidence]`{hint}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(sql: &str, evidence: &[(&str, EvidenceMark)]) -> Rule {
        let mut rule = crate::packs::rules::RuleSet::built_in().expect("rules").rules.remove(0);
        rule.sql = sql.to_owned();
        rule.prefilter = None;
        rule.baseline = None;
        rule.evidence = evidence.iter().map(|(key, mark)| ((*key).to_owned(), *mark)).collect();
        rule
    }

    fn problems(sql: &str, evidence: &[(&str, EvidenceMark)]) -> Vec<String> {
        RuleOperations::of(&rule(sql, evidence)).problems()
    }

    #[test]
    fn operations_must_be_in_the_metadata_or_marked() {
        let sql = "SELECT * FROM events WHERE lower(service_name) = 'ecs' AND event_action IN ('stopinstanc', 'stopinstances')";
        assert_eq!(
            problems(sql, &[]),
            [
                "the operation `stopinstanc` of ecs is neither in the vendor's API metadata nor marked in `[evidence]`; did you mean `ecs:StopInstance`?"
            ]
        );
        assert!(problems(sql, &[("ecs:StopInstanc", EvidenceMark::Unverified)]).is_empty());
        let marked =
            [("ecs:StopInstanc", EvidenceMark::Unverified), ("ecs:X", EvidenceMark::Sample)];
        assert_eq!(
            problems(sql, &marked),
            ["`[evidence]` marks `ecs:X`, but the query does not name this operation"]
        );
        let sql = "SELECT * FROM events WHERE event_action LIKE 'consolesignin%'";
        assert_eq!(problems(sql, &[]).len(), 1);
        assert!(problems(sql, &[("aassub:ConsoleSignin", EvidenceMark::Sample)]).is_empty());
        let sql = "SELECT * FROM events WHERE event_action = 'stopinstance'";
        let needless = problems(sql, &[("ecs:StopInstance", EvidenceMark::Unverified)]);
        assert!(needless.len() == 1 && needless[0].ends_with("needs no mark"), "{needless:?}");
    }

    #[test]
    fn parameters_must_belong_to_the_operations_where_they_are_read() {
        let read = "param(request_parameters, request_parameter_json, ";
        let sql = format!(
            "SELECT {read}'InstanceId') FROM events WHERE lower(service_name) = 'ecs' AND (event_action = 'stopinstance' AND {read}'ForceStp') = 'true' OR event_action = 'deleteinstance')"
        );
        let found = problems(&sql, &[]);
        assert!(found.len() == 1 && found[0].ends_with("did you mean `ForceStop`?"), "{found:?}");
        assert!(found[0].contains("`\"ecs:StopInstance.ForceStp\"`"), "{found:?}");
        let marked = [("ecs:StopInstance.ForceStp", EvidenceMark::VendorQuery)];
        assert!(problems(&sql, &marked).is_empty());
        let elsewhere = [("ecs:DeleteInstance.ForceStp", EvidenceMark::VendorQuery)];
        assert_eq!(problems(&sql, &elsewhere).len(), 1);
        let sql = format!(
            "SELECT * FROM events WHERE lower(service_name) = 'oss' AND event_action = 'putbucketacl' AND {read}'acl') = 'x'"
        );
        let marked = [
            ("oss:PutBucketAcl", EvidenceMark::Sample),
            ("oss:PutBucketAcl.acl", EvidenceMark::Unverified),
        ];
        assert_eq!(problems(&sql, &marked[..1]).len(), 1);
        assert!(problems(&sql, &marked).is_empty());
    }

    #[test]
    fn a_rule_looks_at_what_it_names_in_the_services_it_names() {
        let sql = "SELECT * FROM events WHERE (lower(service_name) = 'ess' AND event_action = 'removeinstances' \
                   OR coalesce(lower(service_name), '') NOT IN ('oss', 'sls') AND event_action LIKE 'delete%') AND event_action <> 'deletevpc'";
        let rule = rule(sql, &[]);
        let operations = RuleOperations::of(&rule);
        assert_eq!(operations.looks_at("ess", "removeinstances"), Some(true));
        assert_eq!(operations.looks_at("ecs", "removeinstances"), None);
        assert_eq!(operations.looks_at("ecs", "deleteinstance"), Some(false));
        assert_eq!(operations.looks_at("oss", "deletebucket"), None);
        let watched: Vec<String> = operations
            .watched()
            .into_iter()
            .map(|watched| format!("{}:{} {:?}", watched.service, watched.name, watched.mark))
            .collect();
        assert_eq!(watched, ["*:delete* Some(Metadata)", "ess:RemoveInstances Some(Metadata)"]);
    }

    #[test]
    fn services_have_their_names_of_events() {
        let sql = "SELECT * FROM events WHERE lower(service_name) = 'aegis' AND event_action = 'pauseclient'";
        assert!(problems(sql, &[]).is_empty());
        let rule = rule(sql, &[]);
        assert_eq!(RuleOperations::of(&rule).looks_at("sas", "pauseclient"), Some(true));
    }

    #[test]
    fn patterns_match_as_like_does() {
        for (pattern, action, expected) in [
            ("delete%", "DeleteVpc", true),
            ("delete%", "undelete", false),
            ("%sql%", "executesqltask", true),
            ("a%b", "acb", true),
            ("a%b", "acbc", false),
            ("a%b", "acbcb", true),
            ("%", "x", true),
        ] {
            assert_eq!(matches(pattern, action), expected, "{pattern} {action}");
        }
    }
}
