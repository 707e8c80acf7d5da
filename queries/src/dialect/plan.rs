//! Decides the types of a planned statement as PostgreSQL does: which function each call means, what is converted into what,
//! and which comparisons do not exist.

use super::casts;
use super::pending::{PendingAggregate, PendingFunction};
use super::pg_type::PgType;
use super::resolve::{call, type_of};
use chrono_tz::Tz;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result, ScalarValue, plan_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::{
    AggregateFunction, Between, Case, InList, InSubquery, Like, ScalarFunction,
};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator,
    RecursiveQuery, Union, WindowFunctionDefinition, lit,
};
use std::sync::Arc;

/// What the types of a statement are decided with.
pub(super) struct Typing<'s> {
    /// The engine's own functions.
    pub(super) engine: &'s SessionState,
    /// The zone of the session.
    pub(super) zone: Tz,
}

impl Typing<'_> {
    /// Decides the types of `plan`.
    ///
    /// # Errors
    /// An error where PostgreSQL has no such function, operator or conversion.
    pub(super) fn plan(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(|node| self.node(node))?.data)
    }

    fn node(&self, node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        if let LogicalPlan::Values(values) = node {
            return Ok(Transformed::yes(self.values(values)?));
        }
        let mut schema = merge_schema(&node.inputs());
        if let LogicalPlan::TableScan(scan) = &node {
            schema.merge(&DFSchema::try_from_qualified_schema(
                scan.table_name.clone(),
                &scan.source.schema(),
            )?);
        }
        if let LogicalPlan::Union(union) = node {
            return Ok(Transformed::yes(self.union(union)?));
        }
        if let LogicalPlan::RecursiveQuery(query) = &node {
            check_recursion(query)?;
        }
        let names = NamePreserver::new(&node);
        let mapped = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let typed =
                expr.transform_up(|expr| Ok(Transformed::yes(self.expr(expr, &schema)?)))?;
            Ok(typed.update_data(|expr| name.restore(expr)))
        })?;
        let node = match mapped.data {
            LogicalPlan::Filter(mut filter) => {
                filter.predicate = self.condition(filter.predicate, &schema)?;
                LogicalPlan::Filter(filter)
            }
            LogicalPlan::Join(mut join) => {
                join.filter =
                    join.filter.map(|filter| self.condition(filter, &schema)).transpose()?;
                let on =
                    join.on.into_iter().map(|(left, right)| self.join_key(left, right, &schema));
                join.on = on.collect::<Result<_>>()?;
                LogicalPlan::Join(join)
            }
            node => node,
        };
        Ok(Transformed::yes(node.recompute_schema()?))
    }

    fn join_key(&self, left: Expr, right: Expr, schema: &DFSchema) -> Result<(Expr, Expr)> {
        let (left_type, right_type) = (type_of(&left, schema)?, type_of(&right, schema)?);
        if left_type == right_type || left_type == PgType::Engine || right_type == PgType::Engine {
            return Ok((left, right));
        }
        match left_type.common(&right_type) {
            Some(common) => Ok((
                casts::implicit(left, &left_type, &common, self.zone)?,
                casts::implicit(right, &right_type, &common, self.zone)?,
            )),
            None => undefined(&left_type, "=", &right_type),
        }
    }

    /// `expr` as a condition.
    fn condition(&self, expr: Expr, schema: &DFSchema) -> Result<Expr> {
        match type_of(&expr, schema)? {
            PgType::Bool => Ok(expr),
            PgType::Unknown => casts::implicit(expr, &PgType::Unknown, &PgType::Bool, self.zone),
            other => plan_err!("a condition must be type boolean, not type {}", other.name()),
        }
    }

    /// Values in the common type of each column.
    fn values(&self, mut values: datafusion::logical_expr::Values) -> Result<LogicalPlan> {
        let empty = DFSchema::empty();
        for row in &mut values.values {
            for expr in row {
                // The planner has converted to the engine's common type.
                let written = match std::mem::replace(expr, lit(ScalarValue::Null)) {
                    Expr::Cast(Cast { expr, .. }) => *expr,
                    Expr::Literal(scalar, _) if scalar.is_null() => lit(ScalarValue::Null),
                    expr => expr,
                };
                *expr = written
                    .transform_up(|expr| Ok(Transformed::yes(self.expr(expr, &empty)?)))?
                    .data;
            }
        }
        let mut rows = values.values;
        for column in 0..rows.first().map_or(0, Vec::len) {
            let types =
                rows.iter().map(|row| type_of(&row[column], &empty)).collect::<Result<Vec<_>>>()?;
            let Some(common) = common_type(&types) else {
                return plan_err!("VALUES types {} cannot be matched", named(&types));
            };
            if common == PgType::Engine {
                continue;
            }
            for (row, type_) in rows.iter_mut().zip(&types) {
                let expr = std::mem::replace(&mut row[column], lit(ScalarValue::Null));
                row[column] = casts::implicit(expr, type_, &common, self.zone)?;
            }
        }
        LogicalPlanBuilder::values(rows)?.build()
    }

    /// The inputs in the common type of each column. The engine takes that of the first.
    fn union(&self, union: Union) -> Result<LogicalPlan> {
        let inputs: Vec<&LogicalPlan> = union.inputs.iter().map(AsRef::as_ref).collect();
        let mut common = Vec::new();
        for column in 0..union.schema.fields().len() {
            let types = column_types(&inputs, column);
            match common_type(&types) {
                Some(type_) => common.push(type_),
                None => return plan_err!("UNION types {} cannot be matched", named(&types)),
            }
        }
        let cast = |input: &LogicalPlan| -> Result<Arc<LogicalPlan>> {
            let results = input.schema().iter().zip(&common).map(|((qualifier, field), to)| {
                let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
                let from = PgType::of(field.data_type());
                if from == *to || *to == PgType::Engine {
                    return Ok(column);
                }
                let cast = casts::implicit(column, &from, to, self.zone)?;
                Ok(cast.alias_qualified(qualifier.cloned(), field.name()))
            });
            let results = results.collect::<Result<Vec<_>>>()?;
            Ok(Arc::new(LogicalPlanBuilder::from(input.clone()).project(results)?.build()?))
        };
        let inputs = inputs.into_iter().map(cast).collect::<Result<Vec<_>>>()?;
        Ok(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?))
    }

    /// Decides the types of one expression, whose parts are decided.
    fn expr(&self, expr: Expr, schema: &DFSchema) -> Result<Expr> {
        match expr {
            Expr::ScalarFunction(function) => self.function(function, schema),
            Expr::AggregateFunction(function) => self.aggregate(function, schema),
            Expr::WindowFunction(mut function) => {
                self.check_polymorphic(function.fun.name(), &function.params.args, schema)?;
                if let WindowFunctionDefinition::AggregateUDF(udaf) = &function.fun
                    && let Some(pending) = PendingAggregate::of(udaf)
                {
                    let args = std::mem::take(&mut function.params.args);
                    function.params.args = self.aggregated(pending, args, schema)?;
                    function.fun =
                        WindowFunctionDefinition::AggregateUDF(Arc::clone(&pending.inner));
                }
                Ok(Expr::WindowFunction(function))
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                self.binary(*left, op, *right, schema)
            }
            Expr::Not(inner) => Ok(Expr::Not(Box::new(self.condition(*inner, schema)?))),
            Expr::Between(between) => self.between(between, schema),
            Expr::InList(list) => self.in_list(list, schema),
            Expr::InSubquery(subquery) => self.in_subquery(subquery, schema),
            Expr::Case(case) => self.case(case, schema),
            Expr::Like(like) => self.like(like, schema),
            Expr::SimilarTo(Like { negated, expr, pattern, escape_char, .. }) => {
                let escape = escape_char.map(|c| lit(c.to_string()));
                let args = [*expr, *pattern].into_iter().chain(escape).collect();
                let call = call("similar_to", args, schema, self.engine, self.zone)?;
                Ok(if negated { Expr::Not(Box::new(call)) } else { call })
            }
            Expr::Negative(inner) => {
                let type_ = type_of(&inner, schema)?;
                if type_.is_number() || matches!(type_, PgType::Interval | PgType::Engine) {
                    return Ok(Expr::Negative(inner));
                }
                plan_err!("operator does not exist: - {}", type_.name())
            }
            expr => Ok(expr),
        }
    }

    fn function(&self, function: ScalarFunction, schema: &DFSchema) -> Result<Expr> {
        let ScalarFunction { func, args } = function;
        if func.inner().is::<PendingFunction>() {
            let name = func.name().to_owned();
            return call(&name, args, schema, self.engine, self.zone);
        }
        let args = if func.name() == "make_array" {
            self.items(args, schema)?
        } else {
            args.into_iter().map(float_literal).collect()
        };
        Ok(Expr::ScalarFunction(ScalarFunction { func, args }))
    }

    /// The items of an array in their common type.
    fn items(&self, items: Vec<Expr>, schema: &DFSchema) -> Result<Vec<Expr>> {
        let types = items.iter().map(|item| type_of(item, schema)).collect::<Result<Vec<_>>>()?;
        let common = match common_type(&types) {
            Some(PgType::Unknown) => PgType::Text,
            Some(PgType::Engine) => return Ok(items),
            Some(common) => common,
            None => return plan_err!("ARRAY types {} cannot be matched", named(&types)),
        };
        let items = items.into_iter().zip(&types);
        items.map(|(item, type_)| casts::implicit(item, type_, &common, self.zone)).collect()
    }

    fn aggregate(&self, mut function: AggregateFunction, schema: &DFSchema) -> Result<Expr> {
        if let Some(filter) = function.params.filter.take() {
            function.params.filter = Some(Box::new(self.condition(*filter, schema)?));
        }
        let args = std::mem::take(&mut function.params.args);
        if let Some(pending) = PendingAggregate::of(&function.func) {
            function.params.args = self.aggregated(pending, args, schema)?;
            function.func = Arc::clone(&pending.inner);
            return Ok(Expr::AggregateFunction(function));
        }
        let name = function.func.name().to_owned();
        self.check_polymorphic(&name, &args, schema)?;
        let first = args.first().map(|arg| type_of(arg, schema)).transpose()?;
        let fits = match (name.as_str(), &first) {
            ("min" | "max", Some(PgType::Bool | PgType::Interval | PgType::Bytea)) => false,
            ("bool_and" | "bool_or", Some(type_)) => {
                matches!(type_, PgType::Bool | PgType::Unknown)
            }
            ("string_agg", Some(type_)) => matches!(type_, PgType::Text | PgType::Unknown),
            ("bit_and" | "bit_or" | "bit_xor", Some(type_)) => type_.is_integer(),
            (
                "stddev" | "stddev_samp" | "stddev_pop" | "var" | "var_samp" | "var_pop" | "corr"
                | "covar_pop" | "covar_samp",
                Some(type_),
            ) => type_.is_number(),
            _ => true,
        };
        if !fits {
            let type_ = first.map_or_else(String::new, |type_| type_.name());
            return plan_err!(
                "function {name}({type_}) does not exist, or is not translated; cast its argument"
            );
        }
        function.params.args = args.into_iter().map(float_literal).collect();
        Ok(Expr::AggregateFunction(function))
    }

    /// Refuses a literal without a type where the function takes values of every type: PostgreSQL cannot tell which one is
    /// meant.
    fn check_polymorphic(&self, name: &str, args: &[Expr], schema: &DFSchema) -> Result<()> {
        const POLYMORPHIC: [&str; 6] =
            ["array_agg", "first_value", "lag", "last_value", "lead", "nth_value"];
        let Some(first) = args.first().filter(|_| POLYMORPHIC.contains(&name)) else {
            return Ok(());
        };
        let is_literal = matches!(first, Expr::Literal(scalar, _) if !scalar.is_null());
        if is_literal && type_of(first, schema)? == PgType::Unknown {
            return plan_err!("{name} of a text without a type; write it as 'text'::text");
        }
        Ok(())
    }

    /// The arguments of an aggregate in the type that it is computed in.
    fn aggregated(
        &self,
        pending: &PendingAggregate,
        args: Vec<Expr>,
        schema: &DFSchema,
    ) -> Result<Vec<Expr>> {
        let convert = |arg: Expr| {
            let type_ = type_of(&arg, schema)?;
            let Some(target) = pending.argument(&type_) else {
                return plan_err!(
                    "function {}({}) does not exist, or is not translated; cast its argument",
                    pending.inner.name(),
                    type_.name()
                );
            };
            Ok(if arg.get_type(schema)? == target {
                arg
            } else {
                Expr::Cast(Cast::new(Box::new(arg), target))
            })
        };
        args.into_iter().map(convert).collect()
    }

    fn binary(&self, left: Expr, op: Operator, right: Expr, schema: &DFSchema) -> Result<Expr> {
        if matches!(op, Operator::And | Operator::Or) {
            let (left, right) = (self.condition(left, schema)?, self.condition(right, schema)?);
            return Ok(binary(left, op, right));
        }
        let (left_type, right_type) = (type_of(&left, schema)?, type_of(&right, schema)?);
        let is_open = |expr: &Expr| matches!(expr, Expr::Placeholder(placeholder) if placeholder.field.is_none());
        let of_engine = left_type == PgType::Engine || right_type == PgType::Engine;
        let compares = op.supports_propagation()
            || matches!(
                op,
                Operator::NotEq | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom
            );
        if of_engine || !compares || is_open(&left) || is_open(&right) {
            return Ok(binary(left, op, right));
        }
        let Some(common) = left_type.common(&right_type) else {
            return undefined(&left_type, &op.to_string(), &right_type);
        };
        let common = if common == PgType::Unknown { PgType::Text } else { common };
        let (left, right) = (
            casts::implicit(left, &left_type, &common, self.zone)?,
            casts::implicit(right, &right_type, &common, self.zone)?,
        );
        let by_order = common == PgType::Interval
            && !matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom);
        if by_order {
            let order =
                call("interval_compare", vec![left, right], schema, self.engine, self.zone)?;
            return Ok(binary(order, op, lit(0_i32)));
        }
        Ok(binary(left, op, right))
    }

    fn between(&self, between: Between, schema: &DFSchema) -> Result<Expr> {
        let Between { expr, negated, low, high } = between;
        let (low_op, high_op, joined) = if negated {
            (Operator::Lt, Operator::Gt, Operator::Or)
        } else {
            (Operator::GtEq, Operator::LtEq, Operator::And)
        };
        let low = self.binary(expr.as_ref().clone(), low_op, *low, schema)?;
        let high = self.binary(*expr, high_op, *high, schema)?;
        Ok(binary(low, joined, high))
    }

    fn in_list(&self, list: InList, schema: &DFSchema) -> Result<Expr> {
        let InList { expr, list, negated } = list;
        let mut types = vec![type_of(&expr, schema)?];
        for item in &list {
            types.push(type_of(item, schema)?);
        }
        match common_type(&types) {
            Some(PgType::Engine) => return Ok(Expr::InList(InList { expr, list, negated })),
            Some(PgType::Interval) | None => {}
            Some(common) => {
                let common = if common == PgType::Unknown { PgType::Text } else { common };
                let expr = Box::new(casts::implicit(*expr, &types[0], &common, self.zone)?);
                let items = list.into_iter().zip(&types[1..]);
                let list =
                    items.map(|(item, type_)| casts::implicit(item, type_, &common, self.zone));
                return Ok(Expr::InList(InList {
                    expr,
                    list: list.collect::<Result<_>>()?,
                    negated,
                }));
            }
        }
        plan_err!("IN types {} cannot be matched", named(&types))
    }

    fn in_subquery(&self, subquery: InSubquery, schema: &DFSchema) -> Result<Expr> {
        let type_ = type_of(&subquery.expr, schema)?;
        let field = subquery.subquery.subquery.schema().field(0).data_type().clone();
        let column = PgType::of(&field);
        let Some(common) = type_.common(&column) else { return undefined(&type_, "=", &column) };
        let expr = if type_ == PgType::Engine {
            *subquery.expr
        } else {
            casts::implicit(*subquery.expr, &type_, &common, self.zone)?
        };
        Ok(Expr::InSubquery(InSubquery { expr: Box::new(expr), ..subquery }))
    }

    fn case(&self, case: Case, schema: &DFSchema) -> Result<Expr> {
        let Case { expr, when_then_expr, else_expr } = case;
        let mut types = Vec::new();
        for (_, then) in &when_then_expr {
            types.push(type_of(then, schema)?);
        }
        types.extend(else_expr.as_ref().map(|other| type_of(other, schema)).transpose()?);
        let Some(common) = common_type(&types) else {
            return plan_err!("CASE types {} cannot be matched", named(&types));
        };
        let common = if common == PgType::Unknown { PgType::Text } else { common };
        let convert = |expr: Expr, type_: &PgType| match &common {
            PgType::Engine => Ok(expr),
            common => casts::implicit(expr, type_, common, self.zone),
        };
        let mut branches = Vec::new();
        for ((when, then), type_) in when_then_expr.into_iter().zip(&types) {
            let when = match &expr {
                Some(operand) => {
                    self.binary(operand.as_ref().clone(), Operator::Eq, *when, schema)?
                }
                None => self.condition(*when, schema)?,
            };
            branches.push((Box::new(when), Box::new(convert(*then, type_)?)));
        }
        let other = match (else_expr, types.last()) {
            (Some(other), Some(type_)) => Some(Box::new(convert(*other, type_)?)),
            _ => None,
        };
        Ok(Expr::Case(Case::new(None, branches, other)))
    }

    fn like(&self, like: Like, schema: &DFSchema) -> Result<Expr> {
        let Like { negated, expr, pattern, escape_char, case_insensitive } = like;
        for side in [&expr, &pattern] {
            let type_ = type_of(side, schema)?;
            if !matches!(type_, PgType::Text | PgType::Unknown) {
                return plan_err!(
                    "operator does not exist: {} LIKE; cast it to text",
                    type_.name()
                );
            }
        }
        let plain = match pattern.as_ref() {
            Expr::Literal(ScalarValue::Utf8(text), _) => {
                text.as_deref().is_none_or(|text| !text.contains('\\'))
            }
            _ => false,
        };
        if plain && matches!(escape_char, None | Some('\\')) {
            return Ok(Expr::Like(Like {
                negated,
                expr,
                pattern,
                escape_char: None,
                case_insensitive,
            }));
        }
        let name = if case_insensitive { "ilike_escape" } else { "like_escape" };
        let escape = lit(escape_char.unwrap_or('\\').to_string());
        let call = call(name, vec![*expr, *pattern, escape], schema, self.engine, self.zone)?;
        Ok(if negated { Expr::Not(Box::new(call)) } else { call })
    }
}

fn binary(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}

fn undefined<T>(left: &PgType, operator: &str, right: &PgType) -> Result<T> {
    plan_err!("operator does not exist: {} {operator} {}; cast one side", left.name(), right.name())
}

fn named(types: &[PgType]) -> String {
    types.iter().map(PgType::name).collect::<Vec<_>>().join(", ")
}

fn common_type(types: &[PgType]) -> Option<PgType> {
    types.iter().try_fold(PgType::Unknown, |common, type_| common.common(type_))
}

/// A decimal literal as a float: the engine's own functions take floats.
fn float_literal(expr: Expr) -> Expr {
    match expr {
        Expr::Literal(scalar @ ScalarValue::Decimal128(..), metadata) => {
            match scalar.cast_to(&DataType::Float64) {
                Ok(float) => Expr::Literal(float, metadata),
                Err(_) => Expr::Literal(scalar, metadata),
            }
        }
        expr => expr,
    }
}

/// The types of the columns at the position `column` of `plans`.
fn column_types(plans: &[&LogicalPlan], column: usize) -> Vec<PgType> {
    let fields = plans.iter().filter_map(|plan| plan.schema().fields().get(column));
    fields.map(|field| PgType::of(field.data_type())).collect()
}

/// Refuses a recursion that changes the types of its columns.
fn check_recursion(query: &RecursiveQuery) -> Result<()> {
    let plans = [query.static_term.as_ref(), query.recursive_term.as_ref()];
    for column in 0..query.static_term.schema().fields().len() {
        if let [first, second] = column_types(&plans, column).as_slice()
            && first != second
        {
            return plan_err!(
                "recursive query \"{}\" column {} has type {} in its first part and {} in the other; cast it in the first",
                query.name,
                column + 1,
                first.name(),
                second.name()
            );
        }
    }
    Ok(())
}
