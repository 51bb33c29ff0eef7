//! Proxies and certificates: a TLS-intercepting proxy on loopback stands for the internet.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use criteo_sandbox::Options;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use super::{Case, bench, check_reported, now};
use crate::harness::{Bench, Transcript};

/// The connector's default host.
const HOST: &str = "api.criteo.com";

/// How a proxy handles a connection to [`HOST`].
#[derive(Clone)]
enum Manner {
    /// Intercepts with this certificate, and forwards to the sandbox.
    Opens(Arc<ServerConfig>),
    /// Requires a login.
    Refuses,
    /// Responds to the first TLS message with a protocol version alert.
    IsOld,
}

/// A proxy; its thread ends with the process.
struct Proxy {
    url: String,
    /// Request lines and headers it received.
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start(manner: Manner, sandbox: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://user:proxy-password@{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (seen, upstream) = (heads.clone(), sandbox.strip_prefix("http://").unwrap().to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (seen, upstream, manner) = (seen.clone(), upstream.clone(), manner.clone());
                std::thread::spawn(move || connect(client, &seen, &upstream, &manner));
            }
        });
        Self { url, heads }
    }

    /// The program behind this proxy, configured for the real host.
    fn program(&self, bench: &mut Bench) -> Command {
        let mut program = self.command(bench);
        program.args(["check", "--config", "config.json"]);
        program
    }

    /// The same without arguments.
    fn command(&self, bench: &mut Bench) -> Command {
        bench.forget_sandbox();
        bench.file("config.json", &bench.config);
        let mut program = bench.program();
        program.env("HTTPS_PROXY", &self.url).env("https_proxy", &self.url);
        program
    }
}

/// Serves one connection until an error.
fn connect(mut client: TcpStream, seen: &Mutex<Vec<String>>, upstream: &str, manner: &Manner) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    seen.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
    match manner {
        Manner::Refuses => {
            client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n").ok()
        }
        Manner::IsOld => {
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
            let _ = client.read(&mut [0; 4096]).ok()?;
            // An alert: fatal, protocol_version.
            client.write_all(&[21, 3, 1, 0, 2, 2, 70]).ok()
        }
        Manner::Opens(config) => {
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
            client.set_read_timeout(Some(Duration::from_millis(10))).ok()?;
            let mut server = TcpStream::connect(upstream).ok()?;
            server.set_read_timeout(Some(Duration::from_millis(10))).ok()?;
            let mut client = StreamOwned::new(ServerConnection::new(config.clone()).ok()?, client);
            loop {
                hand_on(&mut client, &mut server)?;
                hand_on(&mut server, &mut client)?;
            }
        }
    }
}

/// Forwards available data; no data is not the end.
fn hand_on(from: &mut impl Read, to: &mut impl Write) -> Option<()> {
    let mut buffer = [0; 16 * 1024];
    match from.read(&mut buffer) {
        Ok(0) => None,
        Ok(length) => to.write_all(&buffer[..length]).and_then(|()| to.flush()).ok(),
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => Some(()),
        Err(_) => None,
    }
}

/// A test CA and its certificate for `host`, or a self-signed one.
fn certificate(host: &str, is_expired: bool, is_self_signed: bool) -> (String, Arc<ServerConfig>) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    if is_expired {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    }
    let key = KeyPair::generate().unwrap();
    let signed = if is_self_signed { params.self_signed(&key) } else { params.signed_by(&key, &authority) }.unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![signed.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    (authority.pem(), Arc::new(config))
}

/// A sandbox with the real date, since only simulations accept another one.
fn today() -> Options {
    Options { today: now().date_naive(), ..Options::default() }
}

/// Runs `check` behind an intercepting proxy; `is_known` passes its CA to the program.
fn check_through_proxy(host: &str, is_expired: bool, is_self_signed: bool, is_known: bool, words: &[&str]) -> String {
    let mut bench = bench(today(), 3);
    let (authority, config) = certificate(host, is_expired, is_self_signed);
    let proxy = Proxy::start(Manner::Opens(config), &bench.sandbox.url());
    let mut program = proxy.program(&mut bench);
    if is_known {
        std::fs::write(bench.directory.join("authority.pem"), authority).unwrap();
        program.env("SSL_CERT_FILE", "authority.pem");
    }
    let reported = check_reported(&bench.run_program(program), words);
    assert!(bench.sandbox.requests().is_empty(), "the secret was sent");
    reported
}

/// Redirects the token request behind a proxy from https to `target`; returns the message of `check`.
pub fn redirected_to(target: &str) -> String {
    let mut bench = bench(today(), 3);
    super::fault(&bench, "/oauth2/token", json!(null), json!({"redirect": target}));
    let (authority, config) = certificate(HOST, false, false);
    let proxy = Proxy::start(Manner::Opens(config), &bench.sandbox.url());
    let mut program = proxy.program(&mut bench);
    std::fs::write(bench.directory.join("authority.pem"), authority).unwrap();
    program.env("SSL_CERT_FILE", "authority.pem");
    check_reported(&bench.run_program(program), &["redirect", target])
}

/// A bench with the real date, as runs for the real host need it.
pub fn bench_of_today() -> Bench {
    bench(today(), 3)
}

/// Reads a stream of the real host through an intercepting proxy; connections to `direct` bypass it.
pub fn read_through_a_proxy(bench: &mut Bench, stream: &str, direct: &str) -> Transcript {
    let (authority, config) = certificate(HOST, false, false);
    let proxy = Proxy::start(Manner::Opens(config), &bench.sandbox.url());
    bench.file("catalog.json", &bench.catalog(&[stream], "incremental"));
    let mut program = proxy.command(bench);
    std::fs::write(bench.directory.join("authority.pem"), authority).unwrap();
    program.env("SSL_CERT_FILE", "authority.pem").env("NO_PROXY", direct);
    program.args(["read", "--config", "config.json", "--catalog", "catalog.json"]);
    bench.run_program(program)
}

pub const CASES: &[Case] = &[
    Case {
        id: 42,
        fault: "HTTPS_PROXY requires a login; has the scheme socks5; is not an address",
        expected: "reported, without the proxy's password; no request bypasses the proxy",
        run: || {
            let mut with_login = bench(today(), 3);
            let proxy = Proxy::start(Manner::Refuses, &with_login.sandbox.url());
            let program = proxy.program(&mut with_login);
            let transcript = with_login.run_program(program);
            let reported = check_reported(&transcript, &["the proxy requires a login"]);
            assert!(!transcript.stdout.contains("proxy-password") && !transcript.stderr.contains("proxy-password"));
            assert!(proxy.heads.lock().unwrap()[0].starts_with(&format!("CONNECT {HOST}:443 ")));
            let mut socks = proxy.program(&mut with_login);
            socks.env("HTTPS_PROXY", "socks5://127.0.0.1:1080");
            let socks = check_reported(&with_login.run_program(socks), &["a proxy of the unsupported type socks5"]);
            let mut broken = proxy.program(&mut with_login);
            broken.env("HTTPS_PROXY", "http://us er:pw@host");
            let broken = check_reported(&with_login.run_program(broken), &["an invalid proxy address"]);
            assert!(with_login.sandbox.requests().is_empty(), "a request bypassed the proxy");
            format!("{reported}; {socks}; {broken}")
        },
    },
    Case {
        id: 43,
        fault: "a proxy that intercepts TLS, without and with its CA in SSL_CERT_FILE",
        expected: "rejected with the name of the variable; then everything works through it",
        run: || {
            let reported = check_through_proxy(HOST, false, false, false, &["an unknown authority", "SSL_CERT_FILE"]);
            let mut bench = bench(today(), 3);
            let (authority, config) = certificate(HOST, false, false);
            let proxy = Proxy::start(Manner::Opens(config), &bench.sandbox.url());
            let mut program = proxy.program(&mut bench);
            std::fs::write(bench.directory.join("authority.pem"), authority).unwrap();
            program.env("SSL_CERT_FILE", "authority.pem");
            let transcript = bench.run_program(program);
            let status = &transcript.of_type("CONNECTION_STATUS")[0]["connectionStatus"];
            assert_eq!(status["status"], "SUCCEEDED", "{status}");
            format!("{reported}; with it: check SUCCEEDED")
        },
    },
    Case {
        id: 44,
        fault: "a certificate that is expired, for another host, self-signed; a server limited to TLS 1.1",
        expected: "each is rejected with its reason, the secret is never sent",
        run: || {
            let expired = check_through_proxy(HOST, true, false, true, &["certificate expired"]);
            let other = check_through_proxy("api.criteo.example", false, false, true, &["is for another host"]);
            let own = check_through_proxy(HOST, false, true, false, &["an unknown authority"]);
            let mut old = bench(today(), 3);
            let proxy = Proxy::start(Manner::IsOld, &old.sandbox.url());
            let program = proxy.program(&mut old);
            let old = check_reported(&old.run_program(program), &["no safe TLS version"]);
            format!("{expired}; {other}; {own}; {old}")
        },
    },
    Case {
        id: 45,
        fault: "SSL_CERT_FILE names no file; a machine without a CA bundle",
        expected: "reported, not replaced by another bundle; the built-in bundle is used",
        run: || {
            let mut bench = bench(today(), 3);
            let (_, config) = certificate(HOST, false, false);
            let proxy = Proxy::start(Manner::Opens(config), &bench.sandbox.url());
            let mut program = proxy.program(&mut bench);
            program.env("SSL_CERT_FILE", "/no/such/file");
            let reported =
                check_reported(&bench.run_program(program), &["SSL_CERT_FILE does not point to a readable CA bundle"]);
            let inner = "for folder in /etc/ssl /usr/lib/ssl /usr/share/ca-certificates; do \
                         if [ -d $folder ]; then mount -t tmpfs none $folder || exit 9; fi; done; exec \"$@\"";
            let mut command = Command::new("unshare");
            command
                .args(["--user", "--map-root-user", "--mount", "sh", "-c", inner, "sh"])
                .arg(bench.program().get_program());
            command.args(["check", "--config", "config.json"]).current_dir(&bench.directory);
            command.env("HTTPS_PROXY", &proxy.url).env("https_proxy", &proxy.url);
            command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
            let none = check_reported(&bench.run_program(command), &["an unknown authority"]);
            assert!(bench.sandbox.requests().is_empty());
            format!("{reported}; without any: {none}")
        },
    },
];

super::tests! { case_42 case_43 case_44 case_45 }
