//! axum on tokio's multi-thread runtime with N workers.

use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use peer_jobs::{
    IT_WORKS, Options, Thing, block, call_self, hundred_paths, lock, ready, spin, sync,
};

fn main() -> std::io::Result<()> {
    let options = Options::from_args();
    let thing = |Path(id): Path<u64>| async move { Json(Thing::new(id)) };
    let app = hundred_paths()
        .fold(Router::new(), |app, path| app.route(&path, get(thing)))
        .route("/plaintext", get(|| async { IT_WORKS }))
        .route(
            "/block/{ms}",
            get(|Path(ms): Path<u64>| async move { block(ms) }),
        )
        .route(
            "/spin/{ms}",
            get(|Path(ms): Path<u64>| async move { spin(ms) }),
        )
        .route(
            "/lock/{ms}",
            get(|Path(ms): Path<u64>| async move { lock(ms) }),
        )
        .route("/sync", get(|| async { sync() }))
        .route("/client/sync", get(|| async { call_self() }));
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(options.lanes)
        .enable_all()
        .build()?
        .block_on(async move {
            let listener = tokio::net::TcpListener::bind(options.listen).await?;
            ready("axum", listener.local_addr()?);
            axum::serve(listener, app).await
        })
}
