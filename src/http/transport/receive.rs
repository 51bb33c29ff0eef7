//! Receives a body into reserved memory, and decompresses it there.

use std::io::Write;
use std::time::Duration;

use flate2::write::MultiGzDecoder;
use tokio::time::{Instant, timeout_at};

use crate::error::{Cause, Error};
use crate::http::memory::{Exhausted, Reservation};
use crate::http::retry::Failure;
use crate::http::transport::failure::{network_failure, slow};
use crate::http::transport::{MIB, MIN_PROGRESS, PROGRESS_WINDOW};
use crate::support::watchdog;

const BODY_TIMEOUT: Duration = Duration::from_mins(10);
/// Initial capacity of a body. Untouched pages cost nothing, and an allocation above 32 MiB goes back to the system
/// when it is freed, while the C library would keep a smaller one.
const FIRST_CAPACITY: usize = 33 * MIB;
/// Compressed bytes are decoded in pieces of this size, so that one piece cannot exceed the reservation by much:
/// deflate expands by a factor of at most 1032.
const PIECE: usize = 1024;

/// The body, decompressed. After more than `most` bytes it stops reading and returns what it has.
pub(super) async fn receive(
    response: &mut reqwest::Response,
    is_gzip: bool,
    space: &mut Reservation,
    host: &str,
    most: usize,
) -> std::result::Result<Vec<u8>, Failure> {
    let mut deadline = Instant::now() + BODY_TIMEOUT;
    let mut decoder = is_gzip.then(|| MultiGzDecoder::new(Vec::with_capacity(FIRST_CAPACITY)));
    let mut plain = Vec::with_capacity(if is_gzip { 0 } else { FIRST_CAPACITY });
    let (mut progress, mut checkpoint) = (0, Instant::now() + PROGRESS_WINDOW);
    loop {
        let chunk = match timeout_at(checkpoint.min(deadline), response.chunk()).await {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => break,
            Ok(Err(error)) => return Err(network_failure(host, error)),
            Err(_) if progress >= MIN_PROGRESS && Instant::now() < deadline => {
                (progress, checkpoint) = (0, Instant::now() + PROGRESS_WINDOW);
                continue;
            }
            Err(_) => {
                return Err(slow(&format!(
                    "{host} stopped in the middle of a response, or sends it too slowly: {progress} bytes in the last \
                     half minute."
                )));
            }
        };
        watchdog::moved();
        progress += chunk.len();
        for piece in chunk.chunks(PIECE) {
            let length = match &mut decoder {
                None => {
                    plain.extend_from_slice(piece);
                    plain.len()
                }
                Some(decoder) => {
                    decoder.write_all(piece).map_err(|_| broken_gzip(host))?;
                    decoder.get_ref().len()
                }
            };
            if length > most {
                return Ok(decoder.map_or(plain, |mut decoder| std::mem::take(decoder.get_mut())));
            }
            // guard: memory-bound
            while length > space.mib() * MIB {
                if space.mib() >= space.most_mib() {
                    return Err(no_memory(
                        Cause::ResponseTooLarge,
                        &format!("A response is larger than {} MiB.", space.most_mib()),
                    ));
                }
                // The reader of stdout holds the memory; this wait is not the server's fault.
                let asked = Instant::now();
                space
                    .grow()
                    .await
                    .map_err(|Exhausted| no_memory(Cause::Exhausted, "Other responses use up the memory."))?;
                deadline += asked.elapsed();
                checkpoint += asked.elapsed();
            }
        }
    }
    match decoder {
        None => Ok(plain),
        Some(decoder) => decoder.finish().map_err(|_| broken_gzip(host)),
    }
}

fn no_memory(cause: Cause, message: &str) -> Failure {
    Failure::Permanent(Error::transient(message).because(cause))
}

fn broken_gzip(host: &str) -> Failure {
    Failure::retryable(Error::transient(format!("{host} sent a corrupt or truncated gzip response.")))
}
