//! From flags to a request.

use anyhow::Context;
use fanfare_client::{EventId, EventSource, EventSourceBuilder, RetryPolicy};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};

use super::SubscribeArgs;
use super::resume::ResumeFile;
use crate::connection::with_scheme;

/// The request, and how it is repeated. Everything that can be wrong with the arguments is found here.
pub(crate) fn builder(args: &SubscribeArgs, resume: Option<&ResumeFile>) -> anyhow::Result<EventSourceBuilder> {
    let mut builder = EventSource::builder(url(args))
        .client_builder(args.connection.client()?)
        .headers(headers(args))
        .retry(retry_policy(args));
    if let Some(data) = &args.data {
        builder = builder.method(Method::POST).body(body(data)?);
    }
    if let Some(method) = &args.method {
        builder = builder.method(method.clone());
    }
    let resumed = resume.and_then(ResumeFile::last_event_id);
    if let Some(id) = resumed.or(args.last_event_id.as_ref()) {
        builder = builder.last_event_id(id.clone());
    }
    if let Some(timeout) = args.idle_timeout.filter(|timeout| !timeout.is_zero()) {
        builder = builder.idle_timeout(timeout);
    }
    if let Some(size) = args.max_event_size {
        builder = builder.max_event_size(usize::try_from(size).unwrap_or(usize::MAX));
    }
    Ok(builder)
}

fn url(args: &SubscribeArgs) -> String {
    let text = with_scheme(&args.url);
    // What does not parse is refused by the client, with the reason.
    let Ok(mut url) = Url::parse(&text) else { return text };
    if !args.topics.is_empty() {
        if matches!(url.path(), "" | "/") {
            url.set_path("/events");
        }
        url.query_pairs_mut().extend_pairs(args.topics.iter().map(|topic| ("topic", topic)));
    }
    url.into()
}

fn headers(args: &SubscribeArgs) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &args.headers {
        headers.append(name, value.clone());
    }
    if let Some(token) = &args.token {
        headers.insert(AUTHORIZATION, token.clone());
    }
    if args.data.is_some() {
        // As curl does.
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.entry(CONTENT_TYPE).or_insert(form);
    }
    headers
}

fn retry_policy(args: &SubscribeArgs) -> RetryPolicy {
    let mut policy = if args.no_reconnect { RetryPolicy::never() } else { RetryPolicy::default() };
    if args.retry_on_status {
        policy = policy.on_transient_statuses();
    }
    if let Some(retries) = args.max_retries {
        policy = policy.retries_max(retries);
    }
    policy
}

fn body(data: &str) -> anyhow::Result<Vec<u8>> {
    match data.strip_prefix('@') {
        None => Ok(data.as_bytes().to_vec()),
        Some("-") => {
            let mut body = Vec::new();
            std::io::Read::read_to_end(&mut std::io::stdin(), &mut body)
                .context("--data: can't read standard input")?;
            Ok(body)
        }
        Some(path) => std::fs::read(path).with_context(|| format!("--data: can't read {path}")),
    }
}

pub(crate) fn parse_id(text: &str) -> Result<EventId, String> {
    EventId::new(text).map_err(|error| format!("the id {error}"))
}

#[cfg(test)]
mod tests;
