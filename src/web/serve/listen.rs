//! Accepts connections, and ends them when the dashboard is stopped.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::queue::Stop;

/// Maximum number of open connections. More of them wait in the backlog of the operating system.
const CONNECTIONS: usize = 512;
/// How long a client may take to send a request head. Idle connections are closed after it, too.
const HEAD: Duration = Duration::from_secs(30);
/// Maximum size of a request head, in bytes.
const HEAD_BYTES: usize = 64 * 1024;
/// A connection is closed after this time, so that clients that read slowly cannot keep all connections.
const LIFE: Duration = Duration::from_secs(600);
/// How long requests that have begun may take once the dashboard is stopped.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// The address of the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub SocketAddr);

/// Answers requests until `stop` is stopped.
pub(super) async fn run(listener: std::net::TcpListener, router: Router, stop: &Stop) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let (close, closing) = watch::channel(());
    let mut open = JoinSet::new();
    let mut stopped = pin!(async {
        while !stop.is_stopped() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    loop {
        let next = async {
            let place = Arc::clone(&room).acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((listener.accept().await?, place))
        };
        tokio::select! {
            () = &mut stopped => break,
            Some(_) = open.join_next() => {}
            accepted = next => match accepted {
                Ok(((stream, peer), place)) => {
                    let (router, closing) = (router.clone(), closing.clone());
                    open.spawn(async move {
                        answer(stream, peer, router, closing).await;
                        drop(place);
                    });
                }
                // Such as too many open files. The next attempt may succeed.
                Err(error) => {
                    tracing::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(listener);
    drop(close);
    let all = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all).await.is_err() {
        tracing::warn!("some requests were not answered in time, and are canceled");
    }
    Ok(())
}

/// Answers the requests of one connection.
async fn answer(stream: TcpStream, peer: SocketAddr, router: Router, mut closing: watch::Receiver<()>) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        router.call(request)
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service)
    );
    let result = tokio::select! {
        result = connection.as_mut() => Ok(result),
        _ = closing.changed() => {
            connection.as_mut().graceful_shutdown();
            Ok(connection.await)
        }
        () = tokio::time::sleep(LIFE) => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(HEAD, connection).await
        }
    };
    match result {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("the connection of {peer} ended: {error}"),
        Err(_) => tracing::debug!("the connection of {peer} is closed, because its client reads too slowly"),
    }
}
