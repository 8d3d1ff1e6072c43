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

/// A key and its value.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct engine_property {
    /// The key.
    pub key: engine_str,
    /// The value.
    pub value: engine_str,
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
}

/// `text` lent out, or the absent string.
pub(super) fn lent(text: Option<&Text>) -> engine_str {
    text.map_or(engine_str::NONE, Text::as_str)
}
