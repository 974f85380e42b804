//! Arrays that may not fit: an error in place of an abort.
//!
//! What is linear in the rows and entries of A is allocated as usual: A itself fitted. All else (n²
//! numbers of a dense matrix, fill of a factor, k basis vectors) goes through this module, which refuses
//! what cannot be had and says what would have taken how much, and which parameter to change.
//!
//! An operating system that overcommits hands out addresses for far more than there is and ends the
//! process when it is used, so a request from `LOOKED_AT` on is also compared with what is available:
//! the least of `MemAvailable` and free swap in `/proc/meminfo`, the limit of the control group, and the
//! limit of the address space (`ulimit -v`). Where none is known, the allocator alone decides. The
//! answer is a snapshot: other processes may take what was there.
use crate::{Error, Result};
use std::fmt::Display;
use std::fs::read_to_string;

/// Bytes from which on a request is compared with what is available.
const LOOKED_AT: u128 = 64 << 20;

/// `count` times `value`. `what` says what for and which parameter to change.
///
/// # Errors
/// [`Error::Memory`] where they cannot be had.
pub fn vec_of<T: Clone>(value: T, count: usize, what: impl Display) -> Result<Vec<T>> {
    let mut array = Vec::new();
    reserve(&mut array, count, what)?;
    array.resize(count, value);
    Ok(array)
}

/// Makes room in `array` for exactly `more` values.
///
/// # Errors
/// [`Error::Memory`] where it cannot be had.
pub fn reserve<T>(array: &mut Vec<T>, more: usize, what: impl Display) -> Result<()> {
    let room = array.capacity() - array.len();
    let bytes = (array.len() as u128 + more as u128) * size_of::<T>() as u128;
    if more <= room {
        return Ok(());
    }
    require(bytes, &what)?;
    array.try_reserve_exact(more).map_err(|_| too_much(bytes, None, what))
}

/// Makes room in `array` for `more` values, and for as many as it has, so that a long row of calls
/// costs little; where that is too much, for `more` alone.
///
/// # Errors
/// [`Error::Memory`] where that cannot be had either.
pub fn grow<T>(array: &mut Vec<T>, more: usize, what: impl Display) -> Result<()> {
    if more <= array.capacity() - array.len() {
        return Ok(());
    }
    reserve(array, more.max(array.len()), &what).or_else(|_| reserve(array, more, what))
}

/// Appends `value`, making room as [`grow`] does.
///
/// # Errors
/// [`Error::Memory`] where there is none.
pub fn push<T>(array: &mut Vec<T>, value: T, what: impl Display) -> Result<()> {
    grow(array, 1, what)?;
    array.push(value);
    Ok(())
}

/// The product of `factors`: how many numbers an array of these extents has.
///
/// # Errors
/// [`Error::Memory`] where no machine could address them.
pub fn count(factors: &[u64], what: impl Display) -> Result<usize> {
    let product = factors.iter().try_fold(1u64, |product, &f| product.checked_mul(f));
    let fits =
        product.and_then(|p| usize::try_from(p).ok()).filter(|&p| p <= isize::MAX as usize / 8);
    fits.ok_or_else(|| {
        let factors: Vec<String> = factors.iter().map(u64::to_string).collect();
        let factors = factors.join(" × ");
        Error::Memory(format!("{what}: {factors} numbers are more than can be addressed"))
    })
}

/// Refuses so many bytes where they are not available. For what other libraries allocate.
///
/// # Errors
/// [`Error::Memory`].
pub fn require(bytes: u128, what: impl Display) -> Result<()> {
    if bytes < LOOKED_AT { Ok(()) } else { must_fit(bytes, what) }
}

/// As [`require`], however few bytes they are. For what is asked once.
///
/// # Errors
/// [`Error::Memory`].
pub fn must_fit(bytes: u128, what: impl Display) -> Result<()> {
    match available() {
        Some(there) if bytes > u128::from(there) => Err(too_much(bytes, Some(there), what)),
        _ => Ok(()),
    }
}

fn too_much(bytes: u128, there: Option<u64>, what: impl Display) -> Error {
    let there = there.map_or(String::new(), |there| format!(", {there} are available"));
    Error::Memory(format!("{what}: {bytes} bytes are needed{there}"))
}

/// Bytes that this process can still get, where the system tells.
fn available() -> Option<u64> {
    let read = |path: &str| read_to_string(path).ok();
    let limits = [
        read("/proc/meminfo").and_then(|text| of_meminfo(&text)),
        of_group(read("/sys/fs/cgroup/memory.max"), read("/sys/fs/cgroup/memory.current")),
        of_group(
            read("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
            read("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
        ),
        of_addresses(read("/proc/self/limits"), read("/proc/self/statm")),
    ];
    limits.into_iter().flatten().min()
}

/// Memory and swap that can be taken.
fn of_meminfo(text: &str) -> Option<u64> {
    let kib = |key: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    Some(1024 * (kib("MemAvailable:")? + kib("SwapFree:").unwrap_or(0)))
}

/// What a control group leaves: `max` is a number where there is a limit.
fn of_group(max: Option<String>, current: Option<String>) -> Option<u64> {
    let number = |text: Option<String>| text?.trim().parse::<u64>().ok();
    Some(number(max)?.saturating_sub(number(current)?))
}

/// What the limit of the address space leaves; `pages` begins with the pages that are mapped.
fn of_addresses(limits: Option<String>, pages: Option<String>) -> Option<u64> {
    const PAGE: u64 = 4096;
    let limits = limits?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let limit: u64 = line.split_whitespace().next()?.parse().ok()?;
    let mapped: u64 = pages?.split_whitespace().next()?.parse().ok()?;
    Some(limit.saturating_sub(mapped * PAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_had_is_an_error_that_says_what_for() {
        let what = "the inverse of 40000000 rows ('rows')";
        let n = count(&[40_000_000, 4], what).unwrap();
        assert_eq!(n, 160_000_000);
        let told = |e: Error| e.to_string();
        let beyond = count(&[4_000_000_000, 4_000_000_000], what).unwrap_err();
        assert!(matches!(beyond, Error::Memory(_)));
        assert_eq!(
            told(beyond),
            "the inverse of 40000000 rows ('rows'): 4000000000 × 4000000000 numbers are more than \
             can be addressed"
        );
        // 2⁶² bytes: more than any address space.
        let huge = 1usize << 59;
        let refused = told(vec_of(0.0f64, huge, what).unwrap_err());
        assert!(
            refused.starts_with(&format!("{what}: {} bytes are needed", 1u128 << 62)),
            "{refused}"
        );
        let mut some = vec![1u8; 3];
        assert!(reserve(&mut some, usize::MAX, what).is_err());
        assert!(grow(&mut some, usize::MAX - 2, what).is_err());
        assert!(must_fit(u128::MAX, what).is_err() || available().is_none());
        assert_eq!(some, [1; 3]);
        assert!(require(u128::MAX, what).is_err() || available().is_none());
    }

    #[test]
    fn what_fits_is_there() {
        assert_eq!(vec_of(7, 3, "three").unwrap(), [7; 3]);
        let mut array = vec![0u32; 5];
        grow(&mut array, 2, "two").unwrap();
        assert!(array.capacity() >= 10);
        let before = array.as_ptr();
        array.extend([1, 2]);
        assert_eq!(array.as_ptr(), before);
        push(&mut array, 3, "one").unwrap();
        assert_eq!(array.last(), Some(&3));
        assert!(must_fit(1, "a byte").is_ok());
        reserve(&mut array, 100, "a hundred").unwrap();
        assert!(array.capacity() >= 107);
    }

    #[test]
    fn limits_are_read_as_the_system_writes_them() {
        let meminfo =
            "MemTotal:  16 kB\nMemAvailable:    8 kB\nSwapTotal: 4 kB\nSwapFree:   2 kB\n";
        assert_eq!(of_meminfo(meminfo), Some(10 * 1024));
        assert_eq!(of_meminfo("MemAvailable: 3 kB\n"), Some(3 * 1024));
        assert_eq!(of_meminfo("MemTotal: 3 kB\n"), None);
        let text = |s: &str| Some(s.to_owned());
        assert_eq!(of_group(text("100\n"), text("30\n")), Some(70));
        assert_eq!(of_group(text("100\n"), text("130\n")), Some(0));
        assert_eq!(of_group(text("max\n"), text("30\n")), None);
        let limits =
            "Limit  Soft Limit\nMax address space         1048576        unlimited  bytes\n";
        assert_eq!(of_addresses(text(limits), text("6 3 2 1 0 2 0\n")), Some(1_048_576 - 6 * 4096));
        let none = limits.replace("1048576", "unlimited");
        assert_eq!(of_addresses(text(&none), text("6 3\n")), None);
    }
}
