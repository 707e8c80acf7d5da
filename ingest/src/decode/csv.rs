//! CSV files as the log service exports them: any separator, with or without header, the event as JSON text in one field
//! or as dotted columns under a header.

use super::envelope::{EnvelopeError, EventContext, open_row};
use super::limits::DecodeLimits;
use super::scanner::Scanner;
use super::sink::{Completeness, RecordSink, SinkStopped};
use super::unreadable::{quarantined_bytes, reject_broken};
use std::io::Read;
use trailhound_datasets::json;
use trailhound_datasets::reject::{Reject, RejectCode, excerpt};

const SEPARATORS: [u8; 5] = *b",|\t ;";
const HINT: &str = "CSV needs a field `event` with the event as JSON text, or a header with dotted columns (`event.eventName`)";

/// Decodes CSV rows. Content in which no separator yields an event is rejected as a whole.
pub(super) fn rows(
    input: impl Read,
    head: &[u8],
    path_account: Option<&str>,
    limits: &DecodeLimits,
    sink: &mut dyn RecordSink,
) -> Result<Completeness, SinkStopped> {
    let Some(separator) =
        SEPARATORS.into_iter().find(|&separator| separates_event(head, separator))
    else {
        return reject_not_csv(input, head, limits, sink);
    };
    // A header, if there is one, is read as the first record.
    let mut reader = ::csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .from_reader(input);
    let mut rows = CsvRows {
        scanner: Scanner::default(),
        header: None,
        context: EventContext { path_account },
        limits,
    };
    let mut record = ::csv::ByteRecord::new();
    let mut first = true;
    loop {
        let offset = reader.position().byte();
        match reader.read_byte_record(&mut record) {
            Ok(false) => return Ok(Completeness::Complete),
            Ok(true) if std::mem::take(&mut first) && rows.take_header(&record) => {}
            Ok(true) => rows.row(&record, separator, offset, sink)?,
            Err(error) => {
                let error = std::io::Error::other(error.to_string());
                return reject_broken(sink, &error, offset, b"");
            }
        }
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

fn is_header(record: &::csv::ByteRecord) -> bool {
    record.iter().any(|name| {
        name == b"event"
            || name == b"contents.event"
            || name.starts_with(b"event.")
            || name.starts_with(b"contents.event.")
    })
}

/// Rejects text that is no CSV with events.
fn reject_not_csv(
    input: impl Read,
    head: &[u8],
    limits: &DecodeLimits,
    sink: &mut dyn RecordSink,
) -> Result<Completeness, SinkStopped> {
    let (raw, raw_length) = quarantined_bytes(input, limits);
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
    context: EventContext<'l>,
    limits: &'l DecodeLimits,
}

impl CsvRows<'_> {
    fn take_header(&mut self, record: &::csv::ByteRecord) -> bool {
        if !is_header(record) {
            return false;
        }
        self.header =
            Some(record.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect());
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
        let failed = match self.as_json(record) {
            // More fields than the header has come from an unquoted separator; which field it split is unknown.
            _ if self.has_more_than_header(record) => (
                RejectCode::UnknownLayout,
                "as many fields as the header has, quoted where they hold the separator",
            ),
            Some(text) => match open_row(&mut self.scanner, &text, &self.context, sink) {
                Ok(()) => return Ok(()),
                Err(EnvelopeError::Stopped(stopped)) => return Err(stopped),
                Err(EnvelopeError::Reject { code, expected, .. }) => (code, expected),
            },
            None => (RejectCode::BadUtf8, "UTF-8 text"),
        };
        let raw: Vec<u8> = record.iter().collect::<Vec<_>>().join(&separator);
        sink.reject(Reject {
            code: failed.0,
            byte_offset: offset,
            expected: failed.1.to_owned(),
            found: excerpt(&raw),
            hint: HINT,
            raw_length: Some(raw.len() as u64),
            raw: raw[..raw.len().min(self.limits.quarantine_raw_bytes_max)].to_vec(),
        })
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
