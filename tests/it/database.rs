//! The `database` action on real servers: one suite for both databases.

use crate::support::mariadb::MariaDbProcess;
use crate::support::postgres::PostgresProcess;

mod bench;
mod books;
mod failing;
mod keeping;
mod kit;
mod service;
mod statements;

/// Every test of the suite on PostgreSQL and on MariaDB.
macro_rules! on_both {
    ($($module:ident: $($test:ident)+;)+) => {
        mod postgres {
            $($(
                #[tokio::test]
                async fn $test() {
                    super::$module::$test(super::kit::TestDb::postgres()).await;
                }
            )+)+
        }
        mod mariadb {
            $($(
                #[tokio::test]
                async fn $test() {
                    super::$module::$test(super::kit::TestDb::mariadb()).await;
                }
            )+)+
        }
    };
}

on_both! {
    keeping:
        an_order_has_the_state_after_its_newest_event
        a_repeat_changes_nothing
        an_older_event_is_recorded_but_does_not_change_the_order
        ids_that_differ_in_case_or_by_a_space_are_two_orders
        every_valid_json_is_stored
        workers_that_start_together_create_the_tables_once
        tables_of_a_newer_version_are_not_changed;
    failing:
        one_poison_event_does_not_block_its_batch
        several_poison_events_are_found_by_splitting_the_batch
        an_event_that_is_too_large_for_the_database_is_dead_and_others_are_written
        a_database_that_is_down_is_retried
        a_missing_permission_is_retried;
    statements:
        the_shops_own_statement_runs_once_for_each_event
        a_statement_can_ignore_older_events
        only_the_event_that_the_statement_refuses_is_dead
        a_wrong_statement_is_retried;
    books:
        a_receipt_is_credited_exactly_once
        a_refund_takes_back_the_credited_points_after_a_change_of_the_rate_too
        a_receipt_after_its_refund_does_nothing
        receipt_and_refund_of_one_batch_cancel_each_other
        racing_and_repeated_receipts_and_refunds_leave_no_points
        sums_are_exact_over_random_orders_written_by_two_workers_in_any_order
        receipts_from_before_points_were_enabled_are_not_differences
        every_kind_of_difference_is_found;
    service:
        an_order_received_by_the_timer_is_stored_credited_and_reconciled;
}

#[tokio::test]
async fn a_crash_of_postgres_loses_and_doubles_nothing() {
    let mut server = PostgresProcess::start(&[]);
    let db = kit::TestDb::at(server.url());
    let crash = move || {
        server.kill();
        server.restart();
        server
    };
    failing::a_crash_loses_and_doubles_nothing(db, crash).await;
}

#[tokio::test]
async fn a_crash_of_mariadb_loses_and_doubles_nothing() {
    let mut server = MariaDbProcess::start(&[]);
    let db = kit::TestDb::at(server.url());
    let crash = move || {
        server.kill();
        server.restart();
        server
    };
    failing::a_crash_loses_and_doubles_nothing(db, crash).await;
}
