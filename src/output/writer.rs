//! The thread that serves [`Output`](crate::output::Output): only it writes to stdout, and it keeps the state of each
//! stream.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tracing::Level;

use crate::error::{Cause, Error, Result};
use crate::http::Body;
use crate::output::event::Event;
use crate::output::people;
use crate::output::progress::TICK;
use crate::output::report_page::ReportPage;
use crate::output::sink::{Records, Sink, StreamFiles};
use crate::output::state_file::StateFile;
use crate::output::stream::{Progress, StreamOutput, StreamSetup};
use crate::output::summary::Summary;
use crate::output::{AdvertiserNames, Constants, Coverage, StreamId};
use crate::protocol::singer;
use crate::rows::envelope;
use crate::support::stop::{Stop, StopSender};
use crate::support::terminal::{Color, Terminal, wrapped};
use crate::support::text::{counted, excerpt};
use crate::support::{clock, panic, watchdog};

/// Lines are buffered up to this size; larger writes gain nothing through a 64 KiB pipe.
pub(crate) const BUFFER: usize = 64 * 1024;
/// After this long without output, a log line says that the run is alive.
pub(crate) const MAX_SILENCE_TIME: Duration = Duration::from_secs(50);
/// Platforms end a run that sends neither records nor states for long, so a state is repeated after this time.
pub(crate) const MAX_STATELESS_TIME: Duration = Duration::from_mins(5);

/// Whole lines on their way to stdout.
pub(crate) struct Lines {
    pub(crate) buffer: Vec<u8>,
    pub(crate) out: Box<dyn Write + Send>,
    pub(crate) broken: Option<io::Error>,
    /// Whether the last message was a state.
    pub(crate) ends_with_state: bool,
}

impl Lines {
    pub(crate) fn message(&mut self, message: &Value) {
        self.text(&message.to_string());
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.ends_with_state = false;
        self.buffer.extend_from_slice(text.as_bytes());
        self.buffer.push(b'\n');
    }

    pub(crate) fn flush(&mut self) {
        if self.broken.is_none() && !self.buffer.is_empty() {
            // A slow destination must not end a sync.
            let _limit = watchdog::limit();
            self.broken = self.out.write_all(&self.buffer).and_then(|()| self.out.flush()).err();
        }
        self.buffer.clear();
    }
}

pub(crate) struct Writer {
    sink: Sink,
    lines: Lines,
    /// The failed streams with their error messages.
    failures: Vec<String>,
    /// Error messages that were reported, and the other streams that failed with them.
    reported: Vec<(String, Vec<String>)>,
    /// The streams that the end of the run interrupted, if one message reports them all.
    unfinished: Vec<String>,
    /// When the last record or state was written.
    last_output: Instant,
    streams: Vec<StreamOutput>,
    /// Whether files of an export could not be written.
    has_unmerged: bool,
    /// Where states go in addition to stdout.
    state_file: Option<StateFile>,
    /// A page about the run.
    page: Option<Box<ReportPage>>,
    pub(crate) summary: Summary,
    /// Names of advertisers for summaries.
    names: AdvertiserNames,
    /// Text for people after everything else.
    next_step: Option<String>,
    /// When the last event arrived.
    last_event: Instant,
    stop: StopSender,
}

/// Whether the writer continues.
#[derive(PartialEq, Eq)]
enum Next {
    Continue,
    End,
}

impl Writer {
    pub(crate) fn new(sink: Sink, out: Box<dyn Write + Send>, stop: StopSender, terminal: Option<Terminal>) -> Self {
        let lines = Lines { buffer: Vec::with_capacity(2 * BUFFER), out, broken: None, ends_with_state: false };
        Self {
            sink,
            lines,
            failures: Vec::new(),
            reported: Vec::new(),
            unfinished: Vec::new(),
            last_output: Instant::now(),
            streams: Vec::new(),
            has_unmerged: false,
            state_file: None,
            page: None,
            summary: Summary::new(terminal),
            names: AdvertiserNames::new(),
            next_step: None,
            last_event: Instant::now(),
            stop,
        }
    }

    pub(crate) fn run(mut self, receiver: &Receiver<Event>) {
        loop {
            // After a panic, the thread continues, since the streams must still be closed.
            let next = catch_unwind(AssertUnwindSafe(|| self.step(receiver))).unwrap_or_else(|_| {
                self.recover_from_panic();
                Next::Continue
            });
            if next == Next::End {
                break;
            }
        }
    }

    /// Handles one event, or a timeout.
    fn step(&mut self, receiver: &Receiver<Event>) -> Next {
        let event = match receiver.try_recv() {
            Ok(event) => event,
            Err(TryRecvError::Disconnected) => return Next::End,
            Err(TryRecvError::Empty) => {
                self.flush();
                let wait = if self.summary.has_bars() { TICK } else { MAX_SILENCE_TIME };
                match receiver.recv_timeout(wait) {
                    Ok(event) => event,
                    Err(RecvTimeoutError::Timeout) => {
                        self.show_progress();
                        if self.last_event.elapsed() >= MAX_SILENCE_TIME {
                            self.still_alive(Instant::now());
                            self.last_event = Instant::now();
                        }
                        return Next::Continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => return Next::End,
                }
            }
        };
        self.last_event = Instant::now();
        if let Event::Finish { reply } = event {
            self.finish();
            // Fails if the caller stopped waiting.
            let _ = reply.send(());
            return Next::End;
        }
        self.handle(event);
        self.show_progress();
        // Platforms do not count logs as a heartbeat.
        if self.last_output.elapsed() >= MAX_STATELESS_TIME {
            self.repeat_states();
            self.last_output = Instant::now();
        }
        Next::Continue
    }

    /// Drops an incomplete line, and states whose records may be lost with it.
    fn recover_from_panic(&mut self) {
        let whole = self.lines.buffer.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.lines.buffer.truncate(whole);
        for stream in &mut self.streams {
            stream.pending_state = None;
        }
        self.report_error(None, &panic::error());
        self.stop.send(Stop::Panicked);
    }

    pub(crate) fn handle(&mut self, event: Event) {
        match event {
            Event::Log { level, stream, text } => self.log(level, stream.as_deref(), &text),
            Event::Failed(error) => self.report_error(None, &error),
            Event::Document(text) => self.lines.text(&text),
            Event::Checked(outcome) => self.sink.report_check(&mut self.lines, &outcome),
            Event::ConfigChanged(config) => self.sink.report_config(&mut self.lines, &config),
            Event::Estimate { stream, rows } => self.sink.estimate(&mut self.lines, &stream, rows),
            Event::Announced(setup) => self.announce(*setup),
            Event::Rejected { stream, error } => {
                self.fail(&stream, &error);
                self.sink.end_stream(&mut self.lines, &stream, false);
            }
            Event::SingerInput { state, settings, is_test } => self.configure_singer(state, settings, is_test),
            Event::StateFile(file) => self.state_file = Some(*file),
            Event::Export(folder) => self.sink.export_to(folder),
            Event::Report(page) => self.page = Some(page),
            Event::Fact { stream, fact } => {
                if let Some(page) = &mut self.page {
                    page.fact(stream, fact);
                }
            }
            Event::Started { stream } => self.start(stream),
            Event::InitialState { stream, state } => {
                if let Some(stream) = self.streams.get_mut(stream) {
                    stream.first_state = Some(state);
                }
            }
            Event::Rows { stream, body, constants, coverage, state, reply } => {
                let result = self.rows(stream, &body, &constants, coverage.as_ref(), state);
                drop(body);
                // Fails if the engine gave up on the stream.
                let _ = reply.send(result);
            }
            Event::Covered { stream, coverage } => self.end_slice(stream, &coverage),
            Event::State { stream, state } => self.state(stream, state),
            Event::Snapshot { stream, scope } => self.finish_snapshot(stream, &scope),
            Event::FirstRecord { stream, reply } => match self.streams.get_mut(stream) {
                Some(stream) if stream.records == 0 => stream.on_first_record = Some(reply),
                // Fails if the caller no longer waits.
                _ => drop(reply.send(())),
            },
            Event::Names(names) => self.names = names,
            Event::NextStep(text) => self.next_step = Some(text),
            Event::Response { stream, stats } => {
                self.summary.count(stream, &stats);
                self.sink.count_response(&stats);
            }
            Event::Progress { stream, done, ahead } => {
                if let Some(stream) = self.streams.get_mut(stream) {
                    stream.windows = (done, ahead);
                }
            }
            Event::Tally { stream, tally } => {
                if let Some(stream) = self.streams.get_mut(stream) {
                    stream.tally = Some(*tally);
                }
            }
            Event::RateLimited(wait) => self.wait_for_limit(wait),
            Event::Ended { stream, error } => self.close(stream, error.as_ref()),
            Event::AllEnded(error) => self.close_all(&error),
            Event::Finish { .. } => {}
        }
    }

    /// Logs a line, and shows warnings and errors to a user at a terminal.
    fn log(&mut self, level: Level, stream: Option<&str>, text: &str) {
        if level == Level::WARN {
            self.summary.warnings += 1;
        }
        if level <= Level::WARN
            && let Some(page) = &mut self.page
        {
            page.note(level, stream, text);
        }
        let is_for_people = self.sink.is_for_people() && self.summary.terminal.is_some();
        if level <= Level::WARN && (is_for_people || self.sink.has_logs_on_stdout()) {
            let (word, color) = if level == Level::WARN { ("warning", Color::Yellow) } else { ("error", Color::Red) };
            let stream = stream.map(|stream| format!("{stream}: ")).unwrap_or_default();
            self.summary.message(word, color, &format!("{stream}{text}"));
        }
        // People see bars and a table; --debug shows them the rest.
        if !is_for_people || (level > Level::WARN && self.sink.is_debugging()) {
            let (summary, sink, lines) = (&self.summary, &self.sink, &mut self.lines);
            summary.aside(|| sink.log(lines, level, stream, text));
        }
    }

    fn report_error(&mut self, stream: Option<&str>, error: &Error) {
        if let Some(page) = &mut self.page {
            page.note(Level::ERROR, stream, &error.message);
        }
        let is_for_people = self.sink.is_for_people() && self.summary.terminal.is_some();
        if is_for_people || self.sink.has_logs_on_stdout() {
            let name = stream.map(|stream| format!("{stream}: ")).unwrap_or_default();
            self.summary.message("error", Color::Red, &format!("{name}{}", error.message));
            if let Some(hint) = people::hint(error).filter(|_| is_for_people) {
                self.summary.message("hint", Color::Yellow, hint);
            }
        }
        if !is_for_people {
            let (summary, sink, lines) = (&self.summary, &mut self.sink, &mut self.lines);
            summary.aside(|| sink.report_error(lines, stream, error));
        }
    }

    /// Shows people text of the run: on stdout if that is for them, otherwise at the terminal.
    fn show(&mut self, text: &str) {
        if self.sink.has_text_on_stdout() {
            self.lines.text(text);
        } else {
            self.summary.print(text);
        }
    }

    fn start(&mut self, stream: StreamId) {
        if let Some(stream) = self.streams.get_mut(stream).filter(|stream| stream.progress == Progress::Announced) {
            stream.progress = Progress::Open;
            stream.opened = Some(Instant::now());
            self.sink.start_stream(&mut self.lines, stream);
            self.summary.start_bars();
        }
    }

    /// Sets a tap's state and settings, before its streams.
    fn configure_singer(&mut self, state: singer::State, settings: singer::Settings, is_test: bool) {
        if let Sink::Singer(sink) = &mut self.sink {
            sink.all = state;
            sink.settings = settings;
        }
        if is_test {
            // A test run (`--test`) writes nothing to stdout.
            self.lines.out = Box::new(io::sink());
        }
    }

    pub(crate) fn announce(&mut self, setup: StreamSetup) {
        let mut stream = StreamOutput::new(setup);
        self.sink.prepare_stream(&mut stream);
        if let Some(page) = &mut self.page {
            page.watch(&mut stream);
        }
        self.streams.push(stream);
    }

    fn rows(
        &mut self,
        id: StreamId,
        body: &Body,
        constants: &Constants,
        coverage: Option<&Coverage>,
        state: Option<Value>,
    ) -> Result<()> {
        if self.stop.is_stopping() {
            return Err(interrupted());
        }
        let is_open = |stream: &&mut StreamOutput| !stream.has_failed && stream.progress != Progress::Closed;
        let Some(stream) = self.streams.get_mut(id).filter(is_open) else {
            return Err(Error::system("The stream already failed or ended."));
        };
        panic::point("output");
        stream.setup.plan.start_slice(constants);
        self.lines.ends_with_state = false;
        let shape = stream.setup.plan.shape;
        let mut files = stream.files.take();
        let target = self.sink.record_target(&mut self.lines, stream, files.as_mut());
        let written = envelope::each(body.text()?, shape, &mut Records { stream, target, stop: &self.stop });
        let ended = match (&written, &mut files) {
            (Ok(_), Some(files)) => files.end_slice(coverage),
            _ => Ok(()),
        };
        let are_due = files.as_ref().is_some_and(StreamFiles::are_due);
        stream.files = files;
        if let Err(error) = written {
            stream.has_failed = true;
            if self.stop.is_stopping() {
                return Err(interrupted());
            }
            return Err(Error::system(format!(
                "A row in a response from Criteo cannot be converted to a record ({}). No rows were skipped: the \
                 stream stops here, and the next sync tries again.",
                excerpt(&error.to_string())
            )));
        }
        if let Err(error) = ended {
            stream.has_failed = true;
            self.stop.send(Stop::OutputFailed(error.to_string()));
            return Err(interrupted());
        }
        if let (Some(page), Some(coverage)) = (&mut self.page, coverage) {
            page.covered(id, coverage);
        }
        self.last_output = Instant::now();
        self.check_reader();
        if let Some(state) = state {
            self.state(id, state);
        } else if are_due {
            self.hand_over(id);
        }
        Ok(())
    }

    /// Notes a slice without rows.
    fn end_slice(&mut self, id: StreamId, coverage: &Coverage) {
        let Some(stream) = self.streams.get_mut(id).filter(|stream| !stream.has_failed) else { return };
        if let Some(Err(error)) = stream.files.as_mut().map(|files| files.end_slice(Some(coverage))) {
            stream.has_failed = true;
            self.stop.send(Stop::OutputFailed(error.to_string()));
        } else if let Some(page) = &mut self.page {
            page.covered(id, coverage);
        }
    }

    /// Writes a state after its records; if they wait in a batch file, the state waits, too.
    pub(crate) fn state(&mut self, id: StreamId, state: Value) {
        let Some(stream) = self.streams.get_mut(id).filter(|stream| !stream.has_failed) else { return };
        match &stream.files {
            None => self.write_state(id, state),
            Some(files) => {
                let are_due = files.are_due() || files.are_empty();
                stream.pending_state = Some(state);
                if are_due {
                    self.hand_over(id);
                }
            }
        }
    }

    fn write_state(&mut self, id: StreamId, state: Value) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        if stream.records_since_state == 0 && stream.last_state.as_ref() == Some(&state) {
            return;
        }
        self.sink.state(&mut self.lines, stream, &state);
        stream.records_since_state = 0;
        self.flush();
        self.keep_state(id, &state);
        if let Some(stream) = self.streams.get_mut(id) {
            stream.last_state = Some(state);
        }
    }

    /// Stores a state in the state file, but only if it reached stdout.
    fn keep_state(&mut self, id: StreamId, state: &Value) {
        if let (Some(file), Some(stream), None) = (&mut self.state_file, self.streams.get(id), &self.lines.broken)
            && let Err(error) = file.keep(&stream.setup.name, state)
        {
            self.stop.send(Stop::OutputFailed(error.message));
        }
    }

    /// Hands over a stream's batch files, then the state that waited for them.
    fn hand_over(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let state = stream.pending_state.as_ref();
        match stream.files.as_mut().map_or(Ok(None), |files| files.hand_over(state)) {
            Ok(message) => {
                let state = stream.pending_state.take();
                if let Some(message) = message {
                    self.lines.message(&message);
                    self.flush();
                    if let (Some(_), Some(files)) =
                        (&self.lines.broken, self.streams.get_mut(id).and_then(|stream| stream.files.as_mut()))
                    {
                        files.withdraw();
                    }
                }
                if let Some(state) = state {
                    self.write_state(id, state);
                }
                self.flush();
            }
            Err(error) => {
                // Its records are lost, so the state must not be written.
                stream.pending_state = None;
                stream.has_failed = true;
                self.stop.send(Stop::OutputFailed(error.to_string()));
            }
        }
    }

    fn finish_snapshot(&mut self, id: StreamId, scope: &[String]) {
        let Some(stream) = self.streams.get_mut(id).filter(|stream| !stream.has_failed) else { return };
        if let Some(files) = &mut stream.files {
            files.finish_snapshot(scope);
        }
        if let Some(warning) = self.sink.finish_snapshot(&mut self.lines, stream, scope) {
            let name = stream.setup.name.clone();
            self.log(Level::WARN, Some(&name), &warning);
        }
    }

    pub(crate) fn close(&mut self, id: StreamId, error: Option<&Error>) {
        if self.streams.get(id).is_none_or(|stream| stream.progress == Progress::Closed) {
            return;
        }
        self.hand_over(id);
        let Some(stream) = self.streams.get_mut(id) else { return };
        stream.progress = Progress::Closed;
        stream.has_problem = error.is_some();
        // Only open streams repeat their states.
        (stream.first_state, stream.last_state) = (None, None);
        let name = stream.setup.name.clone();
        self.sink.report_metrics(stream, error.is_none());
        let mut logs = stream.closing_logs(&self.names, self.sink.lists_misfits());
        logs.extend(self.sink.column_warnings(stream).into_iter().map(|text| (Level::WARN, text)));
        if let Some(page) = &mut self.page {
            page.before_merge(&name, &self.sink);
        }
        let merged = if self.stop.is_stopping() { Ok(()) } else { self.sink.merge(stream) };
        if let Some(page) = &mut self.page {
            page.after_merge(&name, &self.sink);
        }
        if let Err(error) = merged {
            // Other streams go on; the files of this one are as they were, and its rows are still staged.
            self.fail(&name, &error);
            self.has_unmerged = true;
            if let Some(stream) = self.streams.get_mut(id) {
                stream.has_problem = true;
            }
        }
        let is_summed_up = error.is_some_and(|error| self.is_summed_up(error));
        match error {
            Some(error) if is_summed_up => {
                self.failures.push(format!("{name}: {}", error.message));
                self.unfinished.push(name.clone());
                logs.retain(|(level, _)| *level < Level::INFO);
            }
            Some(error) => self.fail(&name, error),
            None => {}
        }
        // The platform expects the last state directly before the final status.
        self.sink.end_stream(&mut self.lines, &name, error.is_none());
        for (level, text) in logs {
            self.log(level, Some(&name), &text);
        }
        self.flush();
    }

    /// Whether one message reports all streams with this error, after the last one.
    fn is_summed_up(&self, error: &Error) -> bool {
        error.cause == Some(Cause::Interrupted) && self.sink.interruption(&[], 0).is_some()
    }

    fn fail(&mut self, name: &str, error: &Error) {
        self.failures.push(format!("{name}: {}", error.message));
        let Some((_, others)) = self.reported.iter_mut().find(|(message, _)| *message == error.message) else {
            self.reported.push((error.message.clone(), Vec::new()));
            return self.report_error(Some(name), error);
        };
        others.push(name.to_owned());
        if self.sink.has_errors_by_stream() {
            let (summary, sink, lines) = (&self.summary, &mut self.sink, &mut self.lines);
            summary.aside(|| sink.report_error(lines, Some(name), error));
        }
    }

    /// Ends all streams because of an error that is not of one of them.
    fn close_all(&mut self, error: &Error) {
        if !self.sink.has_errors_by_stream() {
            self.reported.push((error.message.clone(), Vec::new()));
            self.report_error(None, error);
        }
        for stream in 0..self.streams.len() {
            self.start(stream);
            self.close(stream, Some(error));
        }
    }

    /// Names the streams that failed with an error which was reported once.
    fn report_repeated(&mut self) {
        for (_, others) in std::mem::take(&mut self.reported) {
            if !others.is_empty() {
                let text = format!(
                    "{} failed because of this: {}.",
                    counted(others.len() as u64, "stream"),
                    others.join(", ")
                );
                if !self.sink.has_errors_by_stream() {
                    self.log(Level::ERROR, None, &text);
                    continue;
                }
                if let Some(page) = &mut self.page {
                    page.note(Level::ERROR, None, &text);
                }
                self.summary.message("error", Color::Red, &text);
            }
        }
    }

    fn finish(&mut self) {
        for stream in 0..self.streams.len() {
            self.close(stream, Some(&interrupted()));
        }
        if let Some(text) =
            self.sink.interruption(&self.unfinished, self.streams.len()).filter(|_| !self.unfinished.is_empty())
        {
            self.log(Level::ERROR, None, &text);
        }
        self.summary.end_bars();
        self.report_repeated();
        if !self.streams.is_empty() {
            for text in self.sink.warnings() {
                self.log(Level::WARN, None, &text);
            }
            self.sum_up();
            let problems = self.sink.finish(&mut self.lines, self.stop.is_stopping());
            for error in &problems {
                self.report_error(None, error);
            }
            if self.has_unmerged {
                self.stop.send(Stop::OutputFailed("some files could not be written; see the errors above".to_owned()));
            } else if !problems.is_empty() {
                self.stop.send(Stop::Reported);
            }
        }
        self.flush();
        if let (Some(file), None) = (&mut self.state_file, &self.lines.broken)
            && let Err(error) = file.save()
        {
            self.stop.send(Stop::OutputFailed(error.message));
        }
        self.write_page();
        // Nothing follows from a run without a stream, such as one with a mistyped name.
        let has_next_step = !self.streams.is_empty() && !self.stop.is_stopping();
        if let Some(text) = self.next_step.take().filter(|_| has_next_step) {
            let width = self.summary.terminal.map_or(usize::MAX, Terminal::width);
            self.show(&wrapped(&text, width).join("\n"));
        }
        self.flush();
        self.sink.sum_up_failures(&self.failures, self.stop.is_stopping());
    }

    /// Writes the summary of the run: a table for people, lines in the log for programs.
    fn sum_up(&mut self) {
        let lines = self.summary.lines(&self.streams, &self.failures);
        let is_for_people =
            self.sink.is_for_people() && (self.summary.terminal.is_some() || self.sink.has_text_on_stdout());
        if is_for_people || (self.sink.has_logs_on_stdout() && self.summary.terminal.is_some()) {
            let terminal = if self.sink.has_text_on_stdout() { Terminal::stdout() } else { self.summary.terminal };
            let table = people::table(&self.streams, &self.failures, &self.names, terminal);
            self.show(&format!("\n{table}\n\n{}", lines.join("\n")));
        }
        for text in lines {
            self.log(Level::INFO, None, &text);
        }
    }

    /// Writes the page about the run, whatever became of it.
    fn write_page(&mut self) {
        let Some(page) = self.page.take() else { return };
        match page.write(&self.streams, &self.summary, &self.names, &self.failures, self.stop.reason().as_ref()) {
            Ok(path) => {
                let text = format!("Report: {path}");
                if self.sink.is_for_people() {
                    self.show(&text);
                }
                self.log(Level::INFO, None, &text);
            }
            // The rows and states are where they belong, so the sync does not fail.
            Err(error) => self.log(Level::WARN, None, &error.message),
        }
        self.flush();
    }

    pub(crate) fn show_progress(&mut self) {
        if let Some(text) = self.summary.progress(&self.streams) {
            self.log(Level::INFO, None, &format!("So far: {text}."));
        }
    }

    /// Says that the run is alive, if nothing was written for a while.
    pub(crate) fn still_alive(&mut self, now: Instant) {
        let open = self.streams.iter().filter(|stream| stream.is_under_way()).map(|stream| &*stream.setup.name);
        let open: Vec<_> = open.collect();
        if open.is_empty() {
            return;
        }
        let text = format!("Still reading {}.", open.join(", "));
        self.log(Level::INFO, None, &text);
        if now.duration_since(self.last_output) >= MAX_STATELESS_TIME {
            self.repeat_states();
        }
        self.flush();
    }

    pub(crate) fn wait_for_limit(&mut self, wait: Duration) {
        let reset = clock::now_millis() + i64::try_from(wait.as_millis()).unwrap_or(0);
        for stream in self.streams.iter().filter(|stream| stream.is_under_way()) {
            self.sink.report_rate_limit(&mut self.lines, &stream.setup.name, reset);
        }
        self.summary.wait(wait);
        self.log(Level::INFO, None, &format!("Rate limit reached; resuming in {} s.", wait.as_secs()));
        self.repeat_states();
        self.flush();
    }

    /// Repeats every open stream's last state, a heartbeat that platforms recognize.
    fn repeat_states(&mut self) {
        for stream in &mut self.streams {
            let state = stream.last_state.as_ref().or(stream.first_state.as_ref());
            if let Some(state) = state.cloned().filter(|_| stream.is_under_way() && !stream.has_failed) {
                self.sink.state(&mut self.lines, stream, &state);
                stream.records_since_state = 0;
                self.last_output = Instant::now();
            }
        }
    }

    pub(crate) fn flush(&mut self) {
        self.lines.flush();
        self.check_reader();
    }

    fn check_reader(&self) {
        if let Some(error) = &self.lines.broken {
            self.stop.send(match error.kind() {
                io::ErrorKind::BrokenPipe => Stop::ReaderGone,
                _ => Stop::OutputFailed(error.to_string()),
            });
        }
    }
}

fn interrupted() -> Error {
    Error::transient(
        "The sync was interrupted before the stream was complete. The next sync resumes from the last state.",
    )
    .because(Cause::Interrupted)
}
