//! Eight small dense problems at a time, one in each lane of a structure of arrays.
//!
//! Number `x` of all eight problems stands in one [`Lanes`], so that every operation is a vector
//! operation whatever the sizes, and the compiler finds it without help. Lanes never mix and no
//! operation is fused: what a lane computes is bitwise the same in any company and on any machine.
//! Problems smaller than the batch are padded with unit rows.
//!
//! Cost for eight problems of size k: [`cholesky`] k³/6 vector operations, the triangular solves
//! k²/2 each, [`Fits`] one for each pair of entries that share a column of the local matrices.
//!
//! Reference: A. Haidar, T. Dong, P. Luszczek, S. Tomov, J. Dongarra, *Batched matrix computations
//! on hardware accelerators based on GPUs*, Int. J. High Perform. Comput. Appl. 29 (2015); normal
//! equations against orthogonal factors: Å. Björck, *Numerical Methods for Least Squares
//! Problems*, SIAM 1996, §2.2.
use multiversion::multiversion;

/// Problems in a batch.
pub const LANES: usize = 8;

/// One number of each problem.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(align(64))]
pub struct Lanes(pub [f64; LANES]);

impl Lanes {
    /// The same number in all problems.
    pub const fn all(x: f64) -> Self {
        Lanes([x; LANES])
    }
}

/// Where entry `(a, b)`, `b ≤ a`, of a symmetric matrix stands: lower triangle, row after row.
#[inline]
pub const fn packed(a: usize, b: usize) -> usize {
    a * (a + 1) / 2 + b
}

#[inline(always)]
fn subtract_product(s: &mut Lanes, x: &Lanes, y: &Lanes) {
    for l in 0..LANES {
        s.0[l] -= x.0[l] * y.0[l];
    }
}

#[inline(always)]
fn scale(s: &mut Lanes, x: &Lanes) {
    for l in 0..LANES {
        s.0[l] *= x.0[l];
    }
}

/// Overwrites the symmetric k×k matrices `n` ([`packed`]) with their Cholesky factors L, except
/// that the *inverses* of the diagonal entries are stored.
///
/// Returns the smallest ratio of a pivot to the diagonal entry it came from, the squared sine of
/// the angle between a row and those before it: about the inverse condition number of the matrix
/// scaled to a unit diagonal, from 0 to 1. Where it is zero, the matrix is not positive definite to
/// working precision (or not of finite numbers) and L is of no use.
///
/// # Panics
/// Where `n` is shorter than k (k + 1) / 2.
#[multiversion(targets("x86_64+avx2"))]
pub fn cholesky(k: usize, n: &mut [Lanes]) -> Lanes {
    let mut worst = Lanes::all(1.0);
    for a in 0..k {
        let (above, row) = n.split_at_mut(packed(a, 0));
        let row = &mut row[..=a];
        let diagonal = row[a];
        let mut pivot = diagonal;
        for b in 0..a {
            let other = &above[packed(b, 0)..=packed(b, b)];
            let mut s = row[b];
            for (x, y) in row[..b].iter().zip(other) {
                subtract_product(&mut s, x, y);
            }
            scale(&mut s, &other[b]);
            subtract_product(&mut pivot, &s, &s);
            row[b] = s;
        }
        for l in 0..LANES {
            let ratio = pivot.0[l] / diagonal.0[l];
            let ratio = if pivot.0[l] > 0.0 && ratio > 0.0 { ratio } else { 0.0 };
            worst.0[l] = if ratio < worst.0[l] { ratio } else { worst.0[l] };
            row[a].0[l] = 1.0 / pivot.0[l].sqrt();
        }
    }
    worst
}

/// `x ← L⁻¹ x` with the factors of [`cholesky`].
///
/// # Panics
/// Where an array is too short.
#[multiversion(targets("x86_64+avx2"))]
pub fn solve_lower(k: usize, n: &[Lanes], x: &mut [Lanes]) {
    for a in 0..k {
        let row = &n[packed(a, 0)..=packed(a, a)];
        let (known, rest) = x.split_at_mut(a);
        let s = &mut rest[0];
        for (l, x) in row.iter().zip(known.iter()) {
            subtract_product(s, l, x);
        }
        scale(s, &row[a]);
    }
}

/// `x ← L⁻ᵀ x` with the factors of [`cholesky`].
///
/// # Panics
/// Where an array is too short.
#[multiversion(targets("x86_64+avx2"))]
pub fn solve_upper(k: usize, n: &[Lanes], x: &mut [Lanes]) {
    for a in (0..k).rev() {
        let row = &n[packed(a, 0)..=packed(a, a)];
        let (rest, known) = x.split_at_mut(a);
        scale(&mut known[0], &row[a]);
        for (x, l) in rest.iter_mut().zip(row) {
            subtract_product(x, l, &known[0]);
        }
    }
}

/// `n[a, b] += Σ x[a] x[b]` over one column of the local matrices: `cells[a]` is the entry of row
/// `a`, and `rows` lists the rows that have one.
#[multiversion(targets("x86_64+avx2"))]
fn add_outer(columns: &[(u32, u32)], rows: &[u32], k: usize, cells: &[Lanes], n: &mut [Lanes]) {
    for (column, &(from, to)) in columns.iter().enumerate() {
        let rows = &rows[from as usize..to as usize];
        let cells = &cells[column * k..(column + 1) * k];
        for (end, &a) in rows.iter().enumerate() {
            let x = cells[a as usize];
            let row = &mut n[packed(a as usize, 0)..=packed(a as usize, a as usize)];
            for &b in &rows[..=end] {
                let (y, s) = (&cells[b as usize], &mut row[b as usize]);
                for l in 0..LANES {
                    s.0[l] += x.0[l] * y.0[l];
                }
            }
        }
    }
}

/// Eight problems min ‖e − m B‖₂: B a k × w matrix with few entries, e a unit vector, m the row
/// looked for. Solved by the normal equations B Bᵀ mᵀ = B e.
///
/// Reused for batch after batch; grows to the largest.
#[derive(Default)]
pub struct Fits {
    k: usize,
    columns: usize,
    /// Entry (a, column) at `column · k + a`; zero where there is none.
    cells: Vec<Lanes>,
    /// One bit for each row of every column that has an entry in some lane.
    present: Vec<u64>,
    words: usize,
    /// Rows that are present, column after column, and where those of each column stand; made
    /// from `present` when it has changed.
    rows: Vec<u32>,
    ranges: Vec<(u32, u32)>,
    listed: bool,
    sizes: [usize; LANES],
    targets: [Option<u32>; LANES],
    normal: Vec<Lanes>,
    solution: Vec<Lanes>,
}

impl Fits {
    /// Starts a batch of problems with up to `k` unknowns and clears the last one.
    pub fn start(&mut self, k: usize) {
        for (column, present) in self.present.chunks(self.words.max(1)).enumerate() {
            for_bits(present, |a| self.cells[column * self.k + a] = Lanes::default());
        }
        self.present.clear();
        self.columns = 0;
        self.k = k;
        self.words = k.div_ceil(64);
        self.listed = false;
        self.sizes = [0; LANES];
    }

    /// Starts a batch whose problems all have entries in the places of the last one: every entry
    /// of every lane has to be put again, and every problem closed. Much faster than
    /// [`start`](Fits::start).
    pub fn start_alike(&mut self) {
        self.sizes = [0; LANES];
    }

    /// Announces that problems have entries in columns up to `columns`.
    #[inline]
    pub fn widen(&mut self, columns: usize) {
        if columns > self.columns {
            self.columns = columns;
            self.present.resize(columns * self.words, 0);
            if self.cells.len() < columns * self.k {
                self.cells.resize(columns * self.k, Lanes::default());
            }
        }
    }

    /// The cell of entry `(a, column)`, for [`put`](Fits::put) in this batch; marks it as used.
    ///
    /// # Panics
    /// For a column beyond what [`widen`](Fits::widen) announced, or a row beyond k.
    #[inline]
    pub fn cell(&mut self, a: usize, column: usize) -> usize {
        self.present[column * self.words + a / 64] |= 1 << (a % 64);
        column * self.k + a
    }

    /// Sets an entry of problem `lane`.
    #[inline]
    pub fn put(&mut self, cell: usize, lane: usize, value: f64) {
        self.cells[cell].0[lane] = value;
    }

    /// The entries of all problems, by [`cell`](Fits::cell).
    #[inline]
    pub fn cells(&mut self) -> &mut [Lanes] {
        &mut self.cells
    }

    /// Completes problem `lane`: its unknowns, and the column where e is one, if B has it.
    pub fn close(&mut self, lane: usize, size: usize, target: Option<u32>) {
        self.sizes[lane] = size;
        self.targets[lane] = target;
    }

    /// Solves all problems that were closed; returns the pivot ratios of [`cholesky`].
    pub fn solve(&mut self) -> Lanes {
        let k = self.k;
        self.list();
        self.normal.clear();
        self.normal.resize(packed(k, 0), Lanes::default());
        add_outer(&self.ranges, &self.rows, k, &self.cells, &mut self.normal);
        self.solution.clear();
        match self.targets[0] {
            Some(target) if self.sizes == [k; LANES] && self.targets == [Some(target); LANES] => {
                let column = target as usize * k;
                self.solution.extend_from_slice(&self.cells[column..column + k]);
            }
            _ => self.pad(),
        }
        let worst = cholesky(k, &mut self.normal);
        solve_lower(k, &self.normal, &mut self.solution);
        solve_upper(k, &self.normal, &mut self.solution);
        worst
    }

    /// Lists the entries that are present.
    fn list(&mut self) {
        if self.listed {
            return;
        }
        self.rows.clear();
        self.ranges.clear();
        for present in self.present.chunks(self.words.max(1)) {
            let from = self.rows.len() as u32;
            for_bits(present, |a| self.rows.push(a as u32));
            self.ranges.push((from, self.rows.len() as u32));
        }
        self.listed = true;
    }

    /// Right-hand sides of problems of different sizes, made up to size k by unit rows.
    fn pad(&mut self) {
        self.solution.resize(self.k, Lanes::default());
        for (lane, (&size, target)) in self.sizes.iter().zip(&self.targets).enumerate() {
            if let Some(target) = target {
                let column = &self.cells[*target as usize * self.k..][..size];
                for (x, cell) in self.solution.iter_mut().zip(column) {
                    x.0[lane] = cell.0[lane];
                }
            }
            for a in size..self.k {
                self.normal[packed(a, a)].0[lane] = 1.0;
            }
        }
    }

    /// Unknown `a` of every problem.
    #[inline]
    pub fn solution(&self, a: usize) -> &Lanes {
        &self.solution[a]
    }

    /// Bᵀ of problem `lane`, columns × size, column after column, and e, for a method that does not
    /// square the condition.
    pub fn transposed(&self, lane: usize) -> (Vec<f64>, Vec<f64>) {
        let entry = |a: usize, column: usize| self.cells[column * self.k + a].0[lane];
        let column = |a| (0..self.columns).map(move |column| entry(a, column));
        let mut unit = vec![0.0; self.columns];
        if let Some(target) = self.targets[lane] {
            unit[target as usize] = 1.0;
        }
        ((0..self.sizes[lane]).flat_map(column).collect(), unit)
    }
}

fn for_bits(words: &[u64], mut f: impl FnMut(usize)) {
    for (w, &word) in words.iter().enumerate() {
        let mut rest = word;
        while rest != 0 {
            f(64 * w + rest.trailing_zeros() as usize);
            rest &= rest - 1;
        }
    }
}
