//! Connections: their number, their time limits, and shutdown.

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
use super::write_timeout::WriteTimeout;
use super::{Access, Api, ApiService};
use crate::engine::Engine;
use crate::telemetry::Telemetry;

/// Limit of open connections; further ones wait in the backlog.
const CONNECTIONS: usize = 10_000;
/// Listen backlog. With the usual 128, connections were reset under load when all clients of a shop
/// connected at once.
const BACKLOG: u32 = 4_096;
/// Time limit of a TLS handshake.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// Time limit for the head of a request; also the limit of an idle connection.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Size limit of a request's head.
const HEAD_BYTES: usize = 32 * 1024;
/// Longest time a client may read nothing of its response.
const WRITE_WITHIN: Duration = Duration::from_secs(30);
/// Time for running requests to finish at shutdown. The engine's own shutdown follows, with seven
/// more seconds.
const FINISH_WITHIN: Duration = Duration::from_secs(2);
/// Wait after a failed accept, which mostly means that no file descriptor is free.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Failed accepts in a row before the server gives up, if no open connection could free a
/// descriptor.
const ACCEPT_FAILURES: u32 = 100;

/// Listens on `address`.
///
/// # Errors
/// If the address is in use, or does not belong to this machine.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for the last connections of the previous process.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves the API on `listener` until `stop` is cancelled, then finishes running requests for at
/// most two seconds. Until `engine` is set, routes that need it return a 503.
///
/// # Errors
/// If the listener keeps failing.
pub async fn serve(
    listener: TcpListener,
    engine: Arc<OnceLock<Engine>>,
    telemetry: Telemetry,
    access: Access,
    stop: CancellationToken,
) -> io::Result<()> {
    let service = ApiService::new(Api::new(engine, telemetry, stop.clone()), access.tokens);
    let handler = ConnectionHandler { service, tls: access.tls, stop: stop.clone() };
    serve_all(listener, handler, stop).await
}

/// Serves one connection; cloned for each.
#[derive(Clone)]
struct ConnectionHandler {
    service: ApiService,
    tls: Option<Tls>,
    stop: CancellationToken,
}

async fn serve_all(
    listener: TcpListener,
    handler: ConnectionHandler,
    stop: CancellationToken,
) -> io::Result<()> {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let mut failures = 0;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener, &permits) => match accepted {
                Ok((stream, permit)) => {
                    failures = 0;
                    connections.spawn(handler.clone().serve(stream, graceful.watcher(), permit));
                }
                Err(error) if failures >= ACCEPT_FAILURES && connections.is_empty() => {
                    return Err(error);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection; trying again");
                    failures += 1;
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            },
        }
    }
    drop(listener);
    if tokio::time::timeout(FINISH_WITHIN, graceful.shutdown()).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "shutdown closed connections with running requests; clients can repeat them safely"
        );
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = permits.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, permit))
}

impl ConnectionHandler {
    async fn serve(self, stream: TcpStream, watcher: Watcher, _permit: OwnedSemaphorePermit) {
        let Ok(peer) = stream.peer_addr() else { return };
        let _ = stream.set_nodelay(true);
        let stream = WriteTimeout::new(stream, WRITE_WITHIN);
        let peer = Peer(peer.ip());
        let Some(Tls(acceptor)) = &self.tls else {
            return serve_http(stream, self.service, peer, watcher).await;
        };
        let handshake = tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream));
        if let Some(Ok(Ok(stream))) = self.stop.run_until_cancelled(handshake).await {
            serve_http(stream, self.service, peer, watcher).await;
        }
    }
}

async fn serve_http<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    stream: S,
    api: ApiService,
    peer: Peer,
    watcher: Watcher,
) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        api.clone().answer(request).map(Ok::<_, Infallible>)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    // An error here means that the client disconnected or was too slow. It is not logged.
    let _ = watcher.watch(connection).await;
}
