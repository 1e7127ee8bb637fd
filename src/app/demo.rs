//! `serve --demo`: sample orders with windows of a few seconds, on a temporary store.

use std::time::Duration;

use autoreceive_domain::{Command, Place, Policy, Rejection, Span, Terms};

use crate::config::{ActionKind, Config, LogLevel, StoreAddress};
use crate::engine::{Engine, ReplyOutcome};

/// Sets a store in a temporary directory, and terms that are short enough to watch. Dropping the
/// returned value removes the directory.
pub(super) fn prepare(config: &mut Config) -> anyhow::Result<tempfile::TempDir> {
    let directory = tempfile::tempdir()?;
    config.store.url = StoreAddress::Sqlite(directory.path().join("demo.db"));
    config.log.level = LogLevel::Debug;
    // At level debug the engine logs every event, so the log action would repeat each line.
    config.actions.retain(|action| !matches!(action.kind, ActionKind::Log));
    let terms = Terms {
        pay_within: Some(Span::from_secs(4)),
        receive_after: Span::from_secs(6),
        remind_before: vec![Span::from_secs(2)],
        max_extensions: 1,
        extend_by: Span::from_secs(5),
        release_grace: Span::from_secs(3),
        ..Terms::default()
    };
    let policy = Policy::new("default", terms)?;
    config.policies.insert("default".to_owned(), policy);
    Ok(directory)
}

/// Runs four sample orders, again and again.
pub(super) async fn run(engine: Engine) {
    println!(
        "sample orders: paid and silent for 6 s → RECEIVED; unpaid for 4 s → CANCELLED; one is \
         held, one extended\n"
    );
    for round in 1.. {
        let of = |name: &str| format!("demo-{round}-{name}");
        let play = async {
            ask(&engine, &of("silent"), true, &[]).await?;
            ask(&engine, &of("unpaid"), false, &[]).await?;
            ask(
                &engine,
                &of("held"),
                true,
                &[Command::Hold { id: "dispute".parse()?, reason: "dispute".parse()? }],
            )
            .await?;
            ask(&engine, &of("extended"), true, &[Command::Extend { number: 1 }]).await?;
            tokio::time::sleep(Duration::from_secs(3)).await;
            submit(&engine, &of("held"), Command::Release { id: "dispute".parse()? }).await
        };
        if let Err(error) = play.await {
            tracing::warn!(%error, "the demo stopped");
            return;
        }
        tokio::time::sleep(Duration::from_secs(12)).await;
    }
}

/// Places an order, pays it if `paid`, and submits the commands `then`.
async fn ask(engine: &Engine, id: &str, paid: bool, then: &[Command]) -> anyhow::Result<()> {
    let place = Place::new().buyer_id("buyer-7".parse()?).amount(59_000).currency("KRW".parse()?);
    submit(engine, id, place.into()).await?;
    if paid {
        submit(engine, id, Command::Pay { at: None }).await?;
    }
    for command in then {
        submit(engine, id, command.clone()).await?;
    }
    Ok(())
}

async fn submit(engine: &Engine, id: &str, command: Command) -> anyhow::Result<()> {
    match engine.submit(id.parse()?, command).await?.outcome {
        ReplyOutcome::Rejected(Rejection { title, .. }) => anyhow::bail!(title),
        ReplyOutcome::UnknownPolicy(unknown) => anyhow::bail!("policy {unknown}"),
        ReplyOutcome::Changed | ReplyOutcome::Unchanged => Ok(()),
    }
}
