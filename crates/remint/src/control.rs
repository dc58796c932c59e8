//! The control socket: how the command line reaches a running server. A Unix socket in the data directory, mode 0600,
//! for the server's own user and root. Never on the network.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use crate::listen::Listener;

/// Where the socket of a data directory lies.
pub fn socket_path(data: &Path) -> PathBuf {
    data.join("control.sock")
}

/// Opens the control socket of a data directory whose lock this process holds: a socket that is there already was left
/// behind by a process that is gone.
///
/// # Errors
/// Where the directory cannot be written, or its path is too long for a socket (about 100 bytes).
pub fn listener(data: &Path) -> io::Result<Listener> {
    let path = socket_path(data);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&path)?;
    // Before this line others could connect, but every connection is asked for its user.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(Listener::Unix { listener, uid: own_uid()? })
}

/// The user of this process, as the kernel says it to the peer of a socket: no file that somebody could have swapped.
/// Called where tokio runs, like everything that opens sockets here.
///
/// # Errors
/// Where the operating system gives no sockets.
pub fn own_uid() -> io::Result<u32> {
    let (one, _other) = UnixStream::pair()?;
    Ok(one.peer_cred()?.uid())
}
