//! `trailhound demo`: generates traffic, scans it and explains the result.

use super::{generate, scan};
use crate::cli::{DemoArgs, DetectionArgs};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::list_output::ListOptions;
use crate::printer;
use trailhound_datasets::generate::TrafficSpec;
use trailhound_queries::local_time::TimeOrDay;

/// Generates two weeks of traffic in a temporary folder, scans it and prints what the result shows.
pub(super) async fn run(config: &Config, args: &DemoArgs) -> Result<Exit, Failure> {
    let folder = tempfile::tempdir()?;
    let now = config.now();
    let spec = TrafficSpec {
        events: args.events,
        seed: args.seed,
        company: None,
        stories: Vec::new(),
        end_micros: now.timestamp_micros(),
        days: 14,
    };
    printer::line(&format!(
        "Generating {} events of three fictitious accounts over two weeks, with seven attack stories among them ...",
        args.events
    ))?;
    let files = generate::write_files(spec, folder.path())?;
    printer::line(&format!(
        "{files} gzip files, as a trail delivers them to OSS. Ingesting them into a lake and running the rules ...\n"
    ))?;
    let demo_config =
        Config::load(Some(&folder.path().join("trailhound.toml")), Some(TimeOrDay::Time(now)))?;
    let events = folder.path().join("events").display().to_string();
    let exit =
        scan::scan(&demo_config, &[events], &folder.path().join("lake"), &default_detection())
            .await?;
    for line in EXPLANATION {
        printer::line(line)?;
    }
    Ok(exit)
}

/// The arguments of `scan` without any option.
fn default_detection() -> DetectionArgs {
    DetectionArgs {
        list: ListOptions::default(),
        fail_on: None,
        since: None,
        until: None,
        rules: Vec::new(),
        profile: None,
        require_all_rules: false,
        show_suppressed: false,
    }
}

const EXPLANATION: [&str; 10] = [
    "",
    "What this shows:",
    "  - each line says who, when, from where, what and why; the most severe come first",
    "  - events of one person, address and hour are one finding; a burst of released instances is critical",
    "  - stops by automation roles, in change windows and by Auto Scaling are stored as suppressed (`scan --show-suppressed`)",
    "  - values that the data lacks (MFA, address) count as unknown, never as yes or no",
    "",
    "Next: trailhound scan PATH... on your own exports; trailhound query -c \"SELECT * FROM signins LIMIT 10\";",
    "      trailhound rules list; trailhound rules show AT-ECS-001. The files of the demonstration are deleted at its end;",
    "      trailhound generate --out DIR writes files that stay.",
];
