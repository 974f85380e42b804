//! Coefficient fields c of −∇·(c ∇u) = f.
//!
//! | name | c |
//! |---|---|
//! | `constant` | 1 |
//! | `smooth` | e^(3x) |
//! | `jump` | 1 and `contrast` on the fields of a 4 × 4 chequerboard, 1 at the origin |
//! | `log-normal` | e^g, g a Gaussian field with mean 0, variance 1 and covariance e^(−d²/(2ℓ²)) |
//!
//! The Gaussian field is a sum of [`MODES`] random waves, g(x) = √(2/N) Σₖ cos(ωₖ·x + φₖ) with ωₖ normal
//! with variance 1/ℓ² in both directions and φₖ uniform: a function of the place alone, so that it is
//! the same on any mesh and any number of ranks. Its covariance is exact, its distribution normal up
//! to terms of 1/N.
//!
//! Cost: the log-normal field takes N cosines a place, the others a few flops.
//! Reference: A. Rahimi, B. Recht, *Random features for large-scale kernel machines*, NIPS 2007.
use crate::kernel::random::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A coefficient field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Coefficient {
    /// c = 1.
    Constant,
    /// c = e^(3x).
    Smooth,
    /// 1 and `contrast` on the fields of a 4 × 4 chequerboard, 1 at the origin.
    Jump,
    /// e^g, with g a Gaussian field of variance 1 and correlation length `correlation`; another field
    /// for every system.
    LogNormal,
}

/// Waves that make up the Gaussian field.
pub const MODES: u64 = 48;

/// A coefficient as a function of the place.
pub(super) enum Field {
    Constant,
    Smooth,
    Jump {
        contrast: f64,
    },
    /// ω and φ of every wave.
    LogNormal(Vec<([f64; 2], f64)>),
}

impl Field {
    /// The field of one system; `stream` is where its random numbers come from.
    pub fn new(kind: Coefficient, contrast: f64, correlation: f64, stream: Stream) -> Self {
        let wave = |k: u64| {
            let [a, b] = [3 * k, 3 * k + 1].map(|place| stream.normal(place) / correlation);
            let [x, y] = stream.in_disc(3 * k + 2, 0).0;
            ([a, b], y.atan2(x))
        };
        match kind {
            Coefficient::Constant => Field::Constant,
            Coefficient::Smooth => Field::Smooth,
            Coefficient::Jump => Field::Jump { contrast },
            Coefficient::LogNormal => Field::LogNormal((0..MODES).map(wave).collect()),
        }
    }

    /// c at a place of the unit square.
    pub fn at(&self, [x, y]: [f64; 2]) -> f64 {
        match self {
            Field::Constant => 1.0,
            Field::Smooth => (3.0 * x).exp(),
            Field::Jump { contrast } => {
                let odd = ((4.0 * x) as u32 + (4.0 * y) as u32) % 2 == 1;
                if odd { *contrast } else { 1.0 }
            }
            Field::LogNormal(waves) => {
                let wave = |([a, b], phase): &([f64; 2], f64)| (a * x + b * y + phase).cos();
                ((2.0 / waves.len() as f64).sqrt() * waves.iter().map(wave).sum::<f64>()).exp()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::random::Purpose;

    #[test]
    fn the_gaussian_field_has_its_moments_and_its_covariance() {
        let (l, places) = (0.3, [[0.2, 0.7], [0.2 + 0.3, 0.7], [0.9, 0.1]]);
        let count = 4000u64;
        let (mut mean, mut square, mut fourth, mut near) = (0.0, 0.0, 0.0, 0.0);
        for index in 0..count {
            let stream = Stream::new(Purpose::Test, 5, index, &[]);
            let field = Field::new(Coefficient::LogNormal, 1.0, l, stream);
            let [g, beside, far] = places.map(|place| field.at(place).ln());
            mean += g + far;
            square += g * g;
            fourth += g.powi(4);
            near += g * beside;
        }
        let n = count as f64;
        // Each bound is about four standard deviations.
        assert!((mean / n).abs() < 0.09, "{}", mean / n);
        assert!((square / n - 1.0).abs() < 0.09, "{}", square / n);
        assert!((fourth / n - 3.0).abs() < 0.6, "{}", fourth / n);
        // One correlation length apart.
        assert!((near / n - (-0.5f64).exp()).abs() < 0.08, "{}", near / n);
    }
}
