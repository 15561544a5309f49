//! `GET /events` and `GET /events/{topic}`: a subscription and its stream.

use std::ops::Range;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use fanfare_server::{LastEventId, set_event_stream_headers};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, VARY};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use http_body_util::Either;
use tokio::time::Instant;

use crate::client_address::ClientAddress;
use crate::compression::Coding;
use crate::cursor::{Cursor, EARLIEST, GapReason, Start};
use crate::delivery::Delivery;
use crate::http::form::Form;
use crate::http::{Problem, access, plain};
use crate::limits::{REFUSED_RETRY_SECONDS, STREAM_LIFE_MIN, TEMPLATES_MAX};
use crate::presence::{NewsCursor, NewsStart, Presence, Watching};
use crate::selector::{Selector, Selectors};
use crate::subscription::Subscription;
use crate::ticket::{Crowded, Ticket};
use crate::{Hub, Revocation, Settings, SlowPolicy};

/// What a subscriber without a cursor is told first, which can't know where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Greeting {
    /// The position, as an id without data, which is no event (P9). Without it a subscriber that loses the connection before its
    /// first event would come back without a cursor, and miss in silence what was published meanwhile.
    Position,
    /// Nothing. `@microsoft/fetch-event-source`, which Mercure recommends, makes a message of a block that has no data,
    /// and an application that parses each message's data fails on it.
    Nothing,
}

/// `GET /events?topic=…`: the selectors of the query, or everything.
pub(crate) async fn any(State(hub): State<Hub>, head: Parts) -> Response {
    let selectors = |query: &Form| {
        let mut selectors = parse_selectors(query, hub.shared.settings.topics_max)?;
        if selectors.is_empty() {
            selectors.push(Selector::all());
        }
        Ok(selectors)
    };
    respond(&hub, &head, Greeting::Position, selectors).await
}

/// `GET /events/{topic}`: the one topic, and the selectors of the query beside it.
pub(crate) async fn one(State(hub): State<Hub>, head: Parts) -> Response {
    let selectors = |query: &Form| {
        let mut selectors = parse_selectors(query, hub.shared.settings.topics_max)?;
        selectors.push(Selector::exact(plain::topic_of(&head.uri)?));
        Ok(selectors)
    };
    respond(&hub, &head, Greeting::Position, selectors).await
}

/// The selectors that the query's `topic` parameters name.
pub(crate) fn parse_selectors(query: &Form, topics_max: usize) -> Result<Vec<Selector>, Problem> {
    // Counted before any is compiled, which takes longer than all else.
    check_count(query.all("topic").count(), topics_max)?;
    if query.all("topic").filter(|text| text.contains('{')).count() > TEMPLATES_MAX {
        return Err(too_many_templates());
    }
    query.all("topic").map(|text| Selector::parse(text).map_err(Problem::bad_request)).collect()
}

fn check_count(topics: usize, topics_max: usize) -> Result<(), Problem> {
    let refused = || Problem::bad_request(format!("a subscription has at most {topics_max} topics"));
    if topics > topics_max { Err(refused()) } else { Ok(()) }
}

fn too_many_templates() -> Problem {
    Problem::bad_request(format!("a subscription has at most {TEMPLATES_MAX} URI Templates"))
}

/// Answers a subscriber with its stream, or says why not.
pub(crate) async fn respond(
    hub: &Hub,
    head: &Parts,
    greeting: Greeting,
    selectors: impl Fn(&Form) -> Result<Vec<Selector>, Problem>,
) -> Response {
    stream(hub, head, greeting, selectors).await.unwrap_or_else(|problem| refuse(hub, &head.headers, &problem))
}

/// Says no. A browser's `EventSource` gives up for good on anything but 200, so one that is refused only for now is
/// told to come back.
pub(crate) fn refuse(hub: &Hub, headers: &HeaderMap, problem: &Problem) -> Response {
    if problem.is_for_now() && is_event_source(headers) {
        let Range { start, end } = REFUSED_RETRY_SECONDS;
        come_back_later(problem, start + hub.shared.random() * (end - start))
    } else {
        problem.clone().into_response()
    }
}

async fn stream(
    hub: &Hub,
    head: &Parts,
    greeting: Greeting,
    selectors: impl Fn(&Form) -> Result<Vec<Selector>, Problem>,
) -> Result<Response, Problem> {
    // Streams of HTTP/2 are more than the connections that are counted at the door.
    let subscribers = hub.shared.counters.subscribers.get();
    if usize::try_from(subscribers).is_ok_and(|subscribers| subscribers >= hub.shared.settings.connections_max) {
        return Err(Problem::unavailable("the hub has as many subscribers as it takes: come back later"));
    }
    let query = Form::parse(head.uri.query().unwrap_or_default())?;
    let access = access::subscriber(hub, head, &query).await?;
    let let_in_at = Instant::now();
    let selectors = selectors(&query)?;
    check_count(selectors.len(), hub.shared.settings.topics_max)?;
    let cursor = cursor(&query, &head.headers)?;
    let slow = slow_policy(&query, &hub.shared.settings)?;
    let texts: Vec<_> = selectors.iter().map(Selector::text).collect();
    let selectors: Selectors = selectors.into_iter().collect();
    if selectors.templates().len() > TEMPLATES_MAX {
        return Err(too_many_templates());
    }
    let mut start = hub.start(&cursor, &access.grant).await.map_err(Problem::unavailable)?;
    // Another node's events may have had to be waited for, and no stream outlasts what was granted.
    let left = access.left.map(|left| left.saturating_sub(let_in_at.elapsed()));
    let is_revoked = access.revocation.as_ref().is_some_and(Revocation::is_revoked);
    if is_revoked || left.is_some_and(|left| left < STREAM_LIFE_MIN) {
        return Err(access::has_ended(hub));
    }
    start.tells_position &= greeting == Greeting::Position;
    let presence = hub.shared.presence.as_ref();
    let taker = head.extensions.get::<TakesOver>();
    // Whoever watches is told of itself as well, so this comes before it is listed.
    let may_watch = Presence::may_interest(&selectors) && Presence::may_interest(access.grant.subscribe());
    let mut news = presence.filter(|_| may_watch).map(|presence| presence.news_at(&start));
    if let Some(news) = &mut news
        && !hub.shared.settings.gap_event
        && news.missed.take().is_some()
    {
        // Only the header tells. A stream that ended here would begin with the same cursor again.
        hub.shared.counters.count_gap(GapReason::Lagged);
        start.header = EARLIEST.to_owned();
    }
    let last_event_id = HeaderValue::from_bytes(start.header.as_bytes()).map_err(Problem::bad_request)?;
    // Those who watch are few, and what they are told of others is no more to be compressed than a private update.
    let may_compress = hub.shared.settings.compression;
    let coding = Coding::of(&head.headers).filter(|_| may_compress && news.is_none());
    if (news.is_some() || coding.is_some()) && matches!(taker, Some(TakesOver::Events)) {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(Declined);
        return Ok(response);
    }
    let client = ClientAddress::of_request(&hub.shared.settings, &head.extensions, &head.headers);
    let ticket = Ticket::take(&hub.shared, client, access.subject).map_err(|crowded| match crowded {
        Crowded::Address => Problem::crowded("this address"),
        Crowded::Subject => Problem::crowded("the subject of this token"),
    })?;
    let member = presence.map(|presence| presence.join(hub.shared.random_bits(), texts.into_iter(), access.payload));
    let subscription = Subscription::new(selectors, access.grant).for_at_most(left).until(access.revocation);
    let subscription = subscription.when_slow(slow).holding(member, ticket);
    let accepted = Accepted { subscription, start, news, coding };
    let mut response = if taker.is_some() {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(accepted);
        response
    } else {
        Response::new(Body::new(accepted.into_body(hub)))
    };
    set_event_stream_headers(response.headers_mut());
    response.headers_mut().insert(LastEventId::HEADER, last_event_id);
    if may_compress {
        response.headers_mut().append(VARY, HeaderValue::from(ACCEPT_ENCODING));
    }
    if let Some(coding) = coding {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    }
    Ok(response)
}

/// On a request: whoever sends it serves the subscription itself, and wants [`Accepted`] in place of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TakesOver {
    /// With the events of the log alone, as they are. One that may want subscription events, or a coding, is [`Declined`].
    Events,
    /// With whatever there is.
    All,
}

/// On a response: this is to be asked again by somebody who takes no subscription over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Declined;

/// On a response: a subscription that was let in, for whoever [takes it over](TakesOver).
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) subscription: Subscription,
    pub(crate) start: Start,
    /// The first subscription event that it may want, if it may want any.
    pub(crate) news: Option<NewsStart>,
    /// What its stream is compressed with.
    pub(crate) coding: Option<Coding>,
}

/// What a subscriber is sent who is on no shard.
pub(crate) type StreamBody = Either<Delivery, Box<Watching>>;

impl Accepted {
    /// The stream.
    pub(crate) fn into_body(self, hub: &Hub) -> StreamBody {
        let Self { subscription, start, news, coding } = self;
        let mut delivery = Delivery::new(hub.shared.clone(), subscription.clone(), &start);
        if let Some(coding) = coding {
            delivery = delivery.in_coding(coding, &start);
        }
        match news.zip(hub.shared.presence.clone()) {
            None => Either::Left(delivery),
            Some((news, presence)) => {
                Either::Right(Box::new(Watching::new(hub.shared.clone(), presence, subscription, delivery, news)))
            }
        }
    }
}

/// How the query's `slow` asks to be served, or what is usual here.
fn slow_policy(query: &Form, settings: &Settings) -> Result<SlowPolicy, Problem> {
    let allowed = &settings.slow_policies;
    let Some(text) = query.one("slow")? else { return Ok(allowed.first().copied().unwrap_or_default()) };
    let asked = text.parse().map_err(Problem::bad_request)?;
    if allowed.contains(&asked) {
        Ok(asked)
    } else {
        Err(Problem::forbidden(format!("`slow={asked}` is not allowed here")))
    }
}

/// The header, else the query's `lastEventID`, else its older spelling.
fn cursor(query: &Form, headers: &HeaderMap) -> Result<Cursor, Problem> {
    let header = LastEventId::from_headers(headers).map_err(Problem::bad_request)?.0;
    let text = match &header {
        Some(id) => Some(id.as_str()),
        None => query.one("lastEventID")?.or(query.one("Last-Event-ID")?),
    };
    let cursor = Cursor::parse(text).map_err(Problem::bad_request)?;
    Ok(match cursor {
        // The id of a subscription event says where the subscriber was in the log.
        Cursor::After(text, None) => {
            let position = NewsCursor::parse(&text).map(|cursor| cursor.position);
            Cursor::After(text, position)
        }
        cursor => cursor,
    })
}

/// Whether it is an `EventSource` that asks, by what it alone accepts (C9).
fn is_event_source(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).is_some_and(|accept| accept == fanfare_wire::CONTENT_TYPE)
}

/// An empty stream with the reason in a comment, which an `EventSource` takes as a cause to reconnect.
fn come_back_later(problem: &Problem, seconds: f64) -> Response {
    let mut body = Vec::new();
    fanfare_wire::encode_comment(problem.detail(), &mut body);
    fanfare_wire::encode_retry(Duration::from_secs_f64(seconds), &mut body);
    let mut response = Response::new(Body::from(body));
    set_event_stream_headers(response.headers_mut());
    response.extensions_mut().insert(problem.clone());
    response
}
