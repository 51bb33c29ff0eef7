//! Starts the sandbox and the program, and records a run as a [`Transcript`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use chrono::{Days, NaiveDate};
use criteo_sandbox::{Options, Sandbox};
use serde_json::{Map, Value, json};

use crate::rules;

/// Maximum duration of a run on an idle machine.
pub const DEADLINE: Duration = Duration::from_secs(150);

/// The same; `scripts/guards` sets a shorter one, since some programs without a guard never end.
fn deadline() -> Duration {
    let seconds = std::env::var("DEADLINE_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    seconds.map_or(DEADLINE, Duration::from_secs)
}

/// Slowdown compared with an idle machine: tasks per processor, from the load average of the last minute.
pub fn slowness() -> f64 {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = load.split(' ').next().and_then(|minute| minute.parse().ok()).unwrap_or(1.0);
    let processors = std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1));
    (load / f64::from(processors)).max(1.0)
}

/// Fails if more time has passed than allowed on an idle machine, scaled by the load.
#[track_caller]
pub fn assert_in_time(started: Instant, most: Duration) {
    let (took, most) = (started.elapsed(), most.mul_f64(slowness()));
    assert!(took <= most, "{took:?}, at most {most:?}");
}

/// Polls until `what` holds; fails after the maximum duration of a run.
pub fn wait_until(mut what: impl FnMut() -> bool) {
    let started = Instant::now();
    while !what() {
        assert_in_time(started, DEADLINE);
        pause(Duration::from_millis(5));
    }
}

#[expect(clippy::disallowed_methods, reason = "polls a process")]
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Kills a hanging process, so that its test fails instead of blocking, unless dropped.
pub struct Guard {
    ended: Option<std::sync::mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Guard {
    pub fn over(process: u32) -> Self {
        let (ended, end) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let started = Instant::now();
            while end.recv_timeout(Duration::from_secs(5)) == Err(RecvTimeoutError::Timeout) {
                if started.elapsed() > deadline().mul_f64(slowness()) {
                    Command::new("kill").args(["-KILL", &process.to_string()]).status().unwrap();
                    break;
                }
            }
        });
        Self { ended: Some(ended), thread: Some(thread) }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.ended.take());
        // A panic of the thread has already been printed.
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// A sandbox and a matching configuration.
pub struct Bench {
    pub sandbox: Sandbox,
    pub config: Value,
    pub directory: PathBuf,
    /// Proxy of every run. Loopback needs no proxy, so any connection here goes to another host.
    trap: TcpListener,
}

/// The tested program: this build's, unless `scripts/guards` sets another.
pub fn tested_program() -> OsString {
    std::env::var_os("SOURCE_CRITEO").unwrap_or_else(|| env!("CARGO_BIN_EXE_source-criteo").into())
}

/// Output and exit of a run.
#[derive(Clone)]
pub struct Transcript {
    pub stdout: String,
    pub stderr: String,
    pub messages: Vec<Value>,
    pub code: Option<i32>,
    /// Peak memory (`VmHWM`).
    pub peak_kib: u64,
    /// Most files, pipes and connections open at the same time.
    pub most_files: usize,
    /// Longest time without output on stdout.
    pub longest_silence: Duration,
}

impl Bench {
    /// A bench whose configuration starts `days` before the sandbox's today.
    pub fn new(options: Options, days: u64) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{}-{number}", std::process::id()));
        // Process ids are reused, and a failed test leaves its folder.
        std::fs::remove_dir_all(&directory).ok();
        std::fs::create_dir_all(&directory).unwrap();
        let mut config = json!({
            "client_id": options.client_id,
            "client_secret": options.client_secret,
            "currency": "EUR",
            "start_date": options.today - Days::new(days),
            "now": format!("{}T12:00:00Z", options.today),
            "report_row_cap": options.row_cap,
            // Tests shorten the backoff.
            "backoff_percent": 1,
        });
        if let Some(token) = &options.refresh_token {
            config["refresh_token"] = json!(token);
        }
        let sandbox = Sandbox::start(options).unwrap();
        config["api_base_url"] = json!(sandbox.url());
        let trap = TcpListener::bind("127.0.0.1:0").unwrap();
        trap.set_nonblocking(true).unwrap();
        Self { sandbox, config, directory, trap }
    }

    /// Removes the sandbox's address and test-only settings, so that requests go to Criteo's own host.
    pub fn forget_sandbox(&mut self) {
        let of_sandbox = ["api_base_url", "now", "report_row_cap", "backoff_percent"];
        self.config.as_object_mut().unwrap().retain(|key, _| !of_sandbox.contains(&key.as_str()));
    }

    /// Whether a program of this bench contacted another host than loopback.
    pub fn contacted_another_host(&self) -> bool {
        self.trap.accept().is_ok()
    }

    /// An advertiser withdraws consent after the list of advertisers was read: searches that name it are refused, and
    /// the next list lacks it.
    pub fn withdraw_consent_after_the_portfolio(&self, advertiser: &str) {
        let add = |fault: Value| self.sandbox.add_fault(fault).unwrap();
        let portfolio = json!({"data": (1001..1004).map(|id| json!({"id": id.to_string()})).collect::<Vec<_>>()});
        add(json!({"match": {"path": "/advertisers/me"}, "times": 1, "do": {"body": portfolio.to_string()}}));
        let body = json!({"errors": [{"type": "authorization", "code": "insufficient-advertisers-permissions"}]});
        add(json!({"match": {"path": "/search", "text": format!("\"{advertiser}\"")}, "times": null,
            "do": {"status": 403, "body": body.to_string()}}));
        self.sandbox.change(|options| options.without_consent = vec![advertiser.to_owned()]);
    }

    /// The sandbox's current day.
    pub fn today(&self) -> NaiveDate {
        self.config["now"].as_str().unwrap()[..10].parse().unwrap()
    }

    pub fn file(&self, name: &str, content: &Value) -> PathBuf {
        let path = self.directory.join(name);
        std::fs::write(&path, content.to_string()).unwrap();
        path
    }

    pub fn program(&self) -> Command {
        let mut command = Command::new(tested_program());
        let trap = format!("http://{}", self.trap.local_addr().unwrap());
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
            command.env(name, &trap);
        }
        command.env_remove("NO_PROXY").env_remove("no_proxy").stdin(Stdio::null()).current_dir(&self.directory);
        command
    }

    /// Runs the program with these arguments.
    pub fn run(&self, arguments: &[&str]) -> Transcript {
        let mut program = self.program();
        program.args(arguments);
        self.run_program(program)
    }

    /// Runs a prepared command and checks the rules.
    pub fn run_program(&self, mut program: Command) -> Transcript {
        let before = self.sandbox.requests().len();
        let mut child = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let guard = Guard::over(child.id());
        let mut stderr = child.stderr.take().unwrap();
        let errors = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            stderr.read_to_end(&mut bytes).unwrap();
            bytes
        });
        let (stdout, watched) = watch(&mut child);
        let status = child.wait().unwrap();
        drop(guard);
        let transcript = Transcript {
            peak_kib: watched.peak_kib,
            most_files: watched.most_files,
            longest_silence: watched.longest_silence,
            ..Transcript::of(Output { status, stdout, stderr: errors.join().unwrap() })
        };
        rules::every_run(self, &transcript);
        rules::attempts(&self.sandbox.requests()[before..]);
        transcript
    }

    /// Output at a terminal of this width; stdout goes to the file `stdout`. Only a terminal's environment variables
    /// and the given ones are set.
    pub fn at_terminal(&self, columns: u16, arguments: &[&str], environment: &[(&str, &str)]) -> String {
        self.terminal(columns, &format!("{} >stdout", arguments.join(" ")), environment)
    }

    /// Output at a terminal, including stdout.
    pub fn on_terminal(&self, columns: u16, arguments: &str, environment: &[(&str, &str)]) -> String {
        self.terminal(columns, arguments, environment)
    }

    fn terminal(&self, columns: u16, arguments: &str, environment: &[(&str, &str)]) -> String {
        let program = tested_program();
        let program = program.to_str().unwrap();
        let line = format!("stty rows 40 cols {columns}; {program} {arguments}; echo \"exit $?\"");
        let mut terminal = Command::new("script");
        terminal.args(["--quiet", "--command", &line, "/dev/null"]).current_dir(&self.directory).stdin(Stdio::piped());
        terminal.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("TERM", "xterm");
        terminal.env("SHELL", "/bin/sh").envs(environment.iter().copied()).stdout(Stdio::piped());
        let mut child = terminal.spawn().unwrap();
        drop(child.stdin.take());
        let output = child.wait_with_output().unwrap();
        String::from_utf8(output.stdout).unwrap().replace('\r', "")
    }

    pub fn check(&self) -> Transcript {
        self.file("config.json", &self.config);
        self.run(&["check", "--config", "config.json"])
    }

    /// The streams of `discover` by name.
    pub fn discover(&self) -> BTreeMap<String, Value> {
        self.file("config.json", &self.config);
        let transcript = self.run(&["discover", "--config=config.json"]);
        assert_eq!(transcript.code, Some(0), "{}", transcript.stdout);
        let [message] = &transcript.of_type("CATALOG")[..] else { panic!("expected one CATALOG") };
        let streams = message["catalog"]["streams"].as_array().unwrap();
        streams.iter().map(|stream| (stream["name"].as_str().unwrap().to_owned(), stream.clone())).collect()
    }

    /// A configured catalog, as a platform writes it.
    pub fn catalog(&self, names: &[&str], sync_mode: &str) -> Value {
        let discovered = self.discover();
        let streams = names.iter().map(|name| {
            let stream = discovered.get(*name).cloned().unwrap_or_else(|| json!({"name": name, "json_schema": {}}));
            json!({"stream": stream, "sync_mode": sync_mode, "destination_sync_mode": "append_dedup",
                "generation_id": null, "minimum_generation_id": null, "sync_id": null})
        });
        json!({"streams": streams.collect::<Vec<_>>()})
    }

    /// Reads with this catalog and checks the rules for reads.
    pub fn read(&self, catalog: &Value, state: Option<&Value>) -> Transcript {
        self.file("config.json", &self.config);
        self.file("catalog.json", catalog);
        let mut arguments = vec!["read", "--config", "config.json", "--catalog", "catalog.json"];
        if let Some(state) = state {
            self.file("state.json", state);
            arguments.extend(["--state", "state.json"]);
        }
        let transcript = self.run(&arguments);
        rules::read(&transcript, catalog);
        transcript
    }

    /// Bodies of the report requests so far.
    pub fn report_requests(&self) -> Vec<Value> {
        self.statistics_requests().into_iter().filter(|body| !is_auxiliary(body)).collect()
    }

    /// Bodies of the requests for totals and ad set lists so far.
    pub fn auxiliary_requests(&self) -> Vec<Value> {
        self.statistics_requests().into_iter().filter(is_auxiliary).collect()
    }

    fn statistics_requests(&self) -> Vec<Value> {
        let requests = self.sandbox.requests();
        requests.into_iter().filter(|r| r.line.contains("/statistics/report")).map(|r| r.body).collect()
    }

    pub fn token_requests(&self) -> usize {
        self.sandbox.requests().iter().filter(|request| request.line.contains("/oauth2/token")).count()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // A leftover folder in target/ does no harm.
            std::fs::remove_dir_all(&self.directory).ok();
        }
    }
}

impl Transcript {
    pub fn of(output: Output) -> Self {
        let stdout = String::from_utf8(output.stdout).expect("stdout is UTF-8");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let messages = stdout
            .split_terminator('\n')
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}")))
            .collect();
        let code = output.status.code();
        Self { stdout, stderr, messages, code, peak_kib: 0, most_files: 0, longest_silence: Duration::ZERO }
    }

    pub fn of_type(&self, name: &str) -> Vec<&Value> {
        self.messages.iter().filter(|message| message["type"] == name).collect()
    }

    pub fn records(&self, stream: &str) -> Vec<&Map<String, Value>> {
        let records = self.messages.iter().filter(|message| message["record"]["stream"] == stream);
        records.map(|message| message["record"]["data"].as_object().unwrap()).collect()
    }

    /// A stream's states with their message positions.
    pub fn states(&self, stream: &str) -> Vec<(usize, &Value)> {
        let states = self.messages.iter().enumerate();
        states
            .filter(|(_, message)| is_state_of(message, stream))
            .map(|(at, message)| (at, &message["state"]))
            .collect()
    }

    /// What a platform keeps: each stream's last state among the first messages.
    pub fn state_after(&self, messages: usize) -> Value {
        let mut last = BTreeMap::new();
        for message in self.messages[..messages].iter().filter(|message| message["type"] == "STATE") {
            last.insert(message["state"]["stream"]["stream_descriptor"]["name"].to_string(), message["state"].clone());
        }
        Value::Array(last.into_values().collect())
    }

    pub fn final_state(&self) -> Value {
        self.state_after(self.messages.len())
    }

    pub fn errors(&self) -> Vec<&Value> {
        let traces = self.of_type("TRACE").into_iter();
        traces.map(|message| &message["trace"]).filter(|trace| trace["type"] == "ERROR").map(|t| &t["error"]).collect()
    }

    /// A stream's statuses in order, without rate limit waits.
    pub fn statuses(&self, stream: &str) -> Vec<&str> {
        let traces = self.messages.iter().map(|message| &message["trace"]["stream_status"]);
        let of_stream = traces.filter(|s| s["stream_descriptor"]["name"] == stream && s["reasons"].is_null());
        of_stream.map(|status| status["status"].as_str().unwrap()).collect()
    }

    pub fn logs(&self, level: &str) -> Vec<&str> {
        let logs = self.of_type("LOG").into_iter().filter(|message| message["log"]["level"] == level);
        logs.map(|message| message["log"]["message"].as_str().unwrap()).collect()
    }
}

/// Measurements of a running process.
#[derive(Default)]
struct Watched {
    peak_kib: u64,
    most_files: usize,
    longest_silence: Duration,
}

/// Reads a process's stdout to the end.
fn watch(child: &mut Child) -> (Vec<u8>, Watched) {
    let mut stdout = child.stdout.take().unwrap();
    let (mut bytes, mut watched) = (Vec::new(), Watched::default());
    let mut buffer = vec![0; 64 * 1024];
    let mut last = Instant::now();
    loop {
        let length = stdout.read(&mut buffer).unwrap();
        watched.longest_silence = watched.longest_silence.max(last.elapsed());
        last = Instant::now();
        if length == 0 {
            return (bytes, watched);
        }
        bytes.extend_from_slice(&buffer[..length]);
        // The last reading happens while the last lines are in the pipe.
        watched.peak_kib = watched.peak_kib.max(peak_kib(child.id()));
        let files = std::fs::read_dir(format!("/proc/{}/fd", child.id())).map_or(0, Iterator::count);
        watched.most_files = watched.most_files.max(files);
    }
}

/// Peak memory of a process so far, in KiB.
pub fn peak_kib(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    mark.unwrap_or(0)
}

/// Built-in reports have more dimensions than the advertiser and one other.
fn is_auxiliary(body: &Value) -> bool {
    body["dimensions"][0] == "AdvertiserId" && body["dimensions"].as_array().is_some_and(|names| names.len() == 2)
}

fn is_state_of(message: &Value, stream: &str) -> bool {
    message["type"] == "STATE" && message["state"]["stream"]["stream_descriptor"]["name"] == stream
}

/// Sends a plain request to loopback; returns status and JSON (`null` if none).
pub fn http(method: &str, url: &str, token: Option<&str>, body: Option<&Value>) -> (u16, Value) {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let body = body.map(Value::to_string).unwrap_or_default();
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let is_form = path == "oauth2/token";
    let kind = if is_form { "application/x-www-form-urlencoded" } else { "application/json" };
    let body = if is_form { body.trim_matches('"') } else { &body };
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let head = format!("{method} /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\n{authorization}");
    write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}

/// A sandbox token with the default credentials.
pub fn token(url: &str) -> String {
    let form =
        json!("grant_type=client_credentials&client_id=sandbox-client&client_secret=sandbox%2Bsecret%2Fwith%3Dsigns");
    let (status, answer) = http("POST", &format!("{url}/oauth2/token"), None, Some(&form));
    assert_eq!(status, 200, "{answer}");
    answer["access_token"].as_str().unwrap().to_owned()
}
