//! `trailhound doctor`: checks configuration, sources, lake, sinks and ports, and says what is right, what is not and what to
//! do. It sends nothing to a sink, and changes neither source nor lake.

mod bucket_checks;
mod check;
mod clock_check;
mod config_checks;
mod lake_checks;
mod port_checks;
mod sample_check;
mod sink_checks;
mod topic_checks;

use crate::cli::DoctorArgs;
use crate::config::{Config, SourceOptions};
use crate::exit::{Exit, Failure};
use crate::list_output::{ListOptions, OutputFormat, Sheet};
use crate::printer;
use check::{Check, CheckArea, Verdict};
use config_checks::wrong_setting;
use std::path::Path;
use trailhound_detect::Language;
use trailhound_queries::local_time::TimeOrDay;

/// Runs the checks and prints them.
pub(super) async fn run(
    path: Option<&Path>,
    now: Option<TimeOrDay>,
    args: DoctorArgs,
) -> Result<Exit, Failure> {
    let format = args.list.checked_format()?;
    let checks = check_all(path, now, args.lake.folder()).await?;
    let language = args.lang;
    match format {
        OutputFormat::Table => {
            let mut table = printer::table(&Check::header(language));
            for check in &checks {
                table.add_row(check.fields(language).map(printer::cell));
            }
            printer::line(&table.to_string())?;
        }
        OutputFormat::Csv | OutputFormat::Xlsx => {
            let rows = checks.iter().map(|check| check.fields(language).to_vec());
            let header = Check::header(language);
            let list = ListOptions { bom: args.list.bom || language == Language::Zh, format };
            list.write_sheet(&Sheet { name: "doctor", header: &header, numbers: &[] }, rows)?;
        }
        OutputFormat::Json => {
            for check in &checks {
                printer::line(&check.json(language).to_string())?;
            }
        }
    }
    let is_wrong = checks.iter().any(|check| check.verdict == Verdict::Wrong);
    Ok(if is_wrong { Exit::CheckFailed } else { Exit::Success })
}

/// All checks in order. A part that is wrong does not keep the others from being checked.
async fn check_all(
    path: Option<&Path>,
    now: Option<TimeOrDay>,
    lake: Option<&Path>,
) -> Result<Vec<Check>, Failure> {
    let mut problems = Vec::new();
    let config = match Config::load_available(path, now, &mut problems) {
        Ok(config) => config,
        Err(Failure::Usage(problem)) => {
            return Ok(vec![wrong_setting("trailhound.toml", &problem)]);
        }
        Err(failure) => return Err(failure),
    };
    let mut checks = config_checks::run(&config, problems);
    for (name, options) in config.each_source() {
        match options {
            Ok(SourceOptions::Oss(options)) => {
                checks.extend(bucket_checks::run(&options, &config.clock()).await);
            }
            Ok(SourceOptions::Kafka(options)) => {
                checks.extend(topic_checks::run(options, &config.clock()).await);
            }
            Err(failure) => {
                checks.push(config_checks::wrong_part(CheckArea::Source, &name, &failure));
            }
        }
    }
    let folder = config.lake(lake)?;
    checks.extend(lake_checks::run(&config, &folder).await);
    for (name, target) in config.each_sink() {
        checks.push(match target {
            Ok(target) => sink_checks::run(&name, target).await,
            Err(failure) => config_checks::wrong_part(CheckArea::Sink, &name, &failure),
        });
    }
    checks.extend(port_checks::run(&config, &folder).await);
    Ok(checks)
}
