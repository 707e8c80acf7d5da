//! The command line: what can be asked for. Nothing is decided here.

use crate::answer::Form;
use crate::command::query::{as_of, parameter};
use crate::config::{ReportForm, moment};
use crate::exit::Exit;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use trailhound_detect::Language;
use trailhound_detect::finding::risk::EntityKind;
use trailhound_detect::report::PeriodLength;
use trailhound_queries::packs::rules::Severity;
use trailhound_queries::session::AsOf;

/// Detects what matters in Alibaba Cloud ActionTrail (操作审计) logs.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Configuration file; `trailhound.toml` in the current folder if there is one.
    #[arg(long, global = true, value_name = "FILE", env = "TRAILHOUND_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Treat this as the present: dates what is ingested and decides which times are out of range.
    #[arg(long, global = true, value_name = "TIME", value_parser = moment, env = "TRAILHOUND_NOW")]
    pub(crate) now: Option<DateTime<Utc>>,
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

/// For tests only: which version this process takes itself for when it opens a lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TestSchema {
    /// One that is newer by one.
    Newer,
    /// This one, with a migration that takes minutes.
    SlowMigration,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ingest exports and report findings: the main job.
    Scan(Scan),
    /// Ingest exports into the lake.
    Ingest(Ingest),
    /// Run the rules over what the lake holds, all of it or a range, and keep what they find: for a rule that is new or has changed.
    Detect(Detect),
    /// Follow the configured sources, detect after every commit, until told to end.
    Serve(Serve),
    /// Ask the lake in SQL: a statement, a file of them, or on a terminal a shell.
    Query(Query),
    /// Run a saved investigation, such as `who_stopped`; lists them without a name.
    Investigate(Investigate),
    /// Answer one question for the service.
    #[command(hide = true)]
    Answer(LakePlace),
    /// Serve one connection for the service.
    #[command(hide = true)]
    ServePostgres(LakePlace),
    /// Whom and what the findings concern, with a risk that decays and how it comes about.
    Entities(Entities),
    /// Findings of several rules that concern the same entities in quick succession, with their timeline.
    Incidents(Incidents),
    /// Exceptions and windows: what each has hidden in the last 90 days, and which are about to end.
    Suppressions(Suppressions),
    /// Make a report, compute one again to prove it, or list those that the service makes.
    Report(Report),
    /// What the data of each account can show, and which detections it leaves blind.
    Coverage(Coverage),
    /// List, show, test, explain and try detection rules.
    #[command(subcommand)]
    Rules(Rules),
    /// Who is told of findings.
    #[command(subcommand)]
    Sinks(Sinks),
    /// What is still to be told, and what was.
    #[command(subcommand)]
    Outbox(Outbox),
    /// Look after the lake.
    #[command(subcommand)]
    Lake(Lake),
    /// Write sample traffic with attack stories and what a correct detector must find in it.
    Generate(Generate),
    /// Generate a day of traffic with every story, scan it, and explain what it shows.
    Demo(Demo),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// One JSON object a line.
    Json,
    /// RFC 4180, safe to open in a spreadsheet.
    Csv,
}

#[derive(Debug, Args)]
pub(crate) struct LakePlace {
    /// The lake's folder. Default: `lake` beside the configuration, else in the user's data folder.
    #[arg(long, value_name = "DIR", env = "TRAILHOUND_LAKE")]
    pub(crate) lake: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Scan {
    /// Files, folders, patterns, or `-` for standard input.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    #[command(flatten)]
    pub(crate) place: LakePlace,
    /// Use a throw-away lake.
    #[arg(long, conflicts_with = "lake")]
    pub(crate) no_keep: bool,
    #[command(flatten)]
    pub(crate) detection: DetectionArgs,
}

#[derive(Debug, Args)]
pub(crate) struct Detect {
    #[command(flatten)]
    pub(crate) place: LakePlace,
    #[command(flatten)]
    pub(crate) detection: DetectionArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DetectionArgs {
    /// How to print findings.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    /// Exit with status 1 if an open finding is at least this serious.
    #[arg(long, value_name = "SEVERITY", value_parser = severity)]
    pub(crate) fail_on: Option<Severity>,
    /// Only events from this moment on.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) since: Option<DateTime<Utc>>,
    /// Only events before this moment.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) until: Option<DateTime<Utc>>,
    /// Only these rules, by id.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub(crate) rules: Vec<String>,
    /// The rules of this profile, such as `cis-alibaba-v2`, those that are off by default too.
    #[arg(long, value_name = "NAME", conflicts_with = "rules")]
    pub(crate) profile: Option<String>,
    /// Treat a rule that lacks a parameter as an error.
    #[arg(long)]
    pub(crate) require_all_rules: bool,
    /// Show suppressed findings in the table too.
    #[arg(long)]
    pub(crate) show_suppressed: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Ingest {
    /// Files, folders, patterns, or `-` for standard input.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    #[command(flatten)]
    pub(crate) place: LakePlace,
    /// Print the ledger as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) place: LakePlace,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Sinks {
    /// The configured sinks, and how much waits for each.
    List {
        #[command(flatten)]
        place: LakePlace,
        /// How to print them.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Send a sample to a sink and say what came back. Exit status 1 where it was not taken.
    Test {
        /// The sink's name.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Outbox {
    /// What it holds, the newest first.
    List {
        #[command(flatten)]
        which: OutboxPlace,
        /// Only rows in this state.
        #[arg(long, value_enum)]
        state: Option<OutboxState>,
        /// How many at most.
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// How to print it.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Send what waits or is parked now.
    Retry {
        #[command(flatten)]
        which: OutboxPlace,
        /// Only this finding.
        finding: Option<String>,
    },
    /// Give up what waits or is parked. The findings themselves stay in the lake.
    Dismiss {
        #[command(flatten)]
        which: OutboxPlace,
        /// Only this finding.
        finding: Option<String>,
        /// Why; it is kept.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct OutboxPlace {
    #[command(flatten)]
    pub(crate) place: LakePlace,
    /// Only this sink's.
    #[arg(long, value_name = "NAME")]
    pub(crate) sink: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutboxState {
    /// Waits.
    Pending,
    /// Is being sent.
    Leased,
    /// Was taken.
    Delivered,
    /// Was refused for good; somebody must look.
    Parked,
    /// Was given up by somebody.
    Dismissed,
}

#[derive(Debug, Args)]
pub(crate) struct Query {
    /// The statement, or several with `;` between them.
    #[arg(short = 'c', long = "command", value_name = "SQL", allow_hyphen_values = true)]
    pub(crate) sql: Option<String>,
    /// A file of statements, `-` for standard input.
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "sql")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: LakePlace,
    /// Give `$name` in the statement this value; for each of them once.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    pub(crate) params: Vec<(String, String)>,
    /// Ask an earlier state of the lake: that of a snapshot, or the last at or before a time.
    #[arg(long, value_name = "SNAPSHOT|TIME", value_parser = as_of)]
    pub(crate) as_of: Option<AsOf>,
    /// How to write rows.
    #[arg(long = "format", value_enum, default_value_t = Form::Table)]
    pub(crate) form: Form,
    /// Write rows to this file.
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Investigate {
    /// Which.
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) place: LakePlace,
    /// What it wants to know; for each parameter once.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    pub(crate) params: Vec<(String, String)>,
    /// Show what it wants to know and its query, and run nothing.
    #[arg(long)]
    pub(crate) show: bool,
    /// How to write rows.
    #[arg(long = "format", value_enum, default_value_t = Form::Table)]
    pub(crate) form: Form,
    /// Write rows to this file.
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Entities {
    /// Only this one, by id or name: with how its risk comes about and its findings in order of time.
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) place: LakePlace,
    /// Only this kind: principal, access_key, address or target.
    #[arg(long, value_parser = entity_kind)]
    pub(crate) kind: Option<EntityKind>,
    /// How many the table shows.
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: usize,
    /// How to print them.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Incidents {
    #[command(flatten)]
    pub(crate) place: LakePlace,
    /// Findings are of one incident while no more than this lies between them.
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    pub(crate) window_minutes: u32,
    /// How to print them.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Suppressions {
    #[command(flatten)]
    pub(crate) place: LakePlace,
    /// How to print them.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Coverage {
    #[command(flatten)]
    pub(crate) place: LakePlace,
    /// How to print it: a table for people, JSON by account, CSV by account, region and day.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct RulesExplain {
    /// The rule.
    pub(crate) id: String,
    /// The event, by its id or, in hex, its key.
    pub(crate) event: String,
    #[command(flatten)]
    pub(crate) place: LakePlace,
}

#[derive(Debug, Args)]
pub(crate) struct RulesBacktest {
    /// Only these rules; all that are on by default without.
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) place: LakePlace,
    /// Only events from this moment on.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) since: Option<DateTime<Utc>>,
    /// Only events before this moment.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) until: Option<DateTime<Utc>>,
    /// Another configuration: what its parameters would add and remove.
    #[arg(long, value_name = "FILE")]
    pub(crate) with: Option<PathBuf>,
    /// How to print it: CSV gives the days.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct RulesImport {
    /// Sigma files, or folders of them.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Folder to write to; the one the configuration names under `[rules]` without.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Write rules anew that were imported before.
    #[arg(long)]
    pub(crate) replace: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RulesExport {
    /// Only these rules.
    pub(crate) ids: Vec<String>,
    /// Folder to write to, a file a rule; standard output without.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RulesList {
    /// Only this group.
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// Only those at least this serious.
    #[arg(long, value_parser = severity)]
    pub(crate) severity: Option<Severity>,
    /// Only those of this ATT&CK tactic, such as `persistence`.
    #[arg(long)]
    pub(crate) tactic: Option<String>,
    /// Only those of this profile, such as `cis-alibaba-v2`.
    #[arg(long)]
    pub(crate) profile: Option<String>,
    /// How to print them.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Rules {
    /// All rules, with what they need.
    List(RulesList),
    /// Say why a rule matches an event or not: each condition, what was seen, what would have to change. Exit status 1 where it is no
    /// finding.
    Explain(RulesExplain),
    /// Run rules over the past without keeping anything: how much they find by day and by whom, and what other parameters would change.
    Backtest(RulesBacktest),
    /// One rule: description, query, runbook.
    Show {
        /// Its id.
        id: String,
    },
    /// Run the test cases of the rules.
    Test {
        /// Only these.
        ids: Vec<String>,
        /// Write the results here too, as JUnit XML.
        #[arg(long, value_name = "FILE")]
        junit: Option<PathBuf>,
    },
    /// Check what the rules' files say of themselves, and that their queries can run. Exit status 1 where something is wrong.
    Lint {
        /// Only these.
        ids: Vec<String>,
    },
    /// Translate Sigma rules (for ActionTrail, or for AWS CloudTrail by a field mapping) into rules of your own. What cannot be said
    /// faithfully is refused with the reason. Exit status 3 where something was.
    Import(RulesImport),
    /// Write rules that look at single events as Sigma rules.
    Export(RulesExport),
    /// Write the two files of a new rule into the folder that the configuration names under `[rules]`.
    New {
        /// Its id: `AT-` and letters, digits and dashes.
        id: String,
        /// Its group: the folder it stands in.
        #[arg(long, default_value = "own")]
        group: String,
        /// What it finds.
        #[arg(long, default_value = "Write what it finds")]
        title: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Lake {
    /// What it holds: files, rows, days, sources, positions, ledger.
    Info {
        #[command(flatten)]
        place: LakePlace,
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Merge small files, so that queries open few. The rows stay the same.
    Compact {
        #[command(flatten)]
        place: LakePlace,
    },
    /// Drop the days that have passed the configured retention; the service does so by itself.
    Expire {
        #[command(flatten)]
        place: LakePlace,
    },
    /// Move its catalogue to PostgreSQL, so that several services can share it. The data files stay where they are.
    Migrate {
        #[command(flatten)]
        place: LakePlace,
        /// Where the connection string stands (`postgresql://USER:PASSWORD@HOST/DATABASE`): `env:NAME` or `file:PATH`,
        /// paths counted from the lake's folder. The database must be empty.
        #[arg(long, value_name = "REFERENCE")]
        to: String,
    },
    /// Compare the ways by which the same trail arrives: what each source missed and the others filled, by account, region and
    /// hour. Exit status 1 if a source missed events or has gone silent.
    Reconcile {
        #[command(flatten)]
        place: LakePlace,
        /// Also the hours in which nothing is missing.
        #[arg(long)]
        all: bool,
        /// How to print them.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Prove that it is sound: files, checksums, ledger, no event twice. Exit status 1 if it is not.
    Verify {
        #[command(flatten)]
        place: LakePlace,
        /// Derive the findings again, and compare them with those kept.
        #[arg(long)]
        findings: bool,
        /// With `--findings`: only those with events from this moment on.
        #[arg(long, value_name = "TIME", value_parser = moment, requires = "findings")]
        since: Option<DateTime<Utc>>,
        /// With `--findings`: only those with events before this moment.
        #[arg(long, value_name = "TIME", value_parser = moment, requires = "findings")]
        until: Option<DateTime<Utc>>,
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// How many events.
    #[arg(long, default_value_t = 20_000)]
    pub(crate) events: u64,
    /// The same seed gives the same files.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The same company, with the same people, keys and addresses, whatever the seed; another for each seed without.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) company: Option<u64>,
    /// Only this story, or `none` for everyday traffic alone; all of them without.
    #[arg(long, value_name = "NAME")]
    pub(crate) story: Option<String>,
    /// Days the traffic covers, ending with the present day.
    #[arg(long, default_value_t = 30)]
    pub(crate) days: u32,
    /// Folder to write to.
    #[arg(long, value_name = "DIR", required_unless_present = "to")]
    pub(crate) out: Option<PathBuf>,
    /// Send the events to a broker instead, half of them as a trail's Logstore hands them out, half as rows; or put them as objects
    /// into the bucket of the configuration's first `[[source.oss]]`.
    #[arg(long, value_enum)]
    pub(crate) to: Option<Destination>,
    /// The broker.
    #[arg(long, value_name = "HOST:PORT", required_if_eq("to", "kafka"))]
    pub(crate) bootstrap_servers: Option<String>,
    /// The topic.
    #[arg(long, default_value = "actiontrail")]
    pub(crate) topic: String,
    /// Give each event the time at which it is sent, as in life. Stories lose their order in time.
    #[arg(long, requires = "bootstrap_servers")]
    pub(crate) live: bool,
    /// Events a second; as fast as the broker takes them without.
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
pub(crate) struct Demo {
    /// How many events.
    #[arg(long, default_value_t = 20_000)]
    pub(crate) events: u64,
    /// The same seed gives the same demonstration.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    #[command(flatten)]
    pub(crate) place: LakePlace,
    /// What it is about: the last `day`, `week` (Monday to Sunday) or `month` that was over at that moment.
    #[arg(long, default_value = "week", value_parser = span)]
    pub(crate) period: PeriodLength,
    /// That moment; now without.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) at: Option<DateTime<Utc>>,
    /// Whose days those are, such as `Asia/Shanghai`.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(crate) time_zone: Tz,
    /// For whom: `security`, `audit`, `cis-alibaba-v2` or `member`.
    #[arg(long, value_name = "NAME", default_value = "security")]
    pub(crate) profile: String,
    /// Language of what is for people: `en` or `zh`.
    #[arg(long, value_name = "LANGUAGE", default_value = "en", value_parser = language)]
    pub(crate) lang: Language,
    /// In which forms.
    #[arg(long = "format", value_enum, value_delimiter = ',', default_value = "html")]
    pub(crate) forms: Vec<ReportForm>,
    /// Folder to write to.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) output: PathBuf,
    /// Compute the report in this file (its HTML or JSON form) again from the lake. Exit status 1 where a number differs.
    #[arg(long, value_name = "FILE", conflicts_with = "list")]
    pub(crate) verify: Option<PathBuf>,
    /// The reports that the service makes, when, and what became of the last ones.
    #[arg(long)]
    pub(crate) list: bool,
    /// Give way to the service that asks, and end with it.
    #[arg(long, hide = true)]
    pub(crate) in_service: bool,
}

fn span(text: &str) -> Result<PeriodLength, String> {
    [PeriodLength::Day, PeriodLength::Week, PeriodLength::Month]
        .into_iter()
        .find(|span| span.name() == text)
        .ok_or_else(|| "one of day, week, month".to_owned())
}

fn language(text: &str) -> Result<Language, String> {
    [Language::En, Language::Zh]
        .into_iter()
        .find(|language| language.name() == text)
        .ok_or_else(|| "en or zh".to_owned())
}

fn entity_kind(text: &str) -> Result<EntityKind, String> {
    EntityKind::ALL
        .into_iter()
        .find(|kind| kind.name() == text)
        .ok_or_else(|| "one of principal, access_key, address, target".to_owned())
}

fn severity(text: &str) -> Result<Severity, String> {
    Severity::from_name(&text.to_lowercase())
        .ok_or_else(|| "one of info, low, medium, high, critical".to_owned())
}

/// Reads the command line; what it prints by itself (help, version, usage errors) ends the run.
pub(crate) fn parse() -> Result<Cli, Exit> {
    Cli::try_parse().map_err(|error| {
        let _ = error.print();
        if error.use_stderr() { Exit::Usage } else { Exit::Done }
    })
}
