//! Tests of detection as a library.

mod standing;
