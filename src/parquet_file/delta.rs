//! Lengths that a page keeps as their differences: "Delta Encoding" of the Parquet
//! format (DELTA_BINARY_PACKED).
//!
//! A few bytes claim any number of them, and of texts that begin as the one before
//! them they make any number of bytes. The decoder takes them at their word, so
//! they are counted before it does.

/// What a run of lengths comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lengths {
    pub(super) sum: u64,
    /// Where what follows them begins.
    pub(super) end: usize,
}

/// How many numbers `bytes` begin with, by their header.
pub(super) fn count_of(bytes: &[u8]) -> Option<u64> {
    Some(Header::read(&mut Walk { bytes, at: 0 })?.count)
}

/// The lengths that `bytes` begin with, no more than `count_max`; `None` where they
/// are more, end too early or are negative.
pub(super) fn lengths_of(bytes: &[u8], count_max: usize) -> Option<Lengths> {
    let mut walk = Walk { bytes, at: 0 };
    let Header { in_block, miniblocks, count, first } = Header::read(&mut walk)?;
    if count > count_max as u64 || miniblocks == 0 || in_block % miniblocks != 0 {
        return None;
    }
    let in_miniblock = in_block / miniblocks;
    if count == 0 {
        return Some(Lengths { sum: 0, end: walk.at });
    }
    let mut sum = u64::try_from(first).ok()?;
    // The decoder's numbers have 32 bits, and wrap around.
    let mut length = i32::try_from(first).ok()?;
    let mut left = count - 1;
    while left > 0 {
        let least = walk.signed()?;
        let widths = walk.take(miniblocks)?;
        for &width in widths {
            if left == 0 {
                break;
            }
            if width > 32 || in_miniblock == 0 || in_miniblock % 8 != 0 {
                return None;
            }
            let size = usize::try_from(in_miniblock / 8).ok()?.checked_mul(width.into())?;
            let packed = walk.bytes.get(walk.at..)?;
            let here = left.min(in_miniblock);
            for i in 0..here {
                let bit = usize::try_from(i).ok()?.checked_mul(width.into())?;
                let delta = bits(packed, bit, width)?;
                length = i64::from(length).wrapping_add(least).wrapping_add(delta as i64) as i32;
                sum = sum.checked_add(u64::try_from(length).ok()?)?;
            }
            walk.at = walk.at.checked_add(size)?;
            left -= here;
        }
    }
    Some(Lengths { sum, end: walk.at.min(bytes.len()) })
}

/// The number of `width` bits, 32 at the most, that begins at a bit.
fn bits(packed: &[u8], bit: usize, width: u8) -> Option<u64> {
    if width == 0 {
        return Some(0);
    }
    let bytes = packed.get(bit / 8..(bit + usize::from(width)).div_ceil(8))?;
    let word = bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    Some(word >> (bit % 8) & ((1 << width) - 1))
}

struct Header {
    in_block: u64,
    miniblocks: u64,
    count: u64,
    first: i64,
}

impl Header {
    fn read(walk: &mut Walk<'_>) -> Option<Header> {
        let (in_block, miniblocks) = (walk.unsigned()?, walk.unsigned()?);
        Some(Header { in_block, miniblocks, count: walk.unsigned()?, first: walk.signed()? })
    }
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    fn unsigned(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// Zigzag: the sign is the last bit.
    fn signed(&mut self) -> Option<i64> {
        let value = self.unsigned()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn take(&mut self, count: u64) -> Option<&'a [u8]> {
        let end = self.at.checked_add(usize::try_from(count).ok()?)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of 128 numbers in 4 miniblocks; 3 numbers: 7, 5, 3.
    const FALLING: [u8; 8] = [0x80, 0x01, 0x04, 0x03, 0x0e, 0x03, 0, 0];

    #[test]
    fn lengths_are_summed_and_what_follows_them_is_found() {
        let falling = [&FALLING[..], &[0, 0, 0xff]].concat();
        assert_eq!(lengths_of(&falling, 3), Some(Lengths { sum: 15, end: 10 }));
        // The example of the format's description: 7, 5, 3, 1, 2, 3, 4, 5, of which
        // the differences are -2, -2, -2, 1, 1, 1, 1 and need two bits each.
        let packed = [0b1100_0000_u8, 0b0011_1111, 0, 0, 0, 0, 0, 0];
        let example =
            [&[0x80, 0x01, 0x04, 0x08, 0x0e, 0x03, 2, 0, 0, 0][..], &packed, &[0xff]].concat();
        assert_eq!(lengths_of(&example, 8), Some(Lengths { sum: 30, end: 18 }));
        assert_eq!(count_of(&example), Some(8));
        assert_eq!(lengths_of(&[0x80, 0x01, 0x04, 0x00, 0x00], 9).unwrap().sum, 0);
    }

    #[test]
    fn lengths_that_are_too_many_end_early_or_are_negative_are_refused() {
        let falling = [&FALLING[..], &[0, 0]].concat();
        assert_eq!(lengths_of(&falling, 2), None);
        assert_eq!(lengths_of(&falling[..9], 3), None);
        for len in 0..4 {
            assert_eq!(count_of(&falling[..len]), None);
        }
        // Five of them: 7, 5, 3, 1, -1.
        let below = [0x80, 0x01, 0x04, 0x05, 0x0e, 0x03, 0, 0, 0, 0];
        assert_eq!(lengths_of(&below, 9), None);
        let endless = [&[0x80, 0x01, 0x04][..], &[0xff; 9], &[0x01, 0x00]].concat();
        assert_eq!(count_of(&endless), Some(u64::MAX));
        assert_eq!(lengths_of(&endless, 1 << 20), None);
        // No miniblocks, ones of no number, ones too wide.
        assert_eq!(lengths_of(&[0x80, 0x01, 0x00, 0x02, 0x00, 0x00], 9), None);
        assert_eq!(lengths_of(&[0x00, 0x01, 0x02, 0x00, 0x00, 0x01], 9), None);
        assert_eq!(lengths_of(&[0x20, 0x01, 0x02, 0x00, 0x00, 0x21, 0, 0, 0, 0, 0], 9), None);
    }
}
