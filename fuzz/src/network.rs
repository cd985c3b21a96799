//! Networks, and the addresses in them (FORMAT M-4.5).

use std::net::IpAddr;

use flagstone_model::network::{Network, address};

use crate::shape::{Choices, Shaped};

/// An address and a network, one a line.
pub(crate) fn body(bytes: &[u8]) -> bool {
    let Some(text) = crate::text(bytes, shaped) else { return false };
    let (host, block) = text.split_once('\n').unwrap_or((&text, ""));
    let host_read = address(host);
    if let Some(read) = host_read {
        let theirs: IpAddr = host.parse().expect("the standard library reads every address that we read");
        assert_eq!(read, theirs.to_canonical(), "`::ffff:0:0/96` is IPv4");
    }
    let network = Network::parse(block);
    if let Ok(network) = &network {
        let spelled = network.to_string();
        let again = Network::parse(&spelled).expect("what is written is read");
        assert_eq!(again.to_string(), spelled, "a network has one spelling");
        if let Some(host) = host_read {
            assert_eq!(network.contains(host), inside(host, block), "{host} in {block}");
            assert_eq!(again.contains(host), network.contains(host));
        }
    }
    if let Ok(around) = Network::around(block) {
        Network::parse(&around.to_string()).expect("a network that is proposed is read");
    }
    host_read.is_some() || network.is_ok()
}

/// Whether `host` is in `block`, counted in the 128 bits of IPv6.
fn inside(host: IpAddr, block: &str) -> bool {
    let (base, length) = block.split_once('/').expect("a network that was read has its length");
    let (base, length): (IpAddr, u32) =
        (base.parse().expect("an address"), length.parse().expect("a length"));
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()),
        IpAddr::V6(v6) => u128::from(v6),
    };
    let length = if base.is_ipv4() { length + 96 } else { length };
    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
    // A block of IPv6 that is wider than the mapped addresses holds none of IPv4: families never match.
    if host.is_ipv4() && length < 96 {
        return false;
    }
    bits(host) & mask == bits(base) & mask
}

fn spelled(u: &mut Choices<'_>) -> Shaped<String> {
    const GROUPS: [&str; 12] =
        ["0", "1", "ffff", "FFFF", "db8", "2001", "00001", "0001", "g", "", "fe80", "a"];
    Ok(match u.int_in_range(0..=9)? {
        0..=3 => {
            let parts: Shaped<Vec<String>> = (0..4)
                .map(|_| {
                    Ok(match u.int_in_range(0..=9)? {
                        0 => (*u.choose(&["256", "01", "00", "", " 1", "0x1"])?).into(),
                        1 => (*u.choose(&["0", "255", "127", "10"])?).into(),
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
            let count = *u.choose(&[8, 8, 7, 9])?;
            let groups: Shaped<Vec<_>> = (0..count).map(|_| u.choose(&GROUPS).copied()).collect();
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
