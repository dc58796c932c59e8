//! A balancer before nodes: it carries each connection to the next node that takes it. What it carries can be cut, held up
//! or kept back, so that neither end is told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to what is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It arrives.
    Sound,
    /// It arrives so much later.
    Slow(Duration),
    /// It does not arrive, and no connection ends: half-open.
    Silent,
}

/// Clones are the same.
#[derive(Clone)]
pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    nodes: Arc<Mutex<Vec<SocketAddr>>>,
    turn: Arc<AtomicUsize>,
    /// How often everything was cut.
    cut: watch::Sender<u64>,
    way: watch::Sender<Way>,
}

impl Balancer {
    /// One that knows no node yet.
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let balancer = Self {
            address: listener.local_addr().unwrap(),
            nodes: Arc::default(),
            turn: Arc::default(),
            cut: watch::Sender::new(0),
            way: watch::Sender::new(Way::Sound),
        };
        let accepting = balancer.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(accepting.clone().carry(client));
            }
        });
        balancer
    }

    /// To these nodes from now on. Who is connected stays so.
    pub(crate) fn to(&self, nodes: &[SocketAddr]) {
        *self.nodes.lock().unwrap() = nodes.to_vec();
    }

    /// Ends every connection.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|times| *times += 1);
    }

    /// From now on this happens to all that is carried.
    pub(crate) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// The next node that takes a connection.
    async fn node(&self) -> Option<TcpStream> {
        let (nodes, turn) = (self.nodes.lock().unwrap().clone(), self.turn.fetch_add(1, Ordering::Relaxed));
        for at in 0..nodes.len() {
            if let Ok(stream) = TcpStream::connect(nodes[(turn + at) % nodes.len()]).await {
                return Some(stream);
            }
        }
        None
    }

    async fn carry(self, client: TcpStream) {
        let (mut cut, way) = (self.cut.subscribe(), self.way.subscribe());
        let Some(server) = self.node().await else { return };
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        tokio::select! {
            () = carried(from_client, to_server, way.clone()) => {}
            () = carried(from_server, to_client, way) => {}
            _ = cut.changed() => {}
        }
    }
}

/// Until one end is closed.
async fn carried(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut way: watch::Receiver<Way>) {
    let mut bytes = [0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        let Ok(found) = way.wait_for(|way| *way != Way::Silent).await.map(|way| *way) else { return };
        if let Way::Slow(by) = found {
            tokio::time::sleep(by).await;
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
