//! A TCP proxy on loopback whose way can be cut, slowed, or made to lose answers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// How bytes pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    Open,
    /// Nothing passes, and nothing is refused: a network that drops.
    Cut,
    /// Answers come so much later.
    Slow(Duration),
    /// Such a part of the answers never comes.
    Loses(f64),
}

struct Ways {
    /// Connections go to these in turn.
    to: Vec<SocketAddr>,
    next: usize,
    way: Way,
}

/// The proxy; it ends with its runtime.
pub struct TcpProxy {
    pub address: SocketAddr,
    ways: Arc<Mutex<Ways>>,
    /// A new number closes all connections.
    closing: watch::Sender<u64>,
}

impl TcpProxy {
    pub fn start(runtime: &Handle, to: Vec<SocketAddr>) -> Self {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let ways = Ways {
            to,
            next: 0,
            way: Way::Open,
        };
        let ways = Arc::new(Mutex::new(ways));
        let (closing, closes) = watch::channel(0);
        runtime.spawn(accept(listener, Arc::clone(&ways), closes));
        Self {
            address,
            ways,
            closing,
        }
    }

    /// Sets the way of all connections. What was lost while the way was cut is no stream any more,
    /// so a way that opens again closes them.
    pub fn set(&self, way: Way) {
        let before = std::mem::replace(&mut self.ways.lock().unwrap().way, way);
        if before == Way::Cut {
            self.close();
        }
    }

    /// Sends new connections to other addresses, and closes those that are open.
    pub fn lead_to(&self, to: Vec<SocketAddr>) {
        self.ways.lock().unwrap().to = to;
        self.close();
    }

    fn close(&self) {
        self.closing.send_modify(|number| *number += 1);
    }
}

async fn accept(listener: TcpListener, ways: Arc<Mutex<Ways>>, closes: watch::Receiver<u64>) {
    loop {
        let Ok((near, _)) = listener.accept().await else {
            return;
        };
        let (ways, mut closes) = (Arc::clone(&ways), closes.clone());
        closes.mark_unchanged();
        tokio::spawn(async move {
            tokio::select! {
                () = join(near, ways) => {}
                _ = closes.changed() => {}
            }
        });
    }
}

async fn join(near: TcpStream, ways: Arc<Mutex<Ways>>) {
    let to = {
        let mut ways = ways.lock().unwrap();
        ways.next += 1;
        let at = ways.next % ways.to.len().max(1);
        ways.to.get(at).copied()
    };
    let Some(to) = to else { return };
    let Ok(far) = TcpStream::connect(to).await else {
        return;
    };
    let (Ok(()), Ok(())) = (near.set_nodelay(true), far.set_nodelay(true)) else {
        return;
    };
    let (near_reads, near_writes) = near.into_split();
    let (far_reads, far_writes) = far.into_split();
    let asks = pass(near_reads, far_writes, Arc::clone(&ways), false);
    let answers = pass(far_reads, near_writes, ways, true);
    tokio::select! {
        () = asks => {}
        () = answers => {}
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    ways: Arc<Mutex<Ways>>,
    answers: bool,
) {
    let mut buffer = vec![0; 64 * 1024];
    let mut is_lost = false;
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        let way = ways.lock().unwrap().way;
        match way {
            Way::Slow(time) if answers => tokio::time::sleep(time).await,
            Way::Loses(part) if answers && fastrand::f64() < part => is_lost = true,
            Way::Cut => is_lost = true,
            _ => {}
        }
        // The rest of a stream that lost something is nothing that the other side could read.
        if !is_lost && to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
