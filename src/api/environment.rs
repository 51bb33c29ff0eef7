//! What the machine says about the way to Criteo: proxies and certificate authorities. What it says and cannot be used is
//! refused, never passed by in silence.

use crate::error::{Error, Result};

/// What every certificate in a list begins with.
const CERTIFICATE: &[u8] = b"-----BEGIN";

/// Mozilla's list of certificate authorities.
pub(super) fn bundled_roots() -> impl Iterator<Item = reqwest::Certificate> {
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    roots.filter_map(|root| reqwest::Certificate::from_der(root).ok())
}

/// A proxy that cannot be used must not be passed by in silence. Only the variable that counts is judged.
pub(super) fn refuse_unknown_proxies() -> Result<()> {
    let is_off = ["NO_PROXY", "no_proxy"].iter().any(|name| std::env::var(name).is_ok_and(|value| value.trim() == "*"));
    let names = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let set = names.iter().find_map(|name| Some((name, std::env::var(name).ok().filter(|value| !value.is_empty())?)));
    let Some((name, value)) = set.filter(|_| !is_off) else { return Ok(()) };
    let with_scheme = if value.contains("://") { value } else { format!("http://{value}") };
    let what = match reqwest::Url::parse(&with_scheme) {
        _ if !with_scheme.bytes().all(|byte| byte.is_ascii_graphic()) => "no address of a proxy".to_owned(),
        Ok(url) if ["http", "https"].contains(&url.scheme()) => return Ok(()),
        Ok(url) => format!("a proxy of the kind {}, which the connector does not know", url.scheme()),
        Err(_) => "no address of a proxy".to_owned(),
    };
    Err(Error::config(format!(
        "{name} names {what}. Write it as http://host:port, with user:password@ before the host if it wants a login, or take \
         the variable away."
    )))
}

/// A list of certificate authorities that the user names and that cannot be read must not be replaced by another.
pub(super) fn refuse_missing_roots() -> Result<()> {
    let is_wrong = |name: &str| match std::env::var_os(name).filter(|value| !value.is_empty()) {
        None => false,
        Some(path) if name == "SSL_CERT_DIR" => !std::path::Path::new(&path).is_dir(),
        Some(path) => {
            !std::fs::read(path).is_ok_and(|text| text.windows(CERTIFICATE.len()).any(|part| part == CERTIFICATE))
        }
    };
    match ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find(|name| is_wrong(name)) {
        Some(name) => Err(Error::config(format!(
            "{name} names no list of certificate authorities that can be read. Correct it, or take the variable away."
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_list_of_authorities_comes_along() {
        assert!(bundled_roots().count() > 100);
    }
}
