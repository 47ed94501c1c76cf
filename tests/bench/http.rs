//! Just enough of HTTP/1.1 for servers and a client that must not be what is measured: requests are split
//! off as they arrive, several at once if they do, and answers are bytes that were made before.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A request, in the bytes that came.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) body: &'a [u8],
}

/// What becomes of a request.
pub(crate) enum Reply {
    /// These bytes are the whole answer.
    Bytes(std::sync::Arc<[u8]>),
    /// The connection is handed on, for a stream of events.
    Stream,
}

/// Answer what comes on a connection until it ends; true if it is to be handed on.
pub(crate) async fn serve<S>(
    stream: &mut S,
    mut answer: impl FnMut(&Request<'_>) -> Reply,
) -> io::Result<bool>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut input, mut output) = (Vec::with_capacity(16 << 10), Vec::new());
    while stream.read_buf(&mut input).await? > 0 {
        let mut done = 0;
        while let Some((request, length)) = split(&input[done..]) {
            done += length;
            match answer(&request) {
                Reply::Bytes(bytes) => output.extend_from_slice(&bytes),
                Reply::Stream => return Ok(true),
            }
        }
        input.drain(..done);
        if !output.is_empty() {
            stream.write_all(&output).await?;
            output.clear();
        }
    }
    Ok(false)
}

/// The first whole request, and its length.
fn split(input: &[u8]) -> Option<(Request<'_>, usize)> {
    let head = find(input, b"\r\n\r\n")?;
    let length = content_length(&input[..head]).unwrap_or(0);
    let whole = head + 4 + length;
    let body = input.get(head + 4..whole)?;
    let line = std::str::from_utf8(&input[..find(input, b"\r\n")?]).ok()?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    Some((Request { method, path, body }, whole))
}

/// Send a request, and read its answer to the end; true if it was a success.
pub(crate) async fn exchange<S>(
    stream: &mut S,
    request: &[u8],
    buffer: &mut Vec<u8>,
) -> io::Result<bool>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(request).await?;
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(head) = find(buffer, b"\r\n\r\n") else { continue };
        let whole = match content_length(&buffer[..head]) {
            Some(length) => buffer.len() >= head + 4 + length,
            None if is_chunked(&buffer[..head]) => buffer.ends_with(b"\r\n0\r\n\r\n"),
            None => true,
        };
        if whole {
            return Ok(buffer.starts_with(b"HTTP/1.1 2"));
        }
    }
}

/// Whether the length of an answer is not known before its end, as a real engine answers.
fn is_chunked(head: &[u8]) -> bool {
    const NAME: &[u8] = b"\r\ntransfer-encoding: chunked";
    head.windows(NAME.len()).any(|part| part.eq_ignore_ascii_case(NAME))
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let at = head.windows(NAME.len()).position(|part| part.eq_ignore_ascii_case(NAME))?;
    let digits = head[at + NAME.len()..].split(|byte| *byte == b'\r').next()?;
    std::str::from_utf8(digits).ok()?.trim().parse().ok()
}

/// Where a part begins.
pub(crate) fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, part)
}

/// A whole answer.
pub(crate) fn answer(status: u16, body: &[u8]) -> std::sync::Arc<[u8]> {
    answer_with(status, "", body)
}

/// The same with further lines of the head.
pub(crate) fn answer_with(status: u16, more: &str, body: &[u8]) -> std::sync::Arc<[u8]> {
    let head = format!(
        "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nApi-Version: 1.41\r\n{more}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat().into()
}
