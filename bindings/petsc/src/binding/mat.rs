//! Matrices.
use super::options::checked;
use super::vec::Vec;
use super::viewer::{self, Viewer};
use super::{Error, Petsc, Ranks, Result};
use crate::api::{Int, IntCell, MatInfo, RawMat, RawNullSpace, slice};
use precondor_core::matrix::{DistCsr, NullSpace, NullSpaces};
use std::path::Path;
use std::ptr::{null, null_mut};

/// A sparse matrix, spread over ranks by rows: PETSc's `Mat`, of type `aij`.
pub struct Mat {
    pub(super) raw: RawMat,
    pub(super) petsc: Petsc,
    pub(super) ranks: Ranks,
}

/// What PETSc knows of a matrix: sums over its ranks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Info {
    /// Entries that are stored.
    pub entries: f64,
    /// Entries that there is room for.
    pub allocated: f64,
    /// Bytes, where PETSc counts them.
    pub bytes: f64,
    /// Allocations during assembly; 0 where room was set aside right.
    pub mallocs: f64,
}

impl Mat {
    /// A copy of a matrix of Precondor. Collective over its ranks, which are all of the job or this
    /// one alone.
    ///
    /// # Errors
    /// [`Error::Misuse`] for a matrix of other ranks; what PETSc reports, such as indices beyond its
    /// 32 bits.
    pub fn from_dist(petsc: &Petsc, a: &DistCsr) -> Result<Mat> {
        let (comm, all) = (a.space().comm(), petsc.comm(Ranks::All));
        let ranks = match comm.size() {
            n if n == all.size() && comm.rank() == all.rank() => Ranks::All,
            1 => Ranks::One,
            n => {
                let text = format!("a matrix of {n} of the job's {} ranks", all.size());
                return Err(Error::misuse(text));
            }
        };
        let mut row_ptr = std::vec::Vec::with_capacity(a.n_own() + 1);
        row_ptr.push(0);
        let (mut cols, mut values) = (std::vec::Vec::new(), std::vec::Vec::new());
        cols.reserve_exact(a.nnz_own());
        values.reserve_exact(a.nnz_own());
        for i in 0..a.n_own() {
            for (j, v) in a.global_entries(i) {
                cols.push(j);
                values.push(v);
            }
            row_ptr.push(cols.len());
        }
        Self::assemble(petsc, ranks, a.n_own(), &row_ptr, &cols, &values)
    }

    /// From the rows that this rank owns: offsets of the rows, from 0, and for each entry its global
    /// column, strictly increasing within a row, and its value. This rank owns `n_cols_own` columns,
    /// as many as rows where the matrix is square. Collective.
    ///
    /// # Errors
    /// [`Error::Misuse`] naming the row whose offsets or columns make no matrix, on all ranks; what
    /// PETSc reports.
    pub fn from_rows(
        petsc: &Petsc,
        ranks: Ranks,
        n_cols_own: usize,
        row_ptr: &[usize],
        cols: &[u64],
        values: &[f64],
    ) -> Result<Mat> {
        let counts = petsc.comm(ranks);
        let counts = precondor_core::comm::Communicator::all_gather(counts, &[n_cols_own as u64])?;
        let n_cols = counts.iter().map(|c| c[0]).sum();
        petsc.agree(ranks, check_rows(n_cols, row_ptr, cols, values))?;
        Self::assemble(petsc, ranks, n_cols_own, row_ptr, cols, values)
    }

    /// Overwrites the values with those of a matrix of the same pattern, which a preconditioner that was made for this one
    /// may go on from. Collective.
    ///
    /// # Errors
    /// [`Error::Misuse`] for one of another size; what PETSc reports, where an entry has no place.
    pub fn set_values_of(&mut self, a: &DistCsr) -> Result<&mut Self> {
        let fits = match self.own_size() {
            size if size == [a.n_own(); 2] => Ok(()),
            [rows, _] => Err(Error::misuse(format!(
                "Mat::set_values_of: a matrix of {} own rows, where {rows} are needed",
                a.n_own()
            ))),
        };
        self.petsc.agree(self.ranks, fits)?;
        const INSERT: std::ffi::c_int = 1;
        const FINAL: std::ffi::c_int = 0;
        let (api, wide) = (self.petsc.api(), |j: u64| i64::try_from(j).unwrap_or(i64::MAX));
        let mut put = Ok(());
        for i in 0..a.n_own() {
            let (cols, values): (std::vec::Vec<u64>, std::vec::Vec<f64>) =
                a.global_entries(i).unzip();
            let row = api.to_ints([wide(a.global_row(i))])?;
            let cols = api.to_ints(cols.into_iter().map(wide))?;
            let count = api.to_int(values.len())?;
            let one = api.to_int(1)?;
            // SAFETY: a live matrix, and arrays as long as said, which PETSc copies.
            put = put.and(unsafe {
                let (row, cols) = (row.as_ptr(), cols.as_ptr());
                api.MatSetValues(self.raw, one, row, count, cols, values.as_ptr(), INSERT)
            });
        }
        // SAFETY: a live matrix; all ranks get here.
        unsafe {
            api.MatAssemblyBegin(self.raw, FINAL)?;
            api.MatAssemblyEnd(self.raw, FINAL)?;
        }
        put?;
        Ok(self)
    }

    /// Reads the first matrix of a PETSc binary file. Collective.
    ///
    /// # Errors
    /// What PETSc reports; [`Error::Other`] where there is no such file.
    pub fn load(petsc: &Petsc, ranks: Ranks, path: &Path) -> Result<Mat> {
        let file = viewer::binary(petsc, ranks, path, viewer::READ)?;
        let a = Mat::new(petsc, ranks)?;
        // SAFETY: live objects of the same ranks.
        unsafe { petsc.api().MatLoad(a.raw, file.raw)? };
        Ok(a)
    }

    /// Writes a PETSc binary file. Collective.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn save(&self, path: &Path) -> Result<()> {
        let file = viewer::binary(&self.petsc, self.ranks, path, viewer::WRITE)?;
        self.view(&file)
    }

    /// Shows it. Collective.
    ///
    /// # Errors
    /// What PETSc reports; [`Error::Misuse`] for a viewer of other ranks.
    pub fn view(&self, to: &Viewer) -> Result<()> {
        self.petsc.together("Mat::view", &[self.ranks, to.ranks])?;
        // SAFETY: live objects of the same ranks.
        Ok(unsafe { self.petsc.api().MatView(self.raw, to.raw) }?)
    }

    /// Has PETSc's solvers take these null spaces out of iterates and right-hand sides
    /// (`MatSetNullSpace`, `MatSetTransposeNullSpace`). Collective.
    ///
    /// # Errors
    /// [`Error::Misuse`] for vectors of other lengths; what PETSc reports.
    pub fn set_null_spaces(&mut self, of: &NullSpaces) -> Result<&mut Self> {
        if let Some(right) = &of.right {
            let [_, cols] = self.own_size();
            let mut null = self.null_space(right, cols)?;
            // SAFETY: live objects of the same ranks; PETSc keeps a reference of its own.
            unsafe {
                let set = self.petsc.api().MatSetNullSpace(self.raw, null);
                self.petsc.api().MatNullSpaceDestroy(&mut null)?;
                set?;
            }
        }
        if let Some(left) = &of.left {
            let [rows, _] = self.own_size();
            let mut null = self.null_space(left, rows)?;
            // SAFETY: as above.
            unsafe {
                let set = self.petsc.api().MatSetTransposeNullSpace(self.raw, null);
                self.petsc.api().MatNullSpaceDestroy(&mut null)?;
                set?;
            }
        }
        Ok(self)
    }

    /// Tells PETSc's preconditioners of vectors that the matrix takes to nearly zero (`MatSetNearNullSpace`): rigid
    /// body modes. Collective.
    ///
    /// # Errors
    /// As [`set_null_spaces`](Mat::set_null_spaces).
    pub fn set_near_null_space(&mut self, near: &NullSpace) -> Result<&mut Self> {
        let [_, cols] = self.own_size();
        let mut near = self.null_space(near, cols)?;
        // SAFETY: as above.
        unsafe {
            let set = self.petsc.api().MatSetNearNullSpace(self.raw, near);
            self.petsc.api().MatNullSpaceDestroy(&mut near)?;
            set?;
        }
        Ok(self)
    }

    /// How many unknowns a node has (`MatSetBlockSize`). Collective.
    ///
    /// # Errors
    /// What PETSc reports: a number that the rows of a rank are no multiple of.
    pub fn set_block_size(&mut self, size: usize) -> Result<&mut Self> {
        let api = self.petsc.api();
        // SAFETY: a live matrix.
        unsafe { api.MatSetBlockSize(self.raw, api.to_int(size)?)? };
        Ok(self)
    }

    /// PETSc's form of a null space; whoever asks destroys it.
    fn null_space(&self, null: &NullSpace, n_own: usize) -> Result<RawNullSpace> {
        let vectors: std::vec::Vec<_> = (0..null.len()).map(|k| null.vector(k)).collect();
        let fits = match vectors.iter().all(|v| v.len() == n_own) {
            true => Ok(()),
            false => Err(Error::misuse("Mat::set_null_spaces: vectors of another length")),
        };
        self.petsc.agree(self.ranks, fits)?;
        let vectors = vectors.iter().map(|v| Vec::from_slice(&self.petsc, self.ranks, v));
        let vectors: std::vec::Vec<Vec> = vectors.collect::<Result<_>>()?;
        let raw: std::vec::Vec<_> = vectors.iter().map(|v| v.raw).collect();
        let (api, mut made) = (self.petsc.api(), null_mut());
        let count = api.to_int(raw.len())?;
        // SAFETY: live vectors of these ranks, orthonormal, of which PETSc keeps references.
        unsafe {
            let comm = self.petsc.raw_comm(self.ranks);
            api.MatNullSpaceCreate(comm, 0, count, raw.as_ptr(), &mut made)?;
        }
        Ok(made)
    }

    /// The ranks that share it.
    pub fn ranks(&self) -> Ranks {
        self.ranks
    }

    /// Rows and columns in all.
    pub fn size(&self) -> [u64; 2] {
        let (mut m, mut n) = (IntCell::default(), IntCell::default());
        let api = self.petsc.api();
        // SAFETY: a live matrix that has been set up: this does not fail.
        let asked = unsafe { api.MatGetSize(self.raw, &mut m, &mut n) };
        asked.map_or([0; 2], |()| [api.int(m) as u64, api.int(n) as u64])
    }

    /// Rows of this rank, and its entries of a vector that the matrix is multiplied with.
    pub fn own_size(&self) -> [usize; 2] {
        let (mut m, mut n) = (IntCell::default(), IntCell::default());
        let api = self.petsc.api();
        // SAFETY: as `size`.
        let asked = unsafe { api.MatGetLocalSize(self.raw, &mut m, &mut n) };
        asked.map_or([0; 2], |()| [api.int(m) as usize, api.int(n) as usize])
    }

    /// Vectors of zeros that fit: x and y of y = A x. Collective.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn vecs(&self) -> Result<[Vec; 2]> {
        let new = || Vec { raw: null_mut(), petsc: self.petsc.clone(), ranks: self.ranks };
        let [mut x, mut y] = [new(), new()];
        // SAFETY: a live matrix, places of ours.
        unsafe { self.petsc.api().MatCreateVecs(self.raw, &mut x.raw, &mut y.raw)? };
        x.set(0.0)?;
        y.set(0.0)?;
        Ok([x, y])
    }

    /// y ← A x. Collective.
    ///
    /// # Errors
    /// [`Error::Misuse`] for lengths or ranks that do not fit; what PETSc reports.
    pub fn mult(&self, x: &Vec, y: &mut Vec) -> Result<()> {
        self.fits("Mat::mult", x, y, self.own_size())?;
        // SAFETY: live objects of the same ranks and of fitting lengths; x and y are not the same.
        Ok(unsafe { self.petsc.api().MatMult(self.raw, x.raw, y.raw) }?)
    }

    /// y ← Aᵀ x. Collective.
    ///
    /// # Errors
    /// As [`mult`](Mat::mult).
    pub fn mult_transpose(&self, x: &Vec, y: &mut Vec) -> Result<()> {
        let [m, n] = self.own_size();
        self.fits("Mat::mult_transpose", x, y, [n, m])?;
        // SAFETY: as `mult`.
        Ok(unsafe { self.petsc.api().MatMultTranspose(self.raw, x.raw, y.raw) }?)
    }

    /// The entries of a row of this rank, as global columns and values. Not collective.
    ///
    /// # Errors
    /// [`Error::Misuse`] for a row of another rank; what PETSc reports.
    pub fn row(&self, row: u64) -> Result<std::vec::Vec<(u64, f64)>> {
        let api = self.petsc.api();
        let (mut from, mut to) = (IntCell::default(), IntCell::default());
        // SAFETY: a live matrix, places of ours.
        unsafe { api.MatGetOwnershipRange(self.raw, &mut from, &mut to)? };
        let mine = api.int(from) as u64..api.int(to) as u64;
        if !mine.contains(&row) {
            return Err(Error::misuse(format!("row {row} is none of this rank's, {mine:?}")));
        }
        let (mut count, mut cols, mut values) = (IntCell::default(), null(), null());
        let row = api.to_int(row)?;
        // SAFETY: the row is this rank's; PETSc lends as many entries as it says until they are given
        // back.
        unsafe {
            api.MatGetRow(self.raw, row, &mut count, &mut cols, &mut values)?;
            let n = api.int(count) as usize;
            let cols_there = api.ints(cols, n);
            let there = cols_there.iter().map(|j| j as u64);
            let entries = there.zip(slice(values, n).iter().copied()).collect();
            api.MatRestoreRow(self.raw, row, &mut count, &mut cols, &mut values)?;
            Ok(entries)
        }
    }

    /// What PETSc knows of it. Collective.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn info(&self) -> Result<Info> {
        const SUM: i32 = 3;
        let mut info = MatInfo::default();
        // SAFETY: a live matrix, a place of ours of the type that PETSc writes.
        unsafe { self.petsc.api().MatGetInfo(self.raw, SUM, &mut info)? };
        Ok(Info {
            entries: info.nz_used,
            allocated: info.nz_allocated,
            bytes: info.memory,
            mallocs: info.mallocs,
        })
    }

    /// The Frobenius norm. Collective.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn norm(&self) -> Result<f64> {
        const FROBENIUS: i32 = 2;
        let mut value = 0.0;
        // SAFETY: a live matrix, a place of ours.
        unsafe { self.petsc.api().MatNorm(self.raw, FROBENIUS, &mut value)? };
        Ok(value)
    }

    fn new(petsc: &Petsc, ranks: Ranks) -> Result<Mat> {
        let mut a = Mat { raw: null_mut(), petsc: petsc.clone(), ranks };
        let kind = checked("aij")?;
        // SAFETY: PETSc is initialised, a place of ours, a C string.
        unsafe {
            petsc.api().MatCreate(petsc.raw_comm(ranks), &mut a.raw)?;
            petsc.api().MatSetType(a.raw, kind.as_ptr())?;
        }
        Ok(a)
    }

    /// From arrays that have been checked.
    fn assemble(
        petsc: &Petsc,
        ranks: Ranks,
        n_cols_own: usize,
        row_ptr: &[usize],
        cols: &[u64],
        values: &[f64],
    ) -> Result<Mat> {
        let api = petsc.api();
        let converted = || {
            let wide = |n: &usize| i64::try_from(*n).unwrap_or(i64::MAX);
            let rows = api.to_int(row_ptr.len() - 1)?;
            let offsets = api.to_ints(row_ptr.iter().map(wide))?;
            let cols = api.to_ints(cols.iter().map(|&j| i64::try_from(j).unwrap_or(i64::MAX)))?;
            Ok::<_, Error>((rows, api.to_int(n_cols_own)?, offsets, cols))
        };
        let (rows, own_cols, offsets, cols) = petsc.agree(ranks, converted())?;
        let a = Mat::new(petsc, ranks)?;
        // SAFETY: the arrays describe as many rows as are said, with columns in range (checked), and
        // PETSc copies them. Of the last two calls the one for the other type does nothing.
        unsafe {
            api.MatSetSizes(a.raw, rows, own_cols, Int::DECIDE, Int::DECIDE)?;
            let (i, j, v) = (offsets.as_ptr(), cols.as_ptr(), values.as_ptr());
            api.MatSeqAIJSetPreallocationCSR(a.raw, i, j, v)?;
            api.MatMPIAIJSetPreallocationCSR(a.raw, i, j, v)?;
        }
        Ok(a)
    }

    fn fits(&self, what: &str, x: &Vec, y: &Vec, [rows, cols]: [usize; 2]) -> Result<()> {
        self.petsc.together(what, &[self.ranks, x.ranks, y.ranks])?;
        let mine = match (x.n_own(), y.n_own()) {
            (n, m) if n == cols && m == rows => Ok(()),
            (n, m) => Err(Error::misuse(format!(
                "{what}: vectors of {n} and {m} own entries, where {cols} and {rows} are needed"
            ))),
        };
        self.petsc.agree(self.ranks, mine)
    }
}

/// Refuses arrays that make no rows.
fn check_rows(n_cols: u64, row_ptr: &[usize], cols: &[u64], values: &[f64]) -> Result<()> {
    let ends = row_ptr.first() == Some(&0) && row_ptr.last() == Some(&cols.len());
    if !ends || cols.len() != values.len() {
        return Err(Error::misuse(format!(
            "{} offsets, {} columns and {} values make no rows",
            row_ptr.len(),
            cols.len(),
            values.len()
        )));
    }
    for (i, pair) in row_ptr.windows(2).enumerate() {
        let fail = |what: String| Err(Error::misuse(format!("own row {i}: {what}")));
        let Some(row) = cols.get(pair[0]..pair[1]) else {
            return fail(format!("its offsets {}..{} are no range of entries", pair[0], pair[1]));
        };
        if let Some(pair) = row.windows(2).find(|pair| pair[0] >= pair[1]) {
            return fail(format!("column {} follows column {}; sort columns", pair[1], pair[0]));
        }
        if let Some(beyond) = row.last().filter(|&&j| j >= n_cols) {
            return fail(format!("column {beyond} of a matrix with {n_cols} columns"));
        }
    }
    Ok(())
}

impl std::fmt::Debug for Mat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [m, n] = self.size();
        write!(f, "Mat({m}×{n})")
    }
}

impl Drop for Mat {
    fn drop(&mut self) {
        if !self.raw.is_null() && self.petsc.may_destroy() {
            // SAFETY: a live matrix; PETSc keeps what other objects still use. Nobody can be told of
            // a failure.
            let _ = unsafe { self.petsc.api().MatDestroy(&mut self.raw) };
        }
    }
}
