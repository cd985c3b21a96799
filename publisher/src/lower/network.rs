//! Networks as people write them → the operands of `cidr` (FORMAT M-4.5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use flagstone_model::network::{self, Network, NetworkError};

/// The network that is meant: of an address, the one of it alone; of ADDRESS/BITS, the one that begins with these bits,
/// whatever the others are.
///
/// # Errors
///
/// If the text is neither.
pub fn meant_network(text: &str) -> Result<Network, NetworkError> {
    let Some((address, bits)) = text.split_once('/') else {
        let address = network::address(text).ok_or(NetworkError)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        return Network::parse(&format!("{address}/{bits}"));
    };
    let wide: u8 = bits.parse().map_err(|_| NetworkError)?;
    let first = match address.parse().map_err(|_| NetworkError)? {
        IpAddr::V4(first) => {
            let others = u32::MAX.checked_shr(wide.into()).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(first.to_bits() & !others))
        }
        IpAddr::V6(first) => {
            let others = u128::MAX.checked_shr(wide.into()).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(first.to_bits() & !others))
        }
    };
    Network::parse(&format!("{first}/{bits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_bits_that_are_set_become_the_network_that_is_meant() {
        for (written, network) in [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("10.1.2.3/0", "0.0.0.0/0"),
            ("10.1.2.3/32", "10.1.2.3/32"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("::1", "::1/128"),
            ("::ffff:10.1.2.3", "10.1.2.3/32"),
            ("::ffff:10.1.2.3/112", "10.1.0.0/16"),
        ] {
            assert_eq!(meant_network(written).unwrap().to_string(), network);
        }
        for text in ["10.1.2.3/33", "10.1.2.3/08", "x/8", "10.0.0.0/", "::1/129", "", "10.1.2"] {
            assert_eq!(meant_network(text), Err(NetworkError), "{text}");
        }
    }
}
