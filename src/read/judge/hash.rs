//! Hashes of keys, for a fast search for rows that may share one.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

/// Hashes of keys, which need no further hashing.
pub(super) type Hashes = HashSet<u64, BuildHasherDefault<AsItIs>>;

#[derive(Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash(0, bytes);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// A fast hash of a value. Collisions are harmless: rows with equal hashes are compared in full.
pub(super) fn hash(column: usize, bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = (column as u64 + 1).wrapping_mul(FACTOR) ^ bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let word = match <[u8; 8]>::try_from(chunk) {
            Ok(word) => u64::from_le_bytes(word),
            Err(_) => chunk.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte)),
        };
        hash = (hash.rotate_left(23) ^ word).wrapping_mul(FACTOR);
        hash ^= hash >> 32;
    }
    hash.wrapping_mul(FACTOR) ^ (hash >> 29)
}
