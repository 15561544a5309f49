//! How a response of `fanfare-server` is returned from a handler of each framework: the files that its documentation shows.
//! The tests run every one of them.

#[path = "../../docs/frameworks/actix_web.rs"]
mod for_actix_web;

#[path = "../../docs/frameworks/poem.rs"]
mod for_poem;

#[path = "../../docs/frameworks/salvo.rs"]
mod for_salvo;

#[path = "../../docs/frameworks/warp.rs"]
mod for_warp;

pub use for_actix_web::answer as actix_web;
pub use for_poem::answer as poem;
pub use for_salvo::fill as salvo;
pub use for_warp::answer as warp;
