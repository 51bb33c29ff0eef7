//! Why an attempt failed on its way, in words that say what to check.

use std::time::Duration;

use crate::error::Error;
use crate::http::link::{self, PrivateAddress};
use crate::http::retry::{Failure, Wait};

pub(crate) fn slow(message: &str) -> Failure {
    let wait = Wait::Backoff(Duration::from_secs(1));
    Failure::Retryable { error: Error::transient(message), wait, is_slow: true }
}

pub(super) fn network_failure(host: &str, error: reqwest::Error) -> Failure {
    if is_private(&error) {
        return Failure::Permanent(link::private_name(host));
    }
    // Drops the URL: errors must not contain queries.
    let error = error.without_url();
    let detail = chain(&error);
    let words = detail.to_lowercase();
    let hint = [
        (
            "unknownissuer",
            "its certificate is from an unknown authority. Behind a proxy that intercepts TLS, set SSL_CERT_FILE to \
             the proxy's certificate",
        ),
        ("not valid for name", "its certificate is for another host"),
        ("certificate expired", "its certificate expired; check this machine's clock"),
        ("protocolversion", "it supports no safe TLS version (1.2 or later)"),
        (
            "proxy authorization required",
            "the proxy requires a login; set HTTPS_PROXY to http://user:password@host:port",
        ),
        ("dns error", "its name cannot be resolved; check this machine's DNS"),
        ("connection refused", "the connection was refused; check proxy and firewall"),
        ("unreachable", "there is no route to it; check network and firewall"),
        ("tunnel error", "the proxy blocks the connection"),
    ]
    .into_iter()
    .find_map(|(mark, hint)| words.contains(mark).then_some(hint));
    let message = match hint {
        Some(hint) => format!("Cannot reach {host}: {hint}."),
        None if error.is_timeout() || error.is_connect() => {
            format!("Cannot connect to {host}; check network, proxy and firewall.")
        }
        None => format!("The connection to {host} broke before the response was complete."),
    };
    Failure::retryable(Error::transient(message).with_detail(detail))
}

/// Whether a link's host resolves to a private address.
fn is_private(error: &reqwest::Error) -> bool {
    let first: &dyn std::error::Error = error;
    std::iter::successors(Some(first), |error| error.source()).any(<dyn std::error::Error>::is::<PrivateAddress>)
}

/// The full chain of causes: the outermost one only says that something failed.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
