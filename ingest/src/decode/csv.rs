//! CSV files as log services, search engines and spreadsheets export them: any separator, with or without header, the event as
//! JSON text in one field or as one column per member under a header.

use super::compression::LimitExceeded;
use super::envelope::open_row;
use super::fault::DecodeStopped;
use super::limits::DecodeLimits;
use super::member_names::{row_member_name, row_prefix};
use super::refusal::{OpenError, Refusal};
use super::scanner::Scanner;
use super::sink::{Completeness, RecordSink, SinkStopped};
use super::unreadable::{quarantined_bytes, reject_broken};
use super::wrapper_keys::WRAPPERS;
use super::wrappers::RecordContext;
use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;
use trailhound_datasets::json;
use trailhound_datasets::reject::{Reject, RejectCode, excerpt};

/// Text of rows in bytes before it is compared with the bytes of the file.
const TEXT_CHECKED_FROM_BYTES: u64 = 32 << 20;
const SEPARATORS: [u8; 5] = *b",|\t ;";
const HINT: &str = "CSV needs a field `event` with the event as JSON text, or a header with one column per member (`event.eventName`)";
/// Columns of a header that name members of an event, at least.
const HEADER_MEMBERS_MIN: usize = 3;

/// Decodes CSV rows. Content in which no separator yields an event is rejected as a whole.
pub(super) fn rows(
    input: impl Read,
    head: &[u8],
    path_account: Option<&str>,
    limits: &DecodeLimits,
    sink: &mut dyn RecordSink,
) -> Result<Completeness, DecodeStopped> {
    let Some(separator) =
        SEPARATORS.into_iter().find(|&separator| separates_event(head, separator))
    else {
        return reject_not_csv(input, head, limits, sink);
    };
    // A header, if there is one, is read as the first record.
    let row_bytes = Rc::new(Cell::new(0));
    let input = RowReader { inner: input, row_bytes: Rc::clone(&row_bytes), limits };
    let mut reader = ::csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .from_reader(input);
    let mut rows = CsvRows {
        scanner: Scanner::default(),
        header: None,
        text_bytes: 0,
        context: RecordContext { path_account, offset: 0, limits },
    };
    let mut record = ::csv::ByteRecord::new();
    let mut first = true;
    loop {
        let offset = reader.position().byte();
        row_bytes.set(0);
        match reader.read_byte_record(&mut record) {
            Ok(false) => return Ok(Completeness::Complete),
            Ok(true) if std::mem::take(&mut first) && rows.take_header(&record) => {}
            Ok(true) => {
                rows.row(&record, separator, offset, sink)?;
                // Each row repeats the names of the header, so its text is bounded like decompressed content.
                let read = reader.position().byte();
                let text_max =
                    read.saturating_mul(limits.expansion_max).max(TEXT_CHECKED_FROM_BYTES);
                if rows.text_bytes > text_max {
                    let limit = format!("rows of at most {} times the file", limits.expansion_max);
                    return reject_broken(sink, LimitExceeded::error(limit), read, b"");
                }
            }
            Err(error) => {
                let error = match error.into_kind() {
                    ::csv::ErrorKind::Io(error) => error,
                    other => io::Error::other(format!("{other:?}")),
                };
                return reject_broken(sink, error, offset, b"");
            }
        }
    }
}

/// A reader that fails when one row takes more bytes than an event may have: a row whose quote is never closed would take all
/// memory.
struct RowReader<'l, R> {
    inner: R,
    /// Bytes read since the last row.
    row_bytes: Rc<Cell<usize>>,
    limits: &'l DecodeLimits,
}

impl<R: Read> Read for RowReader<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.row_bytes.set(self.row_bytes.get() + read);
        // The quotes in a row of JSON text are doubled.
        if self.row_bytes.get() > self.limits.event_bytes_max.saturating_mul(2) + out.len() {
            let limit = format!("a row of at most {} bytes", self.limits.event_bytes_max);
            return Err(LimitExceeded::error(limit));
        }
        Ok(read)
    }
}

/// True where `separator` splits the first record into fields of which one is an event or the name of one.
fn separates_event(head: &[u8], separator: u8) -> bool {
    let mut reader = ::csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .from_reader(head);
    let mut record = ::csv::ByteRecord::new();
    reader.read_byte_record(&mut record).unwrap_or(false)
        && (is_header(&record) || record.iter().any(|field| field.starts_with(b"{\"")))
}

/// True for the names of columns: the name of a wrapper, or the names of several members of an event. A wrapper's name that is
/// a word of its own counts only among other names.
fn is_header(record: &::csv::ByteRecord) -> bool {
    let names = || record.iter().filter_map(|name| std::str::from_utf8(name).ok()).map(str::trim);
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.@-".contains(&b))
    };
    let prefix = row_prefix(&names().collect::<Vec<_>>());
    // Cut at its commas, the text of an event looks like names with colons, quotes and brackets.
    let may_be_name = |name: &str| !name.contains(['"', '{', '}', ':']);
    let is_member = |name: &&str| may_be_name(name) && row_member_name(name, prefix).0.is_own();
    let members = names().filter(is_member).count();
    let is_row = |name: &str| {
        ["event", "contents.event", "contents_event_s", "_raw", "_source"].contains(&name)
            || (name.starts_with("event.") && may_be_name(name))
    };
    let wrapper = |name: &str| WRAPPERS.iter().any(|(key, _)| *key == name);
    members >= HEADER_MEMBERS_MIN
        || names().any(is_row)
        || (names().any(wrapper) && names().count() == record.len() && names().all(is_name))
}

/// Rejects text that is no CSV with events.
fn reject_not_csv(
    input: impl Read,
    head: &[u8],
    limits: &DecodeLimits,
    sink: &mut dyn RecordSink,
) -> Result<Completeness, DecodeStopped> {
    let (raw, raw_length) = quarantined_bytes(input, limits)?;
    let (code, hint) = match std::str::from_utf8(head) {
        Err(e) if e.error_len().is_some() => {
            (RejectCode::BadUtf8, "the content is text in another encoding; export it as UTF-8")
        }
        _ => (RejectCode::UnknownLayout, HINT),
    };
    let expected = "JSON events or CSV with an `event` field".to_owned();
    sink.reject(Reject {
        code,
        byte_offset: 0,
        expected,
        found: excerpt(head),
        hint,
        raw,
        raw_length,
    })?;
    Ok(Completeness::Complete)
}

/// Decodes the rows of one CSV file.
struct CsvRows<'l> {
    scanner: Scanner,
    header: Option<Vec<String>>,
    /// Bytes of the rows' texts.
    text_bytes: u64,
    context: RecordContext<'l>,
}

impl CsvRows<'_> {
    fn take_header(&mut self, record: &::csv::ByteRecord) -> bool {
        if !is_header(record) {
            return false;
        }
        self.header = Some(
            record.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect(),
        );
        true
    }

    fn row(
        &mut self,
        record: &::csv::ByteRecord,
        separator: u8,
        offset: u64,
        sink: &mut dyn RecordSink,
    ) -> Result<(), SinkStopped> {
        if record.iter().all(<[u8]>::is_empty) {
            return Ok(());
        }
        self.context.offset = offset;
        let text = self.as_json(record);
        self.text_bytes += text.as_ref().map_or(0, |text| text.len() as u64);
        let refusal = match text {
            // More fields than the header has come from an unquoted separator; which field it split is unknown.
            _ if self.has_more_than_header(record) => Refusal::new(
                RejectCode::UnknownLayout,
                "as many fields as the header has, quoted where they hold the separator",
            ),
            Some(text) => match open_row(&mut self.scanner, &text, &self.context, sink) {
                Ok(()) => return Ok(()),
                Err(OpenError::Stopped(stopped)) => return Err(stopped),
                // Places in the assembled row are no places in the file.
                Err(OpenError::Refused(refusal)) => Refusal { at: 0, ..refusal },
            },
            None => Refusal::new(RejectCode::BadUtf8, "UTF-8 text"),
        };
        let raw: Vec<u8> = record.iter().collect::<Vec<_>>().join(&separator);
        sink.reject(refusal.reject(&raw, offset, HINT, self.context.limits))
    }

    fn has_more_than_header(&self, record: &::csv::ByteRecord) -> bool {
        self.header
            .as_ref()
            .is_some_and(|names| record.iter().skip(names.len()).any(|field| !field.is_empty()))
    }

    /// The record as a JSON row: with a header, one member per field; without, the first field that holds an object as
    /// `event`. `None` where a field is not UTF-8.
    fn as_json(&self, record: &::csv::ByteRecord) -> Option<String> {
        let fields: Vec<&str> =
            record.iter().map(std::str::from_utf8).collect::<Result<_, _>>().ok()?;
        let pair =
            |name: &str, value: &str| format!("{}:{}", json::quote(name), json::quote(value));
        let pairs: Vec<String> = match &self.header {
            Some(names) => names
                .iter()
                .zip(&fields)
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| pair(name, value))
                .collect(),
            None => fields
                .iter()
                .filter(|value| value.starts_with('{'))
                .map(|value| pair("event", value))
                .take(1)
                .collect(),
        };
        Some(format!("{{{}}}", pairs.join(",")))
    }
}
