//! Samples are compiled in: a sample added or changed compiles this crate again.

fn main() {
    println!("cargo:rerun-if-changed=samples");
}
