//! A family of problems that is not shipped: a chain of masses between two walls, with springs of random stiffness.
use precondor_core::kernel::random::Stream;
use precondor_core::problem::{Assembly, Family, Rows};
use precondor_core::system::{COORDINATES, NEAR_NULL_SPACE};
use precondor_core::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use std::ops::Range;

/// The family.
pub struct Springs;

/// Its parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Masses.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub masses: u64,
    /// Stiffnesses lie within 1 and this.
    #[schemars(range(min = 1.0, max = 1e6))]
    pub contrast: f64,
    /// Directions in which each mass moves: unknowns of a node, coupled by a weak spring.
    #[schemars(range(min = 1, max = 3))]
    pub directions: u64,
}

impl Default for Params {
    fn default() -> Self {
        Params { masses: 100, contrast: 100.0, directions: 1 }
    }
}

/// One chain.
pub struct Chain {
    params: Params,
    stream: Stream,
}

impl Family for Springs {
    const NAME: &'static str = "springs-of-rust";
    const SUMMARY: &'static str = "a chain of masses and springs between two walls";
    type Params = Params;
    type System = Chain;

    fn system(params: &Params, seed: u64, index: u64) -> Result<Chain> {
        let Params { masses, contrast, directions } = *params;
        if masses == 13 {
            return Err(Error::Parameter("'masses': 13 brings bad luck".into()));
        }
        let params = Params { masses, contrast, directions };
        Ok(Chain { params, stream: Stream::under(seed, index, &[]) })
    }
}

impl Assembly for Chain {
    fn unknowns(&self) -> u64 {
        self.params.masses * self.params.directions
    }

    fn block_size(&self) -> usize {
        self.params.directions as usize
    }

    fn assemble(&self, rows: Range<u64>, out: &mut Rows) -> Result<()> {
        let (d, n) = (self.params.directions, self.unknowns());
        // Spring i is before mass i.
        let stiffness = |i: u64| self.params.contrast.powf(0.5 + 0.5 * self.stream.signed(i, 0));
        for row in rows {
            let (mass, direction) = (row / d, row % d);
            let (before, after) = (stiffness(mass), stiffness(mass + 1));
            // In any order, the diagonal in parts.
            let before = [(row + d < n).then_some((row + d, -after)), Some((row, before))];
            let after = [Some((row, after)), (row >= d).then(|| (row - d, -stiffness(mass)))];
            let weak = (0..d).filter(|other| *other != direction);
            let weak = weak.flat_map(|other| [(mass * d + other, -0.125), (row, 0.25)]);
            out.row(before.into_iter().chain(after).flatten().chain(weak));
            out.rhs(1.0 + direction as f64);
            out.aux(COORDINATES, &[mass as f64]);
            if d > 1 {
                let mode = |k: u64| if k == direction { 1.0 } else { 0.0 };
                out.aux(NEAR_NULL_SPACE, &(0..d).map(mode).collect::<Vec<_>>());
            }
        }
        Ok(())
    }
}
