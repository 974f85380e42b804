//! The level and the distance of an operator from a matrix.
use super::{Fit, Samples, add, near, over_ranks};
use crate::Result;
use crate::kernel::lattice::{CENTRE, Entry, Lattice};
use crate::kernel::separable::Separable;
use crate::matrix::DistCsr;

/// The greatest distance at which an operator counts as a model of a matrix.
pub const FARTHEST: f64 = 0.75;
/// The greatest part of rows whose diagonal entry may be [`OFF`] times the operator's or less than one over that.
const FEW: f64 = 0.2;
const OFF: f64 = 16.0;

/// What is added up for level and distance.
#[derive(Clone, Copy)]
enum Term {
    /// uᵀA u and uᵀA0u, for every row as half of what its couplings cost, and what holds it.
    Energy,
    Reference,
    /// (Au)ᵀW⁻¹(Au), (Au)ᵀW⁻¹(A0u), (A0u)ᵀW⁻¹(A0u).
    Rough,
    Mixed,
    Smooth,
    /// Σ|aᵢᵢ|, ΣΣ aᵢⱼ²/wᵢ.
    Diagonal,
    Square,
    /// Σ Σⱼ|aᵢⱼ| and the same of A0.
    Size,
    ReferenceSize,
}
const TERMS: usize = 9;

/// A smooth vector: which of those along every axis it is the product of, and one over its Rayleigh quotient.
struct Wave {
    along: [usize; 3],
    weight: f64,
}

/// Values of one vector along an axis at a place and beside it; zero beyond the ends.
fn beside(values: &[f64], i: usize, periodic: bool) -> [f64; 3] {
    let m = values.len();
    let ends = if periodic { [values[m - 1], values[0]] } else { [0.0; 2] };
    let before = if i > 0 { values[i - 1] } else { ends[0] };
    [before, values[i], if i + 1 < m { values[i + 1] } else { ends[1] }]
}

/// The operator at the level of A, and its distance. Collective.
pub(super) fn measured(
    a: &DistCsr,
    lattice: Lattice,
    operator: Separable,
    rows: &Samples,
) -> Result<Fit> {
    let modes: Vec<Vec<(f64, Vec<f64>)>> =
        operator.axes.iter().map(|axis| axis.smooth(2)).collect();
    let waves = waves(&operator, &modes);
    let mut near_by = [[[1.0; 3]; 2]; 3];
    let mut sums = [[0.0; 2]; TERMS];
    for (place, entries, reference) in rows.rows() {
        let mut terms = [0.0; TERMS];
        let mut put = |term: Term, value: f64| terms[term as usize] += value;
        let size = |entries: &[Entry]| entries.iter().map(|(_, v)| v.abs()).sum::<f64>();
        let weight = 0.5 * size(entries);
        // Divided by, not multiplied with its inverse, which may be out of range.
        let over = |value: f64| if weight > 0.0 { value / weight } else { 0.0 };
        put(Term::Size, 2.0 * weight);
        put(Term::ReferenceSize, size(reference));
        for &(step, value) in entries {
            if step == CENTRE {
                put(Term::Diagonal, value.abs());
            }
            put(Term::Square, value * over(value));
        }
        for (axis, of_axis) in modes.iter().enumerate() {
            for (values, (_, wave)) in near_by[axis].iter_mut().zip(of_axis) {
                *values = beside(wave, place[axis], lattice.periodic[axis]);
            }
        }
        for wave in &waves {
            let [x, y, z] = [0, 1, 2].map(|axis| near_by[axis][wave.along[axis]]);
            let mut layer = [0.0; 9];
            (0..9).for_each(|s| layer[s] = x[s % 3] * y[s / 3]);
            let at = |step: usize| layer[step % 9] * z[step / 9];
            let u = at(CENTRE);
            // A u, and half of uᵀA u, of a row.
            let of = |entries: &[Entry]| {
                let (mut image, mut energy, mut sum) = (0.0, 0.0, 0.0);
                for &(step, value) in entries {
                    let other = at(step);
                    image += value * other;
                    energy -= 0.5 * value * (u - other) * (u - other);
                    sum += value;
                }
                (image, energy + sum * u * u)
            };
            let ((image, energy), (smooth, cost)) = (of(entries), of(reference));
            put(Term::Energy, energy * wave.weight);
            put(Term::Reference, cost * wave.weight);
            let (of_image, of_smooth) = (over(image), over(smooth));
            put(Term::Rough, image * of_image * wave.weight);
            put(Term::Mixed, smooth * of_image * wave.weight);
            put(Term::Smooth, smooth * of_smooth * wave.weight);
        }
        sums.iter_mut().zip(terms).for_each(|(sum, term)| add(sum, term));
    }
    over_ranks(a, &mut sums)?;
    let level = level(&sums.map(|sum| sum[0]));
    if !level.is_normal() {
        return Err(near("its entries are beyond the range of numbers"));
    }
    let operator = operator.times(level);
    let (distance, misfits) = distance(a, level, rows)?;
    if misfits > FEW {
        return Err(near(&format!(
            "{:.0} % of its diagonal entries are less than a sixteenth or more than sixteen times those of the nearest one that \
             was found: the coefficient is no product of one function for each axis; amg takes any matrix",
            100.0 * misfits
        )));
    }
    if distance > FARTHEST || distance.is_nan() {
        return Err(near(&format!(
            "it is {distance:.2} away from the nearest one that was found, where 0 is A itself, 1 has nothing in common \
             with it, and up to {FARTHEST} is taken: the coefficient, or the spacing of nodes, is no product of one \
             function for each axis; amg takes any matrix"
        )));
    }
    Ok(Fit { operator, distance })
}

/// Products of the smoothest vectors of all axes; constants alone only where they cost something.
fn waves(operator: &Separable, modes: &[Vec<(f64, Vec<f64>)>]) -> Vec<Wave> {
    let mut waves = vec![(0.0, [0; 3])];
    for (axis, of_axis) in modes.iter().enumerate() {
        let extended = waves.iter().flat_map(|&(value, along)| {
            of_axis.iter().enumerate().map(move |(which, (more, _))| {
                let mut along = along;
                along[axis] = which;
                (value + more, along)
            })
        });
        waves = extended.collect();
    }
    let wave = |(value, along): (f64, [usize; 3])| {
        let value = value + operator.shift;
        (value > 0.0).then(|| Wave { along, weight: 1.0 / value })
    };
    waves.into_iter().filter_map(wave).collect()
}

/// s out of the sums, held between the ratio of energies and its half; where there is none, the ratio of sizes.
fn level(sums: &[f64; TERMS]) -> f64 {
    let of = |term: Term| sums[term as usize];
    let energies = of(Term::Energy) / of(Term::Reference);
    if !(energies > 0.0 && energies.is_normal()) {
        return of(Term::Size) / of(Term::ReferenceSize);
    }
    let theta = of(Term::Diagonal) / of(Term::Square);
    let mut level = energies;
    for _ in 0..4 {
        let rest = of(Term::Rough) - level * (2.0 * of(Term::Mixed) - level * of(Term::Smooth));
        let next = energies - theta * (rest / of(Term::Reference));
        // Comparisons that NaN fails.
        level = if next >= 0.5 * energies { next.min(energies) } else { 0.5 * energies };
    }
    level
}

/// The distance of `level` times the operator of the samples, and the part of rows whose diagonal entry is off. Collective.
fn distance(a: &DistCsr, level: f64, rows: &Samples) -> Result<(f64, f64)> {
    let mut sums = [[0.0; 2]; 3];
    for (_, entries, reference) in rows.rows() {
        let (mut apart, mut both) = (0.0, 0.0);
        let mut both_rows = [[0.0; 2]; 27];
        entries.iter().for_each(|&(s, v)| both_rows[s][0] += v);
        reference.iter().for_each(|&(s, v)| both_rows[s][1] += level * v);
        for [x, y] in both_rows {
            apart += (x - y).abs();
            both += x.abs() + y.abs();
        }
        add(&mut sums[0], if both > 0.0 { apart / both } else { 1.0 });
        add(&mut sums[1], 1.0);
        let ratio = both_rows[CENTRE][0] / both_rows[CENTRE][1];
        let fits = (1.0 / OFF..=OFF).contains(&ratio);
        add(&mut sums[2], if fits { 0.0 } else { 1.0 });
    }
    over_ranks(a, &mut sums)?;
    let [distance, count, misfits] = sums.map(|sum| sum[0]);
    Ok((distance / count.max(1.0), misfits / count.max(1.0)))
}
