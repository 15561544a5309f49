//! Serves an example on port 3000 until Ctrl-C, which ends its streams before the server.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use fanfare_server::Channel;

pub(crate) async fn serve(router: Router, channel: Channel) -> io::Result<()> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 3000)).await?;
    #[expect(clippy::print_stdout, reason = "an example speaks to the person who runs it")]
    {
        println!("Listening on http://{}", listener.local_addr()?);
    }
    let stop = async move {
        // Ctrl-C can only fail to be listened to when it can't come either.
        let _ = tokio::signal::ctrl_c().await;
        channel.shutdown(Duration::from_secs(2)).retry(Duration::from_secs(1)).await;
    };
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}
