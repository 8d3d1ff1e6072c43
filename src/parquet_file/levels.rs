//! Repetition and definition levels: what tells rows and nulls apart.

use parquet::basic::Encoding;
use parquet::column::page::Page;

/// The rows of a data page of a repeated column.
pub(super) struct PageRows {
    pub(super) count: usize,
    /// Whether the page begins with a row's first value.
    pub(super) begins_row: bool,
}

/// The rows that begin in a page, by its repetition levels; `Some(None)` for a
/// dictionary, `None` where the levels end before the page does.
pub(super) fn rows_of(page: &Page, max_level: i16) -> Option<Option<PageRows>> {
    let (levels, count) = match page {
        Page::DictionaryPage { .. } => return Some(None),
        Page::DataPage { buf, num_values, rep_level_encoding: Encoding::RLE, .. } => {
            (split_levels(buf)?.0, *num_values as usize)
        }
        // The encoding before RLE has no header, and is read to the end.
        Page::DataPage { buf, num_values, .. } => {
            let count = *num_values as usize;
            return (buf.len() * 8 >= count * bit_width(max_level))
                .then_some(Some(PageRows { count, begins_row: false }));
        }
        Page::DataPageV2 { buf, num_values, rep_levels_byte_len, .. } => {
            (buf.get(..*rep_levels_byte_len as usize)?, *num_values as usize)
        }
    };
    let mut rows = PageRows { count: 0, begins_row: true };
    let mut is_first = true;
    each_run(levels, max_level, count, |level, run| {
        if std::mem::take(&mut is_first) {
            rows.begins_row = level == 0;
        }
        rows.count += if level == 0 { run } else { 0 };
    })?;
    Some(Some(rows))
}

/// The definition levels of a data page of a column that is not repeated, and of
/// how many rows; `None` where they are not run-length encoded or not whole.
pub(super) fn definition_levels(page: &Page) -> Option<(&[u8], usize)> {
    match page {
        Page::DataPage { buf, num_values, def_level_encoding: Encoding::RLE, .. } => {
            Some((split_levels(buf)?.0, *num_values as usize))
        }
        Page::DataPageV2 {
            buf, num_values, def_levels_byte_len, rep_levels_byte_len: 0, ..
        } => Some((buf.get(..*def_levels_byte_len as usize)?, *num_values as usize)),
        _ => None,
    }
}

/// A data page behind its repetition levels.
pub(super) struct Behind<'a> {
    /// The definition levels, where there are any and they are run-length encoded.
    pub(super) definition: Option<&'a [u8]>,
    pub(super) values: &'a [u8],
}

/// What a data page of a column with these levels has behind the repetition levels;
/// `None` where it ends before.
pub(super) fn behind_repetition(
    page: &Page,
    max_repetition: i16,
    max_definition: i16,
) -> Option<Behind<'_>> {
    match page {
        Page::DictionaryPage { .. } => None,
        Page::DataPage { buf, num_values, rep_level_encoding, def_level_encoding, .. } => {
            let split = |bytes, encoding: &Encoding, max_level| match encoding {
                _ if max_level == 0 => Some((None, bytes)),
                Encoding::RLE => split_levels(bytes).map(|(levels, rest)| (Some(levels), rest)),
                // As many as there are values, without a header.
                _ => {
                    let bits = (*num_values as usize).checked_mul(bit_width(max_level))?;
                    Some((None, bytes.get(bits.div_ceil(8)..)?))
                }
            };
            let (_, rest) = split(&buf[..], rep_level_encoding, max_repetition)?;
            let (definition, values) = split(rest, def_level_encoding, max_definition)?;
            Some(Behind { definition, values })
        }
        Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, .. } => {
            let rest = buf.get(*rep_levels_byte_len as usize..)?;
            let (definition, values) = rest.split_at_checked(*def_levels_byte_len as usize)?;
            Some(Behind { definition: Some(definition).filter(|_| max_definition > 0), values })
        }
    }
}

/// Whether run-length encoded levels are those of `count` values.
pub(super) fn are_whole(levels: &[u8], max_level: i16, count: usize) -> bool {
    each_part(levels, max_level, count, |_, _| ()).is_some()
}

/// The levels at the front of a page of the first format, and what follows.
pub(super) fn split_levels(page: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = page.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*len) as usize)
}

fn bit_width(max_level: i16) -> usize {
    (16 - max_level.leading_zeros()) as usize
}

/// Shows each level of `count` values with how many values in a row have it.
/// `None` where they end too early.
pub(super) fn each_run(
    levels: &[u8],
    max_level: i16,
    count: usize,
    mut see: impl FnMut(u64, usize),
) -> Option<()> {
    let bit_width = bit_width(max_level);
    each_part(levels, max_level, count, |part, count| match part {
        Part::Run(level) => see(level, count),
        Part::Packed(packed) => {
            for i in 0..count {
                let level = (0..bit_width).fold(0, |level, bit| {
                    let place = i * bit_width + bit;
                    level | u64::from(packed[place / 8] >> (place % 8) & 1) << bit
                });
                see(level, 1);
            }
        }
    })
}

/// A part of run-length encoded levels.
enum Part<'a> {
    /// One level.
    Run(u64),
    /// Each with its own, in as many bits as the highest needs.
    Packed(&'a [u8]),
}

/// Shows the parts of the levels of `count` values, each with how many values it
/// has: runs of one level, and groups of eight packed ones ("Run Length Encoding /
/// Bit-Packing Hybrid" of the Parquet format). `None` where they end too early.
fn each_part<'a>(
    levels: &'a [u8],
    max_level: i16,
    count: usize,
    mut see: impl FnMut(Part<'a>, usize),
) -> Option<()> {
    let bit_width = bit_width(max_level);
    let mut at = 0;
    let mut seen = 0;
    while seen < count {
        let mut header = 0u64;
        for shift in (0..).step_by(7) {
            let byte = *levels.get(at)?;
            at += 1;
            header |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                break;
            }
        }
        let length = usize::try_from(header >> 1).ok()?;
        if header & 1 == 0 {
            let bytes = levels.get(at..at + bit_width.div_ceil(8))?;
            at += bytes.len();
            let level = bytes.iter().rev().fold(0, |level, &byte| level << 8 | u64::from(byte));
            let run = length.min(count - seen);
            if run > 0 {
                see(Part::Run(level), run);
            }
            seen += run;
        } else {
            let wanted = length.saturating_mul(8).min(count - seen);
            let bytes = wanted.checked_mul(bit_width)?.div_ceil(8);
            see(Part::Packed(levels.get(at..)?.get(..bytes)?), wanted);
            seen += wanted;
            at = at.checked_add(length.checked_mul(bit_width)?)?;
        }
    }
    Some(())
}
