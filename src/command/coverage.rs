//! `trailhound coverage`, and the coverage summary at the end of a scan.

use super::lake_access::open_session;
use super::query_output::print_rows;
use crate::cli::CoverageArgs;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::list_output::OutputFormat;
use crate::printer;
use trailhound_datasets::sanitize::sanitize;
use trailhound_detect::authoring::coverage::{AccountCoverage, coverage};
use trailhound_queries::packs::rules::{Rule, RuleSet};
use trailhound_queries::session::Session;

/// Maximum number of accounts in the summary at the end of a scan.
const SUMMARY_ACCOUNTS_MAX: usize = 8;

/// Prints the coverage of each account.
pub(super) async fn run(config: &Config, args: CoverageArgs) -> Result<Exit, Failure> {
    let format = args.list.checked_format()?;
    let session = open_session(config, args.lake.folder()).await?;
    match format {
        OutputFormat::Csv | OutputFormat::Xlsx => {
            print_rows(
                &session,
                "SELECT * FROM coverage ORDER BY account_id, acs_region, day",
                args.list,
                config.time_zone,
            )
            .await?;
        }
        OutputFormat::Json => {
            for account in account_coverage(&session, &config.rule_set).await? {
                printer::line(&serde_json::to_string(&account).map_err(Failure::internal)?)?;
            }
        }
        OutputFormat::Table => {
            print_accounts(&session, &config.rule_set, usize::MAX).await?;
            print_disabled_rules(config)?;
        }
    }
    Ok(Exit::Success)
}

/// Coverage of each account by the rules that are on and have their parameters.
async fn account_coverage(
    session: &Session,
    rule_set: &RuleSet,
) -> Result<Vec<AccountCoverage>, Failure> {
    let rules: Vec<&Rule> = rule_set
        .rules
        .iter()
        .filter(|rule| rule.enabled && rule.missing_parameters(session.parameters()).is_empty())
        .collect();
    Ok(coverage(session, &rules).await?)
}

/// Prints the coverage summary at the end of a scan.
pub(super) async fn print_summary(session: &Session, rule_set: &RuleSet) -> Result<(), Failure> {
    print_accounts(session, rule_set, SUMMARY_ACCOUNTS_MAX).await
}

/// Prints the coverage of the `accounts_max` accounts with the most events.
async fn print_accounts(
    session: &Session,
    rule_set: &RuleSet,
    accounts_max: usize,
) -> Result<(), Failure> {
    let mut accounts = account_coverage(session, rule_set).await?;
    accounts.sort_by_key(|account| std::cmp::Reverse(account.totals.events));
    printer::line("\nDetection coverage of this data:")?;
    if accounts.is_empty() {
        printer::line("  none: no event has a time")?;
    }
    for account in accounts.iter().take(accounts_max) {
        for line in account.describe(&session.parameters().accounts) {
            printer::line(&format!("  {}", sanitize(&line)))?;
        }
    }
    if let Some(more) = accounts.len().checked_sub(accounts_max).filter(|more| *more > 0) {
        printer::line(&format!("  and {more} more accounts; list them with: trailhound coverage"))?;
    }
    Ok(())
}

/// Prints the rules that do not run: those that are off by default, and those that lack a
/// parameter.
fn print_disabled_rules(config: &Config) -> Result<(), Failure> {
    let off: Vec<&str> = config
        .rule_set
        .rules
        .iter()
        .filter(|rule| !rule.enabled)
        .map(|rule| rule.id.as_str())
        .collect();
    if !off.is_empty() {
        printer::line(&format!(
            "\nOff by default, run with `detect --rules ID`: {}",
            off.join(", ")
        ))?;
    }
    for rule in config.rule_set.rules.iter().filter(|rule| rule.enabled) {
        let missing = rule.missing_parameters(&config.parameters);
        if !missing.is_empty() {
            printer::line(&format!(
                "Not loaded, needs {}: {} {}",
                missing.join(", "),
                rule.id,
                rule.title.en
            ))?;
        }
    }
    Ok(())
}
