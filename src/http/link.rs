//! Which download links are followed: https at public addresses only. A tampered response must not make this machine
//! read its own files or contact hosts on its private network.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::error::{Error, Result};
use crate::support::text::excerpt;

/// Checks a link. With a simulated API on loopback it must lead to loopback, too.
///
/// # Errors
/// `system_error` that names the scheme or host of a rejected link. Its path and query may be a key, so they are left
/// out.
pub(crate) fn checked(link: &str, root: &Url, is_loopback: bool) -> Result<Url> {
    let url: Url = link.parse().map_err(|_| refused("an invalid download link"))?;
    let scheme = url.scheme();
    // guard: kinds-of-links
    if scheme != "https" && !(is_loopback && scheme == "http") {
        return Err(refused(&format!(
            "a download link with the scheme {}: (only https: is followed)",
            excerpt(scheme)
        )));
    }
    let host = url.host_str().ok_or_else(|| refused("a download link without a host"))?;
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    let name = excerpt(host);
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused(&format!("a download link to {name} that contains a user name")));
    }
    let is_to_loopback = address.map_or_else(|| is_local_name(host), |address| address.is_loopback());
    if is_loopback {
        return if is_to_loopback {
            Ok(url)
        } else {
            Err(refused(&format!("a download link to {name}, while api_base_url is a simulation on this machine")))
        };
    }
    let is_private = address.map_or(is_to_loopback, |address| !is_public(address)); // guard: private-links
    if is_private && url.host_str() != root.host_str() {
        return Err(refused(&format!("a download link to {name}, an address in a private network")));
    }
    Ok(url)
}

fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

fn refused(what: &str) -> Error {
    Error::system(format!(
        "Criteo sent {what}. It was not followed, and none of the file was read. A proxy may have changed the \
         response; if not, ask Criteo's support about the link."
    ))
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inside) => is_public_v4(inside),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_benchmark = a == 198 && (b == 18 || b == 19);
    !(a == 0
        || a >= 224
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_documentation()
        || is_shared
        || is_benchmark
        || (a, b, c) == (192, 0, 0))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let first = address.segments()[0];
    // Only 2000::/3 is allocated; 2001:db8::/32 is for documentation.
    (first & 0xe000) == 0x2000 && !(first == 0x2001 && address.segments()[1] == 0x0db8)
}

/// The IPv4 address embedded in an IPv6 address: mapped, NAT64 or 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            Some(of(high, low))
        }
        _ => None,
    }
}

/// A resolver that rejects links to private addresses. The address that was checked is the one connected to.
#[derive(Clone, Default)]
pub(crate) struct Names {
    /// Hosts of links. Other hosts, such as a proxy, are the user's own choice.
    links: Arc<Mutex<HashSet<String>>>,
}

impl Names {
    /// Requires a name to resolve to public addresses from now on.
    pub(crate) fn must_be_public(&self, name: &str) {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }

    fn is_of_link(&self, name: &str) -> bool {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a private address")]
pub(crate) struct PrivateAddress;

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let is_of_link = self.is_of_link(name.as_str());
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let look_up = move || -> io::Result<Vec<SocketAddr>> {
                std::net::ToSocketAddrs::to_socket_addrs(&(host.as_str(), 0)).map(Iterator::collect)
            };
            let addresses = tokio::task::spawn_blocking(look_up).await??;
            if is_of_link && addresses.iter().any(|address| !is_public(address.ip())) {
                return Err(PrivateAddress.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

pub(crate) fn private_name(host: &str) -> Error {
    refused(&format!("a download link to {}, which resolves to an address in a private network", excerpt(host)))
}

#[cfg(test)]
mod tests {
    use crate::http::link::*;

    #[test]
    fn only_https_links_to_public_addresses_are_followed() {
        let root: Url = "https://api.criteo.com/2026-07".parse().unwrap();
        let ask = |link: &str| checked(link, &root, false).map_err(|error| error.message);
        assert!(ask("https://store.example/a?sig=1").is_ok());
        assert!(ask("https://8.8.8.8/a").is_ok() && ask("https://[2600::1]/a").is_ok());
        for link in [
            "http://store.example/a?sig=tell-nobody",
            "file:///etc/passwd",
            "ftp://store.example/a",
            "data:text/plain,tell-nobody",
            "https://user:tell-nobody@store.example/a",
            "https://localhost/a",
            "https://x.localhost./a",
            "tell-nobody",
            "",
        ] {
            let error = ask(link).unwrap_err();
            assert!(error.contains("not followed") && !error.contains("tell-nobody"), "{link}: {error}");
        }
        for host in [
            "10.0.0.5",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "127.0.0.1",
            "0.0.0.0",
            "100.64.0.1",
            "2130706433",
            "0x7f.1",
            "224.0.0.1",
            "255.255.255.255",
            "[::1]",
            "[::]",
            "[fe80::1]",
            "[fd00::1]",
            "[::ffff:10.0.0.5]",
            "[64:ff9b::a00:5]",
            "[2002:a00:5::1]",
            "[ff02::1]",
            "[2001:db8::1]",
        ] {
            let error = ask(&format!("https://{host}/a?sig=tell-nobody")).unwrap_err();
            assert!(error.contains("private network") && !error.contains("tell-nobody"), "{host}: {error}");
        }
    }

    #[test]
    fn a_simulation_follows_only_loopback_links() {
        let root: Url = "http://127.0.0.1:1/2026-07".parse().unwrap();
        for link in ["http://127.0.0.1:2/a", "https://[::1]/a", "http://localhost/a"] {
            assert!(checked(link, &root, true).is_ok(), "{link}");
        }
        for link in [
            "https://store.example/a",
            "http://10.0.0.5/a",
            "https://169.254.169.254/a",
            "file:///etc/passwd",
            "ftp://127.0.0.1/a",
        ] {
            assert!(checked(link, &root, true).unwrap_err().message.contains("not followed"), "{link}");
        }
    }
}
