//! Tests of detection as a library.

mod late;
mod standing;
