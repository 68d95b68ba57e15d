//! Who may connect: the connection limits, held by a permit that each connection carries.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::counters::{ConnectionCounters, count};
use super::limits::Limits;

/// Counts open connections, in all and by peer.
#[derive(Debug)]
pub(super) struct Admission {
    connections: usize,
    connections_per_peer: usize,
    counters: Arc<ConnectionCounters>,
    peers: Mutex<HashMap<IpAddr, usize>>,
}

/// The right to one open connection, given back when dropped.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    admission: Arc<Admission>,
    peer: Option<IpAddr>,
}

impl Admission {
    pub(super) fn new(limits: &Limits, counters: Arc<ConnectionCounters>) -> Arc<Self> {
        Arc::new(Self {
            connections: limits.connections,
            connections_per_peer: limits.connections_per_peer,
            counters,
            peers: Mutex::default(),
        })
    }

    /// Takes a permit for a connection from `peer`, or none if a limit is reached. A peer without an
    /// address (a Unix socket's) counts towards the total only.
    pub(super) fn admit(self: &Arc<Self>, peer: Option<IpAddr>) -> Option<ConnectionPermit> {
        let peer = peer.map(peer_key);
        if !self.take(peer) {
            count(&self.counters.refused_over_limit);
            return None;
        }
        count(&self.counters.accepted);
        Some(ConnectionPermit { admission: Arc::clone(self), peer })
    }

    fn take(&self, peer: Option<IpAddr>) -> bool {
        let mut peers = self.peers();
        if self.counters.open.load(Ordering::Relaxed) >= self.connections {
            return false;
        }
        if let Some(peer) = peer {
            let held = peers.get(&peer).copied().unwrap_or(0);
            if held >= self.connections_per_peer {
                return false;
            }
            peers.insert(peer, held + 1);
        }
        self.counters.open.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn give_back(&self, peer: Option<IpAddr>) {
        let mut peers = self.peers();
        self.counters.open.fetch_sub(1, Ordering::Relaxed);
        let Some(peer) = peer else { return };
        match peers.get_mut(&peer) {
            Some(held) if *held > 1 => *held -= 1,
            _ => drop(peers.remove(&peer)),
        }
    }

    fn peers(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.admission.give_back(self.peer);
    }
}

/// What counts as one peer: an IPv4 address, also when mapped into IPv6, or the /64 of an IPv6 one.
fn peer_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(connections: usize, connections_per_peer: usize) -> Arc<Admission> {
        let limits = Limits { connections, connections_per_peer, ..Limits::default() };
        Admission::new(&limits, Arc::default())
    }

    #[test]
    fn addresses_of_one_slash_64_are_one_peer() {
        let admission = admission(9, 1);
        let _held = admission.admit("2001:db8::1".parse().ok()).unwrap();
        assert!(admission.admit("2001:db8::2".parse().ok()).is_none());
        assert!(admission.admit("2001:db8:0:1::1".parse().ok()).is_some());
    }

    #[test]
    fn a_mapped_address_is_the_same_peer() {
        let admission = admission(9, 1);
        let _held = admission.admit("192.0.2.7".parse().ok()).unwrap();
        assert!(admission.admit("::ffff:192.0.2.7".parse().ok()).is_none());
    }

    #[test]
    fn a_permit_comes_back_and_leaves_nothing_behind() {
        let admission = admission(1, 1);
        drop(admission.admit("192.0.2.7".parse().ok()).unwrap());
        assert_eq!(admission.peers().len(), 0);
        assert!(admission.admit("192.0.2.7".parse().ok()).is_some());
    }

    #[test]
    fn a_unix_peer_counts_only_towards_the_total() {
        let admission = admission(2, 1);
        let _held = [admission.admit(None).unwrap(), admission.admit(None).unwrap()];
        assert!(admission.admit(None).is_none());
    }
}
