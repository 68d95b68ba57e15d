//! A way between two processes that can be taken away: a TCP proxy that forwards, or holds everything back.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::measure::page::Outcome;

const PIECE: usize = 16 * 1024;

pub(crate) struct Link {
    /// Where it is entered.
    pub(crate) address: SocketAddr,
    open: watch::Sender<bool>,
}

impl Link {
    /// An open way to a process.
    pub(crate) async fn to(target: SocketAddr) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (open, opened) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(join(near, target, opened.clone()));
            }
        });
        Ok(Self { address, open })
    }

    /// Holds back everything in both directions, without a word to either end, or lets it through again.
    pub(crate) fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }
}

async fn join(near: TcpStream, target: SocketAddr, mut opened: watch::Receiver<bool>) {
    if opened.wait_for(|open| *open).await.is_err() {
        return;
    }
    let Ok(far) = TcpStream::connect(target).await else { return };
    if near.set_nodelay(true).and_then(|()| far.set_nodelay(true)).is_err() {
        return;
    }
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    tokio::spawn(forward(near_read, far_write, opened.clone()));
    forward(far_read, near_write, opened).await;
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut opened: watch::Receiver<bool>) {
    let mut piece = vec![0; PIECE];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        if opened.wait_for(|open| *open).await.is_err() {
            return;
        }
        let Some(read) = piece.get(..read) else { return };
        if to.write_all(read).await.is_err() {
            return;
        }
    }
}
