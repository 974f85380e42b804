//! The solve on the coarsest grid: Cholesky's factorisation of a band matrix.
//!
//! Cost: setup n b² flops and apply 4 n b for n nodes and b the shorter side of the grid plus one;
//! n (b + 1) numbers stored.
//!
//! Reference: G. H. Golub, C. F. Van Loan, *Matrix Computations*, 4th ed., §4.3.5.
use crate::stencil::{Stencil, at};
use precondor_sdk::core::kernel::grid::Grid;
use precondor_sdk::core::memory;
use precondor_sdk::prelude::*;
use std::ops::Range;

/// Numbers that a factor may have.
const LARGEST: usize = 1 << 27;
/// Multiplications between two looks at whether to go on, about.
const LOOK: usize = 1 << 24;

/// L with A = L Lᵀ, by rows: the band's part of row i ends with the diagonal.
pub(crate) struct Direct {
    grid: Grid,
    /// Nodes are numbered along the shorter side first.
    along_y: bool,
    band: usize,
    factor: Vec<f64>,
    x: Vec<f64>,
}

impl Direct {
    /// Factorises; asks `look` between rows whether to go on.
    pub fn new(a: &Stencil, look: &dyn Fn() -> Result<()>) -> Result<Self> {
        let grid = a.grid();
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
        let mut factor = memory::vec_of(0.0, n * width, what)?;
        for j in 0..grid.my {
            for i in 0..grid.mx {
                let here = number(grid, along_y, i, j);
                for (value, [x, y]) in a.upper(i, j) {
                    if x < grid.mx && y < grid.my {
                        let there = number(grid, along_y, x, y);
                        let (row, col) = (here.max(there), here.min(there));
                        factor[row * width + band - (row - col)] = value;
                    }
                }
            }
        }
        let (mut first, part) = (0, (LOOK / (width * width)).max(1));
        while first < n {
            look()?;
            let rows = first..(first + part).min(n);
            first = rows.end;
            factorise(&mut factor, rows, band).map_err(|pivot| {
                Error::Breakdown(format!(
                    "the matrix is not positive definite: on the coarsest grid ({} by {} nodes) a \
                     pivot is {pivot}",
                    grid.mx, grid.my
                ))
            })?;
        }
        Ok(Direct { grid, along_y, band, factor, x: vec![0.0; n] })
    }

    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// `z = A⁻¹ r`.
    pub fn solve(&mut self, r: &[f64], z: &mut [f64]) {
        let Direct { grid, along_y, band, factor, x } = self;
        let (n, width) = (x.len(), *band + 1);
        for j in 0..grid.my {
            for i in 0..grid.mx {
                x[number(*grid, *along_y, i, j)] = r[at(*grid, i, j)];
            }
        }
        for i in 0..n {
            let first = i.saturating_sub(*band);
            let row = &factor[i * width..][..width];
            let (known, rest) = x.split_at_mut(i);
            let sum: f64 = row[*band - (i - first)..*band]
                .iter()
                .zip(&known[first..])
                .map(|(l, x)| l * x)
                .sum();
            rest[0] = (rest[0] - sum) / row[*band];
        }
        for i in (0..n).rev() {
            let first = i.saturating_sub(*band);
            let row = &factor[i * width..][..width];
            x[i] /= row[*band];
            let (others, this) = x.split_at_mut(i);
            for (other, l) in others[first..].iter_mut().zip(&row[*band - (i - first)..*band]) {
                *other -= l * this[0];
            }
        }
        for j in 0..grid.my {
            for i in 0..grid.mx {
                z[at(*grid, i, j)] = x[number(*grid, *along_y, i, j)];
            }
        }
    }

    pub fn stored_entries(&self) -> usize {
        self.factor.len()
    }

    pub fn bytes(&self) -> usize {
        8 * (self.factor.len() + self.x.len())
    }
}

fn number(grid: Grid, along_y: bool, i: usize, j: usize) -> usize {
    if along_y { i * grid.my + j } else { j * grid.mx + i }
}

/// Replaces some rows of the lower band of a symmetric matrix by those of its factor, which it has in those
/// before them; a pivot that is not positive is returned.
fn factorise(a: &mut [f64], rows: Range<usize>, band: usize) -> std::result::Result<(), f64> {
    let width = band + 1;
    for i in rows {
        let first = i.saturating_sub(band);
        let (done, this) = a.split_at_mut(i * width);
        for j in first..=i {
            // Σ over the columns that both rows have, up to j.
            let length = j - first;
            let mine = band - (i - first);
            if j == i {
                let sum: f64 = this[mine..band].iter().map(|l| l * l).sum();
                let pivot = this[band] - sum;
                if pivot.is_nan() || pivot <= f64::EPSILON * this[band].abs() {
                    return Err(pivot);
                }
                this[band] = pivot.sqrt();
            } else {
                let row = &done[j * width..][..width];
                let theirs = band - (j - first);
                let sum: f64 = this[mine..mine + length]
                    .iter()
                    .zip(&row[theirs..band])
                    .map(|(x, y)| x * y)
                    .sum();
                this[mine + length] = (this[mine + length] - sum) / row[band];
            }
        }
    }
    Ok(())
}
