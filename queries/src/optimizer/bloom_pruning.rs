//! Skips files by their Bloom filters before the query engine opens them. The query engine would read the whole
//! footer of a file to check its Bloom filters, and does not use the filter of a list's elements
//! for `array_has`.
//!
//! Example: `WHERE event_id = 'x'` over 1,000 files. Only the Bloom filters of `event_id` are read;
//! files whose filter excludes `x` are removed from the scan.

use crate::optimizer::rule::{OptimizerRule, Replacement};
use crate::tables::file_checks;
use crate::tables::local_files::LocalFiles;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::Operator;
use datafusion::object_store::path::Path;
use datafusion::parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::ParquetStatisticsPolicy;
use datafusion::parquet::schema::types::ColumnDescPtr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr, split_conjunction};
use datafusion::physical_plan::ExecutionPlan;
use std::collections::HashSet;
use std::fs::File;
use std::sync::Arc;
use trailhound_datasets::columns::COLUMNS;

/// Scans of fewer files are not worth the extra reads.
const FILES_MIN: usize = 3;

/// The optimizer rule.
pub(crate) const RULE: OptimizerRule = OptimizerRule {
    name: "bloom_pruning",
    replace: |scan, config| Ok(prune(scan, config.execution.target_partitions)),
};

/// A text that a column, or one element of a list column, must be equal to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RequiredText {
    column: &'static str,
    text: String,
}

/// The scan `node` without the files whose Bloom filters exclude a required text; `None` where no
/// file can be removed.
fn prune(node: &Arc<dyn ExecutionPlan>, threads: usize) -> Replacement {
    let scan =
        node.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref::<FileScanConfig>()?;
    let source = scan.file_source();
    let predicate = source.downcast_ref::<ParquetSource>().and_then(|_| source.filter())?;
    let required: Vec<RequiredText> =
        split_conjunction(&predicate).into_iter().filter_map(required_text).collect();
    let files: HashSet<&Path> = scan
        .file_groups
        .iter()
        .flat_map(FileGroup::iter)
        .map(|file| &file.object_meta.location)
        .collect();
    if required.is_empty() || files.len() < FILES_MIN {
        return None;
    }
    let files: Vec<&Path> = files.into_iter().collect();
    let pruned = files_to_prune(&files, &required, threads);
    if pruned.is_empty() {
        return None;
    }
    // The number of file groups stays: the nodes above rely on it.
    let is_kept = |file: &&PartitionedFile| !pruned.contains(&file.object_meta.location);
    let groups = scan
        .file_groups
        .iter()
        .map(|group| FileGroup::new(group.iter().filter(is_kept).cloned().collect()))
        .collect();
    let scan = FileScanConfigBuilder::from(scan.clone()).with_file_groups(groups).build();
    Some(DataSourceExec::from_data_source(scan))
}

/// The text that `condition` requires, where it is `column = 'text'` or `array_has(column, 'text')`
/// on a column with Bloom filters.
fn required_text(condition: &Arc<dyn PhysicalExpr>) -> Option<RequiredText> {
    let (column, text) = if let Some(equal) = condition.downcast_ref::<BinaryExpr>() {
        (*equal.op() == Operator::Eq).then(|| (equal.left(), equal.right()))?
    } else {
        let function = condition
            .downcast_ref::<ScalarFunctionExpr>()
            .filter(|function| function.name() == "array_has")?;
        let [column, text] = function.args() else { return None };
        (column, text)
    };
    let name = column.downcast_ref::<Column>()?.name();
    let column = COLUMNS.iter().find(|column| column.bloom && column.name == name)?;
    let text = text.downcast_ref::<Literal>()?.value().try_as_str()??.to_owned();
    Some(RequiredText { column: column.name, text })
}

/// The files that cannot hold all `required` texts, checked on `threads` threads.
fn files_to_prune(files: &[&Path], required: &[RequiredText], threads: usize) -> HashSet<Path> {
    std::thread::scope(|scope| {
        let chunks = files.chunks(files.len().div_ceil(threads.max(1)).max(1));
        // A file that cannot be read stays in the scan, as do the files of a thread that panicked:
        // the scan then reports the error.
        let is_excluded = |file: &Path| matches!(may_contain(file, required), Ok(false));
        let threads: Vec<_> = chunks
            .map(|files| {
                scope.spawn(move || {
                    files
                        .iter()
                        .filter(|file| is_excluded(file))
                        .map(|file| (*file).clone())
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
    })
}

/// False where no row of `file` can match all `required` texts.
fn may_contain(file: &Path, required: &[RequiredText]) -> Result<bool, ParquetError> {
    let external = |e: Box<dyn std::error::Error + Send + Sync>| ParquetError::External(e);
    let path = LocalFiles::default().path(file).map_err(|e| external(Box::new(e)))?;
    // A damaged file must fail the query and not be left out of it.
    file_checks::check(&path).map_err(|e| external(Box::new(e)))?;
    // Only the offsets of the Bloom filters are needed from the footer.
    let options = ArrowReaderOptions::new()
        .with_skip_arrow_metadata(true)
        .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(File::open(path)?, options)?;
    for group in 0..reader.metadata().num_row_groups() {
        if row_group_may_contain(&reader, group, required)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// False where no row of the row group can match all `required` texts.
fn row_group_may_contain(
    reader: &ParquetRecordBatchReaderBuilder<File>,
    group: usize,
    required: &[RequiredText],
) -> Result<bool, ParquetError> {
    for RequiredText { column, text } in required {
        let is_column =
            |leaf: &ColumnDescPtr| leaf.path().parts().first().is_some_and(|name| name == column);
        let Some(leaf) = reader.parquet_schema().columns().iter().position(is_column) else {
            return Ok(true);
        };
        let filter = reader.get_row_group_column_bloom_filter(group, leaf)?;
        if filter.is_some_and(|filter| !filter.check(text.as_str())) {
            return Ok(false);
        }
    }
    Ok(true)
}
