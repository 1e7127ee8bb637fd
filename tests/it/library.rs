//! Runs the example of an embedded engine.

use std::path::Path;
use std::process::Command;

#[test]
fn the_example_with_its_own_action_credits_the_received_order() {
    // `cargo test` also builds the examples.
    let example =
        Path::new(env!("CARGO_BIN_EXE_autoreceive")).with_file_name("examples").join("own_action");
    let output = Command::new(&example)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", example.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "A-1001 was received automatically: 590 points\n"
    );
}
