//! IP addresses, and networks of them (FORMAT M-4.5, `cidr`).
#![deny(clippy::arithmetic_side_effects)]

use core::net::{IpAddr, Ipv4Addr};

/// Reads an address as contexts carry it: IPv4 without leading zeros, or IPv6 without a zone. An IPv6 address that
/// carries an IPv4 one, `::ffff:a.b.c.d`, is that IPv4 address.
///
/// ```
/// use flagstone_model::network::{self, Network};
///
/// let network = Network::parse("10.1.0.0/16")?;
/// assert!(network.contains(network::address("::ffff:10.1.2.3").unwrap()));
/// # Ok::<(), flagstone_model::network::NetworkError>(())
/// ```
pub fn address(text: &str) -> Option<IpAddr> {
    // The standard library reads just these forms: RFC 4291 §2.2, and four decimal numbers without leading zeros.
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// All addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    /// How many leading bits are fixed: 0–32 or 0–128.
    bits: u8,
}

/// A text that is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a network is ADDRESS/BITS, the bits after them zero, such as 10.0.0.0/8 or 2001:db8::/32")]
pub struct NetworkError;

impl Network {
    /// Reads an operand of `cidr`.
    pub fn parse(text: &str) -> Result<Self, NetworkError> {
        read(text).ok_or(NetworkError)
    }

    /// Whether the address, as [`address`] gives it, lies inside. The two families never match.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                (first.to_bits() ^ address.to_bits()) & mask4(self.bits) == 0
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                (first.to_bits() ^ address.to_bits()) & mask6(self.bits) == 0
            }
            _ => false,
        }
    }
}

fn read(text: &str) -> Option<Network> {
    let (address, bits) = text.split_once('/')?;
    let plain = (1..=3).contains(&bits.len()) && bits.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || bits.len() > 1 && bits.starts_with('0') {
        return None;
    }
    let bits: u8 = bits.parse().ok()?;
    match address.parse().ok()? {
        IpAddr::V4(first) => v4(first, bits),
        IpAddr::V6(first) => {
            let is_clean = bits <= 128 && first.to_bits() & !mask6(bits) == 0;
            match (first.to_ipv4_mapped(), bits.checked_sub(MAPPED_BITS)) {
                _ if !is_clean => None,
                (Some(first), Some(bits)) => v4(first, bits),
                _ => Some(Network { first: IpAddr::V6(first), bits }),
            }
        }
    }
}

/// The bits of `::ffff:0:0/96`, before the IPv4 address.
const MAPPED_BITS: u8 = 96;

fn v4(first: Ipv4Addr, bits: u8) -> Option<Network> {
    (bits <= 32 && first.to_bits() & !mask4(bits) == 0).then_some(Network { first: IpAddr::V4(first), bits })
}

const fn mask4(bits: u8) -> u32 {
    match u32::MAX.checked_shr(bits as u32) {
        Some(rest) => !rest,
        None => u32::MAX,
    }
}

const fn mask6(bits: u8) -> u128 {
    match u128::MAX.checked_shr(bits as u32) {
        Some(rest) => !rest,
        None => u128::MAX,
    }
}

/// Writes the operand that [`Network::parse`] reads.
impl core::fmt::Display for Network {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, text: &str) -> bool {
        Network::parse(network).unwrap().contains(address(text).unwrap())
    }

    #[test]
    fn an_address_lies_in_a_network_by_its_leading_bits() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("192.0.2.128/25", "192.0.2.128", "192.0.2.127"),
            ("203.0.113.7/32", "203.0.113.7", "203.0.113.6"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("2001:db8::1/128", "2001:0DB8:0:0:0:0:0:1", "2001:db8::2"),
            ("fe80::/10", "febf::", "fec0::"),
        ] {
            assert!(holds(network, inside), "{network} {inside}");
            assert!(!holds(network, outside), "{network} {outside}");
        }
        assert!(holds("0.0.0.0/0", "255.255.255.255") && holds("::/0", "ffff::"));
    }

    #[test]
    fn families_never_match_but_a_mapped_address_is_an_ipv4_one_on_both_sides() {
        assert!(!holds("0.0.0.0/0", "::1") && !holds("::/0", "1.2.3.4"));
        assert!(holds("10.0.0.0/8", "::ffff:10.1.2.3") && holds("10.0.0.0/8", "::ffff:a01:203"));
        assert!(holds("::ffff:10.0.0.0/104", "10.1.2.3") && !holds("::ffff:10.0.0.0/104", "11.0.0.1"));
        assert!(holds("::ffff:0:0/96", "1.2.3.4"));
        // A wider network holds the addresses around them, and not them.
        assert!(!holds("::/0", "::ffff:1.2.3.4") && holds("::/80", "::fffe:1:1"));
        // "IPv4-compatible" addresses are not mapped ones.
        assert!(!holds("10.0.0.0/8", "::10.1.2.3"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "1.2.3.256",
            "1.2.3.4 ",
            " 1.2.3.4",
            "1.2.3.4/32",
            "0x1.2.3.4",
            "fe80::1%eth0",
            "[::1]",
            "1::2::3",
            ":::",
            "12345::",
            "::1.2.3.04",
            "1:2:3:4:5:6:7",
            "localhost",
            "1:2:3:4:5:6:7:8:9",
            "1.2.3.4:80",
        ] {
            assert!(address(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_network_of_another_shape_is_refused() {
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/08",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "10.0.0.0/8/8",
            "10/8",
            "2001:db8::1/64",
            "::/129",
            "fe80::%1/64",
            "::ffff:10.0.0.1/104",
            "::1/",
            "10.0.0.0 /8",
            "010.0.0.0/8",
            "10.0.0.0/256",
            "10.0.0.0/1000",
        ] {
            assert_eq!(Network::parse(text), Err(NetworkError), "{text}");
        }
    }
}
