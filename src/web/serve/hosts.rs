//! The names under which browsers reach the dashboard.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::HOST;

/// The names under which browsers reach the dashboard.
///
/// A page of another site can make its own name point to this machine (DNS rebinding) and then read answers as its own. Such a
/// request has the name of the site in its Host header. An address of this machine cannot be made to point elsewhere.
#[derive(Debug, Clone)]
pub(super) struct Hosts {
    listen: IpAddr,
    names: Vec<String>,
}

impl Hosts {
    /// Allows loopback names, the address to listen on, and the given names.
    pub fn new(listen: IpAddr, names: &[String]) -> Self {
        Self { listen, names: names.iter().cloned().chain(["localhost".to_owned()]).collect() }
    }

    pub fn allows(&self, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
        let Some(name) = host.to_str().ok().and_then(without_port) else { return false };
        match name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(address) => address.is_loopback() || self.listen.is_unspecified() || address == self.listen,
            Err(_) => self.names.iter().any(|allowed| allowed.eq_ignore_ascii_case(name)),
        }
    }
}

/// Returns the name of a Host header, without the port.
fn without_port(host: &str) -> Option<&str> {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => Some(name),
        Some(_) if host.ends_with(']') => Some(host), // an IPv6 address without a port
        Some(_) => None,
        None => Some(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: axum::http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn only_own_addresses_and_names_are_allowed() {
        let hosts = Hosts::new([10, 0, 0, 7].into(), &["Dash.example.net".to_owned()]);
        let allows = |host: &str| hosts.allows(&header(HOST, host));
        let own = [
            "localhost",
            "LOCALHOST:8480",
            "127.0.0.1:8480",
            "[::1]:8480",
            "[::1]",
            "10.0.0.7",
            "dash.example.net:443",
        ];
        for host in own {
            assert!(allows(host), "{host}");
        }
        let others = [
            "evil.example",
            "localhost.evil.example",
            "dash.example.net.evil:80",
            "a@localhost",
            "localhost:x",
            "10.0.0.8",
            "",
        ];
        for host in others {
            assert!(!allows(host), "{host}");
        }
        assert!(!hosts.allows(&HeaderMap::new()));
        let mut twice = header(HOST, "localhost");
        twice.append(HOST, "evil.example".parse().unwrap());
        assert!(!hosts.allows(&twice));
    }
}
