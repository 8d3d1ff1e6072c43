//! Strings lent to C: they keep their length, and end with a NUL as well.

use std::ffi::c_char;

/// A borrowed string: UTF-8, and NUL-terminated as well (the NUL is not
/// counted). It belongs to the handle it was asked of and is valid until that
/// handle is freed. data is NULL where there is no such string; an empty
/// string has data and the length 0. A NUL inside is possible, since JSON
/// allows it: then len tells the truth.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct engine_str {
    /// The bytes, or NULL.
    pub data: *const c_char,
    /// How many, without the final NUL.
    pub len: usize,
}

impl engine_str {
    pub(super) const NONE: engine_str = engine_str { data: std::ptr::null(), len: 0 };
}

// SAFETY: the pointer is only handed on here. What it points to never changes
// while it is lent, so C may follow it on any thread.
unsafe impl Send for engine_str {}
// SAFETY: as above.
unsafe impl Sync for engine_str {}

/// A key and its value.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct engine_property {
    /// The key.
    pub key: engine_str,
    /// The value.
    pub value: engine_str,
}

impl engine_property {
    pub(super) const NONE: engine_property =
        engine_property { key: engine_str::NONE, value: engine_str::NONE };
}

/// The way to a column: its name, or those of the structs that it lies in,
/// outermost first, and then its own. It belongs to the handle it was asked of.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct engine_column_path {
    /// The names, or NULL.
    pub names: *const engine_str,
    /// How many.
    pub names_len: usize,
}

impl engine_column_path {
    pub(super) const NONE: engine_column_path =
        engine_column_path { names: std::ptr::null(), names_len: 0 };
}

/// A string that a handle lends out.
pub(super) struct Text(Box<[u8]>);

impl Text {
    pub(super) fn new(text: &str) -> Self {
        let mut bytes = Vec::with_capacity(text.len() + 1);
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
        Text(bytes.into_boxed_slice())
    }

    pub(super) fn as_str(&self) -> engine_str {
        engine_str { data: self.0.as_ptr().cast(), len: self.0.len() - 1 }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0[..self.0.len() - 1]
    }
}

/// Keys and values that a handle lends out, in the order of the keys.
pub(super) struct Pairs(Vec<(Text, Text)>);

impl Pairs {
    /// `pairs` must be in the order of their keys.
    pub(super) fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let pairs = pairs.into_iter().map(|(key, value)| (Text::new(key), Text::new(value)));
        Pairs(pairs.collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn at(&self, index: usize) -> Option<engine_property> {
        let (key, value) = self.0.get(index)?;
        Some(engine_property { key: key.as_str(), value: value.as_str() })
    }

    pub(super) fn value(&self, key: &str) -> Option<engine_str> {
        let at = self.0.binary_search_by(|(k, _)| k.bytes().cmp(key.as_bytes())).ok()?;
        Some(self.0[at].1.as_str())
    }
}

/// The names on the way to a column, lent out.
pub(super) struct ColumnPath {
    names: Vec<engine_str>,
    /// What `names` point to.
    _texts: Vec<Text>,
}

impl ColumnPath {
    pub(super) fn new(path: &[String]) -> Self {
        let texts: Vec<Text> = path.iter().map(|name| Text::new(name)).collect();
        ColumnPath { names: texts.iter().map(Text::as_str).collect(), _texts: texts }
    }

    pub(super) fn lent(&self) -> engine_column_path {
        engine_column_path { names: self.names.as_ptr(), names_len: self.names.len() }
    }
}

/// `text` lent out, or the absent string.
pub(super) fn lent(text: Option<&Text>) -> engine_str {
    text.map_or(engine_str::NONE, Text::as_str)
}
