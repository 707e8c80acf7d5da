//! JSON content as a stream of records: arrays, one object, JSON lines, concatenated arrays, and responses that hold a
//! list. Holds one record at a time, whatever the size of the list around it.

use super::envelope::{self, Context};
use super::scanner::{Scanner, Shape};
use super::window::Window;
use super::{Limits, Sink, Stop};
use std::io::{self, Read};
use trailhound_datasets::json::{self, JsonError, Walker};
use trailhound_datasets::reject::{Code, Reject, shown};

/// Wrappers within wrappers that are followed.
const FRAMES_MAX: usize = 8;

const HINT_REFETCH: &str =
    "fetch the object again; if it stays so, look at the bytes kept in `raw`";
const HINT_LOOK: &str = "look at the bytes kept in `raw`; everything before this place is stored";
const HINT_LAYOUT: &str =
    "see the layouts the documentation lists; wrap or export the events as one of them";

enum Frame {
    /// Inside a list; `first` until its first element was seen.
    List { first: bool },
    /// Inside a response object, past the member that held the list; `pending` while an inner response is due.
    Response { pending: bool },
}

/// Why reading a document stopped early.
pub(super) enum Broken {
    /// The sink wants no more.
    Stop(Stop),
    /// The stream failed at this offset.
    Input(io::Error, u64),
}

impl From<Stop> for Broken {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

pub(super) struct Documents<'l, R> {
    window: Window<R>,
    frames: Vec<Frame>,
    scanner: Scanner,
    walker: Walker,
    limits: &'l Limits,
    context: Context<'l>,
    /// A top-level record so far filled a line of its own, so a broken line can be set aside alone.
    lines: bool,
}

impl<'l, R: Read> Documents<'l, R> {
    pub(super) fn new(input: R, limits: &'l Limits, context: Context<'l>) -> Self {
        Self {
            window: Window::new(input),
            frames: Vec::new(),
            scanner: Scanner::default(),
            walker: Walker::default(),
            limits,
            context,
            lines: false,
        }
    }

    /// Reads everything into `sink`.
    pub(super) fn run(mut self, sink: &mut dyn Sink) -> Result<(), Broken> {
        self.fill()?;
        if self.window.rest().starts_with(b"\xef\xbb\xbf") {
            self.window.consume(3);
        }
        while self.step(sink)? {}
        Ok(())
    }

    /// Reads one record or one bracket; false at the end of the content.
    fn step(&mut self, sink: &mut dyn Sink) -> Result<bool, Broken> {
        if let Some(Frame::Response { pending: pending @ true }) = self.frames.last_mut() {
            *pending = false;
            self.object(sink)?;
            return Ok(true);
        }
        let Some(byte) = self.next_byte()? else {
            if !self.frames.is_empty() {
                self.rest_is_bad(sink, Code::Truncated, 0, "the end of the list", HINT_REFETCH)?;
            }
            return Ok(false);
        };
        match self.frames.last_mut() {
            None => self.top(byte, sink)?,
            Some(Frame::Response { .. }) => self.response_member(byte, sink)?,
            Some(Frame::List { first }) => {
                let was_first = std::mem::replace(first, false);
                match byte {
                    b']' => {
                        self.window.consume(1);
                        self.frames.pop();
                    }
                    b',' if !was_first => {
                        self.window.consume(1);
                        match self.next_byte()? {
                            Some(byte) => self.element(byte, sink)?,
                            None => self.rest_is_bad(
                                sink,
                                Code::Truncated,
                                0,
                                "an element after `,`",
                                HINT_REFETCH,
                            )?,
                        }
                    }
                    _ if was_first => self.element(byte, sink)?,
                    _ => self.rest_is_bad(sink, Code::BadJson, 0, "`,` or `]`", HINT_LOOK)?,
                }
            }
        }
        Ok(true)
    }

    fn top(&mut self, byte: u8, sink: &mut dyn Sink) -> Result<(), Broken> {
        match byte {
            b'[' => {
                self.window.consume(1);
                self.frames.push(Frame::List { first: true });
                Ok(())
            }
            b'{' => self.object(sink),
            _ => self.scalar(sink, Code::NotAnEventList, "a list of events or an event object"),
        }
    }

    fn element(&mut self, byte: u8, sink: &mut dyn Sink) -> Result<(), Broken> {
        if byte == b'{' {
            self.object(sink)
        } else {
            self.scalar(sink, Code::NotAnObject, "an event object")
        }
    }

    /// A value that is no object where one is due: set aside alone if it is JSON, else with the rest.
    fn scalar(
        &mut self,
        sink: &mut dyn Sink,
        code: Code,
        expected: &'static str,
    ) -> Result<(), Broken> {
        loop {
            match self.walker.value(self.window.rest(), 0) {
                Ok(walked) => {
                    self.set_aside(sink, code, walked.end, 0, expected, HINT_LAYOUT)?;
                    return Ok(());
                }
                Err(JsonError::Incomplete) => match self.grow(sink)? {
                    Grown::More => {}
                    Grown::Ended if code == Code::NotAnEventList && self.ends_in_scalar() => {
                        let length = self.window.rest().len();
                        return self.set_aside(sink, code, length, 0, expected, HINT_LAYOUT);
                    }
                    Grown::Ended => {
                        return self.rest_is_bad(
                            sink,
                            Code::Truncated,
                            0,
                            "the rest of the value",
                            HINT_REFETCH,
                        );
                    }
                    Grown::Handled => return Ok(()),
                },
                Err(error) => return self.broken(sink, error),
            }
        }
    }

    /// A number is complete only when something follows it; at the end of the content nothing does.
    fn ends_in_scalar(&mut self) -> bool {
        let mut text = self.window.rest().to_vec();
        text.push(b'\n');
        self.walker.value(&text, 0).is_ok()
    }

    /// The object that starts at the window's first byte.
    fn object(&mut self, sink: &mut dyn Sink) -> Result<(), Broken> {
        loop {
            match self.scanner.object(self.window.rest()) {
                Ok((Shape::Wrapper(start), _)) => return self.enter(start, sink),
                Ok((shape, end)) if end <= self.limits.event_bytes_max => {
                    return self.record(shape, end, sink);
                }
                Ok(_) => return self.skip(sink, Code::EventTooLarge),
                Err(JsonError::Incomplete) => match self.grow(sink)? {
                    Grown::More => {}
                    Grown::Ended => {
                        return self.rest_is_bad(
                            sink,
                            Code::Truncated,
                            0,
                            "the rest of the event",
                            HINT_REFETCH,
                        );
                    }
                    Grown::Handled => return Ok(()),
                },
                Err(error) => return self.broken(sink, error),
            }
        }
    }

    /// Goes into the list or inner response that starts `start` bytes into the object at hand.
    fn enter(&mut self, start: usize, sink: &mut dyn Sink) -> Result<(), Broken> {
        if self.frames.len() + 2 > FRAMES_MAX {
            return self.skip(sink, Code::TooDeep);
        }
        let list = self.window.rest()[start] == b'[';
        self.frames.push(Frame::Response { pending: !list });
        self.window.consume(start + usize::from(list));
        if list {
            self.frames.push(Frame::List { first: true });
        }
        Ok(())
    }

    /// Past one member of a response: its end, or the next member.
    fn response_member(&mut self, byte: u8, sink: &mut dyn Sink) -> Result<(), Broken> {
        if byte == b'}' {
            self.window.consume(1);
            self.frames.pop();
            return Ok(());
        }
        if byte != b',' {
            return self.rest_is_bad(sink, Code::BadJson, 0, "`,` or `}`", HINT_LOOK);
        }
        loop {
            match self.member_after_comma() {
                Ok(Some(start)) => {
                    let list = self.window.rest()[start] == b'[';
                    if self.frames.len() + 1 > FRAMES_MAX {
                        return self.rest_is_bad(
                            sink,
                            Code::TooDeep,
                            start,
                            "fewer nested responses",
                            HINT_LAYOUT,
                        );
                    }
                    self.window.consume(start + usize::from(list));
                    if list {
                        self.frames.push(Frame::List { first: true });
                    } else if let Some(Frame::Response { pending }) = self.frames.last_mut() {
                        *pending = true;
                    }
                    return Ok(());
                }
                Ok(None) => return Ok(()),
                Err(JsonError::Incomplete) => match self.grow(sink)? {
                    Grown::More => {}
                    Grown::Ended => {
                        return self.rest_is_bad(
                            sink,
                            Code::Truncated,
                            0,
                            "the rest of the response",
                            HINT_REFETCH,
                        );
                    }
                    Grown::Handled => return Ok(()),
                },
                Err(error) => return self.broken(sink, error),
            }
        }
    }

    /// Consumes `, "key": value`; for a member that holds a list, gives where its value starts and consumes nothing.
    fn member_after_comma(&mut self) -> Result<Option<usize>, JsonError> {
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
        if super::scanner::wrapped(&text[key + 1..key_end - 1], text, value).is_some() {
            return Ok(Some(value));
        }
        let end = self.walker.value(text, value)?.end;
        self.window.consume(end);
        Ok(None)
    }

    /// A complete object of `end` bytes.
    fn record(&mut self, shape: Shape, end: usize, sink: &mut dyn Sink) -> Result<(), Broken> {
        let top = self.frames.is_empty();
        if shape == Shape::Empty && top {
            return self.set_aside(
                sink,
                Code::NotAnEventList,
                end,
                0,
                "a list of events or an event object",
                HINT_LAYOUT,
            );
        }
        let bytes = &self.window.rest()[..end];
        if top {
            self.lines = !bytes.contains(&b'\n');
        }
        let Ok(text) = simdutf8::basic::from_utf8(bytes) else {
            let valid = std::str::from_utf8(bytes).map_or_else(|e| e.valid_up_to(), str::len);
            return self.set_aside(
                sink,
                Code::BadUtf8,
                end,
                valid,
                "UTF-8 text",
                "the producer wrote another encoding",
            );
        };
        match envelope::open(&mut self.scanner, text, shape, &self.context, sink) {
            Ok(()) => {
                self.window.consume(end);
                Ok(())
            }
            Err(envelope::Failed::Stop(stop)) => Err(stop.into()),
            Err(envelope::Failed::Reject { code, at, expected }) => {
                self.set_aside(sink, code, end, at, expected, HINT_LAYOUT)
            }
        }
    }

    /// Sets the next `length` bytes aside as one record; the trouble is `at` bytes into them.
    fn set_aside(
        &mut self,
        sink: &mut dyn Sink,
        code: Code,
        length: usize,
        at: usize,
        expected: &str,
        hint: &'static str,
    ) -> Result<(), Broken> {
        let bytes = &self.window.rest()[..length];
        let reject = Reject {
            code,
            byte_offset: self.window.offset() + at as u64,
            expected: expected.to_owned(),
            found: shown(&bytes[at.min(length)..]),
            hint,
            raw: bytes[..length.min(self.limits.quarantine_raw_bytes_max)].to_vec(),
            raw_length: Some(length as u64),
        };
        self.window.consume(length);
        Ok(sink.reject(reject)?)
    }

    fn broken(&mut self, sink: &mut dyn Sink, error: JsonError) -> Result<(), Broken> {
        match error {
            JsonError::TooDeep { .. } => self.skip(sink, Code::TooDeep),
            JsonError::Syntax { at, expected } => {
                if let Some(length) = self.line_to_set_aside()? {
                    return self.set_aside(
                        sink,
                        Code::BadJson,
                        length,
                        at.min(length),
                        expected,
                        HINT_LOOK,
                    );
                }
                self.rest_is_bad(sink, Code::BadJson, at, expected, HINT_LOOK)
            }
            JsonError::Incomplete => {
                self.rest_is_bad(sink, Code::Truncated, 0, "the rest of the value", HINT_REFETCH)
            }
        }
    }

    /// In JSON lines a broken line ends at its line break, for no JSON text holds one inside a string. Only done where
    /// lines are certain: at top level, with a next line that starts a new object in its first column.
    fn line_to_set_aside(&mut self) -> Result<Option<usize>, Broken> {
        if !self.frames.is_empty() {
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
                let last_line = self.lines
                    && memchr::memchr(b'\n', whole).is_none_or(|end| end + 1 == whole.len());
                return Ok(last_line.then_some(whole.len()));
            }
        }
    }

    /// Sets everything from the record at hand to the end of the content aside, as one row; nothing past it is guessed.
    fn rest_is_bad(
        &mut self,
        sink: &mut dyn Sink,
        code: Code,
        at: usize,
        expected: &'static str,
        hint: &'static str,
    ) -> Result<(), Broken> {
        let offset = self.window.offset() + at as u64;
        let rest = self.window.rest();
        let found = if at < rest.len() {
            shown(&rest[at..rest.len().min(at + 400)])
        } else {
            "the end of the content".to_owned()
        };
        let mut raw = Vec::new();
        let mut length = 0u64;
        let mut whole = true;
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
                Err(Broken::Input(..)) => {
                    whole = false;
                    break;
                }
                Err(stop) => return Err(stop),
            }
        }
        self.frames.clear();
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

    /// Passes over the value at hand by its brackets alone, keeping only the head: for values too large or too deep to
    /// hold. Its neighbours stay readable.
    fn skip(&mut self, sink: &mut dyn Sink, code: Code) -> Result<(), Broken> {
        let offset = self.window.offset();
        let found = shown(&self.window.rest()[..self.window.rest().len().min(400)]);
        let (mut raw, mut length) = (Vec::new(), 0u64);
        let (mut depth, mut in_string, mut escape) = (0usize, false, false);
        let complete = loop {
            let rest = self.window.rest();
            let mut end = None;
            for (i, &byte) in rest.iter().enumerate() {
                match byte {
                    _ if escape => escape = false,
                    b'\\' if in_string => escape = true,
                    b'"' => in_string = !in_string,
                    b'{' | b'[' if !in_string => depth += 1,
                    b'}' | b']' if !in_string => {
                        depth = depth.saturating_sub(1);
                        if depth == 0 {
                            end = Some(i + 1);
                            break;
                        }
                    }
                    _ => {}
                }
            }
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
        if !complete {
            self.frames.clear();
        }
        let (expected, hint) = match code {
            Code::TooDeep => (format!("at most {} nested containers", json::DEPTH_MAX), HINT_LOOK),
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

    fn next_byte(&mut self) -> Result<Option<u8>, Broken> {
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

    fn fill(&mut self) -> Result<bool, Broken> {
        self.window
            .more()
            .map_err(|e| Broken::Input(e, self.window.offset() + self.window.rest().len() as u64))
    }

    /// More bytes for an unfinished value, or its end as far as this reader goes.
    fn grow(&mut self, sink: &mut dyn Sink) -> Result<Grown, Broken> {
        if self.window.rest().len() > self.limits.event_bytes_max {
            self.skip(sink, Code::EventTooLarge)?;
            return Ok(Grown::Handled);
        }
        Ok(if self.fill()? { Grown::More } else { Grown::Ended })
    }
}

enum Grown {
    More,
    Ended,
    /// The value was too large and has been passed over.
    Handled,
}
