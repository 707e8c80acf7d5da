//! Which of many predicates match which rows: one bit for each row and predicate.

use datafusion::arrow::array::{BooleanArray, UInt32Array};
use datafusion::arrow::buffer::BooleanBuffer;

/// A bit for each row and predicate. Rows and predicates are known by their number.
#[derive(Debug, Clone)]
pub(crate) struct MatchBitmap {
    predicates: usize,
    /// Words of a row.
    width: usize,
    words: Vec<u64>,
}

impl MatchBitmap {
    /// Every predicate matches every row.
    pub(crate) fn all(rows: usize, predicates: usize) -> Self {
        let width = predicates.div_ceil(64).max(1);
        let word = |at: usize| match predicates.saturating_sub(at * 64) {
            left @ 0..64 => (1_u64 << left) - 1,
            _ => u64::MAX,
        };
        let row: Vec<u64> = (0..width).map(word).collect();
        Self { predicates, width, words: row.repeat(rows) }
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.words.len() / self.width
    }

    /// The number of predicates.
    pub(crate) fn predicates(&self) -> usize {
        self.predicates
    }

    /// The rows that `predicate` matches, in order.
    pub(crate) fn rows(&self, predicate: usize) -> UInt32Array {
        let (word, bit) = bit_of(predicate);
        let matches = |row: &[u64]| row[word] & bit != 0;
        (0..)
            .zip(self.words.chunks_exact(self.width))
            .filter(|(_, row)| matches(row))
            .map(|(at, _)| at)
            .collect::<Vec<u32>>()
            .into()
    }

    /// For each row, whether any predicate matches it.
    pub(crate) fn any(&self) -> BooleanArray {
        self.any_of(&(0..self.predicates).collect::<Vec<_>>())
    }

    /// For each row, whether any of `predicates` matches it.
    pub(crate) fn any_of(&self, predicates: &[usize]) -> BooleanArray {
        let mut mask = vec![0; self.width];
        for (word, bit) in predicates.iter().copied().map(bit_of) {
            mask[word] |= bit;
        }
        let matches = |row: &[u64]| row.iter().zip(&mask).any(|(word, mask)| word & mask != 0);
        let rows: BooleanBuffer = self.words.chunks_exact(self.width).map(matches).collect();
        rows.into()
    }

    /// From now on `predicate` does not match `row`.
    pub(crate) fn remove(&mut self, predicate: usize, row: usize) {
        let (word, bit) = bit_of(predicate);
        self.words[row * self.width + word] &= !bit;
    }

    /// From now on `predicates` match no row.
    pub(crate) fn remove_predicates(&mut self, predicates: &[usize]) {
        for (word, bit) in predicates.iter().copied().map(bit_of) {
            self.words.chunks_exact_mut(self.width).for_each(|row| row[word] &= !bit);
        }
    }

    /// From now on `predicate` matches those of `rows` whose value in `keep` is true, and none of
    /// the others in `rows`.
    pub(crate) fn retain(&mut self, predicate: usize, rows: &UInt32Array, keep: &BooleanArray) {
        for (row, keep) in rows.values().iter().zip(keep) {
            if keep != Some(true) {
                self.remove(predicate, *row as usize);
            }
        }
    }

    /// Intersects each row with a row of `other`, whose number `other_rows` gives.
    pub(crate) fn intersect(&mut self, other: &Self, other_rows: impl Iterator<Item = usize>) {
        for (row, other_row) in self.words.chunks_exact_mut(self.width).zip(other_rows) {
            let other_words = &other.words[other_row * self.width..][..self.width];
            row.iter_mut().zip(other_words).for_each(|(word, other)| *word &= other);
        }
    }

    /// A bitmap of the rows `rows` alone, in their order.
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        let words = rows
            .iter()
            .flat_map(|row| &self.words[row * self.width..][..self.width])
            .copied()
            .collect();
        Self { predicates: self.predicates, width: self.width, words }
    }

    /// Replaces the rows `rows` by those of `selected`, which [`MatchBitmap::select`] made.
    pub(crate) fn replace(&mut self, rows: &[usize], selected: &Self) {
        for (row, words) in rows.iter().zip(selected.words.chunks_exact(self.width)) {
            self.words[row * self.width..][..self.width].copy_from_slice(words);
        }
    }
}

/// Word and bit of a predicate within a row.
fn bit_of(predicate: usize) -> (usize, u64) {
    (predicate / 64, 1 << (predicate % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(bitmap: &MatchBitmap, predicate: usize) -> Vec<u32> {
        bitmap.rows(predicate).values().to_vec()
    }

    #[test]
    fn each_row_and_predicate_has_its_own_bit() {
        for predicates in [1, 63, 64, 65, 130] {
            let mut bitmap = MatchBitmap::all(3, predicates);
            assert_eq!((bitmap.len(), bitmap.predicates()), (3, predicates));
            for predicate in 0..predicates {
                assert_eq!(matched(&bitmap, predicate), [0, 1, 2]);
                bitmap.retain(
                    predicate,
                    &vec![0, 2].into(),
                    &vec![false, predicate == predicates - 1].into(),
                );
            }
            assert_eq!(matched(&bitmap, predicates - 1), [1, 2]);
            let mut open = MatchBitmap::all(2, predicates);
            (0..predicates).for_each(|predicate| open.remove(predicate, 1));
            bitmap.intersect(&open, [0, 1, 0].into_iter());
            assert_eq!(bitmap.any(), vec![false, false, true].into(), "{predicates}");
            let mut other = bitmap.select(&[2, 0]);
            assert_eq!(matched(&other, predicates - 1), [0]);
            assert_eq!(other.any_of(&[predicates - 1]), vec![true, false].into(), "{predicates}");
            other.remove(predicates - 1, 0);
            bitmap.replace(&[2, 0], &other);
            assert!(matched(&bitmap, predicates - 1).is_empty());
        }
    }
}
