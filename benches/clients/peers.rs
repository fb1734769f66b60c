//! The clients, each as its documentation shows it: no tuning but room for the
//! connections that are asked for. Every worker is a task, as a handler would be.

use std::cell::LazyCell;
use std::rc::Rc;
use std::sync::Arc;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use squall::AsyncHttpClient;
use squall_loop::IoLoop;

use crate::load::{Figures, Load, Usage, work};
use crate::tls;

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

pub(crate) fn squall(load: Load) -> Figures {
    let io_loop = IoLoop::builder().lanes(1).build().map_err(text)?;
    let trusted = tls::pem(&load)?;
    let figures = io_loop.run(async move {
        let mut builder = AsyncHttpClient::builder()
            .max_per_origin(load.concurrency)
            .max_idle_per_origin(load.concurrency)
            .max_idle_connections(load.concurrency.max(load.hosts));
        if let Some(pem) = trusted {
            builder = builder.ca_certs(pem);
        }
        let client = builder.build();
        let urls: Arc<[String]> = load.urls().into();
        let all = async |count: usize| {
            let worker = || {
                let (client, urls, load) = (client.clone(), urls.clone(), load.clone());
                IoLoop::current().spawn(async move {
                    let get = || async {
                        let url = urls[load.turn()].as_str();
                        let mut response = client.fetch(url).await.map_err(text)?;
                        Ok(response.bytes().await.map_err(text)?.len())
                    };
                    work(count, get).await
                })
            };
            let workers: Vec<_> = (0..load.concurrency).map(|_| worker()).collect();
            for worker in workers {
                worker.await.map_err(text)??;
            }
            Ok::<(), String>(())
        };
        all(load.warm_up()).await?;
        let first = Usage::now();
        all(load.other_hosts()).await?;
        let idle = Usage::now();
        all(load.each()).await?;
        load.figures(first, idle)
    });
    figures.map_err(text)?
}

/// The two on tokio, one thread.
fn on_tokio<F, G>(load: Load, get: G) -> Figures
where
    G: Fn() -> F + Clone + 'static,
    F: Future<Output = Result<usize, String>> + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(text)?;
    let all = async |count: usize| {
        let worker = || tokio::task::spawn_local(work(count, get.clone()));
        let workers: Vec<_> = (0..load.concurrency).map(|_| worker()).collect();
        for worker in workers {
            worker.await.map_err(text)??;
        }
        Ok::<(), String>(())
    };
    tokio::task::LocalSet::new().block_on(&runtime, async {
        all(load.warm_up()).await?;
        let first = Usage::now();
        all(load.other_hosts()).await?;
        let idle = Usage::now();
        all(load.each()).await?;
        load.figures(first, idle)
    })
}

pub(crate) fn reqwest(load: Load) -> Figures {
    let mut builder = reqwest::Client::builder();
    if let Some(config) = tls::config(&load)? {
        builder = builder.tls_backend_preconfigured(config);
    }
    let client = builder.build().map_err(text)?;
    let (urls, turns): (Arc<[String]>, _) = (load.urls().into(), load.clone());
    on_tokio(load, move || {
        let (client, urls, turn) = (client.clone(), urls.clone(), turns.turn());
        async move {
            let response = client.get(&urls[turn]).send().await.map_err(text)?;
            Ok(response.bytes().await.map_err(text)?.len())
        }
    })
}

pub(crate) fn hyper(load: Load) -> Figures {
    match tls::config(&load)? {
        None => hyper_over(load, HttpConnector::new()),
        Some(config) => {
            let https = HttpsConnectorBuilder::new().with_tls_config(config);
            hyper_over(load, https.https_only().enable_http1().build())
        }
    }
}

fn hyper_over<C>(load: Load, connector: C) -> Figures
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let client: HyperClient<_, Empty<Bytes>> =
        HyperClient::builder(TokioExecutor::new()).build(connector);
    let urls: Result<Vec<hyper::Uri>, _> = load.urls().iter().map(|url| url.parse()).collect();
    let (urls, turns) = (urls.map_err(text)?, load.clone());
    on_tokio(load, move || {
        let (client, url) = (client.clone(), urls[turns.turn()].clone());
        async move {
            let response = client.get(url).await.map_err(text)?;
            let body = response.into_body().collect().await.map_err(text)?;
            Ok(body.to_bytes().len())
        }
    })
}

/// It lives on one thread: its client is made inside.
pub(crate) fn awc(load: Load) -> Figures {
    let config = tls::config(&load)?.map(Arc::new);
    let client = LazyCell::new(move || {
        let mut connector = awc::Connector::new().limit(0);
        if let Some(config) = config {
            connector = connector.rustls_0_23(config);
        }
        awc::Client::builder().connector(connector).finish()
    });
    let client = Rc::new(client);
    let (urls, turns): (Arc<[String]>, _) = (load.urls().into(), load.clone());
    on_tokio(load, move || {
        let (client, urls, turn) = ((**client).clone(), urls.clone(), turns.turn());
        async move {
            let mut response = client.get(&urls[turn]).send().await.map_err(text)?;
            Ok(response.body().await.map_err(text)?.len())
        }
    })
}
