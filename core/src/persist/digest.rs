//! Telling matrices apart.
use crate::Result;
use crate::comm::Communicator;
use crate::kernel::random;
use crate::matrix::DistCsr;

/// Numbers that tell the pattern and the values of a matrix, the same however its rows are spread:
/// sums over all entries of a hash of the place, and of place and value. Two matrices with equal
/// digests are the same but for malice or a chance of 2⁻¹²⁸.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Of the places of the entries, in hexadecimal digits.
    pub pattern: String,
    /// Of places and values.
    pub values: String,
}

impl Digest {
    /// Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn of(a: &DistCsr) -> Result<Self> {
        let mut sums = [0u64; 4];
        for i in 0..a.n_own() {
            let row = a.global_row(i);
            for (col, value) in a.global_entries(i) {
                let place = mix(mix(row) ^ col.rotate_left(32));
                let entry = mix(place ^ value.to_bits());
                let words = [place, mix(place ^ OTHER), entry, mix(entry ^ OTHER)];
                sums.iter_mut().zip(words).for_each(|(sum, word)| *sum = sum.wrapping_add(word));
            }
        }
        let all = a.space().comm().all_gather(&sums)?;
        let total = |k: usize| all.iter().fold(0u64, |sum, of| sum.wrapping_add(of[k]));
        let digits = |k: usize| format!("{:016x}{:016x}", total(k), total(k + 1));
        Ok(Digest { pattern: digits(0), values: digits(2) })
    }
}

/// Makes a second hash of a first one.
const OTHER: u64 = 0x6a09_e667_f3bc_c909;

/// A step of SplitMix64 from `x`.
pub(super) fn mix(x: u64) -> u64 {
    random::mix(x.wrapping_add(random::GAMMA))
}
