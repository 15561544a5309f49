//! `GET /.well-known/mercure/subscriptions…`: who is subscribed now.

use std::convert::Infallible;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, stream};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::Hub;
use crate::cursor::EARLIEST;
use crate::http::form::Form;
use crate::http::{Problem, access};
use crate::limits::{SUBSCRIBERS_PAGE_BYTES, SUBSCRIBERS_READ_MAX};
use crate::presence::{CONTEXT, Document, NewsCursor, NodeName, OWN, Presence, SUBSCRIPTIONS, Subscriber, path};

/// All of them, those to one selector, or one subscriber's to it: as the path says.
pub(crate) async fn list(State(hub): State<Hub>, head: Parts) -> Result<Response, Problem> {
    let Some(presence) = hub.shared.presence.clone() else {
        return Err(Problem::not_found("the hub was started without --subscriptions"));
    };
    let parts = parts(head.uri.path())?;
    let path = path(parts.iter().map(String::as_str));
    let query = Form::parse(head.uri.query().unwrap_or_default())?;
    let access = access::subscriber(&hub, &head, &query).await?;
    if !access.grant.may_see_topic(&path) {
        return Err(Problem::forbidden(format!("you have no subscribe selector for {path}")));
    }
    let node = node(&presence, query.one("node")?)?;
    let text = |cursor: Option<NewsCursor>| cursor.map_or_else(|| EARLIEST.to_owned(), |cursor| cursor.to_string());
    let etag = text(presence.cursor());
    let cursor = text(presence.cursor_now());
    let nodes = presence.nodes();
    let incomplete: Vec<&str> =
        nodes.iter().filter(|(_, is_whole)| !**is_whole).map(|(name, _)| name.as_str()).collect();
    // Which nodes there are, and of whom not everybody is known, is no news, and changes the list.
    let etag = match presence.name() {
        Some(_) => format!("\"{etag}/{:016x}\"", BuildHasherDefault::<DefaultHasher>::new().hash_one(&nodes)),
        None => format!("\"{etag}\""),
    };
    let mut opening = json!({ "@context": CONTEXT, "id": &path, "type": "Subscriptions", "lastEventID": &cursor });
    if let Some(own) = presence.name() {
        opening["node"] = json!(own);
        opening["nodes"] = json!(nodes.keys().collect::<Vec<_>>());
        opening["incomplete"] = json!(incomplete);
    }
    let own = presence.name().map(|name| HeaderValue::try_from(name.as_str())).transpose();
    let own = own.map_err(Problem::bad_request)?;
    let body = match <[String; 2]>::try_from(parts) {
        Ok([topic, name]) => Body::from(one(&presence, &topic, &name, cursor)?),
        Err(mut parts) => Body::from_stream(collection(presence, &opening, Filter { topic: parts.pop(), node })),
    };
    let mut response = if is_known(&head.headers, &etag) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        Response::new(body)
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/ld+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, must-revalidate"));
    headers.insert(ETAG, HeaderValue::try_from(etag).map_err(Problem::bad_request)?);
    if let Some(own) = own {
        headers.insert(NODE, own);
    }
    Ok(response)
}

/// Which node answered.
pub(crate) const NODE: HeaderName = HeaderName::from_static("fanfare-node");

/// The node of whose subscribers alone the list is to be.
fn node(presence: &Presence, asked: Option<&str>) -> Result<Option<NodeName>, Problem> {
    let own = presence.name().cloned();
    match asked {
        None => Ok(None),
        // Without a name there is no other.
        Some(OWN) => Ok(own),
        Some(name) => {
            let known = presence.nodes().into_keys().find(|known| known.as_str() == name);
            known.map(Some).ok_or_else(|| Problem::not_found("there is no node of that name now"))
        }
    }
}

/// Which subscriptions a list is of.
struct Filter {
    topic: Option<String>,
    node: Option<NodeName>,
}

/// The parts of the path behind that of all subscriptions, decoded once.
fn parts(path: &str) -> Result<Vec<String>, Problem> {
    let rest = path.strip_prefix(SUBSCRIPTIONS).unwrap_or_default().trim_start_matches('/');
    let parts = rest.split('/').filter(|part| !part.is_empty()).map(|part| percent_decode_str(part).decode_utf8());
    let parts: Result<Vec<_>, _> = parts.map(|part| part.map(String::from)).collect();
    let parts = parts.map_err(|_| Problem::bad_request("the path is not UTF-8 once it is percent-decoded"))?;
    if parts.len() > 2 {
        return Err(Problem::not_found(
            "a subscription has two parts: its topic and its subscriber, each percent-encoded",
        ));
    }
    Ok(parts)
}

/// Whether the client has this already.
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    known.flat_map(|value| value.split(',')).any(|known| {
        let known = known.trim();
        known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag
    })
}

fn one(presence: &Presence, topic: &str, name: &str, cursor: String) -> Result<String, Problem> {
    let subscriber = presence.named(name).filter(|one| one.selectors().iter().any(|selector| **selector == *topic));
    let Some(subscriber) = subscriber else {
        return Err(Problem::not_found("there is no such subscription now"));
    };
    Ok(Document::new(topic, &subscriber, true).answer(cursor).json())
}

/// The document of several, put together as it is sent: a hundred thousand are some tens of megabytes.
fn collection(
    presence: Arc<Presence>,
    opening: &Value,
    filter: Filter,
) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let Filter { topic: selector, node } = filter;
    let node = node.map(|node| node.as_str().to_owned());
    let numbers = presence.numbers(selector.as_deref());
    let head = opening.to_string();
    let head = format!("{},\"subscriptions\":[", head.strip_suffix('}').unwrap_or(&head));
    let (mut separator, mut read, mut at) = ("", Vec::new().into_iter(), None);
    let mut pages = numbers.chunks(SUBSCRIBERS_READ_MAX).map(<[u32]>::to_vec).collect::<Vec<_>>().into_iter();
    let page = move || {
        let mut page = String::new();
        // A page ends within a subscriber, if that has much to say.
        while page.len() < SUBSCRIBERS_PAGE_BYTES {
            let Some((subscriber, index)) = at.take().or_else(|| Some((read.next()?, 0))) else {
                let Some(numbers) = pages.next() else { break };
                read = presence.subscribers(&numbers).into_iter();
                continue;
            };
            let subscriber: Arc<Subscriber> = subscriber;
            if node.is_some() && subscriber.node() != node.as_deref() {
                continue;
            }
            let Some(text) = subscriber.selectors().get(index) else { continue };
            if selector.as_ref().is_none_or(|selector| **selector == **text) {
                page.push_str(std::mem::replace(&mut separator, ","));
                page.push_str(&Document::new(text, &subscriber, true).json());
            }
            at = Some((subscriber, index + 1));
        }
        (!page.is_empty()).then_some(page)
    };
    let pages = std::iter::once(head).chain(std::iter::from_fn(page)).chain(std::iter::once("]}".to_owned()));
    stream::iter(pages.map(|page| Ok(Bytes::from(page))))
}
