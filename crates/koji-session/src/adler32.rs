//! Adler-32 (RFC 1950, section 8.2): the checksum Koji verifies uploads with.

const MODULUS: u32 = 65_521;
/// Bytes that can be summed before the sums must be reduced, so that they fit 32 bits (zlib's NMAX).
const RUN: usize = 5_552;

/// A running Adler-32 sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adler32 {
    a: u32,
    b: u32,
}

impl Default for Adler32 {
    fn default() -> Self {
        Self { a: 1, b: 0 }
    }
}

impl Adler32 {
    /// The sum of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut sum = Self::default();
        sum.update(bytes);
        sum
    }

    /// Adds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        for run in bytes.chunks(RUN) {
            for byte in run {
                self.a += u32::from(*byte);
                self.b += self.a;
            }
            self.a %= MODULUS;
            self.b %= MODULUS;
        }
    }

    /// Eight hex digits, as the hub writes it.
    pub fn hex(self) -> String {
        format!("{:08x}", self.b << 16 | self.a)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sums_come_out() {
        assert_eq!(Adler32::of(b"").hex(), "00000001");
        assert_eq!(Adler32::of(b"Wikipedia").hex(), "11e60398");
        // zlib.adler32(b"\xff" * 100000)
        assert_eq!(Adler32::of(&vec![0xff; 100_000]).hex(), PYTHONS_ANSWER);
    }

    const PYTHONS_ANSWER: &str = "149a302c";
}
