//! Walks over Thrift's compact protocol before the Parquet crate reads it.
//!
//! That crate follows a schema by recursion as deep as a footer has it nest, and
//! takes memory for as many children or pages as are claimed: either ends the
//! process, which no error can. What it does not know it skips, as long as that is
//! said to be. A walk over the same bytes costs little and finds that before.

/// Types nest no deeper. The table's own nest to a hundred, and a list or a map in
/// it takes three levels of a file.
const SCHEMA_DEPTH_MAX: usize = 400;
/// Structs, lists and maps in each other. Parquet's are ten deep.
const DEPTH_MAX: usize = 32;

const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// What is wrong with the bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// There are too few of them.
    CutOff,
    Wrong(&'static str),
}

type Walked<T = ()> = Result<T, Flaw>;

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Flaw::CutOff => "metadata ends early",
            Flaw::Wrong(what) => what,
        })
    }
}

/// Checks that `bytes` begin with a struct that can be read.
pub(super) fn check_struct(bytes: &[u8]) -> Walked {
    Walk { bytes }.skip_fields(0)
}

/// Checks a footer: a struct that can be read, whose second field is a tree of types
/// that nest no deeper than they may ("FileMetaData" of the Parquet format).
pub(super) fn check_footer(bytes: &[u8]) -> Walked {
    let mut walk = Walk { bytes };
    let mut last = 0;
    while let Some((id, kind)) = walk.field(last)? {
        match (id, kind) {
            (2, LIST) => walk.check_schema()?,
            (2, _) => return Err(Flaw::Wrong("the schema is no list")),
            _ => walk.skip(kind, 1)?,
        }
        last = id;
    }
    Ok(())
}

/// Checks a column index: its lists are of what they should be, which the crate does
/// not ask, and no longer than there are bytes ("ColumnIndex").
pub(super) fn check_column_index(bytes: &[u8]) -> Walked {
    let mut walk = Walk { bytes };
    let mut last = 0;
    while let Some((id, kind)) = walk.field(last)? {
        let elements = match id {
            1 => [1, 2],
            2 | 3 => [BINARY; 2],
            5..=8 => [I64; 2],
            _ => {
                if id == 4 && kind != I32 {
                    return Err(Flaw::Wrong("a field of a column index has the wrong type"));
                }
                walk.skip(kind, 1)?;
                last = id;
                continue;
            }
        };
        let header = walk.bytes.first().ok_or(Flaw::CutOff)?;
        let is_list = kind == LIST && elements.contains(&(header & 0xf));
        if !is_list {
            return Err(Flaw::Wrong("a field of a column index has the wrong type"));
        }
        if id == 1 {
            // Booleans in a list have a byte each.
            let (count, _) = walk.count()?;
            walk.take(count)?;
        } else {
            walk.skip(kind, 1)?;
        }
        last = id;
    }
    Ok(())
}

/// What stands before the bits of a Bloom filter ("BloomFilterHeader").
pub(super) struct BloomHeader {
    /// Its own bytes.
    pub(super) len: usize,
    /// Those of the bits behind it.
    pub(super) bits: u64,
}

/// Reads the header of a Bloom filter of the one kind that there is: blocks, of
/// hashes by xxHash, not compressed.
pub(super) fn bloom_header(bytes: &[u8]) -> Walked<BloomHeader> {
    let mut walk = Walk { bytes };
    let (mut bits, mut known) = (None, 0);
    let mut last = 0;
    while let Some((id, kind)) = walk.field(last)? {
        match (id, kind) {
            (1, I32) => bits = u64::try_from(walk.signed()?).ok(),
            (2..=4, STRUCT) => {
                let mut before = 0;
                while let Some((member, kind)) = walk.field(before)? {
                    known += usize::from(member == 1);
                    walk.skip(kind, 1)?;
                    before = member;
                }
            }
            _ => walk.skip(kind, 1)?,
        }
        last = id;
    }
    match bits {
        Some(bits) if known == 3 => Ok(BloomHeader { len: bytes.len() - walk.bytes.len(), bits }),
        _ => Err(Flaw::Wrong("a Bloom filter of another kind")),
    }
}

struct Walk<'a> {
    bytes: &'a [u8],
}

impl Walk<'_> {
    fn take(&mut self, count: u64) -> Walked {
        let count = usize::try_from(count).map_err(|_| Flaw::CutOff)?;
        self.bytes = self.bytes.get(count..).ok_or(Flaw::CutOff)?;
        Ok(())
    }

    fn byte(&mut self) -> Walked<u8> {
        let (&byte, rest) = self.bytes.split_first().ok_or(Flaw::CutOff)?;
        self.bytes = rest;
        Ok(byte)
    }

    fn varint(&mut self) -> Walked<u64> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Flaw::Wrong("a number has no end"))
    }

    fn signed(&mut self) -> Walked<i64> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The next field's number and type, `None` at the end of its struct.
    fn field(&mut self, last: i64) -> Walked<Option<(i64, u8)>> {
        let header = self.byte()?;
        match (header >> 4, header & 0xf) {
            (_, 0) => Ok(None),
            (0, kind) => Ok(Some((self.signed()?, kind))),
            (step, kind) => Ok(Some((last + i64::from(step), kind))),
        }
    }

    /// How many elements a list says that it has, and their type.
    fn count(&mut self) -> Walked<(u64, u8)> {
        let header = self.byte()?;
        let count = match header >> 4 {
            15 => self.varint()?,
            few => few.into(),
        };
        Ok((count, header & 0xf))
    }

    /// How many elements a list has, and their type.
    fn list(&mut self) -> Walked<(u64, u8)> {
        let (count, kind) = self.count()?;
        // Every element has a byte. Of booleans the crate does not think so, and
        // Parquet has no lists of them here.
        match kind {
            0..=2 if count > 0 => Err(Flaw::Wrong("a list of elements without bytes")),
            _ if count > self.bytes.len() as u64 => Err(Flaw::CutOff),
            _ => Ok((count, kind)),
        }
    }

    fn skip_fields(&mut self, depth: usize) -> Walked {
        while let Some((_, kind)) = self.field(0)? {
            self.skip(kind, depth + 1)?;
        }
        Ok(())
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Walked {
        if depth > DEPTH_MAX {
            return Err(Flaw::Wrong("metadata nests too deep"));
        }
        match kind {
            // A boolean is its type.
            1 | 2 => Ok(()),
            3 => self.take(1),
            4..=6 => self.varint().map(|_| ()),
            7 => self.take(8),
            BINARY => {
                let len = self.varint()?;
                self.take(len)
            }
            LIST | 10 => {
                let (count, kind) = self.list()?;
                (0..count).try_for_each(|_| self.skip(kind, depth + 1))
            }
            11 => match self.varint()? {
                0 => Ok(()),
                _ => Err(Flaw::Wrong("a map, which Parquet's metadata has none of")),
            },
            STRUCT => self.skip_fields(depth),
            13 => self.take(16),
            _ => Err(Flaw::Wrong("a field of a type that there is not")),
        }
    }

    /// The types of a schema, each before its children: a list of "SchemaElement".
    fn check_schema(&mut self) -> Walked {
        let (count, kind) = self.list()?;
        if count > 0 && kind != STRUCT {
            return Err(Flaw::Wrong("the schema is no list of types"));
        }
        // Of each group that is not complete, how many children are to come.
        let mut open: Vec<u64> = Vec::new();
        let mut unclaimed = count.saturating_sub(1);
        for _ in 0..count {
            let children = self.children()?;
            if children > unclaimed {
                return Err(Flaw::Wrong("the schema has fewer types than it claims"));
            }
            unclaimed -= children;
            open.push(children);
            if open.len() > SCHEMA_DEPTH_MAX {
                return Err(Flaw::Wrong("the schema nests too deep"));
            }
            while open.last() == Some(&0) {
                open.pop();
                open.last_mut().into_iter().for_each(|parent| *parent = parent.saturating_sub(1));
            }
        }
        Ok(())
    }

    /// How many children the type that comes next has.
    fn children(&mut self) -> Walked<u64> {
        let mut children = 0;
        let mut last = 0;
        while let Some((id, kind)) = self.field(last)? {
            // The crate reads these as what they should be, whatever they are.
            let is_right = match id {
                1..=3 | 5..=9 => kind == I32,
                4 => kind == BINARY,
                10 => kind == STRUCT,
                _ => true,
            };
            if !is_right {
                return Err(Flaw::Wrong("a field of the schema has the wrong type"));
            }
            match id {
                5 => {
                    let claimed = u64::try_from(self.signed()?);
                    children =
                        claimed.map_err(|_| Flaw::Wrong("a type of fewer than no children"))?;
                }
                _ => self.skip(kind, 1)?,
            }
            last = id;
        }
        Ok(children)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A footer whose schema are types of so many children.
    fn footer(children: &[u8]) -> Vec<u8> {
        // The version; the schema, with its length behind its type.
        let mut bytes = vec![0x15, 2, 0x19, 0xfc];
        let mut count = children.len();
        while count >= 0x80 {
            bytes.push((count & 0x7f) as u8 | 0x80);
            count >>= 7;
        }
        bytes.push(count as u8);
        for &children in children {
            // A name, and how many children.
            bytes.extend([0x48, 1, b'a', 0x15, children << 1, 0]);
        }
        bytes.push(0);
        bytes
    }

    #[test]
    fn a_schema_nests_no_deeper_than_it_may_and_has_the_types_that_it_claims() {
        let chain = |depth: usize| [vec![1; depth - 1], vec![0]].concat();
        for (depth, is_fine) in
            [(1, true), (SCHEMA_DEPTH_MAX, true), (SCHEMA_DEPTH_MAX + 1, false), (100_000, false)]
        {
            assert_eq!(check_footer(&footer(&chain(depth))).is_ok(), is_fine, "{depth}");
        }
        // Beside each other, however many.
        let wide = [vec![63], [vec![1; 1], vec![0]].concat().repeat(63)].concat();
        assert_eq!(check_footer(&footer(&wide)), Ok(()));
        assert_eq!(check_footer(&footer(&[])), Ok(()));
        for children in [vec![1], vec![2, 0], vec![2, 1, 0], vec![1, 1]] {
            assert!(check_footer(&footer(&children)).is_err(), "{children:?}");
        }
        let mut other = footer(&[1, 0]);
        other[2] = 0x15;
        assert!(check_footer(&other).is_err());
        other = footer(&[1, 0]);
        other[8] = 0x18;
        assert_eq!(
            check_footer(&other),
            Err(Flaw::Wrong("a field of the schema has the wrong type"))
        );
    }

    #[test]
    fn every_end_that_is_too_early_is_one() {
        let whole = footer(&[2, 0, 0]);
        assert_eq!(check_footer(&whole), Ok(()));
        assert_eq!(check_struct(&whole), Ok(()));
        for end in 0..whole.len() {
            assert_eq!(check_footer(&whole[..end]), Err(Flaw::CutOff), "{end}");
            assert_eq!(check_struct(&whole[..end]), Err(Flaw::CutOff), "{end}");
        }
    }

    #[test]
    fn what_would_be_skipped_for_ever_is_refused() {
        // Two billion booleans; as many elements as there are not; lists in lists.
        let booleans = [0x19, 0xf1, 0xff, 0xff, 0xff, 0xff, 0x07, 0];
        assert!(matches!(check_struct(&booleans), Err(Flaw::Wrong(_))));
        assert_eq!(check_struct(&[0x19, 0xf5, 0xff, 0xff, 0xff, 0xff, 0x07, 0]), Err(Flaw::CutOff));
        assert!(matches!(check_struct(&[0x1c; 100_000]), Err(Flaw::Wrong(_))));
        let lists = [&[0x19][..], &[0x19; 100_000], &[0]].concat();
        assert!(matches!(check_struct(&lists), Err(Flaw::Wrong(_))));
        assert!(matches!(check_struct(&[0x1b, 1, 0x55, 0, 0, 0]), Err(Flaw::Wrong(_))));
        assert!(matches!(check_struct(&[0x1f, 0]), Err(Flaw::Wrong(_))));
        assert!(matches!(check_struct(&[&[0x16][..], &[0xff; 20]].concat()), Err(Flaw::Wrong(_))));
        assert_eq!(check_struct(&[0x11, 0x12, 0x13, 9, 0x17, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Ok(()));
    }

    /// A column index of two pages.
    fn column_index() -> Vec<u8> {
        let mut bytes = vec![0x19, 0x21, 2, 2];
        for _ in 0..2 {
            bytes.extend([0x19, 0x28, 1, b'a', 1, b'b']);
        }
        // The order, and the nulls.
        bytes.extend([0x15, 0, 0x19, 0x26, 0, 0, 0]);
        bytes
    }

    #[test]
    fn a_column_index_has_lists_of_the_right_elements_and_no_longer_than_itself() {
        let whole = column_index();
        assert_eq!(check_column_index(&whole), Ok(()));
        for end in 0..whole.len() {
            assert_eq!(check_column_index(&whole[..end]), Err(Flaw::CutOff), "{end}");
        }
        // Pages that are null, as many as there are not; numbers for bounds, and for a
        // list; bounds for numbers.
        for (at, byte) in [(1, 0xe1), (1, 0x26), (4, 0x15), (5, 0x26), (16, 0x18), (19, 0x28)] {
            let mut other = whole.clone();
            other[at] = byte;
            assert!(check_column_index(&other).is_err(), "{at} {byte:x}");
        }
        let booleans = [0x19, 0xf1, 0xff, 0xff, 0xff, 0xff, 0x07, 0];
        assert_eq!(check_column_index(&booleans), Err(Flaw::CutOff));
    }

    #[test]
    fn a_bloom_filter_is_of_the_one_kind_that_is_known() {
        // 32 bytes of bits; three unions whose first member is an empty struct.
        let whole = [0x15, 64, 0x1c, 0x1c, 0, 0, 0x1c, 0x1c, 0, 0, 0x1c, 0x1c, 0, 0, 0, 9, 9];
        let header = bloom_header(&whole).ok().unwrap();
        assert_eq!((header.len, header.bits), (15, 32));
        for end in 0..15 {
            assert!(bloom_header(&whole[..end]).is_err(), "{end}");
        }
        for (at, byte) in [(1, 63), (3, 0x2c), (7, 0x2c), (11, 0x2c), (2, 0x1b)] {
            let mut other = whole;
            other[at] = byte;
            assert!(bloom_header(&other).is_err(), "{at} {byte:x}");
        }
    }
}
