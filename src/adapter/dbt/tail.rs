//! The end of an output that may have no end.
//!
//! May import nothing of this crate.

/// The last bytes of what was pushed.
#[derive(Debug)]
pub struct Tail {
    limit: usize,
    bytes: Vec<u8>,
}

impl Tail {
    /// Keeps at least the last `limit` bytes, and never more than twice as many and one piece.
    pub fn new(limit: usize) -> Self {
        Self { limit, bytes: Vec::new() }
    }

    /// Adds a piece. What is too old goes only once as much has come again, so that each byte is
    /// moved once.
    pub fn push(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
        if self.bytes.len() > 2 * self.limit {
            self.bytes.drain(..self.bytes.len() - self.limit);
        }
    }

    /// The last bytes, at most as many as the limit.
    pub fn last(&self) -> &[u8] {
        &self.bytes[self.bytes.len().saturating_sub(self.limit)..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept() {
        let mut tail = Tail::new(10);
        tail.push(b"abc");
        assert_eq!(tail.last(), b"abc");
        for round in 0..1000u32 {
            tail.push(format!("{round:04}").as_bytes());
            assert!(tail.bytes.len() <= 20);
        }
        assert_eq!(tail.last(), b"9709980999");
        tail.push(&[b'x'; 100]);
        assert_eq!(tail.last(), [b'x'; 10]);
        assert!(tail.bytes.capacity() <= 256);
    }
}
