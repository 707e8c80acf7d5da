//! Where events come from.

pub mod files;
pub mod instance_role;
pub mod kafka;
pub mod object_name;
pub mod oss;
