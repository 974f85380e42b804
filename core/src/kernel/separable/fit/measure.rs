//! The level and the distance of an operator from a matrix.
use super::{Fit, add, near, over_ranks, visit};
use crate::Result;
use crate::kernel::lattice::{CENTRE, Entry, Lattice, STEPS};
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

/// A smooth vector: along every axis, and one over its Rayleigh quotient.
struct Wave<'a> {
    along: [&'a [f64]; 3],
    weight: f64,
}

impl Wave<'_> {
    fn at(&self, place: [usize; 3]) -> f64 {
        self.along.iter().zip(place).map(|(v, i)| v[i]).product()
    }
}

/// The entries of an operator's row.
fn entries_of(operator: &Separable, lattice: Lattice, place: [usize; 3], out: &mut Vec<Entry>) {
    let straight = [CENTRE - 9, CENTRE - 3, CENTRE - 1, CENTRE, CENTRE + 1, CENTRE + 3, CENTRE + 9];
    let there = straight.into_iter().filter(|&s| lattice.neighbour(place, STEPS[s]).is_some());
    out.clear();
    out.extend(there.map(|s| (s, operator.entry(place, STEPS[s]))));
}

/// The operator at the level of A, and its distance. Collective.
pub(super) fn measured(
    a: &DistCsr,
    lattice: Lattice,
    operator: Separable,
    rows: &[usize],
) -> Result<Fit> {
    let modes: Vec<Vec<(f64, Vec<f64>)>> =
        operator.axes.iter().map(|axis| axis.smooth(2)).collect();
    let waves = waves(&operator, &modes);
    let mut sums = [[0.0; 2]; TERMS];
    let mut reference = Vec::with_capacity(7);
    visit(a, lattice, rows, |place, entries| {
        let mut terms = [0.0; TERMS];
        let mut put = |term: Term, value: f64| terms[term as usize] += value;
        entries_of(&operator, lattice, place, &mut reference);
        let size = |entries: &[Entry]| entries.iter().map(|(_, v)| v.abs()).sum::<f64>();
        let weight = 0.5 * size(entries);
        put(Term::Size, 2.0 * weight);
        put(Term::ReferenceSize, size(&reference));
        for &(step, value) in entries {
            if step == CENTRE {
                put(Term::Diagonal, value.abs());
            }
            if weight > 0.0 {
                put(Term::Square, value * (value / weight));
            }
        }
        for wave in &waves {
            let u = wave.at(place);
            // A u, and half of uᵀA u, of a row.
            let of = |entries: &[Entry]| {
                let (mut image, mut energy, mut sum) = (0.0, 0.0, 0.0);
                for &(step, value) in entries {
                    let other = lattice.moved(place, STEPS[step]).map_or(0.0, |to| wave.at(to));
                    image += value * other;
                    energy -= 0.5 * value * (u - other) * (u - other);
                    sum += value;
                }
                (image, energy + sum * u * u)
            };
            let ((image, energy), (smooth, cost)) = (of(entries), of(&reference));
            put(Term::Energy, energy * wave.weight);
            put(Term::Reference, cost * wave.weight);
            if weight > 0.0 {
                put(Term::Rough, image * (image / weight) * wave.weight);
                put(Term::Mixed, image * (smooth / weight) * wave.weight);
                put(Term::Smooth, smooth * (smooth / weight) * wave.weight);
            }
        }
        sums.iter_mut().zip(terms).for_each(|(sum, term)| add(sum, term));
    });
    over_ranks(a, &mut sums)?;
    let level = level(&sums.map(|sum| sum[0]));
    if !level.is_normal() {
        return Err(near("its entries are beyond the range of numbers"));
    }
    let operator = operator.times(level);
    let (distance, misfits) = distance(a, lattice, &operator, rows)?;
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
fn waves<'a>(operator: &Separable, modes: &'a [Vec<(f64, Vec<f64>)>]) -> Vec<Wave<'a>> {
    const ONE: [f64; 1] = [1.0];
    let mut waves = vec![(0.0, [&ONE[..]; 3])];
    for (axis, of_axis) in modes.iter().enumerate() {
        let extended = waves.iter().flat_map(|&(value, along)| {
            of_axis.iter().map(move |(more, wave)| {
                let mut along = along;
                along[axis] = wave;
                (value + more, along)
            })
        });
        waves = extended.collect();
    }
    let wave = |(value, along): (f64, [&'a [f64]; 3])| {
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

/// The distance, and the part of rows whose diagonal entry is off. Collective.
fn distance(
    a: &DistCsr,
    lattice: Lattice,
    operator: &Separable,
    rows: &[usize],
) -> Result<(f64, f64)> {
    let mut sums = [[0.0; 2]; 3];
    let mut reference = Vec::with_capacity(7);
    visit(a, lattice, rows, |place, entries| {
        entries_of(operator, lattice, place, &mut reference);
        let (mut apart, mut both) = (0.0, 0.0);
        let mut both_rows = [[0.0; 2]; 27];
        entries.iter().for_each(|&(s, v)| both_rows[s][0] += v);
        reference.iter().for_each(|&(s, v)| both_rows[s][1] += v);
        for [x, y] in both_rows {
            apart += (x - y).abs();
            both += x.abs() + y.abs();
        }
        add(&mut sums[0], if both > 0.0 { apart / both } else { 1.0 });
        add(&mut sums[1], 1.0);
        let ratio = both_rows[CENTRE][0] / both_rows[CENTRE][1];
        let fits = (1.0 / OFF..=OFF).contains(&ratio);
        add(&mut sums[2], if fits { 0.0 } else { 1.0 });
    });
    over_ranks(a, &mut sums)?;
    let [distance, count, misfits] = sums.map(|sum| sum[0]);
    Ok((distance / count.max(1.0), misfits / count.max(1.0)))
}
