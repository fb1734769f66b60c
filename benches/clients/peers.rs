//! The clients, each as its documentation shows it: no tuning but room for the
//! connections that are asked for. Every worker is a task, as a handler would be.

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::TokioExecutor;
use squall::AsyncHttpClient;
use squall_loop::IoLoop;

use crate::load::{Figures, Load, cpu_ns, work};

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

pub(crate) fn squall(load: Load) -> Figures {
    let io_loop = IoLoop::builder().lanes(1).build().map_err(text)?;
    let figures = io_loop.run(async move {
        let client = AsyncHttpClient::builder()
            .max_per_origin(load.concurrency)
            .max_idle_per_origin(load.concurrency)
            .build();
        let all = async |count: usize| {
            let worker = || {
                let (client, url) = (client.clone(), load.url.clone());
                IoLoop::current().spawn(async move {
                    let get = || async {
                        let mut response = client.fetch(url.as_str()).await.map_err(text)?;
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
        all(1).await?;
        let before = cpu_ns();
        all(load.each()).await?;
        load.figures(cpu_ns() - before)
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
        all(1).await?;
        let before = cpu_ns();
        all(load.each()).await?;
        load.figures(cpu_ns() - before)
    })
}

pub(crate) fn reqwest(load: Load) -> Figures {
    let client = reqwest::Client::new();
    let url = load.url.clone();
    on_tokio(load, move || {
        let (client, url) = (client.clone(), url.clone());
        async move {
            let response = client.get(&url).send().await.map_err(text)?;
            Ok(response.bytes().await.map_err(text)?.len())
        }
    })
}

pub(crate) fn hyper(load: Load) -> Figures {
    let client: HyperClient<_, Empty<Bytes>> =
        HyperClient::builder(TokioExecutor::new()).build_http();
    let url: hyper::Uri = load.url.parse().map_err(text)?;
    on_tokio(load, move || {
        let (client, url) = (client.clone(), url.clone());
        async move {
            let response = client.get(url).await.map_err(text)?;
            let body = response.into_body().collect().await.map_err(text)?;
            Ok(body.to_bytes().len())
        }
    })
}

/// It lives on one thread: its client is made inside.
pub(crate) fn awc(load: Load) -> Figures {
    thread_local! {
        static CLIENT: awc::Client = awc::Client::builder()
            .connector(awc::Connector::new().limit(0))
            .finish();
    }
    let url = load.url.clone();
    on_tokio(load, move || {
        let (client, url) = (CLIENT.with(Clone::clone), url.clone());
        async move {
            let mut response = client.get(url).send().await.map_err(text)?;
            Ok(response.body().await.map_err(text)?.len())
        }
    })
}
