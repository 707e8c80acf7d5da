//! Arguments of the commands that generate traffic.

use crate::list_output::ListOptions;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// Number of events.
    #[arg(long, default_value_t = 20_000)]
    pub(crate) events: u64,
    /// Seed of the random numbers. The same seed produces the same files.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Use the same company (people, keys, addresses) for every seed. Default: each seed has its
    /// own.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) company: Option<u64>,
    /// Instead of invented traffic with stories: an everyday company in which nothing is wrong, as
    /// docs/everyday-company.md describes it. The number of events follows from `--days`.
    #[arg(long, conflicts_with_all = ["events", "story", "company"])]
    pub(crate) neighbour: bool,
    /// Only this attack story, or `none` for background traffic alone. Default: all stories.
    #[arg(long, value_name = "NAME")]
    pub(crate) story: Option<String>,
    /// Number of days that the traffic covers, ending today.
    #[arg(long, default_value_t = 30)]
    pub(crate) days: u32,
    /// Folder to write to.
    #[arg(long, value_name = "DIR", required_unless_present = "to")]
    pub(crate) out: Option<PathBuf>,
    /// Destination of the events instead of files: a Kafka topic, which receives half of them as a
    /// trail's Logstore delivers them and half as rows; or the bucket of the configuration's first
    /// `[[source.oss]]`, which receives objects.
    #[arg(long, value_enum)]
    pub(crate) to: Option<Destination>,
    /// Address of the Kafka broker.
    #[arg(long, value_name = "HOST:PORT", required_if_eq("to", "kafka"))]
    pub(crate) bootstrap_servers: Option<String>,
    /// The Kafka topic.
    #[arg(long, default_value = "actiontrail")]
    pub(crate) topic: String,
    /// Give each event the time at which it is sent. The events of stories are then no longer in
    /// their order of time.
    #[arg(long, requires = "bootstrap_servers")]
    pub(crate) live: bool,
    /// Events per second. Default: as many as the broker accepts.
    #[arg(long, value_name = "N")]
    pub(crate) rate: Option<std::num::NonZero<u32>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Destination {
    /// A Kafka topic.
    Kafka,
    /// A bucket.
    Oss,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Number of events.
    #[arg(long, default_value_t = 20_000)]
    pub(crate) events: u64,
    /// Seed of the random numbers. The same seed produces the same demonstration.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct RulesNoiseArgs {
    /// Only the rules with these ids. Default: all rules that are on by default.
    pub(crate) ids: Vec<String>,
    /// Number of companies, with the seeds 1 to N.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(crate) seeds: u64,
    /// Number of days that each covers, ending today.
    #[arg(long, default_value_t = 35, value_parser = clap::value_parser!(u32).range(1..=366))]
    pub(crate) days: u32,
    #[command(flatten)]
    pub(crate) list: ListOptions,
}
