//! Tests of detection as a library.

mod flood;
mod late;
mod model;
mod parity;
mod standing;
