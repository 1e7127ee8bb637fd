//! Connections: how many, how slow they may be, and how they end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::auth::Peer;
use super::tls::Tls;
use super::write_timeout::Patient;
use super::{Access, Api, Front};
use crate::engine::Engine;
use crate::telemetry::Telemetry;

/// The most connections; the next ones wait to be accepted.
const CONNECTIONS: usize = 10_000;
/// How many may wait for that. The usual 128 are too few where all clients of a shop connect at
/// once: under load those beyond were reset.
const WAITING: u32 = 4_096;
/// How long a TLS handshake may take.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// How long the head of a request may take, and how long a connection may lie idle.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// The most bytes of a request's head.
const HEAD_BYTES: usize = 32 * 1024;
/// How long a client may leave its answer unread.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// How long requests in hand may take to finish at the end. What follows, the engine's own end, has
/// seven seconds more.
const FINISH_WITHIN: Duration = Duration::from_secs(2);
/// How long to wait where no connection could be accepted, mostly because all file descriptors are
/// taken.
const PAUSE: Duration = Duration::from_millis(100);
/// How often in a row that may happen where there is no connection whose end could help.
const FAILURES: u32 = 100;

/// Listens on `address`.
///
/// # Errors
/// Where it is taken or not this machine's.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A service that starts again must not wait for the last connections of the one before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

/// Serves the API on `listener` to those who have `access`, until `stop` is cancelled; then
/// requests in hand are finished, for two seconds at most. Until there is an `engine`, whatever
/// needs it is answered with a 503.
///
/// # Errors
/// Where the listener is broken for good.
pub async fn serve(
    listener: TcpListener,
    engine: Arc<OnceLock<Engine>>,
    telemetry: Telemetry,
    access: Access,
    stop: CancellationToken,
) -> io::Result<()> {
    let front = Front::new(Api::new(engine, telemetry, stop.clone()), access.tokens);
    let door = Door { front, tls: access.tls, stop: stop.clone() };
    serve_all(listener, door, stop).await
}

/// What every connection needs.
#[derive(Clone)]
struct Door {
    front: Front,
    tls: Option<Tls>,
    stop: CancellationToken,
}

async fn serve_all(listener: TcpListener, door: Door, stop: CancellationToken) -> io::Result<()> {
    let (graceful, mut connections) = (GracefulShutdown::new(), JoinSet::new());
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut failures = 0;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener, &places) => match accepted {
                Ok((stream, place)) => {
                    failures = 0;
                    connections.spawn(door.clone().serve(stream, graceful.watcher(), place));
                }
                Err(error) if failures >= FAILURES && connections.is_empty() => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    failures += 1;
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    if tokio::time::timeout(FINISH_WITHIN, graceful.shutdown()).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "connections were cut off with requests in hand; repeating those is safe"
        );
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

impl Door {
    async fn serve(self, stream: TcpStream, watcher: Watcher, _place: OwnedSemaphorePermit) {
        let Ok(peer) = stream.peer_addr() else { return };
        let _ = stream.set_nodelay(true);
        let (stream, peer) = (Patient::new(stream, READ_WITHIN), Peer(peer.ip()));
        let Some(Tls(acceptor)) = &self.tls else {
            return speak(stream, self.front, peer, watcher).await;
        };
        let handshake = tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream));
        if let Some(Ok(Ok(stream))) = self.stop.run_until_cancelled(handshake).await {
            speak(stream, self.front, peer, watcher).await;
        }
    }
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    stream: S,
    front: Front,
    peer: Peer,
    watcher: Watcher,
) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        front.clone().answer(request).map(Ok::<_, Infallible>)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    // What goes wrong here is a client that went away, or was too slow: no news for the log.
    let _ = watcher.watch(connection).await;
}
