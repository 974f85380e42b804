//! One level of the cycle: its matrix in halves, its smoother, its vectors, and the way down.
use crate::coarsening::Down;
use crate::half::{Half, Part};
use crate::number::Number;
use crate::rows::Rows;
use crate::smoother::Smoother;
use precondor_sdk::prelude::*;

/// A level that is not solved directly.
pub(crate) struct Level<V: Number> {
    pub lower: Half<V>,
    /// Of an unsymmetric matrix; a symmetric one is its lower half.
    pub upper: Option<Half<V>>,
    pub smoother: Smoother<V>,
    /// To the next level; none where nothing could be lumped together.
    pub down: Option<Down>,
    pub b: Vec<V>,
    pub x: Vec<V>,
    pub rest: Vec<V>,
    /// A correction, where there is more than one step.
    pub step: Vec<V>,
}

impl<V: Number> Level<V> {
    /// `vectors` are those of an earlier level, to be used again.
    pub fn new(
        a: &Rows<'_, V>,
        symmetric: bool,
        smoother: Smoother<V>,
        down: Option<Down>,
        steps: u32,
        vectors: [Vec<V>; 4],
    ) -> Self {
        let n = a.len();
        let more = if smoother.in_place() && steps < 2 { 0 } else { n };
        let sized = |mut vector: Vec<V>, n: usize| {
            vector.resize(n, V::ZERO);
            vector
        };
        let [b, x, rest, step] = vectors;
        Level {
            lower: Half::of(a, Part::Below),
            upper: (!symmetric).then(|| Half::of(a, Part::Above)),
            smoother,
            down,
            b: sized(b, n),
            x: sized(x, n),
            rest: sized(rest, n),
            step: sized(step, more),
        }
    }

    /// Its vectors.
    pub fn vectors(self) -> [Vec<V>; 4] {
        [self.b, self.x, self.rest, self.step]
    }

    /// `steps` steps from zero: x, and rest = b − A x.
    pub fn before(&mut self, steps: u32) -> Result<()> {
        let Level { lower, upper, smoother, b, x, rest, .. } = self;
        match (smoother, &*upper) {
            (Smoother::GaussSeidel, None) => lower.forward(b, x, rest),
            (Smoother::GaussSeidel, Some(upper)) => {
                for i in 0..lower.len() {
                    x[i] = lower.gather(b[i] * lower.inverse[i], i, x);
                }
                for (i, rest) in rest.iter_mut().enumerate() {
                    *rest = upper.gather(V::ZERO, i, x) * lower.diagonal[i];
                }
            }
            (Smoother::Step(smoother), upper) => {
                let mut residual = |z: &[V], out: &mut [V]| {
                    out.copy_from_slice(b);
                    subtract(lower, upper.as_ref(), z, out);
                    Ok(())
                };
                smoother.times(&mut residual, b, x, false)?;
                rest.copy_from_slice(b);
                subtract(lower, upper.as_ref(), x, rest);
            }
        }
        (1..steps).try_for_each(|_| self.correct(false))
    }

    /// `steps` steps of the transposed smoother from x; b and rest may be used up.
    pub fn after(&mut self, steps: u32) -> Result<()> {
        let Level { lower, upper, smoother, b, x, rest, .. } = self;
        if smoother.in_place() && steps == 1 {
            match upper {
                None => lower.backward(b, x),
                Some(upper) => {
                    for i in (0..lower.len()).rev() {
                        let s = lower.gather(b[i] * lower.inverse[i], i, x);
                        x[i] = upper.gather(s, i, x);
                    }
                }
            }
            return Ok(());
        }
        rest.copy_from_slice(b);
        subtract(lower, upper.as_ref(), x, rest);
        (0..steps).try_for_each(|_| self.correct(true))
    }

    /// `x ← x + S rest`, or Sᵀ, and rest = b − A x again.
    fn correct(&mut self, transposed: bool) -> Result<()> {
        let Level { lower, upper, smoother, x, rest, step, .. } = self;
        match (smoother, &*upper, transposed) {
            (Smoother::GaussSeidel, None, true) => {
                // (D + U) z = rest, after which rest − A z = −L z.
                for i in (0..lower.len()).rev() {
                    step[i] = rest[i] * lower.inverse[i];
                    lower.scatter(step[i] * lower.diagonal[i], i, rest);
                }
                for (i, rest) in rest.iter_mut().enumerate() {
                    *rest = lower.gather(V::ZERO, i, step) * lower.diagonal[i];
                }
            }
            (Smoother::GaussSeidel, Some(upper), true) => {
                for i in (0..lower.len()).rev() {
                    step[i] = upper.gather(rest[i] * lower.inverse[i], i, step);
                }
                subtract(lower, Some(upper), step, rest);
            }
            (Smoother::GaussSeidel, upper, false) => {
                for i in 0..lower.len() {
                    step[i] = lower.gather(rest[i] * lower.inverse[i], i, step);
                }
                subtract(lower, upper.as_ref(), step, rest);
            }
            (Smoother::Step(smoother), upper, _) => {
                let mut residual = |z: &[V], out: &mut [V]| {
                    out.copy_from_slice(rest);
                    subtract(lower, upper.as_ref(), z, out);
                    Ok(())
                };
                smoother.times(&mut residual, rest, step, transposed)?;
                subtract(lower, upper.as_ref(), step, rest);
            }
        }
        x.iter_mut().zip(&*step).for_each(|(x, &s)| *x += s);
        Ok(())
    }

    pub fn stored_entries(&self) -> usize {
        let down = self.down.as_ref().map_or(0, |down| down.r.values.len());
        let upper = self.upper.as_ref().map_or(0, Half::stored_entries);
        self.lower.stored_entries() + upper + self.smoother.stored_entries() + down
    }
    pub fn bytes(&self) -> usize {
        let vectors = self.b.len() + self.x.len() + self.rest.len() + self.step.len();
        let upper = self.upper.as_ref().map_or(0, Half::bytes);
        let down = self.down.as_ref().map_or(0, Down::bytes);
        self.lower.bytes() + upper + self.smoother.bytes() + down + size_of::<V>() * vectors
    }
}

/// `rest ← rest − A x`.
pub(crate) fn subtract<V: Number>(
    lower: &Half<V>,
    upper: Option<&Half<V>>,
    x: &[V],
    rest: &mut [V],
) {
    let Some(upper) = upper else { return lower.subtract(x, rest) };
    for i in 0..lower.len() {
        let near = upper.gather(lower.gather(V::ZERO, i, x), i, x) - x[i];
        rest[i] += lower.diagonal[i] * near;
    }
}
