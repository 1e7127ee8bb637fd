//! A shop that stores its orders in keys, as in the copied pattern. It sends its commands on a raw
//! connection, at random moments, and watches the status of its orders.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::pattern::{STATUS, TRIGGER};

/// How often the shop reads the status of its orders.
const READ_EVERY: Duration = Duration::from_millis(50);
/// Statuses per MGET, and commands per round trip.
const PAGE: usize = 1_000;

/// The orders of a shop and when it sends its commands.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Initiated orders.
    pub orders: usize,
    /// The time in which they are initiated.
    pub over: Duration,
    /// The time from the payment to the expected receipt.
    pub window: Duration,
    /// The seed of the random moments.
    pub seed: u64,
}

/// One order, as the shop saw it. Instants are of this machine's clock.
#[derive(Debug, Clone, Default)]
pub struct ObservedOrder {
    /// Its id.
    pub id: String,
    /// Just before the shop wrote PAID.
    pub paid: Option<Instant>,
    /// The status that the shop replaced when it cancelled the order.
    pub cancelled_from: Option<String>,
    /// When RECEIVED was first seen.
    pub received: Option<Instant>,
    /// Its last status.
    pub last: Option<String>,
}

#[derive(Debug, Clone, Copy)]
enum ShopCommand {
    Initiate,
    Pay,
    Cancel,
}

impl Scenario {
    /// One order in twenty is never paid. One in ten is cancelled, at any moment from its payment
    /// to shortly after its deadline.
    fn script(&self) -> Vec<(Duration, usize, ShopCommand)> {
        let mut random = StdRng::seed_from_u64(self.seed);
        let mut script = Vec::with_capacity(self.orders * 2);
        for order in 0..self.orders {
            let start = self.over.mul_f64(random.random());
            let paid = start + self.window.mul_f64(0.5 * random.random::<f64>());
            script.push((start, order, ShopCommand::Initiate));
            if order % 20 != 7 {
                script.push((paid, order, ShopCommand::Pay));
                if order % 10 == 3 {
                    script.push((
                        paid + self.window.mul_f64(1.2 * random.random::<f64>()),
                        order,
                        ShopCommand::Cancel,
                    ));
                }
            }
        }
        script.sort_by_key(|(at, ..)| *at);
        script
    }

    fn id(&self, order: usize) -> String {
        // Without a colon: the pattern cuts an id at its first colon.
        format!("{:08x}-{order}", self.seed as u32)
    }

    /// Sends all commands to the Redis at `address`, and watches the orders until `stop`.
    ///
    /// # Errors
    /// If the server fails.
    pub async fn run(
        &self,
        address: &str,
        stop: &CancellationToken,
    ) -> anyhow::Result<Vec<ObservedOrder>> {
        let ids: Vec<String> = (0..self.orders).map(|order| self.id(order)).collect();
        let (played, watched) =
            tokio::try_join!(self.play(address, &ids), watch(address, &ids, stop))?;
        let lives = ids.into_iter().zip(played).zip(watched);
        Ok(lives
            .map(|((id, (paid, cancelled_from)), (received, last))| ObservedOrder {
                id,
                paid,
                cancelled_from,
                received,
                last,
            })
            .collect())
    }

    async fn play(
        &self,
        address: &str,
        ids: &[String],
    ) -> anyhow::Result<Vec<(Option<Instant>, Option<String>)>> {
        let mut redis = Raw::connect(address).await?;
        let mut lives = vec![(None, None); self.orders];
        let begun = Instant::now();
        let mut script = self.script().into_iter().peekable();
        while let Some((at, ..)) = script.peek() {
            tokio::time::sleep(at.saturating_sub(begun.elapsed())).await;
            let mut sent = Vec::new();
            while let Some((_, order, what)) =
                script.next_if(|(at, ..)| sent.len() < PAGE && *at <= begun.elapsed())
            {
                let status = format!("{STATUS}{}", ids[order]);
                match what {
                    ShopCommand::Initiate => {
                        redis.add(&["SET", &status, "PENDING_PAYMENT"]);
                        redis.add(&[
                            "SETEX",
                            &format!("{TRIGGER}{}", ids[order]),
                            "86400",
                            "trigger",
                        ]);
                        sent.push((order, None));
                    }
                    ShopCommand::Pay => {
                        lives[order].0 = Some(Instant::now());
                        redis.add(&["SET", &status, "PAID"]);
                    }
                    // GET returns the replaced status, which tells whether the job was first.
                    ShopCommand::Cancel => redis.add(&["SET", &status, "CANCELLED", "GET"]),
                }
                sent.push((order, Some(what)));
            }
            redis.send().await?;
            for (order, what) in sent {
                let answer = redis.answer().await?;
                if matches!(what, Some(ShopCommand::Cancel)) {
                    lives[order].1 = answer;
                }
            }
        }
        Ok(lives)
    }
}

type Watched = (Option<Instant>, Option<String>);

async fn watch(
    address: &str,
    ids: &[String],
    stop: &CancellationToken,
) -> anyhow::Result<Vec<Watched>> {
    let mut redis = Raw::connect(address).await?;
    let mut seen: Vec<Watched> = vec![(None, None); ids.len()];
    loop {
        let is_last = stop.is_cancelled();
        for (first, part) in (0..).step_by(PAGE).zip(ids.chunks(PAGE)) {
            let keys: Vec<String> = part.iter().map(|id| format!("{STATUS}{id}")).collect();
            redis.add(
                &std::iter::once("MGET").chain(keys.iter().map(String::as_str)).collect::<Vec<_>>(),
            );
            redis.send().await?;
            let statuses = redis.answers().await?;
            for (seen, status) in seen.iter_mut().skip(first).zip(statuses) {
                if seen.0.is_none() && status.as_deref() == Some("RECEIVED") {
                    seen.0 = Some(Instant::now());
                }
                seen.1 = status;
            }
        }
        if is_last {
            return Ok(seen);
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(READ_EVERY) => {}
        }
    }
}

/// A connection that writes commands as bytes.
struct Raw {
    stream: BufReader<TcpStream>,
    out: Vec<u8>,
}

impl Raw {
    async fn connect(address: &str) -> anyhow::Result<Raw> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Raw { stream: BufReader::new(stream), out: Vec::new() })
    }

    fn add(&mut self, command: &[&str]) {
        self.out.extend_from_slice(format!("*{}\r\n", command.len()).as_bytes());
        for part in command {
            self.out.extend_from_slice(format!("${}\r\n{part}\r\n", part.len()).as_bytes());
        }
    }

    async fn send(&mut self) -> anyhow::Result<()> {
        let out = std::mem::take(&mut self.out);
        Ok(self.stream.get_mut().write_all(&out).await?)
    }

    async fn line(&mut self) -> anyhow::Result<(char, String)> {
        let mut line = String::new();
        ensure!(self.stream.read_line(&mut line).await? > 0, "the server closed the connection");
        let mut chars = line.trim_end().chars();
        match (chars.next(), chars.as_str()) {
            (Some('-'), error) => bail!("the server answered {error}"),
            (Some(kind), rest) => Ok((kind, rest.to_owned())),
            (None, _) => bail!("the server sent an empty answer"),
        }
    }

    /// A text answer, or none.
    async fn answer(&mut self) -> anyhow::Result<Option<String>> {
        let (kind, rest) = self.line().await?;
        if kind != '$' {
            return Ok(Some(rest));
        }
        let Ok(length) = rest.parse::<usize>() else { return Ok(None) };
        let mut bytes = vec![0; length.min(1 << 20) + 2];
        self.stream.read_exact(&mut bytes).await?;
        bytes.truncate(length);
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    async fn answers(&mut self) -> anyhow::Result<Vec<Option<String>>> {
        let (kind, rest) = self.line().await?;
        ensure!(kind == '*', "the server did not answer with a list");
        let mut answers = Vec::new();
        for _ in 0..rest.parse::<usize>()? {
            answers.push(self.answer().await?);
        }
        Ok(answers)
    }
}
