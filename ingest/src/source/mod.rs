//! Sources of events: files, topics and buckets.

pub mod files;
pub mod instance_role;
pub mod kafka;
pub mod object_name;
pub mod oss;
