//! The running sandbox: checks before every response, log, peak load and control port.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::access::{Access, Budget};
use crate::faults::{Fault, gzip};
use crate::options::{AppState, Options, Product};
use crate::prepared::Prepared;
use crate::problem::Problem;
use crate::retail_media;
use crate::retail_media::jobs::Jobs;
use crate::routes;
use crate::wire::{self, Reply, Request};
use crate::world::World;

/// A completed request; secrets are hashed.
#[derive(Debug, Clone)]
pub struct Logged {
    /// Method, path and query.
    pub line: String,
    /// Headers with hashed token.
    pub headers: Value,
    /// The JSON body, or a form's field names.
    pub body: Value,
    /// Status of the response; 0 if it was aborted.
    pub status: u16,
    /// Whether a fault applied.
    pub is_disturbed: bool,
    /// Time since the sandbox's start.
    pub at: Duration,
}

/// Peak load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Peak {
    /// Concurrent requests.
    pub concurrency: usize,
    /// Report requests in a rolling minute.
    pub reports_a_minute: usize,
    /// Other requests in a rolling minute, except for tokens.
    pub others_a_minute: usize,
}

#[derive(Debug, Default)]
struct Meter {
    under_way: usize,
    reports: VecDeque<Instant>,
    others: VecDeque<Instant>,
    peak: Peak,
}

pub(crate) struct Shared {
    world: RwLock<World>,
    access: Mutex<Access>,
    faults: Mutex<Vec<Fault>>,
    log: Mutex<Vec<Logged>>,
    meter: Mutex<Meter>,
    prepared: Prepared,
    jobs: Jobs,
    started: Instant,
    base: String,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn world(&self) -> World {
        self.world.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Options)) {
        change(&mut self.world.write().unwrap_or_else(PoisonError::into_inner).options);
    }

    pub(crate) fn add_fault(&self, fault: Value) -> Result<(), String> {
        let fault = serde_json::from_value(fault).map_err(|error| error.to_string())?;
        lock(&self.faults).push(fault);
        Ok(())
    }

    pub(crate) fn clear_faults(&self) {
        lock(&self.faults).clear();
    }

    pub(crate) fn log(&self) -> Vec<Logged> {
        lock(&self.log).clone()
    }

    pub(crate) fn peak(&self) -> Peak {
        lock(&self.meter).peak
    }

    pub(crate) fn revoke_tokens(&self) {
        lock(&self.access).revoke();
    }

    /// Responds to an API request.
    fn handle(self: &Arc<Self>, request: &Request) -> (Reply, Box<dyn FnOnce() + Send>) {
        lock(&self.meter).enter();
        let world = self.world();
        let mut reply = self.answer(&world, request);
        self.date(&world, request, &mut reply);
        let mut is_disturbed = false;
        for fault in lock(&self.faults).iter_mut().filter_map(|fault| fault.applies_to(request).then_some(&*fault)) {
            fault.apply(&mut reply);
            is_disturbed = true;
        }
        let is_accepted = request.headers.get("accept-encoding").is_some_and(|names| names.contains("gzip"));
        let is_encoded = reply.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-encoding"));
        if world.options.gzip && is_accepted && !is_encoded && reply.delivery.is_plain() && reply.body.len() > 1000 {
            reply.body = gzip(&reply.body);
            reply.headers.push(("Content-Encoding".to_owned(), "gzip".to_owned()));
        }
        reply.delivery.delay_ms += u64::try_from(world.options.latency.as_millis()).unwrap_or(0);
        let status = if reply.delivery.is_whole() { reply.status } else { 0 };
        lock(&self.log).push(Logged { is_disturbed, ..logged(request, status, self.started.elapsed()) });
        let shared = Arc::clone(self);
        (reply, Box::new(move || lock(&shared.meter).leave()))
    }

    /// The response without cap, faults and limits.
    pub(crate) fn truth(&self, request: &Request) -> Reply {
        let mut world = self.world();
        world.options.row_cap = usize::MAX;
        world.options.placement_cap = usize::MAX;
        world.options.page_limit = 100;
        world.options.retail_media.page_limit = usize::MAX;
        self.answer_plain(&world.canonical(), request)
    }

    fn answer_plain(&self, world: &World, request: &Request) -> Reply {
        let path: Vec<&str> = request.path.split('/').skip(1).collect();
        match (world.options.prepared_rows, &path[..]) {
            (Some(rows), [_, "statistics", "report"]) => self.prepared.report(world, rows, &request.body),
            (_, [_, "retail-media", ..]) => retail_media::answer(world, &path, request, &self.jobs),
            _ => routes::answer(world, &path, request, &self.base),
        }
        .unwrap_or_else(|problem| problem.reply(&world.options.unknowns))
    }

    fn answer(&self, world: &World, request: &Request) -> Reply {
        let path: Vec<&str> = request.path.split('/').skip(1).collect();
        match path[..] {
            ["oauth2", "token"] => self.token(world, request),
            ["files", name] => file(world, name, request),
            _ => {
                let mut budget = None;
                let mut reply = match self.admit(world, &path, request, &mut budget) {
                    Ok(()) => match retail_media::foreign(&world.options, &path) {
                        Some(reply) => reply.unwrap_or_else(|problem| problem.reply(&world.options.unknowns)),
                        None => self.answer_plain(world, request),
                    },
                    Err(problem) => problem.reply(&world.options.unknowns),
                };
                if let Some(budget) = budget {
                    let reset = self.clock(world) + budget.reset + Duration::from_millis(999);
                    reply.headers.extend([
                        ("x-ratelimit-limit".to_owned(), budget.limit.to_string()),
                        ("x-ratelimit-remaining".to_owned(), budget.remaining.to_string()),
                        ("x-ratelimit-reset".to_owned(), reset.timestamp().to_string()),
                    ]);
                }
                reply
            }
        }
    }

    /// The server's time; noon of the simulated day at the sandbox's start.
    fn clock(&self, world: &World) -> DateTime<Utc> {
        let noon = world.options.today.and_time(NaiveTime::MIN).and_utc() + TimeDelta::hours(12);
        let now = noon + self.started.elapsed();
        match world.options.unknowns.get("server_clock") {
            "world" => now,
            "nine_hours_ahead" => now + TimeDelta::hours(9),
            "nine_hours_behind" => now - TimeDelta::hours(9),
            _ => Utc::now(),
        }
    }

    fn date(&self, world: &World, request: &Request, reply: &mut Reply) {
        let is_dated = match world.options.unknowns.get("server_clock") {
            "missing" => false,
            "system" => request.path != "/oauth2/token" && !request.path.starts_with("/files/"),
            _ => true,
        };
        if is_dated {
            let date = self.clock(world).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
            reply.headers.push(("Date".to_owned(), date));
        }
    }

    /// Checks version, rate limit, token and permission, in this order.
    fn admit(
        &self,
        world: &World,
        path: &[&str],
        request: &Request,
        budget: &mut Option<Budget>,
    ) -> Result<(), Problem> {
        let route = routes::route(path, &world.options)?;
        lock(&self.meter).count(route.is_report, world.options.minute());
        let (left, is_paid) = lock(&self.access).pay(route.is_report, &world.options);
        *budget = Some(left);
        if !is_paid {
            return Err(Problem::too_many_calls());
        }
        if world.options.app == AppState::NotActivated {
            return Err(Problem::unauthorized("authorization-token-invalid"));
        }
        lock(&self.access).authorize(request.headers.get("authorization").map(String::as_str))?;
        // The list of advertisers needs no permission and no specific service.
        let is_retail_media = path.get(1) == Some(&"retail-media");
        let is_foreign = path.get(1).is_some_and(|part| *part != "advertisers")
            && (world.options.service() == Product::RetailMedia) != is_retail_media;
        if is_foreign && retail_media::foreign(&world.options, path).is_some() {
            return Ok(());
        }
        if is_foreign {
            return Err(Problem::forbidden("permission-denied", "The app is of another service"));
        }
        if route.permission.is_some_and(|permission| world.options.without_permission.contains(&permission)) {
            return Err(Problem::forbidden("permission-denied", "The app lacks the permission for this resource"));
        }
        Ok(())
    }

    fn token(&self, world: &World, request: &Request) -> Reply {
        let form: HashMap<String, String> = form_urlencoded::parse(&request.body).into_owned().collect();
        let is_form = request.headers.get("content-type").is_some_and(|kind| kind.contains("x-www-form-urlencoded"));
        if request.method != "POST" || !is_form {
            return Reply::json(400, &json!({"error": "invalid_request", "error_description": "POST a form"}));
        }
        match lock(&self.access).grant(&world.options, &form) {
            Ok(token) => Reply::json(200, &token),
            Err((status, refusal)) => Reply::json(status, &refusal),
        }
    }
}

/// A signed link to a log file, as a storage service serves it: a bearer token is an error.
fn file(world: &World, name: &str, request: &Request) -> Reply {
    let refuse = |status, text: &str| {
        let headers = vec![("Content-Type".to_owned(), "application/xml".to_owned())];
        Reply {
            headers,
            body: format!("<Error><Code>{text}</Code></Error>").into_bytes(),
            ..Reply::json(status, &Value::Null)
        }
    };
    if request.headers.contains_key("authorization") {
        return refuse(400, "InvalidAuthenticationInfo");
    }
    let is_signed = request.query.get("sig").is_some_and(|signature| signature == "a+b/=");
    let until = request.query.get("until").and_then(|until| until.parse::<chrono::DateTime<chrono::Utc>>().ok());
    if !is_signed || until.is_none_or(|until| until < chrono::Utc::now()) {
        return refuse(403, "AuthenticationFailed");
    }
    match world.log_file(name) {
        Some(body) => {
            let headers = vec![("Content-Type".to_owned(), "application/octet-stream".to_owned())];
            Reply { headers, body, ..Reply::json(200, &Value::Null) }
        }
        None => refuse(404, "BlobNotFound"),
    }
}

fn logged(request: &Request, status: u16, at: Duration) -> Logged {
    let hashed = |text: &str| {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        format!("hash:{:016x}", hasher.finish())
    };
    let mut line = format!("{} {}", request.method, request.path);
    for (index, (name, value)) in request.query.iter().enumerate() {
        line += &format!("{}{name}={value}", if index == 0 { '?' } else { '&' });
    }
    let headers = request.headers.iter().map(|(name, value)| {
        let value = if name == "authorization" { hashed(value) } else { value.clone() };
        (name.clone(), Value::from(value))
    });
    let headers = Value::Object(headers.collect());
    let body = serde_json::from_slice(&request.body).unwrap_or_else(|_| {
        let fields = form_urlencoded::parse(&request.body);
        Value::Object(fields.map(|(name, value)| (name.into_owned(), Value::from(hashed(&value)))).collect())
    });
    Logged { line, headers, body, status, is_disturbed: false, at }
}

impl Meter {
    fn enter(&mut self) {
        self.under_way += 1;
        self.peak.concurrency = self.peak.concurrency.max(self.under_way);
    }

    fn leave(&mut self) {
        self.under_way -= 1;
    }

    fn count(&mut self, is_report: bool, minute: Duration) {
        let now = Instant::now();
        let calls = if is_report { &mut self.reports } else { &mut self.others };
        while calls.front().is_some_and(|call| now.duration_since(*call) >= minute) {
            calls.pop_front();
        }
        calls.push_back(now);
        let most = if is_report { &mut self.peak.reports_a_minute } else { &mut self.peak.others_a_minute };
        *most = (*most).max(calls.len());
    }
}

/// A running sandbox; dropping it stops it.
pub struct Sandbox {
    control: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Starts a sandbox on two free loopback ports, with its own event loop.
    ///
    /// # Errors
    /// If no port or thread is available.
    pub fn start(options: Options) -> std::io::Result<Self> {
        Self::start_on(0, 0, options)
    }

    /// Starts a sandbox on these loopback ports.
    ///
    /// # Errors
    /// If a port is taken, or no thread is available.
    pub fn start_on(port: u16, control_port: u16, options: Options) -> std::io::Result<Self> {
        let listen = |port: u16| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            std::io::Result::Ok((listener, address))
        };
        let (api_listener, address) = listen(port)?;
        let (control_listener, control) = listen(control_port)?;
        let shared = Arc::new(Shared {
            access: Mutex::new(Access::new(&options)),
            world: RwLock::new(World::new(options)),
            faults: Mutex::default(),
            log: Mutex::default(),
            meter: Mutex::default(),
            prepared: Prepared::default(),
            jobs: Jobs::default(),
            started: Instant::now(),
            base: format!("http://{address}"),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (for_api, for_control) = (Arc::clone(&shared), Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("sandbox".into()).spawn(move || {
            runtime.block_on(async {
                let listeners = (
                    tokio::net::TcpListener::from_std(api_listener),
                    tokio::net::TcpListener::from_std(control_listener),
                );
                let (Ok(api), Ok(control)) = listeners else { return };
                tokio::select! {
                    () = wire::serve(api, Arc::new(move |request: Request| for_api.handle(&request))) => {}
                    () = wire::serve(control, Arc::new(move |request: Request| {
                        (crate::control::answer(&for_control, &request), Box::new(|| ()) as Box<dyn FnOnce() + Send>)
                    })) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { control, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// The base URL of the API.
    #[must_use]
    pub fn url(&self) -> String {
        self.shared.base.clone()
    }

    /// The response body of a statistics report.
    #[must_use]
    pub fn statistics(&self, query: &Value) -> Vec<u8> {
        let path = "/2026-07/statistics/report".to_owned();
        let request =
            Request { method: "POST".to_owned(), path, body: query.to_string().into_bytes(), ..Request::default() };
        self.shared.answer_plain(&self.world(), &request).body
    }

    /// The base URL of the control port.
    #[must_use]
    pub fn control_url(&self) -> String {
        format!("http://{}", self.control)
    }

    /// The current world, for the truth.
    #[must_use]
    pub fn world(&self) -> World {
        self.shared.world()
    }

    /// Changes the options from the next request on.
    pub fn change(&self, change: impl FnOnce(&mut Options)) {
        self.shared.change(change);
    }

    /// All completed requests.
    #[must_use]
    pub fn requests(&self) -> Vec<Logged> {
        self.shared.log()
    }

    /// The peak load.
    #[must_use]
    pub fn peak(&self) -> Peak {
        self.shared.peak()
    }

    /// Adds a fault, `{"match":{…},"do":{…},"times":1}`.
    ///
    /// # Errors
    /// If it is invalid, with an explanation.
    pub fn add_fault(&self, fault: Value) -> Result<(), String> {
        self.shared.add_fault(fault)
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.shared.clear_faults();
    }

    /// Revokes all tokens.
    pub fn revoke_tokens(&self) {
        self.shared.revoke_tokens();
    }

    /// Waits until the sandbox ends, which it does not do by itself.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic of the server has already been printed.
            let _ = thread.join();
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The server may already have ended.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
