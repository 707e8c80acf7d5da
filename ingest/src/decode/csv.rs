//! CSV as the log service ships it: any separator, header or none, the event as JSON text in one field or as dotted
//! columns under a header.

use super::envelope::{self, Context};
use super::scanner::{Scanner, Shape};
use super::{End, Limits, Sink, Stop};
use std::io::Read;
use trailhound_datasets::json;
use trailhound_datasets::reject::{Code, Reject, shown};

const SEPARATORS: [u8; 5] = *b",|\t ;";
const HINT: &str = "CSV needs a field `event` with the event as JSON text, or a header with dotted columns (`event.eventName`)";

/// Reads CSV rows; content in which no separator finds an event is set aside whole.
pub(super) fn rows(
    input: impl Read,
    head: &[u8],
    path_account: Option<&str>,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<End, Stop> {
    let Some(separator) = SEPARATORS.into_iter().find(|&separator| fits(head, separator)) else {
        return not_csv(input, head, limits, sink);
    };
    // The header, if there is one, arrives as the first record like any other.
    let mut reader = ::csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .from_reader(input);
    let mut rows = Rows {
        scanner: Scanner::default(),
        header: None,
        context: Context { path_account },
        limits,
    };
    let mut record = ::csv::ByteRecord::new();
    let mut first = true;
    loop {
        let offset = reader.position().byte();
        match reader.read_byte_record(&mut record) {
            Ok(false) => return Ok(End::Complete),
            Ok(true) if std::mem::take(&mut first) && rows.take_header(&record) => {}
            Ok(true) => rows.row(&record, separator, offset, sink)?,
            Err(error) => {
                let error = std::io::Error::other(error.to_string());
                return super::broken_input(sink, &error, offset, b"");
            }
        }
    }
}

/// The first record, cut by `separator`, has a field that is an event or a header that names one.
fn fits(head: &[u8], separator: u8) -> bool {
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

fn not_csv(
    input: impl Read,
    head: &[u8],
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<End, Stop> {
    let (raw, raw_length) = super::kept(input, limits);
    let (code, hint) = match std::str::from_utf8(head) {
        Err(e) if e.error_len().is_some() => {
            (Code::BadUtf8, "the content is text in another encoding; export it as UTF-8")
        }
        _ => (Code::UnknownLayout, HINT),
    };
    let expected = "JSON events or CSV with an `event` field".to_owned();
    sink.reject(Reject {
        code,
        byte_offset: 0,
        expected,
        found: shown(head),
        hint,
        raw,
        raw_length,
    })?;
    Ok(End::Complete)
}

struct Rows<'l> {
    scanner: Scanner,
    header: Option<Vec<String>>,
    context: Context<'l>,
    limits: &'l Limits,
}

impl Rows<'_> {
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
        sink: &mut dyn Sink,
    ) -> Result<(), Stop> {
        if record.iter().all(<[u8]>::is_empty) {
            return Ok(());
        }
        let failed = match self.as_json(record) {
            // Fields beyond the header are what an unquoted separator leaves: which field it cut is anybody's guess.
            _ if self.has_more_than_header(record) => (
                Code::UnknownLayout,
                "as many fields as the header has, quoted where they hold the separator",
            ),
            Some(text) => match open_row(&mut self.scanner, &text, &self.context, sink) {
                Ok(()) => return Ok(()),
                Err(envelope::Failed::Stop(stop)) => return Err(stop),
                Err(envelope::Failed::Reject { code, expected, .. }) => (code, expected),
            },
            None => (Code::BadUtf8, "UTF-8 text"),
        };
        let raw: Vec<u8> = record.iter().collect::<Vec<_>>().join(&separator);
        sink.reject(Reject {
            code: failed.0,
            byte_offset: offset,
            expected: failed.1.to_owned(),
            found: shown(&raw),
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

    /// The record as a JSON row: named members under a header, else the field that holds an object as `event`.
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

/// Opens a row built here; its own text is only a carrier.
pub(super) fn open_row(
    scanner: &mut Scanner,
    text: &str,
    context: &Context<'_>,
    sink: &mut dyn Sink,
) -> Result<(), envelope::Failed> {
    let shape = match scanner.object(text.as_bytes()) {
        Ok((shape, _)) => shape,
        Err(_) => Shape::Unknown,
    };
    envelope::open(scanner, text, shape, context, sink)
}
