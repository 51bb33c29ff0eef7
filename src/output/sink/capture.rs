//! Rows and errors for a caller in this process, such as `preview`.

use serde_json::{Map, Value};

use crate::error::Error;

/// What was read.
pub enum Captured {
    /// A row.
    Row(Map<String, Value>),
    /// A stream failed, or the run.
    Failed(Error),
}

/// Passes what is read to a caller.
pub struct Capture {
    pub(super) buffer: Vec<u8>,
    take: Box<dyn FnMut(Captured) + Send>,
}

impl Capture {
    /// A sink that calls `take` on the writer thread.
    #[must_use]
    pub fn new(take: impl FnMut(Captured) + Send + 'static) -> Self {
        Self { buffer: Vec::new(), take: Box::new(take) }
    }

    pub(super) fn end_record(&mut self) {
        if let Ok(row) = serde_json::from_slice(&self.buffer) {
            (self.take)(Captured::Row(row));
        }
        self.buffer.clear();
    }

    pub(super) fn report_error(&mut self, error: &Error) {
        (self.take)(Captured::Failed(error.clone()));
    }
}
