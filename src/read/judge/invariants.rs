//! What holds for any response, whatever Criteo sends.

use chrono::NaiveDate;

use crate::model::calendar::Window;
use crate::model::ids::AdvertiserId;
use crate::products::{Source, Stream};
use crate::read::judge::{Expected, judge, rehearse};
use crate::rows::envelope::{self, Shape};

/// Invariants for any response to a report request: one that passes validation can be written, and all of its rows were
/// counted.
pub(crate) fn try_out(body: &str, stream: &Stream) {
    let Source::Report(report) = &stream.source else { return };
    let Some((start, end)) = NaiveDate::from_ymd_opt(2000, 1, 1).zip(NaiveDate::from_ymd_opt(2099, 12, 31)) else {
        return;
    };
    let one = [AdvertiserId("1001".to_owned())];
    for (advertisers, is_compared) in [(&one[..], true), (&one[..], false), (&[], false)] {
        let window = Window { start, end };
        let expected = Expected { report, metrics: &report.metrics, window, advertisers, is_compared };
        let Ok(judged) = judge(body, &expected) else { continue };
        let summed: u64 = judged.sums.rows().map(|(_, _, rows)| u64::from(rows)).sum();
        assert!(summed + judged.unsummed >= judged.rows, "{body}");
        assert!(judged.unsummed > 0 || summed == judged.rows, "{body}");
        let rehearsal = rehearse(body, &expected, stream);
        assert!(rehearsal.is_ok(), "{body}: {rehearsal:?}");
        if let Some(merged) = &judged.merged {
            let left = envelope::check_into(&merged.body, Shape::Report, &mut envelope::CheckOnly)
                .ok()
                .and_then(|envelope| envelope.rows);
            assert_eq!(left, Some(judged.rows - merged.rows - merged.dropped), "{body}");
        }
    }
}
