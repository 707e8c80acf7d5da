//! Rules are compiled in: a rule added or changed compiles this crate again.

fn main() {
    println!("cargo:rerun-if-changed=rules");
    println!("cargo:rerun-if-changed=views");
    println!("cargo:rerun-if-changed=profiles");
    println!("cargo:rerun-if-changed=investigations");
    println!("cargo:rerun-if-changed=reports");
}
