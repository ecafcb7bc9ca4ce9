//! A connection on which every byte counts.

use super::stack::patience;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

/// A connection to Envoy; dropped, it hangs up.
pub struct Raw(TcpStream);

impl Raw {
    /// Connects, and sends these bytes.
    pub fn open(to: SocketAddr, bytes: &str) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(patience())).unwrap();
        let mut raw = Self(stream);
        raw.send(bytes);
        raw
    }

    pub fn send(&mut self, bytes: &str) {
        self.0.write_all(bytes.as_bytes()).unwrap();
    }

    /// Reads until `text` has come so many times.
    pub fn read_until(&mut self, text: &str, times: usize) -> String {
        let mut come = Vec::new();
        loop {
            let mut piece = [0; 4096];
            let n = self.0.read(&mut piece).unwrap();
            come.extend_from_slice(&piece[..n]);
            let so_far = String::from_utf8_lossy(&come);
            if so_far.matches(text).count() >= times {
                return so_far.into_owned();
            }
            assert!(n > 0, "the end came after {so_far}");
        }
    }

    /// Reads until the server closes the connection.
    pub fn read_to_end(&mut self) -> String {
        let mut reply = String::new();
        self.0.read_to_string(&mut reply).unwrap();
        reply
    }
}
