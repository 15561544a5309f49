//! `fanfare token inspect`: what a token says, and whether it would be believed.

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use fanfare_hub::{Algorithm, Clock, SystemClock, TokenError, Verifier};
use serde_json::Value;

use crate::Failure;
use crate::keys::verifying_key;
use crate::secret::Secret;

/// Show what a token says, and check it if there is a key
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  fanfare token inspect \"$TOKEN\" --key @public.pem --alg ES256")]
pub(super) struct InspectArgs {
    /// The token; @FILE reads it from a file, @- from standard input
    #[arg(value_name = "TOKEN", hide_possible_values = true)]
    token: Secret,

    /// What it is checked with: a secret, or a public key in PEM form; @FILE reads it from a file
    #[arg(long, env = "FANFARE_TOKEN_KEY", value_name = "KEY|@FILE", hide_env_values = true)]
    key: Option<Secret>,

    /// How it must be signed
    #[arg(long, value_name = "ALG", default_value = "HS256")]
    alg: Algorithm,
}

pub(super) async fn run(args: &InspectArgs) -> anyhow::Result<ExitCode> {
    let token = read(&args.token)?;
    let malformed =
        || Failure::usage("this is not a signed JSON Web Token: three parts of base64url with dots between");
    let [header, claims] = parts(&token).ok_or_else(malformed)?;
    let now = SystemClock.now();
    let mut text = format!("header     {header}\nclaims     {claims:#}\n");
    for (name, claim, words) in
        [("issued", "iat", ["", " ago"]), ("begins", "nbf", ["in ", " ago"]), ("expires", "exp", ["in ", " ago"])]
    {
        if let Some(seconds) = claims[claim].as_f64() {
            text += &format!("{name:10} {}\n", when(seconds, now.0 as f64 / 1000.0, words));
        } else if claim == "exp" {
            text += "expires    never\n";
        }
    }
    let checked = match &args.key {
        Some(key) => Some(Verifier::new(verifying_key(key, Some(args.alg))?).verify(&token, now).await.map(drop)),
        None => None,
    };
    text += &match &checked {
        None => "signature  not checked: give --key\n".to_owned(),
        Some(Ok(())) => "signature  good\n".to_owned(),
        Some(Err(TokenError::Signature)) => format!("signature  not one of this key with {}\n", args.alg),
        Some(Err(error)) => format!("signature  refused: {error}\n"),
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(if matches!(checked, Some(Err(_))) { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

fn read(token: &Secret) -> anyhow::Result<String> {
    let bytes = match token {
        Secret::File(name) if name == "-" => {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes)?;
            bytes
        }
        token => token.read()?,
    };
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// The header and the claims, believed or not.
fn parts(token: &str) -> Option<[Value; 2]> {
    let token = jsonwebtoken::dangerous::insecure_decode::<Value>(token).ok()?;
    Some([serde_json::to_value(token.header).ok()?, token.claims])
}

/// A time in words, and as a date.
fn when(seconds: f64, now: f64, [before, after]: [&str; 2]) -> String {
    let distance = seconds - now;
    let words = words(distance.abs());
    let words = if distance >= 0.0 { format!("{before}{words}") } else { format!("{words}{after}") };
    let date = Duration::try_from_secs_f64(seconds).ok().and_then(|since| UNIX_EPOCH.checked_add(since));
    // The format has four digits for the year.
    let date = date.filter(|_| seconds < 253_370_764_800.0).map(|date| format!(" ({})", httpdate::fmt_http_date(date)));
    format!("{words}{}", date.unwrap_or_default())
}

fn words(seconds: f64) -> String {
    let units = [(86_400.0, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second")];
    // Two of a unit say more than one of the next.
    let (size, unit) = units.into_iter().find(|(size, _)| seconds >= 2.0 * size).unwrap_or((1.0, "second"));
    let count = (seconds / size).floor();
    format!("{count} {unit}{}", if count == 1.0 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_words() {
        let check = |seconds, expected| assert_eq!(when(seconds, 1e9, ["in ", " ago"]), expected);
        check(1e9 + 1.0, "in 1 second (Sun, 09 Sep 2001 01:46:41 GMT)");
        check(1e9 + 119.0, "in 119 seconds (Sun, 09 Sep 2001 01:48:39 GMT)");
        check(1e9 + 120.0, "in 2 minutes (Sun, 09 Sep 2001 01:48:40 GMT)");
        check(1e9 - 7200.0, "2 hours ago (Sat, 08 Sep 2001 23:46:40 GMT)");
        check(0.0, "11574 days ago (Thu, 01 Jan 1970 00:00:00 GMT)");
        check(-5.0, "11574 days ago");
        check(1e300, &format!("in {} days", (1e300_f64 / 86_400.0).floor()));
    }
}
