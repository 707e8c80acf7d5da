//! Which of many conditions hold of which rows.

use datafusion::arrow::array::{BooleanArray, UInt32Array};
use datafusion::arrow::buffer::BooleanBuffer;

/// A bit for each row and condition.
#[derive(Debug, Clone)]
pub struct MatchBitmap {
    conditions: usize,
    /// Words of a row.
    width: usize,
    words: Vec<u64>,
}

impl MatchBitmap {
    /// Every condition holds of every row.
    pub(crate) fn all(rows: usize, conditions: usize) -> Self {
        let width = conditions.div_ceil(64).max(1);
        let word = |at: usize| match conditions.saturating_sub(at * 64) {
            left @ 0..64 => (1_u64 << left) - 1,
            _ => u64::MAX,
        };
        let row: Vec<u64> = (0..width).map(word).collect();
        Self { conditions, width, words: row.repeat(rows) }
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.words.len() / self.width
    }

    /// How many conditions there are.
    pub(crate) fn conditions(&self) -> usize {
        self.conditions
    }

    /// The rows of which `condition` holds.
    #[must_use]
    pub fn rows(&self, condition: usize) -> UInt32Array {
        let (word, bit) = place(condition);
        let holds = |row: &[u64]| row[word] & bit != 0;
        (0..)
            .zip(self.words.chunks_exact(self.width))
            .filter(|(_, row)| holds(row))
            .map(|(at, _)| at)
            .collect::<Vec<u32>>()
            .into()
    }

    /// The rows of which any condition holds.
    pub(crate) fn any(&self) -> BooleanArray {
        self.any_of(&(0..self.conditions).collect::<Vec<_>>())
    }

    /// `condition` does not hold of `row`.
    pub(crate) fn remove(&mut self, condition: usize, row: usize) {
        let (word, bit) = place(condition);
        self.words[row * self.width + word] &= !bit;
    }

    /// `condition` holds of those of `rows` for which `keep` says so, and of no other of them.
    pub fn keep(&mut self, condition: usize, rows: &UInt32Array, keep: &BooleanArray) {
        for (row, keep) in rows.values().iter().zip(keep) {
            if keep != Some(true) {
                self.remove(condition, *row as usize);
            }
        }
    }

    /// Those of `conditions` hold of no row.
    pub(crate) fn clear(&mut self, conditions: &[usize]) {
        for (word, bit) in conditions.iter().copied().map(place) {
            self.words.chunks_exact_mut(self.width).for_each(|row| row[word] &= !bit);
        }
    }

    /// Of each row no conditions hold but those that hold of the row of `other` that `places` gives for it.
    pub(crate) fn narrow(&mut self, other: &Self, places: impl Iterator<Item = usize>) {
        for (row, place) in self.words.chunks_exact_mut(self.width).zip(places) {
            let open = &other.words[place * self.width..][..self.width];
            row.iter_mut().zip(open).for_each(|(word, open)| *word &= open);
        }
    }

    /// The rows of which any of `conditions` holds.
    pub(crate) fn any_of(&self, conditions: &[usize]) -> BooleanArray {
        let mut asked = vec![0; self.width];
        for (word, bit) in conditions.iter().copied().map(place) {
            asked[word] |= bit;
        }
        let holds = |row: &[u64]| row.iter().zip(&asked).any(|(word, asked)| word & asked != 0);
        let rows: BooleanBuffer = self.words.chunks_exact(self.width).map(holds).collect();
        rows.into()
    }

    /// What holds of those `rows`, in their order.
    pub(crate) fn of(&self, rows: &[usize]) -> Self {
        let words = rows
            .iter()
            .flat_map(|row| &self.words[row * self.width..][..self.width])
            .copied()
            .collect();
        Self { conditions: self.conditions, width: self.width, words }
    }

    /// Of those `rows` that holds which holds of the rows of `other`, of as many conditions.
    pub(crate) fn put(&mut self, rows: &[usize], other: &Self) {
        for (row, words) in rows.iter().zip(other.words.chunks_exact(self.width)) {
            self.words[row * self.width..][..self.width].copy_from_slice(words);
        }
    }
}

fn place(condition: usize) -> (usize, u64) {
    (condition / 64, 1 << (condition % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(hits: &MatchBitmap, condition: usize) -> Vec<u32> {
        hits.rows(condition).values().to_vec()
    }

    #[test]
    fn each_row_and_condition_has_its_own_bit() {
        for conditions in [1, 63, 64, 65, 130] {
            let mut hits = MatchBitmap::all(3, conditions);
            assert_eq!((hits.len(), hits.conditions()), (3, conditions));
            for condition in 0..conditions {
                assert_eq!(held(&hits, condition), [0, 1, 2]);
                hits.keep(
                    condition,
                    &vec![0, 2].into(),
                    &vec![false, condition == conditions - 1].into(),
                );
            }
            assert_eq!(held(&hits, conditions - 1), [1, 2]);
            let mut open = MatchBitmap::all(2, conditions);
            (0..conditions).for_each(|condition| open.remove(condition, 1));
            hits.narrow(&open, [0, 1, 0].into_iter());
            assert_eq!(hits.any(), vec![false, false, true].into(), "{conditions}");
            let mut other = hits.of(&[2, 0]);
            assert_eq!(held(&other, conditions - 1), [0]);
            assert_eq!(other.any_of(&[conditions - 1]), vec![true, false].into(), "{conditions}");
            other.remove(conditions - 1, 0);
            hits.put(&[2, 0], &other);
            assert!(held(&hits, conditions - 1).is_empty());
        }
    }
}
