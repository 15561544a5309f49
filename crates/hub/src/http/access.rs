//! Who is asking, and what they may do.

use std::sync::Arc;

use http::HeaderMap;
use http::header::ORIGIN;

use crate::Hub;
use crate::grant::Grant;
use crate::http::Problem;
use crate::origin::{AllowedOrigin, is_loopback_origin};

/// The grant of whoever subscribes. Without keys nobody can be told apart, so everyone sees everything.
pub(crate) fn subscriber() -> Arc<Grant> {
    everyone()
}

/// The grant of whoever publishes, or a refusal.
///
/// A page of a foreign origin may not publish: browsers send a plain POST without asking first, so CORS alone would
/// only hide the answer from the page that has already published.
pub(crate) fn publisher(hub: &Hub, headers: &HeaderMap) -> Result<Arc<Grant>, Problem> {
    if let Some(origin) = headers.get(ORIGIN) {
        let allowed = &hub.shared.settings.publish_origins;
        if !origin.to_str().is_ok_and(|origin| may_publish_from(origin, allowed)) {
            return Err(Problem::forbidden("pages of this origin may not publish: allow it with --publish-origin"));
        }
    }
    Ok(everyone())
}

/// Whether a page of `origin` may publish.
pub(crate) fn may_publish_from(origin: &str, allowed: &[AllowedOrigin]) -> bool {
    is_loopback_origin(origin) || allowed.iter().any(|one| one.allows(origin))
}

fn everyone() -> Arc<Grant> {
    static EVERYTHING: std::sync::LazyLock<Arc<Grant>> = std::sync::LazyLock::new(|| Arc::new(Grant::everything()));
    EVERYTHING.clone()
}
