//! `trailhound demo`: the main job on made-up traffic, explained.

use super::{generate, scan};
use crate::cli::{self, DetectionArgs, Format};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use trailhound_datasets::generate::TrafficSpec;

pub(crate) async fn run(config: &Config, args: &cli::Demo) -> Result<Exit, Failure> {
    let folder = tempfile::tempdir()?;
    let now = chrono::DateTime::from_timestamp_micros(config.ingest_options().now_micros)
        .unwrap_or_default();
    let spec = TrafficSpec {
        events: args.events,
        seed: args.seed,
        company: None,
        stories: Vec::new(),
        end_micros: now.timestamp_micros(),
        days: 14,
    };
    printer::line(&format!(
        "Making {} events of three invented accounts over two weeks, with seven attack stories among them ...",
        args.events
    ))?;
    let files = generate::write(spec, folder.path())?;
    printer::line(&format!(
        "{files} gzip files as a trail delivers them to OSS. Ingesting them into a lake and running the rules ...\n"
    ))?;
    let shown = Config::load(Some(&folder.path().join("trailhound.toml")), Some(now))?;
    let events = folder.path().join("events").display().to_string();
    let exit = scan::scan(&shown, &[events], &folder.path().join("lake"), &everything()).await?;
    for line in EXPLANATION {
        printer::line(line)?;
    }
    Ok(exit)
}

fn everything() -> DetectionArgs {
    DetectionArgs {
        format: Format::Table,
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
    "  - each line answers who, when, from where, what and why; the worst come first",
    "  - several events of one person, address and hour are one finding; a burst of released instances is critical",
    "  - stops by automation roles, in change windows and by Auto Scaling are kept, but suppressed (`scan --show-suppressed`)",
    "  - what the data does not say (MFA, address) is counted as unknown and never taken for yes or no",
    "",
    "Next: trailhound scan PATH... on your own exports; trailhound query -c \"SELECT * FROM signins LIMIT 10\";",
    "      trailhound rules list; trailhound rules show AT-ECS-001. The demonstration's files are gone when it ends;",
    "      trailhound generate --out DIR writes them to stay.",
];
