#![doc = include_str!("../docs/writing-a-store.md")]
// The name of each test is its documentation.
#![allow(missing_docs, clippy::missing_panics_doc)]

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::Store;

pub mod commits;
pub mod dead_letters;
pub mod due;
pub mod kit;
pub mod lists;
pub mod log;
pub mod moving;
pub mod operations;
pub mod orders;
pub mod outbox;
pub mod races;
pub mod reads;
pub mod register;
pub mod retention;

/// An empty store for one test, and its surroundings: a directory, a server or a prefix. They are
/// dropped after the store.
pub struct Subject {
    /// The store.
    pub store: Arc<dyn Store>,
    lives_in: Vec<Box<dyn Any>>,
}

impl Subject {
    /// A store that needs nothing else.
    pub fn new(store: impl Store) -> Subject {
        Subject { store: Arc::new(store), lives_in: Vec::new() }
    }

    /// Adds something to keep until the test has ended.
    #[must_use]
    pub fn living_in(mut self, home: impl Any) -> Subject {
        self.lives_in.push(Box::new(home));
        self
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("store", &self.store.about()).finish_non_exhaustive()
    }
}

/// Runs one test on its own runtime with two threads, so that concurrent tasks really run in
/// parallel.
pub fn run(test: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(test);
}

/// Generates all tests for a store, in a module with the given name. The second argument is the
/// path of an `async fn() -> Subject`.
///
/// ```ignore
/// autoreceive_store::conformance_tests!(in_memory, make_in_memory);
/// ```
#[macro_export]
macro_rules! conformance_tests {
    ($module:ident, $make:path) => {
        mod $module {
            #[allow(unused_imports)]
            use super::*;
            $crate::__store_tests! { __make_store_tests $make }
            $crate::__register_tests! { __make_store_part_tests $make }
            $crate::__log_tests! { __make_store_part_tests $make }
        }
    };
}

/// Generates all tests for a [`Register`](crate::Register), in a module with the given name. The
/// second argument is the path of an `async fn() -> impl Register`.
#[macro_export]
macro_rules! register_conformance_tests {
    ($module:ident, $make:path) => {
        mod $module {
            #[allow(unused_imports)]
            use super::*;
            $crate::__register_tests! { __make_part_tests $make }
        }
    };
}

/// Generates all tests for a [`Log`](crate::Log), in a module with the given name. The second
/// argument is the path of an `async fn() -> impl Log`.
#[macro_export]
macro_rules! log_conformance_tests {
    ($module:ident, $make:path) => {
        mod $module {
            #[allow(unused_imports)]
            use super::*;
            $crate::__log_tests! { __make_part_tests $make }
        }
    };
}

/// One `#[test]` for each name, on a complete store.
#[doc(hidden)]
#[macro_export]
macro_rules! __make_store_tests {
    ($make:path; $($group:ident: $($test:ident)+;)+) => {
        $(mod $group {
            #[allow(unused_imports)]
            use super::*;
            $(#[test]
            fn $test() {
                $crate::conformance::run(async {
                    let subject = $make().await;
                    let store = ::std::sync::Arc::clone(&subject.store);
                    $crate::conformance::$group::$test(store).await;
                    drop(subject);
                });
            })+
        })+
    };
}

/// One `#[test]` for each name, on one part of a complete store.
#[doc(hidden)]
#[macro_export]
macro_rules! __make_store_part_tests {
    ($make:path; $($group:ident: $($test:ident)+;)+) => {
        $(mod $group {
            #[allow(unused_imports)]
            use super::*;
            $(#[test]
            fn $test() {
                $crate::conformance::run(async {
                    let subject = $make().await;
                    $crate::conformance::$group::$test(&*subject.store).await;
                    drop(subject);
                });
            })+
        })+
    };
}

/// One `#[test]` for each name, on a value that implements one part of a store.
#[doc(hidden)]
#[macro_export]
macro_rules! __make_part_tests {
    ($make:path; $($group:ident: $($test:ident)+;)+) => {
        $($(#[test]
        fn $test() {
            $crate::conformance::run(async {
                let part = $make().await;
                $crate::conformance::$group::$test(&part).await;
                drop(part);
            });
        })+)+
    };
}

/// Runs the tests on one value, one after another.
#[doc(hidden)]
#[macro_export]
macro_rules! __call_each {
    ($part:path; $($group:ident: $($test:ident)+;)+) => {
        $($($crate::conformance::$group::$test($part).await;)+)+
    };
}

/// The names of the tests on complete stores, by group.
#[doc(hidden)]
#[macro_export]
macro_rules! __store_tests {
    ($then:ident $argument:path) => {
        $crate::$then! { $argument;
            orders:
                orders_come_in_the_order_asked_for
                every_answer_has_the_state_of_its_shard
                a_commit_can_follow_from_a_load
                the_first_terms_of_a_revision_are_kept
                similar_ids_are_different_orders
                an_order_with_all_its_data_is_kept;
            commits:
                a_new_order_is_kept_as_it_was_decided
                a_changed_order_replaces_the_version_it_was_decided_on
                a_removed_order_is_gone_with_its_due_time
                a_new_order_conflicts_with_one_that_is_there
                a_change_conflicts_with_any_other_version
                a_commit_writes_all_its_parts
                a_conflict_names_every_loser_and_writes_nothing
                without_its_losers_a_commit_succeeds
                a_stale_decision_writes_nothing
                a_decision_a_few_seconds_old_is_committed
                a_commit_to_a_replaced_shard_is_refused
                a_decision_under_other_pauses_writes_nothing
                an_entry_holds_the_events_it_names
                the_commits_of_one_call_are_independent
                the_commits_of_one_shard_in_one_call_are_independent
                a_commit_without_changes_can_write_its_other_parts
                a_large_commit_is_written_whole_or_not_at_all;
            reads:
                a_commit_succeeds_with_any_token
                an_order_that_changed_after_the_read_loses_with_any_token
                a_token_of_a_later_read_hides_no_loser
                a_changed_neighbour_is_no_conflict
                one_of_two_commits_of_the_same_orders_succeeds_with_any_token
                a_token_does_not_bypass_the_checks_for_gone_and_stale
                a_commit_with_a_token_can_change_other_orders_too
                many_unused_reads_block_nobody;
            due:
                the_earliest_due_time_comes_first
                due_returns_at_most_the_limit_and_the_next_due_time
                ignored_orders_hide_no_others
                no_order_is_due_early
                a_held_order_is_not_due
                reading_due_orders_claims_nothing
                the_shards_come_in_the_order_asked_for
                a_limit_of_0_returns_only_the_next_due_time
                a_corrected_due_time_is_written_under_the_same_version
                a_due_time_is_removed_only_if_there_is_no_record;
            races:
                exactly_one_of_two_commits_against_one_version_wins
                no_change_is_lost_among_many_writers
                overlapping_commits_are_never_mixed;
            retention:
                a_note_is_listed_at_its_time_with_its_orders
                a_note_names_its_changes
                a_handled_note_is_removed_with_its_orders
                a_removed_order_leaves_an_empty_row_in_its_note
                a_limit_counts_notes_and_the_earliest_come_first
                resting_orders_have_no_cursor;
            lists:
                the_pages_of_upcoming_hold_each_waiting_order_once
                the_pages_of_overdue_hold_each_late_order_once
                the_pages_of_held_hold_each_held_order_once
                orders_of_one_millisecond_are_paged_without_a_gap
                a_cursor_of_another_list_is_refused
                an_empty_view_has_no_next_page
                the_list_of_all_orders_includes_their_records
                the_pages_of_all_include_every_order_despite_changes_in_between;
            outbox:
                an_entry_is_claimed_with_its_events_at_its_time
                a_leased_entry_is_not_claimed_again
                an_entry_can_be_claimed_again_after_its_lease
                a_claimed_entry_says_when_its_lease_ends
                claim_returns_at_most_the_limit_and_the_next_time
                each_action_has_entries_of_its_own
                a_settled_entry_is_not_claimed_again
                a_failed_event_is_claimed_again_with_its_history
                an_entry_that_failed_twice_keeps_its_id
                events_that_were_not_attempted_stay_in_their_entry
                a_late_settlement_restores_nothing
                an_entry_is_settled_at_most_once_per_call
                only_the_lease_of_an_existing_entry_is_renewed
                an_added_entry_is_claimed_like_any_other
                an_entry_is_added_only_if_neither_lane_has_its_id
                any_text_is_kept_unchanged
                the_pages_of_a_queue_are_in_order_of_time
                a_cursor_of_another_queue_is_refused
                only_existing_entries_are_returned_by_name;
            dead_letters:
                a_dead_letter_is_shown_with_its_event_and_history
                a_dead_letter_is_not_claimed
                a_replayed_dead_letter_can_be_claimed_immediately_under_its_id
                a_discarded_dead_letter_is_gone
                only_one_of_many_workers_settles_a_dead_letter
                each_action_has_dead_letters_of_its_own
                thousands_of_dead_letters_are_settled_in_one_call;
            moving:
                entries_and_dead_letters_move_unchanged
                a_follow_up_replaces_an_entry_unless_only_if_absent_is_set
                an_entry_in_the_other_lane_does_not_prevent_a_follow_up
                one_settlement_can_have_follow_ups_in_several_queues
                dropping_removes_only_the_dropped_entries
                an_interrupted_move_leaves_every_entry_in_exactly_one_place;
            operations:
                a_store_returns_its_time
                only_a_store_with_a_test_clock_can_be_advanced
                the_queues_of_named_actions_are_counted
                the_stats_of_an_action_show_its_circuit
                an_order_is_overdue_only_after_its_due_time
                stats_are_correct_after_any_commits;
        }
    };
}

/// The names of the tests on a register.
#[doc(hidden)]
#[macro_export]
macro_rules! __register_tests {
    ($then:ident $argument:path) => {
        $crate::$then! { $argument;
            register:
                a_value_is_set_only_if_the_expected_one_is_there
                a_value_is_removed_only_if_the_expected_one_is_there
                an_empty_value_is_kept
                the_changes_of_one_call_are_independent
                each_space_has_keys_of_its_own
                any_key_and_value_is_kept_unchanged
                thousands_of_values_are_changed_in_one_call
                only_one_of_many_writers_changes_a_value
                no_change_of_a_value_is_lost_among_many_writers
                live_workers_are_listed_in_order
                a_worker_without_a_recent_heartbeat_is_left_out
                a_worker_that_left_is_removed_immediately
                a_register_returns_its_time;
        }
    };
}

/// The names of the tests on a log.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_tests {
    ($then:ident $argument:path) => {
        $crate::$then! { $argument;
            log:
                the_newest_row_comes_first
                a_list_is_capped_exactly
                each_list_has_rows_of_its_own
                a_cursor_leads_to_the_same_rows_after_additions
                a_cursor_to_removed_rows_returns_no_newer_rows
                a_cursor_that_was_never_issued_is_refused
                any_row_is_kept_unchanged
                rows_added_at_the_same_time_are_all_kept
                thousands_of_rows_are_added_in_one_call;
        }
    };
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Mutex;

    use async_trait::async_trait;
    use autoreceive_domain::Time;

    use crate::{List, Log, Page, StoreError};

    /// The test functions in the file of a group.
    fn written(text: &'static str) -> BTreeSet<&'static str> {
        let names =
            text.lines().filter_map(|line| line.strip_prefix("pub async fn ")?.split('(').next());
        names.filter(|name| *name != "all").collect()
    }

    /// The names in the table of a group.
    fn listed(group: &str) -> BTreeSet<&'static str> {
        let tables = include_str!("conformance.rs");
        let (_, table) = tables.split_once(&format!("\n            {group}:\n")).expect("a table");
        table.split_once(';').expect("an end").0.split_whitespace().collect()
    }

    macro_rules! assert_all_listed {
        ($($group:ident)+) => {
            $(assert_eq!(
                listed(stringify!($group)),
                written(include_str!(concat!("conformance/", stringify!($group), ".rs"))),
            );)+
        };
    }

    #[test]
    fn every_test_of_a_group_is_in_its_table() {
        assert_all_listed!(commits dead_letters due lists log moving operations orders outbox);
        assert_all_listed!(races reads register retention);
    }

    /// The least log that there can be, so that the suite is not only held against whole stores.
    #[derive(Default)]
    struct InMemory(Mutex<BTreeMap<List, (usize, Vec<String>)>>);

    #[async_trait]
    impl Log for InMemory {
        async fn append(&self, list: &List, rows: &[String], cap: usize) -> Result<(), StoreError> {
            let mut lists = self.0.lock().unwrap();
            let (cut, kept) = lists.entry(list.clone()).or_default();
            kept.extend_from_slice(rows);
            let old = kept.len().saturating_sub(cap);
            kept.drain(..old);
            *cut += old;
            Ok(())
        }

        async fn page(
            &self,
            list: &List,
            cursor: Option<&str>,
            limit: usize,
        ) -> Result<Page<String>, StoreError> {
            let lists = self.0.lock().unwrap();
            let (cut, kept) = lists.get(list).cloned().unwrap_or_default();
            // A cursor is the list's name and the number of the row that the page ends before.
            let number =
                |cursor: &str| cursor.strip_prefix(list.as_str())?.strip_prefix('/')?.parse().ok();
            let end: usize = match cursor {
                Some(cursor) => number(cursor).ok_or_else(|| StoreError::wrong_cursor(cursor))?,
                None => cut + kept.len(),
            };
            let kept_before = &kept[..end.saturating_sub(cut).min(kept.len())];
            let begin = kept_before.len().saturating_sub(limit);
            let items = kept_before[begin..].iter().rev().cloned().collect();
            let cursor = (begin > 0).then(|| format!("{list}/{}", cut + begin));
            Ok(Page::new(Time::from_ms(0), items, cursor))
        }
    }

    async fn in_memory() -> InMemory {
        InMemory::default()
    }

    crate::log_conformance_tests!(log_in_memory, in_memory);

    #[test]
    fn all_tests_of_a_part_can_run_on_one_value() {
        super::run(async { super::log::all(&InMemory::default()).await });
    }
}
