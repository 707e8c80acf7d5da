//! Where events come from.

pub mod files;
pub mod kafka;
pub mod object_name;
pub mod oss;
