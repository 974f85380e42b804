//! Generalised minimal residuals, restarted: GMRES(m) with M on the right or on the left, and its
//! flexible form for an M that changes from application to application.
//!
//! On the right it minimises ‖b − A x‖₂ over x0 + M K with K the Krylov space of AM: the residual of
//! the least-squares problem *is* the unpreconditioned one. On the left it minimises ‖M(b − A x)‖₂ over
//! x0 + K with K the Krylov space of MA, and measures that. In exact arithmetic what is minimised is
//! zero after at most n iterations without a restart, and never grows.
//!
//! That holds for the M that is applied to the basis. Where M is unstable, x may be worse for the
//! correction all the same: then x stays what it was at the last restart, and the breakdown says so.
//!
//! Orthogonalisation is classical Gram-Schmidt done twice: as stable as Householder reflections in
//! practice, and two reductions an iteration whatever its number, where modified Gram-Schmidt needs
//! one for every basis vector.
//!
//! Cost of iteration j after a start: one product with A, one application of M, two reductions,
//! 8 n j flops. A restart adds a product, a reduction and (not in the flexible form) an application,
//! with M on the left one more reduction; a look at single rows (`run/rows.rs`) costs as much, and
//! the cycle goes on.
//! Memory: at most m + 4 n-vectors (V, z, r, x of the last restart), flexible 2m + 3 (V, Z, r, x); m
//! is lowered to n and to the iterations allowed. Basis vectors are allocated when they are first
//! needed: a long restart costs what the iterations done cost, and memory that runs out is an error.
//! Stopping by the error needs x in every iteration: then the constant form on the right stores Z too,
//! and iteration j adds 2 n j flops and a reduction, but no application of M.
//!
//! An M in single precision is linear to seven digits only, and a cycle whose combination of the basis has large terms that
//! cancel promises more than M of that combination keeps. Where a restart finds the residual ten times what was
//! promised, the cycles that follow store Z as the flexible form does, and keep what they promise.
//!
//! Reference: Y. Saad, M. H. Schultz, *GMRES*, SIAM J. Sci. Stat. Comput. 7 (1986); Y. Saad, *A
//! Flexible Inner-Outer Preconditioned GMRES Algorithm*, SIAM J. Sci. Comput. 14 (1993); Y. Saad,
//! *Iterative Methods for Sparse Linear Systems*, 2nd ed., SIAM 2003, Algorithms 9.4 to 9.6;
//! L. Giraud et al., *The loss of orthogonality in the Gram-Schmidt process*, Comput. Math. Appl. 50
//! (2005), for "twice is enough".
use super::run::{Go, Halt, Resume, Run, axpy, broke_down};
use crate::matrix::dot_local;
use crate::{Error, Result};
use std::convert::Infallible;

/// A new direction shorter than this, relative to A M v, lies in the space that is there.
const TINY: f64 = 1e-14;

/// A square of the norm that is minimised that grows over a cycle by more than this is no rounding.
const MISLED: f64 = 4.0;

/// A square of the residual this much above what the cycle promised tells of an M that is linear to few digits.
const BROKEN: f64 = 100.0;

/// Where M stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A M y = b, x = M y.
    Right,
    /// M A x = M b.
    Left,
    /// On the right, another one in every iteration.
    Flexible,
}

/// Places in lists that are set aside at the start; more come as they are needed.
const ROOM: usize = 64;

pub(super) fn iterate(
    run: &mut Run,
    restart: usize,
    form: Form,
    x: &mut [f64],
    r: &mut [f64],
) -> Go<Infallible> {
    let n_global = usize::try_from(run.n_global()).unwrap_or(usize::MAX);
    let m = restart.min(n_global).min(run.iterations_left());
    let keep = form == Form::Flexible || form == Form::Right && run.measures_error();
    let mut space = Krylov::new(x.len(), m, form, keep);
    let mut origin = vec![0.0; x.len()];
    let mut before = run.renew(x, r)?;
    // On the left: ‖M r‖₂² where M r is in `spare`.
    let mut preconditioned = None;
    // A cycle promised what M did not keep.
    let mut broken = false;
    loop {
        if form == Form::Left {
            before = match preconditioned.take() {
                Some(known) => known,
                None => run.preconditioned_square(r, space.spare())?,
            };
            space.start_from_spare(before.sqrt())?;
        } else {
            space.keep |= broken;
            space.start(r, before.sqrt());
        }
        origin.copy_from_slice(x);
        loop {
            let ended = match space.cycle(run, x, r) {
                Ok(met) => Ok(met),
                Err(Halt::Ended(outcome)) => Err(Halt::Ended(outcome)),
                Err(failed) => return Err(failed),
            };
            let promised = space.g[space.j] * space.g[space.j];
            space.correct(run, x, r);
            let mut corrected = run.true_square(x, r)?;
            // M of a sum is not the sum of what M gave: from the next cycle on that is kept.
            broken |=
                form == Form::Right && corrected > BROKEN * promised && !run.within(corrected);
            if form == Form::Left {
                corrected = run.preconditioned_square(r, space.spare())?;
                preconditioned = Some(corrected);
            }
            if corrected.is_nan() || corrected > before && !run.within(corrected) {
                x.copy_from_slice(&origin);
                run.moved();
                preconditioned = None;
                if corrected.is_nan() || corrected > MISLED * before {
                    ended?;
                    return Err(run.misled(before, corrected));
                }
            }
            if !ended? {
                break;
            }
            run.know(x, r)?;
            if run.confirm(x, r, &mut [])? == Resume::Anew || space.is_full() {
                // r is b − Ax, which a new cycle starts from anyway.
                break;
            }
            // That was a look at the rows: the cycle goes on as if there had been none.
            x.copy_from_slice(&origin);
            run.moved();
            preconditioned = None;
        }
        before = run.renew(x, r)?;
    }
}

/// What a cycle between two restarts builds up.
struct Krylov {
    n: usize,
    m: usize,
    form: Form,
    /// Columns of H that are complete.
    j: usize,
    /// The last direction led nowhere new.
    exhausted: bool,
    /// Orthonormal basis, up to m + 1 vectors.
    v: Vec<Vec<f64>>,
    /// M vⱼ of all j where `keep`, else one vector: M v of the last, on the left A v.
    z: Vec<Vec<f64>>,
    keep: bool,
    /// Hessenberg matrix made triangular by rotations: column j has j + 2 numbers.
    h: Vec<Vec<f64>>,
    rotations: Vec<(f64, f64)>,
    /// Rotated right-hand side of the least-squares problem.
    g: Vec<f64>,
    /// Solution of the least-squares problem.
    y: Vec<f64>,
    mine: Vec<[f64; 2]>,
    dots: Vec<f64>,
}

impl Krylov {
    fn new(n: usize, m: usize, form: Form, keep: bool) -> Self {
        let room = m.min(ROOM) + 2;
        let list = |first: Option<usize>| {
            let mut list = Vec::with_capacity(room);
            list.extend(first.map(|n| vec![0.0; n]));
            list
        };
        Krylov {
            n,
            m,
            form,
            j: 0,
            exhausted: false,
            v: list(Some(n)),
            z: list((!keep).then_some(n)),
            keep,
            h: list(None),
            rotations: Vec::with_capacity(room),
            g: Vec::with_capacity(room),
            y: Vec::with_capacity(room),
            mine: Vec::with_capacity(room),
            dots: Vec::with_capacity(room),
        }
    }

    /// A vector that a cycle does not need before it starts: where M r goes, on the left.
    fn spare(&mut self) -> &mut [f64] {
        &mut self.z[0]
    }

    fn start_from_spare(&mut self, beta: f64) -> Go<()> {
        if beta == 0.0 {
            return Err(broke_down("M r = 0 for a residual r that is not: M is singular"));
        }
        let mr = std::mem::take(&mut self.z[0]);
        self.start(&mr, beta);
        self.z[0] = mr;
        Ok(())
    }

    fn start(&mut self, r: &[f64], beta: f64) {
        (self.j, self.exhausted) = (0, false);
        self.rotations.clear();
        self.g.clear();
        self.g.push(beta);
        for (v, r) in self.v[0].iter_mut().zip(r) {
            *v = r / beta;
        }
    }

    /// Iterates until the tolerance is met (true), or there is no room or no direction left.
    fn cycle(&mut self, run: &mut Run, x: &[f64], r: &mut [f64]) -> Go<bool> {
        while !self.is_full() {
            self.exhausted = self.extend(run, r)?;
            let residual = self.g[self.j];
            let from_m = match self.form {
                Form::Left => self.j,
                _ => self.kept(self.j - 1),
            };
            let met = if run.measures_error() {
                r.copy_from_slice(x);
                self.add(r);
                run.step(r, residual * residual, &self.given()[from_m])?
            } else {
                run.step_without_x(residual * residual, &self.given()[from_m])?
            };
            if met {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// There is no room for another direction, or there is none.
    fn is_full(&self) -> bool {
        self.j >= self.m || self.exhausted
    }

    /// What M gave.
    fn given(&self) -> &[Vec<f64>] {
        if self.form == Form::Left { &self.v } else { &self.z }
    }

    /// Where M vⱼ stands in `z`.
    fn kept(&self, j: usize) -> usize {
        if self.keep { j } else { 0 }
    }

    /// Room for one more vector and column, where there is none from an earlier cycle.
    fn grow(&mut self) -> Result<()> {
        let (j, n) = (self.j, self.n);
        let missing = |e: Error| {
            let whole = 8.0 * n as f64 * (self.m as f64) * if self.keep { 2.0 } else { 1.0 };
            Error::Unsupported(format!(
                "basis vector {} of gmres: {e}; a whole basis takes {:.1} GB on this rank: lower \
                 'restart' (now {} iterations)",
                j + 2,
                whole / 1e9,
                self.m
            ))
        };
        let lists = [(&mut self.v, j + 1, n), (&mut self.h, j, j + 2)];
        let kept = self.keep.then_some((&mut self.z, j, n));
        for (list, at, len) in lists.into_iter().chain(kept) {
            if list.len() == at {
                list.push(zeros(len).map_err(missing)?);
            }
        }
        Ok(())
    }

    /// One more basis vector and column of H; says whether the space cannot grow any more. `spare` is
    /// overwritten where there is no memory.
    fn extend(&mut self, run: &mut Run, spare: &mut [f64]) -> Go<bool> {
        if let Err(e) = self.grow() {
            return Err(self.leave(run, spare, e));
        }
        let (j, at) = (self.j, self.kept(self.j));
        let (basis, rest) = self.v.split_at_mut(j + 1);
        let (z, w) = (&mut self.z[at], &mut rest[0]);
        if self.form == Form::Left {
            run.product(&basis[j], z)?;
            run.apply(z, w);
        } else {
            run.apply(&basis[j], z);
            run.product(z, w)?;
        }
        let column = &mut self.h[j];
        column.fill(0.0);
        self.dots.resize(j + 2, 0.0);
        let (mut before, mut after) = (0.0, 0.0);
        for pass in 0..2 {
            self.mine.clear();
            self.mine.extend(basis.iter().map(|v| dot_local(v, w)));
            self.mine.push(dot_local(w, w));
            run.sums(&self.mine, &mut self.dots)?;
            let (c, ww) = (&self.dots[..=j], self.dots[j + 1]);
            if !ww.is_finite() {
                return Err(run.blame(if self.form == Form::Left { w } else { z })?);
            }
            if pass == 0 {
                before = ww;
            }
            after = ww;
            for (k, &c) in c.iter().enumerate() {
                axpy(-c, &basis[k], w);
                column[k] += c;
                after -= c * c;
            }
        }
        let norm = after.max(0.0).sqrt();
        let exhausted = norm <= TINY * before.sqrt();
        column[j + 1] = if exhausted { 0.0 } else { norm };
        for (k, &(cos, sin)) in self.rotations.iter().enumerate() {
            let (a, b) = (column[k], column[k + 1]);
            (column[k], column[k + 1]) = (cos * a + sin * b, cos * b - sin * a);
        }
        let (a, b) = (column[j], column[j + 1]);
        let diagonal = a.hypot(b);
        if diagonal <= TINY * before.sqrt() {
            return Err(broke_down(format!(
                "A is singular, or M is, on the Krylov space at iteration {}",
                run.iteration()
            )));
        }
        let (cos, sin) = (a / diagonal, b / diagonal);
        (column[j], column[j + 1]) = (diagonal, 0.0);
        self.g.push(-sin * self.g[j]);
        self.g[j] *= cos;
        self.rotations.push((cos, sin));
        if !exhausted {
            w.iter_mut().for_each(|w| *w /= norm);
        }
        self.j += 1;
        Ok(exhausted)
    }

    /// There is no memory on this rank. The others are in an iteration: takes part in it, with
    /// vectors that nobody will look at, as far as the reduction that tells them.
    fn leave(&mut self, run: &mut Run, spare: &mut [f64], e: Error) -> Halt {
        run.fail(e.clone());
        let j = self.j;
        let product = if self.form == Form::Left {
            let done = run.product(&self.v[j], &mut self.z[0]);
            run.apply(&self.z[0], spare);
            done
        } else {
            run.apply(&self.v[j], spare);
            run.product(spare, &mut self.v[j])
        };
        self.mine.clear();
        self.mine.resize(j + 2, [0.0; 2]);
        self.dots.resize(j + 2, 0.0);
        match product.and_then(|()| run.sums(&self.mine, &mut self.dots)) {
            Err(halt) => halt,
            Ok(()) => Halt::Failed(e),
        }
    }

    /// Solves the triangular system for y.
    fn solve(&mut self) {
        self.y.clear();
        self.y.resize(self.j, 0.0);
        for i in (0..self.j).rev() {
            let row = (i + 1..self.j).map(|k| self.h[k][i] * self.y[k]);
            let s: f64 = row.sum();
            self.y[i] = (self.g[i] - s) / self.h[i][i];
        }
    }

    /// `x += Z y`, on the left `x += V y`.
    fn add(&mut self, x: &mut [f64]) {
        self.solve();
        for (&y, z) in self.y.iter().zip(self.given()) {
            axpy(y, z, x);
        }
    }

    /// `x += M V y`, on the left `x += V y`; `u` is overwritten.
    fn correct(&mut self, run: &mut Run, x: &mut [f64], u: &mut [f64]) {
        if self.keep || self.form == Form::Left {
            return self.add(x);
        }
        if self.j == 0 {
            return;
        }
        self.solve();
        u.fill(0.0);
        for (&y, v) in self.y.iter().zip(&self.v) {
            axpy(y, v, u);
        }
        run.apply(u, &mut self.z[0]);
        axpy(1.0, &self.z[0], x);
    }
}

/// Room for `n` numbers, all 0.
fn zeros(n: usize) -> Result<Vec<f64>> {
    let mut v = Vec::new();
    v.try_reserve_exact(n).map_err(|_| {
        Error::Unsupported(format!("there is no memory for {:.1} MB", 8e-6 * n as f64))
    })?;
    v.resize(n, 0.0);
    Ok(v)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_not_there_is_an_error_that_names_the_restart() {
        let none = isize::MAX as usize / 8 + 1;
        let mut space = Krylov::new(4, 10_000, Form::Flexible, true);
        space.grow().expect("four numbers");
        assert_eq!((space.v.len(), space.z.len(), space.h.len()), (2, 1, 1));
        space.grow().expect("nothing new");
        (space.j, space.n) = (1, none);
        let text = space.grow().unwrap_err().to_string();
        assert!(text.starts_with("basis vector 3 of gmres: there is no memory for"), "{text}");
        assert!(text.ends_with("lower 'restart' (now 10000 iterations)"), "{text}");
        let refused = zeros(none).unwrap_err();
        assert!(refused.to_string().contains("no memory"), "{refused}");
    }
}
