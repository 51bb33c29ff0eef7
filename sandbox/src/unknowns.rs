//! Open questions about Criteo's API, where its documents are silent or sources differ, as switches.
//!
//! A switch's first value is its default. A test compares the table in `docs/sandbox-unknowns.md`.

use std::collections::BTreeMap;

use crate::retail_media::RETAIL_MEDIA_UNKNOWNS;

/// An open question and the possible behaviors.
#[derive(Debug, Clone, Copy)]
pub struct Unknown {
    /// Name.
    pub name: &'static str,
    /// Possible values; the first is the default.
    pub values: &'static [&'static str],
    /// Effect.
    pub about: &'static str,
    /// Evidence for the values.
    pub source: &'static str,
}

const SHAPES_FROM_ROWS: &[&str] =
    &["rows", "array", "data_attributes", "data_attributes_rows", "columns_data", "columns_data_rows"];
const SHAPES_FROM_DATA: &[&str] =
    &["data_attributes", "data_attributes_rows", "rows", "array", "columns_data", "columns_data_rows"];
const SHAPES_FROM_COLUMNS: &[&str] =
    &["columns_data_rows", "columns_data", "rows", "array", "data_attributes", "data_attributes_rows"];
const NAMES_FROM_PASCAL: &[&str] = &["pascal", "camel", "lower", "upper", "snake"];
const NAMES_FROM_CAMEL: &[&str] = &["camel", "pascal", "lower", "upper", "snake"];
const NUMBERS: &[&str] = &["quoted", "bare", "exponent", "bare_exponent", "decimal"];
const DAYS: &[&str] = &["iso", "iso_datetime", "iso_utc_instant", "us", "us_datetime", "slash"];
const FLOORS: &[&str] = &["documented", "one_day_later", "three_days_later", "documented_by_utc"];

const NO_SCHEMA: &str = "OpenAPI declares report responses as binary";
const SHAPE_SOURCES: &str =
    "OpenAPI: binary; {\"Rows\"} in Estuary's recorded responses, bare list and attributes.rows in OWOX";
const CASE_SOURCES: &str = "AdsetId in Estuary's recorded responses, adSetId in OWOX; no schema";
const NUMBER_SOURCES: &str = "Strings in the fixtures of taps, numbers in Estuary's; no source for exponents";
const DAY_SOURCES: &str = "ISO in all recorded JSON; 2020/9/10 in Criteo's CSV example; US order in a tap's parser";
const PERIOD_SOURCES: &str = "Criteo's page on real-time statistics (ISO, first day); no recorded JSON";
const FLOOR_SOURCES: &str = "OpenAPI: \"2 years\", \"3 months\", \"30 days\", without a zone or first day";

/// Every switch, in the order of the documented table.
pub const UNKNOWNS: &[Unknown] = &[
    Unknown {
        name: "week_start",
        values: &["monday", "sunday", "saturday"],
        about: "First day of weeks, in rows and totals; always Monday with `week_spelling=iso_week`",
        source: "Criteo's page on real-time statistics shows a Monday; nothing on statistics",
    },
    Unknown { name: "day_spelling", values: DAYS, about: "Format of `Day` in statistics", source: DAY_SOURCES },
    Unknown {
        name: "hour_spelling",
        values: &["us_datetime", "iso_datetime", "iso_utc_instant", "slash"],
        about: "Format of `Hour` in statistics",
        source: "US order in two production readers; the connector formerly assumed ISO",
    },
    Unknown {
        name: "week_spelling",
        values: &["iso", "iso_datetime", "iso_utc_instant", "us", "us_datetime", "slash", "iso_week"],
        about: "Format of `Week` in statistics",
        source: PERIOD_SOURCES,
    },
    Unknown {
        name: "month_spelling",
        values: &["iso", "iso_datetime", "iso_utc_instant", "us", "us_datetime", "slash", "year_month"],
        about: "Format of `Month` in statistics",
        source: PERIOD_SOURCES,
    },
    Unknown {
        name: "year_spelling",
        values: &["iso", "iso_datetime", "iso_utc_instant", "us", "us_datetime", "slash", "year"],
        about: "Format of `Year` in statistics",
        source: PERIOD_SOURCES,
    },
    Unknown {
        name: "marketplace_times",
        values: &["iso", "us_datetime", "iso_utc_instant"],
        about: "Format of the time column of marketplace statistics",
        source: "OpenAPI: array of any; times in UTC (reseller guide)",
    },
    Unknown {
        name: "transaction_dates",
        values: &["us_datetime", "iso_datetime", "iso_utc_instant"],
        about: "Format of a transaction's two dates",
        source: "US order in the JSON example on Criteo's page",
    },
    Unknown {
        name: "transaction_flags",
        values: &["documented", "lower", "json_booleans", "digits"],
        about: "Format of a transaction's two flags",
        source: "\"True\" and \"Yes\" in the JSON example on Criteo's page",
    },
    Unknown {
        name: "statistics_names",
        values: NAMES_FROM_PASCAL,
        about: "Case of member names in rows of statistics",
        source: CASE_SOURCES,
    },
    Unknown {
        name: "placements_names",
        values: NAMES_FROM_PASCAL,
        about: "Case of member names in rows of placements",
        source: CASE_SOURCES,
    },
    Unknown {
        name: "transactions_names",
        values: NAMES_FROM_CAMEL,
        about: "Case of member names in rows of transactions",
        source: CASE_SOURCES,
    },
    Unknown {
        name: "ad_level_names",
        values: NAMES_FROM_PASCAL,
        about: "Case of member names in rows of the ad-level report",
        source: NO_SCHEMA,
    },
    Unknown {
        name: "marketplace_names",
        values: NAMES_FROM_CAMEL,
        about: "Case of the columns of marketplace statistics",
        source: "Criteo's page on an older path; no source since 2025",
    },
    Unknown {
        name: "envelope_names",
        values: &["as_documented", "lower", "pascal", "upper"],
        about: "Case of the members around the rows of every report",
        source: "`Rows` and `rows` both observed",
    },
    Unknown {
        name: "statistics_shape",
        values: SHAPES_FROM_ROWS,
        about: "Envelope around the rows of statistics",
        source: SHAPE_SOURCES,
    },
    Unknown {
        name: "placements_shape",
        values: SHAPES_FROM_DATA,
        about: "Envelope around the rows of placements",
        source: SHAPE_SOURCES,
    },
    Unknown {
        name: "transactions_shape",
        values: SHAPES_FROM_DATA,
        about: "Envelope around the rows of transactions",
        source: SHAPE_SOURCES,
    },
    Unknown {
        name: "ad_level_shape",
        values: SHAPES_FROM_ROWS,
        about: "Envelope around the rows of the ad-level report",
        source: NO_SCHEMA,
    },
    Unknown {
        name: "marketplace_shape",
        values: SHAPES_FROM_COLUMNS,
        about: "Envelope around the rows of marketplace statistics",
        source: "OpenAPI: columns, data, rows, links, each optional",
    },
    Unknown {
        name: "empty_report",
        values: &["empty_list", "null"],
        about: "Value instead of the rows of an empty report",
        source: "No recorded response",
    },
    Unknown {
        name: "statistics_numbers",
        values: NUMBERS,
        about: "Format of numbers in statistics",
        source: NUMBER_SOURCES,
    },
    Unknown {
        name: "placements_numbers",
        values: NUMBERS,
        about: "Format of numbers in placements",
        source: NUMBER_SOURCES,
    },
    Unknown {
        name: "transactions_numbers",
        values: NUMBERS,
        about: "Format of numbers in transactions",
        source: NUMBER_SOURCES,
    },
    Unknown {
        name: "ad_level_numbers",
        values: NUMBERS,
        about: "Format of numbers in the ad-level report",
        source: NO_SCHEMA,
    },
    Unknown {
        name: "marketplace_numbers",
        values: &["bare", "quoted", "exponent", "bare_exponent", "decimal"],
        about: "Format of numbers in marketplace statistics",
        source: "OpenAPI: array of any",
    },
    Unknown {
        name: "ids",
        values: &["quoted", "bare", "escaped"],
        about: "Format of numeric ids in reports; `escaped` writes the first digit as `\\u0031`",
        source: NO_SCHEMA,
    },
    Unknown {
        name: "advertiser_column",
        values: &["always", "absent_for_one", "never"],
        about: "Whether rows carry the advertiser's id: always, unless only one was requested, or never",
        source: NO_SCHEMA,
    },
    Unknown {
        name: "missing_id",
        values: &["null", "empty", "absent", "minus_one"],
        about: "How statistics write the id and name of a missing object",
        source: "No recorded response; a reader drops rows with an empty day",
    },
    Unknown {
        name: "member_order",
        values: &["as_asked", "reverse", "sorted"],
        about: "Order of a row's members, the same in all rows of a response",
        source: NO_SCHEMA,
    },
    Unknown {
        name: "row_order",
        values: &["sorted", "reverse", "shuffled"],
        about: "Order of a report's rows, before any cap",
        source: "Sorting is not documented",
    },
    Unknown {
        name: "repeated_keys",
        values: &["none", "split", "identical"],
        about: "Every third row of statistics, placements and the ad-level report occurs twice: its additive numbers split, or unchanged",
        source: "Fivetran: two rows for one category; otherwise no source",
    },
    Unknown {
        name: "rows_outside",
        values: &["none", "day_after", "other_advertiser", "filter_ignored"],
        about: "Unrequested rows: of the day after the end (statistics by day or hour, transactions), of one more advertiser or of all (statistics by advertiser, transactions)",
        source: "Criteo's page: time and zone of a date are ignored; nothing guarantees it",
    },
    Unknown {
        name: "byte_order_mark",
        values: &["none", "utf8"],
        about: "Whether a report's JSON starts with a byte order mark",
        source: "Two JSON readers strip one",
    },
    Unknown {
        name: "money_rounding",
        values: &["millionths", "hundredths", "minor_units", "whole_units"],
        about: "Precision of money in each row, also in the truth",
        source: "Recorded responses have up to 17 digits; nothing on currencies without a minor unit",
    },
    Unknown {
        name: "currency_spelling",
        values: &["as_asked", "lower", "other"],
        about: "A row's `Currency`: as requested, in lower case, or another currency",
        source: "OpenAPI: upper case is sent; the response has no schema",
    },
    Unknown {
        name: "statistics_floor",
        values: FLOORS,
        about: "First available day of statistics",
        source: FLOOR_SOURCES,
    },
    Unknown {
        name: "hourly_floor",
        values: &["as_statistics", "90_days", "30_days"],
        about: "First available day of hourly statistics",
        source: "No source for hourly history",
    },
    Unknown {
        name: "placements_floor",
        values: &["documented", "one_day_later", "three_days_later", "documented_by_utc", "calendar_months"],
        about: "First available day of placements",
        source: FLOOR_SOURCES,
    },
    Unknown {
        name: "transactions_floor",
        values: FLOORS,
        about: "First available day of transactions and of the ad-level report",
        source: FLOOR_SOURCES,
    },
    Unknown {
        name: "log_files_floor",
        values: &["documented", "one_day_later", "three_days_later", "calendar_months"],
        about: "First available day of log files",
        source: "Criteo's page: 30 days before yesterday",
    },
    Unknown {
        name: "below_floor",
        values: &["invalid_timespan", "invalid", "empty", "not_found"],
        about: "Response to a report that starts before the first available day: 400 with this code, rows from that day on, or 404",
        source: "No source for statistics older than two years (error or truncation)",
    },
    Unknown {
        name: "longest_span",
        values: &["none", "366", "100", "31", "4"],
        about: "Maximum days per request to statistics, placements, transactions, ad level and log files",
        source: "Criteo recommends 4 days; months are observed; no source for a limit",
    },
    Unknown {
        name: "span_refusal",
        values: &["invalid_timespan", "invalid", "gateway_timeout"],
        about: "Response to a request with too many days: 400 with this code, or 504",
        source: "Only the code `invalid-timespan` is documented",
    },
    Unknown {
        name: "totals_request",
        values: &["answered", "400", "403", "500"],
        about: "Response to a statistics report with only advertiser and periods as dimensions",
        source: "No known program requests it",
    },
    Unknown {
        name: "silent_cap",
        values: &["none", "1000", "250"],
        about: "A row cap of statistics below the documented one",
        source: "Criteo's page names 100,000; other caps are not ruled out",
    },
    Unknown {
        name: "cap_sign",
        values: &["silent", "warning", "total_items"],
        about: "How a truncated response says so; a bare list cannot. The ad-level report always warns, as documented",
        source: "No source on how statistics announce the row cap",
    },
    Unknown {
        name: "announced_counts",
        values: &["number", "text", "decimal"],
        about: "Format of counts: `rows`, `meta.totalItems`",
        source: "Only the types in the OpenAPI documents",
    },
    Unknown {
        name: "marketplace_columns",
        values: &["same_seller", "any_and_same_seller"],
        about: "Names of the sales columns under the policy `Both`: `X` or `XAnySeller`, beside `XSameSeller`",
        source: "Criteo's page says fifteen columns without listing them",
    },
    Unknown {
        name: "marketplace_around",
        values: &["nothing", "empty", "filled"],
        about: "Whether marketplace statistics include `errors`, `warnings` and `meta`, empty or with a warning",
        source: "OpenAPI shows none; all other responses have them",
    },
    Unknown {
        name: "refused_advertiser",
        values: &[
            "insufficient_permissions",
            "no_campaign",
            "forbidden",
            "not_found",
            "invalid",
            "error_in_200",
            "skipped",
        ],
        about: "A report's response for a refused advertiser: 403 with this code, 403 without a code, 404, 400, an error in a 200, or the other advertisers' rows",
        source: "403 in OWOX; skipped on Criteo's page; \"no campaign found\" on another one",
    },
    Unknown {
        name: "empty_advertiser",
        values: &["empty_rows", "refused_alone", "refused"],
        about: "Statistics of advertisers without a campaign: no rows, or 403 `no-campaign-found` if all or any of the requested ones have none",
        source: "Criteo's page lists 403 as \"no campaign found\"",
    },
    Unknown {
        name: "error_codes",
        values: &["lower", "upper"],
        about: "Case of error codes",
        source: "Documented in lower case; other enums occur in undocumented case",
    },
    Unknown {
        name: "error_body",
        values: &["envelope", "message", "plain_text"],
        about: "Body of an error",
        source: "Plain text in an issue of Criteo's SDK; gateways send `{\"message\"}`",
    },
    Unknown {
        name: "server_clock",
        values: &["system", "world", "nine_hours_ahead", "nine_hours_behind", "missing"],
        about: "The header `Date`: system time (except on tokens), noon of the sandbox's today on every response, the same shifted, or none",
        source: "Nothing on `Date`; client clocks are wrong more often than servers'",
    },
    Unknown {
        name: "application",
        values: &["works", "400", "401", "403", "404", "500", "empty_object", "null_data"],
        about: "Response of `GET marketing-solutions/me`",
        source: "OpenAPI only: no known program calls it",
    },
    Unknown {
        name: "page_limit",
        values: &["100", "50_or_400", "50_silently"],
        about: "Largest page of ads, creatives and coupons, and the effect of a larger `limit`",
        source: "OpenAPI: 50 by default, no maximum",
    },
    Unknown {
        name: "with_spend",
        values: &["filters", "ignored", "adds_spend"],
        about: "Effect of `withSpend=true` on marketplace budgets: drops those without spend, nothing, or fills in `spend`",
        source: "OpenAPI: \"Return budgets with any positive spend\"",
    },
    Unknown {
        name: "budget_spend",
        values: &["cut", "whole"],
        about: "`spend` of marketplace budgets if `endAfterDate` is sent: only spend until then, or all",
        source: "OpenAPI: excludes spend after that date",
    },
    Unknown {
        name: "placements_default",
        values: &["disclosed", "both"],
        about: "Placements returned without `disclosed`",
        source: "OpenAPI: `true` by default",
    },
    Unknown {
        name: "marketplace_links",
        values: &["empty", "self", "next"],
        about: "The `links` in a table of marketplace statistics; with `next`, a response for several days has only the first half of its rows",
        source: "OpenAPI: pagination links, an empty object without pages; no example",
    },
    Unknown {
        name: "transactions_window",
        values: &["transaction", "event"],
        about: "Date of a transaction that the window selects: of the order, or of the click or view",
        source: "Not documented",
    },
    Unknown {
        name: "null_wrapper",
        values: &["value_null", "empty_object"],
        about: "A missing value with a wrapper: `{\"value\":null}` or `{}`",
        source: "SDK texts and a DAG read `value`; a schema inferred from records has `{}`",
    },
    Unknown {
        name: "repeated_objects",
        values: &["none", "first_again"],
        about: "Whether a list without pages repeats its first object at its end",
        source: "Not ruled out",
    },
    Unknown {
        name: "log_header",
        values: &["recorded", "older", "unknown_columns"],
        about: "Columns of log files: recorded in 2023, formerly assumed, or the recorded ones and two more",
        source: "One recorded header of 2023",
    },
    Unknown {
        name: "log_times",
        values: &["iso", "spaced", "epoch"],
        about: "Format of `TIMESTAMP` in log files",
        source: "The recorded header has no rows",
    },
    Unknown {
        name: "log_compression",
        values: &["once", "twice"],
        about: "Number of compressions of a log file",
        source: "Blob storage may compress in transit",
    },
    Unknown {
        name: "log_files_a_day",
        values: &["one", "two", "two_of_one_name"],
        about: "Number of log files per day, and whether their names differ",
        source: "OpenAPI: a list of files; nothing on their number per day",
    },
    Unknown {
        name: "young_log_files",
        values: &["whole", "late"],
        about: "Whether yesterday's last log file arrives a day later",
        source: "Criteo's page: back from yesterday; no source on when a day is complete",
    },
];

/// The explicitly set switches of a sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unknowns(BTreeMap<&'static str, &'static str>);

/// Switches that change the truth, not only its format.
const OF_THE_WORLD: &[&str] =
    &["week_start", "money_rounding", "with_spend", "budget_spend", "transactions_window", "log_header"];

impl Unknowns {
    /// A switch's value or default; empty for an unknown name.
    #[must_use]
    pub fn get(&self, name: &str) -> &'static str {
        self.chosen(name).or_else(|| find(name).and_then(|unknown| unknown.values.first().copied())).unwrap_or_default()
    }

    /// A switch's value if it was explicitly set.
    pub(crate) fn chosen(&self, name: &str) -> Option<&'static str> {
        self.0.get(name).copied()
    }

    /// Sets a switch.
    ///
    /// # Errors
    /// For an unknown switch or value, with an explanation.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let unknown = find(name).ok_or_else(|| format!("{name} is not an unknown of the sandbox"))?;
        let known = unknown.values.iter().find(|known| **known == value);
        let known = known.ok_or_else(|| format!("{name} is one of {}, not {value}", unknown.values.join(", ")))?;
        self.0.insert(unknown.name, known);
        Ok(())
    }

    /// Sets a switch from `NAME=VALUE`.
    ///
    /// # Errors
    /// As [`Self::set`], and when there is no `=`.
    pub fn set_text(&mut self, text: &str) -> Result<(), String> {
        let (name, value) = text.split_once('=').ok_or_else(|| format!("{text} is not NAME=VALUE"))?;
        self.set(name, value)
    }

    /// Only the switches that change the truth.
    pub(crate) fn of_the_world(&self) -> Self {
        let has_mondays = self.get("week_spelling") == "iso_week";
        let is_of_world = |name: &str| OF_THE_WORLD.contains(&name) && !(has_mondays && name == "week_start");
        let values = self.0.iter().filter(|(name, _)| is_of_world(name));
        Self(values.map(|(name, value)| (*name, *value)).collect())
    }
}

fn find(name: &str) -> Option<&'static Unknown> {
    UNKNOWNS.iter().chain(RETAIL_MEDIA_UNKNOWNS).find(|unknown| unknown.name == name)
}
