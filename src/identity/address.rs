//! Addresses as accounts: without the port, and IPv6 by a network prefix, since one client has a whole
//! network of them.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// An address of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressField {
    /// Where the address is read.
    pub of: AddressOf,
    /// The bits of an IPv6 address that make an account, 1 to 128.
    pub ipv6_prefix: u8,
}

/// The place of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressOf {
    /// The address of the connection, as Envoy has it.
    Source,
    /// The entry of `x-forwarded-for` that stands at this place from the right, from 1: the one that the
    /// nearest proxy wrote is 1.
    Forwarded(usize),
}

impl AddressField {
    /// Returns the account of the address in `text`; `None` for text without an address.
    pub fn account(&self, text: &[u8]) -> Option<String> {
        let text = match self.of {
            AddressOf::Source => Cow::Borrowed(text),
            AddressOf::Forwarded(hop) => {
                let entries = text.rsplit(|b| *b == b',');
                Cow::Borrowed(entries.into_iter().nth(hop.checked_sub(1)?)?)
            }
        };
        let address = parse(std::str::from_utf8(&text).ok()?.trim())?;
        Some(match address.to_canonical() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => network(address, self.ipv6_prefix),
        })
    }
}

/// Reads an address with or without a port.
fn parse(text: &str) -> Option<IpAddr> {
    let with_port: Option<SocketAddr> = text.parse().ok();
    let bare = || {
        let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        inner.unwrap_or(text).parse().ok()
    };
    with_port.map(|address| address.ip()).or_else(bare)
}

fn network(address: Ipv6Addr, prefix: u8) -> String {
    let hidden = 128_u32.saturating_sub(prefix.into());
    let mask = u128::MAX.unbounded_shl(hidden);
    let network = Ipv6Addr::from_bits(address.to_bits() & mask);
    match hidden {
        0 => network.to_string(),
        _ => format!("{network}/{prefix}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(of: AddressOf, ipv6_prefix: u8, text: &str) -> Option<String> {
        AddressField { of, ipv6_prefix }.account(text.as_bytes())
    }

    #[test]
    fn a_port_is_no_part_of_an_account_and_ipv6_is_a_network() {
        for (text, wanted) in [
            ("127.0.0.1:45830", Some("127.0.0.1")),
            ("127.0.0.1", Some("127.0.0.1")),
            ("[2001:db8:1:2:3:4:5:6]:443", Some("2001:db8:1:2::/64")),
            ("2001:db8:1:2::9", Some("2001:db8:1:2::/64")),
            ("[2001:db8:1:2::9]", Some("2001:db8:1:2::/64")),
            ("::ffff:10.0.0.1", Some("10.0.0.1")),
            ("[::ffff:10.0.0.1]:80", Some("10.0.0.1")),
            ("", None),
            ("unknown", None),
            ("_hidden", None),
            ("10.0.0.256", None),
            ("/var/run/socket", None),
            ("1.2.3.4:99999", None),
        ] {
            let got = account(AddressOf::Source, 64, text);
            assert_eq!(got.as_deref(), wanted, "{text}");
        }
        let whole = account(AddressOf::Source, 128, "2001:db8::1");
        assert_eq!(whole.as_deref(), Some("2001:db8::1"));
        let wide = account(AddressOf::Source, 1, "ffff::1");
        assert_eq!(wide.as_deref(), Some("8000::/1"));
    }

    #[test]
    fn hops_count_from_the_nearest_proxy() {
        let list = "6.6.6.6, 1.1.1.1 ,2001:db8::1,10.0.0.1:80";
        for (hop, wanted) in [
            (1, Some("10.0.0.1")),
            (2, Some("2001:db8::/64")),
            (3, Some("1.1.1.1")),
            (4, Some("6.6.6.6")),
            (5, None),
            (0, None),
        ] {
            let got = account(AddressOf::Forwarded(hop), 64, list);
            assert_eq!(got.as_deref(), wanted, "{hop}");
        }
        assert_eq!(account(AddressOf::Forwarded(1), 64, "1.1.1.1,"), None);
    }
}
