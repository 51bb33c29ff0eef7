//! Jobs: reports, catalogs and billing, each created, polled and fetched.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{Days, NaiveDate, NaiveTime, TimeDelta};
use serde_json::{Value, json};

use crate::faults::gzip;
use crate::options::Options;
use crate::problem::Problem;
use crate::retail_media::query::{Limits, Query};
use crate::retail_media::routes::{Asked, item};
use crate::retail_media::vocabulary::Report;
use crate::wire::Reply;
use crate::world::World;

/// The file of a job.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub rows: usize,
    pub is_cut: bool,
    pub body: Vec<u8>,
}

/// Makes a job's file from the world at the time of its creation.
pub(crate) type Make = Arc<dyn Fn(&World) -> Output + Send + Sync>;

/// Kinds of jobs, whose responses differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Report,
    Catalog,
    /// A catalog export, whose creation has no currency.
    Export,
    Billing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Success,
    Failure,
    Expiry,
}

/// Numbers of a finished file.
#[derive(Debug, Clone)]
struct Summary {
    rows: usize,
    is_cut: bool,
    size: usize,
    checksum: String,
}

struct Job {
    family: Family,
    world: World,
    make: Make,
    currency: Value,
    made: Instant,
    polls: u32,
    fate: Fate,
    summary: Option<Summary>,
    /// Until it has been fetched; after that it is made again.
    output: Option<Arc<Output>>,
}

#[derive(Default)]
struct Registry {
    jobs: HashMap<String, Job>,
    /// The job of an earlier identical request, and until when it is used.
    cache: HashMap<String, (String, NaiveDate, Instant, Duration)>,
    created: u64,
    failed: u32,
    expired: u32,
}

/// The jobs of a sandbox.
#[derive(Default)]
pub(crate) struct Jobs(Mutex<Registry>);

/// A job to be created.
pub(crate) struct Order {
    pub family: Family,
    /// Equal for equal requests.
    pub key: String,
    /// Last day of its window; catalogs have none.
    pub end: Option<NaiveDate>,
    pub currency: Value,
    pub make: Make,
}

impl Registry {
    fn create(&mut self, world: &World, order: Order) -> (String, bool) {
        let options = &world.options;
        let cached = self.cache.get(&order.key).filter(|(id, today, at, life)| {
            let is_alive = self.jobs.get(id).is_some_and(|job| !job.is_expired());
            *today == options.today && at.elapsed() < *life && is_alive
        });
        let cached = cached.map(|(id, ..)| id.clone());
        let mode = options.unknowns.get("rm_cached_job");
        if let Some(id) = cached.as_ref().filter(|_| mode == "same_id") {
            return (id.clone(), true);
        }
        self.created += 1;
        let id = match order.family {
            Family::Catalog | Family::Export => (357_957_813_719_011_328 + self.created * 1_024).to_string(),
            _ => {
                format!("{:08x}-5a4d-4b0e-8c1f-{:012x}", world.random(&[self.created, 700]) & 0xffff_ffff, self.created)
            }
        };
        // A cached file under a new id has the world of the first job.
        let snapshot =
            cached.filter(|_| mode == "new_id").and_then(|id| self.jobs.get(&id)).map(|job| job.world.clone());
        let fate = if self.failed < options.retail_media.failing_jobs {
            self.failed += 1;
            Fate::Failure
        } else if self.expired < options.retail_media.expiring_jobs {
            self.expired += 1;
            Fate::Expiry
        } else {
            Fate::Success
        };
        let life = match order.end {
            Some(end) if end < options.today - Days::new(1) => Duration::from_hours(24),
            _ => Duration::from_hours(1),
        };
        if order.end.is_some() && fate == Fate::Success {
            let life = life.div_f64(options.time_scale.max(0.001));
            self.cache.insert(order.key, (id.clone(), options.today, Instant::now(), life));
        }
        let job = Job {
            family: order.family,
            world: snapshot.unwrap_or_else(|| world.clone()),
            make: order.make,
            currency: order.currency,
            made: Instant::now(),
            polls: 0,
            fate,
            summary: None,
            output: None,
        };
        self.jobs.insert(id.clone(), job);
        (id, false)
    }
}

impl Job {
    fn scaled(&self, time: impl Fn(&Options) -> Duration) -> Duration {
        time(&self.world.options).div_f64(self.world.options.time_scale.max(0.001))
    }

    fn is_expired(&self) -> bool {
        self.fate == Fate::Expiry || self.made.elapsed() >= self.scaled(|options| options.retail_media.job_life)
    }

    fn is_pending(&self) -> bool {
        self.polls <= self.world.options.retail_media.pending_polls
            || self.made.elapsed() < self.scaled(|options| options.retail_media.job_time)
    }

    fn file(&mut self) -> Arc<Output> {
        if let Some(output) = &self.output {
            return Arc::clone(output);
        }
        let output = Arc::new((self.make)(&self.world));
        self.output = Some(Arc::clone(&output));
        output
    }

    fn summary(&mut self) -> Summary {
        if let Some(summary) = &self.summary {
            return summary.clone();
        }
        let output = self.file();
        let of_file = |body: &[u8]| (body.len(), format!("{:x}", md5::compute(body)));
        let (size, checksum) = match self.world.options.unknowns.get("rm_checksum") {
            "compressed" => of_file(&gzip(&output.body)),
            _ => of_file(&output.body),
        };
        let summary = Summary { rows: output.rows, is_cut: output.is_cut, size, checksum };
        self.summary = Some(summary.clone());
        summary
    }

    fn word(&self) -> &'static str {
        match self.fate {
            _ if self.is_pending() => "pending",
            Fate::Failure if self.family == Family::Billing => "failed",
            Fate::Failure => "failure",
            _ if self.is_expired() => "expired",
            Fate::Expiry | Fate::Success => "success",
        }
    }

    fn status(&mut self, id: &str, word: &str) -> Value {
        let created = self.world.options.today.and_time(NaiveTime::MIN).and_utc() + TimeDelta::hours(12);
        let time = |hours| (created + TimeDelta::hours(hours)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let summary = (word == "success" && self.family != Family::Billing).then(|| self.summary());
        let is_told = self.world.options.unknowns.get("rm_checksum") != "absent";
        let rows = summary.as_ref().map(|summary| summary.rows);
        let size = summary.as_ref().filter(|_| is_told).map(|summary| summary.size);
        let checksum = summary.as_ref().filter(|_| is_told).map(|summary| summary.checksum.clone());
        let is_cut = summary.is_some_and(|summary| summary.is_cut);
        let message = match word {
            "failure" | "failed" => json!("The job has failed"),
            _ if is_cut && self.world.options.unknowns.get("rm_cap_message") == "message" => {
                json!("The report may be incomplete due to truncation")
            }
            _ => Value::Null,
        };
        let (kind, attributes) = match self.family {
            Family::Report => (
                "RetailMediaReportStatus",
                json!({"id": id, "status": word, "createdAt": time(0), "expiresAt": time(1), "rowCount": rows,
                    "fileSizeBytes": size, "md5CheckSum": checksum, "message": message}),
            ),
            Family::Catalog => (
                "RetailMediaCatalogStatus",
                json!({"status": word, "currency": self.currency, "rowCount": rows, "fileSizeBytes": size,
                    "md5Checksum": checksum, "createdAt": time(0), "message": message}),
            ),
            Family::Export => (
                "RetailMediaCatalogStatus",
                json!({"status": word, "rowCount": rows, "fileSizeBytes": size, "md5Checksum": checksum,
                    "createdAt": time(0), "message": message}),
            ),
            Family::Billing => {
                ("PartnerBillingReportStatus", json!({"status": word, "createdAt": time(0), "errorMessage": message}))
            }
        };
        item(json!({"id": id, "type": kind, "attributes": attributes}))
    }
}

impl Asked<'_> {
    /// The response to a request that concerns a job or a report; `None` for any other.
    pub(crate) fn job(&self, path: &[&str]) -> Option<Result<Reply, Problem>> {
        let is_post = self.request.method == "POST";
        Some(match path {
            ["reports", id, "status"] if !is_post => self.status(id, &[Family::Report]),
            ["reports", id, "output"] if !is_post => self.output(id, &[Family::Report]),
            ["catalogs", id, "status"] if !is_post => self.status(id, &[Family::Catalog, Family::Export]),
            ["catalogs", id, "output"] if !is_post => self.output(id, &[Family::Catalog, Family::Export]),
            ["billing", "partner-report", id, "status"] if !is_post => self.status(id, &[Family::Billing]),
            ["billing", "partner-report", id, "output"] if !is_post => self.output(id, &[Family::Billing]),
            ["billing", "partner-report"] if is_post => self.billing(),
            ["accounts", id, "catalogs"] if is_post => self.catalog(id),
            ["accounts", id, "catalogs", "sellers"] if is_post => self.seller_catalog(id, false),
            ["accounts", id, "brand-catalog-export"] if is_post => self.brand_export(id),
            ["accounts", id, "seller-catalog-export"] if is_post => self.seller_catalog(id, true),
            ["reports", rest @ ..] if is_post => {
                match Report::of_path(rest).filter(|_| self.is_new() || is_old(rest)) {
                    Some(report) if report.is_synchronous() => self.synchronous(report),
                    Some(report) => self.report(report),
                    None => Err(Problem::not_found(path.join("/"))),
                }
            }
            _ => return None,
        })
    }

    fn report(&self, report: Report) -> Result<Reply, Problem> {
        let attributes = self.report_attributes()?;
        let query = Query::parse(self.world, report, &attributes, Limits::Documented)?;
        let key = format!("{} {} {attributes}", self.version, self.request.path);
        let end = Some(query.end);
        let make: Make = Arc::new(move |world| {
            let mut rows = world.spelled_rows(super::formats::marked(world.retail_rows(&query), &query.metrics));
            let is_cut = rows.len() > world.options.row_cap;
            rows.truncate(world.options.row_cap);
            let columns = [query.dimensions.as_slice(), &query.metrics].concat();
            Output { rows: rows.len(), is_cut, body: world.file(rows, &columns, &query.format).into_bytes() }
        });
        Ok(self.create(Order { family: Family::Report, key, end, currency: Value::Null, make }))
    }

    /// The attributes of a report's body.
    pub(crate) fn report_attributes(&self) -> Result<Value, Problem> {
        let invalid = || Problem::validation("invalid", "The body is not valid", "");
        let body: Value = serde_json::from_slice(&self.request.body).map_err(|_| invalid())?;
        crate::statistics::known_members(&body, &["data"])?;
        crate::statistics::known_members(&body["data"], &["type", "attributes"])?;
        Ok(body["data"]["attributes"].clone())
    }

    /// Creates a job, or finds that of an identical request.
    pub(crate) fn create(&self, order: Order) -> Reply {
        let mut registry = self.jobs.0.lock().unwrap_or_else(PoisonError::into_inner);
        let status = if order.family == Family::Billing { 201 } else { 200 };
        let (id, is_cached) = registry.create(self.world, order);
        let Some(job) = registry.jobs.get_mut(&id) else { return Reply::json(500, &Value::Null) };
        let word = if is_cached { job.word() } else { "pending" };
        Reply::json(status, &job.status(&id, word))
    }

    fn status(&self, id: &str, families: &[Family]) -> Result<Reply, Problem> {
        let mut registry = self.jobs.0.lock().unwrap_or_else(PoisonError::into_inner);
        let job = registry.jobs.get_mut(id).filter(|job| families.contains(&job.family));
        let job = job.ok_or_else(|| Problem::not_found(format!("job {id}")))?;
        job.polls = job.polls.saturating_add(1);
        let word = job.word();
        let mut status = job.status(id, word);
        if job.family == Family::Export {
            // Only the creation of an export has no currency.
            status["data"]["attributes"]["currency"] = job.currency.clone();
        }
        Ok(Reply::json(200, &status))
    }

    fn output(&self, id: &str, families: &[Family]) -> Result<Reply, Problem> {
        let mut registry = self.jobs.0.lock().unwrap_or_else(PoisonError::into_inner);
        let job = registry.jobs.get_mut(id).filter(|job| families.contains(&job.family));
        let job = job.ok_or_else(|| Problem::not_found(format!("job {id}")))?;
        match job.word() {
            "pending" => return self.premature(),
            "expired" if self.switch("rm_expired_output") == "204" => {
                return Ok(Reply { headers: Vec::new(), body: Vec::new(), ..Reply::json(204, &Value::Null) });
            }
            "expired" => {
                return Err(Problem {
                    status: 410,
                    ..Problem::validation("report-expired", "The file has expired", id)
                });
            }
            "success" => {}
            _ => return Err(Problem::validation("report-failed", "The job has failed", id)),
        }
        let output = job.file();
        job.summary();
        // A file is kept until it was fetched once.
        job.output = None;
        let kind = match (job.family, self.switch("rm_output_type")) {
            (Family::Catalog | Family::Export, _) => "application/x-json-stream",
            (_, "octet_stream") => "application/octet-stream",
            _ => "application/json",
        };
        let is_of_products = matches!(job.family, Family::Catalog | Family::Export);
        if is_of_products && output.rows == 0 && self.switch("rm_empty_catalog") == "204" {
            return Ok(Reply { headers: Vec::new(), body: Vec::new(), ..Reply::json(204, &Value::Null) });
        }
        let mut headers = vec![("Content-Type".to_owned(), kind.to_owned())];
        let mut body = output.body.clone();
        match self.switch("rm_output_gzip") {
            "always" => {
                body = gzip(&body);
                headers.push(("Content-Encoding".to_owned(), "gzip".to_owned()));
            }
            "never" => headers.push(("Content-Encoding".to_owned(), "identity".to_owned())),
            _ => {}
        }
        Ok(Reply { headers, body, ..Reply::json(200, &Value::Null) })
    }

    /// The response to a request for an output that is not there yet.
    fn premature(&self) -> Result<Reply, Problem> {
        let empty = |status| Reply { body: Vec::new(), ..Reply::json(status, &Value::Null) };
        match self.switch("rm_output_pending") {
            "400" => Err(Problem::validation("report-not-ready", "The file is not ready", "")),
            "204" => Ok(empty(204)),
            "empty" => Ok(empty(200)),
            _ => Err(Problem::not_found("output")),
        }
    }
}

/// Whether a report exists before 2026-07 with the same request.
fn is_old(path: &[&str]) -> bool {
    matches!(path, ["revenue" | "fillrate" | "unfilled-placements"])
}
