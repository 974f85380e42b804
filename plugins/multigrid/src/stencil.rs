//! Symmetric matrices on a structured grid as stencils: four numbers a node for the seven-point
//! pattern, and no indices. They and all vectors of the cycle are planes of the grid (`kernel/grid.rs` of
//! the core), whose border is zero.
use precondor_sdk::core::kernel::{grid::Grid, remote};
use precondor_sdk::prelude::*;
use std::ops::Range;

/// Where node (i, j) stands in a plane.
pub(crate) fn at(grid: Grid, i: usize, j: usize) -> usize {
    (j + 1) * grid.stride() + i + 1
}

/// Where the nodes of row `j` stand.
pub(crate) fn line(grid: Grid, j: usize) -> Range<usize> {
    at(grid, 0, j)..at(grid, 0, j) + grid.mx
}

pub(crate) fn zeros(grid: Grid) -> Vec<f64> {
    vec![0.0; grid.plane()]
}

/// Directions in which couplings are stored; those the other way are known by symmetry.
pub(crate) const STORED: [(isize, isize); 4] = [(0, 0), (1, 0), (0, 1), (1, 1)];

/// A symmetric matrix with the seven-point pattern.
pub(crate) struct Stencil {
    grid: Grid,
    /// For each of the [`STORED`] directions, the entry between a node and its neighbour there.
    pub entries: [Vec<f64>; 4],
}

/// The numbers of a row of nodes, `shift` places away. Cut to a length that all slices of a loop share,
/// so that none of its accesses needs a check.
#[inline(always)]
fn moved<'a>(x: &'a [f64], row: &Range<usize>, shift: isize) -> &'a [f64] {
    &x[row.start.wrapping_add_signed(shift)..][..row.len()]
}

impl Stencil {
    pub fn zeros(grid: Grid) -> Self {
        Stencil { grid, entries: std::array::from_fn(|_| zeros(grid)) }
    }

    /// The whole of `a`, which lives on `grid` and is symmetric; on every rank. Collective.
    pub fn gather(a: &DistCsr, grid: Grid) -> Result<Self> {
        let mut stencil = Stencil::zeros(grid);
        let (first, own, ghost) = (a.space().start() as usize, a.own().view(), a.ghost().view());
        for i in 0..a.n_own() {
            stencil.take_row(first + i, own.row(i).map(|(j, value)| (first + j, value)));
            let ghosts = ghost.row(i).map(|(g, value)| (a.ghost_ids()[g] as usize, value));
            stencil.take_row(first + i, ghosts);
        }
        if a.space().comm().size() == 1 {
            return Ok(stencil);
        }
        let mine = a.space().start()..a.space().start() + a.n_own() as u64;
        let others: Vec<u64> = (0..a.n_global()).filter(|row| !mine.contains(row)).collect();
        let rows = remote::fetch(a, &others)?;
        for (row, range) in rows.ids.iter().zip(rows.row_ptr.windows(2)) {
            let cols = rows.cols[range[0]..range[1]].iter().map(|&col| col as usize);
            let values = rows.values[range[0]..range[1]].iter().copied();
            stencil.take_row(*row as usize, cols.zip(values));
        }
        Ok(stencil)
    }

    /// Takes the entries of a row that are stored with it.
    fn take_row(&mut self, row: usize, entries: impl Iterator<Item = (usize, f64)>) {
        let mx = self.grid.mx;
        // Rows have one border place.
        let at = row + row / mx + at(self.grid, 0, 0);
        for (col, value) in entries {
            // In a grid of one node a row, the next number is the node above.
            let stored = match col.wrapping_sub(row) {
                0 => 0,
                step if step == mx => 2,
                1 => 1,
                step if step == mx + 1 => 3,
                _ => continue,
            };
            self.entries[stored][at] = value;
        }
    }

    /// The first node, by number, whose diagonal entry is not positive, with that.
    pub fn not_positive(&self) -> Option<(u64, f64)> {
        let rows = (0..self.grid.my).flat_map(|j| &self.entries[0][line(self.grid, j)]);
        let mut numbered = (0..).zip(rows.copied());
        numbered.find(|(_, d)| !(*d > 0.0 && (1.0 / d).is_normal()))
    }

    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// How much further the neighbour in stored direction `k` stands.
    fn shift(&self, k: usize) -> isize {
        STORED[k].1 * self.grid.stride() as isize + STORED[k].0
    }

    /// The stored entries of node (i, j), each with the node that it is coupled to, which may lie
    /// outside.
    pub fn upper(&self, i: usize, j: usize) -> impl Iterator<Item = (f64, [usize; 2])> {
        let at = at(self.grid, i, j);
        let node = move |(dx, dy)| [i.wrapping_add_signed(dx), j.wrapping_add_signed(dy)];
        STORED.iter().zip(&self.entries).map(move |(step, e)| (e[at], node(*step)))
    }

    /// The matrix by rows, on one rank.
    pub fn to_rows(&self) -> Result<DistCsr> {
        let Grid { mx, my } = self.grid;
        let mut triplets = Vec::with_capacity(7 * self.grid.nodes());
        for j in 0..my {
            for i in 0..mx {
                let row = j * mx + i;
                for (value, [x, y]) in self.upper(i, j).filter(|(_, [x, y])| *x < mx && *y < my) {
                    let col = y * mx + x;
                    triplets.push((row, col, value));
                    if col != row {
                        triplets.push((col, row, value));
                    }
                }
            }
        }
        DistCsr::solo(Csr::from_triplets(mx * my, mx * my, triplets)?)
    }

    /// Σⱼ|aᵢⱼ| at every place of a plane, 1 on the border.
    pub fn absolute_sums(&self) -> Vec<f64> {
        let mut sums = vec![1.0; self.grid.plane()];
        let [c, e, n, d] = &self.entries;
        let s = self.grid.stride();
        for j in 0..self.grid.my {
            for at in line(self.grid, j) {
                sums[at] = c[at].abs()
                    + (e[at].abs() + e[at - 1].abs())
                    + (n[at].abs() + n[at - s].abs())
                    + (d[at].abs() + d[at - s - 1].abs());
            }
        }
        sums
    }

    /// `out = r − A z`.
    pub fn residual(&self, r: &[f64], z: &[f64], out: &mut [f64]) {
        for j in 0..self.grid.my {
            let row = line(self.grid, j);
            let [[c, _], [e, w], [n, s], [d, b]] = self.around(&row);
            let [[zc, _], [ze, zw], [zn, zs], [zd, zb]] = self.values(z, &row);
            let (r, out) = (moved(r, &row, 0), &mut out[row.start..][..row.len()]);
            for (i, out) in out.iter_mut().enumerate() {
                *out = r[i]
                    - c[i] * zc[i]
                    - (e[i] * ze[i] + w[i] * zw[i])
                    - (n[i] * zn[i] + s[i] * zs[i])
                    - (d[i] * zd[i] + b[i] * zb[i]);
            }
        }
    }

    /// `out = −U z`, with U the couplings to later nodes: the residual after a forward sweep from zero.
    pub fn residual_after_sweep(&self, z: &[f64], out: &mut [f64]) {
        for j in 0..self.grid.my {
            let row = line(self.grid, j);
            let [_, [e, _], [n, _], [d, _]] = self.around(&row);
            let [_, [ze, _], [zn, _], [zd, _]] = self.values(z, &row);
            let out = &mut out[row.start..][..row.len()];
            for (i, out) in out.iter_mut().enumerate() {
                *out = -(e[i] * ze[i] + n[i] * zn[i] + d[i] * zd[i]);
            }
        }
    }

    /// A Gauss–Seidel sweep from `z`, or from zero, in increasing order of nodes; `inverse` holds
    /// 1/aᵢᵢ, `known` one number a node of a row.
    pub fn sweep_forward(
        &self,
        inverse: &[f64],
        r: &[f64],
        z: &mut [f64],
        from_zero: bool,
        known: &mut [f64],
    ) {
        for j in 0..self.grid.my {
            let row = line(self.grid, j);
            let [_, [e, w], [n, s], [d, b]] = self.around(&row);
            let [_, [ze, _], [zn, zs], [zd, zb]] = self.values(z, &row);
            let (r, inverse) = (moved(r, &row, 0), moved(inverse, &row, 0));
            let known = &mut known[..row.len()];
            for (i, known) in known.iter_mut().enumerate() {
                *known = r[i] - (s[i] * zs[i] + b[i] * zb[i]);
            }
            if !from_zero {
                for (i, known) in known.iter_mut().enumerate() {
                    *known -= e[i] * ze[i] + n[i] * zn[i] + d[i] * zd[i];
                }
            }
            let (z, mut before) = (&mut z[row.start..][..row.len()], 0.0);
            for (i, z) in z.iter_mut().enumerate() {
                before = known[i] * inverse[i] - (w[i] * inverse[i]) * before;
                *z = before;
            }
        }
    }

    /// A Gauss–Seidel sweep from `z` in decreasing order of nodes.
    pub fn sweep_backward(&self, inverse: &[f64], r: &[f64], z: &mut [f64], known: &mut [f64]) {
        for j in (0..self.grid.my).rev() {
            let row = line(self.grid, j);
            let [_, [e, w], [n, s], [d, b]] = self.around(&row);
            let [_, [_, zw], [zn, zs], [zd, zb]] = self.values(z, &row);
            let (r, inverse) = (moved(r, &row, 0), moved(inverse, &row, 0));
            let known = &mut known[..row.len()];
            for (i, known) in known.iter_mut().enumerate() {
                *known = r[i]
                    - (w[i] * zw[i] + s[i] * zs[i] + b[i] * zb[i])
                    - (n[i] * zn[i] + d[i] * zd[i]);
            }
            let (z, mut before) = (&mut z[row.start..][..row.len()], 0.0);
            for (i, z) in z.iter_mut().enumerate().rev() {
                before = known[i] * inverse[i] - (e[i] * inverse[i]) * before;
                *z = before;
            }
        }
    }

    /// Entries of a row of nodes in each stored direction and the other way.
    #[inline(always)]
    fn around(&self, row: &Range<usize>) -> [[&[f64]; 2]; 4] {
        std::array::from_fn(|k| {
            let entries = &self.entries[k];
            [moved(entries, row, 0), moved(entries, row, -self.shift(k))]
        })
    }

    /// Values of `z` at the neighbours of a row of nodes in each stored direction and the other way.
    #[inline(always)]
    fn values<'a>(&self, z: &'a [f64], row: &Range<usize>) -> [[&'a [f64]; 2]; 4] {
        std::array::from_fn(|k| {
            let shift = self.shift(k);
            [moved(z, row, shift), moved(z, row, -shift)]
        })
    }
}
