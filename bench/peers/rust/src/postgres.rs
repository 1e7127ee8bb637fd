//! Polling of a table, the common recipe: a partial index on unfinished orders, batches locked with
//! SKIP LOCKED so that workers never wait for each other, one statement per batch, the handler
//! inside the transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Row};

use crate::Load;
use crate::lag::{Lags, cpu_seconds, wait_until};

pub struct Polling {
    pub url: String,
    pub pid: u32,
    pub batch: i64,
    pub workers: u32,
    pub poll_ms: u64,
    pub delete: bool,
}

const TABLES: [&str; 3] = [
    "DROP TABLE IF EXISTS orders",
    "CREATE TABLE orders (order_id text PRIMARY KEY, buyer_id text NOT NULL,
         amount bigint NOT NULL, currency text NOT NULL, status text NOT NULL,
         due_ms bigint NOT NULL)",
    "CREATE INDEX orders_due ON orders (due_ms) WHERE status = 'PAID'",
];

const FILL: &str = "INSERT INTO orders
    SELECT '20261123' || lpad(i::text, 10, '0'), 'buyer' || lpad(i::text, 7, '0'), 59000, 'KRW',
         'PAID', due
    FROM unnest($1::bigint[], $2::bigint[]) AS filled (i, due)";

const DUE: &str = "SELECT order_id FROM orders
    WHERE status = 'PAID' AND due_ms <= extract(epoch FROM clock_timestamp()) * 1000
    ORDER BY due_ms LIMIT $1 FOR UPDATE SKIP LOCKED";

impl Polling {
    pub async fn run(self, load: Load) -> anyhow::Result<Value> {
        let pool = PgPoolOptions::new()
            .max_connections(self.workers + 1)
            .min_connections(self.workers + 1)
            .connect(&self.url)
            .await?;
        for statement in TABLES {
            sqlx::query(statement).execute(&pool).await?;
        }
        let first = load.first_due();
        for start in (0..load.orders).step_by(5_000) {
            let numbers: Vec<i64> =
                (start..(start + 5_000).min(load.orders)).map(|i| i as i64).collect();
            let due: Vec<i64> =
                numbers.iter().map(|&i| load.due(first, i as usize) as i64).collect();
            sqlx::query(FILL).bind(numbers).bind(due).execute(&pool).await?;
        }
        sqlx::query("VACUUM ANALYZE orders").execute(&pool).await?;
        let bytes: i64 =
            sqlx::query("SELECT pg_total_relation_size('orders')").fetch_one(&pool).await?.get(0);
        wait_until(first).await?;
        let lags = Arc::new(Lags::new()?);
        let start = Instant::now();
        let own = cpu_seconds(std::process::id(), false);
        let server = cpu_seconds(self.pid, true);
        let polling = Arc::new(self);
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..polling.workers {
            workers.spawn(polling.clone().work(pool.clone(), lags.clone(), load.orders as u64));
        }
        while let Some(ended) = workers.join_next().await {
            ended??;
        }
        let seconds = start.elapsed().as_secs_f64();
        let own = cpu_seconds(std::process::id(), false) - own;
        let server = cpu_seconds(polling.pid, true) - server;
        Ok(json!({
            "peer": "postgres",
            "orders": load.orders,
            "batch": polling.batch,
            "workers": polling.workers,
            "poll_ms": polling.poll_ms,
            "delete": polling.delete,
            "seconds": seconds,
            "orders_per_second": load.orders as f64 / seconds,
            "lag_ms": lags.figures(),
            "cpu_seconds": {"own": own, "server": server, "total": own + server},
            "bytes_per_order": (bytes as f64 / load.orders as f64).round(),
        }))
    }

    /// Handles batch after batch until all orders are handled.
    async fn work(
        self: Arc<Self>,
        pool: PgPool,
        lags: Arc<Lags>,
        orders: u64,
    ) -> anyhow::Result<()> {
        let take = if self.delete {
            format!("DELETE FROM orders WHERE order_id = ANY (ARRAY({DUE})) RETURNING due_ms")
        } else {
            format!(
                "UPDATE orders SET status = 'RECEIVED' WHERE order_id = ANY (ARRAY({DUE})) \
                    RETURNING due_ms"
            )
        };
        while lags.count() < orders {
            let mut transaction = pool.begin().await?;
            let rows = sqlx::query(AssertSqlSafe(take.as_str()))
                .bind(self.batch)
                .fetch_all(&mut *transaction)
                .await?;
            // A real handler would work here. A failure would roll the batch back.
            let due: Vec<u64> = rows.iter().map(|row| row.get::<i64, _>(0) as u64).collect();
            transaction.commit().await?;
            let idle = due.is_empty();
            lags.note(due);
            if idle {
                tokio::time::sleep(Duration::from_millis(self.poll_ms)).await;
            }
        }
        Ok(())
    }
}
