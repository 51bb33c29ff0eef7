//! `setup`: unattended, and as a conversation at a terminal.

use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use criteo_sandbox::{AppState, Options, Permission};
use serde_json::{Value, json};

use crate::harness::{Bench, DEADLINE, Guard, slowness, tested_program};

const KEY_FILE: &str = "Client ID: sandbox-client\nClient Secret: sandbox+secret/with=signs\n";

fn setup_bench(world: fn(&mut Options)) -> Bench {
    let mut options = Options::default();
    world(&mut options);
    let bench = Bench::new(options, 14);
    std::fs::write(bench.directory.join("key.txt"), KEY_FILE).unwrap();
    bench
}

fn json_of(bench: &Bench, name: &str) -> Value {
    let path = bench.directory.join(name);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Runs `setup` without a terminal; it prints to stderr.
fn unattended(bench: &Bench, arguments: &[&str]) -> (Option<i32>, String) {
    let url = bench.sandbox.url();
    let output = bench.program().args(["setup", "--api-base-url", &url]).args(arguments).output().unwrap();
    assert!(output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("sandbox+secret"), "{said}");
    (output.status.code(), said)
}

#[test]
fn setup_without_a_terminal_writes_a_working_configuration() {
    let bench = setup_bench(|options| options.without_permission = vec![Permission::Creatives]);
    let wanted =
        ["--key-file", "key.txt", "--currency", "eur", "--catalog", "catalog.json", "--start-date", "2026-10-30"];
    let (code, said) = unattended(&bench, &wanted);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("It lacks \"Creatives: Read\"") && said.contains("Ready. Next: source-criteo read"),
        "{said}"
    );
    let config = json_of(&bench, "criteo.json");
    assert_eq!((&config["client_secret"], &config["currency"]), (&json!("sandbox+secret/with=signs"), &json!("EUR")));
    let catalog = json_of(&bench, "catalog.json");
    let names: Vec<_> =
        catalog["streams"].as_array().unwrap().iter().map(|s| s["stream"]["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"campaigns") && !names.contains(&"ads") && !names.contains(&"audiences"), "{names:?}");
    let read = bench.run(&["read", "--config", "criteo.json", "--catalog", "catalog.json"]);
    assert_eq!(read.code, Some(0), "{:?}", read.errors());
    assert!(!read.records("campaign_statistics_daily").is_empty());
    let (code, said) = unattended(&bench, &wanted);
    assert!(code == Some(1) && said.contains("criteo.json already exists"), "{said}");
    assert_eq!(unattended(&bench, &[&wanted[..], &["--force"]].concat()).0, Some(0));
}

#[test]
fn setup_without_a_terminal_lists_missing_options() {
    let bench = setup_bench(|options| options.app = AppState::KeyDeleted);
    let said = |arguments: &[&str], words: &[&str]| {
        let (code, said) = unattended(&bench, arguments);
        assert_eq!(code, Some(1));
        for word in words {
            assert!(said.contains(word), "{word} is not in: {said}");
        }
    };
    said(&[], &["--key-file and --currency"]);
    said(&["--key-file", "key.txt"], &["needs --currency"]);
    said(&["--key-file", "missing.txt", "--currency", "EUR"], &["The key file missing.txt cannot be read"]);
    said(&["--key-file", "key.txt", "--currency", "Euro"], &["currency must be"]);
    std::fs::write(bench.directory.join("empty.txt"), "nothing").unwrap();
    said(
        &["--key-file", "empty.txt", "--currency", "EUR"],
        &["empty.txt contains neither client_id and client_secret nor an API Key"],
    );
    assert!(!bench.directory.join("criteo.json").exists());
    // The key file was created seconds ago.
    said(&["--key-file", "key.txt", "--currency", "EUR"], &["only 1 minute old", "try again later"]);
    std::fs::write(bench.directory.join("there.json"), "mine").unwrap();
    let key = ["--key-file", "key.txt", "--currency", "EUR"];
    said(&[&key[..], &["--config", "a.json", "--catalog", "there.json"]].concat(), &["there.json already exists"]);
    said(&[&key[..], &["--config", "a.json", "--catalog", "a.json"]].concat(), &["is given twice"]);
    said(&[&key[..], &["--config", "key.txt", "--force"]].concat(), &["is given twice"]);
    let content = ["--key-file", "Client Secret: hush-hush", "--currency", "EUR", "--config", "a.json"];
    said(&content, &["(content instead of a path)"]);
    assert_eq!(std::fs::read_to_string(bench.directory.join("there.json")).unwrap(), "mine");
    let output = bench.program().args(["setup", "--client-secret", "x"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn setup_reads_key_files_in_any_editor_encoding() {
    let text = "API Key: sandbox-client\r\nAPI Secret: “sandbox+secret/with=signs”\r\n";
    let wide: Vec<u8> = std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let table = "name,client_id,client_secret\nmine,sandbox-client,\"sandbox+secret/with=signs\"\n";
    for file in [wide, table.as_bytes().to_vec()] {
        let bench = setup_bench(|_| {});
        std::fs::write(bench.directory.join("key.txt"), file).unwrap();
        let (code, said) = unattended(&bench, &["--key-file", "key.txt", "--currency", "EUR"]);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(json_of(&bench, "criteo.json")["client_secret"], "sandbox+secret/with=signs");
    }
    let bench = setup_bench(|_| {});
    std::fs::write(bench.directory.join("key.txt"), "client_id: sandbox-client\nclient_secret: ********\n").unwrap();
    let (code, said) = unattended(&bench, &["--key-file", "key.txt", "--currency", "EUR"]);
    assert!(code == Some(1) && said.contains("its client_secret is masked"), "{said}");
}

#[test]
fn flags_set_time_zone_and_advertisers() {
    let bench = setup_bench(|_| {});
    let key = ["--key-file", "key.txt", "--currency", "EUR"];
    let wanted = [&key[..], &["--timezone", "America/New_York", "--advertisers", "1001,1003"]].concat();
    let (code, said) = unattended(&bench, &wanted);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Reports are in EUR, with days in America/New_York."), "{said}");
    assert!(said.ends_with("Ready. Next: source-criteo export\n"), "{said}");
    let config = json_of(&bench, "criteo.json");
    assert_eq!(config["timezone"], "America/New_York");
    assert_eq!(config["advertiser_ids"], json!(["1001", "1003"]));
    let older = [&key[..], &["--advertiser-ids", "1002", "--config", "other.json"]].concat();
    let (code, said) = unattended(&bench, &older);
    assert!(code == Some(0) && said.ends_with("source-criteo export --config other.json\n"), "{said}");
    assert!(said.contains("days in UTC. Set timezone to the zone of the Criteo account"), "{said}");
    assert_eq!(json_of(&bench, "other.json")["advertiser_ids"], json!(["1002"]));
    let (code, said) = unattended(&bench, &[&key[..], &["--timezone", "Europe/Pari", "--force"]].concat());
    assert!(code == Some(1) && said.contains("timezone"), "{said}");
}

fn mode_of(bench: &Bench, name: &str) -> u32 {
    std::fs::metadata(bench.directory.join(name)).unwrap().permissions().mode() & 0o777
}

fn set_mode(bench: &Bench, name: &str, mode: u32) {
    std::fs::set_permissions(bench.directory.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_key_file_that_others_can_open_is_reported() {
    let bench = setup_bench(|_| {});
    let key = ["--key-file", "key.txt", "--currency", "EUR", "--force"];
    set_mode(&bench, "key.txt", 0o644);
    let (_, said) = unattended(&bench, &key);
    assert!(said.contains("Other users of this machine can open key.txt (mode 644). Run `chmod 600`"), "{said}");
    assert_eq!(mode_of(&bench, "key.txt"), 0o644);
    set_mode(&bench, "key.txt", 0o600);
    let (_, said) = unattended(&bench, &key);
    assert!(!said.contains("Other users"), "{said}");
}

/// A program at a terminal of 90 columns. The test types only after it has seen the question.
struct Conversation {
    child: std::process::Child,
    keyboard: std::process::ChildStdin,
    screen: Receiver<Vec<u8>>,
    shown: Vec<u8>,
    /// What the last step has read so far.
    read: usize,
    _guard: Guard,
}

impl Conversation {
    const COLUMNS: u16 = 90;

    fn start(bench: &Bench, arguments: &[&str]) -> Self {
        let program = tested_program();
        let program = program.to_str().unwrap();
        let line = format!(
            "trap : INT; stty rows 40 cols {}; {program} setup --api-base-url {} {}; echo \"exit $?\"",
            Self::COLUMNS,
            bench.sandbox.url(),
            arguments.join(" ")
        );
        let mut terminal = Command::new("script");
        terminal.args(["--quiet", "--command", &line, "/dev/null"]).current_dir(&bench.directory);
        terminal.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("TERM", "xterm");
        terminal.env("SHELL", "/bin/sh").env("NO_COLOR", "1").env("LANG", "C.UTF-8").env("TZ", "Asia/Tokyo");
        let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let guard = Guard::over(child.id());
        let (sender, screen) = channel();
        let mut output = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        let keyboard = child.stdin.take().unwrap();
        Self { child, keyboard, screen, shown: Vec::new(), read: 0, _guard: guard }
    }

    /// Waits until `question` is shown, then types.
    #[track_caller]
    fn reply(&mut self, question: &str, keys: &str) {
        self.wait_for(question);
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    #[track_caller]
    fn wait_for(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let started = Instant::now();
        loop {
            let unread = &self.shown[self.read..];
            if let Some(at) = unread.windows(text.len()).position(|window| window == text.as_bytes()) {
                self.read += at + text.len();
                return;
            }
            match self.screen.recv_timeout(Duration::from_secs(1)) {
                Ok(bytes) => self.shown.extend(bytes),
                Err(RecvTimeoutError::Timeout) if started.elapsed() < DEADLINE.mul_f64(slowness()) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("{text:?} is not shown:\n{}", self.seen())
                }
            }
        }
    }

    /// What a person sees when scrolling back, without what prompts have erased.
    fn seen(&self) -> String {
        let mut terminal = vt100::Parser::new(nonzero(1000), nonzero(Self::COLUMNS), 0);
        terminal.process(&self.shown);
        terminal.screen().contents()
    }

    /// Waits for the end; returns what [`Self::seen`] does.
    #[track_caller]
    fn end(mut self, code: i32) -> String {
        self.wait_for(&format!("exit {code}"));
        drop(self.keyboard);
        self.child.wait().unwrap();
        self.shown.extend(self.screen.iter().flatten());
        let mut terminal = vt100::Parser::new(nonzero(1000), nonzero(Self::COLUMNS), 0);
        terminal.process(&self.shown);
        assert!(!terminal.screen().hide_cursor(), "the cursor stays hidden");
        terminal.screen().contents()
    }
}

fn nonzero(number: u16) -> NonZero<u16> {
    NonZero::new(number).unwrap()
}

const DOWN: &str = "\u{1b}[B";

#[test]
fn setup_guides_a_user_through_the_portal() {
    let bench = setup_bench(|_| {});
    set_mode(&bench, "key.txt", 0o644);
    let link = "https://consent.criteo.com/request?signature=1\n";
    let mut setup = Conversation::start(&bench, &["--config", "mine.json"]);
    setup.reply("Also audiences and their segments?", "n");
    setup.reply("Also product sets and boosts?", "y");
    for step in ["1. Create", "2. Choose", "3. Choose", "4. Grant", "5. Activate"] {
        setup.wait_for(step);
        setup.reply("Press Enter when done", "\n");
    }
    setup.reply("Path of the key file", "missing.txt\n");
    setup.reply("cannot be read", "");
    // Tab completes the only name that starts so.
    setup.reply("Path of the key file", "ke\t\n");
    setup.reply("Make it yours only (chmod 600)?", "y");
    setup.reply("The link", link);
    setup.reply("Press Enter when consent is granted", "\n");
    // Typing narrows the list of currencies down; the account's own comes first.
    setup.reply("EUR  Euro", "swedish");
    setup.reply("SEK  Swedish krona", "\n");
    // Criteo knows the zone of the account, which is preferred to the machine's.
    setup.reply("Europe/Paris", "Stockholm\n");
    setup.reply("First day of reports", "yesterday\n");
    setup.reply("start_date", &"\u{7f}".repeat(9));
    setup.reply("", "2026-10-25\n");
    setup.reply("Advertisers to read", &format!("{DOWN} \n"));
    let seen = setup.end(0);
    // The size of the first sync depends on the day.
    let (steps, rest) = seen.split_once("✓ first sync").unwrap();
    // The sandbox's calendar ends before the day on which the test runs.
    let (advice, end) = rest.split_once("\nNo displays and no spend on ").unwrap_or_else(|| panic!("{seen}"));
    assert!(advice.contains("requests") && advice.lines().count() <= 6, "{advice}");
    assert!(end.contains("Ready. Next: source-criteo export"), "{end}");
    insta::assert_snapshot!(steps);
    assert_eq!(mode_of(&bench, "key.txt"), 0o600);
    let config = json_of(&bench, "mine.json");
    assert_eq!((&config["currency"], &config["timezone"]), (&json!("SEK"), &json!("Europe/Stockholm")));
    assert_eq!((&config["start_date"], &config["advertiser_ids"]), (&json!("2026-10-25"), &json!(["1001", "1003"])));
    assert_eq!(bench.run(&["check", "--config", "mine.json", "--exit-code"]).code, Some(0));
}

#[test]
fn setup_with_a_key_asks_only_what_is_left_open() {
    let bench = setup_bench(|options| options.without_permission = vec![Permission::Campaigns]);
    set_mode(&bench, "key.txt", 0o600);
    let given = ["--key-file", "key.txt", "--currency", "EUR", "--start-date", "2026-10-25"];
    let mut setup = Conversation::start(&bench, &given);
    // Without the permission, Criteo does not name the zone of the account: the machine's is offered.
    setup.reply("Asia/Tokyo", "\n");
    setup.reply("Advertisers to read", "a\n");
    setup.wait_for("Choose at least one advertiser.");
    // All are chosen again.
    setup.reply("Advertisers to read", "\n");
    let seen = setup.end(0);
    assert!(!seen.contains("chmod") && !seen.contains("Currency of all money"), "{seen}");
    assert!(seen.contains("Ready. Next: source-criteo export\n"), "{seen}");
    let config = json_of(&bench, "criteo.json");
    assert_eq!(config["timezone"], "Asia/Tokyo");
    assert!(config["advertiser_ids"].is_null(), "all advertisers need no list: {config}");
}

/// Without consent, there is no list of advertisers until the check passes.
#[test]
fn advertisers_are_offered_when_the_key_starts_to_work() {
    let bench = setup_bench(|options| options.app = AppState::KeyDeleted);
    set_mode(&bench, "key.txt", 0o600);
    let given = ["--key-file", "key.txt", "--currency", "EUR", "--start-date", "2026-10-25", "--timezone", "UTC"];
    let mut setup = Conversation::start(&bench, &given);
    setup.wait_for("Check again?");
    bench.sandbox.change(|options| options.app = Options::default().app);
    setup.reply("", "y");
    setup.reply("Advertisers to read", " \n");
    let seen = setup.end(0);
    assert!(seen.contains("\nNo displays and no spend on "), "{seen}");
    assert_eq!(json_of(&bench, "criteo.json")["advertiser_ids"], json!(["1002", "1003"]));
}

#[test]
fn interrupting_a_list_leaves_the_terminal_usable() {
    let bench = setup_bench(|_| {});
    set_mode(&bench, "key.txt", 0o600);
    let mut setup = Conversation::start(&bench, &["--key-file", "key.txt"]);
    setup.reply("Currency of all money", "\u{3}");
    setup.end(130);
    assert!(!bench.directory.join("criteo.json").exists());
}
