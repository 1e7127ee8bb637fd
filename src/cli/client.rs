//! The arguments of commands that talk to a service, and the errors of its answers.

use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, anyhow};
use autoreceive_client::{Client, Error, ErrorKind, RawAnswer, Url};
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::{CliError, output, zone};

/// The variable with the token. A flag would be visible in the list of processes.
const TOKEN: &str = "AUTORECEIVE_TOKEN";

/// Arguments of every command that talks to a service.
#[derive(Debug, Args)]
pub struct ClientArgs {
    /// Address of the service.
    #[arg(
        long,
        env = "AUTORECEIVE_URL",
        default_value = "http://127.0.0.1:8780",
        value_name = "URL",
        value_parser = service_url
    )]
    pub url: Url,
    /// A file with the token. Without it, the token is read from the environment variable
    /// AUTORECEIVE_TOKEN.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Time zone of the shown times, for example Asia/Seoul. The default is the system's.
    #[arg(long, value_name = "ZONE", value_parser = zone::parse)]
    tz: Option<jiff::tz::TimeZone>,
    /// One client for the whole command.
    #[arg(skip)]
    connected: OnceLock<Client>,
}

impl ClientArgs {
    /// Time zone of the shown times.
    pub fn zone(&self) -> jiff::tz::TimeZone {
        self.tz.clone().unwrap_or_else(jiff::tz::TimeZone::system)
    }

    /// Sends a GET to the path of `segments`; prints the answer if JSON is wanted.
    pub async fn get(
        &self,
        segments: &[&str],
        query: &[(&str, String)],
    ) -> Result<Value, CliError> {
        let client = self.client_for(segments)?;
        self.shown(client.get(segments, query).await)
    }

    /// Sends `body` in a POST to the path of `segments`; prints the answer if JSON is wanted.
    pub async fn post(
        &self,
        segments: &[&str],
        body: &(impl Serialize + Sync),
    ) -> Result<Value, CliError> {
        let client = self.client_for(segments)?;
        self.shown(client.post(segments, body).await)
    }

    /// The client, for requests whose answers are not printed.
    pub fn client(&self) -> Result<&Client, CliError> {
        if let Some(client) = self.connected.get() {
            return Ok(client);
        }
        let (token, source) = self.token()?;
        let client = Client::new(self.url.as_str(), token.as_deref());
        let client = client.map_err(|error| match error.kind() {
            ErrorKind::NoToken => anyhow!("{source} contains no token (ar_…)").into(),
            _ => self.failure(error),
        })?;
        Ok(self.connected.get_or_init(|| client))
    }

    /// The client, for a path with `segments`: a URL cannot contain . or .. as a name.
    pub fn client_for(&self, segments: &[&str]) -> Result<&Client, CliError> {
        if segments.iter().any(|segment| [".", ".."].contains(segment)) {
            return Err(anyhow!(
                "the names . and .. cannot be used in a URL; for an order with such an id, use \
                 `autoreceive import`"
            )
            .into());
        }
        self.client()
    }

    /// The command's error for the service's error; prints its body if JSON is wanted.
    pub fn failure(&self, error: Error) -> CliError {
        if self.json && !error.body().is_empty() {
            output::print(&String::from_utf8_lossy(error.body()));
        }
        match error.kind() {
            ErrorKind::Rejected => CliError::Rejected(error.to_string()),
            ErrorKind::Unavailable => CliError::Unavailable(error.to_string()),
            ErrorKind::NotRunning => CliError::Unavailable(format!(
                "{error}; start one with `autoreceive serve`, or set another address with --url or \
                 AUTORECEIVE_URL"
            )),
            _ => CliError::Other(error.into()),
        }
    }

    fn shown(&self, answer: Result<RawAnswer, Error>) -> Result<Value, CliError> {
        let answer = answer.map_err(|error| self.failure(error))?;
        let value = answer.read().map_err(|error| self.failure(error))?;
        if self.json {
            output::print(&String::from_utf8_lossy(answer.body()));
        }
        Ok(value)
    }

    /// The token, if any, and its source.
    fn token(&self) -> Result<(Option<String>, &'static str), CliError> {
        let (text, source) = match &self.token_file {
            Some(path) => {
                let text = std::fs::read_to_string(path);
                (
                    text.with_context(|| format!("{} cannot be read", path.display()))?,
                    "--token-file",
                )
            }
            None => (std::env::var(TOKEN).unwrap_or_default(), TOKEN),
        };
        let token = text.trim();
        Ok(((!token.is_empty()).then(|| token.to_owned()), source))
    }
}

/// Parses the address of a service.
fn service_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    let url =
        url.ok_or("it must begin with http:// or https://, for example http://127.0.0.1:8780")?;
    if url.path().trim_end_matches('/').ends_with("/v1") {
        return Err("leave out the /v1: commands add it themselves".to_owned());
    }
    Ok(url)
}
