//! Content of well-known types: pages, texts, JSON, XML, images.

use serde_json::{Value, json};
use squall::{Body, Error, Html, IntoResponse, Request, Response, Result, StatusCode};

const PNG: (&str, &[u8]) = ("image/png", include_bytes!("images/squall.png"));
const JPEG: (&str, &[u8]) = ("image/jpeg", include_bytes!("images/squall.jpg"));
const WEBP: (&str, &[u8]) = ("image/webp", include_bytes!("images/squall.webp"));
const SVG: (&str, &[u8]) = ("image/svg+xml", include_bytes!("images/squall.svg"));

pub(super) async fn html() -> Html<&'static str> {
    Html(include_str!("pages/sample.html"))
}

pub(super) async fn form() -> Html<&'static str> {
    Html(include_str!("pages/form.html"))
}

/// Text in many scripts.
pub(super) async fn utf8() -> Html<&'static str> {
    Html(include_str!("pages/utf8.html"))
}

pub(super) async fn xml() -> Body {
    Body::from(include_str!("pages/sample.xml")).with_content_type("application/xml")
}

pub(super) async fn json() -> Value {
    json!({
        "slideshow": {
            "title": "Sample Slide Show",
            "date": "date of publication",
            "author": "Yours Truly",
            "slides": [
                { "type": "all", "title": "Wake up to WonderWidgets!" },
                {
                    "type": "all",
                    "title": "Overview",
                    "items": [
                        "Why <em>WonderWidgets</em> are great",
                        "Who <em>buys</em> WonderWidgets",
                    ],
                },
            ],
        },
    })
}

pub(super) async fn robots() -> Body {
    Body::from("User-agent: *\nDisallow: /deny\n").with_content_type("text/plain")
}

/// What robots are asked not to read.
pub(super) async fn deny() -> Body {
    Body::from("\n     YOU SHOULDN'T BE HERE\n").with_content_type("text/plain")
}

/// The image that the client likes best among those it names, in this order.
pub(super) async fn image(request: Request) -> Result<Response> {
    let Some(accept) = request.headers().get("accept") else {
        return image_of(PNG);
    };
    let accept = accept.to_ascii_lowercase();
    for (kind, image) in [
        ("image/webp", WEBP),
        ("image/svg+xml", SVG),
        ("image/jpeg", JPEG),
        ("image/png", PNG),
        ("image/*", PNG),
    ] {
        if accept.contains(kind) {
            return image_of(image);
        }
    }
    super::answers::status_of(StatusCode::NOT_ACCEPTABLE)
}

pub(super) async fn image_png() -> Result<Response> {
    image_of(PNG)
}

pub(super) async fn image_jpeg() -> Result<Response> {
    image_of(JPEG)
}

pub(super) async fn image_webp() -> Result<Response> {
    image_of(WEBP)
}

pub(super) async fn image_svg() -> Result<Response> {
    image_of(SVG)
}

fn image_of((kind, bytes): (&'static str, &'static [u8])) -> Result<Response, Error> {
    Body::from(bytes).with_content_type(kind).into_response()
}
