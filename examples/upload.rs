//! A form with files: what may come is one policy, what comes is kept on disk.
//!
//! ```text
//! cargo run --release --example upload
//! ```
//!
//! Then open <http://127.0.0.1:8080/> in a browser, or:
//!
//! ```text
//! curl -F title=cat -F photo=@cat.png http://127.0.0.1:8080/
//! curl -F title=cat -F photo=@/bin/ls http://127.0.0.1:8080/
//! ```

use std::path::PathBuf;

use squall::{
    Application, Attachment, Error, File, Html, IntoResponse, Multipart, Path, Result, Settings,
    State, UploadPolicy, get, safe_file_name,
};

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>Photos</title>
<form method="post" enctype="multipart/form-data">
  <p><label>Title <input name="title" required></label>
  <p><label>Photo <input name="photo" type="file" accept="image/*" required></label>
  <p><button>Send</button>
</form>
"#;

/// Where photos are kept.
struct Photos {
    folder: PathBuf,
}

async fn upload(
    State(photos): State<Photos>,
    State(policy): State<UploadPolicy>,
    form: Multipart,
) -> Result<String> {
    let mut form = form.with_policy(policy).collect().await?;
    let photo = form.take_file("photo")?;
    let name = photo.safe_file_name();
    let told = format!(
        "{} is {name} now, {} bytes\n",
        form.field("title")?,
        photo.len()
    );
    match photo.save_to(photos.folder.join(&name)).await {
        Ok(()) => Ok(told),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Error::conflict(format!("there is a {name} already")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Strangers' files are saved by browsers, never shown as a page of this site.
async fn photo(
    State(photos): State<Photos>,
    Path(name): Path<String>,
) -> Result<impl IntoResponse> {
    let name = safe_file_name(&name);
    match File::open(photos.folder.join(&name)).await {
        Ok(file) => Ok(Attachment::new(&name, file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::not_found("there is no such photo"))
        }
        Err(error) => Err(error.into()),
    }
}

fn main() -> Result<()> {
    tracing_subscriber::fmt().log_internal_errors(false).init();
    let mut args = std::env::args().skip(1);
    let address = args.next();
    let folder = args
        .next()
        .map_or_else(|| std::env::temp_dir().join("squall-photos"), PathBuf::from);
    std::fs::create_dir_all(&folder)?;
    let policy = UploadPolicy::new()
        .files(1)
        .file(10 << 20)
        .types(["image/*"])
        .extensions(["png", "jpg", "jpeg", "gif", "webp"])
        // On the same file system a photo is not copied when it is saved.
        .directory(&folder);
    let mut settings = Settings::default();
    settings.server.max_body_size = 11 << 20;
    Application::new()
        .settings(settings)
        .state(Photos { folder })
        .state(policy)
        .route("/", get(async || Html(PAGE)).post(upload))
        .route("/photos/{name}", photo)
        .listen(address.as_deref().unwrap_or("127.0.0.1:8080"))?
        .run()
}
