//! actix-web with N workers.

use actix_web::web::{Json, Path, get};
use actix_web::{App, HttpServer};
use peer_jobs::{
    IT_WORKS, Options, Thing, block, call_self, hundred_paths, lock, ready, spin, sync,
};

fn main() -> std::io::Result<()> {
    let options = Options::from_args();
    actix_web::rt::System::new().block_on(async move {
        let server = HttpServer::new(|| {
            let thing = |id: Path<u64>| async move { Json(Thing::new(*id)) };
            let app = App::new()
                .route("/plaintext", get().to(|| async { IT_WORKS }))
                .route(
                    "/block/{ms}",
                    get().to(|ms: Path<u64>| async move { block(*ms) }),
                )
                .route(
                    "/spin/{ms}",
                    get().to(|ms: Path<u64>| async move { spin(*ms) }),
                )
                .route(
                    "/lock/{ms}",
                    get().to(|ms: Path<u64>| async move { lock(*ms) }),
                )
                .route("/sync", get().to(|| async { sync() }))
                .route("/client/sync", get().to(|| async { call_self() }));
            hundred_paths().fold(app, |app, path| app.route(&path, get().to(thing)))
        })
        .workers(options.lanes)
        // As the other peers: SIGTERM ends it at once.
        .disable_signals()
        .bind(options.listen)?;
        for addr in server.addrs() {
            ready("actix", addr);
        }
        server.run().await
    })
}
