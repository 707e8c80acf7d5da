//! Inputs that fuzzing found worth keeping.

#[path = "../../../fuzz/fuzz_targets/check.rs"]
mod check;

#[test]
fn the_fuzzing_corpus_decodes() {
    let corpus = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/decode"))
        .expect("the corpus");
    let mut count = 0;
    for entry in corpus {
        check::check(&std::fs::read(entry.expect("an entry").path()).expect("a file"));
        count += 1;
    }
    assert!(count > 100, "only {count} inputs");
}
