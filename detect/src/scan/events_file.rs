//! Parquet files of `events`, read a range of rows and a few columns at a time.

use crate::scan::match_bitmap::MatchBitmap;
use datafusion::arrow::array::{BooleanArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::error::DataFusionError;
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use std::collections::BTreeSet;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trailhound_queries::limits::SessionError;
use trailhound_queries::projection::dictionary_text;
use trailhound_queries::tables::cardinality::LOW_CARDINALITY;
use trailhound_queries::tables::file_checks;

/// Rows decoded together.
pub(super) const BATCH_ROWS: usize = 8192;

/// An open file.
#[derive(Debug)]
pub(crate) struct EventsFile {
    path: PathBuf,
    file: File,
    metadata: ArrowReaderMetadata,
}

impl EventsFile {
    /// Opens the file `path`.
    ///
    /// # Errors
    /// [`SessionError::Engine`] where it does not exist, is no Parquet file or is not as it was committed.
    pub(crate) fn open(path: PathBuf) -> Result<Self, SessionError> {
        file_checks::check(&path)?;
        let at = |e: &dyn std::fmt::Display| error_at(&path, e);
        let file = File::open(&path).map_err(|e| at(&e))?;
        let plain =
            ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|e| at(&e))?;
        // Low-cardinality columns stay dictionary-encoded, as they are stored.
        let encoded = |field: &Arc<Field>| match field.data_type() {
            DataType::Utf8 if LOW_CARDINALITY.contains(field.name().as_str()) => {
                Arc::new(field.as_ref().clone().with_data_type(dictionary_text()))
            }
            _ => Arc::clone(field),
        };
        let schema = Schema::new_with_metadata(
            plain.schema().fields().iter().map(encoded).collect::<Vec<_>>(),
            plain.schema().metadata().clone(),
        );
        let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
        let metadata = ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), options)
            .map_err(|e| at(&e))?;
        Ok(Self { path, file, metadata })
    }

    /// The number of rows.
    pub(crate) fn row_count(&self) -> usize {
        self.metadata
            .metadata()
            .row_groups()
            .iter()
            .map(|group| usize::try_from(group.num_rows()).unwrap_or(0))
            .sum()
    }

    /// Reads the rows of `selection` with the columns at the positions `columns` of `events`.
    fn rows(
        &self,
        columns: &BTreeSet<usize>,
        selection: RowSelection,
    ) -> Result<ParquetRecordBatchReader, DataFusionError> {
        let file = self.file.try_clone().map_err(|e| self.at(&e))?;
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
        let builder = builder.with_projection(mask).with_batch_size(BATCH_ROWS);
        builder.with_row_selection(selection).build().map_err(|e| self.at(&e))
    }

    fn at(&self, error: &dyn std::fmt::Display) -> DataFusionError {
        error_at(&self.path, error)
    }
}

/// Consecutive rows of a file.
#[derive(Debug)]
pub(crate) struct RowRange<'f> {
    pub(crate) file: &'f EventsFile,
    /// Numbers of the rows in the file.
    pub(crate) rows: Range<usize>,
}

impl RowRange<'_> {
    /// Reads the rows of the range that `selected` marks, or all rows if `selected` is `None`, with
    /// the columns at the positions `columns` of `events`. Calls `visitor` for each batch with a
    /// bitmap of its rows. The bitmap that `visitor` has changed is copied to `bitmap`, which has a
    /// row for each row of the range.
    ///
    /// # Errors
    /// [`SessionError::Engine`] where the file cannot be read, and the error of `visitor`.
    pub(crate) fn visit(
        &self,
        columns: &BTreeSet<usize>,
        bitmap: &mut MatchBitmap,
        selected: Option<&BooleanArray>,
        mut visitor: impl FnMut(&RecordBatch, &mut MatchBitmap) -> Result<(), SessionError>,
    ) -> Result<(), SessionError> {
        let rows: Vec<usize> = match selected {
            Some(selected) => selected.values().set_indices().collect(),
            None => (0..bitmap.len()).collect(),
        };
        if rows.is_empty() {
            return Ok(());
        }
        let mut left = &rows[..];
        for batch in self.file.rows(columns, self.selection(selected))? {
            let batch = batch.map_err(|e| self.file.at(&e))?;
            let (now, later) = left
                .split_at_checked(batch.num_rows())
                .ok_or_else(|| self.file.at(&"it has more rows than its metadata says"))?;
            let mut of_batch = bitmap.select(now);
            visitor(&batch, &mut of_batch)?;
            bitmap.replace(now, &of_batch);
            left = later;
        }
        if left.is_empty() {
            Ok(())
        } else {
            Err(self.file.at(&"it has fewer rows than its metadata says").into())
        }
    }

    /// The `selected` rows of the range, or all of them, among the rows of the file.
    fn selection(&self, selected: Option<&BooleanArray>) -> RowSelection {
        let before = std::iter::once(RowSelector::skip(self.rows.start));
        match selected {
            Some(selected) => before
                .chain(Vec::from(RowSelection::from_filters(std::slice::from_ref(selected))))
                .collect(),
            None => before.chain([RowSelector::select(self.rows.len())]).collect(),
        }
    }
}

fn error_at(path: &Path, error: &dyn std::fmt::Display) -> DataFusionError {
    DataFusionError::Execution(format!("`{}`: {error}", path.display()))
}
