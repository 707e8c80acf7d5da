//! The decoder under a fuzzer.

#![no_main]

mod check;

libfuzzer_sys::fuzz_target!(|content: &[u8]| check::check(content));
