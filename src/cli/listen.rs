//! `autoreceive listen`: a webhook endpoint for development. It verifies and prints messages, and
//! can simulate failures and slow answers.

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

use super::CliError;
use crate::action::webhook::{SigningSecret, WrongSecret};
use crate::app::asked_to_stop;
use ledger::{Ledger, Reply};

mod ledger;

/// Size limit of a message, ten times the largest event.
const BODY_BYTES: usize = 256 * 1024;
/// Time limit for the body of a message.
const ARRIVES_WITHIN: Duration = Duration::from_secs(10);
/// Limit of concurrent messages; a service sends a few dozen.
const CONCURRENT_MESSAGES: usize = 1_024;
/// Limit of --slow; no sender waits as long.
const SLOWEST_MS: i64 = 600_000;

const EXAMPLES: &str = "\
Examples:
  autoreceive listen                                  # creates a secret and prints a configuration
  autoreceive listen --fail 0.3 --slow 2s             # simulates failures, to watch the retries
  AUTORECEIVE_WEBHOOK_SECRET=whsec_… autoreceive listen --json | jq .data.order";

/// Arguments of `listen`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ListenArgs {
    /// Address of the endpoint; only loopback addresses are allowed.
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// The signing secret; better set it in the environment. Without it, a new secret is created
    /// and printed.
    #[arg(
        long,
        env = "AUTORECEIVE_WEBHOOK_SECRET",
        hide_env_values = true,
        value_name = "WHSEC",
        value_parser = read_secret
    )]
    secret: Option<ReadSecret>,
    /// Share of messages to answer with status 500, from 0 to 1.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", value_parser = read_share)]
    fail: f64,
    /// Delay of every answer, for example 2s; at most 10m.
    #[arg(long, value_name = "LENGTH", value_parser = read_slowness)]
    slow: Option<Span>,
    /// Print the body of each verified message, one JSON object per line.
    #[arg(long)]
    json: bool,
}

/// A secret, or its error. The error of the argument parser would repeat the text.
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

/// State shared by all requests.
struct DevEndpoint {
    verifier: standardwebhooks::Webhook,
    ledger: Ledger,
    fail: f64,
    slow: Option<Span>,
    permits: Semaphore,
}

pub async fn run(args: ListenArgs) -> Result<(), CliError> {
    if !args.listen.ip().is_loopback() {
        return Err(anyhow!(
            "--listen {}: is not a loopback address; this endpoint is for development on one \
             machine",
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
            "cannot listen on {}, perhaps because another program does; choose another address \
             with --listen",
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
    let permits = Semaphore::new(CONCURRENT_MESSAGES);
    let endpoint = Arc::new(DevEndpoint {
        verifier,
        ledger: Ledger::new(args.json),
        fail: args.fail,
        slow: args.slow,
        permits,
    });
    let router = Router::new().fallback(take).with_state(endpoint.clone());
    eprintln!("waiting for webhooks on http://{address} · stop with Ctrl-C");
    tokio::select! {
        ended = axum::serve(listener, router) => ended.context("the listener failed")?,
        asked = asked_to_stop() => asked?,
    }
    eprintln!("{}", endpoint.ledger.summary());
    Ok(())
}

/// Creates a secret and prints it with a configuration, because the service needs it, too.
fn fresh_secret(address: SocketAddr) -> anyhow::Result<SigningSecret> {
    let text = SigningSecret::fresh();
    eprintln!(
        "no secret was given, so a new one was created. Add this to the service's \
         autoreceive.toml:\n"
    );
    eprintln!(
        "[actions.shop]\ntype = \"webhook\"\nurl = \"http://{address}/\"\nallow_private = \
            true\nsecret = \"{text}\"\n"
    );
    Ok(text.parse()?)
}

async fn take(State(endpoint): State<Arc<DevEndpoint>>, request: Request) -> StatusCode {
    let Ok(_permit) = endpoint.permits.try_acquire() else {
        return StatusCode::SERVICE_UNAVAILABLE;
    };
    if request.method() != Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED;
    }
    let (head, body) = request.into_parts();
    let read = tokio::time::timeout(ARRIVES_WITHIN, axum::body::to_bytes(body, BODY_BYTES)).await;
    let status = match read {
        Err(_) => {
            let why = "the body did not arrive in time";
            endpoint.refuse(&head.headers, why, StatusCode::REQUEST_TIMEOUT)
        }
        Ok(Err(_)) => {
            let why = "the body is incomplete or too long";
            endpoint.refuse(&head.headers, why, StatusCode::PAYLOAD_TOO_LARGE)
        }
        Ok(Ok(body)) => endpoint.judge(&head.headers, &body),
    };
    if let Some(slow) = endpoint.slow {
        tokio::time::sleep(slow.to_std()).await;
    }
    status
}

impl DevEndpoint {
    fn judge(&self, headers: &HeaderMap, body: &Bytes) -> StatusCode {
        if let Err(why) = self.verify(headers, body) {
            return self.refuse(headers, &why, StatusCode::UNAUTHORIZED);
        }
        let fails = rand::random::<f64>() < self.fail;
        let status = if fails { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::NO_CONTENT };
        self.ledger.verified(id(headers), body, &Reply { status, slow: self.slow });
        status
    }

    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
        let seconds = headers
            .get(standardwebhooks::HEADER_WEBHOOK_TIMESTAMP)
            .map_or(0, |seconds| seconds.len());
        // The crate subtracts before its check; a number of 19 digits would overflow.
        if seconds > 12 {
            return Err("invalid timestamp".to_owned());
        }
        self.verifier.verify(body, headers).map_err(|why| why.to_string())
    }

    fn refuse(&self, headers: &HeaderMap, why: &str, status: StatusCode) -> StatusCode {
        self.ledger.refused(id(headers), why, &Reply { status, slow: self.slow });
        status
    }
}

fn id(headers: &HeaderMap) -> &str {
    headers.get(standardwebhooks::HEADER_WEBHOOK_ID).and_then(|id| id.to_str().ok()).unwrap_or("–")
}
