//! Integration tests: the program itself with its files, exit statuses and services.

#![allow(
    clippy::disallowed_methods,
    reason = "tests have clocks, environments and pauses of their own"
)]
#![allow(clippy::print_stdout, reason = "tests of random cases print what they counted")]

mod borders;
mod broken_rules;
mod chat_robots;
mod cli;
mod compaction;
mod comprehension;
mod data_dictionary;
mod doctor;
mod duckdb;
mod environment;
mod examples;
mod finding_flood;
mod findings;
mod ground_truth;
mod http_query_api;
mod ingest_crash;
mod ingest_files;
mod investigations;
mod kafka;
mod kafka_faults;
mod kafka_messages;
mod lake;
mod lake_backup;
mod lake_catalog;
mod lake_damage;
mod lake_edits;
mod mail_sink;
mod memory;
mod metrics;
mod object_storage;
mod object_storage_faults;
mod old_lakes;
mod postgres_clients;
mod postgres_endpoint;
mod postgres_oracle;
mod query;
mod query_shell;
mod real_samples;
mod reconciliation;
mod report_rendering;
mod reports;
mod rule_pack;
mod rule_work;
mod scheduled_reports;
mod service_crash;
mod shared_lake;
mod sigma;
mod sigma_files;
mod sigma_oracle;
mod sigma_values;
mod silent_clients;
mod sink_outage;
mod sinks;
mod sources;
mod spreadsheets;
mod supervision;
mod support;
mod syslog_sink;
mod time_zone;
mod wrong_clock;
