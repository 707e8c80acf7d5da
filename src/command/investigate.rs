//! `trailhound investigate`.

use super::query;
use crate::cli;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use std::collections::BTreeMap;
use trailhound_queries::packs::investigations::{self, Investigation};

pub(crate) async fn run(config: &Config, args: cli::Investigate) -> Result<Exit, Failure> {
    let Some(name) = &args.name else {
        return list(config);
    };
    let investigation =
        investigations::find(&config.investigations()?, name).map_err(Failure::usage)?;
    if args.show {
        show(&investigation)?;
        return Ok(Exit::Done);
    }
    let given: BTreeMap<String, String> = args.params.into_iter().collect();
    let values = investigation.values(&given, config.now).map_err(Failure::usage)?;
    let session = query::session(config, args.place.lake.as_deref()).await?;
    printer::talk(&investigation.question.en);
    let mut out = query::output(args.output.as_deref(), args.form)?;
    query::answer(&session, &investigation.sql, &values, args.form, &mut *out).await?;
    for next in &investigation.next {
        printer::talk(&format!("next: {next}"));
    }
    Ok(Exit::Done)
}

fn list(config: &Config) -> Result<Exit, Failure> {
    let mut table = printer::table(&["investigation", "question", "parameters"]);
    for one in config.investigations()? {
        let parameters = one.parameters.iter().map(|(name, parameter)| match &parameter.default {
            None => name.clone(),
            Some(default) if default.is_empty() => format!("[{name}]"),
            Some(default) => format!("[{name}={default}]"),
        });
        let parameters: Vec<String> = parameters.collect();
        table.add_row(vec![
            one.name,
            format!("{}\n{}", one.question.en, one.question.zh),
            parameters.join("\n"),
        ]);
    }
    printer::line(&table.to_string())?;
    Ok(Exit::Done)
}

fn show(investigation: &Investigation) -> Result<(), Failure> {
    printer::line(&format!(
        "{}\n{}\n\n{}\n",
        investigation.question.en, investigation.question.zh, investigation.when
    ))?;
    for (name, parameter) in &investigation.parameters {
        let default = parameter
            .default
            .as_deref()
            .map_or_else(|| "must be given".to_owned(), |default| format!("default `{default}`"));
        printer::line(&format!("--param {name}=...  {} ({default})", parameter.meaning))?;
    }
    printer::line(&format!("\n{}", investigation.sql))?;
    Ok(())
}
