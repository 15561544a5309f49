//! A compressor, and what the codings put around bytes.

use brotli::enc::StandardAlloc;
use brotli::enc::encode::{BrotliEncoderOperation, BrotliEncoderParameter, BrotliEncoderStateStruct};
use flate2::{Compress, Compression, FlushCompress};
use zstd::zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, zstd_sys::ZSTD_EndDirective};

use crate::compression::Coding;

/// A compressor. What it gives for a piece of text needs what it gave before, and nothing else, to be read.
pub(super) enum Encoder {
    Zstd(CCtx<'static>),
    Brotli(Box<BrotliEncoderStateStruct<StandardAlloc>>),
    Gzip(Compress),
}

/// What the compressor says that can only be our own fault.
#[derive(Debug, thiserror::Error)]
#[error("the compressor failed: {0}")]
pub(super) struct EncodeError(String);

impl Encoder {
    pub(super) fn new(coding: Coding) -> Result<Self, EncodeError> {
        match coding {
            Coding::Zstd => {
                let mut context = CCtx::try_create().ok_or_else(|| EncodeError("no memory".into()))?;
                for parameter in [
                    CParameter::CompressionLevel(ZSTD_LEVEL),
                    CParameter::WindowLog(ZSTD_WINDOW_LOG),
                    CParameter::HashLog(ZSTD_TABLE_LOG),
                    CParameter::ChainLog(ZSTD_TABLE_LOG),
                ] {
                    context.set_parameter(parameter).map_err(zstd_error)?;
                }
                Ok(Self::Zstd(context))
            }
            Coding::Brotli => {
                let mut state = BrotliEncoderStateStruct::new(StandardAlloc::default());
                for (parameter, value) in [
                    (BrotliEncoderParameter::BROTLI_PARAM_QUALITY, BROTLI_QUALITY),
                    (BrotliEncoderParameter::BROTLI_PARAM_LGWIN, BROTLI_WINDOW_LOG),
                    // What it gives refers to nothing before it: no distance, no context of a literal, no dictionary, whose
                    // place is told by how much there was. And it begins and ends with a byte, without a head or an end.
                    (BrotliEncoderParameter::BROTLI_PARAM_CATABLE, 1),
                    (BrotliEncoderParameter::BROTLI_PARAM_BARE_STREAM, 1),
                ] {
                    if !state.set_parameter(parameter, value) {
                        return Err(EncodeError(format!("{parameter:?} can't be {value}")));
                    }
                }
                Ok(Self::Brotli(Box::new(state)))
            }
            Coding::Gzip => Ok(Self::Gzip(Compress::new(Compression::new(GZIP_LEVEL), false))),
        }
    }

    /// Compresses `text` and all that is needed to read it.
    pub(super) fn flush(&mut self, text: &[u8]) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::with_capacity(text.len() / 2 + FLUSH_ROOM);
        match self {
            Self::Zstd(context) => {
                let mut input = InBuffer::around(text);
                loop {
                    out.reserve(FLUSH_ROOM);
                    let filled = out.len();
                    let mut output = OutBuffer::around_pos(&mut out, filled);
                    let left = context.compress_stream2(&mut output, &mut input, ZSTD_EndDirective::ZSTD_e_flush);
                    if left.map_err(zstd_error)? == 0 && input.pos() == text.len() {
                        return Ok(out);
                    }
                }
            }
            Self::Brotli(state) => {
                let (mut left, mut read, mut filled) = (text.len(), 0, 0);
                loop {
                    out.resize(filled + text.len() / 2 + FLUSH_ROOM, 0);
                    let mut room = out.len() - filled;
                    let is_well = state.compress_stream(
                        BrotliEncoderOperation::BROTLI_OPERATION_FLUSH,
                        &mut left,
                        text,
                        &mut read,
                        &mut room,
                        &mut out,
                        &mut filled,
                        &mut None,
                        &mut |_, _, _, _| (),
                    );
                    if !is_well {
                        return Err(EncodeError("brotli".to_owned()));
                    }
                    if left == 0 && !state.has_more_output() {
                        out.truncate(filled);
                        return Ok(out);
                    }
                }
            }
            Self::Gzip(compress) => {
                let begun = compress.total_in();
                loop {
                    out.reserve(FLUSH_ROOM);
                    let rest = text.get((compress.total_in() - begun) as usize..).unwrap_or_default();
                    compress
                        .compress_vec(rest, &mut out, FlushCompress::Sync)
                        .map_err(|error| EncodeError(error.to_string()))?;
                    // Room that is left means that there was no more to say.
                    if compress.total_in() - begun == text.len() as u64 && out.len() < out.capacity() {
                        return Ok(out);
                    }
                }
            }
        }
    }
}

fn zstd_error(code: usize) -> EncodeError {
    EncodeError(zstd::zstd_safe::get_error_name(code).to_owned())
}

impl Coding {
    /// What comes before everything else.
    pub(super) fn begin(self, out: &mut Vec<u8>) {
        match self {
            // RFC 8878, section 3.1.1: the magic number, a frame without a length or a checksum, and its window.
            Self::Zstd => out.extend_from_slice(&[0x28, 0xB5, 0x2F, 0xFD, 0, ((ZSTD_WINDOW_LOG - 10) << 3) as u8]),
            // RFC 7932, sections 9.1 and 9.2: the window in seven bits, and a block of metadata without any, which ends with the byte.
            Self::Brotli => {
                out.extend_from_slice(&(((BROTLI_WINDOW_LOG - 8) << 4 | 1 | 0b000_110 << 7) as u16).to_le_bytes())
            }
            // RFC 1952, section 2.3: deflate, no name, no time, of an unknown system.
            Self::Gzip => out.extend_from_slice(&[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF]),
        }
    }

    /// `text` as it is. What is compressed later must not refer to what came before it.
    pub(super) fn store(self, text: &[u8], out: &mut Vec<u8>) {
        match self {
            // RFC 8878, section 3.1.1.2: a block of the type 0 that is not the last.
            Self::Zstd => text.chunks(1 << ZSTD_WINDOW_LOG).for_each(|piece| {
                out.extend_from_slice(&((piece.len() as u32) << 3).to_le_bytes()[..3]);
                out.extend_from_slice(piece);
            }),
            // RFC 7932, section 9.2: not the last, a length in four digits less one, not compressed.
            Self::Brotli => text.chunks(1 << 16).for_each(|piece| {
                out.extend_from_slice(&((piece.len() as u32 - 1) << 3 | 1 << 19).to_le_bytes()[..3]);
                out.extend_from_slice(piece);
            }),
            // RFC 1951, section 3.2.4: the same; everything before it ends with a byte.
            Self::Gzip => text.chunks(usize::from(u16::MAX)).for_each(|piece| {
                let length = piece.len() as u16;
                out.push(0);
                out.extend_from_slice(&length.to_le_bytes());
                out.extend_from_slice(&(!length).to_le_bytes());
                out.extend_from_slice(piece);
            }),
        }
    }

    /// What comes before the first that an [`Encoder`] gives, which begins a frame of Zstandard.
    pub(super) fn join(self, out: &mut Vec<u8>) {
        match self {
            Self::Zstd => out.extend_from_slice(ZSTD_LAST_BLOCK),
            Self::Brotli | Self::Gzip => {}
        }
    }

    /// What ends a stream whose text has this checksum and length.
    pub(super) fn end(self, checksum: u32, length: u32, out: &mut Vec<u8>) {
        match self {
            Self::Zstd => out.extend_from_slice(ZSTD_LAST_BLOCK),
            // The last block, which is empty.
            Self::Brotli => out.push(3),
            Self::Gzip => {
                // An empty block that is the last.
                out.extend_from_slice(&[3, 0]);
                out.extend_from_slice(&checksum.to_le_bytes());
                out.extend_from_slice(&length.to_le_bytes());
            }
        }
    }
}

/// An empty block that is the frame's last.
const ZSTD_LAST_BLOCK: &[u8] = &[1, 0, 0];

/// As much window, and 340 KiB a compressor. Level 4 makes notifications and tokens no smaller and HTML by a tenth, in twice the memory; level 5 would
/// take 33 MB.
const BROTLI_QUALITY: u32 = 3;
const BROTLI_WINDOW_LOG: u32 = 15;

/// gzip at this level takes some microseconds an event, once for a group. More gains nothing.
const GZIP_LEVEL: u32 = 6;

/// As much window as gzip has, and tables to fit: 273 KiB a compressor. Level 3 with twice of each takes 585 KiB, makes some events a
/// twentieth smaller and others a tenth larger.
const ZSTD_LEVEL: i32 = 1;
const ZSTD_WINDOW_LOG: u32 = 15;
const ZSTD_TABLE_LOG: u32 = 13;

/// Room for a piece of the output: more than a flush takes beside its text, and little enough for the smallest event.
const FLUSH_ROOM: usize = 256;
