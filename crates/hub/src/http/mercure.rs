//! `/.well-known/mercure`: the Mercure protocol, 0.x dialect.

use axum::extract::{Request, State};
use axum::response::Response;
use http::request::Parts;

use crate::http::form::Form;
use crate::http::subscribe::Greeting;
use crate::http::{Problem, access, publish, subscribe};
use crate::update::Attributes;
use crate::{Hub, Update};

/// `GET`: at least one `topic` is asked for, unlike at `/events`.
pub(crate) async fn subscribe(State(hub): State<Hub>, head: Parts) -> Response {
    let selectors = |query: &Form| match subscribe::parse_selectors(query, hub.shared.settings.topics_max)? {
        selectors if selectors.is_empty() => {
            Err(Problem::bad_request("the parameter `topic` is missing: `*` is everything"))
        }
        selectors => Ok(selectors),
    };
    subscribe::respond(&hub, &head, Greeting::Nothing, selectors).await
}

/// `POST` of a form: `topic` once or more, `data`, `private`, `id`, `type`, `retry`. Other fields are ignored, as the
/// protocol says.
pub(crate) async fn publish(State(hub): State<Hub>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let publisher = access::publisher(&hub, &head).await?;
    if !publish::is_of_type(&head.headers, "application/x-www-form-urlencoded") {
        return Err(Problem::unsupported_media_type("send the update as application/x-www-form-urlencoded"));
    }
    let text = publish::read_text(&hub, &head.headers, body).await?;
    let update = update(&Form::parse(&text)?)?;
    let ids = publish::publish(&hub, &publisher, &head.headers, vec![update]).await?;
    Ok(publish::answer(&ids))
}

fn update(form: &Form) -> Result<Update, Problem> {
    let update = Update::on(form.all("topic"), form.one("data")?.unwrap_or_default())?;
    let update = update.ok_or_else(|| Problem::bad_request("the field `topic` is missing"))?;
    let attributes = Attributes::parse(form.one("type")?, form.one("id")?, form.one("retry")?, form.has("private"))?;
    Ok(attributes.of(update))
}
