//! Nine parameters.
//~ does not answer a route
//~ up to eight extractors

use squall::{Application, Method};

#[allow(clippy::too_many_arguments)]
async fn many(
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
) {
}

fn main() {
    let _ = Application::new().route("/", many);
}
