//! One level of the cycle: its matrix in halves, its smoother, its vectors, and the way down.
use crate::coarsening::Down;
use crate::half::Matrix;
use crate::number::Number;
use crate::rows::Rows;
use crate::smoother::Smoother;
use precondor_sdk::prelude::*;

/// Vectors that a later level may use again.
pub(crate) type Vectors<V> = [Vec<V>; 5];

/// A level that is not solved directly.
pub(crate) struct Level<V: Number> {
    pub matrix: Matrix<V>,
    pub smoother: Smoother<V>,
    /// To the next level; none where nothing could be lumped together.
    pub down: Option<Down>,
    pub b: Vec<V>,
    pub x: Vec<V>,
    pub rest: Vec<V>,
    /// A correction, where there is more than one step, and what a sweep leaves of the residual.
    pub step: [Vec<V>; 2],
}

impl<V: Number> Level<V> {
    /// `vectors` are those of an earlier level, to be used again.
    pub fn new(
        a: &Rows<'_, V>,
        symmetric: bool,
        smoother: Smoother<V>,
        down: Option<Down>,
        steps: u32,
        vectors: Vectors<V>,
    ) -> Self {
        let n = a.len();
        let of_sweeps = if smoother.in_place() && steps > 1 { n } else { 0 };
        let of_steps = if smoother.in_place() { of_sweeps } else { n };
        let sized = |mut vector: Vec<V>, n: usize| {
            vector.resize(n, V::ZERO);
            vector
        };
        let [b, x, rest, z, r] = vectors;
        Level {
            matrix: Matrix::of(a, symmetric),
            smoother,
            down,
            b: sized(b, n),
            x: sized(x, n),
            rest: sized(rest, n),
            step: [sized(z, of_steps), sized(r, of_sweeps)],
        }
    }

    /// Its vectors.
    pub fn vectors(self) -> Vectors<V> {
        let [z, r] = self.step;
        [self.b, self.x, self.rest, z, r]
    }

    /// `steps` steps from zero: x, and rest = b − A x.
    pub fn before(&mut self, host: &dyn Host, steps: u32) -> Result<()> {
        let Level { matrix, smoother, b, x, rest, .. } = self;
        match smoother {
            Smoother::GaussSeidel => matrix.forward(host, b, x, rest)?,
            Smoother::Step(smoother) => {
                let mut residual = |z: &[V], out: &mut [V]| {
                    out.copy_from_slice(b);
                    matrix.subtract(host, z, out)
                };
                smoother.times(&mut residual, b, x, false)?;
                rest.copy_from_slice(b);
                matrix.subtract(host, x, rest)?;
            }
        }
        (1..steps).try_for_each(|_| self.correct(host, false, true))
    }

    /// `steps` steps of the transposed smoother from x; b and rest may be used up.
    pub fn after(&mut self, host: &dyn Host, steps: u32) -> Result<()> {
        let Level { matrix, smoother, b, x, rest, .. } = self;
        if smoother.in_place() {
            for _ in 1..steps {
                rest.copy_from_slice(b);
                matrix.backward(host, rest, x)?;
            }
            return matrix.backward(host, b, x);
        }
        rest.copy_from_slice(b);
        matrix.subtract(host, x, rest)?;
        (1..=steps).try_for_each(|step| self.correct(host, true, step < steps))
    }

    /// `x ← x + S rest`, or Sᵀ, and, where it is needed `again`, rest = b − A x.
    fn correct(&mut self, host: &dyn Host, transposed: bool, again: bool) -> Result<()> {
        let Level { matrix, smoother, x, rest, step, .. } = self;
        match smoother {
            Smoother::GaussSeidel => {
                // The residual goes where it is not read.
                let [z, r] = step;
                matrix.forward(host, rest, z, r)?;
                rest.copy_from_slice(r);
            }
            Smoother::Step(smoother) => {
                let mut residual = |z: &[V], out: &mut [V]| {
                    out.copy_from_slice(rest);
                    matrix.subtract(host, z, out)
                };
                smoother.times(&mut residual, rest, &mut step[0], transposed)?;
                if again {
                    matrix.subtract(host, &step[0], rest)?;
                }
            }
        }
        x.iter_mut().zip(&step[0]).for_each(|(x, &s)| *x += s);
        Ok(())
    }

    pub fn stored_entries(&self) -> usize {
        let down = self.down.as_ref().map_or(0, |down| down.r.values.len());
        self.matrix.stored_entries() + self.smoother.stored_entries() + down
    }
    pub fn bytes(&self) -> usize {
        let vectors =
            self.b.len() + self.x.len() + self.rest.len() + self.step[0].len() + self.step[1].len();
        let down = self.down.as_ref().map_or(0, Down::bytes);
        self.matrix.bytes() + self.smoother.bytes() + down + size_of::<V>() * vectors
    }
}
