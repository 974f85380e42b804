//! Random coefficients of diffusion problems.
//!
//! | field | c |
//! |---|---|
//! | `constant` | 1 |
//! | `log-normal` | e^(σ g), g the smooth Gaussian field of [`super::coefficient`] with correlation length ℓ |
//! | `white` | e^(σ g), g independent on every triangle |
//! | `blocks` | 10^(δ u) on squares ℓ wide, u uniform in [−1, 1) |
use super::coefficient::{self, Coefficient as Smooth};
use crate::kernel::random::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A kind of coefficient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// c = 1.
    Constant,
    /// e^(deviation · g) with a smooth Gaussian field g, correlated over `scale` grid steps.
    LogNormal,
    /// e^(deviation · g) with a normal number g for each triangle.
    White,
    /// 10^(decades · u) on squares `scale` grid steps wide, u uniform in [−1, 1).
    Blocks,
}

/// One coefficient field.
pub(super) enum Coefficient {
    Constant,
    LogNormal { smooth: coefficient::Field, deviation: f64 },
    White { stream: Stream, deviation: f64 },
    Blocks { stream: Stream, decades: f64, width: f64 },
}

impl Coefficient {
    /// Draws a smooth field with correlation length `length`.
    pub(super) fn log_normal(stream: Stream, deviation: f64, length: f64) -> Self {
        let smooth = coefficient::Field::new(Smooth::LogNormal, 1.0, length, stream);
        Coefficient::LogNormal { smooth, deviation }
    }

    /// c on triangle number `id`, whose middle is at `[x, y]`.
    pub(super) fn on(&self, id: u64, [x, y]: [f64; 2]) -> f64 {
        match self {
            Coefficient::Constant => 1.0,
            Coefficient::LogNormal { smooth, deviation } => smooth.at([x, y]).powf(*deviation),
            Coefficient::White { stream, deviation } => (deviation * stream.normal(id)).exp(),
            Coefficient::Blocks { stream, decades, width } => {
                let [i, j] = [x, y].map(|at| (at / width) as u64);
                10f64.powf(decades * stream.signed(i << 32 | j, 0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::random::Purpose;

    fn stream(index: u64) -> Stream {
        Stream::new(Purpose::Test, 5, index, &[])
    }

    #[test]
    fn the_deviation_stretches_the_logarithm_of_a_smooth_field() {
        let at = [0.3, 0.6];
        let log = |deviation| Coefficient::log_normal(stream(1), deviation, 0.1).on(0, at).ln();
        assert!(log(1.0).abs() > 1e-3 && (log(1.5) - 1.5 * log(1.0)).abs() < 1e-14);
    }

    #[test]
    fn white_fields_differ_between_triangles_and_blocks_between_squares() {
        let white = Coefficient::White { stream: stream(0), deviation: 1.5 };
        let logs: Vec<f64> = (0..50_000).map(|id| white.on(id, [0.0; 2]).ln()).collect();
        let variance = logs.iter().map(|g| g * g).sum::<f64>() / logs.len() as f64;
        assert!((variance - 2.25).abs() < 0.06, "{variance}");
        let blocks = Coefficient::Blocks { stream: stream(0), decades: 2.0, width: 0.25 };
        assert_eq!(blocks.on(0, [0.26, 0.01]), blocks.on(7, [0.49, 0.24]));
        let side: Vec<f64> = (0..64).map(|k| k as f64 / 64.0).collect();
        let values: Vec<f64> = side
            .iter()
            .flat_map(|&x| side.iter().map(move |&y| [x, y]))
            .map(|at| blocks.on(0, at))
            .collect();
        let distinct: std::collections::BTreeSet<u64> =
            values.iter().map(|v| v.to_bits()).collect();
        assert_eq!(distinct.len(), 16);
        assert!(values.iter().all(|v| (0.01..100.0).contains(v)));
    }
}
