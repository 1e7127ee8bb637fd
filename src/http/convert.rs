//! Engine types as API types, and back.

use autoreceive_domain::Status;

use crate::engine::{
    ActionStats, Backfilled, DeadLetter, DeadLetterSelection, Page, Relocated, Resolved, Row,
    Stats, TestClock, View,
};
use crate::telemetry::{IntakeState, ScanReport};
use crate::wire::action::{BackfilledView, RelocatedView};
use crate::wire::dead_letter::{
    AttemptError, DeadLetterContent, DeadLetterFilter, DeadLetterView, DeadLetters, ResolvedView,
};
use crate::wire::report::{
    ActionStatsView, EventCount, IntakeView, ListName, PageItem, PageView, ScanView, StatsView,
};
use crate::wire::time::TestClockView;
use crate::wire::{EventView, OrderView};

/// The store's view for a list.
pub fn view(list: ListName) -> View {
    match list {
        ListName::Upcoming => View::Upcoming,
        ListName::Overdue => View::Overdue,
        ListName::Held => View::Held,
    }
}

/// A page of orders.
pub fn page(page: Page<Row>) -> PageView {
    PageView { now: page.now, items: page.items.iter().map(item).collect(), cursor: page.cursor }
}

fn item(row: &Row) -> PageItem {
    let (order, error) = match &row.order {
        Ok(order) => (order.as_ref().map(OrderView::from), None),
        Err(unreadable) => (None, Some(unreadable.to_string())),
    };
    PageItem { order_id: row.id.clone(), at: row.at, order, error }
}

/// Statistics of the store, and of the intake if it runs.
pub fn stats(stats: &Stats, intake: Option<IntakeState>) -> StatsView {
    let events = stats.totals.iter().map(|(kind, cause, count)| EventCount {
        r#type: *kind,
        cause: *cause,
        count: *count,
    });
    let orders = Status::ALL.map(|status| (status.as_str().to_owned(), count_of(stats, status)));
    StatsView {
        now: stats.now,
        orders: orders.into(),
        events: events.collect(),
        waiting: stats.waiting,
        overdue: stats.overdue,
        oldest_overdue: stats.oldest_overdue,
        held: stats.held,
        actions: stats.actions.iter().map(action).collect(),
        intake: intake.map(intake_view),
    }
}

fn count_of(stats: &Stats, status: Status) -> u64 {
    stats.orders.iter().find(|(known, _)| *known == status).map_or(0, |(_, count)| *count)
}

/// Statistics of an action.
pub fn action(action: &ActionStats) -> ActionStatsView {
    ActionStatsView {
        name: action.name.to_string(),
        pending: action.pending,
        next_at: action.next_at,
        dead: action.dead,
        oldest_dead: action.oldest_dead,
        failing_since: action.circuit.failing_since,
        disabled_at: action.circuit.disabled_at,
    }
}

fn intake_view(state: IntakeState) -> IntakeView {
    let IntakeState { enabled: _, scans_here, listening, notifications, trouble, last_scan } =
        state;
    let last_scan = last_scan.map(scan);
    IntakeView { scans_here, listening, notifications, trouble, last_scan }
}

fn scan(report: ScanReport) -> ScanView {
    let ScanReport { seconds, orders, adopted, history, placed_by_command, bad_keys } = report;
    ScanView { seconds, orders, adopted, history, placed_by_command, bad_keys }
}

/// The state of a test clock.
pub fn test_clock(clock: TestClock) -> TestClockView {
    TestClockView { now: clock.now, ahead: clock.ahead }
}

/// The result of one backfill step.
pub fn backfilled(done: Backfilled) -> BackfilledView {
    let passed_over = done.skipped.iter().map(|(kind, count)| (kind.to_string(), *count));
    BackfilledView {
        scanned: done.scanned,
        added: done.added,
        there: done.existing,
        passed_over: passed_over.collect(),
        unreadable: done.unreadable,
        total: done.total,
        busy: done.busy,
        cursor: done.cursor,
    }
}

/// The result of one step of a move or drop.
pub fn relocated(done: Relocated) -> RelocatedView {
    let Relocated { entries, dead_letters } = done;
    RelocatedView { entries, dead_letters, more: entries + dead_letters > 0 }
}

/// A filter of dead letters.
pub fn filter(filter: DeadLetterFilter) -> DeadLetterSelection {
    let DeadLetterFilter { older_than, error } = filter;
    DeadLetterSelection { older_than, error }
}

/// A page of dead letters.
pub fn dead_letters(page: Page<DeadLetter>) -> DeadLetters {
    let items = page.items.iter().map(dead_letter).collect();
    DeadLetters { now: page.now, items, cursor: page.cursor }
}

/// A dead letter without its event.
fn dead_letter(letter: &DeadLetter) -> DeadLetterView {
    let content = letter.content.as_ref().ok().map(|(event, history)| DeadLetterContent {
        r#type: event.kind(),
        order_id: event.0.id.clone(),
        version: event.0.version,
        attempts: history.attempts,
        first_at: history.first_at,
        errors: history
            .errors
            .iter()
            .map(|(at, error)| AttemptError { at: *at, error: error.clone() })
            .collect(),
    });
    DeadLetterView {
        event_id: letter.entry.id.clone(),
        died_at: letter.died_at,
        content,
        unreadable: letter.content.as_ref().err().map(ToString::to_string),
        event: None,
    }
}

/// A dead letter with its event as it is sent.
pub fn dead_letter_with_event(letter: &DeadLetter) -> DeadLetterView {
    let event = letter.content.as_ref().ok().map(|(event, _)| EventView::from(event));
    DeadLetterView { event, ..dead_letter(letter) }
}

/// The result of one step of a replay or discard.
pub fn resolved(resolved: Resolved) -> ResolvedView {
    let Resolved { matched, done, unreadable, cursor } = resolved;
    ResolvedView { matched, done, unreadable, cursor }
}
