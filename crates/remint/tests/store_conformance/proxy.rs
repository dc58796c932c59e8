//! A wire between a store and its database that a test can cut, at a COMMIT too, that may be slow or fall silent.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the wire does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// It carries everything.
    Sound,
    /// It breaks when a COMMIT is to be carried to the database.
    BreaksBeforeCommit,
    /// It breaks when the answer to a COMMIT is to be carried back.
    BreaksAfterCommit,
    /// It carries everything, and takes its time for each piece.
    Slow,
    /// It carries nothing, and nobody is told.
    Silent,
    /// Nobody can connect, and who is connected is cut off.
    Down,
}

/// The wire, at a port of its own.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    wire: Arc<Mutex<Wire>>,
    to: Arc<AtomicU16>,
    carrying: Arc<AtomicUsize>,
}

impl Proxy {
    /// A sound wire to the database at a port of this machine.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire = Arc::new(Mutex::new(Wire::Sound));
        let (to, carrying) = (Arc::new(AtomicU16::new(port)), Arc::new(AtomicUsize::new(0)));
        let proxy = Self { port: listener.local_addr().unwrap().port(), wire, to, carrying };
        let (of, to, carrying) = (Arc::clone(&proxy.wire), Arc::clone(&proxy.to), Arc::clone(&proxy.carrying));
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                if *of.lock().unwrap() != Wire::Down {
                    let server = TcpStream::connect(("127.0.0.1", to.load(Ordering::SeqCst))).await.unwrap();
                    let (of, carrying) = (Arc::clone(&of), Arc::clone(&carrying));
                    carrying.fetch_add(1, Ordering::SeqCst);
                    tokio::spawn(async move {
                        carry(client, server, of).await;
                        carrying.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            }
        });
        proxy
    }

    /// Everybody is cut off, and led to another server from now on. Blocks until all are.
    pub(crate) fn lead_to(&self, port: u16) {
        self.set(Wire::Down);
        while self.carrying.load(Ordering::SeqCst) > 0 {
            std::thread::yield_now();
        }
        self.to.store(port, Ordering::SeqCst);
        self.set(Wire::Sound);
    }

    pub(crate) fn set(&self, wire: Wire) {
        *self.wire.lock().unwrap() = wire;
    }
}

/// Until one side is closed or the wire breaks: then both are.
async fn carry(mut client: TcpStream, mut server: TcpStream, wire: Arc<Mutex<Wire>>) {
    let (mut from_client, mut from_server) = ([0; 16 << 10], [0; 16 << 10]);
    let mut committing = false;
    let mut look = tokio::time::interval(std::time::Duration::from_millis(5));
    let late = std::time::Duration::from_millis(50);
    loop {
        let now = *wire.lock().unwrap();
        if now == Wire::Down {
            return;
        }
        tokio::select! {
            _ = look.tick() => {}
            read = client.read(&mut from_client), if now != Wire::Silent => {
                let Ok(bytes @ 1..) = read else { return };
                if now == Wire::Slow {
                    tokio::time::sleep(late).await;
                }
                let said = &from_client[..bytes];
                committing = said.windows(7).any(|part| part == b"COMMIT\0");
                let broken = committing && *wire.lock().unwrap() == Wire::BreaksBeforeCommit;
                if broken || server.write_all(said).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut from_server), if now != Wire::Silent => {
                let Ok(bytes @ 1..) = read else { return };
                if now == Wire::Slow {
                    tokio::time::sleep(late).await;
                }
                let broken = committing && *wire.lock().unwrap() == Wire::BreaksAfterCommit;
                if broken || client.write_all(&from_server[..bytes]).await.is_err() {
                    return;
                }
            }
        }
    }
}
