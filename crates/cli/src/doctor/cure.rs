//! What is wrong, and the line that cures it in each proxy.

use super::proxy::Proxy;

/// Something that can be cured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// What comes is kept until there is more of it.
    Buffered,
    /// A compressor keeps what comes until there is more of it.
    Compressed,
    /// A connection that says nothing is closed.
    CutOff,
    /// A header of the answer does not arrive.
    HeaderGone(&'static str),
    /// The cursor of whoever comes back does not arrive.
    CursorGone,
    /// A page of this origin may not read the stream.
    OriginRefused(String),
    /// Two say which origins may read it, and browsers take that for nobody.
    OriginTwice,
    /// A page of this origin may not send a token in a header.
    PreflightRefused(String),
    /// Browsers open six connections to a host.
    SixConnections,
    /// The hub does not know the name it is asked under.
    HostRefused,
    /// The proxy has no server behind it.
    NoServer,
    /// The request needs a token, or another one.
    Token,
}

/// A line, and what it belongs into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cure {
    pub(super) place: &'static str,
    pub(super) line: String,
}

impl Fault {
    /// What to do, in the proxy that was guessed, or else in each of them, and in the hub.
    pub(super) fn cures(&self, guess: Option<Proxy>) -> Vec<Cure> {
        let known = guess.as_ref().map_or(&Proxy::ALL[..], std::slice::from_ref);
        let lines = known.iter().filter_map(|proxy| Some(Cure { place: proxy.name(), line: self.in_proxy(*proxy)? }));
        let hub = self.in_hub().map(|line| Cure { place: "Fanfare", line });
        // Who may read is the server's to say; a proxy says it for servers that can't.
        let is_of_server = matches!(self, Self::OriginRefused(_) | Self::PreflightRefused(_));
        let (first, last) = if is_of_server { (hub, None) } else { (None, hub) };
        first.into_iter().chain(lines).chain(last).collect()
    }

    /// `None` where the proxy can do nothing about it.
    fn in_proxy(&self, proxy: Proxy) -> Option<String> {
        let line = match self {
            Self::Buffered => match proxy {
                Proxy::Nginx => "proxy_buffering off;   # and no `proxy_ignore_headers X-Accel-Buffering`",
                // mod_proxy_http flushes by itself: `flushpackets` is for the other two alone.
                Proxy::Apache => {
                    "SetOutputFilter NONE   # in <Location \"/events\">; for fcgi:// and ajp:// also ProxyPass … flushpackets=on"
                }
                Proxy::Haproxy => {
                    "take out `http-response wait-for-body`   # and say `option http-no-delay`, which saves up to 200 ms an event"
                }
                // Caddy flushes what says that it is an event stream, whatever `flush_interval` says.
                Proxy::Caddy => "take out `buffer_responses` and `response_buffers`   # in reverse_proxy",
            },
            Self::Compressed => match proxy {
                Proxy::Nginx => "gzip off;   # or leave text/event-stream out of gzip_types",
                Proxy::Apache => "SetEnvIf Request_URI \"^/events\" no-gzip no-brotli",
                // It flushes each piece that it compresses.
                Proxy::Haproxy => return None,
                Proxy::Caddy => "match header Content-Type text/html*   # in encode, without text/event-stream",
            },
            Self::CutOff => match proxy {
                Proxy::Nginx => "proxy_read_timeout 1h;   # longer than the server's heartbeat",
                Proxy::Apache => "ProxyTimeout 3600",
                Proxy::Haproxy => "timeout server 1h   # longer than the server's heartbeat",
                Proxy::Caddy => "read_timeout 1h   # in reverse_proxy, in transport http",
            },
            Self::HeaderGone(name) => return Some(self.without_header(proxy, name)),
            Self::CursorGone => match proxy {
                Proxy::Nginx => {
                    "proxy_set_header Last-Event-ID $http_last_event_id;   # and proxy_pass_request_headers on"
                }
                Proxy::Apache => "take out `RequestHeader unset Last-Event-ID`",
                Proxy::Haproxy => "take out `http-request del-header Last-Event-ID`",
                Proxy::Caddy => "take out `header_up -Last-Event-ID`",
            },
            Self::OriginTwice => match proxy {
                Proxy::Nginx => "proxy_hide_header Access-Control-Allow-Origin;   # or take out add_header",
                Proxy::Apache => "Header set Access-Control-Allow-Origin …   # `set` in place of `add`",
                Proxy::Haproxy => "http-response set-header Access-Control-Allow-Origin …   # in place of add-header",
                Proxy::Caddy => "header_down -Access-Control-Allow-Origin   # in reverse_proxy",
            },
            Self::OriginRefused(origin) | Self::PreflightRefused(origin) => return Some(self.allowing(proxy, origin)),
            Self::SixConnections => match proxy {
                Proxy::Nginx => "listen 443 ssl http2;   # from 1.25.1 on: listen 443 ssl; http2 on;",
                Proxy::Apache => "Protocols h2 http/1.1   # in a virtual host with SSLEngine on",
                Proxy::Haproxy => "bind :443 ssl crt /etc/haproxy/site.pem alpn h2,http/1.1",
                Proxy::Caddy => {
                    "example.com {   # a site with a name has TLS and HTTP/2; `protocols` must not leave h2 out"
                }
            },
            Self::HostRefused | Self::Token => return None,
            Self::NoServer => match proxy {
                Proxy::Nginx => "proxy_pass http://127.0.0.1:3000;   # the address that the server listens on",
                Proxy::Apache => "ProxyPass \"/events\" \"http://127.0.0.1:3000/events\"",
                Proxy::Haproxy => "server fanfare 127.0.0.1:3000",
                Proxy::Caddy => "reverse_proxy 127.0.0.1:3000",
            },
        };
        Some(line.to_owned())
    }

    fn without_header(&self, proxy: Proxy, name: &str) -> String {
        match proxy {
            Proxy::Nginx => format!("take out `proxy_hide_header {name};` and what clears it"),
            Proxy::Apache => format!("take out `Header unset {name}`"),
            Proxy::Haproxy => format!("take out `http-response del-header {name}`"),
            Proxy::Caddy => format!("take out `header_down -{name}`"),
        }
    }

    /// Only for servers that can't do it themselves; a hub's own flag comes before it.
    fn allowing(&self, proxy: Proxy, origin: &str) -> String {
        let (name, value) = match self {
            Self::PreflightRefused(_) => ("Access-Control-Allow-Headers", "Authorization, Last-Event-ID"),
            _ => ("Access-Control-Allow-Origin", origin),
        };
        match proxy {
            Proxy::Nginx => format!("add_header {name} \"{value}\" always;   # only if the server does not say it"),
            Proxy::Apache => format!("Header set {name} \"{value}\""),
            Proxy::Haproxy => format!("http-response set-header {name} \"{value}\""),
            Proxy::Caddy => format!("header {name} \"{value}\""),
        }
    }

    fn in_hub(&self) -> Option<String> {
        let line = match self {
            Self::CutOff => "fanfare serve --heartbeat 10s   # shorter than the proxy's patience",
            Self::OriginRefused(origin) | Self::PreflightRefused(origin) => {
                return Some(format!("fanfare serve --cors-origin {origin}"));
            }
            Self::OriginTwice => "fanfare serve without --cors-origin, if the proxy is to say it",
            Self::SixConnections => "fanfare serve --tls-cert FILE --tls-key FILE",
            Self::HostRefused => "fanfare serve --publisher-key @FILE   # with a key any name will do",
            Self::Token => "fanfare doctor … --token \"$(fanfare token --publish 'fanfare-doctor/{id}' --key @FILE)\"",
            _ => return None,
        };
        Some(line.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_proxy_gets_the_lines_of_all() {
        let all: Vec<_> = Fault::Buffered.cures(None).into_iter().map(|cure| cure.place).collect();
        assert_eq!(all, ["nginx", "Apache", "HAProxy", "Caddy"]);
        let one = Fault::CutOff.cures(Some(Proxy::Haproxy));
        assert_eq!(one[0].line, "timeout server 1h   # longer than the server's heartbeat");
        assert_eq!(one[1].place, "Fanfare");
    }
}
