//! A random world (switches, faults, streams, settings and syncs of a seed), and smaller variants of it.

use chrono::{Days, NaiveDate};
use criteo_sandbox::{Options, UNKNOWNS};
use fastrand::Rng;
use serde_json::{Map, Value, json};

/// Built-in statistics reports.
pub const PRESETS: &[&str] = &[
    "campaign_statistics_daily",
    "ad_set_statistics_daily",
    "ad_set_statistics_hourly",
    "ad_statistics_daily",
    "device_statistics_daily",
    "category_statistics_daily",
    "coupon_statistics_daily",
    "objective_statistics_daily",
];
/// Reports with fixed columns; the ad-level report needs the newest version.
pub const SMALL: &[&str] = &[
    "placements_daily",
    "placement_categories_daily",
    "transactions",
    "ad_level_statistics",
    "mpo_campaign_statistics",
    "mpo_seller_statistics",
    "mpo_seller_campaign_statistics",
    "log_level_events",
];
const OBJECTS: &[&str] = &[
    "application",
    "advertisers",
    "campaigns",
    "ad_sets",
    "ad_set_category_bids",
    "ad_set_display_multipliers",
    "ads",
    "creatives",
    "coupons",
    "coupon_supported_sizes",
    "audiences",
    "audience_segments",
    "in_market_brands",
    "in_market_interests",
    "contact_list_statistics",
    "product_sets",
    "product_filters",
    "mpo_advertisers",
    "mpo_preview_limits",
    "mpo_campaigns",
    "mpo_ad_sets",
    "mpo_sellers",
    "mpo_seller_campaigns",
    "mpo_budgets",
];
/// Drawn less often: these values cause several attempts for every affected request.
const SLOW: &[&str] = &["500", "gateway_timeout"];
/// Drawn less often: with these, a stream can at best fail with an error, or warn where nothing is compared with
/// totals.
const UNREADABLE: &[&str] =
    &["application", "rows_outside", "advertiser_column", "log_compression", "currency_spelling", "repeated_keys"];

/// One sync of a world.
#[derive(Debug, Clone)]
pub struct Sync {
    /// Days since the previous sync.
    pub later: u64,
    /// The program is killed after this many lines.
    pub killed_after: Option<usize>,
    /// Whether the destination keeps rows after the last state of a killed sync.
    pub keeps_unsaved: bool,
    /// An advertiser without consent in this sync.
    pub absent: Option<String>,
}

/// A world and its syncs.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub options: Options,
    /// Switches that differ from the default.
    pub switches: Vec<(&'static str, &'static str)>,
    /// Each with the index of its sync.
    pub faults: Vec<(usize, Value)>,
    pub streams: Vec<String>,
    pub custom_reports: Vec<Value>,
    pub config: Map<String, Value>,
    /// Days between the start and the first sync.
    pub days: u64,
    pub syncs: Vec<Sync>,
}

fn one<'a, T: ?Sized>(rng: &mut Rng, values: &[&'a T]) -> &'a T {
    values[rng.usize(..values.len())]
}

fn some<'a>(rng: &mut Rng, values: &[&'a str], most: usize) -> Vec<&'a str> {
    let mut values = values.to_vec();
    rng.shuffle(&mut values);
    values.truncate(most);
    values
}

impl Plan {
    /// Everything depends only on the seed.
    pub fn draw(seed: u64) -> Self {
        let rng = &mut Rng::with_seed(seed);
        let mut options = options(rng, seed);
        let switches = switches(rng);
        let has = |name: &str| switches.iter().any(|(switch, _)| *switch == name);
        if has("empty_advertiser") || rng.u8(..10) == 0 {
            options.empty_advertisers = 1;
        }
        if has("refused_advertiser") || rng.u8(..15) == 0 {
            options.refused_in_reports = vec![(1001 + rng.u32(..options.advertisers)).to_string()];
        }
        let reports = rng.usize(1..=2);
        let mut streams = some(rng, PRESETS, reports);
        let small = rng.usize(..2);
        streams.extend(some(rng, SMALL, small));
        let objects = rng.usize(..3);
        streams.extend(some(rng, OBJECTS, objects));
        bring_along(rng, &switches, &mut streams);
        let custom_reports = (0..rng.usize(..3)).map(|number| custom_report(rng, number)).collect();
        let config = config(rng, &options, &streams);
        let syncs = syncs(rng, &options);
        let mut plan = Self {
            seed,
            faults: faults(rng, &options, &syncs),
            streams: streams.into_iter().map(str::to_owned).collect(),
            custom_reports,
            config,
            days: if rng.u8(..20) == 0 { rng.u64(300..800) } else { rng.u64(20..100) },
            syncs,
            switches,
            options,
        };
        plan.keep_possible();
        plan.keep_knowable();
        plan
    }

    /// A long history has few rows per day, and no report with one request per day or only a year of history.
    fn keep_possible(&mut self) {
        if self.days > 100 {
            (self.options.ads, self.options.ad_sets) = (1, 1);
            self.streams.retain(|name| !name.starts_with("ad_level") && !name.starts_with("mpo_"));
            self.options.row_cap = self.options.row_cap.max(1000);
        }
        // Product sets need datasets, which come from ad sets, so there must be enough of those.
        if self.streams.iter().any(|name| name.starts_with("product_")) {
            (self.options.campaigns, self.options.ad_sets) = (2, 2);
        }
        if self.streams.iter().any(|name| name == "ad_level_statistics") {
            self.days = self.days.min(40);
            self.config.insert("api_version".to_owned(), json!("2027-01"));
        }
    }

    /// Removes what a client cannot distinguish from the truth.
    fn keep_knowable(&mut self) {
        // An order placed after its event's days were last read.
        if self.value("transactions_window") == "event" && self.streams.iter().any(|name| name == "transactions") {
            let lookback = self.config.get("lookback_days").and_then(Value::as_u64).unwrap_or(30);
            self.config.insert("lookback_days".to_owned(), json!(lookback.max(22)));
        }
        // Unrequested rows without an advertiser, also in the totals; or of a refused advertiser.
        let is_hidden = self.is_set("advertiser_column") || !self.options.refused_in_reports.is_empty();
        if is_hidden && ["other_advertiser", "filter_ignored"].contains(&self.value("rows_outside")) {
            self.switches.retain(|(name, _)| *name != "rows_outside");
        }
    }

    pub fn value(&self, switch: &str) -> &'static str {
        let set = self.switches.iter().find(|(name, _)| *name == switch).map(|(_, value)| *value);
        set.unwrap_or_else(|| UNKNOWNS.iter().find(|unknown| unknown.name == switch).unwrap().values[0])
    }

    pub fn is_set(&self, switch: &str) -> bool {
        self.switches.iter().any(|(name, _)| *name == switch)
    }

    /// All streams, including custom reports.
    pub fn selected(&self) -> Vec<String> {
        let custom = self.custom_reports.iter().map(|report| format!("custom_{}", report["name"].as_str().unwrap()));
        self.streams.iter().cloned().chain(custom).collect()
    }

    /// The same world with one element removed, for each element.
    pub fn smaller(&self) -> Vec<Self> {
        let mut plans = Vec::new();
        let mut with = |change: &dyn Fn(&mut Self)| {
            let mut plan = self.clone();
            change(&mut plan);
            plans.push(plan);
        };
        for index in 0..self.switches.len() {
            with(&|plan| {
                plan.switches.remove(index);
            });
        }
        for index in 0..self.faults.len() {
            with(&|plan| drop(plan.faults.remove(index)));
        }
        if self.streams.len() + self.custom_reports.len() > 1 {
            for index in 0..self.streams.len() {
                with(&|plan| drop(plan.streams.remove(index)));
            }
            for index in 0..self.custom_reports.len() {
                with(&|plan| drop(plan.custom_reports.remove(index)));
            }
        }
        for name in self.config.keys().filter(|name| *name != "api_version") {
            with(&|plan| drop(plan.config.shift_remove(name)));
        }
        for index in 0..self.syncs.len() {
            if self.syncs[index].killed_after.is_some() {
                with(&|plan| plan.syncs[index].killed_after = None);
            }
            if self.syncs[index].absent.is_some() {
                with(&|plan| plan.syncs[index].absent = None);
            }
        }
        if self.syncs.len() > 1 {
            with(&|plan| drop(plan.syncs.pop()));
        }
        if !self.options.refused_in_reports.is_empty() {
            with(&|plan| plan.options.refused_in_reports.clear());
        }
        if self.options.empty_advertisers > 0 {
            with(&|plan| plan.options.empty_advertisers = 0);
        }
        if self.options.row_cap < 100_000 {
            with(&|plan| plan.options.row_cap = 100_000);
        }
        plans
    }

    /// Why a stream's truth is unknowable in this world; it is then not compared.
    pub fn unknowable(&self, stream: &str) -> Option<&'static str> {
        let is_statistics = PRESETS.contains(&stream) || stream.starts_with("custom_");
        let custom = self.custom_report(stream);
        let words = |member: &str| -> Vec<&str> {
            custom
                .map(|c| c[member].as_array().into_iter().flatten().filter_map(Value::as_str).collect())
                .unwrap_or_default()
        };
        let dimensions = words("dimensions");
        let has_twins = stream.contains("categor") || dimensions.contains(&"Category");
        let is_additive = !has_twins
            && !stream.starts_with("coupon_statistics")
            && !["Coupon", "SocialPlatform"].iter().any(|name| dimensions.contains(name));
        let is_filtered =
            custom.is_some_and(|custom| !custom["ad_set_ids"].is_null() || !custom["ad_set_status"].is_null());
        let is_proven = is_additive && !is_filtered && self.config.get("verify_totals") != Some(&json!(false));
        if is_statistics && self.is_set("silent_cap") && !is_proven {
            return Some("a silent cap on a report that is not compared with totals");
        }
        if has_twins && self.is_set("repeated_keys") {
            // If a key has fewer rows than before, the destination keeps the one with the last number.
            return Some("rows that come twice now and once then in a report whose rows are numbered");
        }
        None
    }

    pub fn custom_report(&self, stream: &str) -> Option<&Value> {
        let name = stream.strip_prefix("custom_")?;
        self.custom_reports.iter().find(|report| report["name"] == name)
    }

    /// A short description.
    pub fn reported(&self) -> String {
        let options = &self.options;
        let syncs: Vec<_> = self
            .syncs
            .iter()
            .map(|sync| {
                let killed = sync
                    .killed_after
                    .map(|lines| format!(", killed after {lines} lines, keeps unsaved {}", sync.keeps_unsaved));
                let absent = sync.absent.as_ref().map(|id| format!(", without {id}"));
                format!("+{} d{}{}", sync.later, killed.unwrap_or_default(), absent.unwrap_or_default())
            })
            .collect();
        format!(
            "seed {}\n  switches {:?}\n  faults {:?}\n  streams {:?}\n  custom reports {}\n  config {}\n  {} advertisers ({} empty, refused {:?}), {}x{}x{} ads, row cap {}, today {}, start {} days before, syncs [{}]",
            self.seed,
            self.switches.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
            self.faults.iter().map(|(sync, fault)| format!("sync {sync}: {fault}")).collect::<Vec<_>>(),
            self.streams,
            Value::from(self.custom_reports.clone()),
            Value::Object(self.config.clone()),
            options.advertisers,
            options.empty_advertisers,
            options.refused_in_reports,
            options.campaigns,
            options.ad_sets,
            options.ads,
            options.row_cap,
            options.today,
            self.days,
            syncs.join("; "),
        )
    }
}

fn options(rng: &mut Rng, seed: u64) -> Options {
    let first = NaiveDate::from_ymd_opt(2026, 8, 1).unwrap();
    Options {
        seed,
        advertisers: rng.u32(2..=4),
        campaigns: rng.u32(1..=2),
        ad_sets: rng.u32(1..=2),
        ads: rng.u32(1..=2),
        audiences: rng.u32(3..=120),
        activity: rng.u32(60..=95),
        row_cap: [100, 300, 1000, 100_000][rng.usize(..4)],
        restatement_days: [7, 30][rng.usize(..2)],
        today: first + Days::new(rng.u64(..240)),
        ..Options::default()
    }
}

fn switches(rng: &mut Rng) -> Vec<(&'static str, &'static str)> {
    let mut switches = Vec::new();
    let wanted = rng.usize(1..=6);
    while switches.len() < wanted {
        let unknown = &UNKNOWNS[rng.usize(..UNKNOWNS.len())];
        let value = unknown.values[rng.usize(1..unknown.values.len())];
        let is_rare = SLOW.contains(&value) || UNREADABLE.contains(&unknown.name);
        let is_spared = is_rare && rng.u8(..4) > 0;
        if !is_spared && !switches.iter().any(|(name, _)| *name == unknown.name) {
            switches.push((unknown.name, value));
        }
    }
    switches
}

/// A switch for one kind of stream needs such a stream.
fn bring_along(rng: &mut Rng, switches: &[(&'static str, &'static str)], streams: &mut Vec<&'static str>) {
    for (name, _) in switches {
        let wanted = match name.split('_').next().unwrap() {
            "marketplace" => one(rng, &SMALL[4..7]),
            "placements" => one(rng, &SMALL[..2]),
            "transactions" | "transaction" => "transactions",
            "log" | "young" => "log_level_events",
            "ad" => "ad_level_statistics",
            "hour" | "hourly" => "ad_set_statistics_hourly",
            "with" | "budget" => "mpo_budgets",
            "application" => "application",
            "page" => one(rng, &["ads", "creatives", "coupons"]),
            "repeated" | "null" => one(rng, OBJECTS),
            "missing" => "coupon_statistics_daily",
            _ => continue,
        };
        if !streams.contains(&wanted) && rng.u8(..4) > 0 {
            streams.push(wanted);
        }
    }
}

fn custom_report(rng: &mut Rng, number: usize) -> Value {
    let mut dimensions = some(
        rng,
        &[
            "Campaign",
            "AdsetId",
            "Ad",
            "Device",
            "Os",
            "MarketingObjective",
            "Channel",
            "Category",
            "Coupon",
            "SocialPlatform",
        ],
        1 + number,
    );
    // Dimensions without rows of their own are combined with every period.
    dimensions.extend(match rng.u8(..8) {
        0 | 1 => Some("Week"),
        2 => Some("Month"),
        3 => Some("Year"),
        4 => Some("Hour"),
        5 => Some("Day"),
        _ => None,
    });
    rng.shuffle(&mut dimensions);
    let mut metrics = vec!["Clicks"];
    let more = rng.usize(..4);
    metrics.extend(some(
        rng,
        &["Displays", "AdvertiserCost", "Visits", "SalesPc30d", "RevenueGeneratedPc30d", "ClickThroughRate"],
        more,
    ));
    let mut report = json!({"name": format!("r{number}"), "dimensions": dimensions, "metrics": metrics});
    if rng.bool() {
        report["timezone"] = json!(one(
            rng,
            &["America/New_York", "Europe/Paris", "Asia/Tokyo", "Pacific/Auckland", "Asia/Kolkata", "Pacific/Honolulu"]
        ));
    }
    if rng.bool() {
        report["currency"] = json!(one(rng, &["USD", "JPY", "GBP"]));
    }
    match rng.u8(..8) {
        0 => report["ad_set_ids"] = json!("300001, 300003"),
        1 => report["ad_set_status"] = json!(["Active"]),
        _ => {}
    }
    report
}

fn config(rng: &mut Rng, options: &Options, streams: &[&str]) -> Map<String, Value> {
    let mut config = Map::new();
    let mut set = |name: &str, value: Value| drop(config.insert(name.to_owned(), value));
    match rng.u8(..4) {
        0 => {}
        1 => set("lookback_days", json!(30)),
        _ => set("lookback_days", json!(rng.u64(1..40))),
    }
    if rng.u8(..4) == 0 {
        set("verify_totals", json!(false));
    }
    if rng.u8(..3) == 0 {
        set(
            "advertiser_ids",
            json!((0..options.advertisers).map(|number| (1001 + number).to_string()).collect::<Vec<_>>()),
        );
    }
    if rng.u8(..3) == 0 {
        set("calls_at_once", json!(rng.u64(1..4)));
    }
    let is_in_utc = streams.iter().any(|name| SMALL.contains(name));
    if !is_in_utc && rng.u8(..3) == 0 {
        set("timezone", json!(one(rng, &["America/Los_Angeles", "Europe/Berlin", "Asia/Tokyo"])));
    }
    config
}

fn faults(rng: &mut Rng, options: &Options, syncs: &[Sync]) -> Vec<(usize, Value)> {
    let mut faults = Vec::new();
    for _ in 0..rng.usize(..3) {
        let advertiser = (1001 + rng.u32(..options.advertisers)).to_string();
        let day = options.today - Days::new(rng.u64(1..40));
        let nth = rng.u64(1..8);
        let code = one(rng, &["invalid", "invalid-timespan", "not-found"]);
        let refusal = json!({"errors": [{"type": "validation", "code": code, "title": "No"}]}).to_string();
        let once = |action: Value| json!({"match": {"path": "/20", "nth": nth}, "times": 1, "do": action});
        let report = |mut matches: Value, action: Value| {
            matches["path"] = json!("/statistics/report");
            json!({"match": matches, "times": null, "do": action})
        };
        let kind = rng.u8(..11);
        let fault = match kind {
            0 => once(json!({"status": 503, "body": ""})),
            1 => once(json!({"delivery": {"reset": true}})),
            2 => once(json!({"delivery": {"framing": "chunked", "cut_after": 300}})),
            3 => once(json!({"body": "<html>back soon</html>"})),
            4 => once(json!({"status": 401, "body": "{}"})),
            5 => once(json!({"status": 504, "body": ""})),
            6 => once(json!({"gzip": true})),
            7 => json!({"match": {"percent": 5}, "times": null, "do": {"status": 502, "body": ""}}),
            8 => report(json!({"window": day}), json!({"status": 400, "body": refusal})),
            9 => report(json!({"advertiser": advertiser}), json!({"status": 403, "body": refusal})),
            _ => report(json!({"window": day}), json!({"status": 504, "body": ""})),
        };
        // A fault for a whole sync leaves a gap that the next sync must close, so it is drawn less often.
        let is_lasting = kind >= 8 && rng.u8(..10) > 0;
        faults.push((rng.usize(..syncs.len() - usize::from(is_lasting)), fault));
    }
    faults
}

fn syncs(rng: &mut Rng, options: &Options) -> Vec<Sync> {
    let mut syncs = vec![Sync { later: 0, killed_after: None, keeps_unsaved: true, absent: None }];
    for _ in 0..rng.usize(1..=2) {
        syncs.push(Sync {
            later: [1, 1, 2, 5, 12, 40][rng.usize(..6)],
            killed_after: None,
            keeps_unsaved: true,
            absent: None,
        });
    }
    if rng.u8(..4) == 0 {
        let at = rng.usize(..syncs.len());
        let killed_after = Some(rng.usize(5..400));
        let killed = Sync { killed_after, keeps_unsaved: rng.bool(), ..syncs[at].clone() };
        // The next sync resumes on the same day.
        syncs[at].later = 0;
        syncs.insert(at, killed);
    }
    if syncs.len() > 2 && rng.u8(..5) == 0 {
        let at = syncs.len() - 2;
        syncs[at].absent = Some((1001 + rng.u32(..options.advertisers)).to_string());
    }
    syncs
}
