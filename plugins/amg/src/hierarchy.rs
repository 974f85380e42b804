//! All levels: how they are made, and the cycle through them.
use crate::coarsening::{self, Down, Known, Rule};
use crate::coarsest::Inverse;
use crate::galerkin::{self, Restriction};
use crate::interpolation::Prolongation;
use crate::level::Level;
use crate::number::Number;
use crate::rows::Rows;
use crate::smoother::Smoother;
use precondor_sdk::prelude::*;

/// What levels are made by.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub rule: Rule,
    /// Steps before and after the coarse correction.
    pub steps: [u32; 2],
    /// Unknowns on the coarsest level, at most, where coarsening gets there.
    pub coarsest: usize,
    pub levels: usize,
}

/// A level's place in a report.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub rows: usize,
    pub entries: usize,
    /// Entries of P to the next level.
    pub interpolation: usize,
}

/// Makes the smoother of a level below the finest.
pub(crate) type MakeSmoother<'a, T> = dyn FnMut(usize, &Rows<'_, T>) -> Result<Smoother<T>> + 'a;

/// The finest level, and the way down from it.
#[derive(Clone)]
pub(crate) struct Finest<'a> {
    pub a: &'a Rows<'a, f64>,
    pub p: &'a Prolongation,
    pub r: &'a Restriction,
    /// A power of two that the next matrix is multiplied by.
    pub scale: f64,
    /// What is known of the rows of the next level.
    pub known: Known,
}

/// Everything below the finest level.
pub(crate) struct Coarse<T: Number> {
    /// A power of two that the matrices are multiplied by.
    scale: f64,
    /// The right-hand side of the first of them, in full.
    carry: Vec<f64>,
    levels: Vec<Level<T>>,
    last: Last<T>,
    /// Whether the coarsest matrix was found to be positive definite.
    definite: bool,
}

/// The coarsest level.
struct Last<T: Number> {
    inverse: Inverse<T>,
    b: Vec<T>,
    x: Vec<T>,
}

/// What came of an attempt.
pub(crate) enum Made<T> {
    Whole(T),
    /// The coarsest matrix is not positive definite to the precision of the levels.
    NotDefinite,
}

/// Levels that coarsening stopped at may be solved directly up to so many unknowns.
const DIRECT: usize = 1000;

impl<T: Number> Coarse<T> {
    /// The levels below the finest, whose P leads to this one. `old` are those before the values changed.
    pub fn new(
        plan: &Plan,
        finest: Finest<'_>,
        old: Option<Self>,
        smoother: &mut MakeSmoother<'_, T>,
        host: &dyn Host,
        sizes: &mut Vec<Size>,
    ) -> Result<Made<Self>> {
        let Finest { a: rows, p, r, scale, known } = finest;
        let (mut carry, old) = old.map_or_else(Default::default, |o| (o.carry, o.levels));
        let (mut known, mut old) = (known, old.into_iter());
        let mut a = galerkin::product::<f64, T>(rows, p, r, scale);
        carry.resize(a.len(), 0.0);
        let mut levels = Vec::new();
        let make = |a: &Rows<'_, T>, smoother, down, vectors| {
            let steps = plan.steps[0].max(plan.steps[1]);
            Level::new(a, plan.rule.symmetric, smoother, down, steps, vectors)
        };
        loop {
            host.step(rows.len() - a.len(), rows.len(), "rows coarsened")?;
            sizes.push(Size { rows: a.len(), entries: a.nnz(), interpolation: 0 });
            if a.len() <= plan.coarsest || levels.len() + 2 >= plan.levels {
                break;
            }
            let (down, vectors) = match old.next() {
                Some(mut level) => (level.down.take(), level.vectors()),
                None => (None, Default::default()),
            };
            let next = coarsening::next(&plan.rule, &a, &mut known, down);
            let Some((p, down)) = next else { break };
            if let Some(size) = sizes.last_mut() {
                size.interpolation = p.cols.len();
            }
            let next = galerkin::product::<T, T>(&a, &p, &down.r, 1.0);
            let smoother = smoother(levels.len() + 1, &a)?;
            levels.push(make(&a, smoother, Some(down), vectors));
            a = next;
        }
        let single = size_of::<T>() == 4;
        let noise = if single { 1e-6 } else { 0.0 };
        let solved = a.len() <= plan.coarsest.max(DIRECT);
        let sure = if solved && plan.rule.symmetric {
            Inverse::definite(&a, noise, vec![])?
        } else {
            None
        };
        let definite = sure.is_some() || !solved;
        if solved && plan.rule.symmetric && !definite && single {
            return Ok(Made::NotDefinite);
        }
        let inverse = match sure {
            None if solved => Inverse::general(&a)?,
            sure => sure,
        };
        let last = match inverse {
            Some(inverse) => {
                let zeros = || vec![T::ZERO; a.len()];
                Last { inverse, b: zeros(), x: zeros() }
            }
            None => {
                // Smoothed only, with nothing below it.
                let smoother = smoother(levels.len() + 1, &a)?;
                levels.push(make(&a, smoother, None, Default::default()));
                Last { inverse: Inverse::empty(), b: vec![], x: vec![] }
            }
        };
        Ok(Made::Whole(Coarse { scale, carry, levels, last, definite }))
    }

    /// Adds to `x` what the coarser levels make of the residual `rest` of the finest.
    pub fn correct(
        &mut self,
        steps: [u32; 2],
        r: &Restriction,
        rest: &[f64],
        x: &mut [f64],
    ) -> Result<()> {
        let mut largest = 0.0f64;
        for (c, out) in self.carry.iter_mut().enumerate() {
            *out = r.row(c).map(|(i, w)| f64::from(w) * rest[i]).sum();
            // NaN is kept: what comes of it is NaN, too.
            if out.is_nan() || out.abs() > largest {
                largest = out.abs();
            }
        }
        if largest == 0.0 {
            return Ok(());
        }
        let size = power_of_two(largest);
        let b = match self.levels.first_mut() {
            Some(level) => &mut level.b,
            None => &mut self.last.b,
        };
        b.iter_mut().zip(&self.carry).for_each(|(b, &c)| *b = T::of(c / size));
        self.cycle(0, steps)?;
        let z = self.levels.first().map_or(&self.last.x, |level| &level.x);
        let back = self.scale * size;
        for (c, &z) in z.iter().enumerate() {
            let z = z.double() * back;
            r.row(c).for_each(|(i, w)| x[i] += f64::from(w) * z);
        }
        Ok(())
    }

    /// The cycle from level `number` on; its right-hand side is in place, and so is the result.
    fn cycle(&mut self, number: usize, steps: [u32; 2]) -> Result<()> {
        let Some(level) = self.levels.get_mut(number) else {
            let Last { inverse, b, x } = &mut self.last;
            inverse.solve(b, x);
            return Ok(());
        };
        level.before(steps[0])?;
        if level.down.is_some() {
            let (mine, below) = self.levels.split_at_mut(number + 1);
            let level = &mine[number];
            let b = match below.first_mut() {
                Some(next) => &mut next.b,
                None => &mut self.last.b,
            };
            if let Some(Down { r, .. }) = &level.down {
                restrict(r, &level.rest, b);
            }
            self.cycle(number + 1, steps)?;
            let (mine, below) = self.levels.split_at_mut(number + 1);
            let level = &mut mine[number];
            let z = below.first().map_or(&self.last.x, |next| &next.x);
            if let Some(Down { r, .. }) = &level.down {
                interpolate(r, z, &mut level.x);
            }
        }
        self.levels[number].after(steps[1])
    }

    pub fn is_definite(&self) -> bool {
        self.definite
    }
    pub fn stored_entries(&self) -> usize {
        let levels: usize = self.levels.iter().map(Level::stored_entries).sum();
        levels + self.last.inverse.stored_entries()
    }
    pub fn bytes(&self) -> usize {
        let levels: usize = self.levels.iter().map(Level::bytes).sum();
        let last = self.last.inverse.stored_entries() + 2 * self.last.b.len();
        levels + size_of::<T>() * last + 8 * self.carry.len()
    }
}

/// The power of two next below `x`, which is positive; 1 for what is not finite.
pub(crate) fn power_of_two(x: f64) -> f64 {
    if !x.is_finite() {
        return 1.0;
    }
    // The exponent alone, subnormal numbers up to the smallest normal one.
    let exponent = x.max(f64::MIN_POSITIVE).to_bits() & 0x7ff0_0000_0000_0000;
    f64::from_bits(exponent)
}

fn restrict<T: Number>(r: &Restriction, rest: &[T], b: &mut [T]) {
    for (c, out) in b.iter_mut().enumerate() {
        let mut sum = T::ZERO;
        r.row(c).for_each(|(i, w)| sum += T::of_single(w) * rest[i]);
        *out = sum;
    }
}

fn interpolate<T: Number>(r: &Restriction, z: &[T], x: &mut [T]) {
    for (c, &z) in z.iter().enumerate() {
        r.row(c).for_each(|(i, w)| x[i] += T::of_single(w) * z);
    }
}
