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
        an_order_is_kept_as_its_newest_event_left_it
        a_repeat_changes_nothing
        older_news_is_recorded_but_leaves_the_order_as_it_is
        ids_that_differ_in_case_or_by_a_space_are_two_orders
        every_json_that_is_valid_is_kept
        workers_that_start_at_once_make_the_tables_once
        tables_of_a_newer_version_are_left_alone;
    failing:
        one_poisonous_event_does_not_keep_its_batch_from_being_written
        several_poisonous_events_are_found_by_halves
        what_is_too_large_for_the_database_is_dead_without_harm_to_others
        a_database_that_is_away_is_tried_again
        what_the_database_may_not_do_is_tried_again_and_not_given_up;
    statements:
        the_shops_own_statement_runs_once_for_each_event
        a_statement_can_guard_itself_against_older_news
        what_the_statement_refuses_is_dead_for_that_event_only
        a_wrong_statement_is_tried_again;
    books:
        a_receipt_is_credited_exactly_once
        a_refund_takes_back_what_was_credited_whatever_the_rate_is_now
        a_receipt_that_comes_after_its_refund_does_nothing
        receipt_and_refund_of_one_batch_cancel_each_other
        receipt_and_refund_that_race_and_repeat_leave_nothing
        sums_are_exact_over_random_lives_written_by_two_workers_in_any_order
        receipts_from_before_points_were_kept_are_no_differences
        a_planted_difference_is_found;
    service:
        an_order_that_is_received_by_itself_is_kept_credited_and_proved;
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
