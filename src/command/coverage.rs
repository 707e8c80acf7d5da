//! `trailhound coverage`, and the block that ends a scan.

use super::query;
use crate::cli::{self, Format};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use trailhound_detect::authoring::coverage::{AccountCoverage, coverage};
use trailhound_queries::packs::rules::{Rule, RuleSet};
use trailhound_queries::session::Session;

/// Accounts the block at the end of a scan names.
const ACCOUNTS_SHOWN: usize = 8;

pub(crate) async fn run(config: &Config, args: cli::Coverage) -> Result<Exit, Failure> {
    let session = query::session(config, args.place.lake.as_deref()).await?;
    match args.format {
        // Day by day, for programs; the view is there for every other question.
        Format::Csv => {
            query::ask(
                &session,
                "SELECT * FROM coverage ORDER BY account_id, acs_region, day",
                Format::Csv,
            )
            .await?;
        }
        Format::Json => {
            for account in of(&session, &config.catalogue).await? {
                printer::line(&serde_json::to_string(&account).map_err(Failure::internal)?)?;
            }
        }
        Format::Table => {
            print(&session, &config.catalogue, usize::MAX).await?;
            print_rules(config)?;
        }
    }
    Ok(Exit::Done)
}

async fn of(session: &Session, catalogue: &RuleSet) -> Result<Vec<AccountCoverage>, Failure> {
    let rules: Vec<&Rule> = catalogue
        .rules
        .iter()
        .filter(|rule| rule.enabled && rule.missing_parameters(session.parameters()).is_empty())
        .collect();
    Ok(coverage(session, &rules).await?)
}

/// The block that ends a scan.
pub(super) async fn print_briefly(session: &Session, catalogue: &RuleSet) -> Result<(), Failure> {
    print(session, catalogue, ACCOUNTS_SHOWN).await
}

async fn print(session: &Session, catalogue: &RuleSet, accounts_max: usize) -> Result<(), Failure> {
    let mut accounts = of(session, catalogue).await?;
    // Where most happens is what one looks for.
    accounts.sort_by_key(|account| std::cmp::Reverse(account.totals.events));
    printer::line("\nWhat this data can show:")?;
    if accounts.is_empty() {
        printer::line("  nothing: there is no event with a time")?;
    }
    for account in accounts.iter().take(accounts_max) {
        for line in account.describe(&session.parameters().accounts) {
            printer::line(&format!("  {}", trailhound_datasets::sanitize::sanitize(&line)))?;
        }
    }
    if let Some(more) = accounts.len().checked_sub(accounts_max).filter(|more| *more > 0) {
        printer::line(&format!("  and {more} more accounts: trailhound coverage"))?;
    }
    Ok(())
}

/// What is not looked for at all.
fn print_rules(config: &Config) -> Result<(), Failure> {
    let ids = |which: &dyn Fn(&Rule) -> bool| -> Vec<&str> {
        config
            .catalogue
            .rules
            .iter()
            .filter(|rule| which(rule))
            .map(|rule| rule.id.as_str())
            .collect()
    };
    let off = ids(&|rule| !rule.enabled);
    if !off.is_empty() {
        printer::line(&format!(
            "\nOff by default, run with `detect --rules ID`: {}",
            off.join(", ")
        ))?;
    }
    for rule in config.catalogue.rules.iter().filter(|rule| rule.enabled) {
        let missing = rule.missing_parameters(&config.parameters);
        if !missing.is_empty() {
            printer::line(&format!(
                "Not loaded for want of {}: {} {}",
                missing.join(", "),
                rule.id,
                rule.title.en
            ))?;
        }
    }
    Ok(())
}
