//! Fixtures: the program, the service, and the servers they run against.

pub(crate) mod broker;
pub(crate) mod browser;
pub(crate) mod certificate;
pub(crate) mod events;
pub(crate) mod external;
pub(crate) mod faulty_proxy;
pub(crate) mod golden;
pub(crate) mod http_receiver;
pub(crate) mod kafka_pipeline;
pub(crate) mod kafka_topic;
pub(crate) mod lakes;
pub(crate) mod mail_server;
pub(crate) mod metadata_service;
pub(crate) mod mounts;
pub(crate) mod object_store;
pub(crate) mod own_rules;
pub(crate) mod postgres;
pub(crate) mod program;
pub(crate) mod query_endpoint;
pub(crate) mod reports;
pub(crate) mod service;
pub(crate) mod sign_ins;
pub(crate) mod syslog_server;
pub(crate) mod terminal;
