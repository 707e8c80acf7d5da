//! Reads JSON content as a stream of records. It holds one record at a time, however long the list around it is.
//!
//! Trails and tools write events in several layouts: an array, a single object, JSON lines, concatenated arrays, and API
//! responses with a list inside. They are one grammar to the reader: a sequence of values, in which lists and response
//! objects are entered and every other object is a record. For example:
//!
//! ```text
//! {"RequestId":"R","Events":[ {"eventId":"1"}, {"eventId":"2" ]}
//! ^ response object, entered at `Events`
//!                           ^ list, entered
//!                             ^ record: passed to the sink
//!                                              ^ record: broken, a reject
//! ```
//!
//! After a syntax error the reader does not guess where the next record starts: the rest of the content is one reject. Only
//! in JSON lines, where a line break ends every record, a broken line is rejected alone. A value that is too large or too
//! deep is skipped by its brackets, so the records behind it are read.

use super::brackets::BracketCounter;
use super::envelope;
use super::fault::is_verdict;
use super::key_table::list_or_body;
use super::limits::DecodeLimits;
use super::refusal::{OpenError, Refusal};
use super::scanner::{ObjectShape, Scanner};
use super::sink::{RecordSink, SinkStopped};
use super::window::ByteWindow;
use super::wrapper_keys::wrapper_number;
use super::wrappers::{RecordContext, WrapperOpener};
use std::io::{self, Read};
use trailhound_datasets::json::{self, JsonError, ValueKind, Walker};
use trailhound_datasets::reject::{Reject, RejectCode, excerpt};

/// Levels of lists and responses that are entered.
const OPEN_MAX: usize = 8;

const HINT_REFETCH: &str =
    "fetch the object again; if it stays so, look at the bytes kept in `raw`";
const HINT_LOOK: &str = "look at the bytes kept in `raw`; everything before this place is stored";
const HINT_LAYOUT: &str =
    "see the layouts the documentation lists; wrap or export the events as one of them";

/// A list or response that was entered.
enum OpenContainer {
    /// A list. `first` is set until its first element was read.
    List { first: bool },
    /// A response object, read past the key of the list. `pending` is set where an inner response follows.
    Response { pending: bool },
}

/// A member of a response behind its list: a list or an inner response at this offset, or any other with these offsets.
enum NextMember {
    Opened(usize),
    Other { key: usize, end: usize },
}

/// Why reading a document stopped early.
pub(super) enum DocumentError {
    /// The sink stopped the decoder.
    Stopped(SinkStopped),
    /// The stream failed at this offset, in bytes of decompressed content.
    Input(io::Error, u64),
}

impl From<SinkStopped> for DocumentError {
    fn from(stopped: SinkStopped) -> Self {
        Self::Stopped(stopped)
    }
}

/// Reads the records of JSON content.
pub(super) struct DocumentReader<'l, R> {
    window: ByteWindow<R>,
    /// The lists and responses around the current record.
    open: Vec<OpenContainer>,
    scanner: Scanner,
    walker: Walker,
    limits: &'l DecodeLimits,
    context: RecordContext<'l>,
    /// The last top-level record filled a line of its own, so a broken line can be rejected alone.
    is_json_lines: bool,
}

impl<'l, R: Read> DocumentReader<'l, R> {
    /// A reader of `input`. `path_account` is the account id in the object's path.
    pub(super) fn new(input: R, limits: &'l DecodeLimits, path_account: Option<&'l str>) -> Self {
        Self {
            window: ByteWindow::new(input),
            open: Vec::new(),
            scanner: Scanner::default(),
            walker: Walker::default(),
            limits,
            context: RecordContext { path_account, offset: 0, limits },
            is_json_lines: false,
        }
    }

    /// Reads the content to its end into `sink`.
    pub(super) fn run(mut self, sink: &mut dyn RecordSink) -> Result<(), DocumentError> {
        self.fill()?;
        while self.window.rest().starts_with(b"\xef\xbb\xbf") {
            self.window.consume(3);
        }
        while self.step(sink)? {}
        Ok(())
    }

    /// Reads one record or one bracket. False at the end of the content.
    fn step(&mut self, sink: &mut dyn RecordSink) -> Result<bool, DocumentError> {
        if let Some(OpenContainer::Response { pending: pending @ true }) = self.open.last_mut() {
            *pending = false;
            self.object(sink)?;
            return Ok(true);
        }
        let Some(byte) = self.next_byte()? else {
            if !self.open.is_empty() {
                self.reject_rest(
                    sink,
                    RejectCode::Truncated,
                    0,
                    "the end of the list",
                    HINT_REFETCH,
                )?;
            }
            return Ok(false);
        };
        match self.open.last_mut() {
            None => self.top_level_value(byte, sink)?,
            Some(OpenContainer::Response { .. }) => self.response_member(byte, sink)?,
            Some(OpenContainer::List { first }) => {
                let was_first = std::mem::replace(first, false);
                match byte {
                    b']' => {
                        self.window.consume(1);
                        self.open.pop();
                    }
                    b',' if !was_first => {
                        self.window.consume(1);
                        match self.next_byte()? {
                            Some(byte) => self.element(byte, sink)?,
                            None => self.reject_rest(
                                sink,
                                RejectCode::Truncated,
                                0,
                                "an element after `,`",
                                HINT_REFETCH,
                            )?,
                        }
                    }
                    _ if was_first => self.element(byte, sink)?,
                    _ => self.reject_rest(sink, RejectCode::BadJson, 0, "`,` or `]`", HINT_LOOK)?,
                }
            }
        }
        Ok(true)
    }

    /// Reads the value that starts with `byte` outside of lists and responses.
    fn top_level_value(
        &mut self,
        byte: u8,
        sink: &mut dyn RecordSink,
    ) -> Result<(), DocumentError> {
        match byte {
            b'[' => {
                self.window.consume(1);
                self.open.push(OpenContainer::List { first: true });
                Ok(())
            }
            b'{' => self.object(sink),
            _ => self.other_value(
                sink,
                RejectCode::NotAnEventList,
                "a list of events or an event object",
            ),
        }
    }

    /// Reads the list element that starts with `byte`. A list inside the list is entered where it holds objects.
    fn element(&mut self, byte: u8, sink: &mut dyn RecordSink) -> Result<(), DocumentError> {
        match byte {
            b'{' => self.object(sink),
            b'[' if self.open.len() < OPEN_MAX && self.starts_list_of_objects()? => {
                self.window.consume(1);
                self.open.push(OpenContainer::List { first: true });
                Ok(())
            }
            _ => self.other_value(sink, RejectCode::NotAnObject, "an event object"),
        }
    }

    /// True where the list that starts at the window's first byte begins with an object.
    fn starts_list_of_objects(&mut self) -> Result<bool, DocumentError> {
        loop {
            let first = json::skip_space(self.window.rest(), 1);
            if let Some(&byte) = self.window.rest().get(first) {
                return Ok(byte == b'{');
            }
            if !self.fill()? {
                return Ok(false);
            }
        }
    }

    /// Reads a value that is no object: text that holds events is opened. Anything else is rejected, alone if it is valid JSON,
    /// else with the rest of the content.
    fn other_value(
        &mut self,
        sink: &mut dyn RecordSink,
        code: RejectCode,
        expected: &'static str,
    ) -> Result<(), DocumentError> {
        loop {
            match self.walker.value(self.window.rest(), 0) {
                Ok(walked) if walked.kind == ValueKind::String => {
                    return self.text_value(walked.end, code, expected, sink);
                }
                Ok(walked) => {
                    self.reject_record(sink, code, walked.end, 0, expected, HINT_LAYOUT)?;
                    return Ok(());
                }
                Err(JsonError::Incomplete) => match self.grow(sink)? {
                    GrowResult::More => {}
                    GrowResult::Ended
                        if code == RejectCode::NotAnEventList && self.ends_in_scalar() =>
                    {
                        let length = self.window.rest().len();
                        return self.reject_record(sink, code, length, 0, expected, HINT_LAYOUT);
                    }
                    GrowResult::Ended => {
                        return self.reject_rest(
                            sink,
                            RejectCode::Truncated,
                            0,
                            "the rest of the value",
                            HINT_REFETCH,
                        );
                    }
                    GrowResult::Rejected => return Ok(()),
                },
                Err(error) => return self.reject_error(sink, error),
            }
        }
    }

    /// Opens the string in the first `end` bytes as an event's JSON text, or rejects it.
    fn text_value(
        &mut self,
        end: usize,
        code: RejectCode,
        expected: &'static str,
        sink: &mut dyn RecordSink,
    ) -> Result<(), DocumentError> {
        let bytes = &self.window.rest()[..end];
        self.context.offset = self.window.offset();
        let opened = match std::str::from_utf8(bytes) {
            Ok(text) => {
                WrapperOpener::new(&mut self.scanner, self.context, sink).record(text, None)
            }
            Err(_) => Err(Refusal::new(RejectCode::BadUtf8, "UTF-8 text").into()),
        };
        match opened {
            Ok(()) => {
                self.window.consume(end);
                Ok(())
            }
            Err(OpenError::Stopped(stopped)) => Err(stopped.into()),
            Err(OpenError::Refused(refusal)) if bytes.contains(&b'{') => {
                self.refuse_record(sink, end, refusal, HINT_LAYOUT)
            }
            Err(OpenError::Refused(_)) => {
                self.reject_record(sink, code, end, 0, expected, HINT_LAYOUT)
            }
        }
    }

    /// True where the rest of the content is one scalar. A number counts as complete only when a byte follows it, and at the
    /// end of the content none does.
    fn ends_in_scalar(&mut self) -> bool {
        let mut text = self.window.rest().to_vec();
        text.push(b'\n');
        self.walker.value(&text, 0).is_ok()
    }

    /// Reads the object that starts at the window's first byte.
    fn object(&mut self, sink: &mut dyn RecordSink) -> Result<(), DocumentError> {
        loop {
            match self.scanner.object(self.window.rest()) {
                Ok((ObjectShape::Response(start), _)) => return self.enter(start, sink),
                Ok((shape, end)) if end <= self.limits.event_bytes_max => {
                    return self.record(shape, end, sink);
                }
                Ok(_) => return self.skip(sink, RejectCode::EventTooLarge),
                Err(JsonError::Incomplete) => match self.grow(sink)? {
                    GrowResult::More => {}
                    GrowResult::Ended => {
                        return self.reject_rest(
                            sink,
                            RejectCode::Truncated,
                            0,
                            "the rest of the event",
                            HINT_REFETCH,
                        );
                    }
                    GrowResult::Rejected => return Ok(()),
                },
                Err(error) => return self.reject_error(sink, error),
            }
        }
    }

    /// Enters the list or inner response that starts `start` bytes into the current object.
    fn enter(&mut self, start: usize, sink: &mut dyn RecordSink) -> Result<(), DocumentError> {
        if self.open.len() + 2 > OPEN_MAX {
            return self.skip(sink, RejectCode::TooDeep);
        }
        let (head, value) = self.window.rest().split_at(start);
        let (head, list) = (head.to_vec(), value.starts_with(b"["));
        self.members_beside_list(&head, sink)?;
        self.open.push(OpenContainer::Response { pending: !list });
        self.window.consume(start + usize::from(list));
        if list {
            self.open.push(OpenContainer::List { first: true });
        }
        Ok(())
    }

    /// Opens the members in `head`, the beginning of an object, that may hold an event beside the list of the response.
    fn members_beside_list(
        &mut self,
        head: &[u8],
        sink: &mut dyn RecordSink,
    ) -> Result<(), DocumentError> {
        let (offset, limits) = (self.window.offset(), self.limits);
        self.context.offset = offset;
        let reject = |code, expected: &str| {
            Refusal::new(code, expected).reject(head, offset, HINT_LAYOUT, limits)
        };
        let Ok(text) = std::str::from_utf8(head) else {
            return Ok(sink.reject(reject(RejectCode::BadUtf8, "UTF-8 text"))?);
        };
        for (key, value) in json::members(text) {
            if key.eq_ignore_ascii_case("eventName") {
                let expected = "an event, or an object with a list of events; not both in one";
                sink.reject(reject(RejectCode::NotUnderstood, expected))?;
            } else if value.contains('{') && wrapper_number(&key, None).is_some() {
                let row = format!("{{{}:{value}}}", json::quote(&key));
                WrapperOpener::new(&mut self.scanner, self.context, sink).member_of_answer(&row)?;
            }
        }
        Ok(())
    }

    /// Reads the end of a response or its next member. `byte` is the next byte.
    fn response_member(
        &mut self,
        byte: u8,
        sink: &mut dyn RecordSink,
    ) -> Result<(), DocumentError> {
        if byte == b'}' {
            self.window.consume(1);
            self.open.pop();
            return Ok(());
        }
        if byte != b',' {
            return self.reject_rest(sink, RejectCode::BadJson, 0, "`,` or `}`", HINT_LOOK);
        }
        loop {
            match self.member_after_comma() {
                Ok(NextMember::Opened(start)) => {
                    let list = self.window.rest()[start] == b'[';
                    if self.open.len() + 1 > OPEN_MAX {
                        return self.reject_rest(
                            sink,
                            RejectCode::TooDeep,
                            start,
                            "fewer nested responses",
                            HINT_LAYOUT,
                        );
                    }
                    self.window.consume(start + usize::from(list));
                    if list {
                        self.open.push(OpenContainer::List { first: true });
                    } else if let Some(OpenContainer::Response { pending }) = self.open.last_mut() {
                        *pending = true;
                    }
                    return Ok(());
                }
                Ok(NextMember::Other { key, end }) => {
                    let member = &self.window.rest()[key..end];
                    self.members_beside_list(&[b"{", member, b"}"].concat(), sink)?;
                    self.window.consume(end);
                    return Ok(());
                }
                Err(JsonError::Incomplete) => match self.grow(sink)? {
                    GrowResult::More => {}
                    GrowResult::Ended => {
                        return self.reject_rest(
                            sink,
                            RejectCode::Truncated,
                            0,
                            "the rest of the response",
                            HINT_REFETCH,
                        );
                    }
                    GrowResult::Rejected => return Ok(()),
                },
                Err(error) => return self.reject_error(sink, error),
            }
        }
    }

    /// Reads `, "key": value`.
    fn member_after_comma(&mut self) -> Result<NextMember, JsonError> {
        let text = self.window.rest();
        let key = json::skip_space(text, 1);
        match text.get(key) {
            None => return Err(JsonError::Incomplete),
            Some(b'"') => {}
            Some(_) => {
                return Err(JsonError::Syntax { at: key, expected: "a key in double quotes" });
            }
        }
        let (key_end, _) = json::string_end(text, key)?;
        let colon = json::skip_space(text, key_end);
        match text.get(colon) {
            None => return Err(JsonError::Incomplete),
            Some(b':') => {}
            Some(_) => return Err(JsonError::Syntax { at: colon, expected: "`:`" }),
        }
        let value = json::skip_space(text, colon + 1);
        if value >= text.len() {
            return Err(JsonError::Incomplete);
        }
        if list_or_body(&text[key + 1..key_end - 1], text, value).is_some() {
            return Ok(NextMember::Opened(value));
        }
        let end = self.walker.value(text, value)?.end;
        Ok(NextMember::Other { key, end })
    }

    /// Passes the record in the first `end` bytes to the sink, or rejects it.
    fn record(
        &mut self,
        shape: ObjectShape,
        end: usize,
        sink: &mut dyn RecordSink,
    ) -> Result<(), DocumentError> {
        let top = self.open.is_empty();
        if shape == ObjectShape::Empty && top {
            return self.reject_record(
                sink,
                RejectCode::NotAnEventList,
                end,
                0,
                "a list of events or an event object",
                HINT_LAYOUT,
            );
        }
        let bytes = &self.window.rest()[..end];
        if top {
            self.is_json_lines = !bytes.contains(&b'\n');
        }
        let Ok(text) = simdutf8::basic::from_utf8(bytes) else {
            let valid = std::str::from_utf8(bytes).map_or_else(|e| e.valid_up_to(), str::len);
            return self.reject_record(
                sink,
                RejectCode::BadUtf8,
                end,
                valid,
                "UTF-8 text",
                "the producer wrote another encoding",
            );
        };
        self.context.offset = self.window.offset();
        match envelope::open(&mut self.scanner, text, shape, &self.context, sink) {
            Ok(()) => {
                self.window.consume(end);
                Ok(())
            }
            Err(OpenError::Stopped(stopped)) => Err(stopped.into()),
            Err(OpenError::Refused(refusal)) => self.refuse_record(sink, end, refusal, HINT_LAYOUT),
        }
    }

    /// Rejects the next `length` bytes as one record. The error is `at` bytes into them.
    fn reject_record(
        &mut self,
        sink: &mut dyn RecordSink,
        code: RejectCode,
        length: usize,
        at: usize,
        expected: &str,
        hint: &'static str,
    ) -> Result<(), DocumentError> {
        let refusal = Refusal { at, ..Refusal::new(code, expected) };
        self.refuse_record(sink, length, refusal, hint)
    }

    /// Rejects the next `length` bytes as one record, for the reason `refusal`.
    fn refuse_record(
        &mut self,
        sink: &mut dyn RecordSink,
        length: usize,
        refusal: Refusal,
        hint: &'static str,
    ) -> Result<(), DocumentError> {
        let bytes = &self.window.rest()[..length];
        let reject = refusal.reject(bytes, self.window.offset(), hint, self.limits);
        self.window.consume(length);
        Ok(sink.reject(reject)?)
    }

    /// Rejects the content that cannot be read because of `error`.
    fn reject_error(
        &mut self,
        sink: &mut dyn RecordSink,
        error: JsonError,
    ) -> Result<(), DocumentError> {
        match error {
            JsonError::TooDeep { .. } => self.skip(sink, RejectCode::TooDeep),
            JsonError::Syntax { at, expected } => {
                if let Some(length) = self.broken_line()? {
                    return self.reject_record(
                        sink,
                        RejectCode::BadJson,
                        length,
                        at.min(length),
                        expected,
                        HINT_LOOK,
                    );
                }
                self.reject_rest(sink, RejectCode::BadJson, at, expected, HINT_LOOK)
            }
            JsonError::Incomplete => self.reject_rest(
                sink,
                RejectCode::Truncated,
                0,
                "the rest of the value",
                HINT_REFETCH,
            ),
        }
    }

    /// Length of the broken line to reject, where the content is certainly JSON lines: outside of lists, with a next line that
    /// starts with an object. A broken line ends at its line break, because JSON strings hold none.
    fn broken_line(&mut self) -> Result<Option<usize>, DocumentError> {
        if !self.open.is_empty() {
            return Ok(None);
        }
        loop {
            let rest = self.window.rest();
            if let Some(end) = memchr::memchr(b'\n', rest) {
                match rest.get(end + 1) {
                    Some(b'{') => return Ok(Some(end)),
                    Some(_) => return Ok(None),
                    None => {}
                }
            }
            if rest.len() > self.limits.event_bytes_max || !self.fill()? {
                let whole = self.window.rest();
                let last_line = self.is_json_lines
                    && memchr::memchr(b'\n', whole).is_none_or(|end| end + 1 == whole.len());
                return Ok(last_line.then_some(whole.len()));
            }
        }
    }

    /// Rejects everything from the current record to the end of the content as one record.
    fn reject_rest(
        &mut self,
        sink: &mut dyn RecordSink,
        code: RejectCode,
        at: usize,
        expected: &'static str,
        hint: &'static str,
    ) -> Result<(), DocumentError> {
        let offset = self.window.offset() + at as u64;
        let rest = self.window.rest();
        let found = if at < rest.len() {
            excerpt(&rest[at..rest.len().min(at + 400)])
        } else {
            "the end of the content".to_owned()
        };
        let (mut raw, mut length, mut whole) = (Vec::new(), 0u64, true);
        loop {
            let rest = self.window.rest();
            let room = self.limits.quarantine_raw_bytes_max - raw.len();
            raw.extend_from_slice(&rest[..rest.len().min(room)]);
            length += rest.len() as u64;
            let count = rest.len();
            self.window.consume(count);
            match self.fill() {
                Ok(true) => {}
                Ok(false) => break,
                Err(DocumentError::Input(error, _)) if is_verdict(&error) => {
                    whole = false;
                    break;
                }
                Err(stop) => return Err(stop),
            }
        }
        self.open.clear();
        let reject = Reject {
            code,
            byte_offset: offset,
            expected: expected.to_owned(),
            found,
            hint,
            raw,
            raw_length: whole.then_some(length),
        };
        Ok(sink.reject(reject)?)
    }

    /// Rejects the current value, which is too large or too deep to hold. It is skipped by its brackets; only its head is kept.
    fn skip(&mut self, sink: &mut dyn RecordSink, code: RejectCode) -> Result<(), DocumentError> {
        let offset = self.window.offset();
        let found = excerpt(&self.window.rest()[..self.window.rest().len().min(400)]);
        let (mut raw, mut length) = (Vec::new(), 0u64);
        let mut brackets = BracketCounter::default();
        let is_complete = loop {
            let rest = self.window.rest();
            let end = brackets.value_end(rest);
            let count = end.unwrap_or(rest.len());
            let room = self.limits.quarantine_raw_bytes_max - raw.len();
            raw.extend_from_slice(&rest[..count.min(room)]);
            length += count as u64;
            self.window.consume(count);
            if end.is_some() {
                break true;
            }
            if !self.fill()? {
                break false;
            }
        };
        if !is_complete {
            self.open.clear();
        }
        let (expected, hint) = match code {
            RejectCode::TooDeep => {
                (format!("at most {} nested containers", json::DEPTH_MAX), HINT_LOOK)
            }
            _ => (
                format!("an event of at most {} bytes", self.limits.event_bytes_max),
                "raise `ingest.event_bytes_max` and ingest the object again",
            ),
        };
        Ok(sink.reject(Reject {
            code,
            byte_offset: offset,
            expected,
            found,
            hint,
            raw,
            raw_length: Some(length),
        })?)
    }

    /// The next byte that is not white space; `None` at the end of the content.
    fn next_byte(&mut self) -> Result<Option<u8>, DocumentError> {
        loop {
            let space = json::skip_space(self.window.rest(), 0);
            self.window.consume(space);
            if let Some(&byte) = self.window.rest().first() {
                return Ok(Some(byte));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Reads more bytes into the window. False at the end of the content.
    fn fill(&mut self) -> Result<bool, DocumentError> {
        self.window.more().map_err(|e| {
            DocumentError::Input(e, self.window.offset() + self.window.rest().len() as u64)
        })
    }

    /// Reads more bytes of an incomplete value, or skips a value that is too large.
    fn grow(&mut self, sink: &mut dyn RecordSink) -> Result<GrowResult, DocumentError> {
        if self.window.rest().len() > self.limits.event_bytes_max {
            self.skip(sink, RejectCode::EventTooLarge)?;
            return Ok(GrowResult::Rejected);
        }
        Ok(if self.fill()? { GrowResult::More } else { GrowResult::Ended })
    }
}

/// Result of reading more bytes of an incomplete value.
enum GrowResult {
    /// There are more bytes.
    More,
    /// The content has ended.
    Ended,
    /// The value was too large and has been rejected.
    Rejected,
}
