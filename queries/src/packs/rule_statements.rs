//! Reads the statements of a rule: which actions of events they compare, which parameters they read, and which services and
//! actions hold where they do.

use crate::packs::operations::Operations;
use crate::packs::rules::Rule;
use crate::sql_guard::parse_unchecked;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Select,
    SelectItem, Statement, UnaryOperator, Value, Visit, Visitor,
};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// What holds where a statement names an action or a parameter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Context {
    /// The services, in lower case; empty where any can be.
    pub(super) services: BTreeSet<String>,
    /// The services that it cannot be.
    pub(super) except: BTreeSet<String>,
    /// The actions and patterns of actions, in lower case; empty where any can be.
    pub(super) actions: BTreeSet<String>,
}

/// An action or a parameter that a statement names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// An action in lower case, a pattern of LIKE, or the path of a parameter.
    pub(super) text: String,
    pub(super) context: Context,
    /// True where the statement looks at everything else.
    pub(super) excluded: bool,
}

impl Named {
    /// True where it is a pattern of LIKE.
    pub(super) fn is_pattern(&self) -> bool {
        self.text.contains('%')
    }
}

impl Context {
    /// True where the service can be `service`, by its name in events or by its product code.
    pub(super) fn allows(&self, service: &str) -> bool {
        let is_in = |names: &BTreeSet<String>| {
            names.iter().any(|name| {
                let products = Operations::built_in().products_of(name);
                let mut names = products.into_iter().chain([name.as_str()]);
                names.any(|name| name.eq_ignore_ascii_case(service))
            })
        };
        (self.services.is_empty() || is_in(&self.services)) && !is_in(&self.except)
    }

    /// True where both can hold of one event's service.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.services.is_empty()
            || other.services.is_empty()
            || self.services.iter().any(|service| other.services.contains(service))
    }

    /// The services in a text; `any` where any can be.
    pub(super) fn services_text(&self, any: &str) -> String {
        match self.services.len() {
            0 => any.to_owned(),
            _ => self.services.iter().cloned().collect::<Vec<_>>().join(", "),
        }
    }

    /// What holds where `self` holds and `inner` too.
    fn narrowed(&self, inner: Self) -> Self {
        let narrower = |inner: BTreeSet<String>, outer: &BTreeSet<String>| {
            if inner.is_empty() { outer.clone() } else { inner }
        };
        Self {
            services: narrower(inner.services, &self.services),
            except: self.except.union(&inner.except).cloned().collect(),
            actions: narrower(inner.actions, &self.actions),
        }
    }

    /// What holds where one of the two holds.
    fn either(self, other: Self) -> Self {
        let both = |a: BTreeSet<String>, b: BTreeSet<String>| {
            if a.is_empty() || b.is_empty() { BTreeSet::new() } else { &a | &b }
        };
        Self {
            services: both(self.services, other.services),
            except: &self.except & &other.except,
            actions: both(self.actions, other.actions),
        }
    }
}

/// The actions and the parameters that the statements of `rule` name.
pub(super) fn named(rule: &Rule) -> (Vec<Named>, Vec<Named>) {
    let predicate = |text: &str| format!("SELECT * FROM events WHERE {text}");
    let texts = [
        Some(rule.sql.trim_end().trim_end_matches(';').to_owned()),
        rule.prefilter.as_deref().map(predicate),
        rule.baseline.as_ref().map(|baseline| predicate(&baseline.rows)),
    ];
    let mut reader = Reader::default();
    for text in texts.into_iter().flatten() {
        for statement in parse_unchecked(&text).unwrap_or_default() {
            reader.collect_aliases(&statement);
            let _ = statement.visit(&mut reader);
        }
    }
    let Reader { mut actions, parameters, .. } = reader;
    // A comparison without a service, in an outer SELECT, is of rows that another place has chosen by service.
    let with_service: BTreeSet<String> = actions
        .iter()
        .filter(|named| !named.context.services.is_empty())
        .map(|named| named.text.clone())
        .collect();
    actions
        .retain(|named| !named.context.services.is_empty() || !with_service.contains(&named.text));
    (actions, parameters)
}

/// Collects what statements name. The innermost context is the last of `contexts`.
#[derive(Default)]
struct Reader {
    /// Names that a statement gives to the action and to the service.
    action_names: BTreeSet<String>,
    service_names: BTreeSet<String>,
    /// The contexts that have begun, each with the address of the expression that it ends with.
    contexts: Vec<(*const Expr, Context)>,
    /// The contexts that begin at an expression further inside: results of CASE.
    results: Vec<(*const Expr, Context)>,
    /// The negations that have begun.
    negations: usize,
    actions: Vec<Named>,
    parameters: Vec<Named>,
}

/// What an expression compares with.
enum Subject {
    Action,
    Service,
    /// Service, a text between them, and action.
    Both(String),
}

impl Reader {
    /// Collects the names that SELECT gives to the action and the service.
    fn collect_aliases(&mut self, statement: &Statement) {
        struct Aliases<'r>(&'r mut Reader);
        impl Visitor for Aliases<'_> {
            type Break = ();
            fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
                for item in &select.projection {
                    let SelectItem::ExprWithAlias { expr, alias } = item else { continue };
                    match self.0.subject(expr) {
                        Some(Subject::Action) => {
                            self.0.action_names.insert(alias.value.to_lowercase());
                        }
                        Some(Subject::Service) => {
                            self.0.service_names.insert(alias.value.to_lowercase());
                        }
                        _ => {}
                    }
                }
                ControlFlow::Continue(())
            }
        }
        let _ = statement.visit(&mut Aliases(self));
    }

    /// What an expression is: the action, the service, or both in one text.
    fn subject(&self, expr: &Expr) -> Option<Subject> {
        match expr {
            Expr::Nested(inner) => self.subject(inner),
            Expr::Identifier(name) => self.column(&name.value),
            Expr::CompoundIdentifier(names) => self.column(&names.last()?.value),
            Expr::Trim { expr, .. } | Expr::Cast { expr, .. } => self.subject(expr),
            Expr::Function(function) => {
                let name = function.name.to_string().to_lowercase();
                let is_plain = ["lower", "trim", "btrim", "coalesce"].contains(&name.as_str());
                is_plain.then(|| self.subject(arguments(function).first()?))?
            }
            Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right } => {
                let Expr::BinaryOp {
                    left: first,
                    op: BinaryOperator::StringConcat,
                    right: between,
                } = left.as_ref()
                else {
                    return None;
                };
                match (self.subject(first), self.subject(right)) {
                    (Some(Subject::Service), Some(Subject::Action)) => {
                        Some(Subject::Both(text(between)?))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn column(&self, name: &str) -> Option<Subject> {
        let name = name.to_lowercase();
        match name.as_str() {
            "event_action" | "event_name" => Some(Subject::Action),
            "service_name" => Some(Subject::Service),
            _ if self.action_names.contains(&name) => Some(Subject::Action),
            _ if self.service_names.contains(&name) => Some(Subject::Service),
            _ => None,
        }
    }

    /// The compared texts of a comparison with the action or the service, and whether it is a negative one.
    fn comparison(&self, expr: &Expr) -> Option<(Subject, Vec<String>, bool)> {
        let one = |subject: &Expr, compared: &Expr, negated| {
            Some((self.subject(subject)?, vec![text(compared)?.to_lowercase()], negated))
        };
        match expr {
            Expr::Nested(inner) => self.comparison(inner),
            Expr::BinaryOp { left, op, right } => {
                let negated = match op {
                    BinaryOperator::Eq => false,
                    BinaryOperator::NotEq => true,
                    _ => return None,
                };
                one(left, right, negated).or_else(|| one(right, left, negated))
            }
            Expr::IsNotDistinctFrom(left, right) => one(left, right, false),
            Expr::IsDistinctFrom(left, right) => one(left, right, true),
            Expr::InList { expr, list, negated } => {
                let texts = list.iter().map(|item| Some(text(item)?.to_lowercase()));
                Some((self.subject(expr)?, texts.collect::<Option<_>>()?, *negated))
            }
            Expr::Like { negated, expr, pattern, .. }
            | Expr::ILike { negated, expr, pattern, .. } => one(expr, pattern, *negated),
            Expr::Function(function) => self.function_comparison(function),
            _ => None,
        }
    }

    /// The comparison that a function makes: `starts_with(event_action, 'delete')`, `coalesce(event_action = 'x', false)`.
    fn function_comparison(&self, function: &Function) -> Option<(Subject, Vec<String>, bool)> {
        let arguments = arguments(function);
        match (function.name.to_string().to_lowercase().as_str(), arguments.as_slice()) {
            ("starts_with", [subject, start]) => {
                let pattern = format!("{}%", text(start)?.to_lowercase());
                Some((self.subject(subject)?, vec![pattern], false))
            }
            ("coalesce", [first, ..]) => self.comparison(first),
            _ => None,
        }
    }

    /// What holds of service and action where `expr` is true.
    fn holds(&self, expr: &Expr) -> Context {
        if let Some((subject, texts, negated)) = self.comparison(expr) {
            let mut context = Context::default();
            match (subject, negated) {
                (Subject::Action, false) => context.actions.extend(texts),
                (Subject::Service, false) => context.services.extend(texts),
                (Subject::Service, true) => context.except.extend(texts),
                (Subject::Both(between), false) => {
                    for text in texts {
                        let (service, action) = split_pair(&text, &between);
                        context.services.insert(service);
                        context.actions.insert(action);
                    }
                }
                (Subject::Action | Subject::Both(_), true) => {}
            }
            return context;
        }
        match expr {
            Expr::Nested(inner) => self.holds(inner),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                self.holds(left).narrowed(self.holds(right))
            }
            Expr::BinaryOp { left, op: BinaryOperator::Or, right } => {
                self.holds(left).either(self.holds(right))
            }
            _ => Context::default(),
        }
    }

    /// The context at this place.
    fn context(&self) -> Context {
        self.contexts.last().map(|(_, context)| context.clone()).unwrap_or_default()
    }

    fn begin(&mut self, at: &Expr, inner: Context) {
        let context = self.context().narrowed(inner);
        self.contexts.push((std::ptr::from_ref(at), context));
    }

    /// Notes what the branches of a CASE hold, and the actions that it compares.
    fn read_case(&mut self, case: &Expr) {
        let Expr::Case { operand, conditions, .. } = case else { return };
        let is_of_action = operand
            .as_ref()
            .is_some_and(|operand| matches!(self.subject(operand), Some(Subject::Action)));
        for branch in conditions {
            let mut context = self.holds(&branch.condition);
            if let (true, Some(action)) = (is_of_action, text(&branch.condition)) {
                let action = action.to_lowercase();
                context.actions.insert(action.clone());
                self.note_action(action, self.context(), false);
            }
            self.results.push((std::ptr::from_ref(&branch.result), context));
        }
    }

    fn note_action(&mut self, text: String, context: Context, negated: bool) {
        let excluded = negated != (self.negations % 2 == 1);
        let context = Context { actions: BTreeSet::new(), ..context };
        let named = Named { text, context, excluded };
        if !self.actions.contains(&named) {
            self.actions.push(named);
        }
    }

    /// Notes a comparison of the action.
    fn read_comparison(&mut self, expr: &Expr) {
        // The comparison in parentheses, or in a function, is visited by itself.
        if matches!(expr, Expr::Nested(_))
            || matches!(expr, Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("coalesce"))
        {
            return;
        }
        let Some((subject, texts, negated)) = self.comparison(expr) else { return };
        for text in texts {
            match &subject {
                Subject::Action => self.note_action(text, self.context(), negated),
                Subject::Both(between) => {
                    let (service, action) = split_pair(&text, between);
                    let context = Context { services: [service].into(), ..self.context() };
                    self.note_action(action, context, negated);
                }
                Subject::Service => {}
            }
        }
    }

    /// Notes a parameter that a function reads from the request parameters of the event.
    fn read_parameter(&mut self, function: &Function) {
        const FUNCTIONS: [&str; 3] = ["param", "values_at", "entries"];
        const COLUMNS: [&str; 2] = ["request_parameters", "request_parameter_json"];
        if !FUNCTIONS.contains(&function.name.to_string().to_lowercase().as_str()) {
            return;
        }
        let arguments = arguments(function);
        let [first, .., last] = arguments.as_slice() else { return };
        let column = match first {
            Expr::Identifier(name) => Some(name),
            Expr::CompoundIdentifier(names) => names.last(),
            _ => None,
        };
        let of_event = column.is_some_and(|name| COLUMNS.contains(&name.value.as_str()));
        if let (true, Some(text)) = (of_event, text(last)) {
            let named = Named { text, context: self.context(), excluded: false };
            if !self.parameters.contains(&named) {
                self.parameters.push(named);
            }
        }
    }
}

impl Visitor for Reader {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Some(at) = self.results.iter().position(|(at, _)| std::ptr::eq(*at, expr)) {
            let (_, context) = self.results.swap_remove(at);
            self.begin(expr, context);
        }
        match expr {
            Expr::BinaryOp { op: BinaryOperator::And, .. } => {
                let context = self.holds(expr);
                self.begin(expr, context);
            }
            Expr::UnaryOp { op: UnaryOperator::Not, .. } => self.negations += 1,
            Expr::Case { .. } => self.read_case(expr),
            Expr::Function(function) => self.read_parameter(function),
            _ => {}
        }
        self.read_comparison(expr);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        while self.contexts.last().is_some_and(|(at, _)| std::ptr::eq(*at, expr)) {
            self.contexts.pop();
        }
        if let Expr::UnaryOp { op: UnaryOperator::Not, .. } = expr {
            self.negations -= 1;
        }
        ControlFlow::Continue(())
    }
}

/// The arguments of a function that are expressions.
fn arguments(function: &Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    let expression = |argument| match argument {
        &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref expr)) => Some(expr),
        _ => None,
    };
    list.args.iter().filter_map(expression).collect()
}

/// The text of a literal.
fn text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            _ => None,
        },
        Expr::Nested(inner) => text(inner),
        _ => None,
    }
}

/// Service and action of a text that holds both.
fn split_pair(text: &str, between: &str) -> (String, String) {
    let (service, action) = text.split_once(between).unwrap_or(("", text));
    (service.to_owned(), action.to_owned())
}
