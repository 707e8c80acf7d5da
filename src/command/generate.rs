//! `trailhound generate`.

use crate::cli;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use std::path::Path;
use trailhound_datasets::generate::{STORY_NAMES, Spec, Traffic};

pub(crate) fn run(config: &Config, args: &cli::Generate) -> Result<Exit, Failure> {
    let spec = Spec {
        events: args.events,
        seed: args.seed,
        stories: args.story.iter().cloned().collect(),
        end_micros: config.ingest_options().now_micros,
        days: args.days,
    };
    let files = write(spec, &args.out)?;
    printer::talk(&format!("{} events in {files} files below {}, with trailhound.toml and truth.json", args.events, args.out.display()));
    Ok(Exit::Done)
}

/// Writes the traffic of `spec` below `out`; returns the number of files.
pub(crate) fn write(spec: Spec, out: &Path) -> Result<usize, Failure> {
    let traffic = Traffic::new(spec)
        .map_err(|unknown| Failure::Usage(format!("there is no story `{unknown}`; there are {}", STORY_NAMES.join(", "))))?;
    std::fs::create_dir_all(out)?;
    std::fs::write(out.join("trailhound.toml"), traffic.configuration())?;
    std::fs::write(out.join("truth.json"), format!("{:#}\n", traffic.truth()))?;
    let mut files = 0;
    for file in traffic.files() {
        let path = out.join("events").join(&file.path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, &file.content)?;
        files += 1;
    }
    Ok(files)
}
