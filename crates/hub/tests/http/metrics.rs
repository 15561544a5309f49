//! What `/metrics` shows: its form, what is promised in docs/reference.md, and that the figures are true.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fanfare_hub::{Hub, Settings};
use fanfare_log::{DiskLog, DiskSettings, Retention, Timestamp};
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::running::{PATIENCE, Running, Subscriber};

/// Names and values.
type Labels = Vec<(String, String)>;

/// What follows the name, the labels, the value.
type Sample = (String, Labels, f64);

/// One metric as it is announced, with its samples.
#[derive(Debug, Default)]
struct Metric {
    kind: String,
    unit: String,
    help: String,
    samples: Vec<Sample>,
}

/// Reads the OpenMetrics text format, strictly: whatever is not as the standard says is a failure of the test.
fn parse(text: &str) -> BTreeMap<String, Metric> {
    let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
    let mut name = String::new();
    let text = text.strip_suffix("# EOF\n").expect("the last line is the end");
    for line in text.lines() {
        if let Some(announced) = line.strip_prefix("# ") {
            let mut words = announced.splitn(3, ' ');
            let (what, of, value) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            if name != of {
                assert!(!metrics.contains_key(of), "{of} is announced twice");
                of.clone_into(&mut name);
            }
            let metric = metrics.entry(of.to_owned()).or_default();
            assert!(metric.samples.is_empty(), "{line}: after a sample");
            let field = match what {
                "HELP" => &mut metric.help,
                "TYPE" => &mut metric.kind,
                "UNIT" => &mut metric.unit,
                other => panic!("{other} is announced"),
            };
            assert!(field.is_empty(), "{line}: twice");
            value.clone_into(field);
            continue;
        }
        let end = line.find(['{', ' ']).unwrap();
        let suffix = line[..end].strip_prefix(&name).unwrap_or_else(|| panic!("{line}: under {name}"));
        let (labels, value) = match line[end..].strip_prefix('{') {
            Some(rest) => rest.split_once("} ").unwrap(),
            None => ("", line[end..].trim_start()),
        };
        let label = |label: &str| {
            let (key, value) = label.split_once('=').unwrap();
            let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap();
            assert!(!value.contains(['"', '\\', '\n']), "{line}");
            (key.to_owned(), value.to_owned())
        };
        let labels = labels.split(',').filter(|text| !text.is_empty()).map(label).collect();
        let sample = (suffix.to_owned(), labels, value.parse().unwrap());
        metrics.get_mut(&name).unwrap_or_else(|| panic!("{line}: unannounced")).samples.push(sample);
    }
    metrics
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '_')
}

/// What the standard and Prometheus' naming rules ask of a metric.
fn check(name: &str, metric: &Metric) {
    let Metric { kind, unit, help, samples } = metric;
    assert!(is_name(name) && !help.is_empty() && help.ends_with('.'), "{name}: {help}");
    assert!(unit.is_empty() || name.ends_with(&format!("_{unit}")), "{name} does not end in its unit, {unit}");
    let is_of_unit = ["_bytes", "_seconds"].iter().any(|unit| name.ends_with(unit));
    assert_eq!(is_of_unit, !unit.is_empty(), "{name}: {unit}");
    assert!(!samples.is_empty(), "{name} has no sample");
    assert!(!name.ends_with("_total") && !name.ends_with("_count"), "{name}");
    let series: BTreeSet<_> = samples.iter().map(|(suffix, labels, _)| (suffix, labels)).collect();
    assert_eq!(series.len(), samples.len(), "{name} has a series twice");
    for (suffix, labels, value) in samples {
        let suffixes: &[&str] = match kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_sum", "_count"],
            other => panic!("{name} is of the kind {other}"),
        };
        assert!(suffixes.contains(&suffix.as_str()), "{name}{suffix}");
        assert!(*value >= 0.0, "{name}{suffix} is {value}");
        assert!(labels.iter().all(|(key, _)| is_name(key)), "{labels:?}");
        assert_eq!(labels.iter().any(|(key, _)| key == "le"), suffix == "_bucket", "{name}{suffix}");
    }
    if kind == "histogram" {
        check_histogram(name, samples);
    }
}

/// For each set of labels: buckets that grow, up to one without a bound that has everything.
fn check_histogram(name: &str, samples: &[Sample]) {
    let mut buckets: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for (_, labels, value) in samples.iter().filter(|(suffix, ..)| suffix == "_bucket") {
        let (bounds, rest): (Vec<_>, Vec<_>) = labels.iter().cloned().partition(|(key, _)| key == "le");
        let bound = bounds[0].1.replace("+Inf", "inf").parse().unwrap();
        buckets.entry(rest).or_default().push((bound, *value));
    }
    for (labels, buckets) in buckets {
        assert!(buckets.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 <= two[1].1), "{name}: {buckets:?}");
        let count = samples.iter().find(|(suffix, of, _)| suffix == "_count" && *of == labels).unwrap().2;
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, count)), "{name}");
        assert!(samples.iter().any(|(suffix, of, _)| suffix == "_sum" && *of == labels), "{name} has no sum");
    }
}

impl Running {
    async fn metrics(&self) -> BTreeMap<String, Metric> {
        let answer = self.get("/metrics").send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
        parse(&answer.text().await.unwrap())
    }

    /// The value of a series, written as Prometheus does.
    async fn value(&self, series: &str) -> f64 {
        let text = self.get("/metrics").send().await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("there is no {series} in {text}")).parse().unwrap()
    }

    /// Waits until a series has a value.
    async fn until(&self, series: &str, value: f64) {
        let reached = async {
            while self.value(series).await != value {
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(PATIENCE, reached).await.is_err() {
            panic!("{series} is {}, not {value}", self.value(series).await);
        }
    }
}

/// A row of the table: name with its suffix, type, unit, labels with their values.
fn row(name: &str, metric: &Metric) -> [String; 4] {
    let suffix = match metric.kind.as_str() {
        "counter" => "_total",
        "info" => "_info",
        _ => "",
    };
    let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (key, value) in metric.samples.iter().flat_map(|(_, labels, _)| labels).filter(|(key, _)| key != "le") {
        labels.entry(key).or_default().insert(value);
    }
    // A version and a status are as they come.
    let texts = labels.into_iter().map(|(key, values)| match key {
        "version" | "status" => format!("`{key}`"),
        _ => format!("`{key}`: {}", values.into_iter().collect::<Vec<_>>().join(", ")),
    });
    [format!("`{name}{suffix}`"), metric.kind.clone(), metric.unit.clone(), texts.collect::<Vec<_>>().join("; ")]
}

#[tokio::test]
async fn every_metric_is_well_formed_and_in_the_reference() {
    let hub = Running::start().await;
    let (first, _second) = (hub.subscribe("/events").await, hub.subscribe("/events/a").await);
    hub.post("/events/a").body("x").send().await.unwrap();
    drop(first);
    hub.post("/events").body("x").send().await.unwrap();
    let metrics = hub.metrics().await;
    metrics.iter().for_each(|(name, metric)| check(name, metric));
    let shown: Vec<_> = metrics.iter().map(|(name, metric)| row(name, metric)).collect();

    let reference = include_str!("../../../../docs/reference.md");
    let table = reference.split("<a id=\"metrics\"></a>").nth(1).expect("the reference has a table of metrics");
    let rows = table.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let rows: Vec<_> = rows.take_while(|line| line.starts_with('|')).map(cells).collect();
    assert!(rows.iter().all(|row| row.len() == 5 && !row[4].is_empty()), "a row has five cells, and a meaning");
    let mut promised: Vec<_> = rows.iter().map(|row| row[..4].to_vec()).collect();
    promised.sort();
    let mut shown: Vec<_> = shown.iter().map(|row| row.to_vec()).collect();
    shown.sort();
    let lines = |rows: &[Vec<String>]| rows.iter().map(|row| format!("| {} |", row.join(" | "))).collect::<Vec<_>>();
    assert_eq!(lines(&promised), lines(&shown), "docs/reference.md, and what is shown");
}

#[tokio::test]
async fn the_figures_are_true() {
    let hub = Running::start().await;
    let mut shard = hub.subscribe("/events/a").await;
    // No shard takes a request that says so.
    let general = hub.get("/events/a").header("connection", "close").send().await.unwrap();
    let mut general = Subscriber::new(general);
    let batch = "{\"topic\":\"a\",\"data\":\"1\"}\n{\"topic\":\"a\",\"data\":\"2\"}\n";
    hub.post("/events").header("content-type", "application/x-ndjson").body(batch).send().await.unwrap();
    hub.publish("a", "3").await;
    assert_eq!((shard.data(3).await, general.data(3).await.len()), (vec!["1".into(), "2".into(), "3".into()], 3));
    for (series, value) in [
        ("fanfare_subscribers{path=\"shard\"}", 1.0),
        ("fanfare_subscribers{path=\"general\"}", 1.0),
        ("fanfare_connections{kind=\"http2\"}", 0.0),
        ("fanfare_connections{kind=\"tls_http2\"}", 0.0),
        ("fanfare_subscriptions_total", 2.0),
        ("fanfare_published_events_total", 3.0),
        ("fanfare_published_batches_total", 2.0),
        ("fanfare_publish_duration_seconds_count", 2.0),
        ("fanfare_delivered_events_total", 6.0),
        ("fanfare_log_events", 3.0),
        ("fanfare_log_tail_offset", 3.0),
        ("fanfare_log_start_offset", 0.0),
        ("fanfare_engine_ready", 1.0),
        ("fanfare_engine_unreadable_messages_total", 0.0),
        ("fanfare_ended_streams_total{reason=\"client\"}", 0.0),
    ] {
        // A shard counts what it sent after it has sent it.
        hub.until(series, value).await;
    }
    let bytes = hub.value("fanfare_published_bytes_total").await;
    assert_eq!(bytes, 3.0 * "id: \ndata: 1\n\n".len() as f64);
    assert!(hub.value("fanfare_delivered_bytes_total").await > 2.0 * bytes);
    for path in ["shard", "general"] {
        let series = format!("fanfare_fanout_duration_seconds_count{{path=\"{path}\"}}");
        let measured = async { while hub.value(&series).await < 1.0 {} };
        tokio::time::timeout(PATIENCE, measured).await.expect("what was delivered is measured");
    }
    drop((shard, general));
    hub.until("fanfare_ended_streams_total{reason=\"client\"}", 2.0).await;
    hub.until("fanfare_subscribers{path=\"shard\"}", 0.0).await;
    hub.until("fanfare_subscribers{path=\"general\"}", 0.0).await;
}

#[tokio::test]
async fn a_sync_of_the_disk_is_measured_and_a_compressed_stream_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let settings = DiskSettings::new(Retention::default(), Timestamp(0));
    let log = Arc::new(DiskLog::open(folder.path(), settings).unwrap());
    let mut settings = Settings::default();
    settings.compression = true;
    let hub = Running::of(Hub::builder().settings(settings).log(log)).await;
    hub.until("fanfare_compressed_subscribers{coding=\"gzip\"}", 0.0).await;
    let stream = hub.get("/events/a").header("accept-encoding", "gzip").send().await.unwrap();
    hub.until("fanfare_compressed_subscribers{coding=\"gzip\"}", 1.0).await;
    hub.until("fanfare_compressed_subscribers{coding=\"zstd\"}", 0.0).await;
    hub.publish("a", "1").await;
    hub.publish("a", "2").await;
    hub.until("fanfare_log_sync_duration_seconds_count", 2.0).await;
    drop(stream);
    hub.until("fanfare_compressed_subscribers{coding=\"gzip\"}", 0.0).await;
}

#[tokio::test]
async fn rejections_have_few_reasons() {
    let hub = Running::with(|settings| settings.body_bytes_max = 10, Retention::default()).await;
    let refused = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status();
    assert_eq!(refused(hub.post("/events/a?typ=x").body("x")).await, StatusCode::BAD_REQUEST);
    assert_eq!(refused(hub.post("/events/a").body("x".repeat(11))).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(refused(hub.post("/events").body("x")).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let foreign = hub.post("/events/a").header("origin", "https://example.com").body("x");
    assert_eq!(refused(foreign).await, StatusCode::FORBIDDEN);
    // No publish, whatever the method.
    assert_eq!(refused(hub.post("/health/live")).await, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(refused(hub.post("/nothing").body("x")).await, StatusCode::NOT_FOUND);
    let metrics = hub.metrics().await;
    let counted = |(suffix, labels, value): &Sample| {
        assert_eq!(suffix, "_total");
        (*value > 0.0).then(|| (labels[0].1.clone(), *value as u64))
    };
    let rejected: BTreeMap<_, _> = metrics["fanfare_rejected_publishes"].samples.iter().filter_map(counted).collect();
    let expected = ["malformed", "too_large", "media_type", "forbidden"].map(|reason| (reason.to_owned(), 1));
    assert_eq!(rejected, BTreeMap::from(expected));
    assert_eq!(metrics["fanfare_refused_requests"].samples.len(), 6);
}

/// Somebody who takes nothing is slow, wherever it is served.
#[tokio::test]
async fn whoever_reads_nothing_is_slow() {
    let hub = Running::start().await;
    let mut stuck = hub.connect().await;
    stuck.write_all(b"GET /events/a HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    stuck.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let data = "x".repeat(1 << 20);
    for _ in 0..16 {
        hub.publish("a", data.as_str()).await;
    }
    hub.until("fanfare_slow_subscribers{path=\"shard\"}", 1.0).await;
    assert_eq!(hub.hub.figures().slow, 1);
    drop(stuck);
    hub.until("fanfare_slow_subscribers{path=\"shard\"}", 0.0).await;
}

#[tokio::test]
async fn connections_that_are_not_served_are_counted() {
    let hub = Running::with(|settings| settings.connections_max = 1, Retention::default()).await;
    let mut held = hub.subscribe("/events/a").await;
    assert!(held.read().await);
    let client = reqwest::Client::new();
    let full = client.get(hub.url("/events/a")).send().await.unwrap();
    assert_eq!(full.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(held);
    // Until the hub has noticed that there is room it refuses this too.
    let answered = async {
        loop {
            let answer = client.get(hub.url("/metrics")).send().await;
            if let Ok(answer) = answer.and_then(reqwest::Response::error_for_status) {
                return answer.text().await.unwrap();
            }
        }
    };
    let metrics = parse(&tokio::time::timeout(PATIENCE, answered).await.unwrap());
    let of_full = metrics["fanfare_refused_connections"].samples.iter().find(|(_, labels, _)| labels[0].1 == "full");
    assert!(of_full.unwrap().2 >= 1.0);
}
