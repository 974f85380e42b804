//! An explicitly stored approximate inverse, lent by a preconditioner.

/// What the stored matrix is to the inverse it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExplicitKind {
    /// M itself.
    Inverse,
    /// A factor G with M = GᵀG.
    Factor,
}

/// Stored values in the precision they are kept in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values<'a> {
    /// 8 bytes each.
    F64(&'a [f64]),
    /// 4 bytes each.
    F32(&'a [f32]),
    /// The upper half of an `f32`: 2 bytes each.
    Bf16(&'a [u16]),
}

impl Values<'_> {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Values::F64(v) => v.len(),
            Values::F32(v) => v.len(),
            Values::Bf16(v) => v.len(),
        }
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Value `k`, widened.
    pub fn get(&self, k: usize) -> f64 {
        match self {
            Values::F64(v) => v[k],
            Values::F32(v) => v[k].into(),
            Values::Bf16(v) => f32::from_bits(u32::from(v[k]) << 16).into(),
        }
    }
    /// Bytes of one value.
    pub fn width(&self) -> usize {
        match self {
            Values::F64(_) => 8,
            Values::F32(_) => 4,
            Values::Bf16(_) => 2,
        }
    }
}

/// One block of an [`Explicit`] inverse.
#[derive(Clone, Copy, Debug)]
pub struct ExplicitView<'a> {
    /// Rows + 1 offsets.
    pub row_ptr: &'a [u32],
    /// Columns.
    pub cols: &'a [u32],
    /// Values.
    pub values: Values<'a>,
}

/// The rows of M (or of its factor) that this rank owns, split like a
/// [`DistCsr`](super::DistCsr): columns of `own` are this rank's, columns of `ghost` index
/// `ghost_ids`.
#[derive(Clone, Copy, Debug)]
pub struct Explicit<'a> {
    /// M or G.
    pub kind: ExplicitKind,
    /// Columns that this rank owns.
    pub own: ExplicitView<'a>,
    /// Columns that others own.
    pub ghost: ExplicitView<'a>,
    /// Global numbers of the ghost columns.
    pub ghost_ids: &'a [u64],
}

impl<'a> Explicit<'a> {
    /// A view of a matrix in full precision.
    pub fn of(kind: ExplicitKind, m: &'a super::DistCsr) -> Self {
        let block = |a: super::CsrView<'a>| ExplicitView {
            row_ptr: a.row_ptr,
            cols: a.cols,
            values: Values::F64(a.values),
        };
        Explicit {
            kind,
            own: block(m.own().view()),
            ghost: block(m.ghost().view()),
            ghost_ids: m.ghost_ids(),
        }
    }
}
