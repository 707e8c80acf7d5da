//! Where events come from.

pub mod files;
pub mod object_name;
