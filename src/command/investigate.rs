//! `trailhound investigate`: lists, shows and runs saved investigations.

use super::lake_access::open_session;
use super::query_output::{open_output, write_rows};
use crate::cli::InvestigateArgs;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use crate::row_writer::RowLayout;
use std::collections::BTreeMap;
use trailhound_queries::packs::investigations::{self, Investigation};

/// Lists the investigations, or shows or runs the one that `args` name.
pub(super) async fn run(config: &Config, args: InvestigateArgs) -> Result<Exit, Failure> {
    let Some(name) = &args.name else {
        return print_list(config);
    };
    let investigation =
        investigations::find(&config.investigations()?, name).map_err(Failure::usage)?;
    if args.show {
        print_investigation(&investigation)?;
        return Ok(Exit::Success);
    }
    let given: BTreeMap<String, String> = args.params.into_iter().collect();
    let values =
        investigation.values(&given, config.now(), config.time_zone).map_err(Failure::usage)?;
    let session = open_session(config, args.lake.folder()).await?;
    printer::message(&investigation.question.en);
    let mut out = open_output(args.output.as_deref(), args.format, args.bom)?;
    let layout = RowLayout::new(args.format, config.time_zone, false);
    write_rows(&session, &investigation.sql, &values, layout, &mut *out).await?;
    for next in &investigation.next {
        printer::message(&format!("next: {next}"));
    }
    Ok(Exit::Success)
}

fn print_list(config: &Config) -> Result<Exit, Failure> {
    let mut table = printer::table(&["investigation", "question", "parameters"]);
    for investigation in config.investigations()? {
        let parameters =
            investigation.parameters.iter().map(|(name, parameter)| match &parameter.default {
                None => name.clone(),
                Some(default) if default.is_empty() => format!("[{name}]"),
                Some(default) => format!("[{name}={default}]"),
            });
        let parameters: Vec<String> = parameters.collect();
        table.add_row(vec![
            investigation.name,
            format!("{}\n{}", investigation.question.en, investigation.question.zh),
            parameters.join("\n"),
        ]);
    }
    printer::line(&table.to_string())?;
    Ok(Exit::Success)
}

fn print_investigation(investigation: &Investigation) -> Result<(), Failure> {
    printer::line(&format!(
        "{}\n{}\n\n{}\n",
        investigation.question.en, investigation.question.zh, investigation.when
    ))?;
    for (name, parameter) in &investigation.parameters {
        let default = parameter
            .default
            .as_deref()
            .map_or_else(|| "required".to_owned(), |default| format!("default `{default}`"));
        printer::line(&format!("--param {name}=...  {} ({default})", parameter.meaning))?;
    }
    printer::line(&format!("\n{}", investigation.sql))?;
    Ok(())
}
