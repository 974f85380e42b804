//! A family of problems of your own: solved, compared and trained on by name, as a shipped kind is.
//!
//!     cargo run --example own_problem
use precondor::core::kernel::random::Stream;
use precondor::core::problem::{Assembly, Family, NativeFamily, Rows};
use precondor::core::system::COORDINATES;
use precondor::prelude::*;
use precondor::{schemars, serde};
use std::ops::Range;

/// −∇·(c ∇u) = 1 on the unit square, u = 0 around it: finite volumes on m × m cells, c of each cell 1 or a contrast.
struct Checkers;

/// Its parameters. The host adds `seed`.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "precondor::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor::schemars")]
struct Params {
    /// Cells along a side.
    #[schemars(range(min = 1, max = 4000))]
    cells: u64,
    /// The coefficient where it is not 1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    contrast: f64,
}

impl Default for Params {
    fn default() -> Self {
        Params { cells: 40, contrast: 1000.0 }
    }
}

/// One system: any rank can say any of its rows.
struct Board {
    m: u64,
    contrast: f64,
    stream: Stream,
}

impl Family for Checkers {
    const NAME: &'static str = "checkers";
    const SUMMARY: &'static str = "diffusion through cells of two coefficients, at random";
    type Params = Params;
    type System = Board;

    fn system(params: &Params, seed: u64, index: u64) -> Result<Board> {
        // All that is random comes from this stream, by place: system, training and rank play no part in it.
        let stream = Stream::under(seed, index, &[]);
        Ok(Board { m: params.cells, contrast: params.contrast, stream })
    }
}

impl Board {
    fn coefficient(&self, cell: u64) -> f64 {
        if self.stream.signed(cell, 0) < 0.0 { 1.0 } else { self.contrast }
    }
}

impl Assembly for Board {
    fn unknowns(&self) -> u64 {
        self.m * self.m
    }

    fn assemble(&self, rows: Range<u64>, out: &mut Rows) -> Result<()> {
        let m = self.m;
        for cell in rows {
            let (i, j) = (cell % m, cell / m);
            let beside = [(i > 0, cell.wrapping_sub(1)), (i + 1 < m, cell + 1)];
            let above = [(j > 0, cell.wrapping_sub(m)), (j + 1 < m, cell + m)];
            let here = self.coefficient(cell);
            for (inside, other) in beside.into_iter().chain(above) {
                if inside {
                    let there = self.coefficient(other);
                    let flux = 2.0 * here * there / (here + there);
                    out.entry(other, -flux);
                    out.entry(cell, flux);
                } else {
                    out.entry(cell, 2.0 * here);
                }
            }
            out.end_row();
            out.rhs(((m * m) as f64).recip());
            let place = |k: u64| (k as f64 + 0.5) / m as f64;
            out.aux(COORDINATES, &[place(i), place(j)]);
        }
        Ok(())
    }
}

fn main() -> Result<()> {
    let mut methods = Methods::find()?;
    methods.add_family(NativeFamily::<Checkers>::of(env!("CARGO_PKG_VERSION")))?;
    let config = "[problem]\nkind = 'checkers'\nseed = 7\n[solver]\nmethod = 'cg'\n";
    for name in ["jacobi", "ic", "amg"] {
        let config = Config::parse(config)?.set(&format!("preconditioner.name='{name}'"))?;
        let solved = config.solve(&methods)?;
        println!("{name}: {} iterations", solved.report.iterations);
    }
    // It is checked as a shipped kind is.
    let asked = Config::parse(config)?.set("problem.cels=5")?.solve(&methods);
    println!("{}", asked.err().map_or_else(String::new, |e| e.to_string()));
    Ok(())
}
