//! The control socket: how the command line reaches a running server. A Unix socket in the data directory, mode 0600,
//! for the server's own user and root. Never on the network.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

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
    let uid = std::fs::metadata(&path)?.uid();
    Ok(Listener::Unix { listener, uid })
}
