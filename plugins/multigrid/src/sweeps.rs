//! Residuals and Gauss–Seidel sweeps with a matrix of four bands. Vectors are planes of its grid, whose border is zero.
use precondor_sdk::core::kernel::bands::{BANDS, Bands};
use std::ops::Range;

/// The numbers of a row of nodes, `shift` places away. Cut to a length that all slices of a loop share,
/// so that none of its accesses needs a check.
#[inline(always)]
fn moved<'a>(x: &'a [f64], row: &Range<usize>, shift: isize) -> &'a [f64] {
    &x[row.start.wrapping_add_signed(shift)..][..row.len()]
}

/// What smoothing does with a matrix.
pub(crate) trait Sweeps {
    /// Σⱼ|aᵢⱼ| at every place of a plane, 1 on the border.
    fn absolute_sums(&self) -> Vec<f64>;
    /// `out = r − A z`.
    fn residual(&self, r: &[f64], z: &[f64], out: &mut [f64]);
    /// `out = −U z`, with U the couplings to later nodes: the residual after a forward sweep from zero.
    fn residual_after_sweep(&self, z: &[f64], out: &mut [f64]);
    /// A Gauss–Seidel sweep from `z`, or from zero, in increasing order of nodes; `inverse` holds
    /// 1/aᵢᵢ, `known` one number a node of a row.
    fn sweep_forward(
        &self,
        inverse: &[f64],
        r: &[f64],
        z: &mut [f64],
        from_zero: bool,
        known: &mut [f64],
    );
    /// A Gauss–Seidel sweep from `z` in decreasing order of nodes.
    fn sweep_backward(&self, inverse: &[f64], r: &[f64], z: &mut [f64], known: &mut [f64]);
}

impl Sweeps for Bands {
    fn absolute_sums(&self) -> Vec<f64> {
        let mut sums = vec![1.0; self.grid.plane()];
        let [c, e, n, d] = std::array::from_fn(|band| self.plane(band));
        let s = self.grid.stride();
        for j in 0..self.grid.my {
            for at in self.grid.line(j) {
                sums[at] = c[at].abs()
                    + (e[at].abs() + e[at - 1].abs())
                    + (n[at].abs() + n[at - s].abs())
                    + (d[at].abs() + d[at - s - 1].abs());
            }
        }
        sums
    }

    fn residual(&self, r: &[f64], z: &[f64], out: &mut [f64]) {
        for j in 0..self.grid.my {
            let row = self.grid.line(j);
            let [[c, _], [e, w], [n, s], [d, b]] = around(self, &row);
            let [[zc, _], [ze, zw], [zn, zs], [zd, zb]] = values(self, z, &row);
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

    fn residual_after_sweep(&self, z: &[f64], out: &mut [f64]) {
        for j in 0..self.grid.my {
            let row = self.grid.line(j);
            let [_, [e, _], [n, _], [d, _]] = around(self, &row);
            let [_, [ze, _], [zn, _], [zd, _]] = values(self, z, &row);
            let out = &mut out[row.start..][..row.len()];
            for (i, out) in out.iter_mut().enumerate() {
                *out = -(e[i] * ze[i] + n[i] * zn[i] + d[i] * zd[i]);
            }
        }
    }

    fn sweep_forward(
        &self,
        inverse: &[f64],
        r: &[f64],
        z: &mut [f64],
        from_zero: bool,
        known: &mut [f64],
    ) {
        for j in 0..self.grid.my {
            let row = self.grid.line(j);
            let [_, [e, w], [n, s], [d, b]] = around(self, &row);
            let [_, [ze, _], [zn, zs], [zd, zb]] = values(self, z, &row);
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

    fn sweep_backward(&self, inverse: &[f64], r: &[f64], z: &mut [f64], known: &mut [f64]) {
        for j in (0..self.grid.my).rev() {
            let row = self.grid.line(j);
            let [_, [e, w], [n, s], [d, b]] = around(self, &row);
            let [_, [_, zw], [zn, zs], [zd, zb]] = values(self, z, &row);
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
}

/// Entries of a row of nodes in each stored direction and the other way.
#[inline(always)]
fn around<'a>(a: &'a Bands, row: &Range<usize>) -> [[&'a [f64]; 2]; 4] {
    std::array::from_fn(|k| {
        let entries = a.plane(k);
        [moved(entries, row, 0), moved(entries, row, -a.grid.offset(BANDS[k]))]
    })
}

/// Values of `z` at the neighbours of a row of nodes in each stored direction and the other way.
#[inline(always)]
fn values<'a>(a: &Bands, z: &'a [f64], row: &Range<usize>) -> [[&'a [f64]; 2]; 4] {
    std::array::from_fn(|k| {
        let shift = a.grid.offset(BANDS[k]);
        [moved(z, row, shift), moved(z, row, -shift)]
    })
}
