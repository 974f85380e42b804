//! Generalised minimal residuals, right-preconditioned and restarted: GMRES(m), and its flexible
//! form for an M that changes from application to application.
//!
//! Minimises ‖b − A x‖₂ over x0 + M K with K the Krylov space of AM. Since M stands on the right,
//! the residual of the least-squares problem *is* the unpreconditioned one. In exact arithmetic it
//! is zero after at most n iterations without a restart, and never grows.
//!
//! That holds for the M that is applied to the basis. Where M is unstable, x may be worse for the
//! correction all the same: then x stays what it was at the last restart, and the breakdown says so.
//!
//! Orthogonalisation is classical Gram-Schmidt done twice: as stable as Householder reflections in
//! practice, and two reductions an iteration whatever its number, where modified Gram-Schmidt needs
//! one for every basis vector.
//!
//! Cost of iteration j after a start: one product with A, one application of M, two reductions,
//! 8 n j flops. A restart adds a product, a reduction and (not in the flexible form) an application.
//! Memory: m + 4 n-vectors (V, z, r, x of the last restart), flexible 2m + 3 (V, Z, r, x); m is
//! lowered to n and to the iterations allowed. Stopping by the error needs x in every iteration: then the constant form
//! stores Z too, and iteration j adds 2 n j flops and a reduction, but no application of M.
//!
//! Reference: Y. Saad, M. H. Schultz, *GMRES*, SIAM J. Sci. Stat. Comput. 7 (1986); Y. Saad, *A
//! Flexible Inner-Outer Preconditioned GMRES Algorithm*, SIAM J. Sci. Comput. 14 (1993); Y. Saad,
//! *Iterative Methods for Sparse Linear Systems*, 2nd ed., SIAM 2003, Algorithms 9.5 and 9.6;
//! L. Giraud et al., *The loss of orthogonality in the Gram-Schmidt process*, Comput. Math. Appl. 50
//! (2005), for "twice is enough".
use super::run::{Go, Halt, Run, axpy, broke_down};
use crate::matrix::dot_local;
use std::convert::Infallible;

/// A new direction shorter than this, relative to A M v, lies in the space that is there.
const TINY: f64 = 1e-14;

/// ‖b − Ax‖₂² that grows over a cycle by more than this is no rounding.
const MISLED: f64 = 4.0;

pub(super) fn iterate(
    run: &mut Run,
    restart: usize,
    flexible: bool,
    x: &mut [f64],
    r: &mut [f64],
) -> Go<Infallible> {
    let n_global = usize::try_from(run.n_global()).unwrap_or(usize::MAX);
    let m = restart.min(n_global).min(run.iterations_left());
    let mut space = Krylov::new(x.len(), m, flexible || run.measures_error());
    let mut origin = vec![0.0; x.len()];
    let mut rr = run.renew(x, r)?;
    loop {
        space.start(r, rr.sqrt());
        origin.copy_from_slice(x);
        let ended = match space.cycle(run, x, r) {
            Ok(met) => Ok(met),
            Err(Halt::Ended(outcome)) => Err(Halt::Ended(outcome)),
            Err(failed) => return Err(failed),
        };
        space.correct(run, x, r);
        let corrected = run.true_square(x, r)?;
        if corrected.is_nan() || corrected > rr {
            x.copy_from_slice(&origin);
            run.moved();
            if corrected.is_nan() || corrected > MISLED * rr {
                ended?;
                return Err(run.misled(rr, corrected));
            }
        }
        if ended? {
            run.confirm(x, r)?;
        }
        rr = run.renew(x, r)?;
    }
}

/// What a cycle between two restarts builds up.
struct Krylov {
    n: usize,
    m: usize,
    /// Columns of H that are complete.
    j: usize,
    /// Orthonormal basis, m + 1 vectors.
    v: Vec<f64>,
    /// M vⱼ: of all j where `keep`, else of the last.
    z: Vec<f64>,
    keep: bool,
    /// Hessenberg matrix made triangular by rotations, in columns of m + 1.
    h: Vec<f64>,
    rotations: Vec<(f64, f64)>,
    /// Rotated right-hand side of the least-squares problem, m + 1 numbers.
    g: Vec<f64>,
    /// Solution of the least-squares problem.
    y: Vec<f64>,
    mine: Vec<[f64; 2]>,
    dots: Vec<f64>,
}

impl Krylov {
    fn new(n: usize, m: usize, keep: bool) -> Self {
        Krylov {
            n,
            m,
            j: 0,
            v: vec![0.0; (m + 1) * n],
            z: vec![0.0; if keep { m * n } else { n }],
            keep,
            h: vec![0.0; (m + 1) * m],
            rotations: Vec::with_capacity(m),
            g: vec![0.0; m + 1],
            y: vec![0.0; m],
            mine: Vec::with_capacity(m + 2),
            dots: vec![0.0; m + 2],
        }
    }

    fn start(&mut self, r: &[f64], beta: f64) {
        self.j = 0;
        self.rotations.clear();
        self.g.fill(0.0);
        self.g[0] = beta;
        for (v, r) in self.v.iter_mut().zip(r) {
            *v = r / beta;
        }
    }

    /// Iterates until the tolerance is met (true), or there is no room or no direction left.
    fn cycle(&mut self, run: &mut Run, x: &[f64], r: &mut [f64]) -> Go<bool> {
        let mut exhausted = false;
        while self.j < self.m && !exhausted {
            exhausted = self.extend(run)?;
            let residual = self.g[self.j];
            let at = self.kept(self.j - 1);
            let met = if run.measures_error() {
                r.copy_from_slice(x);
                self.add_kept(r);
                run.step(r, residual * residual, &self.z[at..at + self.n])?
            } else {
                run.step_without_x(residual * residual, &self.z[at..at + self.n])?
            };
            if met {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where M vⱼ stands in `z`.
    fn kept(&self, j: usize) -> usize {
        if self.keep { j * self.n } else { 0 }
    }

    /// One more basis vector and column of H; says whether the space cannot grow any more.
    fn extend(&mut self, run: &mut Run) -> Go<bool> {
        let (j, n) = (self.j, self.n);
        let at = self.kept(j);
        let z = &mut self.z[at..at + n];
        let (basis, rest) = self.v.split_at_mut((j + 1) * n);
        let (basis, w) = (&*basis, &mut rest[..n]);
        let basis = |k: usize| &basis[k * n..(k + 1) * n];
        run.apply(basis(j), z);
        run.product(z, w)?;
        let column = &mut self.h[j * (self.m + 1)..(j + 1) * (self.m + 1)];
        column.fill(0.0);
        let (mut before, mut after) = (0.0, 0.0);
        for pass in 0..2 {
            self.mine.clear();
            self.mine.extend((0..=j).map(|k| dot_local(basis(k), w)));
            self.mine.push(dot_local(w, w));
            run.sums(&self.mine, &mut self.dots[..j + 2])?;
            let (c, ww) = (&self.dots[..=j], self.dots[j + 1]);
            if !ww.is_finite() {
                return Err(run.blame(z)?);
            }
            if pass == 0 {
                before = ww;
            }
            after = ww;
            for (k, &c) in c.iter().enumerate() {
                axpy(-c, basis(k), w);
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
        (self.g[j], self.g[j + 1]) = (cos * self.g[j], -sin * self.g[j]);
        self.rotations.push((cos, sin));
        if !exhausted {
            w.iter_mut().for_each(|w| *w /= norm);
        }
        self.j += 1;
        Ok(exhausted)
    }

    /// Solves the triangular system for y.
    fn solve(&mut self) {
        for i in (0..self.j).rev() {
            let row = (i + 1..self.j).map(|k| self.h[k * (self.m + 1) + i] * self.y[k]);
            let s: f64 = row.sum();
            self.y[i] = (self.g[i] - s) / self.h[i * (self.m + 1) + i];
        }
    }

    /// `x += Z y`.
    fn add_kept(&mut self, x: &mut [f64]) {
        self.solve();
        for (&y, z) in self.y[..self.j].iter().zip(chunks(&self.z, self.n)) {
            axpy(y, z, x);
        }
    }

    /// `x += M V y`; `u` is overwritten.
    fn correct(&mut self, run: &mut Run, x: &mut [f64], u: &mut [f64]) {
        if self.keep {
            return self.add_kept(x);
        }
        if self.j == 0 {
            return;
        }
        self.solve();
        u.fill(0.0);
        for (&y, v) in self.y[..self.j].iter().zip(chunks(&self.v, self.n)) {
            axpy(y, v, u);
        }
        run.apply(u, &mut self.z);
        axpy(1.0, &self.z, x);
    }
}

/// Vectors of length `n` stored one after the other; none of length 0.
fn chunks(v: &[f64], n: usize) -> impl Iterator<Item = &[f64]> {
    v.chunks_exact(n.max(1))
}
