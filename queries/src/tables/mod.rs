//! Tables and views of the SQL session that are no plain Parquet scan: findings and the query log over the
//! catalog database, views, and what the optimizer knows of the columns of `events`.

pub mod cardinality;
pub(crate) mod catalog_table;
pub mod file_checks;
pub(crate) mod findings;
pub(crate) mod input;
pub(crate) mod local_files;
pub(crate) mod meanings;
pub(crate) mod query_log;
pub(crate) mod temp_findings;
pub(crate) mod views;
