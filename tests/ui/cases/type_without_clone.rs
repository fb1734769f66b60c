//! A handler type that is not `Clone`.
//~ the trait `Clone` is not implemented for `Photos`
//~ required by a bound in `RequestHandler`

use squall::{Application, Context, RequestHandler, Result};

struct Photos;

impl RequestHandler for Photos {
    async fn get(&mut self, _: &mut Context) -> Result<()> {
        Ok(())
    }
}

fn main() {
    let _ = Application::new().route("/", Photos);
}
