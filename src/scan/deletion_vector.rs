//! Deletion vectors: from a file's descriptor in the log to the rows of the
//! file that are deleted ("Deletion Vectors", "Deletion Vector Format").
//!
//! A vector is small, and those of many data files lie side by side in one
//! `.bin` file. So they are planned together and read together: whoever needs
//! the first of several neighbours reads them all, the others use what was read,
//! and it is dropped with the last of them. Planning reads and decodes nothing;
//! that is a worker's. What is wrong with a vector is told when it is loaded, in
//! its data file's place.
//!
//! A deleted row that is delivered is a wrong answer that nobody sees. So every
//! vector is held to all that is said of it: size, checksum, magic number, order
//! of keys, cardinality, and the rows that its data file has.

use std::ops::{Range, RangeInclusive};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow::array::{Array, AsArray, BooleanBufferBuilder, StructArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{Int32Type, Int64Type};
use bytes::Bytes;
use roaring::RoaringBitmap;

use super::place::{Place, place_of, shown};
use crate::actions::{check_path, decode_path, deletion_vector_fields};
use crate::error::{Error, Result, escaped};

/// Neighbours in one file with no more than this between them are one read: to
/// read so much costs less than to ask again.
const GAP_BYTES_MAX: u64 = 64 << 10;
/// So much is read at once for the sake of several vectors.
const SHARED_BYTES_MAX: u64 = 16 << 20;

/// The first byte of a file of deletion vectors.
const FILE_VERSION: u8 = 1;
/// Before a vector's data stands its size, behind it its checksum, 4 bytes each.
const SIZE_BYTES: usize = 4;
const CHECKSUM_BYTES: usize = 4;

/// The format that the protocol describes.
const MAGIC_PORTABLE: u32 = 1_681_511_377;
/// The one before it, which the protocol does not mention and Spark reads: all
/// keys from 0 on, and each bitmap with its size in front.
const MAGIC_NATIVE: u32 = 1_681_511_376;
/// A bitmap with its key or size in front has at least so many bytes.
const BITMAP_BYTES_MIN: usize = 12;

/// What an action says of a file's deletion vector ("Deletion Vector Descriptor
/// Schema").
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Descriptor {
    storage_type: String,
    path_or_inline: String,
    offset: u64,
    size_in_bytes: u64,
    cardinality: u64,
}

/// Where a vector's data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// Nowhere, because no row is deleted: so Spark writes an empty vector.
    Empty,
    /// In the log itself, as Z85.
    Inline { text: String, size: usize },
    /// In a file: the bytes from the vector's size up to the end of its checksum.
    File { place: Place, range: Range<u64> },
}

impl Descriptor {
    /// The descriptor in a row of the column that `FileField::DeletionVector` is
    /// decoded to; `None` where the row has none.
    ///
    /// # Errors
    /// `CorruptLog` for a descriptor that lacks a field or has a negative number.
    pub(super) fn of_row(column: &StructArray, row: usize) -> Result<Option<Descriptor>> {
        if column.is_null(row) {
            return Ok(None);
        }
        if *column.fields() != deletion_vector_fields() {
            return Err(Error::bug("a column of other types than deletion vectors have"));
        }
        let lacks = |name: &str| Error::corrupt(format!("a deletionVector lacks {name}"));
        let text = |at: usize, name| {
            let texts = column.column(at).as_string::<i32>();
            if texts.is_valid(row) { Ok(texts.value(row).to_owned()) } else { Err(lacks(name)) }
        };
        let natural = |value: i64, name: &str| {
            u64::try_from(value).map_err(|_| {
                Error::corrupt(format!("{name} {value} of a deletionVector is negative"))
            })
        };
        let int = |at: usize| {
            let values = column.column(at).as_primitive::<Int32Type>();
            values.is_valid(row).then(|| i64::from(values.value(row)))
        };
        let cardinality = column.column(4).as_primitive::<Int64Type>();
        if cardinality.is_null(row) {
            return Err(lacks("cardinality"));
        }
        let size_in_bytes = int(3).ok_or_else(|| lacks("sizeInBytes"))?;
        Ok(Some(Descriptor {
            storage_type: text(0, "storageType")?,
            path_or_inline: text(1, "pathOrInlineDv")?,
            // "Interpret as 0 if absent".
            offset: natural(int(2).unwrap_or(0), "offset")?,
            size_in_bytes: natural(size_in_bytes, "sizeInBytes")?,
            cardinality: natural(cardinality.value(row), "cardinality")?,
        }))
    }

    /// Where the data is, for a table at `root` ("Derived Fields").
    ///
    /// # Errors
    /// As [`place_of`], and `Unsupported` for a storage type that is not known.
    pub(super) fn source(&self, root: &str) -> Result<Source> {
        if self.cardinality == 0 && self.size_in_bytes == 0 {
            return Ok(Source::Empty);
        }
        let text = &self.path_or_inline;
        let place = match self.storage_type.as_str() {
            "i" => {
                let size = usize::try_from(self.size_in_bytes).unwrap_or(usize::MAX);
                return Ok(Source::Inline { text: text.clone(), size });
            }
            "u" => Place::Inside(relative_name(text)?),
            "p" => {
                let place = place_of(root, text)?;
                let mut scratch = Vec::new();
                if !decode_path(text.as_bytes(), &mut scratch)?.starts_with(b"/") {
                    return Err(Error::corrupt(format!(
                        "\"{}\" of a deletionVector of storageType p is not absolute",
                        shown(text)
                    )));
                }
                place
            }
            other => {
                return Err(Error::unsupported(format!(
                    "a deletionVector of storageType \"{}\", expected u, p or i",
                    escaped(other)
                )));
            }
        };
        // Each is less than 2^31.
        let around = (SIZE_BYTES + CHECKSUM_BYTES) as u64;
        let range = self.offset..self.offset + self.size_in_bytes + around;
        Ok(Source::File { place, range })
    }
}

/// The name of the file that `text` stands for: `<random prefix><uuid as Z85>`. The
/// prefix is a directory's name as it is, not a part of a URI.
fn relative_name(text: &str) -> Result<String> {
    const UUID_CHARS: usize = 20;
    let bad =
        |what: &str| Error::corrupt(format!("\"{}\" of a deletionVector {what}", escaped(text)));
    let at = text.len().checked_sub(UUID_CHARS);
    let (prefix, uuid) =
        at.and_then(|at| text.split_at_checked(at)).ok_or_else(|| bad("is shorter than a uuid"))?;
    let uuid = z85(uuid).map_err(|e| bad(&format!("does not end in a uuid: {e}")))?;
    let mut name = String::from(prefix);
    name.push_str(if prefix.is_empty() { "deletion_vector" } else { "/deletion_vector" });
    for (i, byte) in uuid.iter().enumerate() {
        let before = match i {
            0 => "_",
            4 | 6 | 8 | 10 => "-",
            _ => "",
        };
        name.push_str(&format!("{before}{byte:02x}"));
    }
    name.push_str(".bin");
    check_path(name.as_bytes(), text.as_bytes())?;
    if name.starts_with('/') {
        return Err(bad("has a prefix that is an absolute path"));
    }
    Ok(name)
}

/// The digits of Z85, <https://rfc.zeromq.org/spec/32/>.
const Z85_DIGITS: &[u8; 85] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
const NO_DIGIT: u8 = u8::MAX;
const Z85_VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut i = 0;
    while i < Z85_DIGITS.len() {
        values[Z85_DIGITS[i] as usize] = i as u8;
        i += 1;
    }
    values
};

/// The bytes that `text` encodes: 4 for each block of 5 characters.
fn z85(text: &str) -> Result<Vec<u8>, String> {
    const BLOCK: usize = 5;
    let blocks = text.as_bytes().chunks_exact(BLOCK);
    if !blocks.remainder().is_empty() {
        return Err(format!("Z85 of {} characters, expected blocks of 5", text.len()));
    }
    let mut bytes = Vec::with_capacity(text.len() / BLOCK * 4);
    for (i, block) in blocks.enumerate() {
        let mut number = 0_u64;
        for &byte in block {
            let value = Z85_VALUES[usize::from(byte)];
            if value == NO_DIGIT {
                return Err(format!("Z85 block {i} has a character that is no digit of Z85"));
            }
            number = number * 85 + u64::from(value);
        }
        // Wrapped around it would be another vector.
        let number =
            u32::try_from(number).map_err(|_| format!("Z85 block {i} is more than 32 bits"))?;
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    Ok(bytes)
}

/// One data file's deletion vector, to be loaded by a worker. Clones are one
/// vector, which is loaded once.
#[derive(Clone)]
pub(super) struct Vector(Arc<Planned>);

struct Planned {
    /// For messages.
    data_file: String,
    cardinality: u64,
    /// Taken by the load: what it shares with others is dropped with the last load.
    data: Mutex<Option<Data>>,
    rows: OnceLock<Result<Arc<DeletedRows>>>,
}

enum Data {
    Empty,
    Inline { text: String, size: usize },
    File { head: Arc<SharedRead>, read: Arc<SharedRead>, range: Range<u64> },
    Wrong(Error),
}

/// Bytes of a file that are read by the first who needs them.
struct SharedRead {
    place: Place,
    range: Range<u64>,
    bytes: OnceLock<Result<Bytes>>,
}

/// Plans the vectors of data files, given by their paths in the log with their
/// descriptors, `None` where a file has none; those that are given together share
/// reads. Reads nothing, and what is wrong with a descriptor is the error of its
/// load.
pub(super) fn plan<'a>(
    root: &str,
    files: impl IntoIterator<Item = (&'a str, Result<Option<Descriptor>>)>,
) -> Vec<Option<Vector>> {
    // Those in files, by place and range.
    let mut wanted: Vec<(Place, Range<u64>, usize)> = Vec::new();
    let mut planned: Vec<Option<(String, u64, Option<Data>)>> = Vec::new();
    for (i, (data_file, descriptor)) in files.into_iter().enumerate() {
        let (cardinality, source) = match descriptor {
            Ok(None) => {
                planned.push(None);
                continue;
            }
            Ok(Some(descriptor)) => (descriptor.cardinality, descriptor.source(root)),
            Err(e) => (0, Err(e)),
        };
        let data = match source {
            Ok(Source::Empty) => Some(Data::Empty),
            Ok(Source::Inline { text, size }) => Some(Data::Inline { text, size }),
            Ok(Source::File { place, range }) => {
                wanted.push((place, range, i));
                None
            }
            Err(e) => Some(Data::Wrong(e)),
        };
        planned.push(Some((shown(data_file), cardinality, data)));
    }
    wanted.sort_unstable_by(|(a, x, _), (b, y, _)| (a, x.start, x.end).cmp(&(b, y.start, y.end)));
    let mut reads: Vec<(Place, Range<u64>)> = Vec::new();
    let mut head = 0;
    let mut users = Vec::with_capacity(wanted.len());
    for (place, range, i) in wanted {
        if reads.last().is_none_or(|(last, _)| *last != place) {
            head = reads.len();
            reads.push((place.clone(), 0..1));
        }
        match reads.last_mut() {
            Some((_, last))
                if range.start <= last.end + GAP_BYTES_MAX
                    && range.end.max(last.end) - last.start <= SHARED_BYTES_MAX =>
            {
                last.end = last.end.max(range.end);
            }
            _ => reads.push((place, range.clone())),
        }
        users.push((i, head, reads.len() - 1, range));
    }
    let reads: Vec<Arc<SharedRead>> = reads
        .into_iter()
        .map(|(place, range)| Arc::new(SharedRead { place, range, bytes: OnceLock::new() }))
        .collect();
    for (i, head, read, range) in users {
        if let Some((_, _, data)) = &mut planned[i] {
            let (head, read) = (Arc::clone(&reads[head]), Arc::clone(&reads[read]));
            *data = Some(Data::File { head, read, range });
        }
    }
    let vector = |(data_file, cardinality, data)| {
        let (data, rows) = (Mutex::new(data), OnceLock::new());
        Vector(Arc::new(Planned { data_file, cardinality, data, rows }))
    };
    planned.into_iter().map(|planned| planned.map(vector)).collect()
}

/// Reads a range of a file: exactly these bytes, or an error that names the file.
pub(super) type ReadRange<'a> = dyn Fn(&Place, Range<u64>) -> Result<Bytes> + 'a;

impl Vector {
    /// The deleted rows, read and decoded at the first call; whoever else calls
    /// meanwhile waits for that.
    ///
    /// # Errors
    /// `CorruptLog` for data that is not what the descriptor says, and what `read`
    /// gives. A shared read that failed has failed for all of its users.
    pub(super) fn load(&self, read: &ReadRange<'_>) -> Result<Arc<DeletedRows>> {
        let planned = &*self.0;
        let rows = planned.rows.get_or_init(|| {
            let data = planned.data.lock().unwrap_or_else(PoisonError::into_inner).take();
            let data = data.ok_or_else(|| Error::bug("a deletion vector without its data"));
            data.and_then(|data| data.rows(planned.cardinality, read))
                .map(Arc::new)
                .map_err(|e| e.at(format!("deletion vector of {}", planned.data_file)))
        });
        rows.clone()
    }
}

impl Data {
    fn rows(self, cardinality: u64, read: &ReadRange<'_>) -> Result<DeletedRows> {
        match self {
            Data::Empty => Ok(DeletedRows::default()),
            Data::Wrong(e) => Err(e),
            Data::Inline { text, size } => {
                let rows = inline_data(&text, size).and_then(|data| DeletedRows::parse(&data));
                rows.and_then(|rows| rows.checked(cardinality)).map_err(|e| e.at("inline"))
            }
            Data::File { head, read: shared, range } => {
                let version = head.read(read, 0..1)?;
                let bytes = shared.read(read, range.clone())?;
                let rows = check_version(&version)
                    .and_then(|()| checked_data(&bytes))
                    .and_then(DeletedRows::parse)
                    .and_then(|rows| rows.checked(cardinality));
                rows.map_err(|e| e.at(format!("{} at byte {}", shared.place, range.start)))
            }
        }
    }
}

impl SharedRead {
    /// The bytes `range` of the file, which are among those of this read.
    fn read(&self, read: &ReadRange<'_>, range: Range<u64>) -> Result<Bytes> {
        let bytes = self.bytes.get_or_init(|| {
            // The file is one that the log says is there.
            read(&self.place, self.range.clone()).map_err(Error::of_listed_file)
        });
        let bytes = bytes.as_ref().map_err(Error::clone)?;
        let at = |place: u64| usize::try_from(place.checked_sub(self.range.start)?).ok();
        match (at(range.start), at(range.end)) {
            (Some(start), Some(end)) if start <= end && end <= bytes.len() => {
                Ok(bytes.slice(start..end))
            }
            _ => Err(Error::storage(format!(
                "{}: bytes {range:?} were wanted, {} came from {}",
                self.place,
                bytes.len(),
                self.range.start
            ))),
        }
    }
}

/// The data of an inline vector. Where its size is no multiple of 4, the last
/// block of Z85 is filled up.
fn inline_data(text: &str, size: usize) -> Result<Vec<u8>> {
    let mut data = z85(text).map_err(Error::corrupt)?;
    if size.checked_next_multiple_of(4) != Some(data.len()) {
        return Err(Error::corrupt(format!(
            "{} bytes are encoded, sizeInBytes is {size}",
            data.len()
        )));
    }
    data.truncate(size);
    Ok(data)
}

fn check_version(head: &[u8]) -> Result<()> {
    match head {
        [FILE_VERSION] => Ok(()),
        _ => Err(Error::unsupported(format!(
            "the file begins with {head:?}, expected the version [{FILE_VERSION}]"
        ))),
    }
}

/// The data of a vector of a file, from its size up to the end of its checksum
/// ("Deletion Vector File Storage Format").
fn checked_data(bytes: &[u8]) -> Result<&[u8]> {
    let parts = bytes.split_first_chunk::<SIZE_BYTES>().and_then(|(size, rest)| {
        let (data, checksum) = rest.split_last_chunk::<CHECKSUM_BYTES>()?;
        Some((u32::from_be_bytes(*size), data, u32::from_be_bytes(*checksum)))
    });
    let (size, data, checksum) =
        parts.ok_or_else(|| Error::bug("a deletion vector without size and checksum"))?;
    if usize::try_from(size) != Ok(data.len()) {
        return Err(Error::corrupt(format!(
            "the vector has {size} bytes by the file, {} by its sizeInBytes",
            data.len()
        )));
    }
    let found = crc32fast::hash(data);
    if found != checksum {
        return Err(Error::corrupt(format!(
            "expected the checksum {checksum:08x}, found {found:08x}"
        )));
    }
    Ok(data)
}

/// The deleted rows of one data file, by their indexes from 0.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct DeletedRows {
    /// The bitmaps of the low 32 bits by the high ones, ascending, none empty.
    bitmaps: Vec<(u32, RoaringBitmap)>,
}

impl DeletedRows {
    /// The rows that serialized `data` holds ("Deletion Vector Format").
    ///
    /// Of a bitmap the crate checks everything that makes it one: its containers'
    /// order, and within them order, overlap and number. What is around the bitmaps
    /// is checked here, and nothing is allocated for what the bytes do not hold.
    /// Bytes behind the last bitmap are ignored, as Spark does; the cardinality
    /// tells whether there should have been more.
    fn parse(data: &[u8]) -> Result<DeletedRows> {
        let ends = || Error::corrupt(format!("the vector's {} bytes end too early", data.len()));
        let mut rest = data;
        let magic = take_u32(&mut rest).ok_or_else(ends)?;
        let count = match magic {
            MAGIC_PORTABLE => {
                let low = take_u32(&mut rest).ok_or_else(ends)?;
                u64::from(take_u32(&mut rest).ok_or_else(ends)?) << 32 | u64::from(low)
            }
            MAGIC_NATIVE => u64::from(take_u32(&mut rest).ok_or_else(ends)?),
            // "Future alternative formats must have a different magic number". The
            // protocol's example of an inline vector is such a one, the native format
            // in the other byte order, which Spark does not read either.
            other => {
                return Err(Error::unsupported(format!(
                    "the magic number is {other}, expected {MAGIC_PORTABLE}"
                )));
            }
        };
        if count > (rest.len() / BITMAP_BYTES_MIN) as u64 {
            return Err(Error::corrupt(format!("{count} bitmaps in {} bytes", rest.len())));
        }
        let mut bitmaps: Vec<(u32, RoaringBitmap)> = Vec::new();
        let mut key_min = 0_u32;
        for _ in 0..count {
            let first = take_u32(&mut rest).ok_or_else(ends)?;
            let (key, bitmap) = match magic {
                MAGIC_PORTABLE => (first, RoaringBitmap::deserialize_from(&mut rest)),
                _ => {
                    let sized = usize::try_from(first).ok();
                    let sized = sized.and_then(|size| rest.split_at_checked(size));
                    let (own, others) = sized.ok_or_else(ends)?;
                    rest = others;
                    (key_min, RoaringBitmap::deserialize_from(own))
                }
            };
            let bitmap =
                bitmap.map_err(|e| Error::corrupt(format!("bitmap {key} is none: {e}")))?;
            // "Every key has a 0 as its most significant bit", and they ascend: a key
            // that comes twice would hide the rows of the first.
            if key < key_min || key > i32::MAX as u32 {
                return Err(Error::corrupt(format!(
                    "bitmap {key} is out of order, expected {key_min}..={}",
                    i32::MAX
                )));
            }
            key_min = key + 1;
            if !bitmap.is_empty() {
                bitmaps.push((key, bitmap));
            }
        }
        Ok(DeletedRows { bitmaps })
    }

    fn checked(self, cardinality: u64) -> Result<DeletedRows> {
        if self.len() == cardinality {
            return Ok(self);
        }
        Err(Error::corrupt(format!(
            "the vector deletes {} rows, its cardinality is {cardinality}",
            self.len()
        )))
    }

    /// How many rows are deleted.
    pub(super) fn len(&self) -> u64 {
        self.bitmaps.iter().map(|(_, bitmap)| bitmap.len()).sum()
    }

    /// The last deleted row.
    pub(super) fn max(&self) -> Option<u64> {
        let (key, bitmap) = self.bitmaps.last()?;
        Some(first_row(*key) + u64::from(bitmap.max()?))
    }

    /// Checks that a data file of `file_rows` rows has every row that is deleted.
    ///
    /// # Errors
    /// `CorruptLog`: the vector is another file's.
    pub(super) fn check_rows(&self, file_rows: u64) -> Result<()> {
        match self.max().filter(|&max| max >= file_rows) {
            None => Ok(()),
            Some(max) => Err(Error::corrupt(format!(
                "the deletion vector deletes row {max}, the file has {file_rows} rows"
            ))),
        }
    }

    /// Which of `rows` stay, true for each that does; `None` where all do. The mask
    /// has a bit for each of `rows`: ask for rows that are there.
    pub(super) fn live_mask(&self, rows: Range<u64>) -> Option<BooleanBuffer> {
        let mut deleted = self.ranges(rows.clone()).peekable();
        deleted.peek()?;
        // What does not fit would have had to be decoded already.
        let length = |range: Range<u64>| usize::try_from(range.end - range.start).unwrap_or(0);
        let mut mask = BooleanBufferBuilder::new(length(rows.clone()));
        let mut at = rows.start;
        for range in deleted {
            mask.append_n(length(at..range.start), true);
            at = range.end;
            mask.append_n(length(range), false);
        }
        mask.append_n(length(at..rows.end), true);
        Some(mask.finish())
    }

    /// How many of `rows` are deleted.
    pub(super) fn count(&self, rows: Range<u64>) -> u64 {
        self.reached(rows).map(|(_, bitmap, lows)| bitmap.range_cardinality(lows)).sum()
    }

    /// The deleted ones of `rows` as ranges, ascending.
    fn ranges(&self, rows: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        self.reached(rows).flat_map(|(first, bitmap, lows)| {
            let mut deleted = bitmap.range(lows);
            std::iter::from_fn(move || deleted.next_range()).map(move |range| {
                first + u64::from(*range.start())..first + u64::from(*range.end()) + 1
            })
        })
    }

    /// The bitmaps that `rows` reach into: each with its first row, and what they
    /// reach of it.
    fn reached(
        &self,
        rows: Range<u64>,
    ) -> impl Iterator<Item = (u64, &RoaringBitmap, RangeInclusive<u32>)> {
        let is_before = |(key, _): &_| first_row(*key) + u64::from(u32::MAX) < rows.start;
        let from = self.bitmaps.partition_point(is_before);
        let end = rows.end;
        let reached = self.bitmaps[from..].iter().take_while(move |(key, _)| first_row(*key) < end);
        reached.filter_map(move |(key, bitmap)| {
            let first = first_row(*key);
            let start = u32::try_from(rows.start.saturating_sub(first)).ok()?;
            let last = u32::try_from(rows.end - 1 - first).unwrap_or(u32::MAX);
            (start <= last).then_some((first, bitmap, start..=last))
        })
    }

    /// The rows that are deleted here and not in `other`.
    pub(super) fn without(&self, other: &DeletedRows) -> DeletedRows {
        let rest = |(key, bitmap): &(u32, RoaringBitmap)| {
            let rest = match other.bitmaps.binary_search_by_key(key, |(key, _)| *key) {
                Ok(at) => bitmap - &other.bitmaps[at].1,
                Err(_) => bitmap.clone(),
            };
            (!rest.is_empty()).then_some((*key, rest))
        };
        DeletedRows { bitmaps: self.bitmaps.iter().filter_map(rest).collect() }
    }
}

fn first_row(key: u32) -> u64 {
    u64::from(key) << 32
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    let (first, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*first))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, Ordering};

    use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};

    use super::*;
    use crate::acceptance_tables;
    use crate::engine::Engine;
    use crate::error::ErrorKind;

    const KEY: u64 = 1 << 32;

    // What a writer does, by the protocol's text.

    fn bitmaps(rows: &[u64]) -> BTreeMap<u32, RoaringBitmap> {
        let mut bitmaps: BTreeMap<u32, RoaringBitmap> = BTreeMap::new();
        for row in rows {
            bitmaps.entry((row >> 32) as u32).or_default().insert(*row as u32);
        }
        bitmaps
    }

    fn with_bitmaps(
        bitmaps: impl IntoIterator<Item = (u32, RoaringBitmap)>,
        count: u64,
    ) -> Vec<u8> {
        let mut data = MAGIC_PORTABLE.to_le_bytes().to_vec();
        data.extend(count.to_le_bytes());
        for (key, bitmap) in bitmaps {
            data.extend(key.to_le_bytes());
            bitmap.serialize_into(&mut data).unwrap();
        }
        data
    }

    fn portable(rows: &[u64]) -> Vec<u8> {
        let bitmaps = bitmaps(rows);
        let count = bitmaps.len() as u64;
        with_bitmaps(bitmaps, count)
    }

    /// The same with runs where they are shorter.
    fn portable_with_runs(rows: &[u64]) -> Vec<u8> {
        let mut bitmaps = bitmaps(rows);
        bitmaps.values_mut().for_each(|bitmap| {
            bitmap.optimize();
        });
        let count = bitmaps.len() as u64;
        with_bitmaps(bitmaps, count)
    }

    fn native(rows: &[u64]) -> Vec<u8> {
        let mut bitmaps = bitmaps(rows);
        let last = bitmaps.last_key_value().map_or(0, |(key, _)| key + 1);
        let mut data = MAGIC_NATIVE.to_le_bytes().to_vec();
        data.extend(last.to_le_bytes());
        for key in 0..last {
            let bitmap = bitmaps.remove(&key).unwrap_or_default();
            data.extend((bitmap.serialized_size() as u32).to_le_bytes());
            bitmap.serialize_into(&mut data).unwrap();
        }
        data
    }

    /// A file of vectors with `gap` bytes between two, and where each begins.
    fn file(vectors: &[Vec<u8>], gap: usize) -> (Vec<u8>, Vec<u64>) {
        let (mut bytes, mut offsets) = (vec![FILE_VERSION], Vec::new());
        for data in vectors {
            offsets.push(bytes.len() as u64);
            bytes.extend((data.len() as u32).to_be_bytes());
            bytes.extend(data);
            bytes.extend(crc32fast::hash(data).to_be_bytes());
            bytes.extend(vec![0; gap]);
        }
        (bytes, offsets)
    }

    fn to_z85(data: &[u8]) -> String {
        let mut text = String::new();
        for chunk in data.chunks(4) {
            let mut block = [0; 4];
            block[..chunk.len()].copy_from_slice(chunk);
            let number = u32::from_be_bytes(block);
            for power in (0..5).rev() {
                text.push(Z85_DIGITS[(number / 85_u32.pow(power) % 85) as usize].into());
            }
        }
        text
    }

    const UUID: &str = "^-aqEH.-t@S}K{vb[*k^";
    const NAME: &str = "deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin";

    fn in_file(offset: u64, data: &[u8], cardinality: u64) -> Descriptor {
        Descriptor {
            storage_type: "u".to_owned(),
            path_or_inline: UUID.to_owned(),
            offset,
            size_in_bytes: data.len() as u64,
            cardinality,
        }
    }

    fn inline(data: &[u8], cardinality: u64) -> Descriptor {
        let text = to_z85(data);
        let size_in_bytes = data.len() as u64;
        let (storage_type, path_or_inline) = ("i".to_owned(), text);
        Descriptor { storage_type, path_or_inline, offset: 0, size_in_bytes, cardinality }
    }

    /// Files in memory, and what was read of them.
    #[derive(Default)]
    struct Files {
        files: BTreeMap<Place, Vec<u8>>,
        reads: Mutex<Vec<Range<u64>>>,
    }

    impl Files {
        fn one(bytes: Vec<u8>) -> Files {
            let files = BTreeMap::from([(Place::Inside(NAME.to_owned()), bytes)]);
            Files { files, reads: Mutex::default() }
        }

        fn read(&self, place: &Place, range: Range<u64>) -> Result<Bytes> {
            self.reads.lock().unwrap().push(range.clone());
            let file = self.files.get(place);
            let bytes = file.ok_or_else(|| Error::not_found(format!("{place}: no such file")))?;
            let range = range.start as usize..range.end as usize;
            let bytes = bytes.get(range).ok_or_else(|| Error::storage("beyond the end"))?;
            Ok(Bytes::copy_from_slice(bytes))
        }

        fn reads(&self) -> Vec<Range<u64>> {
            self.reads.lock().unwrap().clone()
        }

        fn load(&self, vector: &Option<Vector>) -> Result<Arc<DeletedRows>> {
            let load = vector.as_ref().unwrap().load(&|place, range| self.read(place, range));
            if let Err(e) = &load {
                assert!(e.message().starts_with("deletion vector of part-"), "{e}");
            }
            load
        }
    }

    fn planned(descriptors: impl IntoIterator<Item = Descriptor>) -> Vec<Option<Vector>> {
        let files = descriptors.into_iter().map(|d| ("part-0", Ok(Some(d))));
        plan("/table", files)
    }

    fn loaded(files: &Files, descriptor: Descriptor) -> Result<Arc<DeletedRows>> {
        files.load(&planned([descriptor])[0])
    }

    fn rows_of(deleted: &DeletedRows) -> Vec<u64> {
        deleted.ranges(0..u64::MAX).flatten().collect()
    }

    /// A seeded sequence of numbers.
    struct Numbers(u64);

    impl Numbers {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            self.0 ^ self.0 >> 29
        }

        fn below(&mut self, end: u64) -> u64 {
            self.next() % end
        }

        /// Rows of every kind of container, in bitmaps 0 to 2.
        fn rows(&mut self) -> Vec<u64> {
            let mut rows = BTreeSet::new();
            for _ in 0..1 + self.below(3) {
                let from = self.below(3) * KEY + self.below(4) * 65_536 + self.below(65_536);
                match self.below(3) {
                    0 => rows.extend((0..=self.below(50)).map(|_| from + self.below(70_000))),
                    1 => rows.extend((0..6_000).map(|_| from + self.below(15_000))),
                    _ => rows.extend(from..=from + self.below(20_000)),
                }
            }
            rows.into_iter().collect()
        }
    }

    #[test]
    fn the_protocols_descriptor_names_its_file() {
        let mut descriptor = in_file(4, &[0; 40], 6);
        let range = 4..52;
        let place = |name: &str| Place::Inside(name.to_owned());
        let source = descriptor.source("/table").unwrap();
        assert_eq!(source, Source::File { place: place(NAME), range: range.clone() });
        descriptor.path_or_inline = format!("ab{UUID}");
        let source = descriptor.source("/table").unwrap();
        let prefixed = place(&format!("ab/{NAME}"));
        assert_eq!(source, Source::File { place: prefixed, range: range.clone() });

        descriptor.storage_type = "p".to_owned();
        for (path, place) in [
            (format!("file:/table/a%20b/{NAME}"), place(&format!("a b/{NAME}"))),
            (format!("/table/{NAME}"), place(NAME)),
            ("file:///etc/passwd".to_owned(), Place::Outside("/etc/passwd".to_owned())),
        ] {
            descriptor.path_or_inline = path;
            let source = descriptor.source("/table").unwrap();
            assert_eq!(source, Source::File { place, range: range.clone() });
        }
    }

    #[test]
    fn a_descriptor_that_names_no_file_of_the_table_is_refused() {
        for (storage_type, text, kind, part) in [
            ("u", "abc", ErrorKind::CorruptLog, "shorter than a uuid"),
            ("u", "üvwxyzabcdefghijklmn", ErrorKind::CorruptLog, "shorter than a uuid"),
            ("u", "abcde fghijklmnopqrs", ErrorKind::CorruptLog, "no digit"),
            ("u", "#####abcdefghijklmno", ErrorKind::CorruptLog, "more than 32 bits"),
            ("u", &format!("..{UUID}"), ErrorKind::CorruptLog, "climbs"),
            ("u", &format!("a/../..{UUID}"), ErrorKind::CorruptLog, "climbs"),
            ("u", &format!("/etc{UUID}"), ErrorKind::CorruptLog, "absolute"),
            ("u", &format!("a\0{UUID}"), ErrorKind::CorruptLog, "NUL"),
            ("p", NAME, ErrorKind::CorruptLog, "not absolute"),
            ("p", "/table/../x", ErrorKind::CorruptLog, "climbs"),
            ("p", "s3://key:secret@b/x", ErrorKind::Unsupported, "s3:"),
            ("p", "http://169.254.169.254/x", ErrorKind::Unsupported, "http:"),
            ("r", NAME, ErrorKind::Unsupported, "storageType \"r\""),
            ("", NAME, ErrorKind::Unsupported, "storageType \"\""),
        ] {
            let mut descriptor = in_file(1, &[0; 40], 6);
            descriptor.storage_type = storage_type.to_owned();
            descriptor.path_or_inline = text.to_owned();
            let error = loaded(&Files::default(), descriptor).unwrap_err();
            assert_eq!(error.kind(), kind, "{text}: {error}");
            assert!(error.message().contains(part), "{text}: {error}");
            assert!(!error.message().contains("secret"), "{error}");
        }
    }

    type Row<'a> = (Option<&'a str>, Option<&'a str>, Option<i32>, Option<i32>, Option<i64>);

    fn column(rows: &[Row<'_>], valid: Vec<bool>) -> StructArray {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter(rows.iter().map(|row| row.0))),
            Arc::new(StringArray::from_iter(rows.iter().map(|row| row.1))),
            Arc::new(Int32Array::from_iter(rows.iter().map(|row| row.2))),
            Arc::new(Int32Array::from_iter(rows.iter().map(|row| row.3))),
            Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.4))),
        ];
        StructArray::new(deletion_vector_fields(), columns, Some(valid.into()))
    }

    #[test]
    fn a_row_of_the_log_is_its_descriptor_or_none() {
        let rows = [
            (Some("u"), Some(UUID), Some(7), Some(40), Some(6)),
            (None, None, None, None, None),
            (Some("u"), Some(UUID), None, Some(40), Some(6)),
        ];
        let column = column(&rows, vec![true, false, true]);
        let of_row = |row| Descriptor::of_row(&column, row).unwrap();
        assert_eq!(of_row(0), Some(in_file(7, &[0; 40], 6)));
        assert_eq!(of_row(0).unwrap().cardinality, 6);
        assert_eq!(of_row(1), None);
        assert_eq!(of_row(2), Some(in_file(0, &[0; 40], 6)));
    }

    #[test]
    fn a_descriptor_with_a_missing_or_negative_number_is_its_load_s_error() {
        for (row, part) in [
            ((None, Some(UUID), Some(1), Some(40), Some(6)), "lacks storageType"),
            ((Some("u"), None, Some(1), Some(40), Some(6)), "lacks pathOrInlineDv"),
            ((Some("u"), Some(UUID), Some(1), None, Some(6)), "lacks sizeInBytes"),
            ((Some("u"), Some(UUID), Some(1), Some(40), None), "lacks cardinality"),
            ((Some("u"), Some(UUID), Some(-1), Some(40), Some(6)), "offset -1"),
            ((Some("u"), Some(UUID), Some(1), Some(-40), Some(6)), "sizeInBytes -40"),
            ((Some("u"), Some(UUID), Some(1), Some(40), Some(-6)), "cardinality -6"),
        ] {
            let descriptor = Descriptor::of_row(&column(&[row], vec![true]), 0);
            let vectors = plan("/table", [("part-0", descriptor)]);
            let error = Files::default().load(&vectors[0]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::CorruptLog);
            assert!(error.message().contains(part), "{error}");
        }
    }

    #[test]
    fn every_form_of_a_vector_reads_as_the_rows_that_were_written() {
        let mut numbers = Numbers(3);
        for round in 0..16 {
            let rows = if round == 0 { vec![7, KEY - 1, KEY, 5 * KEY] } else { numbers.rows() };
            for data in [portable(&rows), portable_with_runs(&rows), native(&rows)] {
                let (bytes, offsets) = file(std::slice::from_ref(&data), 0);
                let count = rows.len() as u64;
                let files = Files::one(bytes);
                let deleted = loaded(&files, in_file(offsets[0], &data, count)).unwrap();
                assert_eq!(rows_of(&deleted), rows);
                assert_eq!((deleted.len(), deleted.max()), (count, rows.last().copied()));
                assert_eq!(loaded(&files, inline(&data, count)).unwrap(), deleted);
            }
        }
    }

    #[test]
    fn the_inline_vector_of_another_reader_s_tests_has_its_rows() {
        let descriptor = Descriptor {
            storage_type: "i".to_owned(),
            path_or_inline: "^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L".to_owned(),
            offset: 0,
            size_in_bytes: 44,
            cardinality: 6,
        };
        let deleted = loaded(&Files::default(), descriptor).unwrap();
        assert_eq!(rows_of(&deleted), [3, 4, 7, 11, 18, 29]);
    }

    #[test]
    fn the_protocol_s_own_inline_example_is_of_no_format_that_is_known() {
        let descriptor = Descriptor {
            storage_type: "i".to_owned(),
            path_or_inline: "wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L".to_owned(),
            offset: 0,
            size_in_bytes: 40,
            cardinality: 6,
        };
        let error = loaded(&Files::default(), descriptor).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("magic number"), "{error}");
    }

    #[test]
    fn a_vector_that_deletes_nothing_needs_no_data() {
        let empty = Descriptor { path_or_inline: String::new(), ..inline(&[], 0) };
        let deleted = loaded(&Files::default(), empty).unwrap();
        assert_eq!((deleted.len(), deleted.max()), (0, None));
        assert!(deleted.live_mask(0..10).is_none());
        deleted.check_rows(0).unwrap();
        // One that is there is read and held to its word.
        assert_eq!(loaded(&Files::default(), inline(&portable(&[]), 0)).unwrap().len(), 0);
        assert!(loaded(&Files::default(), inline(&portable(&[1]), 0)).is_err());
    }

    #[test]
    fn each_flipped_byte_of_a_file_s_vector_is_an_error() {
        let data = portable(&[1, 2, 3, KEY + 9]);
        let (bytes, offsets) = file(std::slice::from_ref(&data), 0);
        for at in 0..bytes.len() {
            for flip in [1, 0x80] {
                let mut bytes = bytes.clone();
                bytes[at] ^= flip;
                let error = loaded(&Files::one(bytes), in_file(offsets[0], &data, 4)).unwrap_err();
                assert!(error.message().contains(NAME), "{error}");
            }
        }
        for length in 0..bytes.len() {
            let cut = Files::one(bytes[..length].to_vec());
            assert!(loaded(&cut, in_file(offsets[0], &data, 4)).is_err());
        }
    }

    #[test]
    fn a_vector_is_held_to_its_descriptor() {
        let data = portable(&[1, 2, 3]);
        let (bytes, _) = file(std::slice::from_ref(&data), 20);
        let good = in_file(1, &data, 3);
        let size = good.size_in_bytes;
        let files = Files::one(bytes);
        assert!(loaded(&files, good.clone()).is_ok());
        for (bad, part) in [
            (Descriptor { cardinality: 4, ..good.clone() }, "its cardinality is 4"),
            (Descriptor { cardinality: 2, ..good.clone() }, "deletes 3 rows"),
            (Descriptor { size_in_bytes: size + 1, ..good.clone() }, "by its sizeInBytes"),
            (Descriptor { size_in_bytes: size - 1, ..good.clone() }, "by its sizeInBytes"),
            (Descriptor { size_in_bytes: 0, ..good.clone() }, "by its sizeInBytes"),
            (Descriptor { size_in_bytes: i32::MAX as u64, ..good.clone() }, "beyond the end"),
            (Descriptor { offset: 0, ..good.clone() }, "by its sizeInBytes"),
            (Descriptor { offset: 2, ..good.clone() }, "by its sizeInBytes"),
            (Descriptor { offset: i32::MAX as u64, ..good.clone() }, "beyond the end"),
        ] {
            let error = loaded(&files, bad).unwrap_err();
            assert!(error.message().contains(part), "{part}: {error}");
        }
        // What the log says is there and is not has vanished.
        let error = loaded(&Files::default(), good).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage);
        assert!(error.message().contains(NAME), "{error}");
    }

    #[test]
    fn a_file_of_another_version_is_refused_wherever_its_vector_lies() {
        let data = portable(&[1]);
        for gap in [0, 2 * GAP_BYTES_MAX as usize] {
            let (mut bytes, offsets) = file(&[data.clone(), data.clone()], gap);
            let vectors = [in_file(offsets[1], &data, 1)];
            assert!(Files::one(bytes.clone()).load(&planned(vectors.clone())[0]).is_ok());
            bytes[0] = 2;
            let error = Files::one(bytes).load(&planned(vectors)[0]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.message().contains("the version [1]"), "{error}");
        }
    }

    #[test]
    fn z85_is_that_of_its_specification_and_never_wraps_around() {
        let bytes = [0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b];
        assert_eq!(z85("HelloWorld").unwrap(), bytes);
        assert_eq!(to_z85(&bytes), "HelloWorld");
        assert!(z85("").unwrap().is_empty());
        assert_eq!(z85("%nSc0").unwrap(), [0xff; 4]);
        for (text, part) in [
            ("%nSc1", "block 0 is more than 32 bits"),
            ("Hello#####", "block 1 is more than 32 bits"),
            ("Hell", "4 characters"),
            ("Hello\"orld", "block 1 has a character"),
            ("Hellü", "6 characters"),
            ("Helü", "block 0 has a character"),
        ] {
            let error = z85(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn an_inline_vector_has_the_bytes_that_its_size_says() {
        let data = portable_with_runs(&(5..70_000).collect::<Vec<_>>());
        assert_eq!(data.len() % 4, 1, "one that Z85 fills up");
        let good = inline(&data, 69_995);
        assert_eq!(loaded(&Files::default(), good.clone()).unwrap().len(), 69_995);
        for size in [0, 1, good.size_in_bytes - 1, good.size_in_bytes + 4, i32::MAX as u64] {
            let bad = Descriptor { size_in_bytes: size, ..good.clone() };
            let error = loaded(&Files::default(), bad).unwrap_err();
            assert!(error.message().contains("part-0: inline: "), "{error}");
            assert!(error.message().contains("bytes are encoded"), "{error}");
        }
    }

    fn parse_error(data: &[u8]) -> String {
        DeletedRows::parse(data).unwrap_err().message().to_owned()
    }

    /// One bitmap's bytes: a cookie, and what follows it.
    fn bitmap_bytes(parts: &[&[u16]]) -> Vec<u8> {
        let mut data = with_bitmaps([], 1);
        data.extend(0_u32.to_le_bytes());
        data.extend(parts.iter().copied().flatten().flat_map(|half| half.to_le_bytes()));
        data
    }

    #[test]
    fn bitmaps_whose_keys_do_not_ascend_or_are_negative_are_refused() {
        let one = || RoaringBitmap::from([1]);
        for keys in [[1, 0], [0, 0], [2, 2]] {
            let data = with_bitmaps(keys.map(|key| (key, one())), 2);
            assert!(parse_error(&data).contains("out of order"));
        }
        for key in [1 << 31, u32::MAX] {
            assert!(parse_error(&with_bitmaps([(key, one())], 1)).contains("out of order"));
        }
        let last = i32::MAX as u32;
        let data = with_bitmaps([(0, one()), (last, one())], 2);
        let last_row = (u64::from(last) << 32) + 1;
        assert_eq!(DeletedRows::parse(&data).unwrap().max(), Some(last_row));
    }

    #[test]
    fn a_count_of_bitmaps_that_the_bytes_cannot_hold_is_refused_before_they_are_read() {
        let one = || [(0, RoaringBitmap::from([1]))];
        for count in [3, 1 << 31, 1 << 32, u64::MAX] {
            let error = parse_error(&with_bitmaps(one(), count));
            assert!(error.contains(&format!("{count} bitmaps in 22 bytes")), "{error}");
        }
        let mut data = native(&[1]);
        data[4..8].fill(0xff);
        assert!(parse_error(&data).contains("4294967295 bitmaps"));
        let mut data = native(&[1]);
        data[8..12].fill(0xff);
        assert!(parse_error(&data).contains("end too early"));
        // One more than there is, in bytes that could hold it.
        let mut data = with_bitmaps(one(), 2);
        data.extend([0; 3]);
        assert!(parse_error(&data).contains("end too early"));
        assert!(parse_error(&data[..3]).contains("end too early"));
        assert!(parse_error(&data[..11]).contains("end too early"));
    }

    #[test]
    fn a_bitmap_that_lies_about_its_containers_is_refused() {
        const ARRAYS: &[u16] = &[12346, 0];
        const RUNS: u16 = 12347;
        for (what, parts) in [
            ("an unknown cookie", &[&[12345, 0, 0, 0, 0, 0][..]][..]),
            ("more containers than keys", &[ARRAYS, &[1, 1]]),
            ("containers that are not there", &[ARRAYS, &[2, 0]]),
            ("values that do not ascend", &[ARRAYS, &[1, 0, 0, 1, 16, 0, 9, 8]]),
            ("a value twice", &[ARRAYS, &[1, 0, 0, 1, 16, 0, 8, 8]]),
            ("keys that do not ascend", &[ARRAYS, &[2, 0, 1, 0, 0, 0, 24, 0, 26, 0, 5, 6]]),
            ("a key twice", &[ARRAYS, &[2, 0, 1, 0, 1, 0, 24, 0, 26, 0, 5, 6]]),
            ("a wrong number of bits", &[ARRAYS, &[1, 0, 0, 4096, 16, 0], &[1; 4096]]),
            ("a run beyond the container", &[&[RUNS, 0], &[0x0001], &[0x0400, 0, 0]]),
        ] {
            let data = bitmap_bytes(parts);
            assert!(DeletedRows::parse(&data).is_err(), "{what}");
        }
        // Runs: a byte of flags makes what follows odd, so they are written bytewise.
        let runs = |runs: &[(u16, u16)]| {
            let mut data = bitmap_bytes(&[&[RUNS, 0]]);
            data.push(1);
            let counts = [0, 9, runs.len() as u16];
            let runs = runs.iter().flat_map(|(from, more)| [*from, *more]);
            data.extend(counts.into_iter().chain(runs).flat_map(u16::to_le_bytes));
            DeletedRows::parse(&data).map(|rows| rows_of(&rows))
        };
        assert_eq!(runs(&[(3, 1), (7, 0)]).unwrap(), [3, 4, 7]);
        assert_eq!(runs(&[(65_535, 0)]).unwrap(), [65_535]);
        for (what, bad) in [
            ("overlapping", &[(3, 5), (7, 1)][..]),
            ("descending", &[(7, 1), (3, 1)]),
            ("twice", &[(3, 1), (3, 1)]),
            ("after the last", &[(65_535, 0), (0, 0)]),
            ("beyond the container", &[(65_535, 1)]),
            ("none", &[]),
        ] {
            assert!(runs(bad).is_err(), "runs {what}");
        }
    }

    #[test]
    fn damaged_bytes_never_panic_and_never_make_a_set_that_contradicts_itself() {
        let mut numbers = Numbers(11);
        for round in 0..30 {
            let rows = numbers.rows();
            let data = match round % 3 {
                0 => portable(&rows),
                1 => portable_with_runs(&rows),
                _ => native(&rows),
            };
            for _ in 0..40 {
                let mut data = data.clone();
                for _ in 0..1 + numbers.below(3) {
                    // Most of what can go wrong is in the first bytes.
                    let end = if numbers.below(2) == 0 { 64 } else { data.len() as u64 };
                    let at = numbers.below(end.min(data.len() as u64)) as usize;
                    data[at] = numbers.next() as u8;
                }
                if numbers.below(4) == 0 {
                    data.truncate(numbers.below(data.len() as u64) as usize);
                }
                if let Ok(deleted) = DeletedRows::parse(&data) {
                    let ranges: Vec<_> = deleted.ranges(0..u64::MAX).collect();
                    assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start));
                    let counted: u64 = ranges.iter().map(|range| range.end - range.start).sum();
                    assert_eq!(counted, deleted.len());
                    assert_eq!(ranges.last().map(|range| range.end - 1), deleted.max());
                }
            }
        }
    }

    #[test]
    fn the_live_mask_is_that_of_a_look_at_each_row() {
        let mut numbers = Numbers(5);
        for _ in 0..20 {
            let rows = numbers.rows();
            let data = portable_with_runs(&rows);
            let deleted = DeletedRows::parse(&data).unwrap();
            let set: BTreeSet<u64> = rows.iter().copied().collect();
            for _ in 0..8 {
                // Around a deleted row, and around the border of two bitmaps.
                let near = match numbers.below(4) {
                    0 => numbers.below(3) * KEY,
                    _ => rows[numbers.below(rows.len() as u64) as usize],
                };
                let start = near.saturating_sub(numbers.below(3_000));
                let range = start..start + numbers.below(6_000);
                let naive: Vec<bool> = range.clone().map(|row| !set.contains(&row)).collect();
                let dead = naive.iter().filter(|&&live| !live).count() as u64;
                assert_eq!(deleted.count(range.clone()), dead);
                let mask = deleted.live_mask(range.clone());
                match mask {
                    Some(mask) => assert_eq!(mask.iter().collect::<Vec<_>>(), naive),
                    None => assert!(naive.iter().all(|&live| live), "{range:?}"),
                }
                assert_eq!(
                    deleted.live_mask(range.clone()).is_none(),
                    set.range(range).next().is_none()
                );
            }
        }
    }

    #[test]
    fn what_two_vectors_of_a_file_differ_in_is_the_difference_of_the_sets() {
        let mut numbers = Numbers(8);
        for _ in 0..16 {
            let (one, mut other) = (numbers.rows(), numbers.rows());
            other.extend(one.iter().copied().filter(|_| numbers.below(3) > 0));
            let set: BTreeSet<u64> = other.iter().copied().collect();
            let expected: Vec<u64> = one.iter().copied().filter(|row| !set.contains(row)).collect();
            let one = DeletedRows::parse(&portable_with_runs(&one)).unwrap();
            let other = DeletedRows::parse(&portable(&other)).unwrap();
            assert_eq!(rows_of(&one.without(&other)), expected);
            assert_eq!(one.without(&one), DeletedRows::default());
            assert_eq!(one.without(&DeletedRows::default()), one);
        }
    }

    #[test]
    fn a_vector_of_a_longer_file_is_refused() {
        let deleted = DeletedRows::parse(&portable(&[0, KEY + 4])).unwrap();
        deleted.check_rows(KEY + 5).unwrap();
        let error = deleted.check_rows(KEY + 4).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CorruptLog);
        assert!(error.message().contains("row 4294967300, the file has 4294967300 rows"));
    }

    #[test]
    fn vectors_that_lie_close_in_one_file_are_one_read_whatever_their_order() {
        let data: Vec<_> = (0..6).map(|row| portable(&[row])).collect();
        let (bytes, offsets) = file(&data, 100);
        let files = Files::one(bytes);
        let of = |i: usize| in_file(offsets[i], &data[i], 1);
        let vectors = planned([4, 0, 5, 2, 0].map(of));
        assert_eq!(files.reads(), []);
        for (vector, row) in vectors.iter().zip([4, 0, 5, 2, 0]) {
            assert_eq!(rows_of(&files.load(vector).unwrap()), [row]);
        }
        // From the file's version on, up to the end of the last that is wanted.
        let all = 0..offsets[5] + data[5].len() as u64 + 8;
        assert_eq!(files.reads(), [all]);
    }

    #[test]
    fn vectors_that_lie_far_apart_or_are_much_together_are_read_one_by_one() {
        let data: Vec<_> = (0..3).map(|row| portable(&[row])).collect();
        let (bytes, offsets) = file(&data, GAP_BYTES_MAX as usize + 1);
        let files = Files::one(bytes);
        let end = |i: usize| offsets[i] + data[i].len() as u64 + 8;
        let vectors = planned([0, 2, 1].map(|i| in_file(offsets[i], &data[i], 1)));
        for (vector, row) in vectors.iter().zip([0, 2, 1]) {
            assert_eq!(rows_of(&files.load(vector).unwrap()), [row]);
        }
        assert_eq!(files.reads(), [0..end(0), offsets[2]..end(2), offsets[1]..end(1)]);

        let of_size =
            |offset, size_in_bytes| Descriptor { size_in_bytes, ..in_file(offset, &[], 1) };
        let ranges = |descriptors: &[Descriptor]| {
            let vectors = planned(descriptors.to_vec());
            let range = |vector: &Vector| match &*vector.0.data.lock().unwrap() {
                Some(Data::File { read, .. }) => read.range.clone(),
                _ => panic!("not in a file"),
            };
            vectors.iter().flatten().map(range).collect::<Vec<_>>()
        };
        let mib = 1 << 20;
        // Two that are more than is read at once.
        let [first, second] = [of_size(1, 9 * mib), of_size(9 * mib + 9, 9 * mib)];
        assert_eq!(ranges(&[first, second]), [0..9 * mib + 9, 9 * mib + 9..18 * mib + 17]);
        // And one that is so alone, over others that are not.
        let vectors = [of_size(1, 20 * mib), of_size(mib, 100), of_size(mib + 50, 20)];
        let small = mib..mib + 108;
        assert_eq!(ranges(&vectors), [1..20 * mib + 9, small.clone(), small]);
    }

    #[test]
    fn each_file_is_read_for_itself() {
        let data = portable(&[1]);
        let (bytes, offsets) = file(std::slice::from_ref(&data), 0);
        let mut files = Files::one(bytes.clone());
        files.files.insert(Place::Inside(format!("ab/{NAME}")), bytes);
        let one = in_file(offsets[0], &data, 1);
        let other = Descriptor { path_or_inline: format!("ab{UUID}"), ..one.clone() };
        let vectors = plan(
            "/table",
            [("part-0", Ok(Some(one))), ("x", Ok(None)), ("part-1", Ok(Some(other)))],
        );
        assert!(vectors[1].is_none());
        for vector in [&vectors[0], &vectors[2]] {
            assert_eq!(rows_of(&files.load(vector).unwrap()), [1]);
        }
        assert_eq!(files.reads().len(), 2);
    }

    #[test]
    fn a_read_that_fails_has_failed_for_all_its_users_and_is_not_tried_again() {
        let data = [portable(&[1]), portable(&[2])];
        let (_, offsets) = file(&data, 0);
        let files = Files::default();
        let vectors = planned([0, 1].map(|i| in_file(offsets[i], &data[i], 1)));
        for vector in vectors.iter().chain(&vectors) {
            assert_eq!(files.load(vector).unwrap_err().kind(), ErrorKind::Storage);
        }
        assert_eq!(files.reads().len(), 1);
    }

    #[test]
    fn a_storage_that_gives_fewer_bytes_is_an_error() {
        let data = portable(&[1]);
        let vector = planned([in_file(1, &data, 1)]).remove(0).unwrap();
        let error = vector.load(&|_, _| Ok(Bytes::from_static(&[FILE_VERSION]))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage);
    }

    #[test]
    fn workers_that_need_one_read_at_once_read_it_once() {
        let data: Vec<_> = (0..4).map(|row| portable(&[row])).collect();
        let (bytes, offsets) = file(&data, 0);
        let files = Files::one(bytes);
        let vectors = planned((0..4).map(|i| in_file(offsets[i], &data[i], 1)));
        let start = Barrier::new(8);
        std::thread::scope(|scope| {
            for i in 0..8 {
                let (files, start, vector) = (&files, &start, vectors[i % 4].clone());
                scope.spawn(move || {
                    start.wait();
                    assert_eq!(rows_of(&files.load(&vector).unwrap()), [i as u64 % 4]);
                });
            }
        });
        assert_eq!(files.reads().len(), 1);
    }

    #[test]
    fn what_was_read_is_dropped_when_its_last_user_is_loaded_or_gone() {
        struct Owned(Vec<u8>, Arc<AtomicBool>);
        impl AsRef<[u8]> for Owned {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        impl Drop for Owned {
            fn drop(&mut self) {
                self.1.store(true, Ordering::Relaxed);
            }
        }
        let data = [portable(&[1]), portable(&[2]), portable(&[3])];
        let (bytes, offsets) = file(&data, 0);
        for loads in [3, 2] {
            let mut vectors = planned((0..3).map(|i| in_file(offsets[i], &data[i], 1)));
            let dropped = Arc::new(AtomicBool::new(false));
            let read = |_: &Place, range: Range<u64>| {
                let bytes = bytes[range.start as usize..range.end as usize].to_vec();
                Ok(Bytes::from_owner(Owned(bytes, Arc::clone(&dropped))))
            };
            for (i, vector) in vectors.iter().take(loads).flatten().enumerate() {
                vector.load(&read).unwrap();
                assert_eq!(dropped.load(Ordering::Relaxed), i == 2);
            }
            vectors.truncate(loads);
            assert!(dropped.load(Ordering::Relaxed));
        }
    }

    #[test]
    fn the_vectors_of_real_tables_have_the_rows_that_they_must() {
        let mut loaded = 0;
        for table in acceptance_tables::that_open() {
            let expected: BTreeMap<&str, &serde_json::Value> = table.expected["latest"]["files"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|file| file["dv"].is_object())
                .map(|file| (file["path"].as_str().unwrap(), file))
                .collect();
            if expected.is_empty() {
                continue;
            }
            let root = table.directory.join("table");
            let engine = Engine::builder().threads(0).build().unwrap();
            let snapshot = engine.snapshot(root.to_str().unwrap()).unwrap();
            let storage = snapshot.storage();
            let read = |place: &Place, range: Range<u64>| match place {
                Place::Inside(name) => storage.read_range(name, range),
                Place::Outside(path) => Err(crate::scan::place::outside_root(path)),
            };
            for batch in snapshot.scan().columns(["path", "deletion_vector"]).files().unwrap() {
                let batch = batch.unwrap();
                let paths = batch.column(0).as_string::<i32>();
                let column = batch.column(1).as_struct();
                let rows = (0..batch.num_rows())
                    .map(|row| (paths.value(row), Descriptor::of_row(column, row)));
                for (row, vector) in plan(storage.root(), rows).into_iter().enumerate() {
                    let Some(file) = expected.get(paths.value(row)) else {
                        assert!(vector.is_none());
                        continue;
                    };
                    let deleted = vector.unwrap().load(&read);
                    let what = format!("{} {}", table.name, paths.value(row));
                    if file["dv_error"].is_string() {
                        assert!(deleted.is_err(), "{what}");
                        continue;
                    }
                    let deleted = deleted.unwrap_or_else(|e| panic!("{what}: {e}"));
                    assert_eq!(Some(deleted.len()), file["dv_deleted_rows"].as_u64(), "{what}");
                    let indexes = file["dv_row_indexes"].as_array().unwrap();
                    let indexes: Vec<_> = indexes.iter().map(|i| i.as_u64().unwrap()).collect();
                    assert_eq!(rows_of(&deleted), indexes, "{what}");
                    deleted.check_rows(file["num_records"].as_u64().unwrap()).unwrap();
                    loaded += 1;
                }
            }
        }
        assert!(loaded > 10 || acceptance_tables::all().is_empty(), "only {loaded}");
    }
}
