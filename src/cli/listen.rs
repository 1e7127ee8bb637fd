//! `autoreceive listen`: a receiver of webhooks for development. It verifies and prints what comes,
//! and can fail or dawdle like a shop on a bad day.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use autoreceive_domain::Span;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use clap::Args;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::Failure;
use crate::action::webhook::{SigningSecret, WrongSecret};
use crate::app::asked_to_stop;
use ledger::{Ledger, Verdict};

mod ledger;

/// The most bytes of a message; the largest event is a tenth of it.
const BODY_BYTES: usize = 256 * 1024;
/// How long a message may take to arrive.
const ARRIVES_WITHIN: Duration = Duration::from_secs(10);
/// The most messages at a time; a service sends a few dozen.
const AT_A_TIME: usize = 1_024;
/// The longest dawdling, in milliseconds; no sender waits as long.
const SLOWEST_MS: i64 = 600_000;

const EXAMPLES: &str = "\
Examples:
  autoreceive listen                                  # makes a secret and says what to configure
  autoreceive listen --fail 0.3 --slow 2s             # a shop on a bad day: see the retries come
  AUTORECEIVE_WEBHOOK_SECRET=whsec_… autoreceive listen --json | jq .data.order";

/// What to listen for, and how to answer.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ListenArgs {
    /// Where to listen: an address of this machine only.
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// What messages are signed with; better put into the environment. Without one, a fresh secret
    /// is made and printed.
    #[arg(long, env = "AUTORECEIVE_WEBHOOK_SECRET", hide_env_values = true, value_name = "WHSEC", value_parser = read_secret)]
    secret: Option<ReadSecret>,
    /// The share of messages that are answered with status 500, from 0 to 1.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", value_parser = read_share)]
    fail: f64,
    /// How long every answer is put off, for example 2s.
    #[arg(long, value_name = "LENGTH", value_parser = read_slowness)]
    slow: Option<Span>,
    /// Print the body of each verified message, one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// A secret, or that the text is none. The command line's own error would repeat the text.
type ReadSecret = Result<SigningSecret, WrongSecret>;

fn read_secret(text: &str) -> Result<ReadSecret, std::convert::Infallible> {
    Ok(text.trim().parse())
}

fn read_share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a number from 0 to 1, for example 0.3".to_owned())
}

fn read_slowness(text: &str) -> Result<Span, String> {
    let slow: Span = text.parse().map_err(|wrong| format!("{wrong}"))?;
    if slow.ms() > SLOWEST_MS {
        Err(format!("expected at most {}", Span::from_ms(SLOWEST_MS)))
    } else {
        Ok(slow)
    }
}

/// What the requests share.
struct Receiver {
    verifier: standardwebhooks::Webhook,
    ledger: Ledger,
    fail: f64,
    slow: Option<Span>,
    places: Semaphore,
}

pub async fn run(args: ListenArgs) -> Result<(), Failure> {
    if !args.listen.ip().is_loopback() {
        return Err(anyhow!(
            "--listen {}: is not a loopback address; this receiver is for \
            development on one machine",
            args.listen
        )
        .into());
    }
    let given = args
        .secret
        .transpose()
        .map_err(|wrong| anyhow!("--secret or AUTORECEIVE_WEBHOOK_SECRET: {wrong}"))?;
    let listener = TcpListener::bind(args.listen).await.with_context(|| {
        format!(
            "cannot listen on {} (another program does?); choose another with --listen",
            args.listen
        )
    })?;
    let address = listener.local_addr().unwrap_or(args.listen);
    let secret = match given {
        Some(secret) => secret,
        None => fresh_secret(address)?,
    };
    let verifier = standardwebhooks::Webhook::from_bytes(secret.expose().to_vec())
        .context("the secret cannot be used")?;
    let places = Semaphore::new(AT_A_TIME);
    let receiver = Arc::new(Receiver {
        verifier,
        ledger: Ledger::new(args.json),
        fail: args.fail,
        slow: args.slow,
        places,
    });
    let router = Router::new().fallback(take).with_state(receiver.clone());
    eprintln!("waiting for webhooks on http://{address} · stop with Ctrl-C");
    tokio::select! {
        ended = axum::serve(listener, router) => ended.context("the listener broke")?,
        asked = asked_to_stop() => asked?,
    }
    eprintln!("{}", receiver.ledger.summary());
    Ok(())
}

/// Makes a secret and shows it with what to configure: nothing works until the sender has it, too.
fn fresh_secret(address: SocketAddr) -> anyhow::Result<SigningSecret> {
    let text = SigningSecret::fresh();
    eprintln!(
        "no secret was given, so here is a fresh one. Put this into the service's \
            autoreceive.toml:\n"
    );
    eprintln!(
        "[actions.shop]\ntype = \"webhook\"\nurl = \"http://{address}/\"\nallow_private = \
            true\nsecret = \"{text}\"\n"
    );
    Ok(text.parse()?)
}

async fn take(State(receiver): State<Arc<Receiver>>, request: Request) -> StatusCode {
    let Ok(_place) = receiver.places.try_acquire() else { return StatusCode::SERVICE_UNAVAILABLE };
    if request.method() != Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED;
    }
    let (head, body) = request.into_parts();
    let read = tokio::time::timeout(ARRIVES_WITHIN, axum::body::to_bytes(body, BODY_BYTES)).await;
    let status = match read {
        Err(_) => {
            receiver.refuse(&head.headers, "it did not come in time", StatusCode::REQUEST_TIMEOUT)
        }
        Ok(Err(_)) => receiver.refuse(
            &head.headers,
            "it broke off or is too long",
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        Ok(Ok(body)) => receiver.judge(&head.headers, &body),
    };
    if let Some(slow) = receiver.slow {
        tokio::time::sleep(slow.to_std()).await;
    }
    status
}

impl Receiver {
    fn judge(&self, headers: &HeaderMap, body: &Bytes) -> StatusCode {
        if let Err(why) = self.verify(headers, body) {
            return self.refuse(headers, &why, StatusCode::UNAUTHORIZED);
        }
        let fails = rand::random::<f64>() < self.fail;
        let status = if fails { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::NO_CONTENT };
        self.ledger.verified(id(headers), body, &Verdict { status, slow: self.slow });
        status
    }

    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
        let seconds = headers
            .get(standardwebhooks::HEADER_WEBHOOK_TIMESTAMP)
            .map_or(0, |seconds| seconds.len());
        // The crate subtracts before it looks, and a number of 19 digits would overflow.
        if seconds > 12 {
            return Err("the timestamp is none".to_owned());
        }
        self.verifier.verify(body, headers).map_err(|why| why.to_string())
    }

    fn refuse(&self, headers: &HeaderMap, why: &str, status: StatusCode) -> StatusCode {
        self.ledger.refused(id(headers), why, &Verdict { status, slow: self.slow });
        status
    }
}

fn id(headers: &HeaderMap) -> &str {
    headers.get(standardwebhooks::HEADER_WEBHOOK_ID).and_then(|id| id.to_str().ok()).unwrap_or("–")
}
