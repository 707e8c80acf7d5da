//! Files that cannot hold what is looked for, left out by their Bloom filters before the engine opens any: it would read all that a footer says of
//! a file to find the same, and does not know that a filter of a list's elements answers `array_has`.

use crate::optimizer::rule::{OptimizerRule, Replacement};
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

/// Fewer files are opened anyway.
const FILES_MIN: usize = 3;

/// The rule of the optimizer.
pub(crate) const RULE: OptimizerRule = OptimizerRule {
    name: "leave_out_files",
    instead: |scan, config| Ok(narrowed(scan, config.execution.target_partitions)),
};

/// A text that a column, or one element of its list, must be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    column: &'static str,
    text: String,
}

/// `node` without the files that hold nothing of what it looks for; nothing where that is none of them.
fn narrowed(node: &Arc<dyn ExecutionPlan>, threads: usize) -> Replacement {
    let scan =
        node.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref::<FileScanConfig>()?;
    let source = scan.file_source();
    let predicate = source.downcast_ref::<ParquetSource>().and_then(|_| source.filter())?;
    let wanted: Vec<Wanted> =
        split_conjunction(&predicate).into_iter().filter_map(wanted).collect();
    let files: HashSet<&Path> = scan
        .file_groups
        .iter()
        .flat_map(FileGroup::iter)
        .map(|file| &file.object_meta.location)
        .collect();
    if wanted.is_empty() || files.len() < FILES_MIN {
        return None;
    }
    let files: Vec<&Path> = files.into_iter().collect();
    let left_out = left_out(&files, &wanted, threads);
    if left_out.is_empty() {
        return None;
    }
    // As many groups as before: what is above counts on them.
    let stays = |file: &&PartitionedFile| !left_out.contains(&file.object_meta.location);
    let groups = scan
        .file_groups
        .iter()
        .map(|group| FileGroup::new(group.iter().filter(stays).cloned().collect()))
        .collect();
    let scan = FileScanConfigBuilder::from(scan.clone()).with_file_groups(groups).build();
    Some(DataSourceExec::from_data_source(scan))
}

/// What `condition` demands of a column that has Bloom filters.
fn wanted(condition: &Arc<dyn PhysicalExpr>) -> Option<Wanted> {
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
    Some(Wanted { column: column.name, text })
}

/// Those of `files` that hold nothing of what is `wanted`.
fn left_out(files: &[&Path], wanted: &[Wanted], threads: usize) -> HashSet<Path> {
    std::thread::scope(|scope| {
        let some = files.chunks(files.len().div_ceil(threads.max(1)).max(1));
        // What cannot be read is not left out, nor what a thread that broke was to look at: whoever reads it says what is wrong with it.
        let lacks = |file: &Path| matches!(holds(file, wanted), Ok(false));
        let threads: Vec<_> = some
            .map(|files| {
                scope.spawn(move || {
                    files
                        .iter()
                        .filter(|file| lacks(file))
                        .map(|file| (*file).clone())
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
    })
}

/// False where no row of `file` can be all that is `wanted`.
fn holds(file: &Path, wanted: &[Wanted]) -> Result<bool, ParquetError> {
    let external = |e: Box<dyn std::error::Error + Send + Sync>| ParquetError::External(e);
    let path = LocalFiles::default().path(file).map_err(|e| external(Box::new(e)))?;
    // Of what the footer says only where the filters are is asked.
    let options = ArrowReaderOptions::new()
        .with_skip_arrow_metadata(true)
        .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(File::open(path)?, options)?;
    for group in 0..reader.metadata().num_row_groups() {
        if group_holds(&reader, group, wanted)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn group_holds(
    reader: &ParquetRecordBatchReaderBuilder<File>,
    group: usize,
    wanted: &[Wanted],
) -> Result<bool, ParquetError> {
    for Wanted { column, text } in wanted {
        let its =
            |leaf: &ColumnDescPtr| leaf.path().parts().first().is_some_and(|name| name == column);
        let Some(leaf) = reader.parquet_schema().columns().iter().position(its) else {
            return Ok(true);
        };
        let filter = reader.get_row_group_column_bloom_filter(group, leaf)?;
        if filter.is_some_and(|filter| !filter.check(text.as_str())) {
            return Ok(false);
        }
    }
    Ok(true)
}
