//! Relations, columns and SQL functions are documented.

use crate::support::golden::assert_written;
use std::path::Path;
use trailhound_queries::docs::data_dictionary;
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::Session;

#[tokio::test]
async fn every_relation_and_column_is_documented() {
    let session = Session::over_events(
        Vec::new(),
        std::sync::Arc::new(Parameters::default()),
        &QueryLimits::default(),
    )
    .await
    .expect("a session");
    for relation in data_dictionary::describe_tables(&session).await.expect("relations") {
        assert!(!relation.description.is_empty(), "{}", relation.name);
        for column in relation.columns {
            assert!(!column.meaning.is_empty(), "{}.{}", relation.name, column.name);
        }
    }
    assert_written(
        "docs/vocabulary.md",
        &data_dictionary::vocabulary_page(&session).await.expect("a page"),
    );
}

#[test]
fn every_sql_function_is_documented() {
    let page = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/writing-rules.md"),
    )
    .expect("a page");
    for (name, arguments, meaning) in trailhound_queries::functions::FUNCTIONS {
        let line = format!("| `{name}` | `{arguments}` | {meaning} |");
        assert!(page.contains(&line), "docs/writing-rules.md lacks: {line}");
    }
}
