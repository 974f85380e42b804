//! Rows of an explicit inverse as bytes.
use super::container::{self, Array};
use super::file::About;
use crate::matrix::{DistCsr, Explicit, ExplicitKind, ExplicitView, Values};
use crate::precond::{Preconditioner, Properties};
use crate::system::System;
use crate::{Error, Result, memory};
use safetensors::tensor::{Dtype, SafeTensors};
use std::ops::Range;

/// Key of the header of a rank's rows.
const KEY: &str = "precondor-rows";

/// Values in the precision they are kept in.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// 8 bytes each.
    F64(Vec<f64>),
    /// 4 bytes each.
    F32(Vec<f32>),
    /// The upper half of an `f32`.
    Bf16(Vec<u16>),
}

impl Numbers {
    /// None of the type of `values`.
    fn like(values: &Values<'_>) -> Self {
        match values {
            Values::F64(_) => Numbers::F64(Vec::new()),
            Values::F32(_) => Numbers::F32(Vec::new()),
            Values::Bf16(_) => Numbers::Bf16(Vec::new()),
        }
    }

    /// A view.
    pub fn values(&self) -> Values<'_> {
        match self {
            Numbers::F64(v) => Values::F64(v),
            Numbers::F32(v) => Values::F32(v),
            Numbers::Bf16(v) => Values::Bf16(v),
        }
    }

    /// Appends `range` of `other`.
    fn extend(&mut self, other: &Values<'_>, range: Range<usize>) -> Result<()> {
        match (self, other) {
            (Numbers::F64(to), Values::F64(from)) => to.extend_from_slice(&from[range]),
            (Numbers::F32(to), Values::F32(from)) => to.extend_from_slice(&from[range]),
            (Numbers::Bf16(to), Values::Bf16(from)) => to.extend_from_slice(&from[range]),
            _ => return Err(Error::Data("parts of an inverse have values of two types".into())),
        }
        Ok(())
    }

    fn dtype(&self) -> Dtype {
        match self {
            Numbers::F64(_) => Dtype::F64,
            Numbers::F32(_) => Dtype::F32,
            Numbers::Bf16(_) => Dtype::BF16,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Numbers::F64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Numbers::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Numbers::Bf16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }

    fn read(dtype: Dtype, bytes: &[u8]) -> Result<Self> {
        Ok(match dtype {
            Dtype::F64 => Numbers::F64(words(bytes, f64::from_le_bytes)?),
            Dtype::F32 => Numbers::F32(words(bytes, f32::from_le_bytes)?),
            Dtype::BF16 => Numbers::Bf16(words(bytes, u16::from_le_bytes)?),
            other => return bad(format!("array 'values' holds {other:?}, not F64, F32 or BF16")),
        })
    }
}

fn words<const N: usize, T>(bytes: &[u8], word: impl Fn([u8; N]) -> T) -> Result<Vec<T>> {
    let bytes = bytes.as_chunks().0;
    let mut words = Vec::new();
    memory::reserve(&mut words, bytes.len(), "the rows of a saved preconditioner")?;
    words.extend(bytes.iter().map(|&b| word(b)));
    Ok(words)
}

fn bad<T>(what: String) -> Result<T> {
    Err(Error::Data(what))
}

/// Rows of M, or of its factor, with what is known of M: what [`explicit`] writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// What the matrix is, and what a solver may assume about M.
    pub about: About,
    /// Rows + 1 offsets.
    pub row_ptr: Vec<u64>,
    /// Global columns, strictly increasing within a row.
    pub cols: Vec<u64>,
    /// Values.
    pub values: Numbers,
}

/// The explicit inverse of `m`, whose rows on this rank have the global numbers `rows`, as bytes
/// for [`Rows::read`]. Not collective.
///
/// # Errors
/// [`Error::Unsupported`] where `m` stores none.
pub fn explicit(m: &dyn Preconditioner, rows: Range<u64>) -> Result<Vec<u8>> {
    let none = || Error::Unsupported("there is no explicitly stored inverse to save".into());
    let shown = m.explicit().ok_or_else(none)?;
    Rows::of(&shown, rows.start, m.properties(), m.notes())?.write()
}

impl Rows {
    /// The rows of `m` from global row `first` on.
    fn of(m: &Explicit<'_>, first: u64, of_m: Properties, notes: Vec<String>) -> Result<Self> {
        let below = m.ghost_ids.partition_point(|&id| id < first) as u32;
        let mut rows = Rows {
            about: About::new(m.kind, of_m, notes),
            row_ptr: vec![0],
            cols: Vec::with_capacity(m.own.cols.len() + m.ghost.cols.len()),
            values: Numbers::like(&m.own.values),
        };
        for i in 0..m.own.row_ptr.len().saturating_sub(1) {
            let of = |b: &ExplicitView<'_>| b.row_ptr[i] as usize..b.row_ptr[i + 1] as usize;
            let (own, ghost) = (of(&m.own), of(&m.ghost));
            let cut = m.ghost.cols[ghost.clone()].partition_point(|&j| j < below) + ghost.start;
            let theirs =
                |range: Range<usize>| m.ghost.cols[range].iter().map(|&j| m.ghost_ids[j as usize]);
            rows.cols.extend(theirs(ghost.start..cut));
            rows.cols.extend(m.own.cols[own.clone()].iter().map(|&j| first + u64::from(j)));
            rows.cols.extend(theirs(cut..ghost.end));
            rows.values.extend(&m.ghost.values, ghost.start..cut)?;
            rows.values.extend(&m.own.values, own)?;
            rows.values.extend(&m.ghost.values, cut..ghost.end)?;
            rows.row_ptr.push(rows.cols.len() as u64);
        }
        Ok(rows)
    }

    /// Reads what [`explicit`] wrote for the rows of `system` that this rank owns. Not collective.
    ///
    /// # Errors
    /// [`Error::Data`] for bytes that are damaged, of another number of rows, with columns out of
    /// range or values that are not finite.
    pub fn read(bytes: &[u8], system: &System) -> Result<Self> {
        let rows = Self::decode(bytes, system.a().n_global())?;
        if rows.len() != system.a().n_own() {
            return bad(format!("{} rows, {} are needed", rows.len(), system.a().n_own()));
        }
        Ok(rows)
    }

    /// These rows, if they are of the matrix that the method stores.
    ///
    /// # Errors
    /// [`Error::Data`] where they are not.
    pub fn of_kind(self, kind: ExplicitKind) -> Result<Self> {
        let name = |kind| if kind == ExplicitKind::Factor { "a factor" } else { "an inverse" };
        match self.about.kind == kind {
            true => Ok(self),
            false => bad(format!("it holds {}, not {}", name(self.about.kind), name(kind))),
        }
    }

    /// The matrix. Collective.
    ///
    /// # Errors
    /// [`Error::Data`] where values are not kept in double precision, or there are 2³² or more.
    pub fn matrix(&self, system: &System) -> Result<DistCsr> {
        let Numbers::F64(values) = &self.values else {
            return bad("its values are not kept in double precision".into());
        };
        self.matrix_of(system, values)
    }

    /// The matrix with values widened to double precision. Collective.
    ///
    /// # Errors
    /// As [`matrix`](Rows::matrix).
    pub fn widened(&self, system: &System) -> Result<DistCsr> {
        let values = self.values.values();
        let wide: Vec<f64> = (0..values.len()).map(|k| values.get(k)).collect();
        self.matrix_of(system, &wide)
    }

    fn matrix_of(&self, system: &System, values: &[f64]) -> Result<DistCsr> {
        let narrow = |&p: &u64| u32::try_from(p);
        let offsets: std::result::Result<Vec<u32>, _> = self.row_ptr.iter().map(narrow).collect();
        let too_many = |_| Error::Data("a rank's rows have 2³² or more entries".into());
        let offsets = offsets.map_err(too_many)?;
        let m = DistCsr::from_rows(system.a().space(), &offsets, &self.cols, values)?;
        Ok(m.with_host(std::sync::Arc::clone(system.host())))
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.row_ptr.len() - 1
    }

    /// Some of them.
    pub(super) fn part(&self, rows: Range<usize>) -> Result<Self> {
        let entries = self.row_ptr[rows.start] as usize..self.row_ptr[rows.end] as usize;
        let values = self.values.values();
        let mut part = Rows {
            about: self.about.clone(),
            row_ptr: self.row_ptr[rows.start..=rows.end]
                .iter()
                .map(|p| p - entries.start as u64)
                .collect(),
            cols: self.cols[entries.clone()].to_vec(),
            values: Numbers::like(&values),
        };
        part.values.extend(&values, entries)?;
        Ok(part)
    }

    /// Appends the rows of the next rank.
    pub(super) fn append(&mut self, next: &Rows) -> Result<()> {
        let before = self.cols.len() as u64;
        self.row_ptr.extend(next.row_ptr[1..].iter().map(|p| before + p));
        self.cols.extend_from_slice(&next.cols);
        self.values.extend(&next.values.values(), 0..next.cols.len())
    }

    /// As the bytes of a rank.
    pub(super) fn write(&self) -> Result<Vec<u8>> {
        let about = serde_json::to_string(&self.about).map_err(container::unwritable)?;
        container::write(KEY, &about, &self.arrays())
    }

    /// The arrays, in order of their names.
    pub(super) fn arrays(&self) -> [Array; 3] {
        // Columns in four bytes where they fit.
        let narrow = self.cols.iter().all(|&j| u32::try_from(j).is_ok());
        let (of_cols, cols) = match narrow {
            true => {
                (Dtype::U32, self.cols.iter().flat_map(|&j| (j as u32).to_le_bytes()).collect())
            }
            false => (Dtype::U64, self.cols.iter().flat_map(|j| j.to_le_bytes()).collect()),
        };
        let offsets = self.row_ptr.iter().flat_map(|p| p.to_le_bytes()).collect();
        let array = |name: &str, dtype, len, data| Array { name: name.into(), dtype, len, data };
        [
            array("cols", of_cols, self.cols.len(), cols),
            array("row_ptr", Dtype::U64, self.row_ptr.len(), offsets),
            array("values", self.values.dtype(), self.cols.len(), self.values.bytes()),
        ]
    }

    /// Reads a rank's bytes, whose columns are below `n_cols`.
    pub(super) fn decode(bytes: &[u8], n_cols: u64) -> Result<Self> {
        let about = serde_json::from_str(&container::header(bytes, KEY)?)
            .map_err(|e| Error::Data(format!("its '{KEY}' entry is not understood ({e})")))?;
        Self::from_arrays(&container::read(bytes)?, about, n_cols)
    }

    /// Reads the arrays of a file.
    pub(super) fn from_arrays(arrays: &SafeTensors<'_>, about: About, n_cols: u64) -> Result<Self> {
        let integers = |name: &str| -> Result<Vec<u64>> {
            match container::array(arrays, name)? {
                (Dtype::U64, _, data) => words(data, u64::from_le_bytes),
                (Dtype::U32, _, data) => words(data, |b| u32::from_le_bytes(b).into()),
                (other, ..) => bad(format!("array '{name}' holds {other:?}, not U64 or U32")),
            }
        };
        let (dtype, n_values, data) = container::array(arrays, "values")?;
        let row_ptr = integers("row_ptr")?;
        let cols = integers("cols")?;
        let nnz = cols.len() as u64;
        if n_values != cols.len() {
            return bad(format!("{nnz} columns and {n_values} values"));
        }
        let ends = row_ptr.first() == Some(&0) && row_ptr.last() == Some(&nnz);
        if !ends || row_ptr.windows(2).any(|w| w[0] > w[1]) {
            return bad(format!("array 'row_ptr' does not increase from 0 to {nnz}"));
        }
        for (i, range) in row_ptr.windows(2).enumerate() {
            let row = &cols[range[0] as usize..range[1] as usize];
            if row.windows(2).any(|w| w[0] >= w[1]) || row.last().is_some_and(|&j| j >= n_cols) {
                return bad(format!("columns of row {i} do not increase below {n_cols}"));
            }
        }
        let values = Numbers::read(dtype, data)?;
        let view = values.values();
        if let Some(k) = (0..view.len()).find(|&k| !view.get(k).is_finite()) {
            return bad(format!("array 'values' has {} at place {k}", view.get(k)));
        }
        Ok(Rows { about, row_ptr, cols, values })
    }
}

/// Whether a rank's bytes are rows.
pub(super) fn are_rows(bytes: &[u8]) -> bool {
    container::header(bytes, KEY).is_ok()
}
