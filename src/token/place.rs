//! Where a token may be used: the audiences it may be presented to, and the addresses it may come from.

use std::fmt;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use crate::profile::Audience;
use crate::text::Invalid;

/// How many bits of an IPv6 address stand before the IPv4 address that is mapped into it.
const MAPPED: u8 = 96;

/// A block of IPv4 or IPv6 addresses, in the one form that it has: no bits beyond the prefix, and what is mapped into IPv6
/// is IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr(IpNet);

impl Cidr {
    /// Takes a block like `192.0.2.0/24` or `2001:db8::/32`; a single address is a block of its own.
    ///
    /// # Errors
    /// [`Invalid`] if it is empty, of another form, or has bits beyond its prefix.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid::Missing);
        }
        let block = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        let block = block.filter(|block| block.addr() == block.network());
        block.map(|block| Self(unmapped(block))).ok_or(Invalid::Malformed(CIDR_FORM))
    }

    /// Whether an address lies within.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

const CIDR_FORM: &str =
    "a block of addresses like 192.0.2.0/24 or 2001:db8::/32, with no bits set beyond the prefix";

fn unmapped(block: IpNet) -> IpNet {
    let IpNet::V6(mapped) = block else { return block };
    let inner = mapped.addr().to_ipv4_mapped().zip(mapped.prefix_len().checked_sub(MAPPED));
    let inner = inner.and_then(|(address, length)| Ipv4Net::new(address, length).ok());
    inner.map_or(block, IpNet::V4)
}

impl fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

macro_rules! set_type {
    ($(#[$attribute:meta])* $name:ident, $item:ident, $limit:literal) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
        pub struct $name(Box<[$item]>);

        impl $name {
            /// The most of one token.
            pub const LIMIT: usize = $limit;

            /// Takes them in any order; the same one twice counts once.
            ///
            /// # Errors
            /// [`Invalid::TooMany`].
            pub fn new(mut items: Vec<$item>) -> Result<Self, Invalid> {
                if items.len() > Self::LIMIT {
                    return Err(Invalid::TooMany { limit: Self::LIMIT });
                }
                items.sort_unstable();
                items.dedup();
                Ok(Self(items.into_boxed_slice()))
            }

            /// Each of them, in order.
            #[must_use]
            pub const fn as_slice(&self) -> &[$item] {
                &self.0
            }
        }
    };
}

set_type!(
    /// Where a token may be presented: at most 8 audiences, none for anywhere.
    Audiences,
    Audience,
    8
);
set_type!(
    /// From where a token may be used: at most 32 blocks, none for anywhere.
    Cidrs,
    Cidr,
    32
);

impl Audiences {
    /// Whether a token with these may be presented here; where nobody says where this is, only one with none may.
    #[must_use]
    pub fn admit(&self, here: Option<&Audience>) -> bool {
        self.0.is_empty() || here.is_some_and(|here| self.0.contains(here))
    }
}

impl Cidrs {
    /// Whether a token with these may be used from an address; where it is not known, only one with none may.
    #[must_use]
    pub fn admit(&self, address: Option<IpAddr>) -> bool {
        self.0.is_empty() || address.is_some_and(|address| self.0.iter().any(|block| block.contains(address)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cidr(text: &str) -> Cidr {
        Cidr::parse(text).unwrap()
    }

    #[test]
    fn a_block_has_one_form() {
        assert_eq!(cidr("192.0.2.7").to_string(), "192.0.2.7/32");
        assert_eq!(cidr("2001:DB8::").to_string(), "2001:db8::/128");
        assert_eq!(cidr("::ffff:192.0.2.0/120"), cidr("192.0.2.0/24"));
        for wrong in ["", "192.0.2.1/24", "192.0.2.0/33", "2001:db8::1/32", "192.0.2", "example.com", "0/0"] {
            assert!(Cidr::parse(wrong).is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn an_ipv4_address_mapped_into_ipv6_is_that_ipv4_address() {
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        assert!(cidr("192.0.2.0/24").contains(mapped));
        assert!(!cidr("::/0").contains(mapped), "all of IPv6 is nothing of IPv4");
    }

    #[test]
    fn what_is_restricted_is_not_admitted_where_nothing_is_known() {
        let here = Audience::parse("scim".to_owned()).unwrap();
        let audiences = Audiences::new(vec![here.clone()]).unwrap();
        assert!(audiences.admit(Some(&here)) && !audiences.admit(None));
        assert!(Audiences::default().admit(None) && Cidrs::default().admit(None));
        assert!(!Cidrs::new(vec![cidr("0.0.0.0/0")]).unwrap().admit(None));
    }

    proptest! {
        #[test]
        fn an_address_lies_within_a_block_exactly_if_their_first_bits_agree(
            block: u32, address: u32, length in 0_u32..=32
        ) {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            let text = format!("{}/{length}", std::net::Ipv4Addr::from(block & mask));
            let within = (block & mask) == (address & mask);
            let address = std::net::Ipv4Addr::from(address);
            prop_assert_eq!(cidr(&text).contains(IpAddr::V4(address)), within);
            prop_assert_eq!(cidr(&text).contains(IpAddr::V6(address.to_ipv6_mapped())), within);
        }

        #[test]
        fn parsing_never_panics(text in "[0-9a-f:./]{0,44}|\\PC{0,20}") {
            drop(Cidr::parse(&text));
        }
    }
}
