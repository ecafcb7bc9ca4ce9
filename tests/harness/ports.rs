//! Ports of loopback for the servers that a test starts.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Returns a free port. It is below those that the system gives to connections: no connection of
/// another test takes it before its server does, and none connects to itself. A Redis in a cluster also
/// takes the port 10,000 above it, which is below them too, and none of these.
pub fn free_port() -> u16 {
    const PORTS: std::ops::Range<u32> = 12_000..20_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let next = TAKEN.fetch_add(1, Ordering::Relaxed);
        let shift = (std::process::id() * 97 + next) % (PORTS.end - PORTS.start);
        let port = u16::try_from(PORTS.start + shift).unwrap();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
