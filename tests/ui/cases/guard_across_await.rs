//! A lock's guard lives across an `.await`.
//~ does not answer a route
//~ its future has to be `Send`
//~ squall::web::explain::with_one(f)
//~ future cannot be sent between threads safely
//~ has type `std::sync::MutexGuard<'_, u32>` which is not `Send`

use std::sync::Mutex;
use std::time::Duration;

use squall::Application;

static COUNT: Mutex<u32> = Mutex::new(0);

async fn count() -> String {
    let count = COUNT.lock().unwrap();
    squall::sleep(Duration::from_secs(1)).await;
    count.to_string()
}

fn main() {
    let _ = Application::new().route("/", count);
    squall::web::explain::without(count);
}
