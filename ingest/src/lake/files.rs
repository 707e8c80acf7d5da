//! Parquet files of the lake: how they are encoded, and how they are written so that they survive a power cut.

use super::catalog::Lake;
use super::error::CatalogError;
use super::instant::time_text;
use super::private;
use super::table::Table;
use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnPath;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use trailhound_datasets::columns::{COLUMNS, ColumnType, EVENTS, Storage};
use xxhash_rust::xxh3::Xxh3;

/// Rows per row group: few enough that a look-up reads little, many enough that dictionaries save space.
const ROW_GROUP_ROWS: usize = 128 * 1024;
/// Number of distinct values per row group for which the Bloom filter of a column with repeating
/// values (AccessKey ids, user names, addresses) is sized. A larger filter does not fit into the
/// CPU cache while it is filled.
const REPEATED_VALUES: usize = 16 * 1024;
/// Largest dictionary of a column in a row group, in bytes. With the default of 1 MiB, request parameters and other long text
/// would fill the whole dictionary before the writer falls back to plain encoding.
const DICTIONARY_BYTES: usize = 256 * 1024;

/// Largest page before compression, in bytes. A look-up decodes whole pages, and buffers of the default size of 1 MiB are
/// allocated and zeroed by the system each time.
const PAGE_BYTES: usize = 128 * 1024;
/// Most rows per page.
const PAGE_ROWS: usize = 8192;

static EVENT_PROPERTIES: LazyLock<WriterPropertiesPtr> = LazyLock::new(|| {
    let mut properties = base_properties();
    for column in COLUMNS {
        let path = match column.data_type {
            ColumnType::TextList => {
                vec![ColumnPath::new(vec![column.name.into(), "list".into(), "element".into()])]
            }
            ColumnType::ResourceList => ["type", "id"]
                .map(|part| {
                    ColumnPath::new(vec![
                        column.name.into(),
                        "list".into(),
                        "element".into(),
                        part.into(),
                    ])
                })
                .to_vec(),
            _ => vec![ColumnPath::from(column.name)],
        };
        for path in path {
            if column.storage == Storage::Unique {
                properties = properties
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_encoding(path.clone(), Encoding::DELTA_LENGTH_BYTE_ARRAY);
            }
            if column.storage == Storage::Sequential {
                properties = properties
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED);
            }
            if column.storage == Storage::LowCardinality {
                properties =
                    properties.set_column_compression(path.clone(), Compression::UNCOMPRESSED);
            }
            if !column.ranged {
                // Statistics that prune nothing still cost a comparison per value.
                properties =
                    properties.set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
            }
            if column.bloom {
                let distinct = if column.storage == Storage::Unique {
                    ROW_GROUP_ROWS
                } else {
                    REPEATED_VALUES
                };
                properties = properties
                    .set_column_bloom_filter_enabled(path.clone(), true)
                    .set_column_bloom_filter_fpp(path.clone(), 0.01)
                    .set_column_bloom_filter_max_ndv(path, distinct as u64);
            }
        }
    }
    Arc::new(properties.build())
});

static QUARANTINE_PROPERTIES: LazyLock<WriterPropertiesPtr> = LazyLock::new(|| {
    let raw = ColumnPath::from("raw");
    Arc::new(
        base_properties()
            .set_column_dictionary_enabled(raw.clone(), false)
            .set_column_statistics_enabled(raw, EnabledStatistics::None)
            .build(),
    )
});

static COPY_PROPERTIES: LazyLock<WriterPropertiesPtr> = LazyLock::new(|| {
    Arc::new(
        base_properties()
            .set_column_dictionary_enabled(ColumnPath::from("event_key"), false)
            .build(),
    )
});

fn base_properties() -> parquet::file::properties::WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_created_by(concat!("trailhound ", env!("CARGO_PKG_VERSION")).to_owned())
        // Level 3 takes a quarter more time and saves no bytes.
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).expect("level 1 exists")))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Page)
}

/// A finished file: synced to disk, not yet in the catalog.
#[derive(Debug, Clone)]
pub(crate) struct NewFile {
    pub(crate) table: Table,
    /// Path relative to the table's folder.
    pub(crate) path: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) footer_bytes: u64,
    pub(crate) day: String,
    pub(crate) checksum: String,
    /// The range of each ranged column, by column id.
    pub(crate) ranges: BTreeMap<i64, ColumnRange>,
}

impl NewFile {
    /// Its path.
    pub(crate) fn path_in(&self, lake: &Lake) -> PathBuf {
        lake.table_folder(self.table).join(&self.path)
    }

    /// Removes the file, which no commit refers to.
    pub(crate) fn discard(&self, lake: &Lake) {
        // A file that cannot be removed is swept by the next writer.
        let _ = std::fs::remove_file(self.path_in(lake));
    }
}

/// The smallest and largest value of a column in a file, with its size in bytes and its NULLs, as the catalog records them.
#[derive(Debug, Clone, Default)]
pub(crate) struct ColumnRange {
    pub(crate) bytes: i64,
    pub(crate) nulls: i64,
    pub(crate) min: Option<String>,
    pub(crate) max: Option<String>,
    /// True if a row group has values of this column but no exact bounds. The column then has no
    /// known bounds in the file.
    pub(super) unbounded: bool,
}

/// The path of a file that is not finished. The file is removed when this is dropped: after an error, too, nothing is left.
struct UnfinishedFile(PathBuf);

impl Drop for UnfinishedFile {
    fn drop(&mut self) {
        // A finished file has another name. One that cannot be removed is swept by the next writer.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A file that is being written.
pub(crate) struct LakeFile {
    writer: ArrowWriter<ChecksumWriter>,
    aside: UnfinishedFile,
    folder: PathBuf,
    name: String,
    table: Table,
    day: String,
}

impl LakeFile {
    /// Starts a file of `table` in the partition `day`.
    pub(crate) fn create(lake: &Lake, table: Table, day: &str) -> Result<Self, CatalogError> {
        let folder = lake.table_folder(table).join(format!("day={day}"));
        let name = format!("{}.parquet", uuid::Uuid::now_v7());
        let aside = UnfinishedFile(folder.join(format!("{name}.tmp")));
        let failed = |source| CatalogError::File { path: aside.0.clone(), source };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let file = private::create_new(&aside.0).map_err(failed)?;
        let properties = match table {
            Table::Events => &EVENT_PROPERTIES,
            Table::Quarantine => &QUARANTINE_PROPERTIES,
            Table::EventCopies => &COPY_PROPERTIES,
        };
        let sink = ChecksumWriter { file, hash: Xxh3::new(), bytes: 0 };
        let writer = ArrowWriter::try_new(
            sink,
            Arc::clone(&table.schema().arrow),
            Some(properties.as_ref().clone()),
        )
        .map_err(|source| CatalogError::Parquet { path: aside.0.clone(), source })?;
        Ok(Self { writer, aside, folder, name, table, day: day.to_owned() })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), CatalogError> {
        self.writer
            .write(batch)
            .map_err(|source| CatalogError::Parquet { path: self.aside.0.clone(), source })
    }

    /// Memory the unfinished row group takes, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.writer.memory_size()
    }

    /// Removes the unfinished file.
    pub(crate) fn discard(self) {
        drop(self);
    }

    /// Finishes the file: footer, sync, its final name, sync of the folder.
    pub(crate) fn close(mut self) -> Result<NewFile, CatalogError> {
        let failed = |source| CatalogError::Parquet { path: self.aside.0.clone(), source };
        let metadata = self.writer.finish().map_err(failed)?;
        let sink = self.writer.inner();
        let (bytes, checksum) = (sink.bytes, format!("{:032x}", sink.hash.digest128()));
        let at = |source| CatalogError::File { path: self.aside.0.clone(), source };
        sink.file.sync_all().map_err(at)?;
        std::fs::rename(&self.aside.0, self.folder.join(&self.name)).map_err(at)?;
        sync_folder(&self.folder).map_err(at)?;
        let footer_bytes = footer_bytes(&self.folder.join(&self.name), bytes).map_err(at)?;
        Ok(NewFile {
            table: self.table,
            path: format!("day={}/{}", self.day, self.name),
            rows: metadata.file_metadata().num_rows().unsigned_abs(),
            bytes,
            footer_bytes,
            day: self.day,
            checksum,
            ranges: ranges(&metadata, self.table),
        })
    }
}

/// Encodes `batches` of events as a file of the lake, in memory. Benchmarks measure the encoding with it.
///
/// # Errors
/// The error of the Parquet library if the batches have another schema.
pub fn encoded(batches: &[RecordBatch]) -> Result<Vec<u8>, parquet::errors::ParquetError> {
    let mut writer = ArrowWriter::try_new(
        Vec::new(),
        Arc::clone(&EVENTS.arrow),
        Some(EVENT_PROPERTIES.as_ref().clone()),
    )?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.into_inner()
}

/// Syncs `folder` and its parent, so that the names of new files survive a power cut.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()?;
    match folder.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Length of the Parquet footer, from the four bytes before the closing magic. DuckLake records it so that readers fetch the
/// footer with one read.
pub(super) fn footer_bytes(path: &Path, bytes: u64) -> io::Result<u64> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(bytes.saturating_sub(8)))?;
    let mut length = [0; 4];
    file.read_exact(&mut length)?;
    Ok(u64::from(u32::from_le_bytes(length)))
}

/// The ranges of the ranged columns of `table`, from the file's statistics.
pub(super) fn ranges(metadata: &ParquetMetaData, table: Table) -> BTreeMap<i64, ColumnRange> {
    let (schema, names) = (table.schema(), table.ranged());
    let mut found: BTreeMap<i64, ColumnRange> = BTreeMap::new();
    for group in metadata.row_groups() {
        for chunk in group.columns() {
            let path = chunk.column_descr().path().parts();
            let [name] = path else { continue };
            if !names.contains(&name.as_str()) {
                continue;
            }
            let Some(column) =
                schema.catalog_columns.iter().find(|c| c.parent.is_none() && c.name == *name)
            else {
                continue;
            };
            let range = found.entry(column.id).or_default();
            range.bytes += chunk.compressed_size();
            let Some(statistics) = chunk.statistics() else {
                range.unbounded = true;
                continue;
            };
            range.nulls += statistics.null_count_opt().unwrap_or(0) as i64;
            widen(range, statistics, chunk.num_values());
        }
    }
    for range in found.values_mut().filter(|range| range.unbounded) {
        (range.min, range.max) = (None, None);
    }
    found
}

/// Widens `range` to include the `statistics` of a row group. `values` is the number of values in
/// the row group.
fn widen(range: &mut ColumnRange, statistics: &Statistics, values: i64) {
    let (min, max) = match statistics {
        Statistics::Int64(s) => {
            (s.min_opt().map(|v| time_text(*v)), s.max_opt().map(|v| time_text(*v)))
        }
        // Text statistics may be truncated. A bound that is not exact is left out.
        Statistics::ByteArray(s) if s.min_is_exact() && s.max_is_exact() => {
            let text = |value: Option<&parquet::data_type::ByteArray>| {
                value.and_then(|v| v.as_utf8().ok()).map(str::to_owned)
            };
            (text(s.min_opt()), text(s.max_opt()))
        }
        _ => (None, None),
    };
    let all_null = statistics.null_count_opt().is_some_and(|nulls| nulls as i64 == values);
    range.unbounded |= !all_null && (min.is_none() || max.is_none());
    if let Some(min) = min {
        range.min = Some(range.min.take().map_or(min.clone(), |have| have.min(min)));
    }
    if let Some(max) = max {
        range.max = Some(range.max.take().map_or(max.clone(), |have| have.max(max)));
    }
}

/// Writes to a file and hashes the bytes, so that the checksum needs no second read.
struct ChecksumWriter {
    file: File,
    hash: Xxh3,
    bytes: u64,
}

impl Write for ChecksumWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, StringArray};

    #[test]
    fn bounds_of_some_row_groups_never_stand_for_the_file() {
        let long = "z".repeat(100);
        for (names, bounded) in [(["a", "b", "c", "d"], true), (["a", "b", &long, &long], false)] {
            let column: ArrayRef = Arc::new(StringArray::from(names.to_vec()));
            let batch = RecordBatch::try_from_iter([("event_action", column)]).expect("a column");
            let properties =
                WriterProperties::builder().set_max_row_group_row_count(Some(2)).build();
            let mut writer =
                ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).expect("memory");
            writer.write(&batch).expect("memory");
            let metadata = writer.finish().expect("memory");
            let range = ranges(&metadata, Table::Events)
                .into_values()
                .next()
                .expect("the column is ranged");
            assert_eq!((range.min.is_some(), range.max.is_some()), (bounded, bounded), "{names:?}");
        }
    }
}
