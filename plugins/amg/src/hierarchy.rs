//! All levels: how they are made, and the cycle through them.
use crate::coarsening::{self, Down, Known, Rule};
use crate::coarsest::Inverse;
use crate::frame::Frame;
use crate::galerkin::{self, Restriction};
use crate::level::Level;
use crate::number::Number;
use crate::rows::Rows;
use crate::smoother::Smoother;
use precondor_sdk::core::kernel::chunks;
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

/// The first matrix of a hierarchy.
pub(crate) struct First<'a, T: Number> {
    pub a: Rows<'a, T>,
    /// The power of two that it was multiplied by.
    pub scale: f64,
    pub known: Known,
}

/// Levels in one precision: those below the finest, or all.
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
    /// The levels from `first` on; `sizes` are those above it. `old` are the levels before the values changed.
    pub fn new(
        plan: &Plan,
        first: First<'_, T>,
        old: Option<Self>,
        smoother: &mut MakeSmoother<'_, T>,
        host: &dyn Host,
        sizes: &mut Vec<Size>,
    ) -> Result<Made<Self>> {
        let First { mut a, scale, mut known } = first;
        let (mut carry, old) = old.map_or_else(Default::default, |o| (o.carry, o.levels));
        let mut old = old.into_iter();
        let rows = sizes.first().map_or(a.len(), |finest| finest.rows);
        // Needed below a finest level of its own.
        carry.resize(if sizes.is_empty() { 0 } else { a.len() }, 0.0);
        let mut levels = Vec::new();
        let make = |a: &Rows<'_, T>, smoother, down, vectors| {
            let steps = plan.steps[0].max(plan.steps[1]);
            Level::new(a, plan.rule.symmetric, smoother, down, steps, vectors)
        };
        loop {
            host.step(rows - a.len(), rows, "rows coarsened")?;
            sizes.push(Size { rows: a.len(), entries: a.nnz(), interpolation: 0 });
            if a.len() <= plan.coarsest || sizes.len() >= plan.levels {
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
            let next = galerkin::product::<T, T>(host, &a, &p, &down.r, 1.0)?;
            let smoother = smoother(sizes.len() - 1, &a)?;
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
                let smoother = smoother(sizes.len() - 1, &a)?;
                levels.push(make(&a, smoother, None, Default::default()));
                Last { inverse: Inverse::empty(), b: vec![], x: vec![] }
            }
        };
        Ok(Made::Whole(Coarse { scale, carry, levels, last, definite }))
    }

    /// Adds to `x` what the coarser levels make of the residual `rest` of the finest.
    pub fn correct(
        &mut self,
        host: &dyn Host,
        steps: [u32; 2],
        r: &Restriction,
        rest: &[f64],
        x: &mut [f64],
    ) -> Result<()> {
        restrict(host, r, rest, &mut self.carry)?;
        let largest = largest(&self.carry);
        if largest == 0.0 {
            return Ok(());
        }
        let size = power_of_two(largest);
        let b = match self.levels.first_mut() {
            Some(level) => &mut level.b,
            None => &mut self.last.b,
        };
        b.iter_mut().zip(&self.carry).for_each(|(b, &c)| *b = T::of(c / size));
        self.cycle(host, 0, steps)?;
        let z = self.levels.first().map_or(&self.last.x, |level| &level.x);
        let back = self.scale * size;
        r.stripes.add(host, x, |c, x, from| {
            let z = z[c].double() * back;
            r.row(c).for_each(|(i, w)| x[i - from] += f64::from(w) * z);
        })
    }

    /// `z = M r`, where these are all levels.
    pub fn apply(
        &mut self,
        host: &dyn Host,
        steps: [u32; 2],
        frame: &Frame,
        r: &[f64],
        z: &mut [f64],
    ) -> Result<()> {
        let largest = largest(r);
        if largest == 0.0 {
            z.fill(0.0);
            return Ok(());
        }
        let size = power_of_two(largest);
        let b = match self.levels.first_mut() {
            Some(level) => &mut level.b,
            None => &mut self.last.b,
        };
        let down = 1.0 / size;
        frame.enter(r, |i, r| b[i] = T::of(r * down));
        self.cycle(host, 0, steps)?;
        let x = self.levels.first().map_or(&self.last.x, |level| &level.x);
        let back = self.scale * size;
        frame.leave(|i| x[i].double() * back, z);
        Ok(())
    }

    /// The cycle from level `number` on; its right-hand side is in place, and so is the result.
    fn cycle(&mut self, host: &dyn Host, number: usize, steps: [u32; 2]) -> Result<()> {
        let Some(level) = self.levels.get_mut(number) else {
            let Last { inverse, b, x } = &mut self.last;
            inverse.solve(b, x);
            return Ok(());
        };
        level.before(host, steps[0])?;
        if level.down.is_some() {
            let (mine, below) = self.levels.split_at_mut(number + 1);
            let level = &mine[number];
            let b = match below.first_mut() {
                Some(next) => &mut next.b,
                None => &mut self.last.b,
            };
            if let Some(Down { r, .. }) = &level.down {
                restrict(host, r, &level.rest, b)?;
            }
            self.cycle(host, number + 1, steps)?;
            let (mine, below) = self.levels.split_at_mut(number + 1);
            let level = &mut mine[number];
            let z = below.first().map_or(&self.last.x, |next| &next.x);
            if let Some(Down { r, .. }) = &level.down {
                interpolate(host, r, z, &mut level.x)?;
            }
        }
        self.levels[number].after(host, steps[1])
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

/// The largest magnitude; NaN where there is one, so that what comes of it is NaN, too.
fn largest(v: &[f64]) -> f64 {
    let larger = |largest: f64, v: &f64| match largest >= v.abs() || largest.is_nan() {
        true => largest,
        false => v.abs(),
    };
    v.iter().fold(0.0, larger)
}

/// Rows that one thread restricts at a time, at least.
const GRAIN: usize = 2000;

fn restrict<T: Number>(host: &dyn Host, r: &Restriction, rest: &[T], b: &mut [T]) -> Result<()> {
    chunks::rows(host, b.len(), GRAIN, [(b, 1)], |rows, [b]| {
        for (c, out) in rows.zip(b) {
            let mut sum = T::ZERO;
            r.row(c).for_each(|(i, w)| sum += T::of_single(w) * rest[i]);
            *out = sum;
        }
        Ok(())
    })
}

fn interpolate<T: Number>(host: &dyn Host, r: &Restriction, z: &[T], x: &mut [T]) -> Result<()> {
    r.stripes.add(host, x, |c, x, from| {
        r.row(c).for_each(|(i, w)| x[i - from] += T::of_single(w) * z[c]);
    })
}
