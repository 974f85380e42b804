//! What M keeps when A changes: properties that follow from the mathematics of a method. A method declares
//! them, for the parameters that it is given, and the test kit holds it to what it declares.
//!
//! Each holds up to rounding, in the precision that M is kept in; D is a diagonal matrix with positive
//! entries, P a permutation.

/// How M follows A.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Invariances {
    /// M(cA) = M(A)/c for every c > 0: the units of A play no part.
    pub scaling: bool,
    /// M(DA) = M(A) D⁻¹: nor do those of single equations.
    pub rows: bool,
    /// M(AD) = D⁻¹ M(A): nor do those of single unknowns.
    pub columns: bool,
    /// M(DAD) = D⁻¹ M(A) D⁻¹: nor do those of both at once, as a symmetric A allows it.
    pub both: bool,
    /// M(PAPᵀ) = P M(A) Pᵀ: nor does the order of the unknowns.
    pub permutation: bool,
}

impl Invariances {
    /// None of them.
    pub const NONE: Self = Invariances {
        scaling: false,
        rows: false,
        columns: false,
        both: false,
        permutation: false,
    };
    /// That of the whole matrix alone: what every method should have.
    pub const SCALING: Self = Invariances { scaling: true, ..Self::NONE };
    /// Rows and columns scaled alike.
    pub const BOTH: Self = Invariances { both: true, ..Self::SCALING };
    /// Rows and columns scaled, each as it may be.
    pub const ROWS_AND_COLUMNS: Self = Invariances { rows: true, columns: true, ..Self::BOTH };
    /// All of them.
    pub const ALL: Self = Invariances { permutation: true, ..Self::ROWS_AND_COLUMNS };

    /// What both have.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Invariances {
            scaling: self.scaling && other.scaling,
            rows: self.rows && other.rows,
            columns: self.columns && other.columns,
            both: self.both && other.both,
            permutation: self.permutation && other.permutation,
        }
    }

    /// Each as a formula, and whether it is had.
    pub fn each(self) -> [(&'static str, bool); 5] {
        [
            ("M(cA) = M(A)/c", self.scaling),
            ("M(DA) = M(A)D⁻¹", self.rows),
            ("M(AD) = D⁻¹M(A)", self.columns),
            ("M(DAD) = D⁻¹M(A)D⁻¹", self.both),
            ("M(PAPᵀ) = PM(A)Pᵀ", self.permutation),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_methods_have_is_what_both_have() {
        let all = Invariances::ALL;
        assert_eq!(all.and(Invariances::BOTH), Invariances::BOTH);
        let rows = Invariances { rows: true, ..Invariances::NONE };
        assert_eq!(rows.and(Invariances::BOTH), Invariances::NONE);
        assert_eq!(all.each().map(|(_, had)| had), [true; 5]);
        assert_eq!(
            Invariances::SCALING.each().map(|(_, had)| had),
            [true, false, false, false, false]
        );
    }
}
