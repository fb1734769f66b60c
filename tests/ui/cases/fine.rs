//! Nothing is wrong here: the other cases fail for their own mistake alone.

use squall::{Application, Context, Json, Path, Request, RequestHandler, Result, State, get};

async fn function(_: Path<u32>, _: State<String>, _: Request) -> Result<Json<u32>> {
    Ok(Json(1))
}

#[derive(Clone)]
struct Type;

impl RequestHandler for Type {
    async fn get(&mut self, _: &mut Context) -> Result<()> {
        Ok(())
    }
}

fn main() {
    let _ = Application::new()
        .route("/{id}", function)
        .route("/get/{id}", get(function))
        .route("/type", Type);
}
