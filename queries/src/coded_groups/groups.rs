//! Texts and groups by numbers.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray, UInt32Array};
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::compute::take;
use datafusion::common::HashMap;
use datafusion::error::DataFusionError;

/// A group is known by the numbers of its texts, 32 bits each.
pub(super) const COLUMNS_MAX: usize = 4;
/// So many groups are given on, and numbered anew.
const GROUPS_MAX: usize = 65_536;

/// Slots of [`Recent`]: what is found there costs a comparison, the rest a search.
const SLOTS: usize = 4096;

/// The groups of the rows seen.
pub(super) struct Groups {
    /// Places of the columns.
    columns: Vec<usize>,
    texts: Vec<Texts>,
    groups: HashMap<u128, u32>,
    recent: Recent,
    /// The groups in order of their numbers.
    keys: Vec<u128>,
    /// Of each row of the last batch; kept, for they are large.
    of_rows: Vec<u128>,
    rows: Vec<usize>,
}

impl Groups {
    pub(super) fn new(columns: Vec<usize>) -> Self {
        let texts = columns.iter().map(|_| Texts::default()).collect();
        let (groups, recent) = (HashMap::default(), Recent::default());
        Self { columns, texts, groups, recent, keys: Vec::new(), of_rows: Vec::new(), rows: Vec::new() }
    }

    /// Finds the groups of the rows of `batch`.
    pub(super) fn take(&mut self, batch: &RecordBatch) -> Result<(), DataFusionError> {
        self.of_rows.clear();
        self.of_rows.resize(batch.num_rows(), 0);
        for (&column, texts) in self.columns.iter().zip(&mut self.texts) {
            let column = batch.column(column).as_string_view_opt();
            let column = column.ok_or_else(|| DataFusionError::Internal("a group's text is no view".to_owned()))?;
            texts.number(column, &mut self.of_rows);
        }
        self.rows.clear();
        for &key in &self.of_rows {
            let number = self.recent.number(key, || {
                *self.groups.entry(key).or_insert_with(|| {
                    self.keys.push(key);
                    self.keys.len() as u32 - 1
                })
            });
            self.rows.push(number as usize);
        }
        Ok(())
    }

    /// The number of the group of each row taken last.
    pub(super) fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn are_many(&self) -> bool {
        self.len() >= GROUPS_MAX
    }

    /// Memory, about.
    pub(super) fn bytes(&self) -> usize {
        let groups = self.groups.capacity() * size_of::<(u128, u32)>() + self.keys.capacity() * size_of::<u128>();
        let rows = self.of_rows.capacity() * size_of::<u128>() + self.rows.capacity() * size_of::<usize>();
        groups + rows + self.recent.bytes() + self.texts.iter().map(Texts::bytes).sum::<usize>()
    }

    /// The texts of each group, column by column; none is known from here on.
    pub(super) fn emptied(&mut self) -> Result<Vec<ArrayRef>, DataFusionError> {
        self.groups.clear();
        self.recent.forget();
        let keys = std::mem::take(&mut self.keys);
        let mut columns = Vec::with_capacity(self.texts.len());
        for (at, texts) in self.texts.iter_mut().rev().enumerate() {
            // The last column's number comes last.
            let numbers: UInt32Array = keys.iter().map(|key| Some((key >> (32 * at)) as u32)).collect();
            let values: StringViewArray = std::mem::take(texts).texts.into_iter().collect();
            columns.push(take(&values, &numbers, None)?);
        }
        columns.reverse();
        Ok(columns)
    }
}

/// The texts of a column by number; NULL is one of them.
#[derive(Default)]
struct Texts {
    texts: Vec<Option<String>>,
    null: Option<u32>,
    numbers: HashMap<String, u32>,
    /// By view: of the texts that lie in `buffers`, and of those so short that a view holds all of them.
    recent: Recent,
    /// Held, so that nothing else comes to lie where they are.
    buffers: Vec<Buffer>,
    bytes: usize,
}

impl Texts {
    /// Puts the number of each row's text behind what `of_rows` has.
    fn number(&mut self, column: &StringViewArray, of_rows: &mut [u128]) {
        let buffers = column.data_buffers();
        let is_same = |(a, b): (&Buffer, &Buffer)| a.as_ptr() == b.as_ptr() && a.len() == b.len();
        if buffers.len() != self.buffers.len() || !buffers.iter().zip(&self.buffers).all(is_same) {
            self.recent.forget();
            self.buffers = buffers.to_vec();
        }
        let (texts, null, numbers, bytes) = (&mut self.texts, &mut self.null, &mut self.numbers, &mut self.bytes);
        for (row, (&view, of_row)) in column.views().iter().zip(of_rows).enumerate() {
            let number = if column.is_null(row) {
                *null.get_or_insert_with(|| add(texts, None))
            } else {
                self.recent.number(view, || {
                    let text = column.value(row);
                    numbers.get(text).copied().unwrap_or_else(|| {
                        *bytes += 2 * text.len();
                        *numbers.entry(text.to_owned()).or_insert(add(texts, Some(text.to_owned())))
                    })
                })
            };
            *of_row = *of_row << 32 | u128::from(number);
        }
    }

    fn bytes(&self) -> usize {
        let entries = size_of::<(String, u32)>() + size_of::<Option<String>>();
        self.bytes + self.numbers.capacity() * entries + self.recent.bytes()
    }
}

fn add(texts: &mut Vec<Option<String>>, text: Option<String>) -> u32 {
    texts.push(text);
    texts.len() as u32 - 1
}

/// Numbers that were asked for last.
struct Recent {
    slots: Box<[Slot]>,
}

#[derive(Clone, Copy)]
struct Slot {
    key: u128,
    /// None yet: [`u32::MAX`].
    number: u32,
}

const EMPTY: Slot = Slot { key: 0, number: u32::MAX };

impl Default for Recent {
    fn default() -> Self {
        Self { slots: vec![EMPTY; SLOTS].into() }
    }
}

impl Recent {
    /// The number of `key`: the one that was given last, or what `search` finds.
    #[inline]
    fn number(&mut self, key: u128, search: impl FnOnce() -> u32) -> u32 {
        // Fibonacci hashing: the upper bits depend on all of them.
        let folded = ((key >> 64) as u64 ^ key as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let slot = &mut self.slots[(folded >> (64 - SLOTS.ilog2())) as usize];
        if slot.key != key || slot.number == u32::MAX {
            *slot = Slot { key, number: search() };
        }
        slot.number
    }

    fn forget(&mut self) {
        self.slots.fill(EMPTY);
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }
}
