//! The addresses where sessions were begun, as far as Kratos knows. Pure.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::answer::Answer;
use crate::kratos::Device;

/// Parses a network. Bits beyond the prefix are ignored.
pub fn network(text: &str) -> Option<IpNet> {
    text.trim().parse::<IpNet>().ok().map(|network| network.trunc())
}

/// Parses an address as Kratos stores it: alone, or as `ip:port`. An IPv4 address within IPv6 becomes IPv4.
pub fn address(stored: &str) -> Option<IpAddr> {
    let stored = stored.trim();
    let alone = stored.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let address = alone.or_else(|_| stored.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// Whether a session was begun outside of these networks. Unknown where one of its addresses is unknown.
pub fn is_outside(networks: &[IpNet], devices: &[Device]) -> Answer {
    if devices.is_empty() {
        return Answer::Unknown;
    }
    let mut answer = Answer::No;
    for device in devices {
        match device.ip_address.as_deref().and_then(address) {
            None => return Answer::Unknown,
            Some(address) if networks.iter().any(|network| network.contains(&address)) => {}
            Some(_) => answer = Answer::Yes,
        }
    }
    answer
}
