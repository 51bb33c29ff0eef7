//! Open questions about Retail Media, as switches like those of Marketing Solutions.

use crate::unknowns::Unknown;

/// Every switch of Retail Media, in the order of the documented table.
pub const RETAIL_MEDIA_UNKNOWNS: &[Unknown] = &[
    Unknown {
        name: "rm_other_service",
        values: &["403", "404", "empty_data"],
        about: "Response of Retail Media to an app of Marketing Solutions",
        source: "Not documented",
    },
    Unknown {
        name: "rm_refused_object",
        values: &["403", "404"],
        about: "Response to a request for an account without consent, or what belongs to it",
        source: "Not documented",
    },
    Unknown {
        name: "rm_page_size",
        values: &["whole", "cut_at_100", "refused_above_100"],
        about: "Effect of a large `pageSize`",
        source: "OpenAPI: no maximum",
    },
    Unknown {
        name: "rm_page_size_shown",
        values: &["asked", "items"],
        about: "`currentPageSize`: the requested size, or the number of objects on the page",
        source: "OpenAPI: no description",
    },
    Unknown {
        name: "rm_page_links",
        values: &["criteo", "none"],
        about: "`nextPage` and `previousPage`: URLs of Criteo's host, or `null`",
        source: "A public client follows `nextPage` as it is; OpenAPI: nullable",
    },
    Unknown {
        name: "rm_count",
        values: &["total", "page", "null"],
        about: "Counts of lists: all objects, those of the page (only by offset), or `null`",
        source: "OpenAPI: nullable, no description; `responseCount` beside `count` suggests the total",
    },
    Unknown {
        name: "rm_products_page",
        values: &["cut_at_500", "whole"],
        about: "Largest page of promoted products",
        source: "OpenAPI: \"defaults to 500\", no maximum",
    },
    Unknown {
        name: "rm_archived",
        values: &["listed", "left_out"],
        about: "Whether lists contain archived and deleted line items and creatives",
        source: "OpenAPI has the words; nothing on lists",
    },
];
