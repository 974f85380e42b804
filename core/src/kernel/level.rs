//! The level of a matrix against the reference matrix A0 of its grid (the five-point Laplacian: 4 in
//! the middle, −1 for the four neighbours): the number s for which s·A0 answers smooth loads as A does.
//! A method that takes A0 for a model of A takes A/s in its place, and divides its M by s: then
//! M(cA) = M(A)/c whatever units A is in.
//!
//! With u the first sine modes of the grid, two along each side (A0 u = λ u, each weighted by 1/λ), and
//! r = A u − s A0 u what A makes of u beside that,
//!
//! s uᵀA0 u = uᵀA u − θ rᵀW⁻¹r,   W = diag(½ Σⱼ|aᵢⱼ|),   θ = Σ|aᵢᵢ| / ΣΣ aᵢⱼ²/wᵢ.
//!
//! The ratio of energies alone would be too large by some 7 % for nodes shifted by a quarter of a mesh
//! width (as is the mean of the diagonal; it is 45 % at 0.45, and one flat triangle may double it): nodal
//! values of a smooth function on shifted nodes differ from those of u by ∇u·δ, and A takes that for
//! roughness e. Then r = −A e, and rᵀA⁻¹r = eᵀA e is what has to be taken off; for shifts independent
//! from node to node that is θ rᵀW⁻¹r. What is left, mean and standard deviation over meshes:
//!
//! | nodes a side | shift 0.25 | 0.35 | 0.45 |
//! |---|---|---|---|
//! | 3 | 1.024 ± 0.025 | 1.04 ± 0.04 | 1.07 ± 0.05 |
//! | 7 | 1.008 ± 0.013 | 1.01 ± 0.02 | 1.01 ± 0.05 |
//! | 15 | 1.002 ± 0.004 | 1.00 ± 0.01 | 0.98 ± 0.04 |
//! | 31 and more | 1.000 ± 0.001 | 0.997 ± 0.003 | 0.95 ± 0.05 |
//!
//! Energies are added up edge by edge, −aᵢⱼ (uᵢ − uⱼ)² in equal parts to both rows, so that the rows of a
//! part of the grid tell of all of it, as where a coefficient is steady.
//!
//! Where the correction would take more than half, or A is no matrix of that kind, s is held between the
//! ratio of energies and its half; where uᵀA u ≤ 0, s is the mean of W over 4. So s is positive for every
//! matrix with an entry.
//!
//! Cost: one pass over A, some thirty flops an entry; one gather of 18 words. Sums are compensated and added in
//! the order of the ranks, their terms do not depend on who has which rows: the same bits on any number of
//! ranks but for sums within 10⁻³² of where rounding turns.
use super::grid::Grid;
use super::separable::eigenvalue;
use crate::comm::{Comm, Communicator};
use crate::matrix::{DistCsr, total, two_sum};
use crate::{Error, Result};

/// Modes along a side, at most.
const MODES: usize = 2;
/// Steps to the s that is on both sides of its equation, of which the right one hardly depends on it.
const STEPS: usize = 4;

/// What is added up over the rows.
#[derive(Clone, Copy)]
enum Sum {
    /// uᵀA u, for every row as ½ Σⱼ −aᵢⱼ (uᵢ − uⱼ)² + Σⱼ aᵢⱼ uᵢ²: so that some rows tell of all.
    Energy,
    /// uᵀA0 u, in the same way.
    Reference,
    /// (Au)ᵀW⁻¹(Au), (Au)ᵀW⁻¹(A0u), (A0u)ᵀW⁻¹(A0u).
    Rough,
    Mixed,
    Smooth,
    /// Σ|aᵢᵢ|, ΣΣ aᵢⱼ²/wᵢ, Σ wᵢ.
    Diagonal,
    Square,
    Weight,
    /// How many they are.
    Rows,
}
const SUMS: usize = 9;

/// A mode of the grid.
struct Mode {
    along_x: usize,
    along_y: usize,
    eigenvalue: f64,
}

/// Takes in row after row of a matrix on a grid.
pub struct Level {
    /// Sines along both sides.
    waves: [[Vec<f64>; MODES]; 2],
    modes: Vec<Mode>,
    sums: [[f64; 2]; SUMS],
}

impl Level {
    /// No rows yet.
    pub fn new(grid: Grid) -> Self {
        let wave = |m: usize, k: usize| {
            let step = std::f64::consts::PI * (k + 1) as f64 / (m + 1) as f64;
            (1..=m).map(|i| (step * i as f64).sin()).collect()
        };
        let sides = [grid.mx, grid.my];
        let waves = sides.map(|m| std::array::from_fn(|k| wave(m, k)));
        let [kx, ky] = sides.map(|m| MODES.min(m));
        let mode = |(along_x, along_y)| Mode {
            along_x,
            along_y,
            eigenvalue: eigenvalue(grid.mx, along_x + 1) + eigenvalue(grid.my, along_y + 1),
        };
        let modes = (0..ky).flat_map(|l| (0..kx).map(move |k| (k, l))).map(mode).collect();
        Level { waves, modes, sums: [[0.0; 2]; SUMS] }
    }

    /// Takes in the row of a node: its entries, each with the node of its column.
    pub fn row(&mut self, node: (usize, usize), entries: &[((usize, usize), f64)]) {
        let [along_x, along_y] = &self.waves;
        let weight = 0.5 * entries.iter().map(|(_, value)| value.abs()).sum::<f64>();
        let total: f64 = entries.iter().map(|(_, value)| value).sum();
        let mut terms = [0.0; SUMS];
        let mut add = |which: Sum, value: f64| terms[which as usize] += value;
        for &(other, value) in entries {
            if other == node {
                add(Sum::Diagonal, value.abs());
            }
            if weight > 0.0 {
                add(Sum::Square, value * (value / weight));
            }
        }
        let (i, j) = node;
        let beside = [
            (i.wrapping_sub(1), j),
            (i.wrapping_add(1), j),
            (i, j.wrapping_sub(1)),
            (i, j.wrapping_add(1)),
        ];
        for mode in &self.modes {
            let (along_x, along_y) = (&along_x[mode.along_x], &along_y[mode.along_y]);
            let at = |(x, y): (usize, usize)| Some(along_x.get(x)? * along_y.get(y)?);
            let u = along_x[i] * along_y[j];
            let (mut image, mut energy) = (0.0, total * u * u);
            for &((x, y), value) in entries {
                let other = along_x[x] * along_y[y];
                image += value * other;
                energy -= 0.5 * value * (u - other) * (u - other);
            }
            let edge = |other: Option<f64>| other.map_or(u * u, |v| 0.5 * (u - v) * (u - v));
            add(Sum::Energy, energy / mode.eigenvalue);
            add(Sum::Reference, beside.map(at).map(edge).iter().sum::<f64>() / mode.eigenvalue);
            if weight > 0.0 {
                add(Sum::Rough, image * (image / weight) / mode.eigenvalue);
                add(Sum::Mixed, image / weight * u);
                add(Sum::Smooth, mode.eigenvalue * u * u / weight);
            }
        }
        add(Sum::Weight, weight);
        add(Sum::Rows, 1.0);
        for (sum, term) in self.sums.iter_mut().zip(terms) {
            let [s, e] = two_sum(sum[0], term);
            *sum = [s, sum[1] + e];
        }
    }

    /// The level of the matrix whose rows all ranks took in, each row once; where they left some out, that of
    /// the others. Collective.
    ///
    /// # Errors
    /// [`Error::Data`], on all ranks, for a matrix of zeros, with entries that are not finite, or with
    /// sums of them beyond what numbers can hold; what the communicator reports.
    pub fn of_all(self, comm: &Comm) -> Result<f64> {
        let mine = self.sums.as_flattened();
        let mut all = vec![0.0; comm.size() * mine.len()];
        comm.gather_f64(mine, &mut all)?;
        let ranks = all.chunks_exact(mine.len());
        let of = |which: Sum| {
            let k = 2 * which as usize;
            total(ranks.clone().map(|rank| [rank[k], rank[k + 1]]))
        };
        let mean = of(Sum::Weight) / (4.0 * of(Sum::Rows));
        let fail = |what: String| Err(Error::Data(format!("no reference matrix for A: {what}")));
        if mean == 0.0 {
            return fail("all of its entries are zero".into());
        }
        if !mean.is_normal() {
            return fail(format!(
                "its entries, about {mean:e}, are not finite or beyond the range of numbers"
            ));
        }
        let energies = of(Sum::Energy) / of(Sum::Reference);
        if !(energies > 0.0 && energies.is_normal()) {
            return Ok(mean);
        }
        let theta = of(Sum::Diagonal) / of(Sum::Square);
        let [rough, mixed, smooth] = [Sum::Rough, Sum::Mixed, Sum::Smooth].map(of);
        let mut level = energies;
        for _ in 0..STEPS {
            let rest = rough - level * (2.0 * mixed - level * smooth);
            let next = energies - theta * (rest / of(Sum::Reference));
            // Comparisons that NaN fails.
            level = if next >= 0.5 * energies { next.min(energies) } else { 0.5 * energies };
        }
        Ok(level)
    }
}

/// The level of a matrix on a grid. Collective.
///
/// # Errors
/// As [`Level::of_all`].
pub fn of_matrix(a: &DistCsr, grid: Grid) -> Result<f64> {
    let node = |row: u64| {
        let (x, y) = grid.place(row);
        (x as usize, y as usize)
    };
    let (mut level, mut entries) = (Level::new(grid), Vec::new());
    for i in 0..a.n_own() {
        entries.clear();
        entries.extend(a.global_entries(i).map(|(col, value)| (node(col), value)));
        level.row(node(a.global_row(i)), &entries);
    }
    level.of_all(a.space().comm())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::threads;
    use crate::matrix::Space;
    use crate::problem::{Coefficient, Poisson, Problem};

    fn poisson(comm: Comm, poisson: Poisson) -> DistCsr {
        Problem::Poisson(poisson).generate(comm).expect("a problem").0.a().clone()
    }

    fn level(a: &DistCsr) -> f64 {
        of_matrix(a, Grid::of(a, None).expect("a grid")).expect("finite")
    }

    fn times(a: &DistCsr, c: f64) -> DistCsr {
        let scaled = |values: &[f64]| values.iter().map(|v| c * v).collect();
        a.with_values(scaled(a.own().view().values), scaled(a.ghost().view().values)).expect("fits")
    }

    #[test]
    fn the_reference_matrix_has_level_one_on_any_grid() {
        for (mx, my) in [(1, 1), (2, 1), (1, 7), (3, 3), (5, 2), (40, 31)] {
            let grid = Grid { mx, my };
            let a = grid.five_point(&Space::solo(mx * my)).expect("fits");
            let found = of_matrix(&a, grid).expect("finite");
            assert!((found - 1.0).abs() < 1e-14, "{mx} by {my}: {found}");
        }
    }

    #[test]
    fn shifted_meshes_have_level_one_up_to_their_noise() {
        for (level_of_grid, meshes, bound, bound_of_mean) in
            [(2, 20, 0.12, 0.06), (3, 20, 0.06, 0.02), (4, 10, 0.02, 0.01), (6, 3, 0.01, 0.005)]
        {
            let found: Vec<f64> = (0..meshes)
                .map(|seed| {
                    level(&poisson(
                        Comm::solo(),
                        Poisson { seed, ..Poisson::at_level(level_of_grid) },
                    ))
                })
                .collect();
            let mean = found.iter().sum::<f64>() / meshes as f64;
            assert!((mean - 1.0).abs() < bound_of_mean, "level {level_of_grid}: mean {mean}");
            let off = found.iter().fold(0.0, |m: f64, s| m.max((s - 1.0).abs()));
            assert!(off < bound, "level {level_of_grid}: {found:?}");
        }
    }

    #[test]
    fn some_rows_tell_of_all() {
        let a = poisson(Comm::solo(), Poisson { seed: 3, ..Poisson::at_level(6) });
        let grid = Grid::of(&a, None).expect("a grid");
        let node = |row: u64| ((row % 63) as usize, (row / 63) as usize);
        let mut level = Level::new(grid);
        for i in 0..a.n_own() {
            let (x, y) = node(i as u64);
            if x.abs_diff(31) > 8 && y.abs_diff(31) > 8 {
                let entries: Vec<_> = a.global_entries(i).map(|(j, v)| (node(j), v)).collect();
                level.row((x, y), &entries);
            }
        }
        let found = level.of_all(&Comm::solo()).expect("finite");
        assert!((found - 1.0).abs() < 0.02, "{found}");
    }

    #[test]
    fn the_level_is_multiplied_by_what_the_matrix_is() {
        for coefficient in [Coefficient::Constant, Coefficient::Smooth, Coefficient::Jump] {
            let a = poisson(Comm::solo(), Poisson { coefficient, ..Poisson::at_level(4) });
            let once = level(&a);
            assert!(once > 0.0);
            for c in [2.0, 1e3, 2.1e11, 8.9e-12, 4225.0, 1e100, 1e-100, 1e250, 1e-250] {
                let found = level(&times(&a, c));
                assert!((found / (c * once) - 1.0).abs() < 1e-14, "{c}: {found} of {once}");
            }
            // Powers of two change no bit.
            assert_eq!(level(&times(&a, 1024.0)), 1024.0 * once);
        }
    }

    #[test]
    fn every_rank_of_any_number_finds_the_same_bits() {
        let spec = Poisson { shift: 0.4, ..Poisson::at_level(4) };
        let alone = level(&poisson(Comm::solo(), spec.clone()));
        for size in [2, 3, 7] {
            let all = threads::run(size, |comm| level(&poisson(Comm::new(comm), spec.clone())));
            assert!(all.iter().all(|s| *s == alone), "{size} ranks: {all:?}, alone {alone}");
        }
    }

    #[test]
    fn any_matrix_with_an_entry_has_a_level_and_others_are_refused() {
        let grid = Grid { mx: 3, my: 3 };
        let a = grid.five_point(&Space::solo(9)).expect("fits");
        // Negative definite: the size of its entries.
        let negative = of_matrix(&times(&a, -3.0), grid).expect("finite");
        assert!((2.0..3.5).contains(&negative), "{negative}");
        let why = |c: f64| of_matrix(&times(&a, c), grid).expect_err("refused").to_string();
        assert!(why(0.0).contains("all of its entries are zero"), "{}", why(0.0));
        assert!(why(f64::NAN).contains("not finite"), "{}", why(f64::NAN));
        assert!(why(f64::INFINITY).contains("not finite"), "{}", why(f64::INFINITY));
        assert!(why(1e308).contains("beyond the range"), "{}", why(1e308));
    }
}
