//! Tests of detection as a library.

mod late;
mod model;
mod parity;
mod standing;
