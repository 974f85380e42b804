//! One level of the cycle: its matrix in halves, its smoother, its vectors, and the way down.
use crate::coarsening::Down;
use crate::half::Matrix;
use crate::number::Number;
use crate::rows::Rows;
use crate::smoother::Smoother;
use precondor_sdk::prelude::*;

/// A level that is not solved directly.
pub(crate) struct Level<V: Number> {
    pub matrix: Matrix<V>,
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
            matrix: Matrix::of(a, symmetric),
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
        let Level { matrix, smoother, b, x, rest, .. } = self;
        match smoother {
            Smoother::GaussSeidel => matrix.forward(b, x, rest),
            Smoother::Step(smoother) => {
                let mut residual = |z: &[V], out: &mut [V]| {
                    out.copy_from_slice(b);
                    matrix.subtract(z, out);
                    Ok(())
                };
                smoother.times(&mut residual, b, x, false)?;
                rest.copy_from_slice(b);
                matrix.subtract(x, rest);
            }
        }
        (1..steps).try_for_each(|_| self.correct(false, true))
    }

    /// `steps` steps of the transposed smoother from x; b and rest may be used up.
    pub fn after(&mut self, steps: u32) -> Result<()> {
        let Level { matrix, smoother, b, x, rest, .. } = self;
        if smoother.in_place() && steps == 1 {
            matrix.backward(b, x);
            return Ok(());
        }
        rest.copy_from_slice(b);
        matrix.subtract(x, rest);
        (1..=steps).try_for_each(|step| self.correct(true, step < steps))
    }

    /// `x ← x + S rest`, or Sᵀ, and, where it is needed `again`, rest = b − A x.
    fn correct(&mut self, transposed: bool, again: bool) -> Result<()> {
        let Level { matrix, smoother, x, rest, step, .. } = self;
        match smoother {
            Smoother::GaussSeidel => matrix.correction(rest, step, transposed),
            Smoother::Step(smoother) => {
                let mut residual = |z: &[V], out: &mut [V]| {
                    out.copy_from_slice(rest);
                    matrix.subtract(z, out);
                    Ok(())
                };
                smoother.times(&mut residual, rest, step, transposed)?;
                if again {
                    matrix.subtract(step, rest);
                }
            }
        }
        x.iter_mut().zip(&*step).for_each(|(x, &s)| *x += s);
        Ok(())
    }

    pub fn stored_entries(&self) -> usize {
        let down = self.down.as_ref().map_or(0, |down| down.r.values.len());
        self.matrix.stored_entries() + self.smoother.stored_entries() + down
    }
    pub fn bytes(&self) -> usize {
        let vectors = self.b.len() + self.x.len() + self.rest.len() + self.step.len();
        let down = self.down.as_ref().map_or(0, Down::bytes);
        self.matrix.bytes() + self.smoother.bytes() + down + size_of::<V>() * vectors
    }
}
