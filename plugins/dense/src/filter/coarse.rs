//! The smooth part of an inverse: Pc Ac⁻¹ Pcᵀ with Ac = Pcᵀ A Pc, on a coarse grid.
//!
//! Pc interpolates bilinearly from kx × ky nodes, evenly spread over the rectangle, to the nodes of
//! the grid that A lives on. A far entry of A⁻¹ (Green's function away from its pole) is smooth and
//! therefore almost in the range of Pc on both sides: what the sparse remainder has to hold is near
//! the diagonal.
use crate::elimination::{Pivots, invert};
use crate::filter::rows::from_rows;
use ndarray::Array2;
use precondor_sdk::core::kernel::bilinear::Bilinear;
use precondor_sdk::core::kernel::grid::Grid;
use precondor_sdk::core::memory;
use precondor_sdk::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Pc Ac⁻¹ Pcᵀ.
pub(crate) struct Coarse {
    /// The up to four coarse nodes around each own row, with weights.
    weights: Vec<[(u32, f64); 4]>,
    inverse: Array2<f64>,
    comm: Comm,
    work: Mutex<Work>,
}

/// What an application works in, a number for each coarse node.
struct Work {
    mine: Vec<f64>,
    all: Vec<f64>,
    solved: Vec<f64>,
}

impl Coarse {
    /// For `kx` × `ky` coarse nodes. Collective.
    pub fn new(a: &DistCsr, grid: Grid, [kx, ky]: [usize; 2]) -> Result<Self> {
        let space = a.space();
        let functions = Bilinear::new(grid, [kx, ky]);
        let weights: Vec<_> = (0..a.n_own())
            .map(|row| {
                let (i, j) = grid.place(a.global_row(row));
                let mut corners = [(0, 0.0); 4];
                let found = functions.functions(i as usize, j as usize);
                let found = found.map(|(node, weight)| (node as u32, weight));
                corners.iter_mut().zip(found).for_each(|(to, from)| *to = from);
                corners
            })
            .collect();
        let count = kx * ky;
        let what = format_args!("parameter 'coarse': the matrix of {kx} by {ky} nodes; take fewer");
        memory::require(4 * 8 * memory::count(&[count as u64; 2], what)? as u128, what)?;
        let galerkin = Self::galerkin(a, &weights, count)?;
        let size = galerkin.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
        let mut inverse = galerkin;
        let inverted = invert(&mut inverse, Pivots::Definite, f64::EPSILON * size, |_| Ok(()))?;
        inverted.map_err(|node| {
            Error::Breakdown(format!(
                "parameter 'coarse': the coarse matrix is not positive definite at its node {node}; \
                 use fewer coarse nodes than rows, and a positive definite matrix"
            ))
        })?;
        let inverse = (&inverse + &inverse.t()) / 2.0;
        let work = Work {
            mine: vec![0.0; count],
            all: vec![0.0; count * space.comm().size()],
            solved: vec![0.0; count],
        };
        Ok(Coarse { weights, inverse, comm: space.comm().clone(), work: Mutex::new(work) })
    }

    /// Pcᵀ A Pc. Collective.
    fn galerkin(a: &DistCsr, weights: &[[(u32, f64); 4]], count: usize) -> Result<Array2<f64>> {
        let mut mine = vec![0.0; weights.len()];
        let (mut product, mut columns) = (vec![0.0; weights.len()], Array2::zeros((count, count)));
        for column in 0..count {
            for (x, corners) in mine.iter_mut().zip(weights) {
                let here = corners.iter().filter(|(node, _)| *node as usize == column);
                *x = here.map(|(_, w)| w).sum();
            }
            a.spmv(&mine, &mut product)?;
            for (y, corners) in product.iter().zip(weights) {
                for &(node, w) in corners {
                    columns[[node as usize, column]] += w * y;
                }
            }
        }
        let mut sums = columns.iter().copied().collect::<Vec<f64>>();
        a.space().comm().sum(&mut sums)?;
        let summed = Array2::from_shape_vec((count, count), sums);
        let summed = summed.map_err(|e| Error::Data(e.to_string()))?;
        Ok((&summed + &summed.t()) / 2.0)
    }

    /// `m` − Pc Ac⁻¹ Pcᵀ, all entries of it. Collective.
    pub fn remainder(&self, m: &DistCsr) -> Result<DistCsr> {
        self.combine(m, -1.0)
    }

    /// `m` + Pc Ac⁻¹ Pcᵀ, all entries of it. Collective.
    pub fn sum(&self, m: &DistCsr) -> Result<DistCsr> {
        self.combine(m, 1.0)
    }

    fn combine(&self, m: &DistCsr, sign: f64) -> Result<DistCsr> {
        // Every rank needs the weights of all columns.
        let words = |corners: &[(u32, f64); 4]| corners.map(|(c, w)| [u64::from(c), w.to_bits()]);
        let mine: Vec<u64> = self.weights.iter().flat_map(words).flatten().collect();
        let all = self.comm.all_gather(&mine)?.concat();
        let corner = |w: &[u64]| (w[0] as usize, f64::from_bits(w[1]));
        let corners: Vec<(usize, f64)> = all.chunks_exact(2).map(corner).collect();
        let mut solved = vec![0.0; self.inverse.nrows()];
        from_rows(m.space(), |i, row| {
            solved.fill(0.0);
            for &(node, w) in &self.weights[i] {
                let of_node = self.inverse.row(node as usize);
                solved.iter_mut().zip(of_node).for_each(|(s, v)| *s += w * v);
            }
            let smooth = corners.chunks_exact(4).enumerate().map(|(col, corners)| {
                (col as u64, sign * corners.iter().map(|&(node, w)| w * solved[node]).sum::<f64>())
            });
            row.extend(m.global_entries(i).chain(smooth));
        })
    }

    /// `y += Pc Ac⁻¹ Pcᵀ x`. Collective; does not allocate.
    pub fn add_product(&self, x: &[f64], y: &mut [f64]) -> Result<()> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Work { mine, all, solved } = &mut *work;
        mine.fill(0.0);
        for (x, corners) in x.iter().zip(&self.weights) {
            corners.iter().for_each(|&(node, w)| mine[node as usize] += w * x);
        }
        self.comm.gather_f64(mine, all)?;
        let (count, ranks) = (mine.len(), all.len() / mine.len());
        for (k, sum) in mine.iter_mut().enumerate() {
            *sum = (0..ranks).map(|rank| all[rank * count + k]).sum();
        }
        for (solved, row) in solved.iter_mut().zip(self.inverse.rows()) {
            *solved = row.iter().zip(&*mine).map(|(m, x)| m * x).sum();
        }
        for (y, corners) in y.iter_mut().zip(&self.weights) {
            *y += corners.iter().map(|&(node, w)| w * solved[node as usize]).sum::<f64>();
        }
        Ok(())
    }

    /// Numbers kept: weights other than 0 and the coarse inverse.
    pub fn stored_entries(&self) -> usize {
        let weights = self.weights.iter().flatten().filter(|(_, w)| *w != 0.0);
        weights.count() + self.inverse.len()
    }

    pub fn bytes(&self) -> usize {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let numbers = self.inverse.len() + work.mine.len() + work.all.len() + work.solved.len();
        8 * numbers + size_of_val(self.weights.as_slice())
    }
}
