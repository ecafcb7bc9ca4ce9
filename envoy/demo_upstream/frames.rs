//! A body cut into frames, some time apart.

use crate::Body;
use crate::asked::{lines, number};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::header::HeaderMap;
use std::io;
use std::time::Duration;

pub fn has_trailer(headers: &HeaderMap) -> bool {
    headers.contains_key("x-demo-trailer")
}

/// The body in frames, some time apart, with an early end or a trailer if asked for.
pub fn in_frames(headers: &HeaderMap, frames: &[Bytes], pause: u64) -> Body {
    let pause = Duration::from_millis(number(headers, "x-demo-chunk-ms").unwrap_or(pause));
    let reset_after = number(headers, "x-demo-reset-after-chunks");
    let reset_after = reset_after.and_then(|n| usize::try_from(n).ok());
    let frames = cut(headers, frames);
    let trailer = lines(headers, "x-demo-trailer").next();
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        for (i, frame) in frames.into_iter().enumerate() {
            let frame = if reset_after == Some(i) {
                Err(io::Error::other("reset as asked"))
            } else {
                Ok(Frame::data(frame))
            };
            if sender.send(frame).await.is_err() {
                return;
            }
            tokio::time::sleep(pause).await;
        }
        if let Some(line) = trailer {
            let _ = sender
                .send(Ok(Frame::trailers([line].into_iter().collect())))
                .await;
        }
    });
    let frames = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
    BodyExt::boxed(StreamBody::new(frames))
}

/// The frames cut anew, as the request asks.
fn cut(headers: &HeaderMap, frames: &[Bytes]) -> Vec<Bytes> {
    let size = headers
        .get("x-demo-chunk-bytes")
        .and_then(|v| v.to_str().ok());
    let Some(size) = size else {
        return frames.to_vec();
    };
    let (random, size) = match size.strip_prefix("random:") {
        Some(most) => (true, most),
        None => (false, size),
    };
    let most = size.parse::<usize>().unwrap_or(usize::MAX).max(1);
    let whole = frames.concat();
    let (mut rest, mut state, mut cut) = (whole.as_slice(), 1_u64, Vec::new());
    while !rest.is_empty() {
        // A linear congruential generator (Knuth, MMIX): the same cuts in each run.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let drawn = usize::try_from(state.wrapping_shr(33)).unwrap_or(0);
        let size = if random {
            drawn.checked_rem(most).unwrap_or(0).saturating_add(1)
        } else {
            most
        };
        let (frame, after) = rest.split_at(size.min(rest.len()));
        cut.push(Bytes::copy_from_slice(frame));
        rest = after;
    }
    cut
}
