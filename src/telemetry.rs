//! What is measured.

/// Every figure that the program counts and measures; one instance for each program.
#[derive(Default)]
pub struct Metrics {}

impl Metrics {
    /// The figures in the OpenMetrics text format, as `/metrics` answers them.
    #[must_use]
    pub fn render(&self) -> String {
        todo!()
    }
}
