//! The report: ab's labels and order, then a histogram.

use std::fmt::{self, Write};
use std::time::Duration;

use hdrhistogram::Histogram;
use url::Url;

use super::Options;
use super::tally::Tally;

/// Lines of the histogram, and the length of its longest bar.
const BUCKETS: u64 = 12;
const BAR: u64 = 50;

pub(super) fn report(options: &Options, tally: &Tally, took: Duration) -> String {
    let mut text = String::new();
    // A string takes everything.
    let _ = write(&mut text, options, tally, took);
    text
}

fn write(out: &mut String, options: &Options, tally: &Tally, took: Duration) -> fmt::Result {
    let seconds = took.as_secs_f64().max(f64::EPSILON);
    target(out, &options.url, tally)?;
    writeln!(out, "Concurrency Level:      {}", options.concurrency)?;
    writeln!(out, "Time taken for tests:   {seconds:.3} seconds")?;
    counts(out, options, tally)?;
    rates(out, options, tally, seconds)?;
    if tally.complete() == 0 {
        return Ok(());
    }
    writeln!(out, "\nConnection Times (ms)")?;
    writeln!(
        out,
        "                 min     mean  [+/-sd]   median      max"
    )?;
    times(out, "Connect:", &tally.connect)?;
    times(out, "Processing:", &tally.processing)?;
    times(out, "Waiting:", &tally.waiting)?;
    times(out, "Total:", &tally.total)?;
    percentiles(out, &tally.total)?;
    histogram(out, &tally.total)
}

/// What was asked, and who answered.
fn target(out: &mut String, url: &Url, tally: &Tally) -> fmt::Result {
    let server = tally.server.as_deref().unwrap_or_default();
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let length = tally.length.unwrap_or(0);
    writeln!(out, "Server Software:        {server}")?;
    writeln!(out, "Server Hostname:        {host}")?;
    writeln!(out, "Server Port:            {port}\n")?;
    writeln!(out, "Document Path:          {path}")?;
    writeln!(out, "Document Length:        {length} bytes\n")
}

fn counts(out: &mut String, options: &Options, tally: &Tally) -> fmt::Result {
    let failed = tally.failed() + tally.other_length;
    writeln!(out, "Complete requests:      {}", tally.complete())?;
    writeln!(out, "Failed requests:        {failed}")?;
    if failed > 0 {
        let (connect, broken, length) = (tally.unconnected, tally.broken, tally.other_length);
        writeln!(
            out,
            "   (Connect: {connect}, Receive: {broken}, Length: {length}, Exceptions: 0)"
        )?;
    }
    if tally.not_2xx > 0 {
        writeln!(out, "Non-2xx responses:      {}", tally.not_2xx)?;
    }
    if options.keep_alive {
        writeln!(out, "Keep-Alive requests:    {}", tally.reused)?;
    }
    writeln!(out, "Total transferred:      {} bytes", tally.transferred)?;
    writeln!(out, "HTML transferred:       {} bytes", tally.bodies)
}

fn rates(out: &mut String, options: &Options, tally: &Tally, seconds: f64) -> fmt::Result {
    let complete = tally.complete() as f64;
    let per_second = complete / seconds;
    writeln!(
        out,
        "Requests per second:    {per_second:.2} [#/sec] (mean)"
    )?;
    if complete > 0.0 {
        let across = seconds * 1e3 / complete;
        let each = across * f64::from(options.concurrency);
        writeln!(out, "Time per request:       {each:.3} [ms] (mean)")?;
        writeln!(
            out,
            "Time per request:       {across:.3} [ms] (mean, across all concurrent requests)"
        )?;
    }
    let rate = tally.transferred as f64 / 1024.0 / seconds;
    writeln!(
        out,
        "Transfer rate:          {rate:.2} [Kbytes/sec] received"
    )
}

fn percentiles(out: &mut String, times: &Histogram<u64>) -> fmt::Result {
    writeln!(
        out,
        "\nPercentage of the requests served within a certain time (ms)"
    )?;
    for percent in [50.0, 66.0, 75.0, 80.0, 90.0, 95.0, 98.0, 99.0] {
        let within = ms(times.value_at_percentile(percent) as f64);
        writeln!(out, "  {percent:>3.0}% {within:>9.3}")?;
    }
    let longest = ms(times.max() as f64);
    writeln!(out, "  100% {longest:>9.3} (longest request)")
}

fn ms(micros: f64) -> f64 {
    micros / 1e3
}

fn times(out: &mut String, name: &str, times: &Histogram<u64>) -> fmt::Result {
    let (min, median, max) = (times.min(), times.value_at_quantile(0.5), times.max());
    writeln!(
        out,
        "{name:<11} {:>8.3} {:>8.3} {:>8.3} {:>8.3} {:>8.3}",
        ms(min as f64),
        ms(times.mean()),
        ms(times.stdev()),
        ms(median as f64),
        ms(max as f64)
    )
}

/// Draws what lies below the 99th percentile in equal steps, and the rest in one line.
fn histogram(out: &mut String, times: &Histogram<u64>) -> fmt::Result {
    let (from, to) = (times.min(), times.value_at_quantile(0.99));
    let step = (to.saturating_sub(from) / BUCKETS).max(1);
    let mut lines = Vec::new();
    let mut low = from;
    while low <= to {
        let high = low + step;
        lines.push((low, high, times.count_between(low, high - 1)));
        low = high;
    }
    let shown: u64 = lines.iter().map(|(_, _, count)| count).sum();
    let rest = times.len().saturating_sub(shown);
    let most = (lines.iter().map(|(_, _, count)| *count))
        .chain([rest])
        .max()
        .unwrap_or(1)
        .max(1);
    writeln!(out, "\nTotal time (ms), by count")?;
    let bar = |count: u64| "#".repeat((count * BAR / most) as usize);
    for (low, high, count) in lines {
        let (low, high) = (ms(low as f64), ms(high as f64));
        writeln!(out, "{low:>9.3} - {high:<9.3} {count:>9} {}", bar(count))?;
    }
    if rest > 0 {
        let low = ms(low as f64);
        writeln!(out, "{low:>9.3} -           {rest:>9} {}", bar(rest))?;
    }
    Ok(())
}
