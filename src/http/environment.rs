//! Proxies and certificate authorities from environment variables. Unusable values are rejected instead of silently
//! ignored.

use crate::error::{Error, Result};

const CERTIFICATE: &[u8] = b"-----BEGIN";

pub(crate) fn bundled_roots() -> impl Iterator<Item = reqwest::Certificate> {
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    roots.filter_map(|root| reqwest::Certificate::from_der(root).ok())
}

/// Rejects a proxy that cannot be used. Only the variable that takes effect is checked.
pub(crate) fn refuse_unknown_proxies() -> Result<()> {
    let is_off = ["NO_PROXY", "no_proxy"].iter().any(|name| std::env::var(name).is_ok_and(|value| value.trim() == "*"));
    let names = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let set = names.iter().find_map(|name| Some((name, std::env::var(name).ok().filter(|value| !value.is_empty())?)));
    let Some((name, value)) = set.filter(|_| !is_off) else { return Ok(()) };
    let with_scheme = if value.contains("://") { value } else { format!("http://{value}") };
    let what = match reqwest::Url::parse(&with_scheme) {
        _ if !with_scheme.bytes().all(|byte| byte.is_ascii_graphic()) => "an invalid proxy address".to_owned(),
        Ok(url) if ["http", "https"].contains(&url.scheme()) => return Ok(()),
        Ok(url) => format!("a proxy of the unsupported type {}", url.scheme()),
        Err(_) => "an invalid proxy address".to_owned(),
    };
    Err(Error::config(format!(
        "{name} is set to {what}. Write it as http://host:port, with user:password@ before the host if the proxy needs \
         a login, or unset the variable."
    )))
}

/// Rejects an unreadable CA bundle that the user named, since falling back to another would be a surprise.
pub(crate) fn refuse_missing_roots() -> Result<()> {
    let is_wrong = |name: &str| match std::env::var_os(name).filter(|value| !value.is_empty()) {
        None => false,
        Some(path) if name == "SSL_CERT_DIR" => !std::path::Path::new(&path).is_dir(),
        Some(path) => {
            !std::fs::read(path).is_ok_and(|text| text.windows(CERTIFICATE.len()).any(|part| part == CERTIFICATE))
        }
    };
    match ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find(|name| is_wrong(name)) {
        Some(name) => Err(Error::config(format!("{name} does not point to a readable CA bundle. Fix or unset it."))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::http::environment::*;

    #[test]
    fn a_full_ca_bundle_is_included() {
        assert!(bundled_roots().count() > 100);
    }
}
