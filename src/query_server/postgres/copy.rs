//! COPY TO STDOUT: the rows of an answer in the text, CSV or binary format.

use super::answers::{Answer, RowEncoder};
use super::text::TextFormat;
use super::tokens::TokenReader;
use datafusion::sql::sqlparser::tokenizer::Token;
use datafusion_postgres::pgwire::api::portal::Format;
use datafusion_postgres::pgwire::error::PgWireResult;
use std::sync::Arc;
use trailhound_queries::sql_guard::{QueryError, QueryErrorCode};

/// Head of a binary copy: signature, flags, length of the extension.
const BINARY_HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// End of a binary copy.
const BINARY_END: &[u8] = &[0xff, 0xff];

/// Format of the rows of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CopyFormat {
    Text,
    Csv,
    Binary,
}

/// The options of COPY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CopyOptions {
    pub(super) format: CopyFormat,
    delimiter: char,
    null: String,
    header: bool,
    quote: char,
    escape: char,
    /// Columns whose values are always quoted; `None` is all of them.
    force_quote: Option<Vec<String>>,
}

/// Options as they are written; each may be given once.
#[derive(Default)]
struct Written {
    format: Option<CopyFormat>,
    delimiter: Option<String>,
    null: Option<String>,
    header: Option<bool>,
    quote: Option<String>,
    escape: Option<String>,
    force_quote: Option<Option<Vec<String>>>,
}

fn invalid(message: impl Into<String>) -> QueryError {
    QueryError::new(QueryErrorCode::Syntax, message)
}

/// Reads the options after TO STDOUT, in the form with parentheses or the one before PostgreSQL 9.
///
/// # Errors
/// [`QueryError`]: an option is unknown, given twice or not one of the format.
pub(super) fn copy_options(reader: &mut TokenReader<'_>) -> Result<CopyOptions, QueryError> {
    reader.skip_word("with");
    let mut written = Written::default();
    if reader.skip(&Token::LParen) {
        loop {
            option(reader, &mut written)?;
            if !reader.skip(&Token::Comma) {
                break;
            }
        }
        if !reader.skip(&Token::RParen) {
            return Err(reader.expected("`,` or `)`"));
        }
    } else {
        while !reader.is_at_end() {
            old_option(reader, &mut written)?;
        }
    }
    checked(written)
}

fn set<T>(option: &mut Option<T>, name: &str, value: T) -> Result<(), QueryError> {
    match option.replace(value) {
        None => Ok(()),
        Some(_) => Err(invalid(format!("the option {name} of COPY is given twice"))),
    }
}

fn truth(reader: &mut TokenReader<'_>) -> Result<bool, QueryError> {
    match reader.peek() {
        None | Some(Token::Comma | Token::RParen) => Ok(true),
        Some(Token::Number(..)) => Ok(reader.number() != Some(0)),
        Some(Token::SingleQuotedString(_)) => truth_word(&reader.text()?),
        _ => truth_word(&reader.name()?),
    }
}

fn truth_word(word: &str) -> Result<bool, QueryError> {
    match word.to_lowercase().as_str() {
        "true" | "on" => Ok(true),
        "false" | "off" => Ok(false),
        _ => Err(invalid("the option HEADER of COPY is true or false")),
    }
}

fn format_of(name: &str) -> Result<CopyFormat, QueryError> {
    match name.to_lowercase().as_str() {
        "text" => Ok(CopyFormat::Text),
        "csv" => Ok(CopyFormat::Csv),
        "binary" => Ok(CopyFormat::Binary),
        other => Err(invalid(format!("the format of COPY is text, csv or binary, not {other}"))),
    }
}

fn columns(reader: &mut TokenReader<'_>) -> Result<Option<Vec<String>>, QueryError> {
    if reader.skip(&Token::Mul) {
        return Ok(None);
    }
    let parentheses = reader.skip(&Token::LParen);
    let mut names = vec![reader.name()?];
    while reader.skip(&Token::Comma) {
        names.push(reader.name()?);
    }
    if parentheses && !reader.skip(&Token::RParen) {
        return Err(reader.expected("`)`"));
    }
    Ok(Some(names))
}

fn option(reader: &mut TokenReader<'_>, written: &mut Written) -> Result<(), QueryError> {
    let name = reader.name()?;
    match name.as_str() {
        "format" => {
            let format = match reader.peek() {
                Some(Token::SingleQuotedString(_)) => reader.text()?,
                _ => reader.name()?,
            };
            set(&mut written.format, &name, format_of(&format)?)
        }
        "delimiter" => set(&mut written.delimiter, &name, reader.text()?),
        "null" => set(&mut written.null, &name, reader.text()?),
        "header" => set(&mut written.header, &name, truth(reader)?),
        "quote" => set(&mut written.quote, &name, reader.text()?),
        "escape" => set(&mut written.escape, &name, reader.text()?),
        "force_quote" => set(&mut written.force_quote, &name, columns(reader)?),
        "encoding" => encoding(&reader.text()?),
        other => Err(invalid(format!(
            "there is no option {other} of COPY ... TO; there are FORMAT, DELIMITER, NULL, HEADER, QUOTE, ESCAPE, FORCE_QUOTE, ENCODING"
        ))),
    }
}

fn old_option(reader: &mut TokenReader<'_>, written: &mut Written) -> Result<(), QueryError> {
    let name = reader.name()?;
    let text = |reader: &mut TokenReader<'_>| {
        reader.skip_word("as");
        reader.text()
    };
    match name.as_str() {
        "csv" => set(&mut written.format, "FORMAT", CopyFormat::Csv),
        "binary" => set(&mut written.format, "FORMAT", CopyFormat::Binary),
        "header" => set(&mut written.header, &name, true),
        "delimiter" | "delimiters" => set(&mut written.delimiter, &name, text(reader)?),
        "null" => set(&mut written.null, &name, text(reader)?),
        "quote" => set(&mut written.quote, &name, text(reader)?),
        "escape" => set(&mut written.escape, &name, text(reader)?),
        "encoding" => encoding(&text(reader)?),
        "force" if reader.skip_word("quote") => {
            set(&mut written.force_quote, &name, columns(reader)?)
        }
        _ => Err(invalid(format!("there is no option {name} of COPY ... TO"))),
    }
}

fn encoding(name: &str) -> Result<(), QueryError> {
    match super::values::encoding(name) {
        Ok(_) => Ok(()),
        Err(_) => Err(invalid("the encoding of COPY is UTF8")),
    }
}

/// One character of ASCII that may stand between values.
fn character(option: Option<String>, default: char, name: &str) -> Result<char, QueryError> {
    let Some(text) = option else { return Ok(default) };
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(one), None) if one.is_ascii() && !matches!(one, '\r' | '\n' | '\0') => Ok(one),
        _ => Err(invalid(format!("{name} of COPY is one ASCII character"))),
    }
}

fn checked(written: Written) -> Result<CopyOptions, QueryError> {
    let format = written.format.unwrap_or(CopyFormat::Text);
    let csv = format == CopyFormat::Csv;
    let only_csv =
        written.quote.is_some() || written.escape.is_some() || written.force_quote.is_some();
    let not_binary =
        written.delimiter.is_some() || written.null.is_some() || written.header == Some(true);
    if only_csv && !csv || not_binary && format == CopyFormat::Binary {
        return Err(invalid("an option of COPY is not one of its format"));
    }
    let quote = character(written.quote, '"', "QUOTE")?;
    let options = CopyOptions {
        format,
        delimiter: character(written.delimiter, if csv { ',' } else { '\t' }, "DELIMITER")?,
        null: written.null.unwrap_or_else(|| if csv { "" } else { "\\N" }.to_owned()),
        header: written.header.unwrap_or(false),
        quote,
        escape: character(written.escape, quote, "ESCAPE")?,
        force_quote: written.force_quote.unwrap_or(Some(Vec::new())),
    };
    let in_values = |c: char| c.is_ascii_alphanumeric() || c == '\\' || c == '.';
    if !csv && format == CopyFormat::Text && in_values(options.delimiter) {
        return Err(invalid("DELIMITER of COPY is no letter, digit, point or backslash"));
    }
    if options.null.contains(['\r', '\n', options.delimiter])
        || csv && (options.delimiter == quote || options.null.contains(quote))
    {
        return Err(invalid("DELIMITER, NULL and QUOTE of COPY must not contain each other"));
    }
    Ok(options)
}

/// Writes the rows of an answer.
pub(super) struct CopyWriter<'a> {
    answer: &'a Answer,
    options: &'a CopyOptions,
    names: Vec<String>,
}

impl<'a> CopyWriter<'a> {
    /// A writer of `answer`.
    ///
    /// # Errors
    /// A column has a type that the protocol does not know.
    pub(super) fn new(answer: &'a Answer, options: &'a CopyOptions) -> PgWireResult<Self> {
        let fields = answer.fields(&Format::UnifiedText)?;
        let names = fields.iter().map(|field| field.name().to_owned()).collect();
        Ok(Self { answer, options, names })
    }

    /// Number of columns.
    pub(super) fn columns(&self) -> usize {
        self.names.len()
    }

    /// Passes the parts of the copy to `write`.
    ///
    /// # Errors
    /// A value cannot be encoded.
    pub(super) fn parts(
        &self,
        text: TextFormat,
    ) -> Box<dyn Iterator<Item = PgWireResult<Vec<u8>>> + Send + '_> {
        if self.options.format == CopyFormat::Binary {
            return self.binary_parts(text);
        }
        let head = self.options.header.then(|| {
            let names = self.names.iter().cloned().map(Some).collect::<Vec<_>>();
            Ok(self.line(&names, false))
        });
        let lines = self.answer.texts(text).map(|values| Ok(self.line(&values?, true)));
        Box::new(head.into_iter().chain(lines))
    }

    fn binary_parts(
        &self,
        text: TextFormat,
    ) -> Box<dyn Iterator<Item = PgWireResult<Vec<u8>>> + Send + '_> {
        let fields = self.answer.fields(&Format::UnifiedBinary).map(Arc::new);
        let mut encoder = match fields {
            Ok(fields) => RowEncoder::new(fields, text),
            Err(error) => return Box::new(std::iter::once(Err(error))),
        };
        let rows = (0..self.answer.rows()).map(move |row| {
            let row = self.answer.encode(row, &mut encoder)?;
            let mut bytes = row.field_count.to_be_bytes().to_vec();
            bytes.extend_from_slice(&row.data);
            Ok(bytes)
        });
        // Clients expect the head and the first row in one message.
        let mut head = BINARY_HEAD.to_vec();
        let parts = rows.chain(std::iter::once(Ok(BINARY_END.to_vec())));
        Box::new(parts.map(move |part: PgWireResult<Vec<u8>>| {
            let mut bytes = std::mem::take(&mut head);
            bytes.extend(part?);
            Ok(bytes)
        }))
    }

    /// A line of values in the text or CSV format.
    fn line(&self, values: &[Option<String>], quotes: bool) -> Vec<u8> {
        let options = self.options;
        let mut line = String::new();
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                line.push(options.delimiter);
            }
            match value {
                None => line.push_str(&options.null),
                Some(value) if options.format == CopyFormat::Csv => {
                    let forced = quotes
                        && match &options.force_quote {
                            None => true,
                            Some(columns) => columns.contains(&self.names[index]),
                        };
                    self.push_csv(&mut line, value, forced, values.len() == 1);
                }
                Some(value) => self.push_text(&mut line, value),
            }
        }
        line.push('\n');
        line.into_bytes()
    }

    fn push_csv(&self, line: &mut String, value: &str, forced: bool, alone: bool) {
        let options = self.options;
        let special = [options.delimiter, options.quote, '\n', '\r'];
        // A line of only `\.` would end the copy.
        let quoted = forced
            || value == options.null
            || value.contains(special)
            || value.starts_with(' ')
            || value.ends_with(' ')
            || alone && value == "\\.";
        if !quoted {
            line.push_str(value);
            return;
        }
        line.push(options.quote);
        for c in value.chars() {
            if c == options.quote || c == options.escape {
                line.push(options.escape);
            }
            line.push(c);
        }
        line.push(options.quote);
    }

    fn push_text(&self, line: &mut String, value: &str) {
        for c in value.chars() {
            let escape = match c {
                '\\' => '\\',
                '\u{8}' => 'b',
                '\u{c}' => 'f',
                '\n' => 'n',
                '\r' => 'r',
                '\t' => 't',
                '\u{b}' => 'v',
                c if c == self.options.delimiter => c,
                c => {
                    line.push(c);
                    continue;
                }
            };
            line.push('\\');
            line.push(escape);
        }
    }
}
