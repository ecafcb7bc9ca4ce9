//! Amazon's binary event stream that arrives in pieces: the texts in its messages.
//!
//! Source: <https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html>. A message is the total
//! length and the length of the headers (each 4 bytes, big-endian), their CRC-32, the headers, the
//! payload, and the CRC-32 of all. Headers are not read: the payloads of Bedrock tell enough.

use crate::tokens::dialect::Dialects;
use crate::tokens::text::{ResponseFacts, TextReader};
use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use std::sync::Arc;

const PRELUDE: usize = 12;
/// The bytes of a message without headers and payload.
const FRAME: u32 = 16;
/// The bytes of the last CRC.
const TRAILER: u32 = 4;
static CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// The part of a message that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MessagePart {
    /// The prelude, of which this much was read.
    Prelude(usize),
    /// The rest of the headers, and the payload behind them.
    Headers(u32, u32),
    /// The rest of the payload.
    Payload(u32),
    /// The rest of the last CRC.
    Trailer(u32),
    /// No such stream.
    Broken,
}

/// A stream of messages.
#[derive(Debug)]
pub struct EventStream {
    texts: TextReader,
    prelude: [u8; PRELUDE],
    part: MessagePart,
    /// True after a valid prelude.
    is_known: bool,
}

impl EventStream {
    /// Creates a stream.
    pub fn new(dialects: Arc<Dialects>) -> Self {
        Self {
            texts: TextReader::new(dialects),
            prelude: [0; PRELUDE],
            part: MessagePart::Prelude(0),
            is_known: false,
        }
    }

    /// Reads the next piece.
    pub fn feed(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() && self.part != MessagePart::Broken {
            piece = match self.part {
                MessagePart::Prelude(read) => self.prelude(read, piece),
                MessagePart::Headers(left, payload) => {
                    let (_, rest, left) = take(piece, left);
                    self.part = match left {
                        0 => MessagePart::Payload(payload),
                        left => MessagePart::Headers(left, payload),
                    };
                    rest
                }
                MessagePart::Payload(left) => {
                    let (bytes, rest, left) = take(piece, left);
                    self.texts.feed(bytes);
                    self.part = MessagePart::Payload(left);
                    if left == 0 {
                        self.texts.drop_text();
                        self.part = MessagePart::Trailer(TRAILER);
                    }
                    rest
                }
                MessagePart::Trailer(left) => {
                    let (_, rest, left) = take(piece, left);
                    self.part = match left {
                        0 => MessagePart::Prelude(0),
                        left => MessagePart::Trailer(left),
                    };
                    rest
                }
                MessagePart::Broken => &[],
            };
        }
    }

    fn prelude<'a>(&mut self, read: usize, piece: &'a [u8]) -> &'a [u8] {
        let free = self.prelude.get_mut(read..).unwrap_or_default();
        let fits = free.len().min(piece.len());
        for (free, byte) in free.iter_mut().zip(piece) {
            *free = *byte;
        }
        let read = read.saturating_add(fits);
        self.part = match read {
            PRELUDE => lengths(&self.prelude).map_or(MessagePart::Broken, |(headers, payload)| {
                self.is_known = true;
                MessagePart::Headers(headers, payload)
            }),
            read => MessagePart::Prelude(read),
        };
        piece.get(fits..).unwrap_or_default()
    }

    /// True between messages.
    pub fn is_between(&self) -> bool {
        self.part == MessagePart::Prelude(0)
    }

    /// Returns what the texts say; `None` when the bytes are no such stream.
    pub fn facts(&self) -> Option<&ResponseFacts> {
        self.is_known.then(|| self.texts.facts())
    }
}

/// Returns the lengths of headers and payload; `None` for an invalid prelude.
fn lengths(prelude: &[u8; PRELUDE]) -> Option<(u32, u32)> {
    let (words, _) = prelude.as_chunks::<4>();
    let [total, headers, crc] = words else {
        return None;
    };
    let total = u32::from_be_bytes(*total);
    let headers = u32::from_be_bytes(*headers);
    let covered = prelude.get(..8)?;
    if CRC.checksum(covered) != u32::from_be_bytes(*crc) {
        return None;
    }
    let payload = total.checked_sub(FRAME)?.checked_sub(headers)?;
    Some((headers, payload))
}

/// Takes up to `left` bytes of a piece; returns them, the bytes behind them, and how many are left.
fn take(piece: &[u8], left: u32) -> (&[u8], &[u8], u32) {
    let most = usize::try_from(left).unwrap_or(usize::MAX);
    let fits = most.min(piece.len());
    let (bytes, rest) = piece.split_at_checked(fits).unwrap_or((piece, &[]));
    let taken = u32::try_from(fits).unwrap_or(left);
    (bytes, rest, left.saturating_sub(taken))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::dialect;

    /// A message with some bytes as its headers.
    fn message(payload: &str) -> Vec<u8> {
        let headers = [7_u8; 30];
        let total = u32::try_from(16 + headers.len() + payload.len()).unwrap();
        let mut out = total.to_be_bytes().to_vec();
        out.extend(30_u32.to_be_bytes());
        out.extend(CRC.checksum(&out).to_be_bytes());
        out.extend(headers);
        out.extend(payload.as_bytes());
        out.extend(CRC.checksum(&out).to_be_bytes());
        out
    }

    fn read(bytes: &[u8], size: usize) -> Option<(Option<u64>, u64)> {
        let mut stream = EventStream::new(Arc::clone(&dialect::ALL));
        for piece in bytes.chunks(size) {
            stream.feed(piece);
        }
        let facts = stream.facts()?;
        Some((facts.totals.tokens(), facts.texts))
    }

    #[test]
    fn messages_are_read_wherever_they_are_cut() {
        let usage = r#"{"usage":{"inputTokens":7,"outputTokens":5,"totalTokens":12},"metrics":{}}"#;
        let stream = [
            message(r#"{"contentBlockIndex":0,"delta":{"text":"Hi"}}"#),
            message(""),
            message(r#"{"stopReason":"end_turn"}"#),
            message(usage),
        ]
        .concat();
        for size in [1, 2, 3, 11, 12, 13, 64, stream.len()] {
            assert_eq!(read(&stream, size), Some((Some(12), 3)), "{size}");
        }
    }

    #[test]
    fn a_chunk_in_base64_is_read() {
        use base64::Engine;
        let chunk = r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":7,"outputTokenCount":5}}"#;
        let chunk = base64::engine::general_purpose::STANDARD.encode(chunk);
        let stream = message(&format!(r#"{{"bytes":"{chunk}","p":"abc"}}"#));
        for size in [1, 7, stream.len()] {
            assert_eq!(read(&stream, size), Some((Some(12), 1)), "{size}");
        }
    }

    #[test]
    fn a_broken_chunk_spoils_no_other_one() {
        use base64::Engine;
        let chunk =
            r#"{"amazon-bedrock-invocationMetrics":{"inputTokenCount":7,"outputTokenCount":5}}"#;
        let chunk = base64::engine::general_purpose::STANDARD.encode(chunk);
        let broken = message(r#"{"bytes":"eyJhIjoi"#);
        let stream = [broken, message(&format!(r#"{{"bytes":"{chunk}"}}"#))].concat();
        assert_eq!(read(&stream, 5), Some((Some(12), 1)));
    }

    #[test]
    fn other_binary_bodies_are_no_stream() {
        let video = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41";
        assert_eq!(read(video, 5), None);
        assert_eq!(read(&[0; 64], 64), None);
        let mut wrong = message("{}");
        wrong[8] ^= 1;
        assert_eq!(read(&wrong, 64), None);
    }
}
