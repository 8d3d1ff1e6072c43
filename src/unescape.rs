//! Copying a JSON string while dropping the backslashes of its escapes.
//!
//! The statistics of a file are JSON within a JSON string: every quote in them
//! is escaped, a few in each block of 32 bytes, and most of a commit's bytes go
//! through here. So the bytes to drop are marked for a whole block at once, and
//! dropped eight at a time by a table, with no branch that depends on where
//! they are. AVX2 does that with a shuffle; it is the one thing here that needs
//! `unsafe`, since the compiler has to be told that the processor was asked.

/// The bytes of a block.
const BLOCK: usize = 32;

/// What a copy needs at both ends: a block, and room for what is written behind
/// it.
pub(crate) const MARGIN: usize = 2 * BLOCK;

/// Copies the inside of a JSON string from `text` to `out`, without the
/// backslashes of `\"`, `\\` and `\/`, and says how many bytes it read and wrote.
///
/// It stops at a bare quote, at a control character and at the backslash of any
/// other escape; and at the latest where fewer than [`MARGIN`] bytes are left of
/// `text` or of `out`. Never between a backslash and its letter. What `out` holds
/// behind the bytes written is of no meaning.
pub(crate) fn copy_unescaped(text: &[u8], out: &mut [u8]) -> (usize, usize) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") {
        // SAFETY: the processor has just said that it has AVX2 and BMI1.
        return unsafe { avx2::copy_unescaped(text, out) };
    }
    copy_blocks(text, out, Marks::of, without)
}

/// Which bytes of a block are of each kind.
struct Marks {
    quotes: u32,
    backslashes: u32,
    slashes: u32,
    controls: u32,
}

impl Marks {
    fn of(block: &[u8; BLOCK]) -> Marks {
        let block = wide::u8x32::new(*block);
        let equal = |byte| block.simd_eq(wide::u8x32::splat(byte)).to_bitmask();
        Marks {
            quotes: equal(b'"'),
            backslashes: equal(b'\\'),
            slashes: equal(b'/'),
            controls: block.simd_eq(block.min(wide::u8x32::splat(0x1f))).to_bitmask(),
        }
    }
}

#[inline(always)]
fn copy_blocks(
    text: &[u8],
    out: &mut [u8],
    marks_of: impl Fn(&[u8; BLOCK]) -> Marks,
    without: impl Fn(u64, u8) -> u64,
) -> (usize, usize) {
    let (mut read, mut written) = (0, 0);
    while let (Some(from), Some(to)) = (
        text.get(read..).and_then(|rest| rest.first_chunk::<MARGIN>()),
        out.get_mut(written..).and_then(|rest| rest.first_chunk_mut::<MARGIN>()),
    ) {
        let (from, _) = from.split_first_chunk::<BLOCK>().unwrap_or((&[0; BLOCK], &[]));
        let Marks { quotes, backslashes, slashes, controls } = marks_of(from);
        if backslashes == 0 {
            to[..BLOCK].copy_from_slice(from);
            let end = (quotes | controls).trailing_zeros() as usize;
            read += end;
            written += end;
            if end < BLOCK {
                break;
            }
            continue;
        }
        let mut cut = false;
        let escaped = escaped(backslashes, &mut cut);
        // Other escapes, by their backslash.
        let others = (escaped & !(quotes | backslashes | slashes)) >> 1;
        let stops = quotes & !escaped | controls | others;
        // An escape that the block cuts is left to the next one.
        let end = (stops | u32::from(cut) << (BLOCK - 1)).trailing_zeros();
        let before_end = (1u64 << end).wrapping_sub(1) as u32;
        let dropped = backslashes & !escaped & before_end;
        let (words, _) = from.as_chunks::<8>();
        let mut kept = 0;
        let mut lane = |i: usize| {
            let marks = (dropped >> (i * 8)) as u8;
            let bytes = without(u64::from_le_bytes(words[i]), marks);
            // The mask changes nothing but what the compiler knows.
            let place = kept & (BLOCK - 1);
            to[place..place + 8].copy_from_slice(&bytes.to_le_bytes());
            kept += usize::from(KEPT[usize::from(marks)]);
        };
        lane(0);
        lane(1);
        lane(2);
        lane(3);
        read += end as usize;
        written += kept - (BLOCK - end as usize);
        if u64::from(stops) >> end & 1 != 0 {
            break;
        }
    }
    (read, written)
}

/// Which bytes of a block a backslash escapes. A run of backslashes escapes
/// the byte after it when its length is odd; adding each run that begins at an
/// odd place to the runs themselves carries a bit to that byte.
pub(crate) fn escaped(backslashes: u32, carry: &mut bool) -> u32 {
    const EVEN: u32 = 0x5555_5555;
    let carried = u32::from(*carry);
    // A backslash that is itself escaped begins nothing.
    let backslashes = backslashes & !carried;
    let after = backslashes << 1 | carried;
    let odd_starts = backslashes & !EVEN & !after;
    let (runs, overflow) = odd_starts.overflowing_add(backslashes);
    *carry = overflow;
    (EVEN ^ (runs << 1)) & after
}

/// For each set of marked bytes among eight: how many are not marked, the bytes
/// before the first that is, and the marks once that one is gone.
static KEPT: [u8; 256] = marks_table().0;
static BEFORE: [u64; 256] = marks_table().1;
static MARKS_LEFT: [u8; 256] = marks_table().2;

const fn marks_table() -> ([u8; 256], [u64; 256], [u8; 256]) {
    let (mut kept, mut before, mut left) = ([8; 256], [u64::MAX; 256], [0; 256]);
    let mut marks = 1;
    while marks < 256 {
        kept[marks] = 8 - (marks as u8).count_ones() as u8;
        before[marks] = (1 << (8 * marks.trailing_zeros())) - 1;
        left[marks] = ((marks & (marks - 1)) >> 1) as u8;
        marks += 1;
    }
    (kept, before, left)
}

/// Eight bytes without the marked ones, what is kept moved to the front.
#[inline]
fn without(mut bytes: u64, mut marks: u8) -> u64 {
    let mut drop_first = |marks: u8| {
        let before = BEFORE[usize::from(marks)];
        bytes = bytes & before | (bytes >> 8) & !before;
        MARKS_LEFT[usize::from(marks)]
    };
    // Two at the most, nearly always: doing both for nothing is cheaper than a
    // branch that is guessed wrong.
    marks = drop_first(marks);
    marks = drop_first(marks);
    while marks != 0 {
        marks = drop_first(marks);
    }
    bytes
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm_cvtsi64_si128, _mm_cvtsi128_si64, _mm_shuffle_epi8, _mm256_cmpeq_epi8,
        _mm256_min_epu8, _mm256_movemask_epi8, _mm256_set_epi64x, _mm256_set1_epi8,
    };

    use super::{BLOCK, Marks, copy_blocks};

    #[target_feature(enable = "avx2,bmi1")]
    pub(super) fn copy_unescaped(text: &[u8], out: &mut [u8]) -> (usize, usize) {
        copy_blocks(text, out, |block| marks_of(block), |bytes, marks| without(bytes, marks))
    }

    #[target_feature(enable = "avx2,bmi1")]
    #[inline]
    fn marks_of(block: &[u8; BLOCK]) -> Marks {
        let (words, _) = block.as_chunks::<8>();
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| i64::from_le_bytes(words[i]));
        let block = _mm256_set_epi64x(d, c, b, a);
        let mask = |found: __m256i| _mm256_movemask_epi8(found) as u32;
        let equal = |byte: u8| mask(_mm256_cmpeq_epi8(block, _mm256_set1_epi8(byte as i8)));
        let controls = _mm256_min_epu8(block, _mm256_set1_epi8(0x1f));
        Marks {
            quotes: equal(b'"'),
            backslashes: equal(b'\\'),
            slashes: equal(b'/'),
            controls: mask(_mm256_cmpeq_epi8(block, controls)),
        }
    }

    /// As [`super::without`].
    #[target_feature(enable = "avx2,bmi1")]
    #[inline]
    fn without(bytes: u64, marks: u8) -> u64 {
        let places = _mm_cvtsi64_si128(PLACES[usize::from(marks)].cast_signed());
        let bytes = _mm_cvtsi64_si128(bytes.cast_signed());
        _mm_cvtsi128_si64(_mm_shuffle_epi8(bytes, places)).cast_unsigned()
    }

    /// For each set of marked bytes among eight, where the others come from.
    static PLACES: [u64; 256] = {
        let mut table = [0; 256];
        let mut marks = 0;
        while marks < 256 {
            let (mut from, mut to) = (0, 0);
            while from < 8 {
                if marks >> from & 1 == 0 {
                    table[marks] |= (from as u64) << (8 * to);
                    to += 1;
                }
                from += 1;
            }
            marks += 1;
        }
        table
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What every way of copying gives, after it is made sure that they agree.
    fn copied(text: &[u8], room: usize) -> (usize, Vec<u8>) {
        let mut out = vec![0; room];
        let (read, written) = copy_blocks(text, &mut out, Marks::of, without);
        let mut other = vec![0; room];
        assert_eq!(copy_unescaped(text, &mut other), (read, written));
        assert_eq!(other[..written], out[..written]);
        out.truncate(written);
        (read, out)
    }

    #[test]
    fn marked_bytes_are_dropped_and_the_others_close_up() {
        let bytes = *b"01234567";
        for marks in 0..=255u8 {
            let kept: Vec<u8> = (0..8).filter(|i| marks >> i & 1 == 0).map(|i| bytes[i]).collect();
            let without = without(u64::from_le_bytes(bytes), marks).to_le_bytes();
            assert_eq!(usize::from(KEPT[usize::from(marks)]), kept.len());
            assert_eq!(without[..kept.len()], kept);
        }
    }

    #[test]
    fn it_stops_where_it_says() {
        let after = "y".repeat(200);
        for pad in 0..70 {
            let a = "a".repeat(pad);
            for (inside, stop) in [
                ("", "\""),
                (r#"\""#, "\""),
                (r"\\", "\""),
                (r"x\/", "\""),
                ("", r"\n"),
                (r#"\"\""#, r"\u00e9"),
                ("é", "\n"),
                (r"\\\\", "\u{0}"),
                (r"\\", r"\x"),
                (r"\\", "\\\n"),
            ] {
                let text = format!("{a}{inside}{stop}{after}");
                let (read, out) = copied(text.as_bytes(), 500);
                assert_eq!(read, pad + inside.len(), "{text}");
                let expected: String = serde_json::from_str(&format!("\"{a}{inside}\"")).unwrap();
                assert_eq!(out, expected.as_bytes(), "{text}");
            }
        }
    }

    #[test]
    fn it_goes_as_far_as_text_and_room_allow_and_never_cuts_an_escape() {
        for length in 0..300 {
            let text: Vec<u8> = br#"a\"b\\"#.iter().copied().cycle().take(length).collect();
            for room in [0, 63, 64, 100, 1000] {
                let (read, out) = copied(&text, room);
                assert!(read >= text.len().min(room).saturating_sub(MARGIN));
                assert!(read == 0 || out.len() <= read);
                let inside = std::str::from_utf8(&text[..read]).unwrap();
                let expected: String = serde_json::from_str(&format!("\"{inside}\"")).unwrap();
                assert_eq!(out, expected.as_bytes());
            }
        }
    }
}
