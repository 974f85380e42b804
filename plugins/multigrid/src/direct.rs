//! The solve on the coarsest grid: Cholesky's factorisation of a band matrix.
//!
//! Cost: setup n b² flops and apply 4 n b for n nodes and b the shorter side of the grid plus one;
//! n (b + 1) numbers stored.
use precondor_sdk::core::kernel::band::Band;
use precondor_sdk::core::kernel::bands::Bands;
use precondor_sdk::core::kernel::grid::Grid;
use precondor_sdk::core::memory;
use precondor_sdk::prelude::*;

/// Numbers that a factor may have.
const LARGEST: usize = 1 << 27;
/// Multiplications between two looks at whether to go on, about.
const LOOK: usize = 1 << 24;

/// L with A = L Lᵀ.
pub(crate) struct Direct {
    grid: Grid,
    /// Nodes are numbered along the shorter side first.
    along_y: bool,
    factor: Band,
    x: Vec<f64>,
}

impl Direct {
    /// Factorises; asks `look` between rows whether to go on.
    pub fn new(a: &Bands, look: &dyn Fn() -> Result<()>) -> Result<Self> {
        let grid = a.grid;
        let (n, along_y) = (grid.nodes(), grid.my < grid.mx);
        let band = grid.mx.min(grid.my) + 1;
        let width = band + 1;
        if n.saturating_mul(width) > LARGEST {
            return Err(Error::Unsupported(format!(
                "parameter 'levels': a direct solve on {} by {} nodes would store {} numbers; allow \
                 more levels",
                grid.mx,
                grid.my,
                n.saturating_mul(width)
            )));
        }
        let what = format_args!(
            "parameter 'levels': a direct solve on {} by {} nodes; allow more levels",
            grid.mx, grid.my
        );
        let mut factor = Band::within(memory::vec_of(0.0, n * width, what)?, n, band);
        for j in 0..grid.my {
            for i in 0..grid.mx {
                let here = number(grid, along_y, i, j);
                for (value, [x, y]) in a.upper(i, j) {
                    if x < grid.mx && y < grid.my {
                        let there = number(grid, along_y, x, y);
                        let (row, col) = (here.max(there), here.min(there));
                        factor.add(row, col, value);
                    }
                }
            }
        }
        let (mut first, part) = (0, (LOOK / (width * width)).max(1));
        while first < n {
            look()?;
            let rows = first..(first + part).min(n);
            first = rows.end;
            factor.factorise_rows(rows, f64::EPSILON).map_err(|pivot| {
                Error::Breakdown(format!(
                    "the matrix is not positive definite: on the coarsest grid ({} by {} nodes) a \
                     pivot is {}",
                    grid.mx, grid.my, pivot.value
                ))
            })?;
        }
        Ok(Direct { grid, along_y, factor, x: vec![0.0; n] })
    }

    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// `z = A⁻¹ r`.
    pub fn solve(&mut self, r: &[f64], z: &mut [f64]) {
        let Direct { grid, along_y, factor, x } = self;
        for j in 0..grid.my {
            for (i, at) in grid.line(j).enumerate() {
                x[number(*grid, *along_y, i, j)] = r[at];
            }
        }
        factor.solve(x);
        for j in 0..grid.my {
            for (i, at) in grid.line(j).enumerate() {
                z[at] = x[number(*grid, *along_y, i, j)];
            }
        }
    }

    pub fn stored_entries(&self) -> usize {
        self.factor.entries()
    }

    pub fn bytes(&self) -> usize {
        8 * (self.factor.entries() + self.x.len())
    }
}

fn number(grid: Grid, along_y: bool, i: usize, j: usize) -> usize {
    if along_y { i * grid.my + j } else { j * grid.mx + i }
}
