//! Lines of lists (FORMAT M-1.5, M-1.7).

use std::borrow::Cow;

use flagstone_model::digest::Digest;
use flagstone_model::json::Json;

use super::{At, Compiler, unsigned};
use crate::lists::ListLine;

/// How the object of a list is compressed; a reader of this level knows no other way.
const ENCODING: &str = "zstd";

impl Compiler<'_, '_> {
    /// `None`: the list cannot be read, so that tests on it are unsupported.
    pub(super) fn list(&mut self, members: &[(Cow<'_, str>, Json<'_>)]) -> Option<ListLine> {
        let (mut sha256, mut size, mut raw_size, mut count) = (None, None, None, None);
        let (mut add, mut drop) = (Box::default(), Box::default());
        let mut is_zstd = None;
        for (name, value) in members {
            let read = match name.as_ref() {
                "list" => Some(()),
                "encoding" => (value.as_str() == Some(ENCODING)).then(|| is_zstd = Some(())),
                "sha256" => value.as_str().and_then(Digest::parse).map(|digest| sha256 = Some(digest)),
                "size" => unsigned(value).map(|bytes| size = Some(bytes)),
                "raw_size" => unsigned(value).map(|bytes| raw_size = Some(bytes)),
                "count" => unsigned(value).map(|keys| count = Some(keys)),
                "add" => keys(value).map(|keys| add = keys),
                "drop" => keys(value).map(|keys| drop = keys),
                _ => None,
            };
            if read.is_none() {
                return self.unreadable(&At::TOP.name(name));
            }
        }
        let (Some(sha256), Some(size), Some(raw_size), Some(_), Some(())) =
            (sha256, size, raw_size, count, is_zstd)
        else {
            return self.unreadable(&At::TOP);
        };
        Some(ListLine { sha256, size, raw_size, add, drop })
    }
}

fn keys(json: &Json<'_>) -> Option<Box<[Box<str>]>> {
    let mut keys: Vec<Box<str>> =
        json.as_array()?.iter().map(|key| key.as_str().map(Box::from)).collect::<Option<_>>()?;
    keys.sort_unstable();
    Some(keys.into())
}
