//! Unpacks pages that could otherwise unpack into anything.
//!
//! Of these four codecs the Parquet crate takes what a page holds, not what its
//! header claims: a megabyte of gzip is a gigabyte of zeros, of Brotli it may be
//! a hundred. Here none gets more than the header claims, which is checked before
//! there is memory for it, and the memory is used again. The other codecs do so
//! by themselves.

use std::io::Read;

use bytes::Bytes;
use parquet::basic::Compression;

use crate::memory::Memory;

/// A codec that is unpacked here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Snappy,
    Gzip,
    Brotli,
    /// Any of three formats that writers have meant by the name.
    Lz4,
}

impl Codec {
    pub(super) fn of(compression: Compression) -> Option<Codec> {
        match compression {
            Compression::SNAPPY => Some(Codec::Snappy),
            Compression::GZIP(_) => Some(Codec::Gzip),
            Compression::BROTLI(_) => Some(Codec::Brotli),
            Compression::LZ4 => Some(Codec::Lz4),
            _ => None,
        }
    }

    /// The bytes of a page whose first `bare` bytes are not packed: `claim` by its
    /// header, or with Snappy what that says itself, which is no more than `bytes_max`.
    pub(super) fn unpack(
        self,
        page: &Bytes,
        bare: usize,
        claim: u64,
        bytes_max: u64,
        memory: &Memory,
    ) -> Result<Bytes, String> {
        let Some((bare, packed)) = page.split_at_checked(bare) else {
            return Err(format!("a page of {} bytes ends within its levels", page.len()));
        };
        if packed.is_empty() {
            return Ok(page.clone());
        }
        if self == Codec::Snappy {
            return unsnapped(bare, packed, bytes_max.saturating_sub(bare.len() as u64), memory);
        }
        let len = usize::try_from(claim.min(bytes_max)).map_err(|e| e.to_string())?;
        let mut buffer = memory.take(len).ok_or_else(|| format!("{len} bytes do not fit"))?;
        let Some((levels, out)) = buffer[..len].split_at_mut_checked(bare.len()) else {
            return Err(format!("a page that claims {len} bytes ends within its levels"));
        };
        levels.copy_from_slice(bare);
        // A page of nulls alone has no values, whatever is packed there.
        if !out.is_empty() {
            match self {
                Codec::Gzip => fill(out, flate2::read::MultiGzDecoder::new(packed)),
                Codec::Brotli => {
                    const BUFFER_BYTES: usize = 4096;
                    fill(out, brotli::Decompressor::new(packed, BUFFER_BYTES))
                }
                _ => fill_of_lz4(out, packed),
            }?;
        }
        Ok(memory.lend(buffer, len))
    }
}

/// `bare`, and what is packed with Snappy behind it: no more than `room`.
pub(super) fn unsnapped(
    bare: &[u8],
    packed: &[u8],
    room: u64,
    memory: &Memory,
) -> Result<Bytes, String> {
    let len = snap::raw::decompress_len(packed).map_err(|e| e.to_string())?;
    // Three bytes copy 64 at the most: what claims more is no such page, and
    // should not be given the memory.
    if len / 22 > packed.len() || len as u64 > room {
        return Err(format!("a page of {} bytes claims to hold {len}", packed.len()));
    }
    let len = bare.len() + len;
    let mut buffer = memory.take(len).ok_or_else(|| format!("{len} bytes do not fit"))?;
    buffer[..bare.len()].copy_from_slice(bare);
    let unpacked = snap::raw::Decoder::new().decompress(packed, &mut buffer[bare.len()..]);
    let len = bare.len() + unpacked.map_err(|e| e.to_string())?;
    Ok(memory.lend(buffer, len))
}

/// Fills `out` with all that comes out of `reader`.
fn fill(out: &mut [u8], mut reader: impl Read) -> Result<(), String> {
    let mut filled = 0;
    while filled < out.len() {
        match reader.read(&mut out[filled..]).map_err(|e| e.to_string())? {
            0 => return Err(unlike(filled, out.len())),
            read => filled += read,
        }
    }
    match reader.read(&mut [0]).map_err(|e| e.to_string())? {
        0 => Ok(()),
        _ => Err(format!("a page holds more than the {filled} bytes that it claims")),
    }
}

/// As Hadoop frames it, as LZ4's own tool does, or without a frame: files have
/// all three under one name, and what it is shows when it is tried.
fn fill_of_lz4(out: &mut [u8], packed: &[u8]) -> Result<(), String> {
    const MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();
    if packed.starts_with(&MAGIC) {
        return fill(out, lz4_flex::frame::FrameDecoder::new(packed));
    }
    if unframed(packed, out) == Some(out.len()) {
        return Ok(());
    }
    match lz4_flex::block::decompress_into(packed, out) {
        Ok(len) if len == out.len() => Ok(()),
        Ok(len) => Err(unlike(len, out.len())),
        Err(e) => Err(e.to_string()),
    }
}

fn unlike(len: usize, claim: usize) -> String {
    format!("a page holds {len} bytes where it claims {claim}")
}

/// Hadoop's frames: each a block, and in front of it, as big-endian numbers, how
/// many bytes it has and how many are stored.
fn hadoop_frames(packed: &[u8]) -> impl Iterator<Item = Option<(usize, &[u8])>> {
    let mut rest = Some(packed);
    std::iter::from_fn(move || {
        let at = rest.filter(|rest| !rest.is_empty())?;
        let frame = at.split_first_chunk::<4>().and_then(|(len, at)| {
            let (stored, at) = at.split_first_chunk::<4>()?;
            let (block, after) = at.split_at_checked(u32::from_be_bytes(*stored) as usize)?;
            rest = Some(after);
            Some((u32::from_be_bytes(*len) as usize, block))
        });
        if frame.is_none() {
            rest = None;
        }
        Some(frame)
    })
}

/// Unpacks Hadoop's frames: how many bytes they hold, `None` where they are none.
fn unframed(packed: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut at = 0_usize;
    for frame in hadoop_frames(packed) {
        let (len, block) = frame?;
        let into = out.get_mut(at..at.checked_add(len)?)?;
        if lz4_flex::block::decompress_into(block, into).ok()? != len {
            return None;
        }
        at += len;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// Texts as pages have them, and their packed forms.
    fn packed_forms(page: &[u8]) -> Vec<(&'static str, Codec, Vec<u8>)> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(page).unwrap();
        let mut frame = lz4_flex::frame::FrameEncoder::new(Vec::new());
        frame.write_all(page).unwrap();
        let mut brotli = Vec::new();
        brotli::CompressorWriter::new(&mut brotli, 4096, 1, 22).write_all(page).unwrap();
        let mut hadoop = Vec::new();
        for part in page.chunks((page.len() / 2).max(1)) {
            let block = lz4_flex::block::compress(part);
            hadoop.extend((part.len() as u32).to_be_bytes());
            hadoop.extend((block.len() as u32).to_be_bytes());
            hadoop.extend(block);
        }
        vec![
            ("snappy", Codec::Snappy, snap::raw::Encoder::new().compress_vec(page).unwrap()),
            ("gzip", Codec::Gzip, gzip.finish().unwrap()),
            ("brotli", Codec::Brotli, brotli),
            ("lz4 in a frame", Codec::Lz4, frame.finish().unwrap()),
            ("lz4 of hadoop", Codec::Lz4, hadoop),
            ("lz4 as it is", Codec::Lz4, lz4_flex::block::compress(page)),
        ]
    }

    #[test]
    fn a_page_of_any_codec_is_unpacked_and_none_into_more_than_it_claims() {
        let page: Vec<u8> = (0..300_000_u32).flat_map(|n| (n / 9).to_le_bytes()).collect();
        let len = page.len() as u64;
        let memory = Memory::default();
        for (name, codec, packed) in packed_forms(&page) {
            let levels = b"levels";
            let whole = Bytes::from([&levels[..], &packed].concat());
            let unpack = |claim| codec.unpack(&whole, levels.len(), claim, claim, &memory);
            let unpacked = unpack(len + 6).unwrap();
            assert_eq!(unpacked[..6], levels[..], "{name}");
            assert!(unpacked[6..] == page[..], "{name}");
            for claim in [len + 5, len / 2, 7, 5] {
                assert!(unpack(claim).is_err(), "{name} {claim}");
            }
            assert!(codec == Codec::Snappy || unpack(len + 7).is_err(), "{name}");
            let half = whole.slice(..whole.len() / 2);
            assert!(codec.unpack(&half, 6, len + 6, len + 6, &memory).is_err(), "{name}");
            assert!(codec.unpack(&whole, whole.len() + 1, len, len, &memory).is_err(), "{name}");
            let none = codec.unpack(&whole.slice(..6), 6, 6, len, &memory).unwrap();
            assert_eq!(none[..], levels[..], "{name}");
        }
    }
}
