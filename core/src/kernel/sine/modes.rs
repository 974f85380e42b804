//! The tridiagonal systems of some modes, all rows of the grid long.
use std::ops::Range;

use multiversion::multiversion;
use rustfft::FftNum;

use super::{GRAIN, SineNumber, eigenvalue};
use crate::Result;
use crate::host::Host;
use crate::kernel::chunks;

/// Modes whose systems are solved together, where there are enough of them.
pub(super) const MODES: usize = 64;

/// Widths of blocks of modes: what a kernel exists for.
const WIDTHS: [usize; 4] = [MODES, 32, 16, 8];

/// Modes that are solved together, of `count` in all: as many as fill their blocks to four fifths.
pub(super) fn width(count: usize) -> usize {
    let full = |width: &&usize| 4 * count.div_ceil(**width) * **width <= 5 * count;
    *WIDTHS.iter().find(full).unwrap_or(&WIDTHS[3])
}

/// Modes in blocks of equal width: a block's rows one after the other, one block after the other.
pub(super) struct Modes<T: FftNum> {
    my: usize,
    count: usize,
    width: usize,
    /// Zero for modes beyond the last.
    pivots: Vec<T>,
}

/// Pivots of a block of modes with the diagonal entries `d`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn eliminate<T: SineNumber>(width: usize, d: &[f64; MODES], pivots: &mut [T]) {
    let mut c = [0.0; MODES];
    for row in pivots.chunks_exact_mut(width) {
        for ((to, c), &d) in row.iter_mut().zip(&mut c).zip(d) {
            *c = 1.0 / (d - *c);
            *to = T::rounded(*c);
        }
    }
}

/// Where right-hand sides come from: rows, numbers in a row, the first of the block's and how many.
type Source<'a, T> = (&'a [T], usize, usize, usize);

/// Solves the systems of a block of `width` modes; right-hand sides stand in `modes` or come from `source`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn substitute<T: SineNumber>(
    width: usize,
    source: Option<Source<'_, T>>,
    pivots: &[T],
    modes: &mut [T],
) {
    match width {
        8 => substitute_block::<T, 8>(source, pivots, modes),
        16 => substitute_block::<T, 16>(source, pivots, modes),
        32 => substitute_block::<T, 32>(source, pivots, modes),
        _ => substitute_block::<T, MODES>(source, pivots, modes),
    }
}

#[inline(always)]
fn substitute_block<T: SineNumber, const WIDTH: usize>(
    source: Option<Source<'_, T>>,
    pivots: &[T],
    modes: &mut [T],
) {
    let mut y = [T::zero(); WIDTH];
    let rows = modes.chunks_exact_mut(WIDTH).zip(pivots.chunks_exact(WIDTH));
    for (j, (to, c)) in rows.enumerate() {
        if let Some((x, stride, first, count)) = source {
            to[..count].copy_from_slice(&x[j * stride + first..][..count]);
        }
        for ((to, y), &c) in to.iter_mut().zip(&mut y).zip(c) {
            *y = (*to + *y) * c;
            *to = *y;
        }
    }
    let mut x = [T::zero(); WIDTH];
    for (to, c) in modes.chunks_exact_mut(WIDTH).zip(pivots.chunks_exact(WIDTH)).rev() {
        for ((to, x), &c) in to.iter_mut().zip(&mut x).zip(c) {
            *x = *to + c * *x;
            *to = *x;
        }
    }
}

impl<T: SineNumber> Modes<T> {
    /// The systems of `modes` of the `mx` of a row, `my` rows long, in blocks of `width`.
    pub fn new(mx: usize, my: usize, modes: Range<usize>, width: usize) -> Self {
        let count = modes.len();
        let mut pivots = vec![T::zero(); count.div_ceil(width) * width * my];
        for (block, pivots) in pivots.chunks_exact_mut((width * my).max(1)).enumerate() {
            let diagonal = |l: usize| match block * width + l {
                k if k < count => 2.0 + eigenvalue(mx, modes.start + k + 1),
                _ => f64::INFINITY,
            };
            eliminate(width, &std::array::from_fn(diagonal), pivots);
        }
        Modes { my, count, width, pivots }
    }

    /// Numbers in the blocks of all modes.
    pub fn len(&self) -> usize {
        self.pivots.len()
    }

    /// Modes in a block.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The `count` numbers of block `block` in row `row`.
    pub fn part(&self, block: usize, row: usize, count: usize) -> Range<usize> {
        let at = (block * self.my + row) * self.width;
        at..at + count
    }

    /// Solves all systems in `modes`, on the threads of `host`. Right-hand sides stand there, or are the rows
    /// of a source, so many numbers apart.
    ///
    /// # Errors
    /// What the host reports.
    pub fn solve(
        &self,
        host: &dyn Host,
        source: Option<(&[T], usize)>,
        modes: &mut [T],
    ) -> Result<()> {
        let Modes { my, count, width, pivots } = self;
        let (blocks, length) = (count.div_ceil(*width), width * my);
        chunks::rows(
            host,
            blocks,
            GRAIN.div_ceil(length.max(1)),
            [(modes, length)],
            |run, [modes]| {
                for (block, modes) in run.zip(modes.chunks_exact_mut(length)) {
                    let first = block * width;
                    let source =
                        source.map(|(x, stride)| (x, stride, first, (*width).min(count - first)));
                    substitute(*width, source, &pivots[block * length..][..length], modes);
                }
                Ok(())
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Alone;

    #[test]
    fn no_bit_depends_on_the_width_of_blocks() {
        let (mx, my) = (77, 5);
        let value = |k: usize, j: usize| ((k * 31 + j * 7) as f64).sin();
        let solved = |modes: Range<usize>, width: usize| -> Vec<f64> {
            let systems = Modes::<f64>::new(mx, my, modes.clone(), width);
            let mut x = vec![0.0; systems.len()];
            for (k, mode) in modes.clone().enumerate() {
                (0..my).for_each(|j| {
                    x[systems.part(k / width, j, width)][k % width] = value(mode, j);
                });
            }
            systems.solve(&Alone, None, &mut x).expect("no host to fail");
            let at = |k: usize, j: usize| x[systems.part(k / width, j, width)][k % width];
            (0..modes.len())
                .flat_map(|k| (0..my).map(move |j| (k, j)))
                .map(|(k, j)| at(k, j))
                .collect()
        };
        let whole = solved(0..mx, MODES);
        for width in WIDTHS {
            assert_eq!(solved(0..mx, width), whole);
            assert_eq!(solved(20..61, width), whole[20 * my..61 * my]);
        }
    }

    #[test]
    fn blocks_are_as_wide_as_they_can_be_filled() {
        assert_eq!(
            [1, 8, 15, 31, 32, 63, 64, 65, 100, 511].map(width),
            [8, 8, 16, 32, 32, 64, 64, 16, 16, 64]
        );
    }
}
