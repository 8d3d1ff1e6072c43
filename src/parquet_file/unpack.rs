//! Unpacks pages that could otherwise unpack into anything.
//!
//! Of these four codecs the Parquet crate takes what a page holds, not what its
//! header claims: a megabyte of gzip is a gigabyte of zeros, of Brotli it may be
//! a hundred. Here none gets more than it is given, and the memory for it is
//! asked for as it is filled. The other codecs fill what the header claims, and
//! that is checked before.

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

    /// The bytes of a page whose first `bare` bytes are not packed. It may have no
    /// more than `bytes_max`.
    pub(super) fn unpack(
        self,
        page: &Bytes,
        bare: usize,
        bytes_max: u64,
        memory: &Memory,
    ) -> Result<Bytes, String> {
        let Some((bare, packed)) = page.split_at_checked(bare) else {
            return Err(format!("a page of {} bytes ends within its levels", page.len()));
        };
        if packed.is_empty() {
            return Ok(page.clone());
        }
        let room = bytes_max.saturating_sub(bare.len() as u64);
        match self {
            Codec::Snappy => unsnapped(bare, packed, room, memory),
            Codec::Gzip => {
                // Its last four bytes say how long it is, if it is not too long for them.
                let said = packed.last_chunk().map_or(0, |len| u32::from_le_bytes(*len));
                inflated(flate2::read::MultiGzDecoder::new(packed), bare, packed, said, room)
            }
            Codec::Brotli => {
                const BUFFER_BYTES: usize = 4096;
                let reader = brotli::Decompressor::new(packed, BUFFER_BYTES);
                inflated(reader, bare, packed, 0, room)
            }
            Codec::Lz4 => unlz4ed(bare, packed, room),
        }
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

/// All that comes out of `reader`, which is likely to be `said` bytes.
fn inflated(
    reader: impl Read,
    bare: &[u8],
    packed: &[u8],
    said: u32,
    room: u64,
) -> Result<Bytes, String> {
    // What is packed better than this grows into its memory.
    const USUAL_RATIO: usize = 8;
    let said = usize::try_from(said).unwrap_or(0).min(packed.len().saturating_mul(USUAL_RATIO));
    let mut unpacked =
        Vec::with_capacity(bare.len() + said.min(usize::try_from(room).unwrap_or(0)));
    unpacked.extend_from_slice(bare);
    reader.take(room.saturating_add(1)).read_to_end(&mut unpacked).map_err(|e| e.to_string())?;
    if (unpacked.len() - bare.len()) as u64 > room {
        return Err(too_large(packed.len(), room));
    }
    Ok(unpacked.into())
}

/// As Hadoop frames it, as LZ4's own tool does, or without a frame: files have
/// all three under one name, and what it is shows when it is tried.
fn unlz4ed(bare: &[u8], packed: &[u8], room: u64) -> Result<Bytes, String> {
    const MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();
    if packed.starts_with(&MAGIC) {
        return inflated(lz4_flex::frame::FrameDecoder::new(packed), bare, packed, 0, room);
    }
    let of_frames = hadoop_len(packed);
    // A byte of a block gives 255 at the most.
    let most = (packed.len() as u64).saturating_mul(255);
    let len = match of_frames {
        Some(len) if len <= most && len <= room => len,
        Some(len) if len > room && len <= most => return Err(too_large(packed.len(), room)),
        _ => most.min(room),
    };
    let len = usize::try_from(len).map_err(|e| e.to_string())?;
    let mut unpacked = Vec::new();
    unpacked.try_reserve_exact(bare.len() + len).map_err(|e| e.to_string())?;
    unpacked.extend_from_slice(bare);
    unpacked.resize(bare.len() + len, 0);
    let out = &mut unpacked[bare.len()..];
    let written = of_frames
        .and_then(|_| unframed(packed, out))
        .map_or_else(|| lz4_flex::block::decompress_into(packed, out), Ok)
        .map_err(|e| e.to_string())?;
    unpacked.truncate(bare.len() + written);
    Ok(unpacked.into())
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

/// What Hadoop's frames say that they hold, `None` where they are none.
fn hadoop_len(packed: &[u8]) -> Option<u64> {
    hadoop_frames(packed).try_fold(0_u64, |sum, frame| Some(sum + frame?.0 as u64))
}

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

fn too_large(packed: usize, room: u64) -> String {
    format!("a page of {packed} bytes holds more than {room}, the most that it may have")
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
    fn a_page_of_any_codec_is_unpacked_and_none_into_more_than_it_may_have() {
        let page: Vec<u8> = (0..300_000_u32).flat_map(|n| (n / 9).to_le_bytes()).collect();
        let len = page.len() as u64;
        for (name, codec, packed) in packed_forms(&page) {
            let levels = b"levels";
            let whole = Bytes::from([&levels[..], &packed].concat());
            let unpack = |max| codec.unpack(&whole, levels.len(), max, &Memory::default());
            let unpacked = unpack(len + 6).unwrap();
            assert_eq!(unpacked[..6], levels[..], "{name}");
            assert!(unpacked[6..] == page[..], "{name}");
            assert_eq!(unpack(len + 1000).unwrap().len(), page.len() + 6, "{name}");
            for max in [len + 5, len / 2, 6, 0] {
                assert!(unpack(max).is_err(), "{name} {max}");
            }
            let half = whole.slice(..whole.len() / 2);
            assert!(codec.unpack(&half, 6, len, &Memory::default()).is_err(), "{name}");
            assert!(codec.unpack(&whole, whole.len() + 1, len, &Memory::default()).is_err());
            let none = codec.unpack(&whole.slice(..6), 6, len, &Memory::default()).unwrap();
            assert_eq!(none[..], levels[..], "{name}");
        }
    }
}
