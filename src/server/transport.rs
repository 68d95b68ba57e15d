//! The byte stream under HTTP/2: the preface read with a deadline, and writes that cannot wait for ever.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep, timeout};

/// What every HTTP/2 client sends first (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Why a connection did not become an HTTP/2 connection.
#[derive(Debug, Error)]
pub(super) enum PrefaceError {
    #[error("the HTTP/2 preface did not arrive in time")]
    Timeout,
    #[error("the first bytes are not the HTTP/2 preface")]
    Invalid,
    #[error("the connection ended before the HTTP/2 preface")]
    Ended(#[source] io::Error),
}

/// A stream whose preface has been read, and is given to its reader again.
pub(super) struct Transport<S> {
    stream: S,
    preface: &'static [u8],
    write_stall: WriteStall,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport<S> {
    /// Waits for the whole preface, since nothing above bounds a peer before it has been sent.
    pub(super) async fn open(
        mut stream: S,
        preface_timeout: Duration,
        write_stall_timeout: Duration,
    ) -> Result<Self, PrefaceError> {
        let mut first = [0; PREFACE.len()];
        match timeout(preface_timeout, stream.read_exact(&mut first)).await {
            Err(_) => Err(PrefaceError::Timeout),
            Ok(Err(error)) => Err(PrefaceError::Ended(error)),
            Ok(Ok(_)) if first != *PREFACE => Err(PrefaceError::Invalid),
            Ok(Ok(_)) => {
                let write_stall = WriteStall { limit: write_stall_timeout, timer: None };
                Ok(Self { stream, preface: PREFACE, write_stall })
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Transport<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.preface.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let (now, later) = self.preface.split_at(self.preface.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.preface = later;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Transport<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.write_stall.bound(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.write_stall.bound(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.write_stall.bound(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.stream).poll_shutdown(context);
        self.write_stall.bound(closed, context)
    }
}

/// Fails a write that has made no progress for `limit`.
struct WriteStall {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl WriteStall {
    fn bound<T>(&mut self, progress: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.timer = None;
            return progress;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(self.limit)));
        timer.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}
