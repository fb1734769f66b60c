//! xitca-web with N workers.

use peer_jobs::{
    IT_WORKS, Options, Thing, block, call_self, hundred_paths, lock, ready, spin, sync,
};
use xitca_web::App;
use xitca_web::handler::handler_service;
use xitca_web::handler::json::Json;
use xitca_web::handler::params::Params;
use xitca_web::route::get;

fn main() -> std::io::Result<()> {
    let options = Options::from_args();
    let listener = std::net::TcpListener::bind(options.listen)?;
    ready("xitca", listener.local_addr()?);
    let thing = async |Params(id): Params<u64>| Json(Thing::new(id));
    hundred_paths()
        .fold(App::new(), |app, path| {
            app.at(&path, get(handler_service(thing)))
        })
        .at("/plaintext", get(handler_service(async || IT_WORKS)))
        .at(
            "/block/{ms}",
            get(handler_service(async |Params(ms): Params<u64>| block(ms))),
        )
        .at(
            "/spin/{ms}",
            get(handler_service(async |Params(ms): Params<u64>| spin(ms))),
        )
        .at(
            "/lock/{ms}",
            get(handler_service(async |Params(ms): Params<u64>| lock(ms))),
        )
        .at("/sync", get(handler_service(async || sync())))
        .at("/client/sync", get(handler_service(async || call_self())))
        .serve()
        .worker_threads(options.lanes)
        // As the other peers: SIGTERM ends it at once.
        .disable_signal()
        .listen(listener)?
        .run()
        .wait()
}
