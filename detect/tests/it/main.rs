//! Tests of detection as a library.

mod flood;
mod kept;
mod late;
mod model;
mod parity;
mod standing;
