//! Random coefficients of diffusion problems.
//!
//! | field | c |
//! |---|---|
//! | `constant` | 1 |
//! | `log-normal` | e^(σ g), g a smooth Gaussian field with correlation e^(−d²/2ℓ²) at distance d |
//! | `white` | e^(σ g), g independent on every triangle |
//! | `blocks` | 10^(δ u) on squares ℓ wide, u uniform in [−1, 1) |
//!
//! The smooth field is a sum of [`WAVES`] plane waves with normal wave vectors and amplitudes: its
//! covariance is that of the limit, its value at a point is normal, and any point can be evaluated
//! without the others.
//!
//! Reference: A. Rahimi, B. Recht, *Random features for large-scale kernel machines*, NIPS 2007, §3.
use crate::kernel::random::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Plane waves that a smooth field is made of.
const WAVES: u64 = 60;

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
    LogNormal { waves: Vec<Wave>, deviation: f64 },
    White { stream: Stream, deviation: f64 },
    Blocks { stream: Stream, decades: f64, width: f64 },
}

/// `a cos(k·x) + b sin(k·x)`.
pub(super) struct Wave {
    k: [f64; 2],
    a: f64,
    b: f64,
}

impl Coefficient {
    /// Draws a smooth field with correlation length `length`.
    pub(super) fn log_normal(stream: Stream, deviation: f64, length: f64) -> Self {
        let amplitude = 1.0 / (WAVES as f64).sqrt();
        let wave = |w: u64| {
            let [kx, ky, a, b] = [0, 1, 2, 3].map(|draw| stream.normal(4 * w + draw));
            Wave { k: [kx / length, ky / length], a: amplitude * a, b: amplitude * b }
        };
        Coefficient::LogNormal { waves: (0..WAVES).map(wave).collect(), deviation }
    }

    /// c on triangle number `id`, whose middle is at `[x, y]`.
    pub(super) fn on(&self, id: u64, [x, y]: [f64; 2]) -> f64 {
        match self {
            Coefficient::Constant => 1.0,
            Coefficient::LogNormal { waves, deviation } => {
                let wave = |w: &Wave| {
                    let (sin, cos) = (w.k[0] * x + w.k[1] * y).sin_cos();
                    w.a * cos + w.b * sin
                };
                (deviation * waves.iter().map(wave).sum::<f64>()).exp()
            }
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
    fn smooth_fields_have_the_variance_and_correlation_they_are_asked_for() {
        let (n, length) = (20_000, 0.1);
        let mut sums = [0.0; 4];
        for index in 0..n {
            let field = Coefficient::log_normal(stream(index), 1.0, length);
            let [at, beside] = [0.3, 0.3 + length].map(|x| field.on(0, [x, 0.6]).ln());
            let terms = [at, at * at, at * beside, beside * beside];
            sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term / n as f64);
        }
        let [mean, variance, covariance, other] = sums;
        // Each bound is about four standard deviations.
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.045, "{sums:?}");
        assert!((covariance - (-0.5f64).exp()).abs() < 0.045, "{sums:?}");
        assert!((other - 1.0).abs() < 0.045, "{sums:?}");
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
