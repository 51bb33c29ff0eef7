//! What a report reads, for the page about the run.

use std::collections::BTreeSet;

use chrono::NaiveDate;

use crate::model::ids::numeric_id;
use crate::output::facts::{Check, Fact, Planned};
use crate::read::report::ReportReader;
use crate::read::totals::Differences;
use crate::state::cursor::Why;

/// What the totals check of a slice found.
pub(super) fn check(differing: &Differences, unsummed: &BTreeSet<(u64, NaiveDate)>) -> Check {
    let differing = differing.periods.iter().map(|key| {
        let words = differing.words.get(key).cloned().unwrap_or_default();
        ((numeric_id(&key.1.0), key.0), words)
    });
    Check::Compared { differing: differing.collect(), unsummed: unsummed.clone() }
}

impl ReportReader<'_> {
    /// Reports the days to read, the cursors, and the days that earlier syncs accepted without proof.
    pub(super) fn report_plan(&self) {
        let tracks = self.tracks.iter().map(|track| (track.range(), track.advertisers().clone()));
        let cursors = self.cursors.groups(&self.scope).into_iter();
        let holes = self.cursors.holes(&self.scope).into_iter();
        let accepted = holes.filter(|(hole, _)| matches!(hole.why, Why::Unproven | Why::Uncompared));
        let planned = Planned {
            grain: self.report.grain,
            settled_until: self.settled_until(),
            tracks: tracks.collect(),
            cursors: cursors.filter_map(|(cursor, advertisers)| Some((cursor?, advertisers))).collect(),
            accepted: accepted.map(|(hole, advertisers)| (hole.window, advertisers)).collect(),
        };
        self.run.output.fact(self.id, Fact::Planned(Box::new(planned)));
    }
}
