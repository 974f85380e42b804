//! Time on a machine that the user describes by three numbers: a model, no measurement.
//!
//! ```text
//! T = max over ranks ( flops / flop_rate + messages · latency + bytes / bandwidth )
//!     + for every reduction: ⌈log₂ p⌉ · latency + (p − 1) · (bytes a rank brings) / bandwidth
//! ```
//!
//! Reductions are gathers: every rank gets the numbers of all and adds them in rank order, which makes
//! them reproducible and lets them tell of faults, at the price of the second term; ⌈log₂ p⌉ messages are
//! what recursive doubling takes. [`Cluster::seconds`] also takes the usual alternative, a reduction that
//! adds on the way and so moves the same few numbers in each of its ⌈log₂ p⌉ steps. Overlap of messages
//! and products, contention, and caches that hold small blocks are left out.
//!
//! Reference: R. Hockney, *The communication challenge for MPP*, Parallel Comput. 20 (1994), for latency
//! and bandwidth; R. Thakur, R. Rabenseifner, W. Gropp, *Optimization of collective communication
//! operations in MPICH*, Int. J. High Perform. Comput. Appl. 19 (2005), §4.1, for gathers.
use precondor_core::comm::predict::Rank;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A machine, and what to reckon for it.
///
/// The default is ARCHER2, an HPE Cray EX with one rank a core. From its public description
/// (docs.archer2.ac.uk, "ARCHER2 hardware"): nodes of 2 × 64 cores, 2 × 204.8 GB/s of memory bandwidth
/// at best and 2 × 100 Gb/s into the network. 128 ranks share those: a rank gets 195 MB/s of network
/// and, at 6 bytes of memory a flop (a product with a sparse matrix reads 12 bytes an entry), 533 Mflop/s.
/// The latency of 2 µs is a round number of ours for MPI on such networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cluster {
    /// What reports call it.
    pub name: String,
    /// Seconds a message takes, however short.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub latency: f64,
    /// Bytes a second that a rank sends where all ranks do.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub bandwidth: f64,
    /// Flops a second of a rank in sparse products, where all ranks of its node compute.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub flop_rate: f64,
    /// Level of the grid to reckon with: 2^level − 1 nodes a side.
    #[schemars(range(min = 1, max = 20))]
    pub level: u32,
    /// Ranks to go up to.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub ranks: u64,
}

impl Default for Cluster {
    fn default() -> Self {
        Cluster {
            name: "ARCHER2, a rank on each core (docs.archer2.ac.uk)".into(),
            latency: 2e-6,
            bandwidth: 25e9 / 128.0,
            flop_rate: 409.6e9 / 128.0 / 6.0,
            level: 13,
            ranks: 100_000,
        }
    }
}

/// Seconds with the reductions that there are, and with ones that add on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Seconds {
    /// Every rank gets the numbers of all.
    pub gathered: f64,
    /// Partial sums travel.
    pub summed: f64,
}

impl Cluster {
    /// Seconds for what the ranks of a job do.
    pub fn seconds(&self, ranks: &[Rank]) -> Seconds {
        let apart = |rank: &Rank| {
            let pairs = [rank.traffic.exchange, rank.traffic.all_to_all];
            let messages: u64 = pairs.iter().map(|flow| flow.messages).sum();
            let bytes: u64 = pairs.iter().map(|flow| flow.bytes).sum();
            rank.flops as f64 / self.flop_rate
                + messages as f64 * self.latency
                + bytes as f64 / self.bandwidth
        };
        let slowest = ranks.iter().map(apart).fold(0.0, f64::max);
        // The same on every rank but for what `all_gather` takes of different length.
        let gather = ranks.iter().map(|rank| rank.traffic.gather);
        let calls = gather.clone().map(|flow| flow.calls).max().unwrap_or(0) as f64;
        let bytes = gather.map(|flow| flow.bytes).max().unwrap_or(0) as f64;
        let (steps, others) = (f64::from(steps(ranks.len() as u64)), ranks.len() as f64 - 1.0);
        Seconds {
            gathered: slowest + calls * steps * self.latency + others * bytes / self.bandwidth,
            summed: slowest + steps * (calls * self.latency + bytes / self.bandwidth),
        }
    }

    /// Numbers of ranks to reckon for: powers of two, and the last.
    pub fn ranks(&self) -> Vec<u64> {
        let powers = (0..=self.ranks.ilog2()).map(|k| 1 << k);
        let mut ranks: Vec<u64> = powers.collect();
        if ranks.last() != Some(&self.ranks) {
            ranks.push(self.ranks);
        }
        ranks
    }

    /// Nodes a side of the grid.
    pub fn m(&self) -> u64 {
        (1 << self.level) - 1
    }
}

/// ⌈log₂ p⌉.
fn steps(p: u64) -> u32 {
    p.next_power_of_two().ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use precondor_core::comm::count::{Flow, Traffic};

    #[test]
    fn seconds_add_up_by_hand() {
        let cluster = Cluster {
            latency: 0.5,
            bandwidth: 8.0,
            flop_rate: 100.0,
            ranks: 5,
            ..Cluster::default()
        };
        let traffic = |messages, bytes| Traffic {
            exchange: Flow { calls: 1, messages, bytes },
            gather: Flow { calls: 3, messages: 0, bytes: 96 },
            ..Traffic::default()
        };
        let rank = |messages, bytes, flops| Rank { traffic: traffic(messages, bytes), flops };
        let ranks =
            [rank(1, 32, 100), rank(2, 16, 100), rank(0, 0, 700), rank(2, 0, 0), rank(0, 0, 0)];
        // The slowest rank: 7 s of flops (the others 1 + 0.5 + 4 and 1 + 1 + 2). Three steps of 0.5 s
        // for each of three reductions, and 4 · 96 or 3 · 96 bytes at 8 a second.
        let Seconds { gathered, summed } = cluster.seconds(&ranks);
        assert_eq!((gathered, summed), (7.0 + 4.5 + 48.0, 7.0 + 4.5 + 36.0));
        assert_eq!(cluster.ranks(), [1, 2, 4, 5]);
        assert_eq!([1, 2, 3, 4, 5, 100_000].map(steps), [0, 1, 2, 2, 3, 17]);
        // One rank sends nothing and gathers nothing.
        let alone = Rank { traffic: Traffic::default(), flops: 50 };
        assert_eq!(cluster.seconds(&[alone]), Seconds { gathered: 0.5, summed: 0.5 });
    }

    #[test]
    fn the_default_machine_has_the_numbers_of_its_description() {
        let cluster = Cluster::default();
        assert_eq!((cluster.bandwidth / 1e6).round(), 195.0);
        assert_eq!((cluster.flop_rate / 1e6).round(), 533.0);
        assert_eq!((cluster.m(), cluster.ranks), (8191, 100_000));
        assert_eq!(cluster.ranks().len(), 18);
    }
}
