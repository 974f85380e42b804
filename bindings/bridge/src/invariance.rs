//! What M keeps when A changes, as flags of the C tables.
use precondor_abi as abi;
use precondor_core::invariance::Invariances;

/// As a sum of flags.
pub fn flags(of: Invariances) -> u32 {
    let Invariances { scaling, rows, columns, both, permutation } = of;
    let flag = |had: bool, flag: u32| if had { flag } else { 0 };
    flag(scaling, abi::KEEPS_SCALING)
        | flag(rows, abi::KEEPS_ROWS)
        | flag(columns, abi::KEEPS_COLUMNS)
        | flag(both, abi::KEEPS_BOTH)
        | flag(permutation, abi::KEEPS_PERMUTATION)
}

/// Out of a sum of flags; unknown ones are passed over.
pub fn of_flags(flags: u32) -> Invariances {
    let had = |flag: u32| flags & flag != 0;
    Invariances {
        scaling: had(abi::KEEPS_SCALING),
        rows: had(abi::KEEPS_ROWS),
        columns: had(abi::KEEPS_COLUMNS),
        both: had(abi::KEEPS_BOTH),
        permutation: had(abi::KEEPS_PERMUTATION),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_comes_back() {
        for bits in 0..32 {
            assert_eq!(flags(of_flags(bits)), bits);
            assert_eq!(of_flags(bits | 1 << 20), of_flags(bits));
        }
    }
}
