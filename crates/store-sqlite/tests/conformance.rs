//! Runs the conformance suite of all stores.

use std::time::Duration;

use autoreceive_store::conformance::Subject;
use autoreceive_store_sqlite::SqliteStore;

async fn in_memory() -> Subject {
    Subject::new(SqliteStore::in_memory().unwrap())
}

async fn in_a_file() -> Subject {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("orders.db");
    Subject::new(SqliteStore::open(&path, Duration::from_secs(30)).unwrap()).living_in(directory)
}

async fn with_a_test_clock() -> Subject {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("orders.db");
    let store = SqliteStore::open_with_test_clock(&path, Duration::from_secs(30)).unwrap();
    Subject::new(store).living_in(directory)
}

autoreceive_store::conformance_tests!(memory, in_memory);
autoreceive_store::conformance_tests!(file, in_a_file);
autoreceive_store::conformance_tests!(test_clock, with_a_test_clock);
