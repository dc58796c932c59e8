//! The refresh grant that rotates, durable, against the floor: the same load on the same core, in turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use remint_core::policy::{CLIENT_TIMEOUT, Policy, Timing};

use crate::child::{Server, free_port};
use crate::load::Load;
use crate::report::title;
use crate::seed::{CLIENT, Proof, Seeded};
use crate::turns::turns;
use crate::wire::{Connection, refresh};
use crate::{Fallible, Scale};

pub(crate) async fn measure(scale: Scale, log: &str) -> Fallible<()> {
    title(&format!(
        "refresh: the grant that rotates, durable, {} sessions, {} connections, the server on one core (log: {log})",
        scale.sessions, scale.connections
    ));
    let seeded = Arc::new(Seeded::new(scale.sessions, Proof::RefreshToken).await?);
    let server = Server::remint(seeded.path(), free_port()?, log).await?;
    settled().await;
    let visited = Arc::new(AtomicU64::new(0));
    let rotations = rotations(&seeded, &visited);
    let floor = Server::floor(seeded.path(), &claims_of_one(&server, &rotations).await?, "").await?;
    let plain = Load::of(REFRESHED, move || Some(refresh(CLIENT, &seeded.token(0)?, "")));
    turns((&server, &rotations), (&floor, &plain), scale).await?.print();
    Ok(())
}

/// What is in every answer.
const REFRESHED: &str = r#""refresh_token":""#;

/// Presents the refresh token of one session after the other, each once.
pub(crate) fn rotations(seeded: &Arc<Seeded>, visited: &Arc<AtomicU64>) -> Load {
    let (seeded, visited) = (Arc::clone(seeded), Arc::clone(visited));
    Load::of(REFRESHED, move || Some(refresh(CLIENT, &seeded.token(visited.fetch_add(1, Ordering::Relaxed))?, "")))
}

/// After a start on older data no head is rotated for the window W: commits could be missing.
pub(crate) async fn settled() {
    let windows = Policy::refresh().windows(&Timing::default());
    debug_assert!(windows.parent > CLIENT_TIMEOUT);
    tokio::time::sleep(windows.parent + Duration::from_secs(1)).await;
}

/// The claims of a token of the server: what the floor signs, so that both sign and send the same number of bytes.
async fn claims_of_one(server: &Server, rotations: &Load) -> Fallible<String> {
    let mut connection = Connection::open(server.address).await?;
    let request = rotations.next().ok_or("there are no sessions")?;
    let answer = connection.exchange(request.as_bytes()).await?;
    let (token, _) = (answer.member("access_token")?, answer.member("refresh_token")?);
    let payload = token.split('.').nth(1).ok_or("not a token")?;
    Ok(String::from_utf8(URL_SAFE_NO_PAD.decode(payload)?)?)
}
