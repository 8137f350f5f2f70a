//! The user's rules as expressions over the rows of a side.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNode;
use datafusion::error::DataFusionError;
use datafusion::prelude::Expr;

use crate::domain::Side;
use crate::error::{Error, Result, nearest};
use crate::job::Rule;
use crate::source::{Opened, describe_engine_error};
use crate::staging::Prepared;

/// The rules that look at a side.
pub fn rules_of(prepared: &Prepared, side: Side) -> Vec<Rule> {
    prepared.stream.rules.iter().filter(|rule| rule.side.is_none_or(|wanted| wanted == side)).cloned().collect()
}

/// Plans a rule without running it.
///
/// # Errors
/// It does not parse, names an unknown column, or is not boolean.
pub fn rule_is_valid(rule: &Rule, opened: &Opened) -> Result<()> {
    rule_expression(rule, opened).map(drop)
}

/// A rule as an expression over a side's columns.
pub(super) fn rule_expression(rule: &Rule, opened: &Opened) -> Result<Expr> {
    let wrong = |problem: String, help: String| Error::Expression { what: format!("{}: '{}'", rule.place, rule.assert), problem, help };
    let columns = || opened.schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
    let explain = |error: DataFusionError| {
        let problem = describe_engine_error(&error);
        let help = match problem.split("No field named ").nth(1) {
            Some(rest) => {
                let name = rest.split(['.', ' ']).next().unwrap_or_default().trim_matches('"');
                nearest(name, columns())
            }
            None => "write one boolean SQL expression over the columns of a row, for instance amount >= 0".to_string(),
        };
        let short = problem.split(" Valid fields are").next().unwrap_or_default().to_string();
        wrong(short, help)
    };
    let expression = opened.frame.parse_sql_expr(&rule.assert).map_err(explain)?;
    let reaches_further = expression.exists(|part| {
        Ok(matches!(
            part,
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) | Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_)
        ))
    });
    if reaches_further.unwrap_or(true) {
        return Err(wrong(
            "a rule looks at one row at a time: it cannot use aggregates, window functions or subqueries".to_string(),
            "write one boolean SQL expression over the columns of a row, for instance amount >= 0".to_string(),
        ));
    }
    let frame = opened.frame.clone().select(vec![expression.clone().alias("assert")]).map_err(explain)?;
    match frame.schema().field(0).data_type() {
        DataType::Boolean | DataType::Null => Ok(expression),
        other => Err(wrong(
            format!("the expression on the {} has type {other}, not boolean", opened.side),
            "compare it with something, for instance amount >= 0".to_string(),
        )),
    }
}
