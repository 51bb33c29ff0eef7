//! What nobody knows about Criteo's API: every place where its documents are silent or witnesses differ, as a switch.
//!
//! The first value of a switch is the reading that the sandbox takes unless it is told otherwise. `docs/sandbox-unknowns.md`
//! shows the table; a test compares the two.

use std::collections::BTreeMap;

/// One open question and the answers that the sandbox can give.
#[derive(Debug, Clone, Copy)]
pub struct Unknown {
    /// The name of the switch.
    pub name: &'static str,
    /// What it can be set to; the first is the default.
    pub values: &'static [&'static str],
    /// What it changes.
    pub about: &'static str,
    /// Where the doubt comes from.
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

const NO_SCHEMA: &str = "The OpenAPI documents declare the answers of reports as binary";
const SHAPE_WITNESSES: &str =
    "OpenAPI: binary; {\"Rows\"} in Estuary's recorded answers, bare list and attributes.rows in OWOX";
const CASE_WITNESSES: &str = "AdsetId in Estuary's recorded answers, adSetId in OWOX; no schema";
const NUMBER_WITNESSES: &str = "Texts in the fixtures of taps, numbers in Estuary's; exponents: no witness";
const DAY_WITNESSES: &str = "ISO in every JSON witness; 2020/9/10 in Criteo's CSV example; US order in a tap's parser";
const PERIOD_WITNESSES: &str = "Criteo's page on real-time statistics (ISO, first day); no JSON witness";
const FLOOR_WITNESSES: &str = "OpenAPI: \"2 years\", \"3 months\", \"30 days\", without a zone or a first day";

/// Every switch, in the order of the table in the documentation.
pub const UNKNOWNS: &[Unknown] = &[
    Unknown {
        name: "week_start",
        values: &["monday", "sunday", "saturday"],
        about: "The weekday that weeks begin with, in rows and in totals. `week_spelling=iso_week` has Mondays only",
        source: "Criteo's page on real-time statistics shows a Monday; nothing on statistics",
    },
    Unknown { name: "day_spelling", values: DAYS, about: "The spelling of `Day` in statistics", source: DAY_WITNESSES },
    Unknown {
        name: "hour_spelling",
        values: &["us_datetime", "iso_datetime", "iso_utc_instant", "slash"],
        about: "The spelling of `Hour` in statistics",
        source: "US order in two production readers; ISO is what the connector believed before",
    },
    Unknown {
        name: "week_spelling",
        values: &["iso", "iso_datetime", "iso_utc_instant", "us", "us_datetime", "slash", "iso_week"],
        about: "The spelling of `Week` in statistics",
        source: PERIOD_WITNESSES,
    },
    Unknown {
        name: "month_spelling",
        values: &["iso", "iso_datetime", "iso_utc_instant", "us", "us_datetime", "slash", "year_month"],
        about: "The spelling of `Month` in statistics",
        source: PERIOD_WITNESSES,
    },
    Unknown {
        name: "year_spelling",
        values: &["iso", "iso_datetime", "iso_utc_instant", "us", "us_datetime", "slash", "year"],
        about: "The spelling of `Year` in statistics",
        source: PERIOD_WITNESSES,
    },
    Unknown {
        name: "marketplace_times",
        values: &["iso", "us_datetime", "iso_utc_instant"],
        about: "The spelling of the time column of marketplace statistics",
        source: "OpenAPI: an array of any; times are in UTC (reseller guide)",
    },
    Unknown {
        name: "transaction_dates",
        values: &["us_datetime", "iso_datetime", "iso_utc_instant"],
        about: "The spelling of the two dates of a transaction",
        source: "US order in the JSON example on Criteo's page",
    },
    Unknown {
        name: "transaction_flags",
        values: &["documented", "lower", "json_booleans", "digits"],
        about: "The spelling of the two flags of a transaction",
        source: "\"True\" and \"Yes\" in the JSON example on Criteo's page",
    },
    Unknown {
        name: "statistics_names",
        values: NAMES_FROM_PASCAL,
        about: "The case of members in rows of statistics",
        source: CASE_WITNESSES,
    },
    Unknown {
        name: "placements_names",
        values: NAMES_FROM_PASCAL,
        about: "The case of members in rows of placements",
        source: CASE_WITNESSES,
    },
    Unknown {
        name: "transactions_names",
        values: NAMES_FROM_CAMEL,
        about: "The case of members in rows of transactions",
        source: CASE_WITNESSES,
    },
    Unknown {
        name: "ad_level_names",
        values: NAMES_FROM_PASCAL,
        about: "The case of members in rows of the ad-level report",
        source: NO_SCHEMA,
    },
    Unknown {
        name: "marketplace_names",
        values: NAMES_FROM_CAMEL,
        about: "The case of the columns of marketplace statistics",
        source: "Criteo's page on an older path; 2025 on: no witness",
    },
    Unknown {
        name: "envelope_names",
        values: &["as_documented", "lower", "pascal", "upper"],
        about: "The case of the members around the rows of every report",
        source: "Rows and rows both reported",
    },
    Unknown {
        name: "statistics_shape",
        values: SHAPES_FROM_ROWS,
        about: "What is around the rows of statistics",
        source: SHAPE_WITNESSES,
    },
    Unknown {
        name: "placements_shape",
        values: SHAPES_FROM_DATA,
        about: "What is around the rows of placements",
        source: SHAPE_WITNESSES,
    },
    Unknown {
        name: "transactions_shape",
        values: SHAPES_FROM_DATA,
        about: "What is around the rows of transactions",
        source: SHAPE_WITNESSES,
    },
    Unknown {
        name: "ad_level_shape",
        values: SHAPES_FROM_ROWS,
        about: "What is around the rows of the ad-level report",
        source: NO_SCHEMA,
    },
    Unknown {
        name: "marketplace_shape",
        values: SHAPES_FROM_COLUMNS,
        about: "What is around the rows of marketplace statistics",
        source: "OpenAPI: columns, data, rows, links, each optional",
    },
    Unknown {
        name: "empty_report",
        values: &["empty_list", "null"],
        about: "What stands in place of the rows of a report without any",
        source: "No witness of the wild form",
    },
    Unknown {
        name: "statistics_numbers",
        values: NUMBERS,
        about: "How numbers are written in statistics",
        source: NUMBER_WITNESSES,
    },
    Unknown {
        name: "placements_numbers",
        values: NUMBERS,
        about: "How numbers are written in placements",
        source: NUMBER_WITNESSES,
    },
    Unknown {
        name: "transactions_numbers",
        values: NUMBERS,
        about: "How numbers are written in transactions",
        source: NUMBER_WITNESSES,
    },
    Unknown {
        name: "ad_level_numbers",
        values: NUMBERS,
        about: "How numbers are written in the ad-level report",
        source: NO_SCHEMA,
    },
    Unknown {
        name: "marketplace_numbers",
        values: &["bare", "quoted", "exponent", "bare_exponent", "decimal"],
        about: "How numbers are written in marketplace statistics",
        source: "OpenAPI: an array of any",
    },
    Unknown {
        name: "ids",
        values: &["quoted", "bare", "escaped"],
        about: "How ids of digits are written in reports; `escaped` writes the first digit as `\\u0031`",
        source: NO_SCHEMA,
    },
    Unknown {
        name: "advertiser_column",
        values: &["always", "absent_for_one", "never"],
        about: "Whether rows carry the id of the advertiser: always, not when one was asked for, or never",
        source: NO_SCHEMA,
    },
    Unknown {
        name: "missing_id",
        values: &["null", "empty", "absent", "minus_one"],
        about: "How statistics write the id and name of nothing",
        source: "No witness; a reader drops rows with an empty day",
    },
    Unknown {
        name: "member_order",
        values: &["as_asked", "reverse", "sorted"],
        about: "The order of the members of a row; all rows of an answer have the same",
        source: NO_SCHEMA,
    },
    Unknown {
        name: "row_order",
        values: &["sorted", "reverse", "shuffled"],
        about: "The order of the rows of a report, before any cap",
        source: "Nothing says that reports are sorted",
    },
    Unknown {
        name: "repeated_keys",
        values: &["none", "split", "identical"],
        about: "Every third row of statistics, placements and the ad-level report comes twice: its additive numbers shared out, or as it is",
        source: "Fivetran: two rows for one category; otherwise no witness",
    },
    Unknown {
        name: "rows_outside",
        values: &["none", "day_after", "other_advertiser", "filter_ignored"],
        about: "Rows that were not asked for: of the day after the end (statistics by day or hour, transactions), of one more advertiser or of all (statistics by advertiser, transactions)",
        source: "Criteo's page: time and zone of a date are ignored; nothing holds a server to it",
    },
    Unknown {
        name: "byte_order_mark",
        values: &["none", "utf8"],
        about: "Whether the JSON of a report begins with a byte order mark",
        source: "Two readers of JSON strip one",
    },
    Unknown {
        name: "money_rounding",
        values: &["millionths", "hundredths", "minor_units", "whole_units"],
        about: "The precision of money in each row; the rows of the truth have the same",
        source: "Recorded answers have up to 17 digits; nothing is known of currencies without a minor unit",
    },
    Unknown {
        name: "currency_spelling",
        values: &["as_asked", "lower", "other"],
        about: "The `Currency` of a row: as asked, in lower case, or of another currency",
        source: "OpenAPI: upper case is sent; the answer has no schema",
    },
    Unknown {
        name: "statistics_floor",
        values: FLOORS,
        about: "The first day of statistics that is served",
        source: FLOOR_WITNESSES,
    },
    Unknown {
        name: "hourly_floor",
        values: &["as_statistics", "90_days", "30_days"],
        about: "The first day of statistics by hour that is served",
        source: "Hourly history: no witness",
    },
    Unknown {
        name: "placements_floor",
        values: &["documented", "one_day_later", "three_days_later", "documented_by_utc", "calendar_months"],
        about: "The first day of placements that is served",
        source: FLOOR_WITNESSES,
    },
    Unknown {
        name: "transactions_floor",
        values: FLOORS,
        about: "The first day of transactions and of the ad-level report that is served",
        source: FLOOR_WITNESSES,
    },
    Unknown {
        name: "log_files_floor",
        values: &["documented", "one_day_later", "three_days_later", "calendar_months"],
        about: "The first day of log files that is served",
        source: "Criteo's page: 30 days back from yesterday",
    },
    Unknown {
        name: "below_floor",
        values: &["invalid_timespan", "invalid", "empty", "not_found"],
        about: "What a report answers that begins before the first day: a 400 with this code, rows from that day on, or a 404",
        source: "Statistics older than two years: no witness (error or cut)",
    },
    Unknown {
        name: "longest_span",
        values: &["none", "366", "100", "31", "4"],
        about: "The most days of one call to statistics, placements, transactions, ad level and log files",
        source: "Criteo recommends 4 days; months are seen; a limit: no witness",
    },
    Unknown {
        name: "span_refusal",
        values: &["invalid_timespan", "invalid", "gateway_timeout"],
        about: "How a call of too many days is refused: a 400 with this code, or a 504",
        source: "Only the code `invalid-timespan` is documented",
    },
    Unknown {
        name: "totals_request",
        values: &["answered", "400", "403", "500"],
        about: "The answer to a report of statistics by nothing but advertiser and periods",
        source: "Nobody is seen asking for it",
    },
    Unknown {
        name: "silent_cap",
        values: &["none", "1000", "250"],
        about: "A cap on the rows of statistics below the documented one",
        source: "Criteo's page names 100,000; nothing shows that it is the only one",
    },
    Unknown {
        name: "cap_sign",
        values: &["silent", "warning", "total_items"],
        about: "How an answer that is cut says so; a bare list cannot. The ad-level report warns in any case, as documented",
        source: "Sign of the row cap in statistics: no witness",
    },
    Unknown {
        name: "announced_counts",
        values: &["number", "text", "decimal"],
        about: "How counts are written: `rows`, `meta.totalItems`",
        source: "No witness but the types of the OpenAPI documents",
    },
    Unknown {
        name: "marketplace_columns",
        values: &["same_seller", "any_and_same_seller"],
        about: "The names of the sales columns under the policy `Both`: `X` or `XAnySeller`, beside `XSameSeller`",
        source: "Criteo's page says fifteen columns and does not list them",
    },
    Unknown {
        name: "marketplace_around",
        values: &["nothing", "empty", "filled"],
        about: "Whether marketplace statistics have `errors`, `warnings` and `meta` around them, empty or with a warning",
        source: "OpenAPI shows none; all other answers have them",
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
        about: "The answer of a report to an advertiser that it refuses: 403 with this code, 403 without a code, 404, 400, an error in a 200, or the rows of the others",
        source: "403 in OWOX; skipped on Criteo's page; \"no campaign found\" on another one",
    },
    Unknown {
        name: "empty_advertiser",
        values: &["empty_rows", "refused_alone", "refused"],
        about: "Statistics of advertisers without a campaign: no rows, or 403 `no-campaign-found`, when all or when any of those asked for are such",
        source: "Criteo's page lists 403 as \"no campaign found\"",
    },
    Unknown {
        name: "error_codes",
        values: &["lower", "upper"],
        about: "The case of the codes of errors",
        source: "Documented in lower case; enums elsewhere come in another case than documented",
    },
    Unknown {
        name: "error_body",
        values: &["envelope", "message", "plain_text"],
        about: "The body of an error",
        source: "An issue of Criteo's SDK shows plain text; `{\"message\"}` is what gateways send",
    },
    Unknown {
        name: "server_clock",
        values: &["system", "world", "nine_hours_ahead", "nine_hours_behind", "missing"],
        about: "The header `Date`: the system's time (not on tokens), noon of the world's today on every answer, the same shifted, or none",
        source: "Nothing on `Date`; clocks of machines are wrong more often than servers'",
    },
    Unknown {
        name: "application",
        values: &["works", "400", "401", "403", "404", "500", "empty_object", "null_data"],
        about: "The answer of `GET marketing-solutions/me`",
        source: "OpenAPI only: no public program calls it",
    },
    Unknown {
        name: "page_limit",
        values: &["100", "50_or_400", "50_silently"],
        about: "The largest page of ads, creatives and coupons, and what becomes of a larger `limit`",
        source: "OpenAPI: 50 by default, no maximum",
    },
    Unknown {
        name: "with_spend",
        values: &["filters", "ignored", "adds_spend"],
        about: "What `withSpend=true` does to budgets of marketplaces: leaves those without spend out, nothing, or fills in `spend`",
        source: "OpenAPI: \"Return budgets with any positive spend\"",
    },
    Unknown {
        name: "budget_spend",
        values: &["cut", "whole"],
        about: "What `spend` says of budgets of marketplaces where `endAfterDate` is sent: only what was spent until then, or all",
        source: "OpenAPI: with it the spend excludes what was spent after that date",
    },
    Unknown {
        name: "placements_default",
        values: &["disclosed", "both"],
        about: "Which placements come where `disclosed` is left out",
        source: "OpenAPI: `true` by default",
    },
    Unknown {
        name: "marketplace_links",
        values: &["empty", "self", "next"],
        about: "What the `links` of marketplace statistics in a table hold; with `next` an answer of more than one day has only the first half of its rows",
        source: "OpenAPI: pagination links, an empty object without pages; no document shows any",
    },
    Unknown {
        name: "transactions_window",
        values: &["transaction", "event"],
        about: "The date of transactions that a window selects by: of the order, or of the click or view",
        source: "No document says",
    },
    Unknown {
        name: "null_wrapper",
        values: &["value_null", "empty_object"],
        about: "A missing value that has a wrapper: `{\"value\":null}` or `{}`",
        source: "SDK texts and a DAG read `value`; a schema inferred from records has `{}`",
    },
    Unknown {
        name: "repeated_objects",
        values: &["none", "first_again"],
        about: "Whether a list without pages has its first object once more at its end",
        source: "Nothing rules it out",
    },
    Unknown {
        name: "log_header",
        values: &["recorded", "older", "unknown_columns"],
        about: "The columns of log files: recorded in 2023, what was believed before, or the recorded ones and two more",
        source: "One recorded header of 2023",
    },
    Unknown {
        name: "log_times",
        values: &["iso", "spaced", "epoch"],
        about: "The spelling of `TIMESTAMP` in log files",
        source: "The recorded header has no rows",
    },
    Unknown {
        name: "log_compression",
        values: &["once", "twice"],
        about: "How often a log file is compressed",
        source: "Blob storage may compress on its way",
    },
    Unknown {
        name: "log_files_a_day",
        values: &["one", "two", "two_of_one_name"],
        about: "How many log files a day has, and whether their names differ",
        source: "OpenAPI: a list of files; nothing on how many a day",
    },
    Unknown {
        name: "young_log_files",
        values: &["whole", "late"],
        about: "Whether yesterday's last log file comes a day later",
        source: "Criteo's page: back from yesterday; when a day is whole: no witness",
    },
];

/// The switches of a sandbox that have been set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unknowns(BTreeMap<&'static str, &'static str>);

/// Those that change what there is, and not only how it is told: the truth follows them.
const OF_THE_WORLD: &[&str] =
    &["week_start", "money_rounding", "with_spend", "budget_spend", "transactions_window", "log_header"];

impl Unknowns {
    /// What a switch is set to, its default where it is not; empty for a name that is no switch.
    #[must_use]
    pub fn get(&self, name: &str) -> &'static str {
        self.chosen(name).or_else(|| find(name).and_then(|unknown| unknown.values.first().copied())).unwrap_or_default()
    }

    /// What a switch has been set to, if it has.
    pub(crate) fn chosen(&self, name: &str) -> Option<&'static str> {
        self.0.get(name).copied()
    }

    /// Sets a switch.
    ///
    /// # Errors
    /// When there is no such switch or no such value, in words.
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

    /// Only those that the truth follows.
    pub(crate) fn of_the_world(&self) -> Self {
        let has_mondays = self.get("week_spelling") == "iso_week";
        let is_of_world = |name: &str| OF_THE_WORLD.contains(&name) && !(has_mondays && name == "week_start");
        let values = self.0.iter().filter(|(name, _)| is_of_world(name));
        Self(values.map(|(name, value)| (*name, *value)).collect())
    }
}

fn find(name: &str) -> Option<&'static Unknown> {
    UNKNOWNS.iter().find(|unknown| unknown.name == name)
}
