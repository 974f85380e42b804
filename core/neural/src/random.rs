//! Random numbers whose whole state is two words, so that a checkpoint can hold it.
//!
//! SplitMix64 (G. Steele, D. Lea, C. Flood, *Fast splittable pseudorandom number generators*, OOPSLA
//! 2014): output number `c` of key `k` is a fixed mixing function of `k + c·γ`.

use serde::{Deserialize, Serialize};

use precondor_core::kernel::random::{GAMMA, mix};

use crate::number::Number;

/// A stream of random numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Random {
    key: u64,
    drawn: u64,
}

impl Random {
    /// Stream number `stream` of `seed`; streams of one seed are independent.
    pub fn new(seed: u64, stream: u64) -> Self {
        Random { key: mix(mix(seed.wrapping_add(GAMMA)) ^ stream.wrapping_mul(GAMMA)), drawn: 0 }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.drawn += 1;
        mix(self.key.wrapping_add(self.drawn.wrapping_mul(GAMMA)))
    }

    /// Leaves out the next `count` draws of 64 bits.
    pub fn skip(&mut self, count: usize) {
        self.drawn += count as u64;
    }

    /// A number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A whole number in `0 … n − 1`; the bias is below `n/2⁶⁴`.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// Fills `x` with independent signs, `size` or `−size`.
    pub fn signs<T: Number>(&mut self, size: T, x: &mut [T]) {
        for block in x.chunks_mut(64) {
            let bits = self.bits();
            for (b, value) in block.iter_mut().enumerate() {
                *value = if bits >> b & 1 == 1 { size } else { -size };
            }
        }
    }

    /// Draws of 64 bits that [`signs`](Self::signs) takes for `len` signs.
    pub fn draws_of_signs(len: usize) -> usize {
        len.div_ceil(64)
    }

    /// Puts `items` into a random order.
    pub fn shuffle<I>(&mut self, items: &mut [I]) {
        for k in (1..items.len()).rev() {
            items.swap(k, self.below(k + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_uniform_distribution() {
        let mut random = Random::new(3, 0);
        let n = 100_000;
        let (mut mean, mut square) = (0.0, 0.0);
        for _ in 0..n {
            let x = random.unit();
            mean += x / n as f64;
            square += x * x / n as f64;
        }
        assert!((mean - 0.5).abs() < 0.004 && (square - 1.0 / 3.0).abs() < 0.004);
    }

    #[test]
    fn streams_differ_and_a_restored_state_continues() {
        let mut first = Random::new(3, 0);
        assert_ne!(first.bits(), Random::new(3, 1).bits());
        let text = serde_json::to_string(&first).unwrap();
        let mut restored: Random = serde_json::from_str(&text).unwrap();
        assert_eq!(first.bits(), restored.bits());
    }

    #[test]
    fn signs_are_balanced_and_shuffles_are_permutations() {
        let mut signs = vec![0.0f64; 10_000];
        Random::new(1, 0).signs(1.0, &mut signs);
        assert!(signs.iter().sum::<f64>().abs() < 400.0);
        assert!(signs.iter().all(|s| s.abs() == 1.0));
        let (mut drawn, mut left_out) = (Random::new(1, 0), Random::new(1, 0));
        drawn.signs(1.0, &mut signs[..130]);
        left_out.skip(Random::draws_of_signs(130));
        assert_eq!(drawn, left_out);
        let mut order: Vec<usize> = (0..50).collect();
        Random::new(1, 0).shuffle(&mut order);
        assert_ne!(order, (0..50).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..50).collect::<Vec<_>>());
    }
}
