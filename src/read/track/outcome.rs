//! What a response changes in its track: a slice is done, a hole, waits, or is requested again.

use chrono::NaiveDate;

use crate::model::calendar::{Window, days_before};
use crate::read::track::planned::{PlannedWindow, Progress};
use crate::read::track::{Failures, LAST_READ, Track};

impl Track {
    /// The response is complete and on its way to the output.
    pub fn done(&mut self, id: u64, rows: u64, bytes: usize) {
        let Some(slot) = self.slot(id) else { return };
        (slot.progress, slot.is_read) = (Progress::Done, true);
        let (window, is_part) = (slot.window, slot.part.is_some());
        self.rows += rows;
        self.failures = Failures::default();
        if is_part {
            let sum = self.parted.entry(window.start).or_default();
            *sum = (sum.0 + rows, sum.1 + bytes);
            if self.is_window_done(window)
                && let Some((rows, bytes)) = self.parted.remove(&window.start)
                && rows < self.limits.row_cap / 10 * 6
            {
                // The windows are small again: stop splitting by ad sets.
                self.parts.clear();
                self.density.learn(window, rows, bytes);
            }
        } else {
            self.density.learn(window, rows, bytes);
        }
        self.forget_done();
    }

    fn forget_done(&mut self) {
        while let Some(slot) = self.slots.front().filter(|slot| slot.progress == Progress::Done) {
            if slot.is_read {
                self.last_read = self.last_read.max(Some(slot.window.end));
            }
            self.slots.pop_front();
        }
        if self.slots.front().is_some_and(|slot| slot.progress == Progress::WaitsForEarlier) {
            for slot in self.slots.iter_mut().filter(|slot| slot.progress == Progress::WaitsForEarlier) {
                slot.progress = Progress::Waiting;
            }
        }
    }

    /// Makes a slice a hole; everything else continues.
    pub fn give_up(&mut self, id: u64) {
        let Some(slot) = self.slot(id) else { return };
        slot.progress = Progress::Done;
        let window = slot.window;
        // Several parts of one window may fail.
        if !self.holes.contains(&window) {
            self.holes.push(window); // guard: holes
        }
        self.forget_done();
    }

    /// Marks the slots in `window` as parts of a failed slice.
    pub fn suspect(&mut self, window: Window) {
        let parts =
            self.slots.iter_mut().filter(|slot| window.start <= slot.window.start && slot.window.end <= window.end);
        parts.for_each(|slot| slot.is_suspect = true);
    }

    /// Skips all days before `day`, the border of a period.
    pub fn begin_at(&mut self, day: NaiveDate) {
        let keeps = |slot: &PlannedWindow| slot.window.end >= day || slot.progress == Progress::Done;
        self.slots.retain(keeps);
        for slot in self.slots.iter_mut().filter(|slot| slot.window.start < day && slot.window.end >= day) {
            if slot.progress != Progress::Done {
                // Request it again and ignore the response to the old slice.
                (slot.window.start, slot.progress) = (day, Progress::Waiting);
            }
        }
        self.next = self.next.max(day);
        self.start = self.start.max(day);
        self.forget_done();
    }

    /// Requests a slice again that Criteo has refused.
    pub fn request_again(&mut self, id: u64) {
        if let Some(slot) = self.slot(id) {
            slot.progress = Progress::Waiting;
            slot.refusals = slot.refusals.saturating_add(1);
        }
    }

    /// Whether all days before a slice are done.
    #[must_use]
    pub fn is_first(&self, id: u64) -> bool {
        self.slots.front().is_some_and(|slot| slot.progress == Progress::UnderWay(id))
    }

    /// Makes a slice wait until all days before it are done.
    pub fn wait_for_days_before(&mut self, id: u64) {
        if let Some(slot) = self.slot(id) {
            slot.progress = Progress::WaitsForEarlier;
        }
    }

    /// Makes a slice wait until [`resume_waiting`](Self::resume_waiting).
    pub fn wait(&mut self, id: u64) {
        self.park(id);
    }

    /// Requests waiting slices.
    pub fn resume_waiting(&mut self) {
        self.resume_parked();
    }

    /// Requests a slice a last time and accepts its rows as they are.
    pub fn read_last_time(&mut self, id: u64) {
        if let Some(slot) = self.slot(id) {
            (slot.progress, slot.reads) = (Progress::Waiting, LAST_READ);
        }
    }

    /// Without a list of ad sets, requests the waiting periods one by one.
    pub fn stop_waiting_for_ad_sets(&mut self) {
        self.awaits_ad_sets = false;
        self.resume_parked();
    }

    fn resume_parked(&mut self) {
        for slot in self.slots.iter_mut().filter(|slot| slot.progress == Progress::Parked) {
            slot.progress = Progress::Waiting;
        }
    }

    /// Stops at the first day of this slice; earlier days continue.
    pub fn stop_before(&mut self, id: u64) {
        let Some(day) = self.slot(id).map(|slot| slot.window.start) else { return };
        self.slots.retain(|slot| slot.window.start < day || slot.progress == Progress::Done);
        self.end = days_before(day, 1);
        self.next = day;
        (self.awaits_ad_sets, self.is_dividing) = (false, false);
        self.resume_parked();
        self.forget_done();
    }
}
