//! What comes from C: strings and structs that say how long they are.

use std::ffi::{CStr, c_char};

use crate::error::{Error, Result};

/// The most bytes of a string that a caller gives: a path, a column, a key.
/// A string without an end is read no further than this.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// The largest `struct_size` that is believed.
const STRUCT_BYTES_MAX: usize = 4096;

/// The workers of a stream: none, so that everything runs on the thread that
/// calls. For the fields named threads, where 0 means the default.
pub const ENGINE_THREADS_NONE: i64 = -1;

/// The text at `text`; `what` names it in messages.
///
/// # Safety
/// `text` is NULL, or a NUL-terminated string that lives as long as `'a`.
pub(super) unsafe fn text<'a>(text: *const c_char, what: &str) -> Result<&'a str> {
    // SAFETY: as the caller says.
    unsafe { long_text(text, TEXT_BYTES_MAX, what) }
}

/// The text at `text`, of up to `bytes_max` bytes; `what` names it in messages.
///
/// # Safety
/// As for [`text`].
pub(super) unsafe fn long_text<'a>(
    text: *const c_char,
    bytes_max: usize,
    what: &str,
) -> Result<&'a str> {
    if text.is_null() {
        return Err(Error::invalid(format!("the {what} is NULL")));
    }
    // SAFETY: the caller says that the string ends with a NUL, and strnlen
    // reads no byte behind it, nor behind the limit.
    let len = unsafe { libc::strnlen(text, bytes_max + 1) };
    if len > bytes_max {
        return Err(Error::invalid(format!("the {what} is longer than {bytes_max} bytes")));
    }
    // SAFETY: a NUL was just found within the limit, and the caller says that
    // the string lives long enough.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|e| {
        Error::invalid(format!("the {what} is not UTF-8: byte {} is wrong", e.valid_up_to()))
    })
}

/// The `len` items at `items`; none for NULL. `what` names them in messages.
///
/// # Safety
/// `items` is NULL, or points to `len` values of `T` that live and do not change
/// as long as `'a`.
pub(super) unsafe fn array<'a, T>(
    items: *const T,
    len: usize,
    len_max: usize,
    what: &str,
) -> Result<&'a [T]> {
    if items.is_null() && len != 0 {
        return Err(Error::invalid(format!("{what} is NULL, but {what}_len is {len}")));
    }
    if len > len_max {
        return Err(Error::invalid(format!("{what}_len is {len}, more than {len_max}")));
    }
    if len == 0 {
        return Ok(&[]);
    }
    if !items.is_aligned() {
        return Err(Error::invalid(format!("{what} is not aligned")));
    }
    // SAFETY: the caller says that `len` items are there for long enough; that
    // they are aligned was just checked, and the limits keep them below
    // isize::MAX bytes.
    Ok(unsafe { std::slice::from_raw_parts(items, len) })
}

/// Refuses `flags` that have a bit beside those of `known`.
pub(super) fn flags(flags: u64, known: u64) -> Result<()> {
    match flags & !known {
        0 => Ok(()),
        _ => Err(Error::invalid(format!("flags has a bit that means nothing: {flags:#x}"))),
    }
}

/// A struct whose first field is `size_t struct_size`.
///
/// # Safety
/// The type is `repr(C)` and its first field is a `usize`.
pub(super) unsafe trait SizedStruct: Copy {
    /// The C name.
    const NAME: &'static str;
    /// Zero in every field.
    const ZERO: Self;
}

/// A struct that a caller may fill as it likes.
///
/// # Safety
/// All bit patterns of the type are valid.
pub(super) unsafe trait AnyBits: SizedStruct {}

/// The size that the struct at `ptr` says it has.
///
/// # Safety
/// `ptr` points to at least a `size_t`.
unsafe fn struct_size<T: SizedStruct>(ptr: *const T) -> Result<usize> {
    let name = T::NAME;
    if !ptr.is_aligned() {
        return Err(Error::invalid(format!("the {name} is not aligned")));
    }
    // SAFETY: the caller says that a size_t is there; it was just found to be
    // aligned.
    let size = unsafe { ptr.cast::<usize>().read() };
    if size < size_of::<usize>() || size > STRUCT_BYTES_MAX || !size.is_multiple_of(align_of::<T>())
    {
        return Err(Error::invalid(format!(
            "struct_size of the {name} is {size}; it must be sizeof({name})"
        )));
    }
    Ok(size)
}

/// A copy of the struct at `ptr`; fields that an older caller does not have,
/// and all fields when `ptr` is NULL, are zero.
///
/// # Safety
/// `ptr` is NULL, or points to a `size_t` and as many readable bytes as it says.
pub(super) unsafe fn read_struct<T: AnyBits>(ptr: *const T) -> Result<T> {
    let mut value = T::ZERO;
    if ptr.is_null() {
        return Ok(value);
    }
    // SAFETY: the caller's promise includes the size_t.
    let size = unsafe { struct_size(ptr) }?;
    let bytes = ptr.cast::<u8>();
    // SAFETY: the caller says that `size` bytes are there to be read, and
    // bytes need no alignment. The slice is dropped before this call returns.
    let bytes = unsafe { std::slice::from_raw_parts(bytes, size) };
    let (known, tail) = bytes.split_at(size.min(size_of::<T>()));
    // A newer caller that leaves its new fields at zero asks for nothing that
    // this library does not know.
    if tail.iter().any(|&byte| byte != 0) {
        return Err(Error::invalid(format!(
            "the {} sets a field that this version of the library does not have",
            T::NAME
        )));
    }
    let to = (&raw mut value).cast::<u8>();
    // SAFETY: `known` is no longer than `T`, `value` is another object, and
    // the trait says that any bytes make a `T`.
    unsafe { to.copy_from_nonoverlapping(known.as_ptr(), known.len()) };
    Ok(value)
}

/// Writes as much of `value` as the struct at `ptr` has room for; its
/// struct_size stays, and fields that this library does not know become zero.
///
/// # Safety
/// `ptr` is NULL, or points to a `size_t` and as many writable bytes as it says.
pub(super) unsafe fn write_struct<T: SizedStruct>(ptr: *mut T, value: &T) -> Result<()> {
    if ptr.is_null() {
        return Err(Error::invalid(format!("the {} is NULL", T::NAME)));
    }
    // SAFETY: the caller's promise includes the size_t.
    let size = unsafe { struct_size(ptr) }?;
    let first = size_of::<usize>();
    let known = size.min(size_of::<T>());
    let from = std::ptr::from_ref(value).cast::<u8>();
    let to = ptr.cast::<u8>();
    // SAFETY: a `T` begins with a usize.
    let from = unsafe { from.add(first) };
    // SAFETY: the caller's struct begins with a size_t, which stays as it is.
    let to_known = unsafe { to.add(first) };
    // SAFETY: `known` is neither more than `value` has nor more than the caller
    // says may be written; an untyped copy may copy padding; the caller's
    // memory is not a local of this call.
    unsafe { to_known.copy_from_nonoverlapping(from, known - first) };
    // SAFETY: from `known` to `size`, all of which the caller says may be written.
    let to_tail = unsafe { to.add(known) };
    // SAFETY: as above.
    unsafe { to_tail.write_bytes(0, size - known) };
    Ok(())
}

/// The number of workers that `threads` asks for; `None` for the default.
pub(super) fn threads(threads: i64) -> Result<Option<usize>> {
    match threads {
        0 => Ok(None),
        ENGINE_THREADS_NONE => Ok(Some(0)),
        n => match usize::try_from(n) {
            Ok(n) => Ok(Some(n)),
            Err(_) => Err(Error::invalid(format!(
                "threads is {n}; it must be 0 for the default, ENGINE_THREADS_NONE, or a number \
                 of threads"
            ))),
        },
    }
}

/// A size or a number that the caller gives; `None` for zero, the default.
pub(super) fn count(value: u64, name: &str) -> Result<Option<usize>> {
    if value == 0 {
        return Ok(None);
    }
    match usize::try_from(value) {
        Ok(value) => Ok(Some(value)),
        Err(_) => Err(Error::invalid(format!("{name} is {value}, more than a size_t holds"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Options {
        struct_size: usize,
        a: u64,
        b: u64,
    }

    // SAFETY: three integers, a usize first.
    unsafe impl SizedStruct for Options {
        const NAME: &'static str = "options";
        const ZERO: Self = Options { struct_size: 0, a: 0, b: 0 };
    }
    // SAFETY: integers.
    unsafe impl AnyBits for Options {}

    fn read(words: &[u64]) -> Result<(u64, u64)> {
        // SAFETY: each test gives no fewer words than the first one says.
        unsafe { read_struct(words.as_ptr().cast::<Options>()) }.map(|o| (o.a, o.b))
    }

    #[test]
    fn an_older_callers_struct_leaves_the_newer_fields_at_zero() {
        assert_eq!(read(&[8]).unwrap(), (0, 0));
        assert_eq!(read(&[16, 5]).unwrap(), (5, 0));
        assert_eq!(read(&[24, 5, 6]).unwrap(), (5, 6));
    }

    #[test]
    fn a_newer_callers_struct_is_fine_while_its_new_fields_are_zero() {
        assert_eq!(read(&[32, 5, 6, 0]).unwrap(), (5, 6));
        let e = read(&[32, 5, 6, 1]).unwrap_err();
        assert!(e.message().contains("does not have"), "{e}");
    }

    #[test]
    fn an_odd_struct_size_is_refused_before_anything_else_is_read() {
        for size in [0, 1, 7, 9, 23, 4097, 1 << 20, u64::MAX] {
            assert!(read(&[size]).is_err(), "{size}");
        }
    }

    #[test]
    fn a_struct_that_is_not_aligned_is_refused() {
        let words = [24u64, 0, 0, 0];
        // SAFETY: the pointer is only looked at, since it is not aligned.
        let answer = unsafe { read_struct(words.as_ptr().wrapping_byte_add(1).cast::<Options>()) };
        assert!(answer.is_err());
    }

    #[test]
    fn a_struct_is_written_as_far_as_the_caller_has_room() {
        let value = Options { struct_size: 24, a: 5, b: 6 };
        for (size, expected) in [
            (8, [8, 9, 9, 9, 9]),
            (16, [16, 5, 9, 9, 9]),
            (24, [24, 5, 6, 9, 9]),
            (32, [32, 5, 6, 0, 9]),
        ] {
            let mut words = [size, 9, 9, 9, 9u64];
            // SAFETY: `words` has 40 bytes, more than `size`.
            unsafe { write_struct(words.as_mut_ptr().cast::<Options>(), &value) }.unwrap();
            assert_eq!(words, expected);
        }
    }

    #[test]
    fn an_array_is_refused_before_it_is_read() {
        let words = [5u64, 6];
        let (items, null) = (words.as_ptr(), std::ptr::null::<u64>());
        let odd = items.wrapping_byte_add(1);
        // SAFETY: what is accepted has no more items than `words`.
        let read = |items, len| unsafe { array(items, len, 3, "words") };
        assert_eq!(read(items, 2).unwrap(), words);
        assert_eq!((read(null, 0).unwrap(), read(odd, 0).unwrap()), (&[][..], &[][..]));
        for (items, len, found) in [
            (null, 1, "words is NULL, but words_len is 1"),
            (items, 4, "words_len is 4, more than 3"),
            (items, usize::MAX, "more than 3"),
            (odd, 1, "words is not aligned"),
        ] {
            let e = read(items, len).unwrap_err();
            assert!(e.message().contains(found), "{e}");
        }
    }

    #[test]
    fn a_text_without_an_end_is_refused_at_the_limit() {
        let long = vec![b'x'; TEXT_BYTES_MAX + 1];
        // SAFETY: there is no NUL, and strnlen stops at the last byte.
        let e = unsafe { text(long.as_ptr().cast(), "table") }.unwrap_err();
        assert_eq!(e.to_string(), "invalid argument: the table is longer than 65536 bytes");
    }

    #[test]
    fn a_text_that_is_not_utf_8_is_refused() {
        // SAFETY: a C string literal.
        let e = unsafe { text(c"ab\xff".as_ptr(), "table") }.unwrap_err();
        assert_eq!(e.to_string(), "invalid argument: the table is not UTF-8: byte 2 is wrong");
    }
}
