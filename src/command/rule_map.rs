//! `trailhound rules map`: the operations of the vendor and of the lake, with the rules that look at them.

use super::lake_access::open_session;
use crate::cli::RulesMapArgs;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::list_output::{OutputFormat, Sheet};
use crate::printer;
use chrono_tz::Tz;
use std::collections::BTreeMap;
use trailhound_detect::authoring::operations_seen::operations_seen;
use trailhound_queries::local_time::local_text;
use trailhound_queries::packs::operation_map::{MappedOperation, OperationMap};
use trailhound_queries::packs::operation_risk::OperationRisk;
use trailhound_queries::packs::operations::Operations;
use trailhound_queries::suggestion::did_you_mean;

/// Columns of the list of operations.
const HEADER: [&str; 10] = [
    "product",
    "operation",
    "risk",
    "mark",
    "events",
    "first_seen",
    "last_seen",
    "principals",
    "rules",
    "rules_by_pattern",
];

/// Prints the operations that pass the filters of `args`.
pub(super) async fn run(config: &Config, args: &RulesMapArgs) -> Result<Exit, Failure> {
    let format = args.list.checked_format()?;
    let given = args.lake.folder();
    // Without a lake the map is that of the vendor's operations alone.
    let seen = if given.is_some() || config.lake(None)?.is_dir() {
        operations_seen(&open_session(config, given).await?).await?
    } else {
        Vec::new()
    };
    let map = OperationMap::new(&config.rule_set.rules, seen);
    let products = products(&map, args.product.as_deref())?;
    let is_shown = |operation: &&MappedOperation| {
        let in_product = products.contains(&operation.product);
        // What only reads is no gap, unless it reads secrets or data.
        let is_gap = !operation.is_watched() && operation.risk != OperationRisk::Read;
        (products.is_empty() || in_product) && (!args.unwatched || is_gap)
    };
    let mut shown: Vec<&MappedOperation> = map.operations.iter().filter(is_shown).collect();
    if args.unwatched {
        let events =
            |operation: &MappedOperation| operation.seen.as_ref().map_or(0, |seen| seen.events);
        shown.sort_by_key(|operation| (operation.risk, std::cmp::Reverse(events(operation))));
    }
    match format {
        OutputFormat::Json => {
            for operation in shown {
                printer::line(&serde_json::to_string(operation).map_err(Failure::internal)?)?;
            }
        }
        OutputFormat::Csv | OutputFormat::Xlsx => {
            let numbers = &["events", "principals"];
            let sheet = Sheet { name: "operations", header: &HEADER, numbers };
            let rows = shown.iter().map(|operation| row(operation, config.time_zone));
            args.list.write_sheet(&sheet, rows)?;
        }
        OutputFormat::Table if args.product.is_some() || args.unwatched => {
            print_operations(&shown, config.time_zone)?;
        }
        OutputFormat::Table => print_products(&map)?,
    }
    Ok(Exit::Success)
}

/// The products that `given` names: a product code, or a service's name in events. Empty where nothing is given.
fn products(map: &OperationMap, given: Option<&str>) -> Result<Vec<String>, Failure> {
    let Some(given) = given else { return Ok(Vec::new()) };
    let mut products: Vec<String> =
        Operations::built_in().products_of(given).iter().map(|name| name.to_lowercase()).collect();
    products.push(given.trim().to_lowercase());
    let known = |product: &String| map.operations.iter().any(|entry| entry.product == *product);
    if !products.iter().any(known) {
        let names = map.operations.iter().map(|entry| entry.product.as_str());
        let hint = did_you_mean(given, names, "`trailhound rules map` lists all");
        return Err(Failure::Usage(format!("there is no product `{given}`{hint}")));
    }
    Ok(products)
}

fn row(operation: &MappedOperation, zone: Tz) -> Vec<String> {
    let seen = operation.seen.as_ref();
    let time = |text: Option<&String>| text.map_or_else(String::new, |text| local_text(text, zone));
    vec![
        operation.product.clone(),
        operation.operation.clone(),
        operation.risk.name().to_owned(),
        operation.mark.map_or_else(String::new, |mark| mark.letter().to_owned()),
        seen.map_or_else(String::new, |seen| seen.events.to_string()),
        time(seen.and_then(|seen| seen.first_seen.as_ref())),
        time(seen.and_then(|seen| seen.last_seen.as_ref())),
        seen.map_or_else(String::new, |seen| seen.principals.to_string()),
        operation.rules.join(" "),
        operation.rules_by_pattern.join(" "),
    ]
}

/// Prints operations one by one.
fn print_operations(operations: &[&MappedOperation], zone: Tz) -> Result<(), Failure> {
    let header: Vec<String> = HEADER.iter().map(|name| name.replace('_', " ")).collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut table = printer::table(&header);
    for operation in operations {
        table.add_row(row(operation, zone).into_iter().map(printer::cell));
    }
    printer::line(&table.to_string())?;
    let counts = OperationMap::unwatched(operations.iter().copied());
    printer::message(&format!(
        "{} operations; no rule looks at {}",
        operations.len(),
        counts_text(&counts)
    ));
    Ok(())
}

/// Numbers by risk, in words.
fn counts_text(counts: &BTreeMap<OperationRisk, usize>) -> String {
    let one = |risk: OperationRisk| {
        format!("{} ({})", counts.get(&risk).copied().unwrap_or_default(), risk.name())
    };
    OperationRisk::ALL.map(one).join(", ")
}

/// Prints one row for each product.
fn print_products(map: &OperationMap) -> Result<(), Failure> {
    let mut products: BTreeMap<&str, Vec<&MappedOperation>> = BTreeMap::new();
    for operation in &map.operations {
        products.entry(&operation.product).or_default().push(operation);
    }
    let risks = OperationRisk::ALL.map(|risk| format!("no rule: {}", risk.name()));
    let mut header = vec!["product", "operations", "with a rule", "seen", "events"];
    header.extend(risks.iter().map(String::as_str));
    let mut table = printer::table(&header);
    for (product, operations) in products {
        let count = |holds: fn(&MappedOperation) -> bool| {
            operations.iter().filter(|operation| holds(operation)).count().to_string()
        };
        let events = operations.iter().filter_map(|operation| operation.seen.as_ref());
        let events: u64 = events.map(|seen| seen.events).sum();
        let mut cells = vec![
            product.to_owned(),
            operations.len().to_string(),
            count(MappedOperation::is_watched),
            count(|operation| operation.seen.is_some()),
            events.to_string(),
        ];
        let counts = OperationMap::unwatched(operations.iter().copied());
        let number = |risk| counts.get(&risk).copied().unwrap_or_default().to_string();
        cells.extend(OperationRisk::ALL.map(number));
        table.add_row(cells.into_iter().map(printer::cell));
    }
    printer::line(&table.to_string())?;
    let counts = OperationMap::unwatched(&map.operations);
    printer::message(&format!(
        "{} operations; no rule looks at {}. These rules name no operation and look at every event of a kind: {}. \
         One by one: --product PRODUCT, --unwatched, or --format json",
        map.operations.len(),
        counts_text(&counts),
        map.general_rules.join(", ")
    ));
    Ok(())
}
