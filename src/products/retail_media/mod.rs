//! Retail Media: the streams of retailers, and of brands and sellers that advertise with them. A new stream needs a line in
//! the [`table`] and a file in `schemas/`; `parents` says what child streams send one request for.

pub mod about;
mod parents;
mod table;

use crate::products::definition::Kind;
use crate::products::report::ReportOptions;
pub(crate) use crate::products::retail_media::table::STREAMS;
use crate::products::{Source, Stream};

/// All streams of this configuration, in reading order.
pub(crate) fn streams(options: &ReportOptions) -> Vec<Stream> {
    let defs = STREAMS.iter().filter(|def| def.is_in(&options.api_version, &[]));
    let streams = defs.filter_map(|def| match &def.kind {
        Kind::Entity { entity, primary_key } => {
            let key = primary_key.iter().map(|&key| key.to_owned()).collect();
            Some(def.stream(def.schema(), key, Source::Entity(*entity)))
        }
        Kind::Report { .. } | Kind::FixedReport(_) | Kind::LogLevel => None,
    });
    streams.collect()
}
