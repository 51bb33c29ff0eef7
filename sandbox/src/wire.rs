//! A minimal HTTP/1.1 server that can misbehave in ways that server libraries prevent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Larger requests close the connection.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Duration of a stalled response.
const STALL: Duration = Duration::from_mins(10);

/// A complete request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub query: BTreeMap<String, String>,
    /// Every parameter of the query in order, since arrays repeat their name.
    pub parameters: Vec<(String, String)>,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// A response and its delivery.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub delivery: Delivery,
}

/// How the end of a body is indicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Framing {
    #[default]
    ContentLength,
    Chunked,
    /// By closing the connection.
    ConnectionClose,
}

/// How a response is delivered.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Delivery {
    /// Milliseconds before the first byte.
    pub delay_ms: u64,
    pub framing: Framing,
    /// Bytes of the body per second.
    pub drip: Option<u64>,
    /// The connection is closed after this many bytes of the body.
    pub cut_after: Option<usize>,
    /// The connection is reset after this many bytes of the body.
    pub reset_after: Option<usize>,
    /// No more bytes are sent after this many bytes of the body.
    pub stall_after: Option<usize>,
    /// The connection is reset before the response.
    pub reset: bool,
}

impl Delivery {
    /// Whether the client gets a complete response, however slowly.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_plain() && !self.reset
    }

    /// Whether the whole body is delivered; faults count bytes of the uncompressed body.
    pub(crate) fn is_plain(&self) -> bool {
        self.cut_after.is_none() && self.reset_after.is_none() && self.stall_after.is_none()
    }
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        Self { status, headers, body: body.to_string().into_bytes(), delivery: Delivery::default() }
    }
}

/// Accepts connections forever; calls `handler` once per request.
pub(crate) async fn serve<H>(listener: TcpListener, handler: Arc<H>)
where
    H: Fn(Request) -> (Reply, Box<dyn FnOnce() + Send>) + Send + Sync + 'static,
{
    while let Ok((stream, _)) = listener.accept().await {
        let handler = Arc::clone(&handler);
        tokio::spawn(async move {
            // Disconnected clients are ignored.
            let _ = connection(stream, &*handler).await;
        });
    }
}

async fn connection<H>(mut stream: TcpStream, handler: &H) -> std::io::Result<()>
where
    H: Fn(Request) -> (Reply, Box<dyn FnOnce() + Send>),
{
    stream.set_nodelay(true)?;
    let mut received = Vec::new();
    while let Some(request) = next_request(&mut stream, &mut received).await? {
        let (reply, done) = handler(request);
        let is_open = deliver(&mut stream, &reply).await;
        done();
        if !is_open? {
            break;
        }
    }
    Ok(())
}

async fn next_request(stream: &mut TcpStream, received: &mut Vec<u8>) -> std::io::Result<Option<Request>> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Request::new(&mut headers);
        match parsed.parse(received) {
            Ok(httparse::Status::Complete(head)) => {
                let mut request = request_of(&parsed);
                let length: usize =
                    request.headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
                if length > MAX_BYTES {
                    return Ok(None);
                }
                while received.len() < head + length {
                    if stream.read_buf(received).await? == 0 {
                        return Ok(None);
                    }
                }
                request.body = received[head..head + length].to_vec();
                received.drain(..head + length);
                return Ok(Some(request));
            }
            Ok(httparse::Status::Partial) if received.len() < MAX_BYTES => {
                if stream.read_buf(received).await? == 0 {
                    return Ok(None);
                }
            }
            _ => return Ok(None),
        }
    }
}

fn request_of(parsed: &httparse::Request<'_, '_>) -> Request {
    let target = parsed.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = parsed.headers.iter();
    let parameters: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: parameters.iter().cloned().collect(),
        parameters,
        headers: headers
            .map(|header| (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned()))
            .collect(),
        body: Vec::new(),
    }
}

/// Writes a response; returns whether the connection is reusable.
async fn deliver(stream: &mut TcpStream, reply: &Reply) -> std::io::Result<bool> {
    let Delivery { delay_ms, framing, drip, cut_after, reset_after, stall_after, reset } = reply.delivery;
    tokio::time::sleep(Duration::from_millis(delay_ms)).await;
    if reset {
        return abort(stream);
    }
    let mut head = format!("HTTP/1.1 {} {}\r\n", reply.status, reason(reply.status));
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &match framing {
        Framing::ContentLength => format!("Content-Length: {}\r\n", reply.body.len()),
        Framing::Chunked => "Transfer-Encoding: chunked\r\n".to_owned(),
        Framing::ConnectionClose => "Connection: close\r\n".to_owned(),
    };
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    let end = [cut_after, reset_after, stall_after].into_iter().flatten().min();
    let body = &reply.body[..end.unwrap_or(usize::MAX).min(reply.body.len())];
    let piece = drip.map_or(64 * 1024, |bytes| usize::try_from(bytes / 2).unwrap_or(1).max(1));
    for piece in body.chunks(piece) {
        if framing == Framing::Chunked {
            stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
        }
        stream.write_all(piece).await?;
        if framing == Framing::Chunked {
            stream.write_all(b"\r\n").await?;
        }
        if drip.is_some() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    if reset_after.is_some() {
        return abort(stream);
    }
    if stall_after.is_some() {
        tokio::time::sleep(STALL).await;
        return Ok(false);
    }
    if cut_after.is_some() {
        return Ok(false);
    }
    if framing == Framing::Chunked {
        stream.write_all(b"0\r\n\r\n").await?;
    }
    Ok(framing != Framing::ConnectionClose)
}

/// Resets the connection: unread data is lost.
fn abort(stream: &TcpStream) -> std::io::Result<bool> {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
    Ok(false)
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        300..=399 => "Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        410 => "Gone",
        429 => "Too Many Requests",
        402..=499 => "Client Error",
        503 => "Service Unavailable",
        _ => "Server Error",
    }
}
