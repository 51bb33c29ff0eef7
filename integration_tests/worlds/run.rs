//! Runs a world and compares the result.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Stdio;

use chrono::{Datelike as _, Days, Months, NaiveDate, Weekday};
use chrono_tz::Tz;
use criteo_sandbox::{Options, Unknowns, World};
use serde_json::{Map, Value, json};

use super::judge::{Difference, Row, Rows, Table, Truth, differences, last_day, merge, rows};
use super::plan::{PRESETS, Plan, SMALL};
use crate::harness::{Bench, Transcript, http};
use crate::streams::preset;
use crate::truth;

/// Result of a world.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Every stream matches the truth.
    Complete,
    /// These streams do not, and errors or warnings said so; with the differences.
    Incomplete { streams: Vec<String>, text: String },
    /// Wrong without an error or warning, or a rule is broken.
    Failed { kind: &'static str, text: String },
}

/// State after a world's syncs.
struct Story {
    bench: Bench,
    discovered: BTreeMap<String, Value>,
    catalog: Value,
    tables: BTreeMap<String, Table>,
    truths: BTreeMap<String, Vec<Truth>>,
    state: Option<Value>,
    runs: Vec<Transcript>,
}

/// A stream that differs from the truth.
struct Wrong {
    stream: String,
    differences: Vec<Difference>,
}

/// Runs a world; a panic counts as its failure.
pub fn outcome(plan: &Plan) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| live(plan))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default();
        Outcome::Failed { kind: "a rule of every run", text: text.chars().take(1500).collect() }
    })
}

fn live(plan: &Plan) -> Outcome {
    let mut story = Story::begin(plan);
    for (number, sync) in plan.syncs.iter().enumerate() {
        let today = story.bench.today() + Days::new(sync.later);
        story.bench.config["now"] = json!(format!("{today}T12:00:00Z"));
        story.bench.sandbox.change(|options| {
            options.today = today;
            options.without_consent = sync.absent.iter().cloned().collect();
        });
        story.end_faults();
        for (_, fault) in plan.faults.iter().filter(|(at, _)| *at == number) {
            story.bench.sandbox.add_fault(fault.clone()).unwrap();
        }
        story.sync(sync.killed_after, sync.keeps_unsaved);
        story.note_truth(plan, sync.killed_after.is_none());
    }
    if let Some(text) = story.unnamed_refusal(plan) {
        return Outcome::Failed { kind: "an advertiser that is refused is not named", text };
    }
    let wrong = story.judge(plan);
    if wrong.is_empty() {
        return Outcome::Complete;
    }
    if let Some(silent) = wrong.iter().find(|wrong| !story.is_reported(wrong)) {
        return story.failure("silent", silent);
    }
    let streams: Vec<_> = wrong.iter().map(|wrong| wrong.stream.clone()).collect();
    let text = wrong.iter().map(|wrong| story.differing(wrong)).collect::<Vec<_>>().join("\n") + "\n" + &story.tail();
    story.heal(plan);
    for mut wrong in story.judge(plan).into_iter().filter(|wrong| streams.contains(&wrong.stream)) {
        // Data that Criteo no longer keeps is lost.
        wrong.differences.retain(|difference| !difference.is_missing() || story.is_kept(&wrong.stream, difference));
        // Without totals, an unknown cap is undetectable: such days are reported as unproven.
        if plan.is_set("silent_cap") {
            wrong.differences.retain(|difference| {
                !difference.is_missing() || !story.is_warned(&wrong.stream, difference, "unproven")
            });
        }
        let open = story.is_incomplete(&wrong.stream);
        if wrong.differences.iter().any(Difference::is_missing) && !open {
            return story.failure("the state has passed missing rows", &wrong);
        }
        wrong.differences.retain(|difference| !difference.is_missing());
        if !open && !wrong.differences.iter().all(|difference| story.is_warned(&wrong.stream, difference, "")) {
            return story.failure("wrong rows remain without a warning", &wrong);
        }
    }
    Outcome::Incomplete { streams, text }
}

impl Story {
    fn begin(plan: &Plan) -> Self {
        let mut options: Options = plan.options.clone();
        for (name, value) in &plan.switches {
            options.unknowns.set(name, value).unwrap();
        }
        let mut bench = Bench::new(options, plan.days);
        for (name, value) in &plan.config {
            bench.config[name] = value.clone();
        }
        if !plan.custom_reports.is_empty() {
            bench.config["custom_reports"] = Value::Array(plan.custom_reports.clone());
        }
        let discovered = bench.discover();
        let streams = plan.selected().into_iter().map(|name| {
            let stream = discovered.get(&name).unwrap_or_else(|| panic!("{name} is not discovered"));
            let modes = stream["supported_sync_modes"].as_array().unwrap();
            let mode = if modes.contains(&json!("incremental")) { "incremental" } else { "full_refresh" };
            json!({"stream": stream, "sync_mode": mode, "destination_sync_mode": "append_dedup",
                "generation_id": null, "minimum_generation_id": null, "sync_id": null})
        });
        let catalog = json!({"streams": streams.collect::<Vec<_>>()});
        Self {
            bench,
            discovered,
            catalog,
            tables: BTreeMap::new(),
            truths: BTreeMap::new(),
            state: None,
            runs: Vec::new(),
        }
    }

    /// Reads to the end or until killed, and keeps what a platform keeps.
    fn sync(&mut self, killed_after: Option<usize>, keeps_unsaved: bool) {
        let run = match killed_after {
            None => self.bench.read(&self.catalog, self.state.as_ref()),
            Some(lines) => self.killed(lines),
        };
        let last_state = |name: &str| run.states(name).last().map(|(at, _)| *at);
        for name in
            self.catalog["streams"].as_array().unwrap().iter().map(|entry| entry["stream"]["name"].as_str().unwrap())
        {
            let end = if keeps_unsaved { run.messages.len() } else { last_state(name).unwrap_or(0) };
            let records = run.messages[..end].iter().filter(|message| message["record"]["stream"] == name);
            let records = records.map(|message| message["record"]["data"].as_object().unwrap());
            merge(self.tables.entry(name.to_owned()).or_default(), records, &self.discovered[name]);
        }
        // A platform resumes from each stream's last state, old or new.
        let mut states: BTreeMap<String, Value> = BTreeMap::new();
        let old = self.state.iter().filter_map(Value::as_array).flatten();
        let new = run.final_state();
        for state in old.chain(new.as_array().into_iter().flatten()) {
            states.insert(state["stream"]["stream_descriptor"]["name"].to_string(), state.clone());
        }
        self.state = (!states.is_empty()).then(|| Value::Array(states.into_values().collect()));
        self.runs.push(run);
    }

    fn killed(&self, lines: usize) -> Transcript {
        self.bench.file("config.json", &self.bench.config);
        self.bench.file("catalog.json", &self.catalog);
        let mut program = self.bench.program();
        program.args(["read", "--config", "config.json", "--catalog", "catalog.json"]).stdout(Stdio::piped());
        if let Some(state) = &self.state {
            self.bench.file("state.json", state);
            program.args(["--state", "state.json"]);
        }
        let mut child = program.spawn().unwrap();
        let mut stdout = String::new();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        for _ in 0..lines {
            if reader.read_line(&mut stdout).unwrap() == 0 {
                break;
            }
        }
        child.kill().unwrap();
        let status = child.wait().unwrap();
        Transcript::of(std::process::Output { status, stdout: stdout.into_bytes(), stderr: Vec::new() })
    }

    fn end_faults(&self) {
        let (status, _) = http("DELETE", &format!("{}/faults", self.bench.sandbox.control_url()), None, None);
        assert_eq!(status, 200);
    }

    /// Resets all switches except those that change the truth, and removes faults.
    fn heal(&mut self, plan: &Plan) {
        self.end_faults();
        self.bench.sandbox.change(|options| {
            let mut unknowns = Unknowns::default();
            for (name, value) in plan.switches.iter().filter(|(name, _)| OF_THE_WORLD.contains(name)) {
                unknowns.set(name, value).unwrap();
            }
            options.unknowns = unknowns;
        });
        self.sync(None, true);
        self.note_truth(plan, false);
    }

    fn judge(&self, plan: &Plan) -> Vec<Wrong> {
        let mut all = Vec::new();
        for stream in plan.selected().into_iter().filter(|stream| plan.unknowable(stream).is_none()) {
            let (truths, discovered) = (&self.truths[&stream], &self.discovered[&stream]);
            let held = if stream == "log_level_events" {
                held_files(&self.tables[&stream])
            } else {
                rows(self.tables[&stream].values(), discovered)
            };
            // One day less than the default for reports whose metrics settle soon.
            let lookback = self.bench.config["lookback_days"].as_u64().unwrap_or(3);
            // Orders are placed less than twenty days after their event.
            let is_by_event = stream == "transactions" && plan.value("transactions_window") == "event";
            let lookback = if is_by_event { lookback.saturating_sub(20) } else { lookback };
            let differences = differences(&held, truths, lookback);
            if !differences.is_empty() {
                all.push(Wrong { stream, differences });
            }
        }
        all
    }

    fn note_truth(&mut self, plan: &Plan, is_wanted: bool) {
        for stream in plan.selected() {
            let rows = self.truth(plan, &stream);
            let truth = Truth { rows, today: self.today_of(plan, &stream), is_wanted };
            self.truths.entry(stream).or_default().push(truth);
        }
    }

    /// A stream's current truth over the configured days that Criteo has.
    fn truth(&mut self, plan: &Plan, name: &str) -> Rows {
        let is_report = plan.custom_report(name).is_some() || PRESETS.contains(&name) || SMALL.contains(&name);
        let real = self.bench.sandbox.world().consenting_ids();
        // Refused advertisers are not part of the truth.
        let refused =
            if name.starts_with("mpo_") || !is_report { Vec::new() } else { plan.options.refused_in_reports.clone() };
        let (absent, hidden) = self.truth_options(&refused);
        let start = std::mem::replace(&mut self.bench.config["start_date"], Value::Null);
        let asked: NaiveDate = start.as_str().unwrap().parse().unwrap();
        let discovered = self.discovered[name].clone();
        let rows = if name == "log_level_events" {
            let from = asked.max(self.floor(plan, "log_level", "UTC"));
            let ids: Vec<_> = real.into_iter().filter(|id| !refused.contains(id)).collect();
            self.files(from, &ids)
        } else if self.bench.sandbox.world().consenting_ids().is_empty() {
            Rows::new()
        } else if is_report {
            let records = self.report(plan, name, asked);
            rows(&records, &discovered)
        } else {
            rows(&truth::entity(&self.bench, name, &discovered), &discovered)
        };
        self.bench.config["start_date"] = start;
        self.bench.sandbox.change(|options| (options.without_consent, options.refused_in_reports) = (absent, hidden));
        rows
    }

    /// Hides these advertisers from the truth; returns the previous values.
    fn truth_options(&self, refused: &[String]) -> (Vec<String>, Vec<String>) {
        let mut before = (Vec::new(), Vec::new());
        self.bench.sandbox.change(|options| {
            before = (options.without_consent.clone(), std::mem::take(&mut options.refused_in_reports));
            options.without_consent.extend(refused.iter().cloned());
        });
        before
    }

    /// The time zone of a stream's days.
    fn zone_of(&self, plan: &Plan, name: &str) -> String {
        let custom = plan.custom_report(name);
        let is_hourly =
            custom.map_or(name.ends_with("_hourly"), |custom| custom["dimensions"].to_string().contains("\"Hour\""));
        let zone = custom.and_then(|custom| custom["timezone"].as_str()).or(self.bench.config["timezone"].as_str());
        zone.filter(|_| !is_hourly).unwrap_or("UTC").to_owned()
    }

    /// The current day of a stream.
    fn today_of(&self, plan: &Plan, name: &str) -> NaiveDate {
        // The program follows Criteo's clock, while its own shows noon.
        let hour = match self.bench.sandbox.world().unknown("server_clock") {
            "nine_hours_ahead" => 21,
            "nine_hours_behind" => 3,
            _ => 12,
        };
        let instant = self.bench.today().and_hms_opt(hour, 0, 0).unwrap().and_utc();
        instant.with_timezone(&self.zone_of(plan, name).parse::<Tz>().unwrap()).date_naive()
    }

    /// The first expected day: never before the documented history, even if more is available.
    fn floor(&self, plan: &Plan, kept: &str, zone: &str) -> NaiveDate {
        let world = self.bench.sandbox.world();
        let documented = World::new(Options { today: self.bench.today(), ..plan.options.clone() });
        world.served_from(kept, zone).unwrap().max(documented.served_from(kept, zone).unwrap())
    }

    fn report(&mut self, plan: &Plan, name: &str, asked: NaiveDate) -> Vec<Map<String, Value>> {
        let mut query = match plan.custom_report(name) {
            Some(custom) => custom_query(custom),
            None if PRESETS.contains(&name) => preset(name),
            None => json!({}),
        };
        let dimensions = query["dimensions"].to_string();
        let is_hourly = dimensions.contains("\"Hour\"");
        let zone = self.zone_of(plan, name);
        let kept = match name {
            "transactions" => "transactions",
            "ad_level_statistics" => "ad_level",
            _ if name.starts_with("placement") => "placements",
            _ if is_hourly => "hourly",
            _ => "statistics",
        };
        let floor = if name.starts_with("mpo_") { asked } else { self.floor(plan, kept, &zone) };
        let start = first_period(plan, &dimensions, asked.max(floor), floor);
        if !SMALL.contains(&name) {
            query["startDate"] = json!(start);
            query["endDate"] = json!(self.today_of(plan, name));
            query["timezone"] = json!(zone);
            return truth::report(&self.bench, &query, &self.discovered[name]);
        }
        self.bench.config["start_date"] = json!(start);
        truth::small(&self.bench, name, &self.discovered[name])
    }

    /// Number of lines in the log files of each advertiser and day.
    fn files(&self, from: NaiveDate, advertisers: &[String]) -> Rows {
        let yesterday = self.bench.today() - Days::new(1);
        let world = self.bench.sandbox.world();
        let parts: &[&str] = if world.unknown("log_files_a_day") == "one" { &[""] } else { &["_1", "_2"] };
        let mut rows = Rows::new();
        for (advertiser, day) in advertisers
            .iter()
            .flat_map(|id| from.iter_days().take_while(|day| *day <= yesterday).map(move |day| (id, day)))
        {
            // The last file of a day may arrive two days later.
            let is_late = day == yesterday && world.unknown("young_log_files") == "late";
            let parts = &parts[..parts.len() - usize::from(is_late)];
            let lines = parts.iter().map(|part| {
                let query = json!({"name": format!("{advertiser}_{day}{part}.csv.gz")});
                world.report_truth("log_level", &query).unwrap().len()
            });
            let lines: usize = lines.sum();
            if lines > 0 {
                rows.insert(format!("{advertiser}|{day}"), vec![line(&day.to_string()); lines]);
            }
        }
        rows
    }

    /// Whether statuses and warnings cover all differences.
    fn is_reported(&self, wrong: &Wrong) -> bool {
        let was_incomplete = self.runs.iter().any(|run| is_incomplete(run, &wrong.stream));
        self.is_incomplete(&wrong.stream)
            || wrong.differences.iter().all(|difference| {
                let is_gone = difference.is_missing() && !self.is_kept(&wrong.stream, difference);
                is_gone && was_incomplete || self.is_warned(&wrong.stream, difference, "")
            })
    }

    /// Whether the last sync could still read the missing rows.
    fn is_kept(&self, stream: &str, difference: &Difference) -> bool {
        self.truths[stream].last().unwrap().rows.contains_key(difference.key())
    }

    fn is_incomplete(&self, stream: &str) -> bool {
        is_incomplete(self.runs.last().unwrap(), stream)
    }

    /// Whether a warning with `words` names the stream and the differing day, advertiser, columns or kind of key.
    fn is_warned(&self, stream: &str, difference: &Difference, words: &str) -> bool {
        let warnings = self.runs.iter().flat_map(|run| run.logs("WARN"));
        let about =
            warnings.filter(|text| text.contains(stream) && text.contains(words) && !text.contains("lookback_days"));
        let (row, first) = (difference.row(), difference.first_day());
        about.into_iter().any(|text| {
            let days: Vec<NaiveDate> = text
                .split(|letter: char| !letter.is_ascii_digit() && letter != '-')
                .filter_map(|word| word.parse().ok())
                .collect();
            let names_day = match (days.iter().min(), days.iter().max(), first, last_day(row)) {
                (Some(from), Some(to), Some(first), Some(last)) => last >= *from && first <= *to,
                (Some(_), ..) => true,
                _ => false,
            };
            let names_advertiser = row.get("advertiser_id").is_some_and(|id| text.contains(id.as_str()));
            let columns = difference.columns();
            let names_columns = !columns.is_empty() && columns.into_iter().all(|column| text.contains(column.as_str()));
            names_day || names_advertiser || names_columns || text.contains("key")
        })
    }

    fn unnamed_refusal(&self, plan: &Plan) -> Option<String> {
        let [refused] = &plan.options.refused_in_reports[..] else { return None };
        let is_statistics = |name: &&String| PRESETS.contains(&name.as_str()) || plan.custom_report(name).is_some();
        // A report without campaigns is empty.
        let is_seen = !["skipped", "no_campaign"].contains(&plan.value("refused_advertiser"))
            && plan.selected().iter().filter(is_statistics).any(|name| !self.is_incomplete(name));
        let is_named = self.runs.iter().any(|run| {
            run.logs("WARN").iter().any(|text| text.contains(refused.as_str()))
                || run.errors().iter().any(|error| error.to_string().contains(refused.as_str()))
        });
        (is_seen && !is_named).then(|| format!("{refused} is refused and never named\n{}", self.tail()))
    }

    fn failure(&self, kind: &'static str, wrong: &Wrong) -> Outcome {
        Outcome::Failed { kind, text: format!("{}\n{}", self.differing(wrong), self.tail()) }
    }

    fn differing(&self, wrong: &Wrong) -> String {
        let first: Vec<_> = wrong.differences.iter().take(4).map(ToString::to_string).collect();
        let counted = |what: fn(&Difference) -> bool| wrong.differences.iter().filter(|d| what(d)).count();
        format!(
            "{}: {} missing, {} extra, {} wrong of {} rows\n    {}",
            wrong.stream,
            counted(Difference::is_missing),
            counted(|d| matches!(d, Difference::Extra(..))),
            counted(|d| matches!(d, Difference::Wrong(..))),
            self.tables[&wrong.stream].len(),
            first.join("\n    ")
        )
    }

    /// The last syncs' messages.
    fn tail(&self) -> String {
        let mut text = String::new();
        for (number, run) in self.runs.iter().enumerate() {
            let mut said: Vec<String> = run.logs("WARN").iter().map(|text| format!("warning: {text}")).collect();
            said.extend(
                run.errors()
                    .iter()
                    .map(|error| format!("error: {} {}", error["stream_descriptor"]["name"], error["message"])),
            );
            let ends: BTreeSet<_> = self
                .discovered
                .keys()
                .filter_map(|name| Some(format!("{name} {}", run.statuses(name).last()?)))
                .collect();
            text += &format!("  sync {number}, exit {:?}, {ends:?}\n", run.code);
            for line in said.iter().take(12) {
                text += &format!("    {}\n", line.chars().take(400).collect::<String>());
            }
        }
        text
    }
}

fn is_incomplete(run: &Transcript, stream: &str) -> bool {
    match run.statuses(stream).last() {
        Some(status) => *status == "INCOMPLETE",
        None => run.code != Some(0),
    }
}

/// Switches that change the truth and so cannot be reset.
const OF_THE_WORLD: &[&str] = &[
    "week_start",
    "week_spelling",
    "money_rounding",
    "with_spend",
    "budget_spend",
    "transactions_window",
    "log_header",
    "log_times",
    "log_files_a_day",
    "statistics_floor",
    "hourly_floor",
    "placements_floor",
    "transactions_floor",
    "log_files_floor",
];

fn custom_query(custom: &Value) -> Value {
    let mut dimensions = vec![json!("AdvertiserId")];
    dimensions.extend(custom["dimensions"].as_array().unwrap().iter().cloned());
    let is_dated = |name: &Value| ["Day", "Week", "Month", "Year"].iter().any(|period| name == period);
    if !dimensions.iter().any(is_dated) {
        dimensions.push(json!("Day"));
    }
    let mut query = json!({"dimensions": dimensions, "metrics": custom["metrics"], "timezone": custom["timezone"]});
    if let Some(currency) = custom["currency"].as_str() {
        query["currency"] = json!(currency);
    }
    if let Some(ids) = custom["ad_set_ids"].as_str() {
        query["adSetIds"] = ids.split(", ").collect();
    }
    if custom["ad_set_status"].is_array() {
        query["adSetStatus"] = custom["ad_set_status"].clone();
    }
    query
}

/// First day of the first complete period: the one with the start, or the next if Criteo does not have all of it.
fn first_period(plan: &Plan, dimensions: &str, start: NaiveDate, floor: NaiveDate) -> NaiveDate {
    let (begin, next) = if dimensions.contains("\"Week\"") {
        let first = match plan.value("week_start") {
            _ if plan.value("week_spelling") == "iso_week" => Weekday::Mon,
            "sunday" => Weekday::Sun,
            "saturday" => Weekday::Sat,
            _ => Weekday::Mon,
        };
        let begin = start - Days::new(u64::from(start.weekday().days_since(first)));
        (begin, begin + Days::new(7))
    } else if dimensions.contains("\"Month\"") {
        let begin = start.with_day(1).unwrap();
        (begin, begin + Months::new(1))
    } else if dimensions.contains("\"Year\"") {
        let begin = start.with_day(1).unwrap().with_month(1).unwrap();
        (begin, begin + Months::new(12))
    } else {
        return start;
    };
    if begin < floor { next } else { begin }
}

/// Number of log file lines by advertiser and day.
fn held_files(table: &Table) -> Rows {
    let mut rows = Rows::new();
    for record in table.values() {
        let file = record["file_name"].as_str().unwrap_or_default();
        let day = record["day"].as_str().unwrap_or_default();
        rows.entry(format!("{}|{day}", file.split('_').next().unwrap())).or_default().push(line(day));
    }
    rows
}

fn line(day: &str) -> Row {
    Row::from([("day".to_owned(), day.to_owned())])
}
