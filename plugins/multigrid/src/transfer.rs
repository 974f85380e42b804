//! From a grid to the next coarser one and back, by linear interpolation on the triangles.
//!
//! Coarse node (I, J) is fine node (2I + 1, 2J + 1); its basis function takes the values 1 there and ½
//! at the six neighbours of the seven-point pattern, which is the function of linear elements on the
//! coarse triangles. So Ac = Pᵀ A P has the seven-point pattern again, and for shifted nodes it is the
//! matrix of the same bilinear form on the space that P spans.
//!
//! A side of m nodes becomes one of ⌊m/2⌋; where m is even, the last coarse element is half as wide.
//!
//! Reference: W. Hackbusch, *Multi-Grid Methods and Applications*, Springer 1985, §3.6; P. Wesseling,
//! *An Introduction to Multigrid Methods*, Wiley 1992, §5.3 (seven-point interpolation), §6.2.
use precondor_sdk::core::kernel::bands::{BANDS, Bands};
use precondor_sdk::core::kernel::grid::Grid;
use std::collections::BTreeMap;

/// Offsets of the nodes that a coarse node's function is not zero at, and its values.
const HAT: [((isize, isize), f64); 7] = [
    ((0, 0), 1.0),
    ((1, 0), 0.5),
    ((0, 1), 0.5),
    ((1, 1), 0.5),
    ((-1, 0), 0.5),
    ((0, -1), 0.5),
    ((-1, -1), 0.5),
];

/// The next coarser grid.
pub(crate) fn coarser(fine: Grid) -> Grid {
    Grid { mx: fine.mx / 2, my: fine.my / 2 }
}

/// Pᵀ A P.
pub(crate) fn galerkin(a: &Bands) -> Bands {
    let (fine, mut coarse) = (a.grid, Bands::zeros(coarser(a.grid)));
    let (grid, stride) = (coarse.grid, fine.stride() as isize);
    for (band, (dx, dy)) in BANDS.into_iter().enumerate() {
        let target = coarse.plane_mut(band);
        // Entry (C, C + D) is Σ P(f, C) a(f, g) P(g, C + D): which entries of A, with which weights.
        let mut terms = BTreeMap::new();
        for (f, of_row) in HAT {
            for (h, of_col) in HAT {
                let g = (2 * dx + h.0, 2 * dy + h.1);
                let step = (g.0 - f.0, g.1 - f.1);
                for (k, stored) in BANDS.iter().enumerate() {
                    // Kept with the node that comes first.
                    let from = if step == *stored {
                        f
                    } else if (-step.0, -step.1) == *stored {
                        g
                    } else {
                        continue;
                    };
                    *terms.entry((k, from.1 * stride + from.0)).or_insert(0.0) += of_row * of_col;
                }
            }
        }
        for j in 0..grid.my {
            let first = fine.at(1, 2 * j + 1);
            let row = &mut target[grid.line(j)];
            for (&(k, shift), &weight) in &terms {
                let entries = &a.plane(k)[first.wrapping_add_signed(shift)..];
                for (to, from) in row.iter_mut().zip(entries.iter().step_by(2)) {
                    *to += weight * from;
                }
            }
        }
        // What couples to a node beyond the border is no entry.
        let Grid { mx, my } = grid;
        for j in 0..my {
            for i in 0..mx {
                let (x, y) = (i.wrapping_add_signed(dx), j.wrapping_add_signed(dy));
                if x >= mx || y >= my {
                    target[grid.at(i, j)] = 0.0;
                }
            }
        }
    }
    coarse
}

/// `coarse = Pᵀ fine`.
pub(crate) fn restrict(from: Grid, fine: &[f64], coarse: &mut [f64]) {
    let (to, stride) = (coarser(from), from.stride());
    for j in 0..to.my {
        let first = from.at(1, 2 * j + 1);
        let (below, here, above) =
            (&fine[first - stride - 1..], &fine[first - 1..], &fine[first + stride..]);
        let row = &mut coarse[to.line(j)];
        for (i, c) in row.iter_mut().enumerate() {
            let k = 2 * i;
            *c = here[k + 1]
                + 0.5
                    * ((here[k] + here[k + 2])
                        + (below[k] + below[k + 1])
                        + (above[k] + above[k + 1]));
        }
    }
}

/// `fine += P coarse`.
pub(crate) fn interpolate(to: Grid, coarse: &[f64], fine: &mut [f64]) {
    let from = coarser(to);
    for j in 0..to.my {
        let row = &mut fine[to.line(j)];
        // Coarse nodes at or beside this row: numbers 0 to mx are those from the left border on.
        let place = |row: usize| (row * from.stride())..((row + 1) * from.stride() + 1);
        if j % 2 == 1 {
            let here = &coarse[place(j / 2 + 1)];
            for (i, z) in row.iter_mut().enumerate() {
                *z += 0.5 * (here[i / 2 + i % 2] + here[i / 2 + 1]);
            }
        } else {
            let (below, above) = (&coarse[place(j / 2)], &coarse[place(j / 2 + 1)]);
            for (i, z) in row.iter_mut().enumerate() {
                let (lower, upper) = (i.div_ceil(2), i / 2 + 1);
                *z += 0.5 * (below[lower] + above[upper]);
            }
        }
    }
}
