//! Keys of objects that the client of the store cannot hold.
//!
//! The key of an object is any text. The client takes it for a path, and one key with `//`, `..` or a line break makes it
//! refuse the whole listing in which it stands. So such entries are taken out of a listing before the client reads it, and
//! are counted.

use super::discovery::Tally;
use crate::lock::lock;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService, ReqwestConnector,
};
use object_store::path::Path;
use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};
use trailhound_datasets::reject::excerpt;

/// Largest page of a listing, in bytes: a thousand keys of a thousand characters, each of them escaped.
const PAGE_BYTES_MAX: usize = 16 << 20;
/// Keys that are counted.
const COUNTED_MAX: usize = 10_000;

/// The keys that were left out of listings.
#[derive(Debug, Clone, Default)]
pub(super) struct LeftOutKeys(Arc<Mutex<BTreeSet<String>>>);

impl LeftOutKeys {
    /// The number of keys since the last call, and one of them.
    pub(super) fn take(&self) -> Tally {
        let keys = std::mem::take(&mut *lock(&self.0));
        Tally { count: keys.len() as u64, example: keys.first().map(|key| excerpt(key.as_bytes())) }
    }

    fn add(&self, key: String) {
        let mut keys = lock(&self.0);
        if keys.len() < COUNTED_MAX {
            keys.insert(key);
        }
    }
}

/// Connects to the store, and takes the entries with such keys out of its listings.
#[derive(Debug)]
pub(super) struct ListingFilter(pub(super) LeftOutKeys);

impl HttpConnector for ListingFilter {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(FilteredService { inner, left_out: self.0.clone() }))
    }
}

#[derive(Debug)]
struct FilteredService {
    inner: HttpClient,
    left_out: LeftOutKeys,
}

#[async_trait]
impl HttpService for FilteredService {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let has = |wanted: &str| {
            request
                .uri()
                .query()
                .is_some_and(|query| query.split('&').any(|p| p.starts_with(wanted)))
        };
        let (is_listing, is_of_folders) = (has("list-type="), has("delimiter="));
        let response = self.inner.execute(request).await?;
        if !is_listing || !response.status().is_success() {
            return Ok(response);
        }
        let (mut parts, body) = response.into_parts();
        let page = page(body).await?;
        let Ok(text) = std::str::from_utf8(&page) else {
            return Ok(HttpResponse::from_parts(parts, page.into()));
        };
        let mut keys = Vec::new();
        let text = without(text, "Contents", "Key", &mut keys);
        if !is_of_folders {
            keys.drain(..).for_each(|key| self.left_out.add(key));
        }
        let text = without(&text, "CommonPrefixes", "Prefix", &mut keys);
        parts.headers.remove("content-length");
        Ok(HttpResponse::from_parts(parts, text.into()))
    }
}

/// The bytes of a page, which are bounded.
async fn page(body: HttpResponseBody) -> Result<Bytes, HttpError> {
    let (mut page, mut body) = (Vec::new(), body.bytes_stream());
    while let Some(bytes) = body.next().await {
        page.extend_from_slice(&bytes?);
        if page.len() > PAGE_BYTES_MAX {
            let error =
                io::Error::other(format!("a page of a listing has over {PAGE_BYTES_MAX} bytes"));
            return Err(HttpError::new(HttpErrorKind::Decode, error));
        }
    }
    Ok(page.into())
}

/// The answer `listing` without the elements called `element` whose member `name` is no path. Their keys are added to
/// `left_out`.
fn without(listing: &str, element: &str, name: &str, left_out: &mut Vec<String>) -> String {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let (mut kept, mut rest) = (String::with_capacity(listing.len()), listing);
    while let Some(start) = rest.find(&open) {
        let Some(length) = rest[start..].find(&close) else { break };
        let end = start + length + close.len();
        let key = member(&rest[start..end], name).map(plain);
        match key.filter(|key| !is_path(key)) {
            Some(key) => {
                kept.push_str(&rest[..start]);
                left_out.push(key);
            }
            None => kept.push_str(&rest[..end]),
        }
        rest = &rest[end..];
    }
    kept.push_str(rest);
    kept
}

/// The text of the first member `name` of an element.
fn member<'x>(element: &'x str, name: &str) -> Option<&'x str> {
    let (_, rest) = element.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

/// True where the client's path is the key itself. A folder's key ends with a slash.
fn is_path(key: &str) -> bool {
    let name = key.strip_suffix('/').unwrap_or(key);
    !name.is_empty() && Path::parse(key).is_ok_and(|path| path.as_ref() == name)
}

/// The text that XML text stands for.
fn plain(text: &str) -> String {
    let literal = text.trim().strip_prefix("<![CDATA[").and_then(|text| text.strip_suffix("]]>"));
    if let Some(literal) = literal {
        return literal.to_owned();
    }
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, entity)) = rest.split_once('&') {
        plain.push_str(before);
        let named = entity.split_once(';').and_then(|(name, rest)| Some((character(name)?, rest)));
        match named {
            Some((character, after)) => {
                plain.push(character);
                rest = after;
            }
            None => {
                plain.push('&');
                rest = entity;
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// The character of an entity of XML.
fn character(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_whose_key_is_no_path_are_left_out() {
        let entry = |key: &str| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>");
        let kept = ["a/b", "a/b&amp;c", "a/ü %2e", "a/folder/", "a/...", "a/&lt;b&gt;"];
        let left_out =
            ["a//b", "/a/b", "a/../b", "a/./b", "..", "a/b&#xA;c", "a/&#10;", "a/\n/b", "/"];
        let all: String = kept.iter().chain(&left_out).map(|key| entry(key)).collect();
        let mut keys = Vec::new();
        let text = without(&format!("<R><Name>n</Name>{all}</R>"), "Contents", "Key", &mut keys);
        let expected: String = kept.iter().map(|key| entry(key)).collect();
        assert_eq!(text, format!("<R><Name>n</Name>{expected}</R>"));
        assert_eq!(keys.len(), left_out.len(), "{keys:?}");
        assert_eq!(keys[5], "a/b\nc");
        let mut keys = Vec::new();
        let folders = "<CommonPrefixes><Prefix>a//</Prefix></CommonPrefixes>";
        assert_eq!(without(folders, "CommonPrefixes", "Prefix", &mut keys), "");
    }
}
