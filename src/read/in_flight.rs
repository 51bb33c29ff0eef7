//! Waits for rows that the output thread writes.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use crate::error::{Error, Result};
use crate::support::watchdog;

/// Slices on their way to stdout.
#[derive(Default)]
pub(super) struct InFlight(VecDeque<oneshot::Receiver<Result<()>>>);

impl InFlight {
    pub(super) fn push(&mut self, slice: oneshot::Receiver<Result<()>>) {
        self.0.push_back(slice);
    }

    /// Fails if a slice could not be written.
    pub(super) fn check(&mut self) -> Result<()> {
        while let Some(slice) = self.0.front_mut() {
            match slice.try_recv() {
                Ok(result) => result?,
                Err(oneshot::error::TryRecvError::Empty) => break,
                Err(oneshot::error::TryRecvError::Closed) => return Err(output_gone()),
            }
            self.0.pop_front();
        }
        Ok(())
    }

    pub(super) async fn wait_all(self) -> Result<()> {
        let task = watchdog::task("A stream".to_owned());
        task.waits_for("its rows to be written");
        for slice in self.0 {
            slice.await.map_err(|_| output_gone())??;
        }
        Ok(())
    }
}

fn output_gone() -> Error {
    Error::system("The output thread has stopped.")
}
