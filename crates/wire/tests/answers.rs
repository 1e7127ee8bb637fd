//! Every response is read back exactly as it was written.

use autoreceive_wire::action::{Actions, BackfilledView, Enabled, RelocatedView};
use autoreceive_wire::command::NewOrder;
use autoreceive_wire::dead_letter::{DeadLetters, ResolvedView};
use autoreceive_wire::line::LineAnswer;
use autoreceive_wire::report::{PageView, StatsView};
use autoreceive_wire::time::TestClockView;
use serde::Serialize;
use serde::de::DeserializeOwned;

#[track_caller]
fn the_same_again<T: Serialize + DeserializeOwned>(json: &str) {
    // The texts below are broken into lines; responses are not.
    let json: String = json.lines().map(str::trim_start).collect();
    let read: T = serde_json::from_str(&json).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), json);
}

const NOW: &str = "2026-11-23T00:00:00.000Z";

#[test]
fn pages_and_statistics_are_read_as_written() {
    the_same_again::<PageView>(&format!(
        r#"{{"now":"{NOW}","items":[
            {{"order_id":"A-1","at":"{NOW}","order":null,"error":"x"}}
        ],"cursor":"c"}}"#
    ));
    let action = format!(
        r#"{{"name":"shop","pending":1,"next_at":"{NOW}","dead":0,
            "oldest_dead":null,"failing_since":null,"disabled_at":null"#
    );
    the_same_again::<StatsView>(&format!(
        r#"{{"now":"{NOW}","orders":{{"PAID":1}},
            "events":[{{"type":"order.paid","cause":"shop","count":1}}],
            "waiting":1,"overdue":0,"oldest_overdue":null,"held":0,"actions":[{action}}}],
            "intake":{{"scans_here":true,"listening":true,"notifications":"on","trouble":"",
            "last_scan":{{"seconds":3.2,"orders":1,"adopted":1,"history":0,
            "placed_by_command":0,"bad_keys":0}}}}}}"#
    ));
    the_same_again::<Actions>(&format!(
        r#"{{"now":"{NOW}","actions":[{action},"configured":true}}]}}"#
    ));
}

#[test]
fn step_results_and_the_test_clock_are_read_as_written() {
    the_same_again::<BackfilledView>(
        r#"{"scanned":1,"added":1,"there":0,"passed_over":{"order.paid":1},"unreadable":0,
            "total":9,"busy":false,"cursor":"c"}"#,
    );
    the_same_again::<RelocatedView>(r#"{"entries":1,"dead_letters":0,"more":true}"#);
    the_same_again::<Enabled>(r#"{"was_disabled":true}"#);
    the_same_again::<ResolvedView>(r#"{"matched":1,"done":1,"unreadable":0}"#);
    the_same_again::<TestClockView>(&format!(r#"{{"now":"{NOW}","ahead":"25h"}}"#));
}

#[test]
fn readable_and_unreadable_dead_letters_are_read_as_written() {
    the_same_again::<DeadLetters>(&format!(
        r#"{{"now":"{NOW}","items":[
            {{"event_id":"A-1:3","died_at":"{NOW}","type":"order.paid","order_id":"A-1",
            "version":3,"attempts":14,"first_at":"{NOW}",
            "errors":[{{"at":"{NOW}","error":"503"}}]}},
            {{"event_id":"A-2:1","died_at":"{NOW}","unreadable":"no text"}}
        ]}}"#
    ));
}

#[test]
fn answers_to_lines_are_read_as_written() {
    the_same_again::<LineAnswer>(
        r#"{"line":1,"order_id":"A-1","result":"changed","status":"PAID","version":2}"#,
    );
    the_same_again::<LineAnswer>(
        r#"{"line":1,"order_id":null,"result":"invalid",
            "error":{"code":"x","title":"y","field":"z","allowed":["pay"]}}"#,
    );
}

#[test]
fn a_new_order_keeps_its_data_exactly() {
    the_same_again::<NewOrder>(
        r#"{"order_id":"A-1","buyer_id":"B-7","amount":1,
            "data":{"z":1.10,"a":12345678901234567890123}}"#,
    );
}
