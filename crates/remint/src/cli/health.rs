//! `remint health`: asks the running server on this machine whether it is ready, as a container or a supervisor does.
//! Opens nothing, and needs no tool beside this binary.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::body::Body;
use http::Request;
use http::header::HOST;
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;

use super::{CliError, Exit, Setup};
use crate::config::Config;

/// Shorter than what supervisors wait for.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn run(setup: &Setup) -> Result<(), CliError> {
    let address = reached_at(Config::operations_listen(&setup.flags, &setup.environment)?);
    let asked = tokio::time::timeout(PATIENCE, ask(address)).await;
    match asked.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}"))) {
        Ok((true, said)) => setup.print(&json!({ "ready": true, "said": said })),
        Ok((false, said)) => Err(CliError::failed(format!("not ready: {said}"))),
        Err(why) => Err(CliError::new(Exit::NotFound, format!("nobody answers at {address}: {why}"))),
    }
}

/// A server that listens on every address is asked on the loopback.
fn reached_at(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn ask(address: SocketAddr) -> Result<(bool, String), String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let driving = tokio::spawn(connection);
    let request = Request::get("/readyz").header(HOST, address.to_string()).body(Body::empty());
    let response = sender.send_request(request.map_err(|error| error.to_string())?).await;
    let response = response.map_err(|error| error.to_string())?;
    let ready = response.status().is_success();
    let body = http_body_util::Limited::new(response.into_body(), 1024).collect().await;
    driving.abort();
    let said = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).trim().to_owned()).unwrap_or_default();
    Ok((ready, said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_every_address_is_asked_on_the_loopback() {
        for (listen, asked) in [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("192.0.2.1:1", "192.0.2.1:1")] {
            assert_eq!(reached_at(listen.parse().unwrap()).to_string(), asked);
        }
    }
}
