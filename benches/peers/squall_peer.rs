//! Squall with the routes of the peers; `squall demo` has more of its own.

use peer_jobs::{IT_WORKS, Options, Thing, block, call_self, lock, paths, ready, spin, sync};
use squall::{Application, Bytes, IoLoop, Json, Path, Result, post};

static LARGE: [u8; 4 << 20] = [b'a'; 4 << 20];

fn main() -> Result<()> {
    let options = Options::from_args();
    let io_loop = IoLoop::builder()
        .lanes(options.lanes)
        .monitor(options.monitor);
    let thing = async |Path(id): Path<u64>| Json(Thing::new(id));
    let app = paths(options.routes)
        .fold(Application::new(), |app, path| app.route(&path, thing))
        .route("/plaintext", async || IT_WORKS)
        .route("/block/{ms}", async |Path(ms): Path<u64>| block(ms))
        .route("/spin/{ms}", async |Path(ms): Path<u64>| spin(ms))
        .route("/lock/{ms}", async |Path(ms): Path<u64>| lock(ms))
        .route("/sync", async || sync())
        .route("/client/sync", async || call_self())
        .route("/echo", post(async |body: Bytes| body))
        .route("/large", async || Bytes::from_static(&LARGE))
        .io_loop(io_loop.build()?)
        .listen(options.listen)?;
    ready("squall", app.local_addr()?);
    app.run()
}
