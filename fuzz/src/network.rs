//! Networks, and the addresses in them (FORMAT M-4.5).

use std::net::IpAddr;

use flagstone_model::network::{Network, address};
use flagstone_publisher::lower::meant_network;

use crate::shape::{Choices, Shaped};

/// An address and a network, one a line.
pub(crate) fn body(bytes: &[u8]) -> bool {
    let Some(text) = crate::text(bytes, shaped) else { return false };
    let (host, block) = text.split_once('\n').unwrap_or((&text, ""));
    let host_read = address(host);
    assert_eq!(host_read.map(Bits::of), Bits::read(host), "{host:?}");
    let network = Network::parse(block);
    let by_hand = Block::read(block);
    assert_eq!(network.is_ok(), by_hand.is_some(), "{block:?}");
    if let (Ok(network), Some(by_hand)) = (&network, by_hand) {
        let spelled = network.to_string();
        let again = Network::parse(&spelled).expect("what is written is read");
        assert_eq!(again.to_string(), spelled, "a network has one spelling");
        assert_eq!(Block::read(&spelled), Some(by_hand), "and it is that network");
        if let Some(host) = host_read {
            assert_eq!(network.contains(host), by_hand.holds(Bits::of(host)), "{host} in {block}");
            assert_eq!(again.contains(host), network.contains(host));
        }
    }
    // What is proposed for a network that is none is one, and holds what was written; one that is stays.
    if let Ok(meant) = meant_network(block) {
        let spelled = Block::read(&meant.to_string()).expect("a network");
        let written = block.split_once('/').map_or(block, |(address, _)| address);
        let differing = spelled.first.bits ^ Bits::read(written).expect("an address").bits;
        assert_eq!(differing & mask(spelled.length), 0, "{meant} for {block:?}");
    }
    if let Ok(network) = network {
        assert_eq!(meant_network(block), Ok(network));
    }
    host_read.is_some() || network.is_ok()
}

/// An address, its family told apart; one of IPv4 has the bits of `::ffff:0:0/96`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bits {
    is_v4: bool,
    bits: u128,
}

/// A network: its first address, and how many of 128 bits are fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    first: Bits,
    length: u32,
}

const MAPPED: u128 = 0xFFFF << 32;

impl Bits {
    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self { is_v4: true, bits: MAPPED | u128::from(u32::from(v4)) },
            IpAddr::V6(v6) => Self { is_v4: false, bits: u128::from(v6) },
        }
    }

    /// Reads an address by the letter of the format: nothing of the standard library's is asked.
    fn read(text: &str) -> Option<Self> {
        if let Some(v4) = octets(text) {
            return Some(Self { is_v4: true, bits: MAPPED | u128::from(v4) });
        }
        let groups = match text.split_once("::") {
            None => groups(text, true).filter(|groups| groups.len() == 8)?,
            Some((head, tail)) => {
                let (mut head, tail) = (groups(head, false)?, groups(tail, true)?);
                let zeros = 8usize.checked_sub(head.len() + tail.len()).filter(|zeros| *zeros > 0)?;
                head.extend(std::iter::repeat_n(0, zeros));
                head.extend(tail);
                head
            }
        };
        let bits = groups.into_iter().fold(0, |bits, group| bits << 16 | u128::from(group));
        Some(Self { is_v4: bits >> 32 == MAPPED >> 32, bits })
    }
}

impl Block {
    fn read(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        let length = decimal(length, 128)?;
        let first = Bits::read(address)?;
        let length =
            if address.contains(':') { length } else { length.checked_add(96).filter(|l| *l <= 128)? };
        (first.bits & !mask(length) == 0).then_some(Self { first, length })
    }

    fn holds(self, address: Bits) -> bool {
        self.first.is_v4 == address.is_v4 && (self.first.bits ^ address.bits) & mask(self.length) == 0
    }
}

/// The first `length` of 128 bits.
fn mask(length: u32) -> u128 {
    u128::MAX.checked_shl(128 - length).unwrap_or(0)
}

/// Decimal digits without leading zeros.
fn decimal(text: &str, most: u32) -> Option<u32> {
    let plain = matches!(text.len(), 1..=3) && text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || text.len() > 1 && text.starts_with('0') {
        return None;
    }
    let number = text.bytes().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
    (number <= most).then_some(number)
}

fn octets(text: &str) -> Option<u32> {
    let parts: Vec<_> = text.split('.').map(|part| decimal(part, 255)).collect::<Option<_>>()?;
    (parts.len() == 4).then(|| parts.into_iter().fold(0, |bits, octet| bits << 8 | octet))
}

/// Groups of 16 bits between colons; at the end of an address the last two may be written as IPv4.
fn groups(text: &str, ends: bool) -> Option<Vec<u16>> {
    if text.is_empty() {
        return Some(vec![]);
    }
    let mut groups = vec![];
    let last = text.split(':').count() - 1;
    for (index, part) in text.split(':').enumerate() {
        if let (true, Some(v4)) = (ends && index == last, octets(part)) {
            groups.extend([(v4 >> 16) as u16, (v4 & 0xFFFF) as u16]);
        } else {
            let plain = matches!(part.len(), 1..=4) && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            groups.push(plain.then(|| u16::from_str_radix(part, 16).ok())??);
        }
    }
    Some(groups)
}

fn spelled(u: &mut Choices<'_>) -> Shaped<String> {
    const GROUPS: [&str; 9] = ["0", "1", "ffff", "FFFF", "db8", "2001", "0001", "fe80", "a"];
    const NO_GROUPS: [&str; 3] = ["00001", "g", ""];
    Ok(match u.int_in_range(0..=9)? {
        0..=3 => {
            let parts: Shaped<Vec<String>> = (0..4)
                .map(|_| {
                    Ok(match u.int_in_range(0..=19)? {
                        19 => (*u.choose(&["256", "01", "00", "", " 1", "0x1"])?).into(),
                        0 => (*u.choose(&["0", "255", "127", "10"])?).into(),
                        _ => u.arbitrary::<u8>()?.to_string(),
                    })
                })
                .collect();
            parts?.join(".")
        }
        4 => format!("::ffff:{}.{}.0.1", u.arbitrary::<u8>()?, u.arbitrary::<u8>()?),
        5 => {
            (*u.choose(&["::", "::1", "1::", "fe80::1%eth0", "::ffff:0:0", "::ffff:a00:1", "1.2.3"])?).into()
        }
        6 => std::net::Ipv6Addr::from(u.arbitrary::<u128>()?).to_string(),
        _ => {
            let count = *u.choose(&[8, 8, 8, 7, 9])?;
            let groups: Shaped<Vec<_>> = (0..count)
                .map(|_| match u.int_in_range(0..=19)? {
                    19 => u.choose(&NO_GROUPS).copied(),
                    _ => u.choose(&GROUPS).copied(),
                })
                .collect();
            groups?.join(":")
        }
    })
}

fn shaped(u: &mut Choices<'_>) -> Shaped<String> {
    let host = spelled(u)?;
    let length: u16 = match u.int_in_range(0..=9)? {
        0 => *u.choose(&[0, 1, 31, 32, 33, 95, 96, 97, 127, 128, 129, 999])?,
        _ => u.int_in_range(0..=32)?,
    };
    // Most networks lie around the host, their host bits zero.
    let block = match (u.int_in_range(0..=3)?, address(&host)) {
        (1.., Some(IpAddr::V4(v4))) if length <= 32 => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            format!("{}/{length}", std::net::Ipv4Addr::from(u32::from(v4) & mask))
        }
        (1.., Some(IpAddr::V6(v6))) => {
            let length = 4 * length.min(32);
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            format!("{}/{length}", std::net::Ipv6Addr::from(u128::from(v6) & mask))
        }
        _ => format!("{}/{length}", spelled(u)?),
    };
    Ok(format!("{host}\n{block}"))
}
