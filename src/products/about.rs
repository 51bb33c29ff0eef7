//! What each stream of both products is about, and the group in which lists show it.

use crate::products::{marketing, retail_media};

/// A heading, and the streams under it with a line about each.
pub(in crate::products) type Group = (&'static str, &'static [(&'static str, &'static str)]);

/// A group of streams and what one of them is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// The group, a heading.
    pub group: &'static str,
    /// One line.
    pub text: &'static str,
}

const CUSTOM: About = About { group: "Reports of your own", text: "A custom report of the configuration" };

fn all() -> impl Iterator<Item = &'static Group> {
    marketing::about::GROUPS.iter().chain(retail_media::about::GROUPS)
}

/// What a stream is about.
#[must_use]
pub fn of(name: &str) -> About {
    let found = all().find_map(|(group, streams)| {
        let (_, text) = streams.iter().find(|(stream, _)| *stream == name)?;
        Some(About { group, text })
    });
    found.unwrap_or(CUSTOM)
}

/// The groups, in order. Names of groups are unique among both products.
pub fn groups() -> impl Iterator<Item = &'static str> {
    all().map(|(group, _)| *group).chain([CUSTOM.group])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::products::about::*;
    use crate::products::definition::all_names;

    #[test]
    fn every_stream_is_described_once() {
        let described: Vec<_> = all().flat_map(|(_, streams)| streams.iter().map(|(name, _)| *name)).collect();
        let streams: BTreeSet<_> = all_names().collect();
        assert_eq!(described.iter().copied().collect::<BTreeSet<_>>(), streams);
        assert_eq!(described.len(), streams.len());
        let groups: Vec<_> = groups().collect();
        assert_eq!(groups.iter().collect::<BTreeSet<_>>().len(), groups.len());
    }
}
