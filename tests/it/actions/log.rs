//! The `log` action.

use std::io::Write;
use std::sync::{Arc, Mutex};

use autoreceive::action::log::LogAction;
use autoreceive::action::{Action, Outcome};

use super::event;

#[derive(Clone, Default)]
struct LogWriter(Arc<Mutex<Vec<u8>>>);

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_action_writes_one_line_for_each_event() {
    let lines = LogWriter::default();
    let writer = lines.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    assert_eq!(
        LogAction("log".parse().unwrap()).attempt(&[event("A-1", 5), event("B-2", 6)]).await,
        [Outcome::Done, Outcome::Done]
    );
    drop(guard);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(
        text.lines()
            .next()
            .unwrap()
            .ends_with("order.received action=log order=A-1 version=5 cause=timer"),
        "{text}"
    );
}
