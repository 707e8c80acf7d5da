//! Makes Cargo rebuild this crate when a data file changes. Rules, views, profiles, investigations
//! and reports are compiled into the binary.

fn main() {
    println!("cargo:rerun-if-changed=rules");
    println!("cargo:rerun-if-changed=views");
    println!("cargo:rerun-if-changed=profiles");
    println!("cargo:rerun-if-changed=investigations");
    println!("cargo:rerun-if-changed=reports");
}
