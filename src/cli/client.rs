//! Where the service is, how its answer is shown, and how it ends where there is none.

use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, anyhow};
use autoreceive_client::{Client, Error, ErrorKind, RawAnswer, Url};
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::{Failure, output, zone};

/// The variable that holds the token. A flag for it would show in the list of processes.
const TOKEN: &str = "AUTORECEIVE_TOKEN";

/// Where the service is, and how its answer is shown.
#[derive(Debug, Args)]
pub struct ClientArgs {
    /// Where the service is.
    #[arg(long, env = "AUTORECEIVE_URL", default_value = "http://127.0.0.1:8780", value_name = "URL", value_parser = service_url)]
    pub url: Url,
    /// A file with the token for the service; without it, the environment variable
    /// AUTORECEIVE_TOKEN is used.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print the service's JSON.
    #[arg(long)]
    pub json: bool,
    /// The time zone in which times are shown, for example Asia/Seoul; this system's without it.
    #[arg(long, value_name = "ZONE", value_parser = zone::parse)]
    tz: Option<jiff::tz::TimeZone>,
    /// One client for the whole command.
    #[arg(skip)]
    connected: OnceLock<Client>,
}

impl ClientArgs {
    /// The zone in which times are shown.
    pub fn zone(&self) -> jiff::tz::TimeZone {
        self.tz.clone().unwrap_or_else(jiff::tz::TimeZone::system)
    }

    /// Asks for what lies under the path made of `segments`, and prints it where JSON is wanted.
    pub async fn get(&self, segments: &[&str], query: &[(&str, String)]) -> Result<Value, Failure> {
        let client = self.client_for(segments)?;
        self.shown(client.get(segments, query).await)
    }

    /// Sends `body` to the path made of `segments`, and prints the answer where JSON is wanted.
    pub async fn post(
        &self,
        segments: &[&str],
        body: &(impl Serialize + Sync),
    ) -> Result<Value, Failure> {
        let client = self.client_for(segments)?;
        self.shown(client.post(segments, body).await)
    }

    /// The client, for one of several requests whose answers are not printed.
    pub fn client(&self) -> Result<&Client, Failure> {
        if let Some(client) = self.connected.get() {
            return Ok(client);
        }
        let (token, source) = self.token()?;
        let client = Client::new(self.url.as_str(), token.as_deref());
        let client = client.map_err(|error| match error.kind() {
            ErrorKind::NoToken => anyhow!("{source} holds no token").into(),
            _ => self.failure(error),
        })?;
        Ok(self.connected.get_or_init(|| client))
    }

    /// The same, where the path names something: a URL cannot name everything.
    pub fn client_for(&self, segments: &[&str]) -> Result<&Client, Failure> {
        if segments.iter().any(|segment| [".", ".."].contains(segment)) {
            let instead = "use `autoreceive import`";
            return Err(
                anyhow!("an order called . or .. cannot be named in a URL; {instead}").into()
            );
        }
        self.client()
    }

    /// Says with which exit code the command ends, and prints what the service said where JSON is
    /// wanted.
    pub fn failure(&self, error: Error) -> Failure {
        if self.json && !error.body().is_empty() {
            output::print(&String::from_utf8_lossy(error.body()));
        }
        match error.kind() {
            ErrorKind::Rejected => Failure::Rejected(error.to_string()),
            ErrorKind::Unavailable => Failure::Unavailable(error.to_string()),
            ErrorKind::NotRunning => Failure::Unavailable(format!(
                "{error}; start one with `autoreceive serve`, or name another with --url or \
                    AUTORECEIVE_URL"
            )),
            _ => Failure::Other(error.into()),
        }
    }

    fn shown(&self, answer: Result<RawAnswer, Error>) -> Result<Value, Failure> {
        let answer = answer.map_err(|error| self.failure(error))?;
        let value = answer.read().map_err(|error| self.failure(error))?;
        if self.json {
            output::print(&String::from_utf8_lossy(answer.body()));
        }
        Ok(value)
    }

    /// The token, if there is one, and where it comes from.
    fn token(&self) -> Result<(Option<String>, &'static str), Failure> {
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

/// Reads the address of a service.
fn service_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    let url =
        url.ok_or("it must begin with http:// or https://, for example http://127.0.0.1:8780")?;
    if url.path().trim_end_matches('/').ends_with("/v1") {
        return Err("leave out the /v1: the commands add it themselves".to_owned());
    }
    Ok(url)
}
