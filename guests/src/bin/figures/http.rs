//! As much of HTTP/1.1 as a load needs, for guests that bring none: requests without a body, one after the other. Once as
//! plain code and once as a future.

use std::io::{self, Read, Write};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::Failure;

/// Answers each request with the text that `answer` gives, until the client goes.
pub(crate) fn serve<S: Read + Write>(
    stream: &mut S,
    mut answer: impl FnMut() -> Result<String, Failure>,
) -> Result<(), Failure> {
    let (mut buffer, mut end) = ([0; 2048], 0);
    loop {
        match stream.read(&mut buffer[end..])? {
            0 => return Ok(()),
            length => end += length,
        }
        if is_whole(&buffer[..end])? {
            end = 0;
            stream.write_all(response(&answer()?).as_bytes())?;
            stream.flush()?;
        }
    }
}

/// The same as a future.
pub(crate) async fn serve_future<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    mut answer: impl AsyncFnMut() -> Result<String, Failure>,
) -> Result<(), Failure> {
    let (mut buffer, mut end) = ([0; 2048], 0);
    loop {
        match stream.read(&mut buffer[end..]).await? {
            0 => return Ok(()),
            length => end += length,
        }
        if is_whole(&buffer[..end])? {
            end = 0;
            stream.write_all(response(&answer().await?).as_bytes()).await?;
            stream.flush().await?;
        }
    }
}

/// Whether the request has come to its end.
fn is_whole(request: &[u8]) -> io::Result<bool> {
    match request.ends_with(b"\r\n\r\n") {
        false if request.len() == 2048 => Err(io::ErrorKind::InvalidData.into()),
        whole => Ok(whole),
    }
}

fn response(text: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())
}
