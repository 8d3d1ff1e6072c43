//! Strings that are checked fast: the one exception to where `unsafe` may be.
//!
//! `StringArray::try_new` checks the text with the standard library's validator,
//! which took 6% of the CPU of a listing; `simdutf8` takes a third of that, but
//! an array cannot be told so without `unsafe`. The proof is all in here, and
//! rests on nothing that a caller promises.

use arrow::array::StringArray;
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};

/// The array of the strings that end at `ends` in `text`; the first begins at
/// the text's beginning.
///
/// # Errors
/// What is wrong with them, where they are no strings.
pub(crate) fn utf8_array(
    ends: &[i32],
    text: Buffer,
    nulls: Option<NullBuffer>,
) -> Result<StringArray, &'static str> {
    let mut offsets = Vec::with_capacity(ends.len() + 1);
    offsets.push(0);
    offsets.extend_from_slice(ends);
    // Without a branch on each. That none falls, and so that none is negative.
    let rises = offsets.windows(2).fold(true, |all, two| all & (two[0] <= two[1]));
    let last = offsets.last().copied().unwrap_or(0);
    if !rises || usize::try_from(last).map_or(true, |last| last > text.len()) {
        return Err("a text ends before it begins, or beyond all texts");
    }
    // Between two characters of ASCII is every place.
    if !text.is_ascii() {
        let string = simdutf8::basic::from_utf8(&text).map_err(|_| "a text is not UTF-8")?;
        if !ends.iter().all(|&end| string.is_char_boundary(end as usize)) {
            return Err("a text ends within a character");
        }
    }
    if nulls.as_ref().is_some_and(|nulls| nulls.len() != ends.len()) {
        return Err("a column has another number of nulls than of texts");
    }
    let offsets = OffsetBuffer::new(offsets.into());
    // SAFETY: the offsets begin at 0 and never fall, none lies beyond the text,
    // the text is UTF-8 and each offset lies between two characters, and there
    // is a null bit for each value: all of it was checked above.
    Ok(unsafe { StringArray::new_unchecked(offsets, text, nulls) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Array;

    #[test]
    fn what_is_accepted_is_what_arrow_accepts() {
        let nulls = |n: usize| Some(NullBuffer::from(vec![true; n]));
        let texts: [&[u8]; 3] = [b"", b"abc", "aüb".as_bytes()];
        assert!(utf8_array(&[3], Buffer::from(b"a\xffb"), None).is_err());
        let cases: [&[i32]; 9] =
            [&[], &[0], &[1, 2], &[2, 1], &[-1], &[3], &[4], &[0, 0, 3], &[1, 3, 4]];
        let mut accepted = 0;
        for text in texts {
            for ends in cases {
                for nulls in [None, nulls(ends.len()), nulls(ends.len() + 1)] {
                    let array = utf8_array(ends, Buffer::from(text), nulls.clone());
                    let falls = ends.windows(2).any(|two| two[1] < two[0]) || ends.contains(&-1);
                    let expected = (!falls).then(|| {
                        let offsets = [&[0], ends].concat();
                        let offsets = OffsetBuffer::new(offsets.into());
                        StringArray::try_new(offsets, Buffer::from(text), nulls).ok()
                    });
                    let array = array.ok();
                    assert_eq!(array, expected.flatten(), "{text:?} {ends:?}");
                    accepted += array
                        .map_or(0, |array| usize::from(array.to_data().validate_full().is_ok()));
                }
            }
        }
        assert!(accepted > 20, "{accepted}");
    }
}
