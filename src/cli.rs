//! The command line: commands and their arguments. This file declares them and decides nothing.

mod keep_command;
mod lake_args;

use crate::arguments::{
    SnapshotOrTime, TestSwitches, parse_as_of, parse_entity_kind, parse_language, parse_parameter,
    parse_period, parse_severity, parse_time,
};
use crate::config::ReportFormat;
use crate::exit::Exit;
use crate::lake::TestSchema;
use crate::list_output::ListOptions;
use crate::row_writer::RowFormat;
use chrono_tz::Tz;
use clap::{Args, Parser, Subcommand, ValueEnum};
pub(crate) use keep_command::KeepCommand;
pub(crate) use lake_args::LakeArgs;
use std::ffi::OsString;
use std::path::PathBuf;
use trailhound_detect::Language;
use trailhound_detect::finding::risk::EntityKind;
use trailhound_detect::report::PeriodLength;
use trailhound_queries::local_time::TimeOrDay;
use trailhound_queries::packs::rules::Severity;

/// Detects what matters in Alibaba Cloud ActionTrail (操作审计) logs.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Configuration file. Default: `trailhound.toml` in the current folder, if it exists.
    #[arg(long, global = true, value_name = "FILE", env = "TRAILHOUND_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Use this time instead of the current time, for example to date ingested records.
    #[arg(long, global = true, value_name = "TIME", value_parser = parse_time, env = "TRAILHOUND_NOW")]
    pub(crate) now: Option<TimeOrDay>,
    /// For tests of migrations only.
    #[arg(
        long,
        global = true,
        hide = true,
        value_enum,
        env = "TRAILHOUND_TEST_SCHEMA",
        hide_env = true
    )]
    pub(crate) test_schema: Option<TestSchema>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ingest exports, run the rules and print the findings.
    Scan(ScanArgs),
    /// Ingest exports into the lake.
    Ingest(IngestArgs),
    /// Run the rules over the events in the lake, or over a time range of them, and store the
    /// findings. Use it after adding or changing a rule.
    Detect(DetectArgs),
    /// Run the service: follow the configured sources and run the rules after every commit, until
    /// SIGTERM or SIGINT.
    Serve(ServeArgs),
    /// Check configuration, sources, lake, sinks and ports, and say what to do about what is wrong.
    /// Exit status 1 if anything is.
    Doctor(DoctorArgs),
    /// Query the lake with SQL: one statement, a file of statements, or an interactive shell on a
    /// terminal.
    Query(QueryArgs),
    /// Run a saved investigation, such as `who_stopped`. Without a name: list them.
    Investigate(InvestigateArgs),
    /// Answer one query for the service.
    #[command(hide = true)]
    QueryWorker(LakeArgs),
    /// Serve one PostgreSQL connection for the service.
    #[command(hide = true)]
    ServePostgres(LakeArgs),
    /// List the entities that findings concern (principals, keys, addresses, targets) by risk
    /// score.
    Entities(EntitiesArgs),
    /// List incidents: findings that share entities within a short time, with their timeline.
    Incidents(IncidentsArgs),
    /// List exceptions and change windows with the findings each has suppressed in the last 90
    /// days.
    Suppressions(SuppressionsArgs),
    /// Create a report, recompute one to verify it, or list the scheduled reports.
    Report(ReportArgs),
    /// Show for each account which detections its events support and which they cannot.
    Coverage(CoverageArgs),
    /// Check the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// List, show, test, explain and backtest detection rules.
    #[command(subcommand)]
    Rules(RulesCommand),
    /// List and test the sinks, which receive findings.
    #[command(subcommand)]
    Sinks(SinksCommand),
    /// List, retry and dismiss the messages in the outbox.
    #[command(subcommand)]
    Outbox(OutboxCommand),
    /// Inspect and maintain the lake.
    #[command(subcommand)]
    Lake(LakeCommand),
    /// Write sample traffic with attack stories, and the findings that a correct detector reports
    /// for it.
    Generate(GenerateArgs),
    /// Generate a day of traffic with every story, scan it and explain the result.
    Demo(DemoArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ScanArgs {
    /// Files, folders, glob patterns, or `-` for standard input.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    /// Use a temporary lake and delete it afterwards.
    #[arg(long, conflicts_with = "lake")]
    pub(crate) no_keep: bool,
    #[command(flatten)]
    pub(crate) detection: DetectionArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DetectArgs {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    #[command(flatten)]
    pub(crate) detection: DetectionArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DetectionArgs {
    #[command(flatten)]
    pub(crate) list: ListOptions,
    /// Exit with status 1 if an open finding has at least this severity.
    #[arg(long, value_name = "SEVERITY", value_parser = parse_severity)]
    pub(crate) fail_on: Option<Severity>,
    /// Only events at or after this time. A day begins in the time zone of the configuration.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) since: Option<TimeOrDay>,
    /// Only events before this time.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) until: Option<TimeOrDay>,
    /// Only the rules with these ids.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub(crate) rules: Vec<String>,
    /// Only the rules of this profile, such as `cis-alibaba-v2`, including those that are off by
    /// default.
    #[arg(long, value_name = "NAME", conflicts_with = "rules")]
    pub(crate) profile: Option<String>,
    /// Fail if a rule lacks a parameter, instead of skipping the rule.
    #[arg(long)]
    pub(crate) require_all_rules: bool,
    /// Show suppressed findings in the table too.
    #[arg(long)]
    pub(crate) show_suppressed: bool,
}

#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    /// Files, folders, glob patterns, or `-` for standard input.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    /// Print the ledger as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    /// Which log messages to write, such as `debug` or `trailhound=debug,info`. Default: `info`.
    #[arg(long, value_name = "FILTER", env = "TRAILHOUND_LOG")]
    pub(crate) log_filter: Option<String>,
    #[command(flatten)]
    pub(crate) test: TestSwitches,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    /// Language of texts for people: `en` or `zh`.
    #[arg(long, value_name = "LANGUAGE", default_value = "en", value_parser = parse_language)]
    pub(crate) lang: Language,
    #[command(flatten)]
    pub(crate) list: ListOptions,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check every section as the service would read it, with its secrets and files, and start
    /// nothing. Exit status 2 if something is wrong.
    Check,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SinksCommand {
    /// List the configured sinks with the number of their messages in the outbox.
    List {
        #[command(flatten)]
        lake: LakeArgs,
        #[command(flatten)]
        list: ListOptions,
    },
    /// Send a sample finding to a sink and print its answer. Exit status 1 if the sink does not
    /// accept it.
    Test {
        /// Name of the sink.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum OutboxCommand {
    /// List messages, the newest first.
    List {
        #[command(flatten)]
        filter: OutboxFilter,
        /// Only messages in this state.
        #[arg(long, value_enum)]
        state: Option<OutboxState>,
        /// Number of messages at most.
        #[arg(long, default_value_t = 100)]
        limit: usize,
        #[command(flatten)]
        list: ListOptions,
    },
    /// Make pending and dead-lettered messages due now. The service sends them.
    Retry {
        #[command(flatten)]
        filter: OutboxFilter,
        /// Only messages of the finding with this id.
        finding: Option<String>,
    },
    /// Dismiss pending and dead-lettered messages, so that they are never sent. The findings stay
    /// in the lake.
    Dismiss {
        #[command(flatten)]
        filter: OutboxFilter,
        /// Only messages of the finding with this id.
        finding: Option<String>,
        /// The reason, which is stored with the message.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct OutboxFilter {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    /// Only messages for this sink.
    #[arg(long, value_name = "NAME")]
    pub(crate) sink: Option<String>,
}

/// State of a message in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum OutboxState {
    /// Waiting to be sent.
    Pending,
    /// Being sent.
    Leased,
    /// Accepted by the sink.
    Delivered,
    /// Rejected by the sink for good: the sink or its configuration needs attention.
    DeadLettered,
    /// Name of `dead_lettered` before 0.2.0.
    #[value(hide = true)]
    Parked,
    /// Dismissed by an operator.
    Dismissed,
}

#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// The statement, or several separated by `;`.
    #[arg(short = 'c', long = "command", value_name = "SQL", allow_hyphen_values = true)]
    pub(crate) sql: Option<String>,
    /// A file of statements, or `-` for standard input.
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "sql")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    /// Value of the parameter `$name` in the statement. Repeat it for each parameter.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parse_parameter)]
    pub(crate) params: Vec<(String, String)>,
    /// Query an earlier state of the lake: a snapshot, or the last snapshot at or before a time.
    #[arg(long, value_name = "SNAPSHOT|TIME", value_parser = parse_as_of)]
    pub(crate) as_of: Option<SnapshotOrTime>,
    /// Time zone in which statements read and show times, such as `Asia/Shanghai`; default: `time_zone` of the configuration.
    /// `SET TIME ZONE` changes it.
    #[arg(long, value_name = "ZONE")]
    pub(crate) time_zone: Option<String>,
    /// Format of the rows.
    #[arg(long, value_enum, default_value_t = RowFormat::Table)]
    pub(crate) format: RowFormat,
    /// With `--format csv`: start with a byte order mark, so that Excel shows Chinese text when the
    /// file is opened by a double click.
    #[arg(long)]
    pub(crate) bom: bool,
    /// Write the rows to this file.
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Pager of the interactive shell. Default: `less -S`.
    #[arg(long, value_name = "COMMAND", env = "PAGER", hide_env_values = true)]
    pub(crate) pager: Option<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct InvestigateArgs {
    /// Name of the investigation.
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    /// Value of a parameter of the investigation. Repeat it for each parameter.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parse_parameter)]
    pub(crate) params: Vec<(String, String)>,
    /// Print the parameters and the query of the investigation, and run nothing.
    #[arg(long)]
    pub(crate) show: bool,
    /// Format of the rows.
    #[arg(long, value_enum, default_value_t = RowFormat::Table)]
    pub(crate) format: RowFormat,
    /// With `--format csv`: start with a byte order mark, so that Excel shows Chinese text when the
    /// file is opened by a double click.
    #[arg(long)]
    pub(crate) bom: bool,
    /// Write the rows to this file.
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct EntitiesArgs {
    /// Only the entity with this id or name, with the terms of its risk score and its findings in
    /// order of time.
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    /// Only entities of this kind: principal, access_key, address or target.
    #[arg(long, value_parser = parse_entity_kind)]
    pub(crate) kind: Option<EntityKind>,
    /// Number of entities in the table at most.
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) list: ListOptions,
}

#[derive(Debug, Args)]
pub(crate) struct IncidentsArgs {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    /// Longest time between two successive findings of one incident.
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    pub(crate) window_minutes: u32,
    #[command(flatten)]
    pub(crate) list: ListOptions,
}

#[derive(Debug, Args)]
pub(crate) struct SuppressionsArgs {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    #[command(flatten)]
    pub(crate) list: ListOptions,
}

#[derive(Debug, Args)]
pub(crate) struct CoverageArgs {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    #[command(flatten)]
    pub(crate) list: ListOptions,
}

#[derive(Debug, Args)]
pub(crate) struct RulesExplainArgs {
    /// Id of the rule.
    pub(crate) id: String,
    /// The event: its id, or its event key in hexadecimal.
    pub(crate) event: String,
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RulesBacktestArgs {
    /// Only the rules with these ids. Default: all rules that are on by default.
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    /// Only events at or after this time. A day begins in the time zone of the configuration.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) since: Option<TimeOrDay>,
    /// Only events before this time.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) until: Option<TimeOrDay>,
    /// A second configuration file: also print the findings that its parameters add and remove.
    #[arg(long, value_name = "FILE")]
    pub(crate) with: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) list: ListOptions,
}

#[derive(Debug, Args)]
pub(crate) struct RulesImportArgs {
    /// Sigma files, or folders of them.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Folder to write to. Default: the folder under `[rules]` in the configuration.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Overwrite rules that were imported before.
    #[arg(long)]
    pub(crate) replace: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RulesExportArgs {
    /// Only the rules with these ids.
    pub(crate) ids: Vec<String>,
    /// Folder to write to, one file per rule. Default: standard output.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RulesListArgs {
    /// Only rules of this group.
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// Only rules with at least this severity.
    #[arg(long, value_parser = parse_severity)]
    pub(crate) severity: Option<Severity>,
    /// Only rules of this ATT&CK tactic, such as `persistence`.
    #[arg(long)]
    pub(crate) tactic: Option<String>,
    /// Only rules of this profile, such as `cis-alibaba-v2`.
    #[arg(long)]
    pub(crate) profile: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListOptions,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    /// List the rules with the parameters they need.
    List(RulesListArgs),
    /// Explain why a rule matches an event or not: each condition, the values it read, and what
    /// would have to change. Exit status 1 if the event is not a finding.
    Explain(RulesExplainArgs),
    /// Run rules over past events and store nothing: print the number of findings by day and
    /// entity, and what other parameters would change.
    Backtest(RulesBacktestArgs),
    /// Show one rule: description, query, runbook.
    Show {
        /// Id of the rule.
        id: String,
    },
    /// Run the test cases of the rules.
    Test {
        /// Only the rules with these ids.
        ids: Vec<String>,
        /// Also write the results to this file, as JUnit XML.
        #[arg(long, value_name = "FILE")]
        junit: Option<PathBuf>,
    },
    /// Check the descriptions of the rules and that their queries can be planned. Exit status 1 if
    /// there are problems.
    Lint {
        /// Only the rules with these ids.
        ids: Vec<String>,
    },
    /// Translate Sigma rules (for ActionTrail, or for AWS CloudTrail by a field mapping) into rules
    /// of your own. A rule that cannot be translated exactly is refused with the reason. Exit
    /// status 3 if a rule was refused.
    Import(RulesImportArgs),
    /// Write the rules that look at single events as Sigma rules.
    Export(RulesExportArgs),
    /// Write the two files of a new rule into the folder under `[rules]` in the configuration.
    New {
        /// Id of the rule: `AT-`, then letters, digits and dashes.
        id: String,
        /// Group of the rule, which is the name of its folder.
        #[arg(long, default_value = "own")]
        group: String,
        /// Title of the rule.
        #[arg(long, default_value = "Write what it finds")]
        title: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LakeCommand {
    /// Show the content of the lake: files, rows, days, sources, positions, ledger.
    Info {
        #[command(flatten)]
        lake: LakeArgs,
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Merge small data files, so that queries open fewer. The rows stay the same.
    Compact {
        #[command(flatten)]
        lake: LakeArgs,
    },
    /// Drop the days beyond the configured retention. The service does this by itself.
    Expire {
        #[command(flatten)]
        lake: LakeArgs,
    },
    /// Move the catalog to PostgreSQL, so that several services can share the lake. The data files
    /// stay where they are.
    Migrate {
        #[command(flatten)]
        lake: LakeArgs,
        /// Reference to the connection string (`postgresql://USER:PASSWORD@HOST/DATABASE`):
        /// `env:NAME` or `file:PATH`, where the path is relative to the folder of the lake. The
        /// database must be empty.
        #[arg(long, value_name = "REFERENCE")]
        to: String,
    },
    /// Compare the sources that deliver the same trail: list the events that each source missed and
    /// others delivered, by account, region and hour. Exit status 1 if a source missed events or
    /// has gone silent.
    Reconcile {
        #[command(flatten)]
        lake: LakeArgs,
        /// Also list the hours in which no event is missing.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        list: ListOptions,
    },
    #[command(flatten)]
    Keep(KeepCommand),
    /// Decode stored events again that an older version has half understood, and run the rules over
    /// the whole lake. Positions and ledger stay exact. No service may write the lake meanwhile.
    Reread {
        #[command(flatten)]
        lake: LakeArgs,
        #[command(flatten)]
        detection: DetectionArgs,
    },
    /// Verify the lake: files, checksums, ledger, that no event is stored twice, and that every event
    /// is stored as this version understands it. Exit status 1 if there are problems.
    Verify {
        #[command(flatten)]
        lake: LakeArgs,
        /// Run the rules again and compare the result with the stored findings.
        #[arg(long)]
        findings: bool,
        /// With `--findings`: only findings with events at or after this time.
        #[arg(long, value_name = "TIME", value_parser = parse_time, requires = "findings")]
        since: Option<TimeOrDay>,
        /// With `--findings`: only findings with events before this time.
        #[arg(long, value_name = "TIME", value_parser = parse_time, requires = "findings")]
        until: Option<TimeOrDay>,
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
}

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
pub(crate) struct ReportArgs {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    /// Period of the report: the last `day`, `week` (Monday to Sunday) or `month` that ended at or
    /// before `--at`.
    #[arg(long, default_value = "week", value_parser = parse_period)]
    pub(crate) period: PeriodLength,
    /// Time from which the period is counted back. Default: now.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) at: Option<TimeOrDay>,
    /// Time zone in which days begin and end, such as `Asia/Shanghai`. Default: that of the
    /// configuration.
    #[arg(long, value_name = "ZONE")]
    pub(crate) time_zone: Option<Tz>,
    /// Profile of the report: `security`, `audit`, `cis-alibaba-v2` or `member`.
    #[arg(long, value_name = "NAME", default_value = "security")]
    pub(crate) profile: String,
    /// Language of texts for people: `en` or `zh`.
    #[arg(long, value_name = "LANGUAGE", default_value = "en", value_parser = parse_language)]
    pub(crate) lang: Language,
    /// Formats to write.
    #[arg(long = "format", value_enum, value_delimiter = ',', default_value = "html")]
    pub(crate) formats: Vec<ReportFormat>,
    /// With `--format csv`: start each file with a byte order mark, so that Excel shows Chinese text
    /// when it is opened by a double click. Always so with `--lang zh`.
    #[arg(long)]
    pub(crate) bom: bool,
    /// Folder to write to.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) output: PathBuf,
    /// Recompute the report in this file (HTML or JSON) from the lake and compare the figures. Exit
    /// status 1 if a figure differs.
    #[arg(long, value_name = "FILE", conflicts_with = "list")]
    pub(crate) verify: Option<PathBuf>,
    /// List the reports that the service creates, their schedules and their last runs.
    #[arg(long)]
    pub(crate) list: bool,
    /// Chromium or a browser based on it, which prints the PDF. Default: the first one on the path.
    #[arg(long, value_name = "PROGRAM", env = "TRAILHOUND_BROWSER")]
    pub(crate) browser: Option<OsString>,
    /// Run as a child of the service: at a lower priority, and no longer than the service.
    #[arg(long, hide = true)]
    pub(crate) in_service: bool,
}

/// Parses the command line of the process.
///
/// # Errors
/// The exit status, where the parser has printed help, the version or a usage error.
pub(crate) fn parse() -> Result<Cli, Exit> {
    Cli::try_parse().map_err(|error| {
        // A closed output leaves no place to report that it is closed.
        let _ = error.print();
        if error.use_stderr() { Exit::Usage } else { Exit::Success }
    })
}
