//! Sums over the planes of a grid, and the operator that they tell of.
use super::equal::{EQUAL, equalise};
use super::{Sum, WILD, add, add_sum, near, over_ranks};
use crate::kernel::lattice::{Entry, Lattice, Run, STEPS};
use crate::kernel::separable::{Axis, Separable};
use crate::matrix::{DistCsr, two_sum};
use crate::{Error, Result};
use multiversion::multiversion;

/// Sums of rows below this part of the sums of their entries' absolute values are rounding.
const ROUNDING: f64 = 1e-13;
/// Standard errors within which planes count as equal.
const ERRORS: f64 = 4.0;

/// Rows that are added up for what holds them: their sums, and those of absolute values.
#[derive(Clone, Copy)]
enum Part {
    Inside,
    /// The first nodes along an axis; the last ones come next.
    Face(usize),
}

impl Part {
    fn at(self, end: usize) -> usize {
        match self {
            Part::Inside => 0,
            Part::Face(axis) => 2 * (1 + 2 * axis + end),
        }
    }
}

/// What couplings are held to before they are added up.
#[derive(Clone, Copy)]
pub(super) enum Limit<'a> {
    None,
    Positive,
    /// Between nothing and [`WILD`] times that of an operator.
    Model(&'a Separable),
}

impl Limit<'_> {
    fn of(self, value: f64, model: impl FnOnce(&Separable) -> f64) -> f64 {
        match self {
            Limit::None => value,
            Limit::Positive => value.max(0.0),
            Limit::Model(operator) => value.max(0.0).min(WILD * model(operator)),
        }
    }
}

/// Sums over planes.
pub(super) struct Sums {
    lattice: Lattice,
    /// Where the sums of couplings along one axis over the planes of another one start.
    starts: [[usize; 3]; 3],
    /// Where those of rows start.
    rows: usize,
    sums: Vec<Sum>,
    /// What rows inside add to the sums over the planes of x of the couplings along every axis: high parts and low ones.
    lines: [[Vec<f64>; 2]; 3],
}

/// Rows that are added up side by side.
const LANES: usize = 8;

/// The sums over a run of half of what couples it along an axis to the plane before and behind, of all entries and of their absolute values;
/// adds the couplings of every row to the sums over the planes of x, which begin at its first node.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn added<'a>(run: &Run<'a>, along: usize, [high, low]: [&'a mut [f64]; 2]) -> [Sum; 4] {
    let of_sign = |sign: i8| {
        let (mut which, mut count) = ([0; 9], 0);
        for (e, &step) in run.steps.iter().enumerate() {
            if STEPS[step][along] == sign {
                which[count] = e;
                count += 1;
            }
        }
        (which, count)
    };
    let [(before, n_before), (behind, n_behind)] = [of_sign(-1), of_sign(1)];
    let places = [&before[..n_before], &behind[..n_behind]];
    let mut sums = [[[0.0; LANES]; 2]; 4];
    let whole = run.count - run.count % LANES;
    for i in (0..whole).step_by(LANES) {
        let line = [&mut high[i..=i + LANES], &mut low[i..=i + LANES]];
        lanes::<LANES>(run, i, along, places, &mut sums, line);
    }
    let mut rest = [[[0.0; 1]; 2]; 4];
    for i in whole..run.count {
        lanes::<1>(run, i, along, places, &mut rest, [&mut high[i..=i + 1], &mut low[i..=i + 1]]);
    }
    let mut all = [[0.0; 2]; 4];
    for ((all, [high, low]), [rest, rest_low]) in all.iter_mut().zip(&sums).zip(&rest) {
        high.iter().zip(low).for_each(|(&high, &low)| add_sum(all, [high, low]));
        add_sum(all, [rest[0], rest_low[0]]);
    }
    all
}

/// The same for the rows from `i` on, side by side.
#[inline(always)]
fn lanes<const L: usize>(
    run: &Run<'_>,
    i: usize,
    along: usize,
    places: [&[usize]; 2],
    sums: &mut [[[f64; L]; 2]; 4],
    [high, low]: [&mut [f64]; 2],
) {
    let width = run.steps.len();
    let values = &run.values[i * width..(i + L) * width];
    // Arrays are filled in loops: what `from_fn` and `map` call is not always inlined here.
    let of = |e: usize| {
        let mut of = [0.0; L];
        for l in 0..L {
            of[l] = values[l * width + e];
        }
        of
    };
    let mut put = |which: usize, terms: &[f64; L]| {
        let [high, low] = &mut sums[which];
        add_lanes(high, low, terms);
    };
    let [mut before, mut behind] = [[0.0; L]; 2];
    for (places, sum) in places.into_iter().zip([&mut before, &mut behind]) {
        for &e in places {
            sum.iter_mut().zip(of(e)).for_each(|(sum, v)| *sum += v);
        }
        sum.iter_mut().for_each(|sum| *sum *= -0.5);
    }
    put(0, &before);
    put(1, &behind);
    if along == 0 {
        let (mut whole, mut size) = ([0.0; L], [0.0; L]);
        for e in 0..width {
            let values = of(e);
            for l in 0..L {
                whole[l] += values[l];
                size[l] += values[l].abs();
            }
        }
        put(2, &whole);
        put(3, &size);
        add_lanes(&mut high[..L], &mut low[..L], &before);
        add_lanes(&mut high[1..], &mut low[1..], &behind);
    } else {
        let mut both = before;
        both.iter_mut().zip(behind).for_each(|(sum, behind)| *sum += behind);
        add_lanes(&mut high[..L], &mut low[..L], &both);
    }
}

/// [`add`] side by side.
#[inline(always)]
fn add_lanes<const L: usize>(high: &mut [f64], low: &mut [f64], terms: &[f64; L]) {
    let (high, low) = (&mut high[..L], &mut low[..L]);
    for l in 0..L {
        let [s, e] = two_sum(high[l], terms[l]);
        (high[l], low[l]) = (s, low[l] + e);
    }
}

impl Sums {
    pub fn new(lattice: Lattice) -> Self {
        let (mut starts, mut count) = ([[0; 3]; 3], 0);
        for starts in starts.iter_mut().take(lattice.dimension) {
            for (start, m) in starts.iter_mut().zip(lattice.dims).take(lattice.dimension) {
                *start = count;
                count += m + 1;
            }
        }
        let line = || [(); 2].map(|()| vec![0.0; lattice.dims[0] + 1]);
        let lines = [(); 3].map(|()| line());
        Sums { lattice, starts, rows: count, sums: vec![[0.0; 2]; count + 14], lines }
    }

    /// Whether a place is strictly inside along all axes but `without`, as far as they have an inside.
    fn is_inside(&self, place: [usize; 3], without: Option<usize>) -> bool {
        let Lattice { dims, dimension, periodic } = self.lattice;
        (0..dimension).filter(|&d| Some(d) != without).all(|d| {
            let inside = place[d] > 0 && place[d] + 1 < dims[d];
            periodic[d] || inside || dims[d] == 1 || (without.is_some() && dims[d] < 3)
        })
    }

    /// Sums of a matrix whose rows fit. Collective.
    pub fn limited(a: &DistCsr, lattice: Lattice, limit: Limit<'_>) -> Result<Self> {
        let mut sums = Sums::new(lattice);
        lattice.runs(a, |run| sums.run(run, limit))?;
        sums.add_up(a)?;
        Ok(sums)
    }

    /// Adds rows that follow each other.
    pub fn run(&mut self, run: &Run<'_>, limit: Limit<'_>) -> Result<()> {
        let Lattice { dims, dimension, .. } = self.lattice;
        let across = (1..dimension).all(|d| run.place[d] > 0 && run.place[d] + 1 < dims[d]);
        let along = run.place[0] > 0 && run.place[0] + run.count < dims[0];
        if matches!(limit, Limit::None) && across && along {
            self.inner(run);
            return Ok(());
        }
        run.each(|_, place, entries| {
            self.row(place, entries, limit);
            Ok(())
        })
    }

    /// The same for rows strictly inside, as they are.
    fn inner(&mut self, run: &Run<'_>) {
        let Self { lattice, starts, lines, .. } = self;
        let (first, dimension) = (run.place[0], lattice.dimension);
        let [mut whole, mut size] = [[0.0; 2]; 2];
        for along in 0..dimension {
            // The sums over whole rows ride along with the first axis.
            let line = &mut lines[along];
            let parts = added(run, along, line.each_mut().map(|line| &mut line[first..]));
            let [before, behind, ..] = parts;
            if along == 0 {
                [whole, size] = [parts[2], parts[3]];
            }
            for (over, start) in starts[along].into_iter().enumerate().take(dimension).skip(1) {
                let at = start + run.place[over];
                add_sum(&mut self.sums[at], before);
                add_sum(&mut self.sums[at + usize::from(over == along)], behind);
            }
        }
        let at = self.rows + Part::Inside.at(0);
        add_sum(&mut self.sums[at], whole);
        add_sum(&mut self.sums[at + 1], size);
    }

    fn row(&mut self, place: [usize; 3], entries: &[Entry], limit: Limit<'_>) {
        let Lattice { dims, dimension, periodic } = self.lattice;
        let (mut sum, mut size) = (0.0, 0.0);
        // Half of what couples it to the planes before and behind, along every axis.
        let mut couplings = [[0.0; 3]; 3];
        for &(step, value) in entries {
            sum += value;
            size += f64::abs(value);
            for (couplings, &s) in couplings.iter_mut().zip(&STEPS[step]).take(dimension) {
                couplings[(s + 1) as usize] -= 0.5 * value;
            }
        }
        for along in 0..dimension {
            let half = |value: f64, sign: i8| {
                let mut step = [0; 3];
                step[along] = sign;
                limit.of(value, |operator| -0.5 * operator.entry(place, step))
            };
            let [before, _, behind] = couplings[along];
            let (before, behind) = (half(before, -1), half(behind, 1));
            for over in 0..dimension {
                let first = self.starts[along][over];
                if over == along {
                    // The coupling before node 0 of a ring is the one behind its last node.
                    let i = if place[along] == 0 { dims[along] } else { place[along] };
                    add(&mut self.sums[first + i], before);
                    add(&mut self.sums[first + place[along] + 1], behind);
                } else {
                    add(&mut self.sums[first + place[over]], before + behind);
                }
            }
        }
        let sum = limit.of(sum, |operator| operator.of_constants(place));
        if (0..dimension).all(|d| periodic[d] || (place[d] > 0 && place[d] + 1 < dims[d])) {
            self.hold(Part::Inside, 0, sum, size);
            return;
        }
        if self.is_inside(place, None) {
            self.hold(Part::Inside, 0, sum, size);
        }
        for axis in (0..dimension).filter(|&axis| !periodic[axis]) {
            for (end, at) in [(0, 0), (1, dims[axis] - 1)] {
                if place[axis] == at && self.is_inside(place, Some(axis)) {
                    self.hold(Part::Face(axis), end, sum, size);
                }
            }
        }
    }

    fn hold(&mut self, part: Part, end: usize, sum: f64, size: f64) {
        let at = self.rows + part.at(end);
        add(&mut self.sums[at], sum);
        add(&mut self.sums[at + 1], size);
    }

    /// Collective.
    pub fn add_up(&mut self, a: &DistCsr) -> Result<()> {
        for (starts, [high, low]) in
            self.starts.iter().zip(&self.lines).take(self.lattice.dimension)
        {
            let line = self.sums[starts[0]..].iter_mut().zip(high).zip(low);
            line.for_each(|((sum, high), low)| add_sum(sum, [*high, *low]));
        }
        over_ranks(a, &mut self.sums)
    }

    fn planes(&self, along: usize, over: usize) -> impl Iterator<Item = f64> + Clone {
        let first = self.starts[along][over];
        self.sums[first..=first + self.lattice.dims[over]].iter().map(|sum| sum[0])
    }

    /// The sum of rows over a sum of masses; 0 where it is rounding.
    fn held(&self, part: Part, end: usize, mass: f64) -> f64 {
        let at = self.rows + part.at(end);
        let (sum, size) = (self.sums[at][0], self.sums[at + 1][0]);
        if mass > 0.0 && sum.abs() > ROUNDING * size { sum / mass } else { 0.0 }
    }

    /// The operator, planes as they are; `singular` where A is known to take constants to zero.
    pub fn operator(&self, singular: bool) -> Result<Separable> {
        let Lattice { dims, dimension, periodic } = self.lattice;
        let sizes: f64 = (0..dimension).flat_map(|d| self.planes(d, d)).map(f64::abs).sum();
        if !sizes.is_finite() {
            let why = "no reference matrix for A: its entries are not finite or beyond the range of numbers";
            return Err(Error::Data(why.into()));
        }
        let masses: Vec<Vec<f64>> =
            (0..dimension).map(|axis| self.masses(axis)).collect::<Result<_>>()?;
        let inner = |axis: usize| -> f64 {
            let m = dims[axis];
            match periodic[axis] || m < 3 {
                true => masses[axis].iter().sum(),
                false => masses[axis][1..m - 1].iter().sum(),
            }
        };
        // A single node along an axis is held by a multiple of the mass as well as by its ends.
        let has_inside = (0..dimension).all(|d| periodic[d] || dims[d] != 2);
        let shift = match has_inside && !singular {
            true => self.held(Part::Inside, 0, (0..dimension).map(inner).product()).max(0.0),
            false => 0.0,
        };
        let mut axes = Vec::new();
        for axis in 0..dimension {
            let m = dims[axis];
            let mut stiffness: Vec<f64> = self.planes(axis, axis).collect();
            let positive = |v: f64| v > 0.0;
            if let Some(i) = (1..m).find(|&i| !positive(stiffness[i])) {
                return Err(near(&format!(
                    "the couplings from layer {i} to the next one along {} are {:.1e} in the mean, not negative \
                     entries",
                    ["x", "y", "z"][axis],
                    -stiffness[i]
                )));
            }
            let mass: f64 = (0..dimension).filter(|&d| d != axis).map(inner).product();
            for (end, at) in [(0, 0), (1, m)] {
                stiffness[at] = match periodic[axis] {
                    true => stiffness[m],
                    false if singular => 0.0,
                    false => {
                        let whole = self.held(Part::Face(axis), end, mass);
                        let held = whole - shift * masses[axis][at.min(m - 1)];
                        // A single node has both ends.
                        let part = if m == 1 { 0.5 } else { 1.0 };
                        if held > 1e-12 * whole { part * held } else { 0.0 }
                    }
                };
            }
            axes.push(Axis { stiffness, mass: masses[axis].clone(), periodic: periodic[axis] });
        }
        let nothing = |axis: &Axis| axis.stiffness.iter().all(|k| *k == 0.0);
        if shift == 0.0 && axes.iter().all(nothing) {
            let why = "no reference matrix for A: all of its entries are zero";
            return Err(Error::Data(why.into()));
        }
        Ok(Separable { axes, shift })
    }

    /// Masses along an axis: shares of its planes in the couplings along the others, in the geometric mean.
    fn masses(&self, axis: usize) -> Result<Vec<f64>> {
        let (dims, m) = (self.lattice.dims, self.lattice.dims[axis]);
        let mut logs = vec![0.0; m];
        let others = (0..self.lattice.dimension).filter(|&d| d != axis && dims[d] > 1);
        let count = others.clone().count().max(1) as f64;
        for other in others {
            let planes: Vec<f64> = self.planes(other, axis).take(m).collect();
            let all: f64 = planes.iter().sum();
            for (i, (log, plane)) in logs.iter_mut().zip(&planes).enumerate() {
                if plane.is_nan() || *plane <= 0.0 {
                    return Err(near(&format!(
                        "the couplings along {} of layer {i} along {} are {:.1e} in the mean, not negative entries",
                        ["x", "y", "z"][other],
                        ["x", "y", "z"][axis],
                        -plane
                    )));
                }
                *log += (plane / all).ln() / count;
            }
        }
        let all: f64 = logs.iter().map(|log| log.exp()).sum();
        Ok(logs.into_iter().map(|log| log.exp() / all).collect())
    }

    /// The operator with planes made equal that `noise`, the variance of single couplings along every axis around it,
    /// explains.
    pub fn without_noise(&self, mut operator: Separable, noise: [f64; 3]) -> Separable {
        let n = self.lattice.nodes() as f64;
        for axis in 0..operator.axes.len() {
            let m = operator.axes[axis].nodes();
            let error = |variance: f64| ERRORS * (variance * m as f64 / n).sqrt() + EQUAL;
            let others = (0..noise.len()).filter(|&d| d != axis);
            let of_masses = others.map(|d| noise[d]).fold(0.0, f64::max);
            equalise(&mut operator.axes[axis], error(noise[axis]), error(of_masses));
        }
        operator
    }
}
