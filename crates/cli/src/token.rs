//! `fanfare token`: makes tokens, and looks at them.

mod inspect;

use std::io::{self, Write};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand};
use fanfare_hub::{Algorithm, Clock, SystemClock};
use jsonwebtoken::{AlgorithmFamily, EncodingKey, Header};
use serde_json::{Map, Value, json};

use crate::Failure;
use crate::secret::Secret;
use crate::units::parse_duration;

/// Make a token, or look at one
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  fanfare token --publish '*' --key @secret\n  fanfare token --subscribe 'users/42/{+any}' --payload '{\"user\":42}' --expires 15m --key @private.pem --alg ES256\n  fanfare token inspect \"$TOKEN\" --key @secret"
)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    command: Option<TokenCommand>,

    /// Allow publishing on these topics; repeatable, `*` is all
    #[arg(long, value_name = "SELECTOR")]
    publish: Vec<String>,

    /// Allow private updates of these topics; repeatable, `*` is all
    #[arg(long, value_name = "SELECTOR")]
    subscribe: Vec<String>,

    /// How long it is valid, or `never` for one that does not end
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    expires: Lifetime,

    /// What others may know of the subscriber, as JSON
    #[arg(long, value_name = "JSON", value_parser = parse_json)]
    payload: Option<Value>,

    /// What it is signed with: a secret, or a private key in PEM form; @FILE reads it from a file
    #[arg(long, env = "FANFARE_TOKEN_KEY", value_name = "KEY|@FILE", hide_env_values = true, required = true)]
    key: Option<Secret>,

    /// How it is signed
    #[arg(long, value_name = "ALG", default_value = "HS256")]
    alg: Algorithm,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    Inspect(inspect::InspectArgs),
}

#[derive(Debug, Clone, Copy)]
enum Lifetime {
    Never,
    For(Duration),
}

impl FromStr for Lifetime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" { Ok(Self::Never) } else { parse_duration(text).map(Self::For) }
    }
}

fn parse_json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("this is not JSON: {error}"))
}

pub(crate) async fn run(args: &TokenArgs) -> anyhow::Result<ExitCode> {
    if let Some(TokenCommand::Inspect(args)) = &args.command {
        return inspect::run(args).await;
    }
    let Some(secret) = &args.key else { return Err(Failure::usage("--key is missing").into()) };
    let (algorithm, key) = signing_key(&secret.read()?, args.alg)?;
    let token = jsonwebtoken::encode(&Header::new(algorithm), &args.claims(SystemClock.now().0 / 1000), &key);
    let token = token.map_err(|_| Failure::usage(format!("the key does not sign with {}", args.alg)))?;
    writeln!(io::stdout(), "{token}")?;
    Ok(ExitCode::SUCCESS)
}

impl TokenArgs {
    /// `now` is in seconds since 1970.
    fn claims(&self, now: u64) -> Value {
        let mut mercure = Map::new();
        for (name, selectors) in [("publish", &self.publish), ("subscribe", &self.subscribe)] {
            if !selectors.is_empty() {
                mercure.insert(name.to_owned(), json!(selectors));
            }
        }
        if let Some(payload) = &self.payload {
            mercure.insert("payload".to_owned(), payload.clone());
        }
        let mut claims = json!({ "mercure": mercure, "iat": now });
        if let Lifetime::For(time) = self.expires {
            claims["exp"] = now.saturating_add(time.as_secs()).into();
        }
        claims
    }
}

/// The key that signs. A public one in its place is found out here, before anybody wonders about a refusal.
fn signing_key(text: &[u8], algorithm: Algorithm) -> anyhow::Result<(jsonwebtoken::Algorithm, EncodingKey)> {
    let named: jsonwebtoken::Algorithm =
        algorithm.to_string().parse().map_err(|_| Failure::usage(format!("{algorithm} does not sign")))?;
    let is_pem = text.trim_ascii().starts_with(b"-----BEGIN ");
    let key = match named.family() {
        AlgorithmFamily::Hmac if text.is_empty() => {
            return Err(Failure::usage("the key is empty: make a secret with `openssl rand -base64 32`").into());
        }
        AlgorithmFamily::Hmac if is_pem => {
            let message = format!("a key in PEM form is no secret for {algorithm}: say --alg RS256, ES256 or EdDSA");
            return Err(Failure::usage(message).into());
        }
        AlgorithmFamily::Hmac => Ok(EncodingKey::from_secret(text)),
        AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(text),
        AlgorithmFamily::Ec => EncodingKey::from_ec_pem(text),
        AlgorithmFamily::Ed => EncodingKey::from_ed_pem(text),
    };
    let key = key.map_err(|_| {
        Failure::usage(format!(
            "{algorithm} signs with a private key in PEM form (PKCS #8), which begins with -----BEGIN PRIVATE KEY-----: \
             `openssl pkcs8 -topk8 -nocrypt` makes it of others"
        ))
    })?;
    Ok((named, key))
}
